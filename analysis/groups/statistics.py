"""Metrics of a trained model by group of pictures, their differences, and their changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from analysis.statistics.clusters import Clusters, clusters_of, design_effect, singles
from analysis.statistics.estimate import ALPHA
from analysis.statistics.intervals import newcombe, wilson_interval

DRAWS = 2_000
SMALL = 30
"""Groups with fewer pictures are marked, because their intervals are rough."""
COMPARED = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
"""Metrics that are compared between groups."""

Counts = npt.NDArray[np.int64]


def scores(answers: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Compute every metric in each group, or in each crossing of groups.

    Args:
        answers: A row per picture: ``label``, ``predicted`` and ``cluster`` (number of the
            picture's cluster). Without the last column, all pictures are independent.
        groups: The same index, one or more columns; pictures with a missing value are left out.

    Returns:
        Index: the groups. Columns: ``n``, the metrics of `compared`, the micro averages
        (``micro_precision``, ``micro_recall``, ``micro_f1``, which all equal the accuracy because a
        picture has one label), and the 95 % Wilson interval of the accuracy for the effective n,
        ``accuracy_low`` and ``accuracy_high``.
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
    effect = pd.Series([_design_effect(rows) for _, rows in grouped], index=n.index)
    return found.assign(n=n, **micro).join(wilson_interval(found["accuracy"], n / effect))


def differences(answers: pd.DataFrame, groups: "pd.Series[Any]", classes: int) -> pd.DataFrame:
    """Compare all pairs of groups by a bootstrap that resamples clusters within each group.

    ``answers`` and ``groups`` are as in `scores`.

    Returns:
        A row per pair of groups and metric of `COMPARED`: ``first``, ``second``, ``metric``,
        ``first_value``, ``second_value``, ``difference`` (first minus second) and ``ratio`` with
        their 95 % intervals (``_low``, ``_high``), ``n_first``, ``n_second``. The interval of a
        difference in accuracy is Newcombe's. Others are percentiles of the draws; they are missing
        if all draws of a group are equal.
    """
    rng = np.random.default_rng(0)
    tables: dict[str, Counts] = {}
    effects: dict[str, float] = {}
    values: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for name, rows in answers.groupby(groups):
        tables[str(name)] = confusion(rows, classes)
        effects[str(name)] = _design_effect(rows)
        draws = drawn(rows[["label", "predicted"]], rows, classes, rng)
        values[str(name)] = compared(draws.confusions(0, 1, classes))
    found = []
    for names in combinations(tables, 2):
        first, second = names
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
                low, high = newcombe(
                    *(
                        (np.trace(tables[n]) / effects[n], tables[n].sum() / effects[n])
                        for n in names
                    )
                )
                found[-1] |= {"difference_low": low, "difference_high": high}
    return pd.DataFrame(found)


def changes(before: pd.DataFrame, after: pd.DataFrame, classes: int) -> dict[str, float]:
    """Compare two models on the same pictures by a paired bootstrap.

    Args:
        before: A row per picture, as in `scores`.
        after: The same pictures in the same order.
        classes: Number of classes.

    Returns:
        ``n``, and for ``accuracy`` and ``macro_f1``: ``_before``, ``_after``, ``_change`` with its
        95 % percentile interval ``_change_low`` and ``_change_high``. If all draws are equal, the
        interval is missing for a change, and has width 0 for no change.
    """
    told = before[["label", "predicted"]].assign(after=after["predicted"])
    draws = drawn(told, before, classes, np.random.default_rng(0))
    then, now = (compared(draws.confusions(0, column, classes)) for column in (1, 2))
    found: dict[str, float] = {"n": len(before)}
    for metric in ("accuracy", "macro_f1"):
        found |= {f"{metric}_before": then[metric][0], f"{metric}_after": now[metric][0]}
        change = now[metric] - then[metric]
        found |= _interval(f"{metric}_change", change, *([change] if change[0] else []))
    return found


def confusion(answers: pd.DataFrame, classes: int) -> Counts:
    """Count pictures by true class (rows) and predicted class (columns): (classes, classes)."""
    pairs = answers["label"] * classes + answers["predicted"]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def clusters_in(answers: pd.DataFrame) -> Clusters:
    """Return the clusters of the pictures in ``answers``, as in `scores`."""
    return clusters_of(answers["cluster"]) if "cluster" in answers else singles(len(answers))


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """How many pictures have each combination of classes, in the data and in bootstrap draws."""

    cells: npt.NDArray[np.int64]
    """(m, k) combinations of k classes, such as a picture's label and its prediction."""
    counts: Counts
    """(1 + `DRAWS`, m) pictures with each combination: in the data, then in the draws."""

    def confusions(self, row: int, column: int, classes: int) -> Counts:
        """Return (1 + `DRAWS`, classes, classes) counts by two of the k classes."""
        places = self.cells[:, row] * classes + self.cells[:, column]
        ones = np.ones(len(places), np.int64)
        to_tables = csr_array((ones, (np.arange(len(places)), places)), (len(places), classes**2))
        return np.asarray(self.counts @ to_tables).reshape(-1, classes, classes)


