"""Finds the dataset that a run was trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.run.run_data import RunData
from fairsweep.errors import UserError

IMAGES_FILE = "images.parquet"
MANIFEST_FILE = "manifest.json"
COPIES_FILE = "copies_across_splits.csv"


class DatasetLeftOutError(UserError):
    """The dataset of a run cannot be shown. The message says why."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset directory and its manifest."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels."""
        return list(self.manifest["classes"])

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Split → class, in the order of the labels → number of pictures."""
        counts = self.manifest["counts"]
        return {
            split: {name: int(of_class.get(name, 0)) for name in self.classes}
            for split, of_class in counts.items()
        }

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of one picture's pixels: (height, width), or (height, width, 3) in colour."""
        channels = self.manifest.get("channels", 1)
        return self.shape if channels == 1 else (*self.shape, channels)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture, in pixels."""
        height, width = self.manifest["image_shape"]
        return height, width


def find_dataset(run: RunData) -> Dataset:
    """Find the dataset that ``run`` was trained on, in ``run.data`` if that is given.

    Raises:
        DatasetLeftOutError: The dataset is missing or has changed since the run.
    """
    known = run.provenance.get("dataset") or {}
    if not run.knows_dataset:
        raise DatasetLeftOutError("the run's provenance.json does not name a dataset")
    path = run.data or Path(known["path"])
    if not (path / MANIFEST_FILE).is_file() or not (path / IMAGES_FILE).is_file():
        raise DatasetLeftOutError(f"the dataset is no longer at {path} (give its path with --data)")
    manifest = json.loads((path / MANIFEST_FILE).read_text("utf-8"))
    if manifest.get("fingerprint") != known.get("fingerprint"):
        raise DatasetLeftOutError(f"{path} has changed since the run (its fingerprint differs)")
    return Dataset(path=path, manifest=manifest)
