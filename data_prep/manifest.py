"""The manifest of a prepared dataset: facts about its content, in a file beside the pictures."""

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

from data_prep.pictures import Fit
from fairsweep.errors import MissingFileError, UserError

MANIFEST_FILE = "manifest.json"
IMAGES_FILE = "images.parquet"
REJECTED_FILE = "rejected.csv"
LABELS_FILE = "labels.csv"
"""Id, source, split and label of every picture, for use in a spreadsheet."""
COPIES_FILE = "copies_across_splits.csv"
"""Pictures whose copies are in another split of a given split; only written if there are any."""
SCHEMA_VERSION = 1
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 hash. Copies of a dataset are kept in folders of this name."""
FOLDS = 10
"""Number of folds in the file of every dataset."""


Scale = float | tuple[float, ...]
"""A mean or standard deviation of pixels on a scale of 0 to 1; in colour, one per channel."""


class Task(TypedDict):
    """The keyword arguments for building a network for a dataset."""

    classes: int
    """Number of classes."""
    image_shape: tuple[int, int]
    """Height and width of a picture, in pixels."""
    image_channels: int
    """1 for gray pictures, 3 for colour."""


@dataclass(frozen=True, kw_only=True)
class DatasetManifest:
    """Facts about a dataset directory that are needed without reading its pictures."""

    name: str
    """Name of the dataset; by default that of its directory."""
    classes: tuple[str, ...]
    """Class names, in the order of the label indices."""
    image_shape: tuple[int, int]
    """Height and width of every picture, in pixels."""
    mean: Scale
    """Mean of the training pictures' pixels."""
    std: Scale
    """Standard deviation of the training pictures' pixels."""
    counts: Mapping[str, Mapping[str, int]]
    """Rows per split (train, val, test) and class."""
    steps: tuple[Mapping[str, Any], ...]
    """The cleaning steps in order: ``step`` (what was done), ``removed`` and ``left`` (rows)."""
    label_rule: str
    """Name of the labelling rule."""
    split_method: str
    """``grouped`` (duplicates stay in one split), ``random`` or ``given`` (the source's own)."""
    split_seed: int
    """Seed of the split and of the folds."""
    duplicates: Mapping[str, int]
    """``groups``, ``surplus`` (copies beyond the first) and ``across_splits`` (val and test
    pictures with a copy in train)."""
    details: Mapping[str, Any]
    """Facts that only this kind of source has, such as vote distributions."""
    versions: Mapping[str, str]
    """Versions of Python and of the libraries that made the content."""
    fingerprint: str
    """Hash of the content, the same on every machine."""
    channels: int = 1
    """1 for gray pictures, 3 for colour."""
    fit: Fit = "stretch"
    """How pictures of other proportions were fitted: ``stretch``, ``crop`` or ``pad``."""
    schema_version: int = SCHEMA_VERSION
    """Version of the layout of the dataset directory."""

    @property
    def task(self) -> Task:
        """What a network must know about the dataset."""
        return Task(
            classes=len(self.classes), image_shape=self.image_shape, image_channels=self.channels
        )

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of one picture's pixels: (height, width), or (height, width, 3) in colour."""
        return self.image_shape if self.channels == 1 else (*self.image_shape, self.channels)

    @property
    def images(self) -> int:
        """Number of pictures in the dataset."""
        return sum(sum(of_class.values()) for of_class in self.counts.values())

    def write(self, directory: Path) -> None:
        """Write ``manifest.json`` into ``directory``."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> "DatasetManifest":
        """Read the manifest of the dataset in ``directory``.

        Raises:
            MissingFileError: There is no dataset in the directory.
            UserError: The file is not a manifest, or has another schema version.
        """
        path = directory / MANIFEST_FILE
        if not path.is_file():
            raise MissingFileError(
                f"{directory} is not a prepared dataset (no {MANIFEST_FILE}); "
                "make one with `python -m data_prep`, as docs/start.md shows"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = values["schema_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not a dataset manifest: {error}") from error
        if version != SCHEMA_VERSION:
            raise UserError(
                f"{path} has schema version {version}, but this program reads {SCHEMA_VERSION}; "
                "prepare the dataset again"
            )
        # Fields that were added later have a default, and older manifests lack them.
        required = {field.name for field in fields(cls) if field.default is MISSING}
        odd = (required - values.keys()) | (values.keys() - {field.name for field in fields(cls)})
        if odd:
            raise UserError(
                f"{path} is not a dataset manifest: {', '.join(sorted(odd))} missing or unknown; "
                "prepare the dataset again"
            )
        if not _FINGERPRINT.fullmatch(str(values["fingerprint"])):
            raise UserError(
                f"{path} has the fingerprint {str(values['fingerprint'])[:80]!r}, but it must be a "
                "hash of 64 hexadecimal digits; prepare the dataset again"
            )
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DatasetManifest":
        """Make a manifest from the values of `asdict`, even after they were stored as JSON."""
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})
