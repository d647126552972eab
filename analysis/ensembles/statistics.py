"""Estimates the accuracy of an ensemble of a run's best models, corrected for choosing it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.run.clusters import effective_of, read_clusters
from analysis.run.predictions import read_right
from analysis.run.run_data import RunData
from analysis.run.trials import trainings
from analysis.selection.statistics import CorrectedAccuracy, openings_of_test
from analysis.statistics.bootstrap import picture_counts
from analysis.statistics.clusters import Clusters, singles
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.intervals import wilson
from fairsweep.errors import UserError
from tune.run.directory import ENSEMBLE
from tune.run.ensemble import Candidates, choose, chosen_on_all, read_candidates
from tune.run.tables import ensemble_members, read_predictions

DRAWS = 200
"""Draws of pictures, on each of which an ensemble is chosen anew."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """The ensemble of a run, and what is known about its accuracy."""

    members: Mapping[str, int]
    """Trial id → how often it is in the ensemble, most often first."""
    frame: pd.DataFrame
    """A row per available estimate, see `ensemble`."""
    gain: CorrectedAccuracy | None
    """Accuracy above that of the best single model, both chosen on the same draws of pictures."""
    missing: int
    """Number of completed trials without predictions, which cannot be members."""
    stale: bool
    """Whether the test split was opened only for an ensemble of other members."""


@lru_cache(maxsize=1)  # the table and the summary ask
def ensemble(run: RunData) -> Ensemble:
    """Choose the ensemble of a run (`tune.run.ensemble.choose`) and estimate its accuracy.

    Returns:
        In ``frame``: ``estimate`` (``as chosen``, ``corrected``, ``test``), ``accuracy``,
        ``accuracy_low``, ``accuracy_high`` (95 %; Wilson's, or bootstrap percentiles for
        ``corrected``), ``n`` (pictures), ``models`` (number of models that it was chosen from on
        these pictures; 0 on test) and ``openings`` (how often the run's test split was opened; 0
        on validation).

    Raises:
        NotKnownError: The run has no predictions, other objectives or folds.
    """
    try:
        found = read_candidates(run.path, trainings(run), run.info.objective["metric"])
    except UserError as error:
        raise NotKnownError(str(error)) from None
    members = chosen_on_all(found)
    times = np.array([members.get(trial_id, 0) for trial_id in found.trial_ids])
    right = pd.Series(found.right(times), index=pd.Index(found.image_ids))
    rows = [_measured("as chosen", run, right, len(found.trial_ids))]
    clusters = read_clusters(run, right.index)
    corrected = None
    if len(clusters.sizes) > 1:  # One cluster leaves no picture out.
        corrected = corrected_for_choosing(found, clusters=clusters)
        rows.append(_row("corrected", corrected.accuracy, len(right), len(found.trial_ids)))
    tested = _test(run, members)
    return Ensemble(
        members=members,
        frame=pd.DataFrame([*rows, *([tested] if tested else [])]),
        gain=None if corrected is None else corrected.gain,
        missing=found.missing,
        stale=tested is None and openings_of_test(run)[ENSEMBLE] > 0,
    )


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Accuracies of what was chosen on drawn pictures, on the pictures that were not drawn."""

    accuracy: CorrectedAccuracy
    gain: CorrectedAccuracy
    """Of the ensemble over the best single model."""


def corrected_for_choosing(
    candidates: Candidates,
    seed: int = 0,
    draws: int = DRAWS,
    *,
    clusters: Clusters | None = None,
) -> Corrected:
    """Estimate the accuracy of the ensemble that is chosen among several models.

    As `analysis.selection.statistics.corrected_for_selection` (Tsamardinos et al. 2018, algorithm
    4), with the choice of an ensemble in place of the best model: each draw of pictures (of whole
    clusters) takes its own best models, chooses the ensemble among them, and evaluates it on the
    pictures that were not drawn.

    Args:
        candidates: The models; the best ones are taken on each draw.
        seed: Seed of the draws.
        draws: Number of draws.
        clusters: Clusters of the pictures, at least two; None if all are independent.
    """
    clusters = clusters or singles(len(candidates.labels))
    single = _right_alone(candidates)
    judged = [
        pair
        for counts in picture_counts(len(clusters.sizes), draws, np.random.default_rng(seed))
        for pair in _judged(candidates, single, counts[(counts == 0).any(axis=1)][:, clusters.of])
    ]
    together, alone = np.array(judged).T
    return Corrected(accuracy=_summary(together), gain=_summary(together - alone))


def _judged(
    candidates: Candidates, single: npt.NDArray[np.bool_], counts: npt.NDArray[np.int64]
) -> Iterator[tuple[float, float]]:
    """Yield the accuracies of each draw's ensemble and best model on the pictures left out."""
    best = (counts.astype(np.float32) @ single.T.astype(np.float32)).argmax(axis=1)
    known: dict[bytes, npt.NDArray[np.bool_]] = {}
    for times, first, drawn in zip(choose(candidates, counts), best, counts, strict=True):
        if times.tobytes() not in known:
            known[times.tobytes()] = candidates.right(times)
        out = drawn == 0
        yield float(known[times.tobytes()][out].mean()), float(single[first][out].mean())


def _right_alone(candidates: Candidates) -> npt.NDArray[np.bool_]:
    return np.asarray(candidates.probabilities.argmax(axis=2) == candidates.labels)


def _summary(values: npt.NDArray[np.float64]) -> CorrectedAccuracy:
    low, high = np.quantile(values, [0.025, 0.975])
    return CorrectedAccuracy(accuracy=float(values.mean()), low=float(low), high=float(high))


def _measured(
    name: str, run: RunData, right: "pd.Series[bool]", models: int, openings: int = 0
) -> dict[str, object]:
    accuracy = float(right.mean())
    low, high = wilson(accuracy, effective_of(run, right))
    measured = CorrectedAccuracy(accuracy=accuracy, low=low, high=high)
    return {**_row(name, measured, len(right), models), "openings": openings}


def _row(name: str, found: CorrectedAccuracy, n: int, models: int) -> dict[str, object]:
    interval = {"accuracy_low": found.low, "accuracy_high": found.high}
    told = {"estimate": name, "accuracy": found.accuracy, **interval}
    return {**told, "n": n, "models": models, "openings": 0}


def _test(run: RunData, members: Mapping[str, int]) -> dict[str, object] | None:
    """Return the row of the test split; None if it was not opened for these members."""
    openings = openings_of_test(run)
    table = read_predictions(run.path, ENSEMBLE) if openings[ENSEMBLE] else None
    right = read_right(run, ENSEMBLE, "test")
    if table is None or right is None or ensemble_members(table) != members:
        return None
    return _measured("test", run, right, 0, sum(openings.values()))
