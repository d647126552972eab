"""The records of pictures that every layout is read into, and the reader of single pictures."""

import io
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from data_prep.in_parallel import in_order
from data_prep.large_arrays import Pixels, Spool
from data_prep.margins import without_margin
from data_prep.pictures import Fit, PictureError, fit_pixels, read_picture, to_gray
from data_prep.sources_file import Source, SourcesFile

FOLDER_LABELS, SET_LABELS = "class folders", "labels of the set"
"""What gave the labels: the names of folders, or the files of a published set."""
LOOKED_AT = 50
"""Pictures of a source that are checked for colour if the dataset is gray."""
COLOUR_RANGE = 24
"""A picture is in colour if red, green and blue differ by more than this somewhere."""

Content = bytes | Exception | None
"""Of a picture file; or why it cannot be read; None if it is not wanted."""
Tag = TypeVar("Tag")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadPicture:
    """A picture, resized for the dataset."""

    pixels: Pixels
    shape: tuple[int, ...]
    """Height and width of the picture in its file."""
    has_margin: bool = False
    bits: int = 16
    """Bits that a 16-bit file uses; 16 for all other files."""
    has_frames: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One picture, with what its source says about it."""

    name: str
    """Part of the picture's id after the name of the source."""
    shown: str
    """File, for messages."""
    label: str
    """Class in the source; empty for none."""
    picture: ReadPicture | Exception | None
    """The picture, or why it cannot be read; None where its class is known not to be wanted."""
    row: int | None = None
    """Row of the file, if it holds several pictures."""
    subset: str = ""
    """``train``, ``val``, ``test``, or empty."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Further columns of the source."""
    votes: Mapping[str, int] = field(default_factory=dict)
    """Class in the source → number of annotators who chose it."""
    why_unlabelled: str = "has no label"
    """Why the picture has no label, if it has none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The content of a source, before its classes are mapped to the dataset's."""

    records: list[Record]
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    """Files that are not read: path for messages, ending of the name."""
    in_colour: bool = False
    """Whether pictures are in colour although the dataset is gray."""
    odd_subsets: Counter[str] = field(default_factory=Counter)
    """Texts in a column of splits that are not a split → number of pictures."""
    rule: str = FOLDER_LABELS
    """What gave the labels, for the manifest."""

    @property
    def labels(self) -> Counter[str]:
        """Class in the source → number of pictures."""
        return Counter(record.label for record in self.records)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Options for reading the pictures of a source."""

    colour: bool
    trim_margin: bool
    image_size: int
    fit: Fit

    def read(self, content: Content) -> ReadPicture | Exception | None:
        """Read the content of a file; return an error if that fails. Other values are returned."""
        if not isinstance(content, bytes):
            return content
        try:
            picture = read_picture(io.BytesIO(content), colour=self.colour)
        except PictureError as error:
            return error
        return self.fitted(
            picture.pixels, bits=picture.bits if picture.is_deep else 16, frames=picture.frames
        )

    def fitted(self, whole: Pixels, *, bits: int = 16, frames: int = 1) -> ReadPicture:
        """Resize pixels to the size of the dataset."""
        inner = without_margin(whole)
        kept = inner if self.trim_margin else whole
        return ReadPicture(
            pixels=fit_pixels(kept, (self.image_size, self.image_size), self.fit),
            shape=whole.shape[:2],
            has_margin=inner.shape != whole.shape,
            bits=bits,
            has_frames=frames > 1,
        )


class PictureReader:
    """Reads and keeps the pictures of one source, with the options in the sources file."""

    def __init__(self, source: Source, file: SourcesFile) -> None:
        self._rules = Rules(
            colour=file.colour,
            trim_margin=source.trim_margin,
            image_size=file.image_size,
            fit=file.fit,
        )
        self._spool = Spool()
        self._looked_at = self._colourful = 0

    @property
    def in_colour(self) -> bool:
        """Whether most of the first pictures are in colour although the dataset is gray."""
        return 2 * self._colourful > self._looked_at

    def from_files(
        self, files: Iterable[tuple[Tag, Content]]
    ) -> Iterator[tuple[Tag, ReadPicture | Exception | None]]:
        """Read picture files on all cores, in their order.

        Args:
            files: A tag and the content of each file. Instead of the content, the error of reading
                it, or None if the picture is not wanted.

        Yields:
            The tag and the picture. Instead of the picture, an error or None.
        """
        tags: deque[Tag] = deque()

        def contents() -> Iterator[Content]:
            for tag, content in files:
                tags.append(tag)
                self._look_for_colour(content)
                yield content

        for picture in in_order(self._rules.read, contents()):
            kept = self._kept(picture) if isinstance(picture, ReadPicture) else picture
            yield tags.popleft(), kept

    def from_pixels(self, pixels: Pixels) -> ReadPicture:
        """Take (height, width) gray values or (height, width, 3) colours."""
        if self._rules.colour and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        elif not self._rules.colour and pixels.ndim == 3:
            self._note(pixels)
            pixels = to_gray(pixels)
        return self._kept(self._rules.fitted(pixels))

    def _kept(self, picture: ReadPicture) -> ReadPicture:
        return replace(picture, pixels=self._spool.keep(picture.pixels))

    def _look_for_colour(self, content: Content) -> None:
        if self._rules.colour or self._looked_at >= LOOKED_AT:
            return
        if isinstance(content, bytes):
            with suppress(PictureError):
                self._note(read_picture(io.BytesIO(content), colour=True).pixels)

    def _note(self, pixels: Pixels) -> None:
        if self._looked_at < LOOKED_AT:
            self._looked_at += 1
            self._colourful += bool(np.ptp(pixels, axis=2).max() > COLOUR_RANGE)
