"""Recreates the files that describe a run, after a power cut or a killed start."""

from collections.abc import Iterator
from pathlib import Path

from data_prep.fingerprint import check_content
from data_prep.manifest import DatasetManifest
from models.config import TrainConfig
from tune.run.directory import LEDGER_FILE, PROVENANCE_FILE, SPEC_FILE, RunError
from tune.run.events import TrialProposed
from tune.run.ledger import read_events
from tune.session.run_directory import (
    has_provenance,
    has_spec,
    read_spec,
    write_provenance,
    write_spec,
)
from tune.session.store import open_dataset


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
        dataset = open_dataset(data or spec.data)
        check_content(dataset)
        _check_trials(run, dataset.manifest)
        found = spec.model_copy(update={"data": dataset.place})
        write_provenance(run, found, dataset.manifest)
        yield (
            f"{PROVENANCE_FILE} was missing or damaged and is written again, as of today: the "
            "versions and the machine that the run began with are lost"
        )


def _check_trials(run: Path, manifest: DatasetManifest) -> None:
    """Check that the trials' ids belong to this dataset."""
    events = read_events(run) if (run / LEDGER_FILE).is_file() else []
    for event in events:
        if not isinstance(event, TrialProposed):
            continue
        if TrainConfig.create(event.config).trial_id(manifest.fingerprint) != event.trial:
            raise RunError(
                f"{run / PROVENANCE_FILE} is damaged, and the trials of the run were trained on "
                f"another dataset than {manifest.name!r}; give --data the dataset that it was made "
                "with"
            )
        return
