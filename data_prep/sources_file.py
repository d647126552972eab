"""The sources file, which lists the datasets and class folders that `data_prep folders` merges."""

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)

from data_prep.duplicates import DEFAULT_SEARCH, SearchVersion
from data_prep.layout import folded, same_text
from data_prep.pictures import Fit
from data_prep.splits import MIN_PER_CLASS, SplitMethod
from fairsweep.errors import MissingFileError, UserError
from fairsweep.yaml_text import key_lines, load_yaml

Role = Literal["file", "label", "split"]
"""Meaning of a column of labels: the picture, its class, or its split."""

MAX_SIDE = 1024
"""Maximum side of a dataset's pictures, in pixels."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """One dataset, folder or archive to merge."""

    name: str = Field(pattern=r"^[\w.-]+$")
    """Value of the column ``source``, and prefix of the ids of pictures in class folders."""
    dataset: Path | None = None
    """Directory of a prepared dataset."""
    path: Path | None = None
    """Folder or archive with class folders at any depth, or with pictures that ``labels`` names; or
    a Parquet file with pictures, a folder of such files, or an npz file."""
    labels: Path | None = None
    """CSV or JSON Lines file with a row per picture; found automatically inside ``path``."""
    votes: Path | None = None
    """CSV of several annotators' labels: counts of each class, or a row per vote."""
    torchvision: str | None = None
    """Name of a set in `torchvision.datasets`, which torchvision reads from ``path``, its root."""
    download: bool = False
    """Whether torchvision may download the set to ``path``."""
    columns: dict[Role, str] = Field(default_factory=dict)
    """Role → column in ``labels`` or in Parquet; common names are found automatically."""
    fold_case: bool = False
    """Whether labels that differ only in case or white space are equal."""
    map: dict[str, str | None] | None = None
    """The source's class → ours, or null to leave it out; None if the names are equal."""
    trim_margin: bool = False
    """Whether to remove a frame of one colour around each picture."""
    limit: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """Our class → maximum number of its pictures, sampled at random."""
    expect: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """The source's class, or ``subset/class`` → number of pictures in a complete copy."""

    @field_validator("map", "limit", "expect", mode="before")
    @classmethod
    def _keys_are_names(cls, value: Any) -> Any:
        """Reject names such as ``true``, which YAML reads as a Boolean."""
        for key in value if isinstance(value, dict) else ():
            if isinstance(key, bool):
                word = str(key).lower()
                raise UserError(f'{word} is not a name; write "{word}" in quotes if it is one')
        return value

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if (self.dataset is None) == (self.path is None):
            raise UserError("give either dataset (a prepared one) or path (class folders)")
        if self.dataset is not None and self.trim_margin:
            raise UserError("trim_margin goes with path; a prepared dataset is taken as it is")
        if self.path is None and (self.labels or self.columns or self.votes):
            raise UserError(
                "labels, columns and votes go with path; a prepared dataset has its own"
            )
        if self.download and self.torchvision is None:
            raise UserError("download goes with torchvision, which names the set to download")
        if self.torchvision is not None and (self.path is None or self.labels or self.columns):
            raise UserError(
                "torchvision goes with path, and without labels and columns, because a set has its "
                "own"
            )
        return self

    def class_of(self, theirs: str, classes: tuple[str, ...]) -> str | None:
        """Return our class for a class of the source, or None if it is left out.

        If ``classes`` is empty, every label that ``map`` does not leave out is a class.
        """
        theirs = same_text(theirs)
        if self.map is None:
            if not classes:
                return theirs if theirs not in ("", ".") else None
            return self._same(theirs, {name: name for name in classes})
        return self._same(theirs, self.map)

    def _same(self, theirs: str, ours: Mapping[str, str | None]) -> str | None:
        """Look up a class name, ignoring case if ``fold_case`` is set."""
        ways = (same_text, folded) if self.fold_case else (same_text,)
        for way in ways:
            for name, one in ours.items():
                if way(name) == way(theirs):
                    return one
        return None


