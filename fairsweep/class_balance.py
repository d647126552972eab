"""Describes how unequal the classes of a dataset are, and what to do about it."""

from collections.abc import Mapping

UNEQUAL = 1.5
"""Ratio of the largest class to the smallest at which remedies are suggested."""
FEW = 30
"""With fewer validation pictures than this, a class's recall is known to ±18 points at best: the
half-width of a 95 % interval around one half."""


def balance_words(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Compare the largest class with the smallest, and count classes too small to evaluate.

    Args:
        counts: Split → class → pictures.
    """
    train, val = counts["train"], counts["val"]
    largest, smallest = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
    if train[largest] == train[smallest]:
        return f"All {len(train):,} classes have {train[largest]:,} training pictures.{_few(val)}"
    text = (
        f"The largest class, {largest}, has {train[largest]:,} training pictures, the smallest, "
        f"{smallest}, has {train[smallest]:,}"
    )
    if train[largest] < UNEQUAL * max(1, train[smallest]):
        text += "."
    else:
        ratio = f" ({train[largest] / train[smallest]:.3g} times)" if train[smallest] else ""
        text += (
            f"{ratio}. In a spec, `fixed: {{balance: label}}` draws every class equally often; "
            "`objective: {metric: val_macro_f1}` judges every class alike, where accuracy follows "
            "the large ones."
        )
    return text + _few(val)


def _few(val: Mapping[str, int]) -> str:
    few = sum(count < FEW for count in val.values())
    if not few:
        return ""
    return (
        f" {few:,} of {len(val):,} classes have fewer than {FEW} validation pictures, so the 95 % "
        "interval of a recall near one half is wider than ±18 points."
    )
