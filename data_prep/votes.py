"""Reads and checks the FER+ votes file, and turns votes into labels.

Votes: Barsoum et al. 2016, "Training deep networks for facial expression recognition with
crowd-sourced label distribution". Rules: those of the study that relabelled FER2013 to four
classes.
"""

from dataclasses import dataclass
from typing import IO, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.csv_rows import read_blocks
from data_prep.rejections import BadInputError, Rejections

VOTE_NAMES = (
    "neutral", "happiness", "surprise", "sadness", "anger",
    "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
USAGES = ("Training", "PublicTest", "PrivateTest")
CLASSES = ("angry", "bored", "focused", "neutral")
VOTE_SUMS = (9, 10)

Rule = Literal["published", "table"]
RULES: tuple[str, ...] = get_args(Rule)

REDRAWS = 64
"""Redraws of a picture's votes for its soft label, whose shares are multiples of 1/64."""
REDRAW_SEED = 20160801

Votes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class VoteTable:
    """The votes file: n rows, one for each row of ``fer2013.csv``."""

    file: str
    usages: npt.NDArray[np.str_]
    """(n,) one of ``USAGES``."""
    image_names: npt.NDArray[np.str_]
    """(n,) name of the picture in the FER+ folders; empty if there is no picture."""
    votes: Votes
    """(n, 10) votes in the order of ``VOTE_NAMES``."""
    sound: Flags
    """(n,) False for a row that was refused."""


def image_id(row: int) -> str:
    """Return the id of the picture in a row of the votes file; rows are counted from 0."""
    return f"fer2013/{row:05d}"


def read_votes(stream: IO[bytes], file: str, rejections: Rejections) -> VoteTable:
    """Read and check ``fer2013new.csv``.

    Raises:
        BadInputError: A column is missing, or the file holds no rows. If bad rows are not skipped,
            also: a vote is not a number from 0 to 10, the votes of a row do not add up to 9 or 10,
            or a Usage is not in ``USAGES``.
    """
    columns = ("Usage", "Image name", *VOTE_NAMES)
    blocks = list(
        read_blocks(stream, file=file, columns=columns, rejections=rejections, identify=image_id)
    )
    if not blocks:
        raise BadInputError(f"{file}: holds no votes; give the complete fer2013new.csv")
    rows = np.concatenate([block.rows for block in blocks])
    table = pa.Table.from_batches([block.cells for block in blocks])
    usages, image_names = (_spread(table[name], rows) for name in columns[:2])
    votes = np.stack([_numbers(_spread(table[name], rows)) for name in VOTE_NAMES], axis=1)
    present = np.zeros(len(votes), dtype=bool)
    present[rows] = True
    faults = {
        "a vote is not a whole number from 0 to 10": (votes < 0).any(axis=1),
        "the votes add up to neither 9 nor 10": ~np.isin(votes.sum(axis=1), VOTE_SUMS),
        f"Usage is none of {', '.join(USAGES)}": ~np.isin(usages, USAGES),
    }
    sound = present.copy()
    for reason, wrong in faults.items():
        for row in np.flatnonzero(wrong & sound).tolist():
            rejections.refuse(
                reason, file=file, row=row, image_id=image_id(row), way_out="correct the row"
            )
        sound &= ~wrong
    return VoteTable(file=file, usages=usages, image_names=image_names, votes=votes, sound=sound)


def _spread(column: pa.ChunkedArray, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """Put cells at their rows; malformed rows of the file get an empty text."""
    cells = pc.utf8_trim_whitespace(column).to_numpy().astype(str)
    spread = np.zeros(rows[-1] + 1, dtype=cells.dtype)
    spread[rows] = cells
    return spread


def _numbers(cells: npt.NDArray[np.str_]) -> Votes:
    """Read whole numbers from 0 to 10; -1 for anything else."""
    values = {str(number): number for number in range(11)}
    distinct, places = np.unique(cells, return_inverse=True)
    return np.array([values.get(cell, -1) for cell in distinct.tolist()], dtype=np.int8)[places]


def label(votes: Votes, rule: Rule) -> npt.NDArray[np.int8]:
    """Label pictures by their votes, with the first clause that holds.

    Every clause of the study compares strictly, and "all others" means each of the other basic
    emotions and neutral; contempt, unknown and NF are ignored. ``published`` gives the study's
    published class counts; ``table`` has "and" in the angry clause, as the study prints it.

    Args:
        votes: (..., 10) votes in the order of ``VOTE_NAMES``.
        rule: Which angry clause to use.

    Returns:
        (...) indices into ``CLASSES``, -1 if no clause holds.
    """
    named = {name: votes[..., place] for place, name in enumerate(VOTE_NAMES)}
    anger, neutral, sadness = named["anger"], named["neutral"], named["sadness"]
    either = np.logical_or if rule == "published" else np.logical_and
    neutral_leads = neutral > _others(votes, "neutral")
    clauses = {
        "angry": either(anger > 2, anger > _others(votes, "anger")),
        "focused": neutral_leads & (sadness == 0) & (anger == 0),
        "neutral": neutral_leads & (neutral > 6),
        "bored": (sadness > 0)
        & (neutral > 0)
        & (named["fear"] == 0)
        & (named["happiness"] == 0)
        & (anger + 2 < sadness),
    }
    places = [np.int8(CLASSES.index(name)) for name in clauses]
    return np.select(list(clauses.values()), places, default=np.int8(-1))


def _others(votes: Votes, name: str) -> Votes:
    """Return the (...) highest of the seven votes that the rules compare, without ``name``."""
    places = [place for place, other in enumerate(VOTE_NAMES[:7]) if other != name]
    highest: Votes = votes[..., places].max(axis=-1)
    return highest


def soft_labels(votes: Votes, labels: npt.NDArray[np.int8], rule: Rule) -> npt.NDArray[np.float32]:
    """Map each picture's vote distribution through the labelling rule.

    This is a bootstrap over taggers: ten votes are drawn with replacement from the picture's own
    votes, 64 times, and the rule labels each redraw. The share of a class is its share among the
    redraws that have a class. All pictures use the same random numbers, so a soft label depends
    only on the picture's votes.

    Args:
        votes: (n, 10) votes in the order of ``VOTE_NAMES``.
        labels: (n,) hard labels, used if no redraw has a class.
        rule: The labelling rule.

    Returns:
        (n, 4) shares in the order of ``CLASSES``; each row adds up to 1.
    """
    distinct, of = np.unique(votes, axis=0, return_inverse=True)
    drawn = label(_redraw(distinct), rule)
    counts = np.stack([(drawn == place).sum(axis=1) for place in range(len(CLASSES))], axis=1)[of]
    empty = counts.sum(axis=1) == 0
    counts[empty] = np.eye(len(CLASSES), dtype=int)[labels[empty]]
    shares: npt.NDArray[np.float32] = counts / counts.sum(axis=1, keepdims=True, dtype=np.float32)
    return shares.astype(np.float32)


def _redraw(votes: Votes) -> Votes:
    """Return (n, 64, 10) redraws of the (n, 10) votes.

    A picture's votes are laid out in a row, name after name, and ``ends`` has the end of each
    name's votes. The differences between the numbers of draws before each end are the new votes.
    """
    ends = votes.cumsum(axis=1, dtype=np.int64)
    draws = np.random.Generator(np.random.PCG64(REDRAW_SEED)).random((REDRAWS, 10))
    redrawn = np.zeros((len(votes), REDRAWS, len(VOTE_NAMES)), dtype=np.int8)
    for total in np.unique(ends[:, -1]).tolist():
        rows = ends[:, -1] == total
        before = (draws[:, :, None] * total < np.arange(total + 1)).sum(axis=1, dtype=np.int8)
        redrawn[rows] = np.diff(before[:, ends[rows]], axis=2, prepend=np.int8(0)).transpose(
            1, 0, 2
        )
    return redrawn
