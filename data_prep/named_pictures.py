"""Joins the rows of label tables with the picture files that they name."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from data_prep.labels_file import LabelRow, read_rows
from data_prep.layout import common_folder, same_text, subset_above, subset_of
from data_prep.records import FOLDER_LABELS, Found, Record
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source
from data_prep.trees import Tree, TreePicture, TreeTable
from fairsweep.errors import MissingFileError


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelTable:
    """The content of a label table."""

    path: PurePosixPath
    """Path of the table in the folder or archive of pictures."""
    shown: str
    rows: list[LabelRow]


@dataclass(kw_only=True, eq=False)
class _Joined:
    """The rows that name pictures."""

    rows: dict[PurePosixPath, tuple[LabelRow, LabelTable]] = field(default_factory=dict)
    has_labels: bool = False
    """Whether rows have labels, so that a picture without a row has no label."""
    top: PurePosixPath = field(default_factory=PurePosixPath)
    """The deepest folder that holds all pictures with rows."""
    odd_subsets: Counter[str] = field(default_factory=Counter)


def label_tables(
    source: Source, tree: Tree, rejections: Rejections, *, is_needed: bool = False
) -> list[LabelTable]:
    """Return the tables that name pictures: the one that the user gives, or those in the tree.

    Args:
        source: The source.
        tree: The files of the source.
        rejections: Collects bad rows.
        is_needed: Whether only a table can give the labels, so that a fault of one is an error.

    Raises:
        MissingFileError: The user's table does not exist.
        BadInputError: The user's table has no column that names pictures; or it, or one that is
            needed, cannot be read.
    """
    if source.labels is None:
        index = PictureIndex([found.path for found in tree.pictures])
        votes = source.votes and inside(source.votes, source.path)
        faults: list[BadInputError] = []
        found = (
            _read_if_it_names_pictures(table, source, index, rejections, faults)
            for table in tree.tables
            if table.path != votes
        )
        tables = [table for table in found if table is not None]
        if is_needed and faults and not tables and not source.columns:
            raise faults[0]
        if source.columns and not tables:
            raise BadInputError(
                f"{source.path}: columns are named ({', '.join(source.columns.values())}), but no "
                "table there names its pictures in one; correct columns, or name the table (labels)"
            )
        return tables
    path = source.labels
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; give labels a CSV or JSON Lines file")
    inner = PurePosixPath(path.name)
    rows = read_rows(inner, path.read_bytes(), source.columns, rejections, shown=path.name)
    if rows is None:
        raise BadInputError(
            f"{path}: no column names pictures; say which one does with --columns file=NAME, "
            "or with columns: {file: NAME} in a sources file"
        )
    return [LabelTable(path=inside(path, source.path) or inner, shown=path.name, rows=rows)]


def _read_if_it_names_pictures(
    table: TreeTable,
    source: Source,
    index: "PictureIndex",
    rejections: Rejections,
    faults: list[BadInputError],
) -> LabelTable | None:
    """Read a table; return None for a file that is not a label table, which is not an error.

    The fault of a file that cannot be read as a table is added to ``faults``.
    """
    held_back = Rejections(skip_bad=True)
    try:
        rows = read_rows(table.path, table.content, source.columns, held_back, shown=table.shown)
    except BadInputError as fault:
        faults.append(fault)
        return None
    if not any(index.find(row.file, table.path.parent) for row in rows or ()):
        return None
    for bad in held_back.rows:
        rejections.refuse(bad.reason, file=bad.file, row=bad.row, way_out="correct the row")
    return LabelTable(path=table.path, shown=table.shown, rows=rows or [])


def inside(path: Path, root: Path | None) -> PurePosixPath | None:
    """Return the path of a file inside the folder of a source; None for one elsewhere."""
    if root is None or not path.resolve().is_relative_to(root.resolve()):
        return None
    return PurePosixPath(path.resolve().relative_to(root.resolve()).as_posix())


def named_records(
    tree: Tree,
    tables: Sequence[LabelTable],
    by_folder: Callable[[TreePicture], Record],
    rejections: Rejections,
) -> Found:
    """Give each picture the label, split and columns of the row that names it.

    A missing label or split is taken from the folders of the picture.

    Raises:
        BadInputError: A row has several labels; or it names no picture, or the same picture as an
            earlier row, and bad rows are not skipped.
    """
    index, joined = PictureIndex([found.path for found in tree.pictures]), _Joined()
    for table in tables:
        for row in table.rows:
            _join(row, table, index, joined, rejections)
    joined.has_labels = any(row.label is not None for row, _ in joined.rows.values())
    joined.top = common_folder({path.parent for path in joined.rows})
    return Found(
        records=[_record(by_folder(found), found.path, joined) for found in tree.pictures],
        odd_subsets=joined.odd_subsets,
        rule="a table of labels" if joined.has_labels else FOLDER_LABELS,
    )


def _join(
    row: LabelRow, table: LabelTable, index: "PictureIndex", joined: _Joined, rejections: Rejections
) -> None:
    paths = index.find(row.file, table.path.parent)
    fault = ""
    if not paths:
        fault = f"names {row.file!r}, but there is no such picture"
    elif len(paths) > 1:
        fault = f"names {row.file!r}, but {len(paths)} pictures have this name"
    elif paths[0] in joined.rows:
        fault = f"names {row.file!r}, which an earlier row names too"
    if fault:
        rejections.refuse(fault, file=table.shown, row=row.row, way_out="correct the row")
        return
    if row.has_several_labels:
        raise BadInputError(
            f"{table.shown}, row {row.row}: has several labels a picture, which is not supported; "
            "give each picture one label"
        )
    joined.rows[paths[0]] = (row, table)
    if row.split and not subset_of(row.split):
        joined.odd_subsets[row.split] += 1


def _record(found: Record, path: PurePosixPath, joined: _Joined) -> Record:
    name = found.name
    if joined.has_labels:
        name = str(path.relative_to(joined.top) if path.is_relative_to(joined.top) else path)
    if path not in joined.rows:
        if not joined.has_labels:
            return found
        return replace(found, name=name, label="", why_unlabelled="no row names it")
    row, table = joined.rows[path]
    subset = subset_of(row.split)
    if not row.split:
        stem = table.path.stem.lower().replace("-", "_").partition("_")[0]
        subset = found.subset or subset_above(path) or subset_of(stem)
    return replace(
        found,
        name=name,
        label=(row.label or "") if joined.has_labels else found.label,
        subset=subset,
        columns=row.columns if joined.has_labels else {**found.columns, **row.columns},
        why_unlabelled="has no label",
    )


class PictureIndex:
    """Finds picture files by their names in tables."""

    def __init__(self, paths: Sequence[PurePosixPath]) -> None:
        """Index the paths of all pictures."""
        self._paths = {same_text(str(path)): path for path in paths}
        self._names = defaultdict[str, list[PurePosixPath]](list)
        for path in paths:
            self._names[same_text(path.name)].append(path)
            if path.stem != path.name:
                self._names[same_text(path.stem)].append(path)

    def find(self, text: str, folder: PurePosixPath) -> list[PurePosixPath]:
        """Return the pictures that a row of a table in ``folder`` may mean; one if it is unique."""
        name = same_text(text.strip().replace("\\", "/"))
        if not name:
            return []
        for whole in (folder / name, PurePosixPath(name)):
            if str(whole) in self._paths:
                return [self._paths[str(whole)]]
        wanted = PurePosixPath(name)
        candidates = self._names.get(wanted.name, [])
        alike = [path for path in candidates if ends_with(path, wanted)]
        # The folders in a table may be those of its author's machine.
        return alike or candidates


def ends_with(path: PurePosixPath, wanted: PurePosixPath) -> bool:
    """Return whether the folders of a path end with those of another one."""
    above = wanted.parts[:-1]
    return path.parts[:-1][-len(above) :] == above if above else True
