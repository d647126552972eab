"""`tune test`: measure one trial on the test split; each opening is written to the ledger."""

import argparse
from pathlib import Path

from tune.commands.options import add_data, add_run, add_trial, add_trust
from tune.run.directory import RunError, best_weights
from tune.run.lease import hold
from tune.run.ledger import Ledger, read_events
from tune.run.lookup import find_trial
from tune.session.code import open_code, refuse_own
from tune.session.run_directory import find_dataset, read_spec
from tune.sweep.sweep import Sweep

EXAMPLE = "runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run, the trial and the path of the dataset."""
    add_run(command)
    add_trial(command)
    add_data(command)
    add_trust(command)


def run(parsed: argparse.Namespace) -> int:
    """Measure the trial, print the result, and return 0."""
    line = open_test(
        parsed.run, trial_id=parsed.trial, data=parsed.data, trust_code=parsed.trust_code
    )
    print(line)
    return 0


def open_test(
    run: Path,
    *,
    trial_id: str | None = None,
    data: str | Path | None = None,
    trust_code: bool = False,
) -> str:
    """Measure a trial on the test split, record it in the ledger, and return the result in a line.

    Args:
        run: The run directory.
        trial_id: The trial's id, number or name; by default the incumbent.
        data: Path of the dataset, if it was moved.
        trust_code: Whether own code of the run may be imported that the user has not run before.

    Raises:
        RunError: As `resume`; or the trial is unknown or its weights were not kept.
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
        trial = find_trial(run, sweep.trials.values(), trial_id) if trial_id else sweep.incumbent
        if trial is None:
            raise RunError(f"{run} has no trained trial yet")
        if not best_weights(run, trial.id).is_file():
            raise RunError(
                f"the best weights of trial {trial.id} are not kept; only those of the best trials "
                "are, unless the spec says keep: all"
            )
        # Imported late, because torch takes seconds to import.
        from tune.execution.predictions import predict_from_best

        sweep.open_test(trial.id)
        accuracy = predict_from_best(run, trial.id, dataset, "test")
    pictures, openings = len(dataset.rows("test")), len(sweep.openings)
    return (
        f"{trial.name} (trial {trial.id}): test accuracy {accuracy:.4f} on {pictures} pictures; "
        f"this run has opened the test split "
        f"{'once' if openings == 1 else f'{openings} times'}"
    )
