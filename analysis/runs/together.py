"""Puts the fair trainings of several runs on one dataset together, as if of one sweep."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.run.run_data import RunData, read_probabilities
from analysis.run.trainings import has_folds
from analysis.run.trials import fairly_trained
from fairsweep.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class Together:
    """Runs that can be compared, and those that cannot."""

    runs: tuple[RunData, ...]
    """The runs that can be compared with the first one, and it."""
    names: tuple[str, ...]
    """Their names, all different."""
    apart: Mapping[str, str]
    """Name of each other run → why it cannot be compared with the first one."""
    merged: RunData
    """All fair trainings of ``runs``. Column ``run`` of its trials names the runs of each."""
    shared: int
    """Number of trainings that several runs have, which count once."""


def put_together(runs: Sequence[RunData]) -> Together:
    """Put together the runs that can be compared with the first one.

    Raises:
        UserError: A run is given twice, or no other run can be compared with the first one.
    """
    names = _names(runs)
    first = runs[0]
    reasons = {name: _apart(run, first) for name, run in zip(names, runs, strict=True)}
    kept = [(run, name) for run, name in zip(runs, names, strict=True) if not reasons[name]]
    apart = {name: reason for name, reason in reasons.items() if reason}
    if reasons[names[0]] or len(kept) < 2:
        told = "; ".join(f"{name}: {reason}" for name, reason in apart.items())
        raise UserError(f"no run can be compared with {names[0]} ({told}); give runs that can")
    chosen = tuple(run for run, _ in kept)
    merged, shared = _merge(chosen, [name for _, name in kept])
    return Together(
        runs=chosen, names=tuple(n for _, n in kept), apart=apart, merged=merged, shared=shared
    )


def _names(runs: Sequence[RunData]) -> list[str]:
    """Return the names of the runs; the paths of those that share one."""
    places = Counter(run.path.resolve() for run in runs)
    place, count = places.most_common(1)[0]
    if count > 1:
        raise UserError(f"{place} is given {count} times; give each run once")
    named = Counter(run.name for run in runs)
    return [run.name if named[run.name] == 1 else str(run.path) for run in runs]


def fingerprint_of(run: RunData) -> str:
    """Return the fingerprint of a run's dataset; empty if it is not known."""
    return str((run.provenance.get("dataset") or {}).get("fingerprint") or "")


def _apart(run: RunData, first: RunData) -> str:
    """Return why a run cannot be compared with the first one; empty if it can."""
    own, others = fingerprint_of(run), fingerprint_of(first)
    if not own:
        return "the fingerprint of its dataset is not known"
    if own != others:
        return f"another dataset (fingerprint {own[:12]}, not {others[:12]})"
    if (run.metric.name, run.metric.sign) != (first.metric.name, first.metric.sign):
        return f"its tables report {run.metric.name}, not {first.metric.name}"
    if has_folds(run) != has_folds(first):
        return "it was trained on folds" if has_folds(run) else "it was not trained on folds"
    if run.completed.empty:
        return "no trial of it was trained to the end"
    return ""


def _merge(runs: Sequence[RunData], names: Sequence[str]) -> tuple[RunData, int]:
    frames = [fairly_trained(run).assign(run=name) for run, name in zip(runs, names, strict=True)]
    trials = pd.concat(frames, ignore_index=True)
    of = trials.groupby("trial_id", sort=False)["run"]
    told = of.agg(lambda names: ", ".join(dict.fromkeys(names)))
    # Longer first: a sweep that was copied and extended has the same trials with more epochs.
    longest = trials.sort_values("epochs_trained", ascending=False, kind="stable")
    kept = longest.drop_duplicates("trial_id").sort_index()
    kept = _with_own_ids(kept.assign(run=kept["trial_id"].map(told)))
    first = runs[0]
    merged = replace(
        first,
        # All of them are fair, so none is told apart by the phase in which it was trained.
        trials=kept.assign(phase="search", number=range(1, len(kept) + 1)),
        measurements=pd.concat([run.measurements for run in runs], ignore_index=True),
        answers=_Answers(runs),
    )
    return merged, len(trials) - len(kept)


def _with_own_ids(trials: pd.DataFrame) -> pd.DataFrame:
    """Tell configurations apart that have one id but were trained for different numbers of epochs.

    An id has no epochs if the learning rate does not depend on them.
    """
    epochs = trials["epochs_trained"].astype(str)
    differs = trials.groupby("configuration_id")["epochs_trained"].transform("nunique") > 1
    words = trials["name"].where(~differs, trials["name"] + " (" + epochs + " epochs)")
    ids = trials["configuration_id"]
    return trials.assign(
        name=words, configuration_id=ids.where(~differs, ids + "-" + epochs).astype(str)
    )


class _Answers(Mapping[str, pd.DataFrame]):
    """Trial id → its validation predictions, read from the run that has them when asked for."""

    def __init__(self, runs: Sequence[RunData]) -> None:
        # The run that trained a trial longest is the last that names it.
        ordered = [(row, run) for run in runs for row in _epochs_of(run)]
        ordered.sort(key=lambda pair: pair[0][1])
        self._of = {trial_id: run for (trial_id, _), run in ordered}

    def __getitem__(self, trial_id: str) -> pd.DataFrame:
        found = read_probabilities(self._of[trial_id], trial_id)
        if found is None:
            raise KeyError(trial_id)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)


def _epochs_of(run: RunData) -> Iterator[tuple[str, int]]:
    known = run.trials[run.trials["epochs_trained"].notna()]
    for trial_id, epochs in zip(known["trial_id"], known["epochs_trained"], strict=True):
        yield str(trial_id), int(epochs)