def drawn(
    told: pd.DataFrame, answers: pd.DataFrame, classes: int, rng: np.random.Generator
) -> Drawn:
    """Count pictures by class, in the data and in bootstrap draws of whole clusters.

    Clusters with the same counts are interchangeable, so the number of clusters of each kind is
    drawn from a multinomial distribution.

    Args:
        told: A row per picture, with k columns of classes, such as its label and its prediction.
        answers: The same pictures, as in `scores`.
        classes: Number of classes.
        rng: Random number generator.
    """
    shape = (classes,) * told.shape[1]
    flat = np.ravel_multi_index(tuple(told.to_numpy().T), shape)
    # Only combinations that occur, since there may be millions; and the last one, with which the
    # draws are the same as those from all combinations.
    used, cells = np.unique(np.append(flat, classes ** len(shape) - 1), return_inverse=True)
    cells = cells[:-1]
    clusters = clusters_in(answers)
    alone = clusters.sizes[clusters.of] == 1
    single = np.bincount(cells[alone], minlength=len(used))
    rows, places = np.unique(clusters.of[~alone], return_inverse=True)
    several = np.zeros((len(rows), len(used)), np.int64)
    np.add.at(several, (places, cells[~alone]), 1)
    kinds, counts = np.unique(several, axis=0, return_counts=True)
    total = len(clusters.sizes)
    chosen = rng.multinomial(total, np.concatenate([counts, single]) / total, DRAWS)
    tables = chosen[:, len(kinds) :] + chosen[:, : len(kinds)] @ kinds
    return Drawn(
        cells=np.column_stack(np.unravel_index(used, shape)),
        counts=np.concatenate([[np.bincount(cells, minlength=len(used))], tables]),
    )


def compared(confusions: Counts) -> dict[str, npt.NDArray[np.float64]]:
    """Compute the metrics of `COMPARED` for each of k groups.

    Macro averages are over the classes that occur as labels in the group, because counting the
    recall of other classes as 0 would make groups with fewer classes look worse. The precision of
    a class that was never predicted is 0. The same as scikit-learn's
    ``precision_recall_fscore_support`` with these labels and ``zero_division=0``.

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
    """Return all pairs of attributes."""
    return list(combinations(attributes, 2))


def _interval(
    name: str, values: npt.NDArray[np.float64], *parts: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Return the first value under ``name``, and the percentiles of the others, its draws.

    If all draws of a part are equal, its error cannot be estimated and the interval is missing.
    """
    draws = values[1:][np.isfinite(values[1:])]
    known = len(draws) and all(np.ptp(part[1:]) > 0 for part in parts)
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2]) if known else (np.nan, np.nan)
    return {name: values[0], f"{name}_low": low, f"{name}_high": high}


def _design_effect(answers: pd.DataFrame) -> float:
    right = (answers["label"] == answers["predicted"]).to_numpy()
    return design_effect([(right, clusters_in(answers))])
