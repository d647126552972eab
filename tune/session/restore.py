"""Recreates the files that describe a run, after a power cut or a killed start."""

from collections.abc import Iterator
from pathlib import Path

from data_prep.reader import ImageDataset
from tune.run.directory import LEDGER_FILE, PROVENANCE_FILE, SPEC_FILE, RunError
from tune.run.events import TrialProposed
from tune.run.ledger import read_events
from tune.session.data import fingerprint_of, open_data
from tune.session.run_directory import (
    has_provenance,
    has_spec,
    read_spec,
    write_provenance,
    write_spec,
)
from tune.sweep.spec import SweepSpec


def restore(run: Path, data: str | Path | None) -> Iterator[str]:
    """Write a damaged ``spec.yaml`` or ``provenance.json`` again, and yield a line for each.

    Args:
        run: The run directory.
        data: Path or URL of the dataset, if it differs from that in the spec.

    Raises:
        RunError: ``run`` is not a run directory, or the dataset is not the one of its trials.
    """
    spec = read_spec(run)
    if not has_spec(run):
        write_spec(run, spec)
        yield f"{SPEC_FILE} was missing or damaged and is written again from the ledger"
    if not has_provenance(run):
        moved = spec if data is None else spec.model_copy(update={"data": str(data)})
        dataset = open_data(moved)
        _check_trials(run, spec, dataset)
        place = moved.data if dataset is None else dataset.place
        found = spec.model_copy(update={"data": place})
        write_provenance(run, found, dataset.manifest if dataset else None)
        yield (
            f"{PROVENANCE_FILE} was missing or damaged and is written again with the versions and "
            "the machine of today; those that the run began with are lost"
        )


def _check_trials(run: Path, spec: SweepSpec, dataset: ImageDataset | None) -> None:
    """Check that the trials' ids belong to this dataset."""
    events = read_events(run) if (run / LEDGER_FILE).is_file() else []
    for event in events:
        if not isinstance(event, TrialProposed):
            continue
        if spec.read_config(event.config).trial_id(fingerprint_of(spec, dataset)) != event.trial:
            name = spec.data if dataset is None else dataset.manifest.name
            raise RunError(
                f"{run / PROVENANCE_FILE} is damaged, and the trials of the run were trained on "
                f"another dataset than {name!r}; give --data the dataset that it was made with"
            )
        return
