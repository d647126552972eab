"""Files copied into a derived run so that it no longer depends on its source."""

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
    """Files that are copied into a new run directory, and the origin of the run."""

    origin: Mapping[str, str] | None = None
    """``run`` and ``trial_id`` of the trial that is retrained."""
    initial: Path | None = None
    """Checkpoint with the initial weights."""
    groups: Path | None = None
    """CSV whose columns are joined to the dataset's."""

    @property
    def hashes(self) -> dict[str, str]:
        """Hash of each file under its name in `TrainConfig`, so that trial ids depend on it."""
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
        BadInputError: The file breaks a rule of `read_group_columns`.
    """
    return read_group_columns(path, dataset.image_ids.tolist(), Rejections(may_skip=False))


def with_groups(dataset: ImageDataset, path: Path | None) -> ImageDataset:
    """Join the columns of a CSV, if ``path`` is given; raises the errors of `read_groups`."""
    return dataset if path is None else dataset.joined(read_groups(path, dataset).columns)


def carried_groups(run: Path) -> Path | None:
    """Return the path of a run's own CSV with columns for the pictures; None without one."""
    path = run / GROUPS_FILE
    return path if path.is_file() else None
