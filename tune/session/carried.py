"""What a run made from another one carries with it, so that it needs that one no more."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_prep.group_columns import GroupColumns, read_group_columns
from data_prep.reader import ImageDataset
from data_prep.rejections import Rejections
from fairsweep.durable import replaced
from models.file_hash import content_hash
from tune.run.directory import GROUPS_FILE, INITIAL_FILE


@dataclass(frozen=True, kw_only=True)
class Carried:
    """Files that are copied into a new run directory, and where it comes from."""

    origin: Mapping[str, str] | None = None
    """``run`` and ``trial_id`` of the training that is repeated in another way."""
    initial: Path | None = None
    """Checkpoint whose weights are the first ones."""
    groups: Path | None = None
    """CSV whose columns are joined to the dataset's."""

    @property
    def hashes(self) -> dict[str, str]:
        """The hyperparameters that stand for the files, so that each trial's id knows them."""
        files = {"initial": self.initial, "groups": self.groups}
        return {name: content_hash(path) for name, path in files.items() if path is not None}

    def copy_into(self, run: Path) -> None:
        """Copy the files into a run directory."""
        for path, name in ((self.initial, INITIAL_FILE), (self.groups, GROUPS_FILE)):
            if path is not None:
                with replaced(run / name) as partial:
                    shutil.copyfile(path, partial)


def read_groups(path: Path, dataset: ImageDataset) -> GroupColumns:
    """Read a CSV with ``image_id`` and columns for the pictures of ``dataset``.

    Raises:
        MissingFileError: There is no such file.
        BadInputError: It breaks a rule of `read_group_columns`.
    """
    return read_group_columns(path, dataset.image_ids.tolist(), Rejections(may_skip=False))


def with_groups(dataset: ImageDataset, path: Path | None) -> ImageDataset:
    """Join the columns of a CSV, if there is one; errors as `read_groups`."""
    return dataset if path is None else dataset.joined(read_groups(path, dataset).columns)


def carried_groups(run: Path) -> Path | None:
    """Return the CSV with columns for the pictures that a run carries, if it does."""
    path = run / GROUPS_FILE
    return path if path.is_file() else None
