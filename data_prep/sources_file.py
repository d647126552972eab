"""The sources file: which datasets and class folders `data_prep folders` merges, and how."""

from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)

from fairsweep.errors import MissingFileError, UserError

MAX_SIDE = 1024
"""Longest side of a dataset's pictures, in pixels."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """One dataset, folder or archive to merge."""

    name: str = Field(pattern=r"^[\w.-]+$")
    """Stands in the column ``source``, and begins the ids of pictures in class folders."""
    dataset: Path | None = None
    """Directory of a prepared dataset."""
    path: Path | None = None
    """Folder or archive with class folders anywhere below it."""
    map: dict[str, str | None] | None = None
    """Their class → ours, or null for one that is left out knowingly; None: names as ours."""
    trim_margin: bool = False
    """Take away the frame of one colour around each picture."""
    limit: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """Our class → the most pictures to take of it, drawn at random."""
    expect: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """Their class, or ``subset/class`` → how many pictures a complete copy holds."""

    @field_validator("map", "limit", "expect", mode="before")
    @classmethod
    def _names_are_text(cls, value: Any) -> Any:
        """Take a class folder named 6 for the text that it is, though YAML reads a number."""
        return {str(key): one for key, one in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if (self.dataset is None) == (self.path is None):
            raise UserError("give either dataset (a prepared one) or path (class folders)")
        if self.dataset is not None and self.trim_margin:
            raise UserError("trim_margin goes with path; a prepared dataset is taken as it is")
        return self

    def class_of(self, theirs: str, classes: tuple[str, ...]) -> str | None:
        """Return our class for one of theirs, or None where it is left out."""
        if self.map is None:
            return theirs if theirs in classes else None
        return self.map.get(theirs)


class SourcesFile(_Part):
    """What to merge into one dataset; where duplicates disagree, the first source wins."""

    name: str | None = None
    classes: tuple[str, ...] = Field(min_length=2)
    """Ours, in order."""
    image_size: int = Field(default=48, ge=8, le=MAX_SIDE)
    """Height and width of every picture, in pixels."""
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_fit(self) -> "SourcesFile":
        for what, names in (("classes", self.classes), ("sources", [s.name for s in self.sources])):
            name, count = Counter(names).most_common(1)[0]
            if count > 1:
                raise UserError(f"{what} names {name!r} twice; give each a name of its own")
        for source in self.sources:
            for ours in (*(source.map or {}).values(), *source.limit):
                if ours is not None and ours not in self.classes:
                    raise UserError(
                        f"source {source.name!r} names the class {ours!r}, but classes are "
                        f"{', '.join(self.classes)}"
                    )
        return self


def read_sources(path: Path) -> SourcesFile:
    """Read and check a sources file.

    Raises:
        MissingFileError: It does not exist.
        UserError: It breaks a rule; one line says where and which.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; give --config a sources file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold name, classes and sources, but holds {values!r}")
    try:
        return SourcesFile.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    key = str(first["loc"][-1])
    known = list((Source if first["loc"][0] == "sources" else SourcesFile).model_fields)
    nearest = get_close_matches(key, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
    return f"{place} is unknown; {hint}"
