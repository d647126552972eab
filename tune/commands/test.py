"""`tune test`: measure a trial or an ensemble on the test split, and write that to the ledger."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from data_prep.reader import ImageDataset
from tune.commands.options import add_data, add_run, add_trial, add_trust
from tune.run.directory import RunError, best_weights
from tune.run.ensemble import chosen_on_all, read_candidates
from tune.run.lease import hold
from tune.run.ledger import Ledger, read_events
from tune.run.lookup import find_trial
from tune.session.code import open_code, refuse_own
from tune.session.run_directory import find_dataset, read_spec
from tune.sweep.sweep import Sweep

EXAMPLE = "runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run, what is measured, and the path of the dataset."""
    add_run(command)
    measured = command.add_mutually_exclusive_group()
    add_trial(measured)
    measured.add_argument(
        "--ensemble",
        action="store_true",
        help="measure the ensemble that `analysis table --what ensemble` shows",
    )
    add_data(command)
    add_trust(command)


def run(parsed: argparse.Namespace) -> int:
    """Measure the trial or the ensemble, print the result, and return 0."""
    line = open_test(
        parsed.run,
        trial_id=parsed.trial,
        ensemble=parsed.ensemble,
        data=parsed.data,
        trust_code=parsed.trust_code,
    )
    print(line)
    return 0


def open_test(
    run: Path,
    *,
    trial_id: str | None = None,
    ensemble: bool = False,
    data: str | Path | None = None,
    trust_code: bool = False,
) -> str:
    """Measure on the test split, record it in the ledger, and return the result in a line.

    Args:
        run: The run directory.
        trial_id: The trial's id, number or name; by default the incumbent.
        ensemble: Whether to measure the ensemble instead of a trial.
        data: Path of the dataset, if it was moved.
        trust_code: Whether own code of the run may be imported that the user has not run before.

    Raises:
        RunError: As `resume`; or the trial is unknown or weights were not kept.
        UserError: The run has no ensemble; the message says why.
    """
    spec = read_spec(run)
    refuse_own(run, spec, "test")
    open_code(run, spec, trust_code=trust_code)
    dataset = find_dataset(run, data)
    with hold(run), Ledger(run) as ledger:
        sweep = Sweep(
            spec,
            fingerprint=dataset.manifest.fingerprint,
            commit=ledger.append,
            events=read_events(run),
        )
        if ensemble:
            told = _measure_ensemble(run, sweep, dataset)
        else:
            told = _measure_trial(run, sweep, dataset, trial_id)
    pictures, openings = len(dataset.rows("test")), len(sweep.openings)
    return (
        f"{told} on {pictures} pictures; this run has opened the test split "
        f"{'once' if openings == 1 else f'{openings} times'}"
    )


def _measure_trial(run: Path, sweep: Sweep, dataset: ImageDataset, trial_id: str | None) -> str:
    trial = find_trial(run, sweep.trials.values(), trial_id) if trial_id else sweep.incumbent
    if trial is None:
        raise RunError(f"{run} has no trained trial yet")
    _check_kept(run, [trial.id])
    # Imported late, because torch takes seconds to import.
    from tune.execution.predictions import predict_from_best

    sweep.open_test(trial.id)
    accuracy = predict_from_best(run, trial.id, dataset, "test")
    return f"{trial.name} (trial {trial.id}): test accuracy {accuracy:.4f}"


def _measure_ensemble(run: Path, sweep: Sweep, dataset: ImageDataset) -> str:
    found = read_candidates(run, sweep.trainings(), sweep.spec.objective.metric)
    members = chosen_on_all(found)
    _check_kept(run, members)
    from tune.execution.predictions import predict_ensemble

    listed = tuple(trial_id for trial_id, times in members.items() for _ in range(times))
    sweep.open_test(listed[0], ensemble=listed)
    accuracy = predict_ensemble(run, members, dataset, "test")
    told = ", ".join(f"{sweep.trials[member].name} ×{times}" for member, times in members.items())
    return f"ensemble of {len(members)} ({told}): test accuracy {accuracy:.4f}"


def _check_kept(run: Path, trial_ids: Iterable[str]) -> None:
    for trial_id in trial_ids:
        if not best_weights(run, trial_id).is_file():
            raise RunError(
                f"the best weights of trial {trial_id} are not kept; only those of the best trials "
                "are, unless the spec says keep: all"
            )
