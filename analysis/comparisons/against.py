"""Compares one configuration or model with each of the others, adjusted for their number."""

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
"""Columns of the frames in this module. A row compares another configuration or model with the
first: its ``id``; ``difference`` (its accuracy minus that of the first) with a simultaneous 95 %
interval; ``p_value``; ``p_adjusted`` (Holm); ``p_equivalent`` (Holm-adjusted p-value of
`analysis.statistics.verdicts.equivalence`); ``verdict`` about the row, relative to the first;
``detectable`` (smallest difference that would be significant with 80 % probability)."""


def compare_configurations(
    trainings: Trainings, first: str, margin: float = MARGIN
) -> pd.DataFrame:
    """Compare all other configurations with ``first`` over their replicates, best ones first.

    Pictures are paired (`analysis.statistics.trainings.contrast`). Replicates are not, because the
    same seed gives unrelated weights in networks of different shapes. Adjusted for all pairs
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
    """Compare all other trained models with ``first``, by McNemar's test and a paired bootstrap.

    Args:
        correct: A row per trial, a column per picture: whether it was classified correctly.
        first: Trial id of the model that the others are compared with.
        family: Number of possible comparisons to adjust for.
        margin: Smaller differences count as equivalent.
        clusters: Clusters of the pictures; None if all are independent.

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
    """Test differences by t tests, and return a frame of `COLUMNS`.

    Args:
        estimates: Id → difference from the first.
        family: Number of possible comparisons to adjust for.
        margin: Smaller differences count as equivalent.
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
    """Estimate the difference of two trained models, with an error that suits few pictures too.

    The variance is that of the score test (under equal accuracies), plus one additional picture, or
    cluster of pictures, that the models answer differently.
    """
    pair = compare_models(correct.loc[first].to_numpy(), correct.loc[second].to_numpy(), clusters)
    count = len(clusters.sizes)
    of_equals = pair.estimate.standard_error**2 + (pair.difference**2 + 1 / count) / count
    return Estimate(value=pair.difference, standard_error=sqrt(of_equals))


def folds_apart(table: pd.DataFrame, ratio: float, first: str, second: str) -> Estimate:
    """Estimate a difference over shared folds; for fewer than two of them the error is missing."""
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
