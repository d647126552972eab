"""Reads pictures in folders or archives, labelled by class folders or by a table of labels."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Protocol

from data_prep.collecting import SourceImages, collect
from data_prep.layout import Layout, NestedLayout, Place, common_folder
from data_prep.named_pictures import inside, label_tables, named_records
from data_prep.records import Found, PictureReader, Record
from data_prep.rejections import Rejections
from data_prep.sources_file import Source, SourcesFile
from data_prep.trees import Tree, TreePicture, read_tree

FOLDER_COLUMN = "folder"
"""Column with the folders below a class folder, which are often persons or scenes."""


class _Places(Protocol):
    def place(self, path: PurePosixPath) -> Place: ...


def read_class_folders(source: Source, file: SourcesFile, rejections: Rejections) -> SourceImages:
    """Read a folder or archive whose classes are known.

    Raises:
        MissingFileError: The folder or archive does not exist.
        UserError: There are no pictures; a folder of ``map`` or ``expect`` is missing or
            incomplete; or a picture is bad and bad ones are not to be skipped.
    """
    return collect(find_pictures(source, file, rejections), source, file, rejections)


def find_pictures(source: Source, file: SourcesFile, rejections: Rejections) -> Found:
    """Read the pictures of a folder or archive, with their original labels.

    A table of pictures has priority over class folders, unless folders have the names of classes in
    the sources file.

    Raises:
        MissingFileError: The folder or archive does not exist.
        BadInputError: It cannot be read, or a row of a table is bad and bad ones are not to be
            skipped.
    """

    def is_class(name: str) -> bool:
        return source.class_of(name, file.classes) is not None

    reader = PictureReader(source, file)
    are_known = bool(file.classes or source.map)
    tree = read_tree(source, reader, _is_wanted(source, file, is_class), rejections)
    has_classes = any(one.picture is not None for one in tree.pictures)
    if (tree.tables or source.votes) and not has_classes:
        # No folder has the name of a class, so classes must come from a table or votes.
        tree = read_tree(source, reader, lambda _: True, rejections)
    layout = _layout(source, file, tree, is_class)
    places = {folder: layout.place(folder / "picture") for folder in tree.folders}
    # The deepest folder that contains all class folders, so that ids are equal for every copy.
    top = common_folder({place.root for place in places.values()})
    by_folder = partial(_record, places=places, top=top)
    tables = []
    if source.labels is not None or not (are_known and has_classes):
        folders = {place.theirs for place in places.values()} - {"."}
        is_needed = len(folders) < 2 and source.votes is None
        tables = label_tables(source, tree, rejections, is_needed=is_needed)
    found = Found(records=[by_folder(one) for one in tree.pictures])
    if tables:
        found = named_records(tree, tables, by_folder, rejections)
    used = {table.path for table in tables}
    votes = source.votes and inside(source.votes, source.path)
    unused = [
        (one.shown, one.path.suffix.lower())
        for one in tree.tables
        if one.path not in used and one.path != votes
    ]
    return replace(found, passed_over=sorted(tree.others + unused), in_colour=reader.in_colour)


def _is_wanted(
    source: Source, file: SourcesFile, is_class: Callable[[str], bool]
) -> Callable[[PurePosixPath], bool]:
    """Return a function that says whether a picture can have one of the wanted classes."""
    if source.labels is not None or not (file.classes or source.map):
        return lambda _: True
    return lambda path: any(map(is_class, (*path.parent.parts, ".")))


def _layout(
    source: Source, file: SourcesFile, tree: Tree, is_class: Callable[[str], bool]
) -> _Places:
    """Return how folders give classes."""
    if not file.classes and source.map is None:
        return NestedLayout(tree.folders, is_class)
    layout = Layout(tree.folders, file.classes if source.map is None else source.map)
    if any(is_class(layout.place(folder / "picture").theirs) for folder in tree.folders):
        return layout
    if any(map(is_class, (name for folder in tree.folders for name in folder.parts))):
        return NestedLayout(tree.folders, is_class)
    return layout


def _record(
    one: TreePicture, *, places: Mapping[PurePosixPath, Place], top: PurePosixPath
) -> Record:
    place = places[one.path.parent]
    return Record(
        name=str(one.path.relative_to(top)),
        shown=one.shown,
        label=place.theirs,
        picture=one.picture,
        subset=place.subset,
        columns={FOLDER_COLUMN: place.below} if place.below else {},
    )
