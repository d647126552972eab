"""One configuration or trained model against each other one, adjusted for how many they are."""

from collections.abc import Mapping, Sequence
from math import inf, sqrt

import numpy as np
import pandas as pd

from analysis.statistics.clusters import Clusters
from analysis.statistics.estimate import Estimate
from analysis.statistics.pairs import compare_models, compare_over_folds
from analysis.statistics.trainings import Trainings, difference
from analysis.statistics.verdicts import MARGIN, all_pairs, equivalence, holm, verdict

COLUMNS = (
    "id",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "p_adjusted",
    "p_equivalent",
    "verdict",
    "detectable",
)
"""Columns of every frame here, a row per other one in the order given: its ``id``; ``difference``,
its accuracy less that of the first, with an interval (95 %, all rows together); ``p_value``;
``p_adjusted`` (Holm); ``p_equivalent``, of the tests that it is within the margin
(`analysis.statistics.verdicts.equivalence`; Holm); ``verdict`` of the row against the first;
``detectable``, the smallest difference that would have been shown with 80 % probability."""


def compare_configurations(
    trainings: Trainings, first: str, margin: float = MARGIN
) -> pd.DataFrame:
    """Compare each other configuration with ``first`` over their replicates, the best first.

    Equal seeds mean nothing to networks of different shapes, so replicates are not paired;
    pictures are (`analysis.statistics.trainings.contrast`). Adjusted for all pairs
    (`analysis.statistics.verdicts.all_pairs`).

    Returns:
        A frame of `COLUMNS`, with configuration ids.
    """
    others = trainings.means.drop(first).sort_values(ascending=False, kind="stable").index
    estimates = {str(name): difference(trainings, name, first) for name in others}
    pictures = inf if trainings.correct is None else len(trainings.pictures.sizes)
    return judged(estimates, all_pairs(len(trainings.means)), margin, pictures)


def compare_trained_models(
    correct: pd.DataFrame,
    first: str,
    family: int,
    *,
    margin: float = MARGIN,
    clusters: Clusters | None = None,
) -> pd.DataFrame:
    """Compare each other trained model with ``first``: McNemar's test and a paired bootstrap.

    Args:
        correct: A row per trial, a column per picture: whether it was told right.
        first: Trial id of the one that the others are compared with.
        family: Number of comparisons that might have been looked at.
        margin: Differences below it do not count.
        clusters: Which pictures belong together; each stands alone where None.

    Returns:
        A frame of `COLUMNS`, with trial ids.
    """
    reference = correct.loc[first].to_numpy()
    others = [str(name) for name in correct.index if name != first]
    pairs = {
        name: compare_models(correct.loc[name].to_numpy(), reference, clusters) for name in others
    }
    frame = judged({name: pair.estimate for name, pair in pairs.items()}, family, margin)
    pictures = correct.shape[1] if clusters is None else len(clusters.sizes)
    within = [equivalence(pair.estimate, margin, pictures) for pair in pairs.values()]
    intervals = [pair.interval(family) for pair in pairs.values()]
    frame["difference_low"] = [low for low, _ in intervals]
    frame["difference_high"] = [high for _, high in intervals]
    return _with_verdicts(frame, [pair.p_value for pair in pairs.values()], within, family)


def judged(
    estimates: Mapping[str, Estimate], family: int, margin: float = MARGIN, pictures: float = inf
) -> pd.DataFrame:
    """Judge differences by their t tests: a frame of `COLUMNS`.

    Args:
        estimates: Id → difference of this one less the first.
        family: Number of comparisons that might have been looked at.
        margin: Differences below it do not count.
        pictures: Number of pictures that the differences were measured on.
    """
    intervals = [estimate.interval(family) for estimate in estimates.values()]
    frame = pd.DataFrame(
        {
            "id": list(estimates),
            "difference": [estimate.value for estimate in estimates.values()],
            "difference_low": [low for low, _ in intervals],
            "difference_high": [high for _, high in intervals],
            "detectable": [estimate.detectable(family) for estimate in estimates.values()],
        }
    )
    within = [equivalence(estimate, margin, pictures) for estimate in estimates.values()]
    p_values = [estimate.p_value for estimate in estimates.values()]
    return _with_verdicts(frame, p_values, within, family)


def models_apart(correct: pd.DataFrame, clusters: Clusters, first: str, second: str) -> Estimate:
    """Estimate how far two trained models are apart, with an error that few pictures do not shrink.

    The variance of the score test, that of models which are equally good, and one picture more
    (one cluster more, where pictures belong together) that they answer differently.
    """
    pair = compare_models(correct.loc[first].to_numpy(), correct.loc[second].to_numpy(), clusters)
    count = len(clusters.sizes)
    of_equals = pair.estimate.standard_error**2 + (pair.difference**2 + 1 / count) / count
    return Estimate(value=pair.difference, standard_error=sqrt(of_equals))


def folds_apart(table: pd.DataFrame, ratio: float, first: str, second: str) -> Estimate:
    """Estimate a difference over the folds that both have; its error is missing if there is one."""
    both = table.loc[[first, second]].dropna(axis="columns").to_numpy(float)
    if both.shape[1] < 2:
        return Estimate(value=0.0, standard_error=np.nan)
    return compare_over_folds(both[0], both[1], ratio)


def _with_verdicts(
    frame: pd.DataFrame, p_values: Sequence[float], within: Sequence[float], family: int
) -> pd.DataFrame:
    told = frame.assign(
        p_value=p_values, p_adjusted=holm(p_values, family), p_equivalent=holm(within, family)
    )
    keys = ["difference", "p_adjusted", "p_equivalent"]
    told["verdict"] = [verdict(*row) for row in told[keys].itertuples(index=False)]
    return told[list(COLUMNS)]
