"""Finds, for each picture, the few others with the most similar low frequencies.

Descriptors are short, so a blocked matrix product over all pairs costs less time than reading the
pictures, up to tens of thousands of them. In larger datasets, each picture is compared only with
the pictures of its nearest cells, so that its cost does not grow (see docs/near_duplicates.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.near_duplicates.signatures import Floats
from data_prep.near_duplicates.threads import in_threads

MIN_SIMILARITY = 0.6
"""Lowest cosine similarity of two descriptors that makes a candidate pair."""
NEIGHBOURS = 8
"""Most candidates that a picture proposes; any number of others can propose this picture."""
BLOCK, TILE = 512, 4096
"""Rows and columns of one matrix product, small enough that memory is reused."""
CROWD = 1 << 16
"""If a tile has more similar pairs than this, each picture keeps only its nearest neighbours."""
MOST_COMPARED = 1 << 16
"""In datasets of up to this many pictures, all pairs are compared."""
CELL = 512
"""Mean number of pictures in a cell."""
PROBES = 32
"""Number of nearest cells with whose pictures a picture is compared."""
CELLS_BLOCK = 2048
"""Pictures that are compared with their cells together."""

Pairs = npt.NDArray[np.int64]
Hits = tuple[Pairs, Pairs, Floats]
"""Similar pairs: pictures, others, similarities."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """Each picture belongs to the cell of the nearest of some pictures, which are drawn at random.

    This is an inverted file index (Jégou et al. 2011, "Product quantization for nearest neighbor
    search", section IV) without training, so that rounding changes little.
    """

    members: list[Pairs]
    """The pictures of each cell, sorted."""
    nearest: npt.NDArray[np.int32]
    """(n, probes) nearest cells of each picture, in any order."""


def candidate_pairs(descriptors: Floats) -> Pairs:
    """Return the sorted (pairs, 2) indices of pictures to compare, the lower index first."""
    if len(descriptors) <= MOST_COMPARED:
        starts = range(0, len(descriptors), BLOCK)
        found = in_threads(lambda start: _neighbours(descriptors, start), starts)
    else:
        cells = _cells(descriptors)
        starts = range(0, len(descriptors), CELLS_BLOCK)
        found = in_threads(lambda start: _neighbours_in_cells(descriptors, cells, start), starts)
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _neighbours(descriptors: Floats, start: int) -> Pairs:
    """Return the candidate pairs that the pictures of one block propose, of all pictures."""
    tiles = range(0, len(descriptors), TILE)
    return _best(_similar_in_tile(descriptors, start, tile) for tile in tiles)


def _similar_in_tile(descriptors: Floats, start: int, tile: int) -> Hits:
    """Return the similar pairs of a block and a tile."""
    similar = descriptors[start : start + BLOCK] @ descriptors[tile : tile + TILE].T
    own = np.arange(max(start, tile), min(start + len(similar), tile + similar.shape[1]))
    similar[own - start, own - tile] = -1
    rows, others = _similar(similar)
    return rows + start, others + tile, similar[rows, others]


def _cells(descriptors: Floats) -> _Cells:
    count = len(descriptors) // CELL
    drawn = np.random.default_rng(0).choice(len(descriptors), count, replace=False)
    centres = descriptors[np.sort(drawn)]

    def nearest(start: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        similar = descriptors[start : start + TILE] @ centres.T
        probes = min(PROBES, count)
        chosen = np.argpartition(similar, -probes, axis=1)[:, -probes:]
        return chosen.astype(np.int32), similar.argmax(axis=1).astype(np.int32)

    found = in_threads(nearest, range(0, len(descriptors), TILE))
    chosen, home = (np.concatenate(part) for part in zip(*found, strict=True))
    return _Cells(members=_rows_of(home, count), nearest=chosen)


def _neighbours_in_cells(descriptors: Floats, cells: _Cells, start: int) -> Pairs:
    """Return the candidate pairs that the pictures of one block propose, of their nearest cells."""
    nearest = cells.nearest[start : start + CELLS_BLOCK]
    seekers = _rows_of(nearest.ravel(), len(cells.members))

    def hits() -> Iterator[Hits]:
        for members, places in zip(cells.members, seekers, strict=True):
            wanted = places // nearest.shape[1] + start
            for tile in range(0, len(members), TILE):
                chosen = members[tile : tile + TILE]
                similar = descriptors[wanted] @ descriptors[chosen].T
                _, *own = np.intersect1d(wanted, chosen, assume_unique=True, return_indices=True)
                similar[own[0], own[1]] = -1
                rows, others = _similar(similar)
                yield wanted[rows], chosen[others], similar[rows, others]

    return _best(hits())


def _rows_of(cells: npt.NDArray[np.int32], count: int) -> list[Pairs]:
    """Return for each of ``count`` cells the sorted indices at which it occurs in ``cells``."""
    order = np.argsort(cells, kind="stable")
    return np.split(order, np.searchsorted(cells[order], np.arange(1, count)))


def _similar(similar: Floats) -> tuple[Pairs, Pairs]:
    """Return rows and columns of similar pairs; in a crowd, only the nearest of each row."""
    if np.count_nonzero(similar > MIN_SIMILARITY) <= max(similar.size // 16, CROWD):
        return np.divmod(np.flatnonzero((similar > MIN_SIMILARITY).ravel()), similar.shape[1])
    # If all pictures are alike, this many pairs would fill memory.
    nearest = min(NEIGHBOURS, similar.shape[1])
    kept = np.argpartition(similar, -nearest, axis=1)[:, -nearest:]
    rows, others = np.repeat(np.arange(len(similar)), kept.shape[1]), kept.ravel()
    above = similar[rows, others] > MIN_SIMILARITY
    return rows[above], others[above]


def _best(hits: Iterator[Hits]) -> Pairs:
    """Return the (pairs, 2) pairs of each picture with those that are most similar to it."""
    rows, others, similarities = (np.concatenate(part) for part in zip(*hits, strict=True))
    order = np.lexsort((-similarities, rows))
    rows, others = rows[order], others[order]
    best = np.arange(len(rows)) - np.searchsorted(rows, rows) < NEIGHBOURS
    return np.stack([rows[best], others[best]], axis=1)
