"""Chooses which trained models to average, by their predictions on validation pictures.

Both `tune` and `analysis` use this, so the table shows the ensemble that `tune test` measures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fairsweep.errors import UserError
from tune.run.incumbent import Training
from tune.run.tables import read_predictions
from tune.run.trial import Status

METRIC = "val_accuracy"
"""The objective that models are chosen by."""
STEPS = 10
"""Maximum number of models in an ensemble, with repetitions."""
BEST = 10
"""An ensemble is chosen among this many best models, whose weights a run keeps."""
MOST_CANDIDATES = 50
"""Maximum number of best trials that are read. A trial that is worse than fifty others is hardly
ever among the ten best on a draw of pictures."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Models that an ensemble may be chosen from, the best one first."""

    trial_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """Ids of the n validation pictures, sorted."""
    labels: npt.NDArray[np.int64]
    """(n,) index of the true class of each picture."""
    probabilities: Floats
    """(M, n, classes) of each model."""
    missing: int
    """Number of completed trials without predictions of these pictures."""

    def right(self, members: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return (n,) whether the mean of ``members`` (M,), how often each counts, is right."""
        total = np.tensordot(members.astype(np.float32), self.probabilities, axes=1)
        return np.asarray(total.argmax(axis=1) == self.labels)


def read_candidates(run: Path, trainings: Iterable[Training], metric: str) -> Candidates:
    """Read the validation predictions of the best completed trials.

    Args:
        run: The run directory.
        trainings: All trials of the run.
        metric: Metric of the run's objective.

    Raises:
        UserError: The objective is not ``METRIC``; the trials have different folds; or fewer than
            two completed trials have predictions of the same pictures.
    """
    if metric != METRIC:
        raise UserError(f"an ensemble is chosen by right answers, but the objective is {metric}")
    completed = [t for t in trainings if t.status is Status.COMPLETED and t.score == t.score]
    if len({training.fold for training in completed}) > 1:
        raise UserError("an ensemble needs the same validation pictures, but trials have folds")
    completed.sort(key=lambda training: (-training.score, training.number))
    read: list[_Predictions] = []
    missing = 0
    for training in completed[:MOST_CANDIDATES]:
        found = _read(run, training.trial_id)
        if found is None or (read and found.image_ids != read[0].image_ids):
            missing += 1
        else:
            read.append(found)
    if len(read) < 2:
        raise UserError(
            "an ensemble needs two completed trials with validation predictions, but "
            f"{len(read) or 'none'} of {len(completed)} {'has' if len(read) == 1 else 'have'} them"
        )
    return Candidates(
        trial_ids=tuple(found.trial_id for found in read),
        image_ids=read[0].image_ids,
        labels=read[0].labels,
        probabilities=np.stack([found.probabilities for found in read]),
        missing=missing,
    )


def choose(candidates: Candidates, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Choose an ensemble on each draw of pictures.

    Greedy forward selection with replacement: Caruana, Niculescu-Mizil, Crew and Ksikes (2004),
    "Ensemble Selection from Libraries of Models", ICML, section 2. From the ``BEST`` most accurate
    models, the one that makes the mean of the probabilities most accurate is added ``STEPS``
    times; the first of the best ensembles on the way is returned. The better model comes first in
    case of ties.

    Args:
        candidates: M models on n pictures.
        counts: (draws, n) how often each picture is drawn.

    Returns:
        (draws, M) how often each model is in the ensemble of a draw.
    """
    weights, draws = counts.astype(np.float32), np.arange(len(counts))
    single = weights @ _right_with(candidates, np.zeros(len(candidates.trial_ids), int)).T
    order = np.argsort(-single, axis=1, kind="stable")[:, :BEST]
    allowed = np.zeros(single.shape, bool)
    np.put_along_axis(allowed, order, True, axis=1)
    members = np.zeros(single.shape, np.int64)
    best, most = members.copy(), np.full(len(draws), -1.0)
    for _ in range(STEPS):
        told = _with_each(candidates, members, allowed, weights)
        added = told.argmax(axis=1)
        members[draws, added] += 1
        better = told[draws, added] > most
        best[better], most[better] = members[better], told[draws, added][better]
    return best


def chosen_on_all(candidates: Candidates) -> dict[str, int]:
    """Choose the ensemble on all pictures; return trial id → how often, most often first."""
    everything = np.ones((1, len(candidates.labels)), np.int64)
    times = choose(candidates, everything)[0]
    order = np.argsort(-times, kind="stable")
    return {candidates.trial_ids[row]: int(times[row]) for row in order if times[row]}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Predictions:
    trial_id: str
    image_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probabilities: Floats


def _read(run: Path, trial_id: str) -> _Predictions | None:
    table = read_predictions(run, trial_id)
    if table is None:
        return None
    table = table.filter(np.asarray(table["split"]) == "val").sort_by("image_id").combine_chunks()
    if not len(table):
        return None
    shares = table["probabilities"].combine_chunks().flatten().to_numpy()
    return _Predictions(
        trial_id=trial_id,
        image_ids=tuple(table["image_id"].to_pylist()),
        labels=table["label"].to_numpy().astype(np.int64),
        probabilities=shares.reshape(len(table), -1).astype(np.float32),
    )


def _with_each(
    candidates: Candidates,
    members: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.bool_],
    weights: Floats,
) -> Floats:
    """Return (draws, M) right answers on the drawn pictures if a model is added to ``members``.

    Draws with the same members are counted together, of which there are many at first.
    """
    told = np.full(members.shape, -np.inf, np.float32)
    distinct, of = np.unique(members, axis=0, return_inverse=True)
    for number, start in enumerate(distinct):
        rows = np.flatnonzero(of.reshape(-1) == number)
        models = np.flatnonzero(allowed[rows].any(axis=0))
        right = _right_with(candidates, start, models)
        told[np.ix_(rows, models)] = weights[rows] @ right.T
    return np.where(allowed, told, np.float32(-np.inf))


def _right_with(
    candidates: Candidates,
    start: npt.NDArray[np.int64],
    models: Sequence[int] | npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Return (models, n) which pictures are right if one of ``models`` is added to ``start``."""
    used = np.flatnonzero(start)
    times = start[used].astype(np.float32)
    total = np.tensordot(times, candidates.probabilities[used], axes=1)
    rows = range(len(candidates.trial_ids)) if models is None else models
    right = [
        (total + candidates.probabilities[row]).argmax(axis=1) == candidates.labels for row in rows
    ]
    return np.asarray(right, np.float32)
