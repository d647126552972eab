"""What a prepared dataset says of itself: the manifest beside its pictures."""

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
"""Id, source, split and label of every picture, for people with a spreadsheet."""
COPIES_FILE = "copies_across_splits.csv"
"""Pictures that a given split parts from their copies; only where there are any."""
SCHEMA_VERSION = 1
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 hash. Copies of a dataset are kept in folders of this name."""
FOLDS = 10
"""Folds that the file of every dataset holds."""


Scale = float | tuple[float, ...]
"""A mean or deviation of pixels on a scale of 0 to 1; of colour one for red, green and blue."""


class Task(TypedDict):
    """The keyword arguments by which a network is built for a dataset."""

    classes: int
    """Width of the logits."""
    image_shape: tuple[int, int]
    """Height and width of a picture, in pixels."""
    image_channels: int
    """1 for gray pictures, 3 for colour."""


@dataclass(frozen=True, kw_only=True)
class DatasetManifest:
    """The facts about one dataset directory that its users need before they read a picture."""

    name: str
    """Name of the dataset, that of its directory unless the user gives one."""
    classes: tuple[str, ...]
    """Class names; a label's index is its place here."""
    image_shape: tuple[int, int]
    """Height and width of every picture, in pixels."""
    mean: Scale
    """Mean of the training pictures' pixels."""
    std: Scale
    """Standard deviation of the training pictures' pixels; as ``mean``."""
    counts: Mapping[str, Mapping[str, int]]
    """Rows per split (train, val, test) and class."""
    steps: tuple[Mapping[str, Any], ...]
    """The cleaning steps in order: ``step`` (what was done), ``removed`` and ``left`` (rows)."""
    label_rule: str
    """Name of the rule that gave each picture its label."""
    split_method: str
    """``grouped`` (duplicates stay on one side), ``random`` or ``given`` (the source's own)."""
    split_seed: int
    """Seed of the split and of the folds."""
    duplicates: Mapping[str, int]
    """``groups``, ``surplus`` (copies beyond the first) and ``across_splits`` (val and test
    pictures with a copy in train)."""
    details: Mapping[str, Any]
    """What only this kind of source has, such as vote distributions."""
    versions: Mapping[str, str]
    """Versions of Python and of the libraries that shaped the content."""
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
        """What a network must know of the dataset."""
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
            MissingFileError: There is no dataset there.
            UserError: The manifest is of another schema version, or no manifest at all.
        """
        path = directory / MANIFEST_FILE
        if not path.is_file():
            raise MissingFileError(
                f"{directory} is not a prepared dataset (no {MANIFEST_FILE}); "
                "make one with `python -m data_prep`"
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
        # A field that came later has a default, and older manifests lack it.
        required = {field.name for field in fields(cls) if field.default is MISSING}
        odd = (required - values.keys()) | (values.keys() - {field.name for field in fields(cls)})
        if odd:
            raise UserError(
                f"{path} is not a dataset manifest: {', '.join(sorted(odd))} missing or unknown; "
                "prepare the dataset again"
            )
        if not _FINGERPRINT.fullmatch(str(values["fingerprint"])):
            raise UserError(
                f"{path} has the fingerprint {str(values['fingerprint'])[:80]!r}, but a hash "
                "of 64 digits and letters from a to f is meant; prepare the dataset again"
            )
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DatasetManifest":
        """Make a manifest from the values of `asdict`, also after they were JSON."""
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})
