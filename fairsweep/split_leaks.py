"""Says which persons, patients or scenes have pictures both in train and in another split."""

from collections.abc import Iterator, Mapping
from typing import Any


def leak_words(found: Mapping[str, Mapping[str, Any]], split: str) -> Iterator[str]:
    """Yield a sentence, without a full stop, for each column whose values are on both sides.

    Args:
        found: Column → ``values``, ``on_both_sides`` and ``pictures``, as in ``leaking_columns`` of
            a manifest.
        split: Method by which the dataset was split.
    """
    for name, counts in found.items():
        way_out = f"together: {name} keeps them on one side"
        if split != "grouped":
            way_out = f"split grouped with {way_out}, which split {split} does not"
        yield (
            f"{counts['on_both_sides']:,} of the {counts['values']:,} values of {name!r} have "
            f"pictures in train and in validation or test, where {counts['pictures']:,} pictures "
            f"have such a value; {way_out}"
        )
