"""The data of a run: a dataset of ours, or any path that the user's own training code reads."""

from pathlib import Path

from data_prep.fingerprint import check_content
from data_prep.manifest import MANIFEST_FILE
from data_prep.reader import ImageDataset
from fairsweep.errors import MissingFileError
from fairsweep.urls import is_url
from tune.session.run_directory import find_dataset, read_provenance
from tune.session.store import is_staged, local_copy, open_dataset
from tune.sweep.spec import SweepSpec


def open_data(spec: SweepSpec) -> ImageDataset | None:
    """Read the dataset of a new run; None if its own training code reads other data, or none.

    Raises:
        MissingFileError: There is nothing at the path.
        UserError: The content of the dataset does not match its fingerprint.
    """
    if spec.train is not None and not _is_dataset(spec.data):
        if spec.data and not is_url(spec.data) and not Path(spec.data).exists():
            place = Path(spec.data).absolute()
            raise MissingFileError(f"data: there is nothing at {place}; correct the path")
        return None
    dataset = open_dataset(spec.data)
    check_content(dataset)
    return dataset


def find_data(run: Path, spec: SweepSpec, data: str | Path | None) -> ImageDataset | None:
    """Read the dataset of a run, from ``data`` if it was moved; None if it has none of ours.

    Raises:
        UserError: As `find_dataset`.
    """
    if spec.train is not None and read_provenance(run)["dataset"]["fingerprint"] is None:
        return None
    return find_dataset(run, data)


def fingerprint_of(spec: SweepSpec, dataset: ImageDataset | None) -> str:
    """Return what stands for the data in trial ids.

    Of other data than a dataset of ours, this is the path in the spec, never the content.
    """
    return f"path {spec.data}" if dataset is None else dataset.manifest.fingerprint


def classes_of(dataset: ImageDataset | None) -> tuple[str, ...]:
    """Return the class names; empty if they are not known."""
    return () if dataset is None else tuple(dataset.manifest.classes)


def path_on_node(place: str | None, fingerprint: str | None) -> str | None:
    """Return the path of the data on this node, for own training code.

    Args:
        place: Path or URL; None if the spec names no data.
        fingerprint: That of a dataset of ours; None for other data.
    """
    if place is None or fingerprint is None or not is_staged(place):
        return place
    return str(local_copy(place))


def _is_dataset(place: str) -> bool:
    if not is_url(place):
        return bool(place) and (Path(place) / MANIFEST_FILE).is_file()
    try:
        open_dataset(place)
    except MissingFileError:
        return False
    return True
