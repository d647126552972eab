"""Goes through a folder or archive once, and reads its pictures and label tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from data_prep.pictures import SUFFIXES
from data_prep.places import READ_ERRORS, Member, members
from data_prep.records import Content, PictureReader, ReadPicture
from data_prep.rejections import Rejections
from data_prep.sources_file import Source

TABLE_SUFFIXES = (".csv", ".jsonl")
MAX_TABLE_BYTES = 1 << 28
"""Largest label table that is read from a folder or archive."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TreePicture:
    """A picture file of a folder or archive."""

    path: PurePosixPath
    shown: str
    """Path for messages."""
    picture: ReadPicture | Exception | None
    """The picture, or why it cannot be read; None if it was not wanted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TreeTable:
    """A file that may hold labels."""

    path: PurePosixPath
    shown: str
    content: bytes


@dataclass(kw_only=True, eq=False)
class Tree:
    """The content of a folder or archive."""

    pictures: list[TreePicture] = field(default_factory=list)
    tables: list[TreeTable] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    """All other files: path for messages, ending of the name."""

    @property
    def folders(self) -> set[PurePosixPath]:
        """Folders that hold pictures."""
        return {picture.path.parent for picture in self.pictures}


def read_tree(
    source: Source,
    reader: PictureReader,
    is_wanted: Callable[[PurePosixPath], bool],
    rejections: Rejections,
) -> Tree:
    """Read all wanted pictures of a source.

    An archive is read once, so each picture must be decoded when it comes, even if its class is
    only known at the end.

    Raises:
        MissingFileError: The source does not exist.
        BadInputError: The source cannot be read to its end.
    """
    tree = Tree()
    files = _picture_files(source, is_wanted, rejections, tree)
    for member, picture in reader.from_files(files):
        tree.pictures.append(TreePicture(path=member.path, shown=member.shown, picture=picture))
    tree.pictures.sort(key=lambda picture: picture.path.parts)
    return tree


def _picture_files(
    source: Source,
    is_wanted: Callable[[PurePosixPath], bool],
    rejections: Rejections,
    tree: Tree,
) -> Iterator[tuple[Member, Content]]:
    """Yield the picture files of a source; put all other files into ``tree``."""
    assert source.path is not None
    for member in members(source.path, rejections):
        suffix = member.path.suffix.lower()
        if suffix in SUFFIXES:
            yield member, _content(member) if is_wanted(member.path) else None
        elif suffix in TABLE_SUFFIXES and member.size_bytes <= MAX_TABLE_BYTES:
            _keep_table(member, tree)
        else:
            tree.others.append((member.shown, suffix))


def _content(member: Member) -> bytes | Exception:
    try:
        with member.open() as stream:
            return stream.read()
    except READ_ERRORS as error:
        return error


def _keep_table(member: Member, tree: Tree) -> None:
    try:
        with member.open() as stream:
            tree.tables.append(
                TreeTable(path=member.path, shown=member.shown, content=stream.read())
            )
    except READ_ERRORS:
        tree.others.append((member.shown, member.path.suffix.lower()))
