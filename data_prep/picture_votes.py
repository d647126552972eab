"""Reads a CSV with the labels of several annotators, and gives each picture its votes."""

import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from data_prep.labels_file import LabelRow, read_rows
from data_prep.layout import folded, same_text
from data_prep.named_pictures import PictureIndex, ends_with
from data_prep.places import READ_ERRORS
from data_prep.records import Found, Record
from data_prep.rejections import BadInputError, Rejection, Rejections
from data_prep.sources_file import Source, SourcesFile
from data_prep.vote_shares import some
from fairsweep.errors import MissingFileError

ANNOTATORS = ("annotator", "annotator_id", "rater", "rater_id", "worker", "worker_id", "tagger")
"""Usual names of the column that names the annotator of a row."""
MOST_VOTES = 1 << 31


def with_votes(
    found: Found, source: Source, file: SourcesFile, rejections: Rejections
) -> tuple[Found, tuple[str, ...]]:
    """Give each picture the votes that the source's CSV has for it, if the source has such a CSV.

    The CSV has a row for each picture with counts in a column for each class, or a row for each
    vote. If the source has no labels, a picture gets the class with the most votes; pictures
    without votes, or whose votes tie, are left out of the dataset.

    Returns:
        The pictures, and messages for the user.

    Raises:
        MissingFileError: The CSV does not exist.
        BadInputError: It cannot be read, it names no picture or no class of the source, or a row is
            bad and bad rows are not skipped.
    """
    if source.votes is None:
        return found, ()
    rows = _read(source.votes, rejections)
    theirs = [label for label in sorted(found.labels) if label not in ("", ".")]
    ballot = _Ballot(source=source, classes=file.classes, labels=theirs)
    _count(rows, ballot, _Places(found.records), rejections)
    if not ballot.votes:
        raise BadInputError(
            f"{source.votes}: none of its rows names a picture of source {source.name!r}; its "
            f"first names {rows[0].file!r}, and the first picture is {found.records[0].name}"
        )
    records = [
        replace(record, votes=ballot.votes[record.name]) if record.name in ballot.votes else record
        for record in found.records
    ]
    notes = list(ballot.notes())
    if not ballot.has_labels():
        records = [_by_majority(record, ballot) for record in records]
        notes.append(_about_majority(records, source))
        found = replace(found, rule="the majority of votes")
    return replace(found, records=records), tuple(notes)