class SourcesFile(_Part):
    """The sources to merge into one dataset; of duplicates, the first source's picture is kept."""

    name: str | None = None
    classes: tuple[str, ...] = Field(default=(), min_length=2)
    """Our classes in order; if empty, all labels of the sources, sorted."""
    image_size: int = Field(default=48, ge=8, le=MAX_SIDE)
    """Height and width of every picture, in pixels."""
    colour: bool = False
    """Whether to keep colours; by default pictures are converted to gray."""
    fit: Fit = "stretch"
    """How to make pictures square."""
    min_per_class: int = Field(default=MIN_PER_CLASS, ge=1)
    """Least number of pictures of each class."""
    split: SplitMethod | None = None
    """Split method; by default the official split if all sources have one."""
    together: str | None = None
    """Column whose pictures with equal values (a person, a scene) stay in one split."""
    duplicates: SearchVersion = DEFAULT_SEARCH
    """Version of the search for near-identical pictures."""
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """Shape of a picture's pixels: (height, width), or (height, width, 3) in colour."""
        size = (self.image_size, self.image_size)
        return (*size, 3) if self.colour else size

    @model_validator(mode="after")
    def _names_fit(self) -> "SourcesFile":
        for what, names in (("classes", self.classes), ("sources", [s.name for s in self.sources])):
            if not names:
                continue  # all labels are classes
            name, count = Counter(map(same_text, names)).most_common(1)[0]
            if count > 1:
                raise UserError(f"{what} names {name!r} twice; give each a name of its own")
        null = next((name for name in self.classes if name.lower() in ("null", "~")), None)
        for source in self.sources:
            if null is not None and None in (source.map or {}).values():
                raise UserError(
                    f"the map of source {source.name!r} has null without quotes, which could be "
                    f'the class {null!r}; write "{null}" in quotes for the class, and remove '
                    "labels that are left out from the map"
                )
            for ours in (*(source.map or {}).values(), *source.limit):
                if ours is not None and self.classes and ours not in self.classes:
                    raise UserError(
                        f"source {source.name!r} names the class {ours!r}, but classes are "
                        f"{', '.join(self.classes)}"
                    )
        return self


def read_sources(path: Path) -> SourcesFile:
    """Read and check a sources file.

    Raises:
        MissingFileError: The file does not exist.
        UserError: The file breaks a rule; the message names the place and the rule.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; give --config a sources file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML, which is UTF-8 text: {error}") from None
    values = load_yaml(text, str(path), numbers_as_text=True)
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold name, classes and sources, but holds {values!r}")
    try:
        return SourcesFile.model_validate(values)
    except ValidationError as error:
        line = _line(error, key_lines(text))
        raise UserError(f"{path}{line}: {_explain(error)}") from None


def broken_rule(error: ValidationError) -> str:
    """Return the first rule that is broken, and the value that breaks it."""
    first = error.errors()[0]
    if first["type"] == "value_error":
        return first["msg"].removeprefix("Value error, ")
    if first["type"].startswith("bool_"):
        rule = "must be true or false"
    else:
        rule = first["msg"].replace("Input should be", "must be")
    value = first["input"]
    return rule if isinstance(value, dict | list | tuple) else f"{rule}, but got {value!r}"


def _line(error: ValidationError, lines: Mapping[tuple[str, ...], int]) -> str:
    """Return the line of the first error, as far as it is known."""
    path = tuple(map(str, error.errors()[0]["loc"]))
    while path and path not in lines:
        path = path[:-1]
    return f", line {lines[path]}" if path else ""


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "string_type" and first["input"] in (None, True, False):
        word = {None: "null", True: "true", False: "false"}[first["input"]]
        return f'{place}: {word} is not a name; write "{word}" in quotes if it is one'
    if first["type"] != "extra_forbidden":
        message = broken_rule(error)
        return f"{place}: {message}" if place else message
    key = str(first["loc"][-1])
    known = list((Source if first["loc"][0] == "sources" else SourcesFile).model_fields)
    nearest = get_close_matches(key, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
    return f"{place} is unknown; {hint}"
