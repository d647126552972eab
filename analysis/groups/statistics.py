"""How well a trained model does on groups of pictures, how far apart they are, what changed."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.statistics.estimate import ALPHA
from analysis.statistics.intervals import newcombe, wilson_interval

DRAWS = 2_000
SMALL = 30
"""Groups of fewer pictures are marked: intervals of so few are rough."""
COMPARED = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
"""Metrics whose differences between groups are shown."""

Counts = npt.NDArray[np.int64]


def scores(answers: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Compute every metric in each group, or in each crossing of groups.

    Args:
        answers: A row per picture: ``label`` and ``predicted``.
        groups: The same index, one or more columns; pictures with a missing one do not count.

    Returns:
        Index: the groups. Columns: ``n``, the metrics of `compared`, the micro averages
        (``micro_precision``, ``micro_recall``, ``micro_f1``; of one label a picture, all three are
        the accuracy), and the 95 % Wilson interval of the accuracy, ``accuracy_low`` and
        ``accuracy_high``.
    """
    kept = groups.dropna()
    if kept.empty:
        return pd.DataFrame()
    grouped = answers.loc[kept.index].groupby([kept[name] for name in kept], observed=True)
    classes = int(answers[["label", "predicted"]].to_numpy().max()) + 1
    confusions = np.stack([confusion(rows, classes) for _, rows in grouped])
    n = grouped.size()
    found = pd.DataFrame(compared(confusions), index=n.index)
    micro = {f"micro_{name}": found["accuracy"] for name in ("precision", "recall", "f1")}
    return found.assign(n=n, **micro).join(wilson_interval(found["accuracy"], n))


def differences(answers: pd.DataFrame, groups: "pd.Series[Any]", classes: int) -> pd.DataFrame:
    """Compare every two groups: the pictures of each are drawn again, apart from the others'.

    Returns:
        A row per two groups and metric of `COMPARED`: ``first``, ``second``, ``metric``,
        ``first_value``, ``second_value``, ``difference`` (first less second) and ``ratio`` with
        their 95 % intervals (``_low``, ``_high``), ``n_first``, ``n_second``. Intervals of the
        difference in accuracy are Newcombe's; others are percentiles of the draws, and missing
        where those of a group are all alike.
    """
    rng = np.random.default_rng(0)
    tables: dict[str, Counts] = {}
    values: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for name, rows in answers.groupby(groups):
        counts = confusion(rows, classes)
        tables[str(name)] = counts
        values[str(name)] = compared(np.concatenate([counts[None], drawn(counts, rng)]))
    found = []
    for first, second in combinations(tables, 2):
        for metric in COMPARED:
            one, other = values[first][metric], values[second][metric]
            ratios = np.divide(one, other, out=np.full_like(one, np.nan), where=other > 0)
            found.append(
                {"first": first, "second": second, "metric": metric}
                | {"first_value": one[0], "second_value": other[0]}
                | _interval("difference", one - other, one, other)
                | _interval("ratio", ratios, one, other)
                | {"n_first": tables[first].sum(), "n_second": tables[second].sum()}
            )
            if metric == "accuracy":
                both = ((int(np.trace(t)), int(t.sum())) for t in (tables[first], tables[second]))
                low, high = newcombe(*both)
                found[-1] |= {"difference_low": low, "difference_high": high}
    return pd.DataFrame(found)


def changes(before: pd.DataFrame, after: pd.DataFrame, classes: int) -> dict[str, float]:
    """Compare two models on the same pictures, which are drawn in pairs.

    Args:
        before: A row per picture: ``label`` and ``predicted``.
        after: The same pictures in the same order.
        classes: Number of classes.

    Returns:
        ``n``, and for ``accuracy`` and ``macro_f1``: ``_before``, ``_after``, ``_change`` with its
        95 % percentile interval ``_change_low`` and ``_change_high``, missing where every draw has
        changed alike, and of no width where none has changed.
    """
    triples = (before["label"] * classes + before["predicted"]) * classes + after["predicted"]
    counts = np.bincount(triples, minlength=classes**3).reshape((classes,) * 3)
    all_counts = np.concatenate([counts[None], drawn(counts, np.random.default_rng(0))])
    then, now = compared(all_counts.sum(axis=3)), compared(all_counts.sum(axis=2))
    found: dict[str, float] = {"n": len(before)}
    for metric in ("accuracy", "macro_f1"):
        found |= {f"{metric}_before": then[metric][0], f"{metric}_after": now[metric][0]}
        change = now[metric] - then[metric]
        found |= _interval(f"{metric}_change", change, *([change] if change[0] else []))
    return found


def confusion(answers: pd.DataFrame, classes: int) -> Counts:
    """Return (classes, classes) pictures by true class (rows) and predicted class (columns)."""
    pairs = answers["label"] * classes + answers["predicted"]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def drawn(counts: Counts, rng: np.random.Generator) -> Counts:
    """Return (draws, …) tables of as many pictures, drawn with replacement from ``counts``."""
    total = counts.sum()
    tables = rng.multinomial(total, counts.ravel() / total, DRAWS)
    return tables.reshape(DRAWS, *counts.shape)


def compared(confusions: Counts) -> dict[str, npt.NDArray[np.float64]]:
    """Compute the metrics of `COMPARED` for each of k groups.

    Macro averages go over the classes with true pictures in the group: a class that the group
    lacks has no recall, and counting it as 0 would make groups with fewer classes look worse.
    The precision of a class that was never predicted counts as 0. As scikit-learn's
    ``precision_recall_fscore_support(labels=the classes there, zero_division=0)``.

    Args:
        confusions: (k, classes, classes) pictures by true class and predicted class.
    """
    right = np.diagonal(confusions, axis1=1, axis2=2).astype(float)
    truth, told = confusions.sum(axis=2), confusions.sum(axis=1)
    present = truth > 0
    parts = {"precision": (right, told), "recall": (right, truth), "f1": (2 * right, truth + told)}
    found = {"accuracy": right.sum(axis=1) / truth.sum(axis=1)}
    for name, (top, bottom) in parts.items():
        share = np.divide(top, bottom, out=np.zeros_like(top), where=present & (bottom > 0))
        found[f"macro_{name}"] = share.sum(axis=1) / present.sum(axis=1)
    return found


def crossings(attributes: Sequence[str]) -> list[tuple[str, str]]:
    """Return every two attributes."""
    return list(combinations(attributes, 2))


def _interval(
    name: str, values: npt.NDArray[np.float64], *parts: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Name the figure, which stands first, and the percentiles of its draws.

    Draws of a part that are all alike tell of no chance, however few the pictures: then none.
    """
    draws = values[1:][np.isfinite(values[1:])]
    known = len(draws) and all(np.ptp(part[1:]) > 0 for part in parts)
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2]) if known else (np.nan, np.nan)
    return {name: values[0], f"{name}_low": low, f"{name}_high": high}