@dataclass(kw_only=True, eq=False)
class _Ballot:
    """The votes for the pictures of a source, and the rows that name no picture."""

    source: Source
    classes: tuple[str, ...]
    """Classes of the dataset; empty if they are not known yet."""
    labels: Sequence[str]
    """Labels that the source has apart from the votes."""
    votes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Name of a picture → class in the source → number of votes."""
    unknown: list[str] = field(default_factory=list)
    """Names in the CSV that match no picture."""

    def ours(self, theirs: str) -> str | None:
        """Return the dataset's class for a class of the source, in a form to compare.

        None if it has none; the source's own name while the dataset's classes are not known.
        """
        ours = self.source.class_of(theirs, self.classes)
        return folded(ours) if ours is not None and self.source.fold_case else ours

    def has_labels(self) -> bool:
        """Return whether the source itself labels its pictures.

        Raises:
            BadInputError: The votes are for other classes than the labels, or for no class of the
                dataset.
        """
        names = {name for counts in self.votes.values() for name in counts}
        voted = {self.ours(name) for name in names} - {None}
        labels = {self.ours(label) for label in self.labels} - {None}
        if voted and (labels & voted or not labels):
            return bool(labels)
        if voted and len(labels) == 1 and not self.classes and self.source.map is None:
            return False  # A single folder that holds all pictures is not a class.
        raise BadInputError(
            f"{self.source.votes}: has votes for {some(names)}, but the classes of source "
            f"{self.source.name!r} are {some(self.classes or self.labels)}; correct its map"
        )

    def is_class(self, name: str) -> bool:
        """Return whether a column is a class, as far as the classes are known."""
        if self.classes or self.source.map is not None or len(self.labels) < 2:
            return self.ours(name) is not None
        return self.ours(name) in {self.ours(label) for label in self.labels}

    def notes(self) -> Iterator[str]:
        """Yield a message about rows that name no picture."""
        if self.unknown:
            yield (
                f"{len(self.unknown):,} rows of votes name no picture of {self.source.name!r}, "
                f"such as {self.unknown[0]!r}; rejected.csv lists each"
            )


def _read(path: Path, rejections: Rejections) -> list[LabelRow]:
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; give votes a CSV file")
    is_packed = path.suffix.lower() == ".gz"
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if is_packed else content
    except READ_ERRORS as error:
        raise BadInputError(f"{path}: cannot be read ({error}); download it again") from error
    inner = PurePosixPath(path.stem if is_packed else path.name)
    rows = read_rows(inner, content, {}, rejections, shown=path.name)
    if not rows:
        lack = "holds no rows" if rows is not None else "no column names pictures"
        raise BadInputError(
            f"{path}: {lack}; votes need a column file, image or image_id, and a column of counts "
            "for each class, or a column label with a row for each vote"
        )
    return rows


def _count(
    rows: Sequence[LabelRow], ballot: _Ballot, places: "_Places", rejections: Rejections
) -> None:
    """Count the votes of each picture, and collect rows that name no picture."""
    assert ballot.source.votes is not None
    shown = ballot.source.votes.name
    is_per_vote = _has_row_per_vote(rows)
    seen: set[tuple[str, str]] = set()
    for row in rows:
        names = places.find(row.file)
        if not names:
            ballot.unknown.append(row.file)
            reason = f"names {row.file!r}, but there is no such picture"
            rejections.leave_out([Rejection("", shown, row.row, reason)])
            continue
        counts = _vote(row) if is_per_vote else _counts(row, ballot)
        fault = counts if isinstance(counts, str) else ""
        voter = _annotator(row) if is_per_vote else ""
        if len(names) > 1:
            fault = f"names {row.file!r}, but {len(names)} pictures have this name"
        elif (voter or not is_per_vote) and (names[0], voter) in seen:
            fault = f"has votes for {row.file!r} again" + (f", by {voter!r}" if voter else "")
        if fault or isinstance(counts, str):
            rejections.refuse(fault, file=shown, row=row.row, way_out="correct the row")
            continue
        seen.add((names[0], voter))
        ballot.votes[names[0]].update(counts)


def _has_row_per_vote(rows: Sequence[LabelRow]) -> bool:
    """Return whether each row is a vote.

    If all labels are also columns, the columns hold the counts.
    """
    labels = {row.label for row in rows}
    return None not in labels and not labels <= {name for row in rows for name in row.columns}


def _vote(row: LabelRow) -> dict[str, int] | str:
    return {row.label: 1} if row.label else "has no label"


def _counts(row: LabelRow, ballot: _Ballot) -> dict[str, int] | str:
    """Return the votes for each class, or a text that says what is wrong with them."""
    counts = {}
    for name, text in row.columns.items():
        try:
            count = float(text)
        except ValueError:
            count = -1.0
        if count.is_integer() and 0 <= count < MOST_VOTES:
            counts[name] = int(count)
        elif ballot.is_class(name):
            return f"has {text!r} in column {name!r}, which is not a number of votes"
    return counts


def _annotator(row: LabelRow) -> str:
    found = {name.strip().lower(): text for name, text in row.columns.items()}
    return next((found[name] for name in ANNOTATORS if name in found), "")


class _Places:
    """Finds pictures by file name, with any part of its folders, or by id in the dataset."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._names = {same_text(record.name): record.name for record in records}
        self._index = PictureIndex([PurePosixPath(name) for name in self._names])
        self._found: dict[str, list[str]] = {}

    def find(self, text: str) -> list[str]:
        """Return the names of all pictures that match a text."""
        if text not in self._found:
            shared = self._shared_parts(text)
            most = max(shared.values(), default=0)
            self._found[text] = [
                self._names[str(path)] for path, parts in shared.items() if parts == most
            ]
        return self._found[text]

    def _shared_parts(self, text: str) -> dict[PurePosixPath, int]:
        """Return the parts of the path that each matching picture has in common with a text."""
        wanted = PurePosixPath(same_text(text.strip().replace("\\", "/")))
        found = self._index.find(text, PurePosixPath())
        # Unlike labels, votes may also be for pictures that the source does not have.
        return {
            path: min(len(path.parts), len(wanted.parts))
            for path in found
            if ends_with(path, wanted) or ends_with(wanted, path)
        }


def _by_majority(record: Record, ballot: _Ballot) -> Record:
    """Label a picture with the class that has the most votes, if a single class has."""
    tally = Counter[str]()
    names: dict[str, str] = {}
    for name, count in sorted(record.votes.items(), key=lambda item: -item[1]):
        ours = ballot.ours(name)
        if ours is not None and count:
            tally[ours] += count
            names.setdefault(ours, name)
    most = max(tally.values(), default=0)
    first = sorted(names[ours] for ours, count in tally.items() if count == most)
    if len(first) == 1:
        return replace(record, label=first[0])
    why = f"its votes tie: {' and '.join(first)} have {most} each" if first else "has no votes"
    return replace(record, label="", why_unlabelled=why)


def _about_majority(records: Sequence[Record], source: Source) -> str:
    without = [record.why_unlabelled for record in records if not record.label]
    none = without.count("has no votes")
    return (
        f"{source.name!r} has no labels, so each picture gets the class with the most votes; "
        f"{len(without) - none:,} pictures whose votes tie and {none:,} without votes are left out"
    )
