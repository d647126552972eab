"""Finds, for each picture, the few others with the most similar low frequencies.

Descriptors are short, so a blocked matrix product over all pairs costs less time than reading the
pictures. An approximate index is not needed for datasets of the known sizes (see
docs/near_duplicates.md).
"""

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

Pairs = npt.NDArray[np.int64]


def candidate_pairs(descriptors: Floats) -> Pairs:
    """Return the sorted (pairs, 2) indices of pictures to compare, the lower index first."""
    starts = range(0, len(descriptors), BLOCK)
    found = in_threads(lambda start: _neighbours(descriptors, start), starts)
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _neighbours(descriptors: Floats, start: int) -> Pairs:
    """Return the candidate pairs that the pictures of one block propose."""
    tiles = [_similar(descriptors, start, tile) for tile in range(0, len(descriptors), TILE)]
    rows, others, similarities = (np.concatenate(part) for part in zip(*tiles, strict=True))
    order = np.lexsort((-similarities, rows))
    rows, others = rows[order], others[order]
    best = np.arange(len(rows)) - np.searchsorted(rows, rows) < NEIGHBOURS
    return np.stack([rows[best] + start, others[best]], axis=1)


def _similar(descriptors: Floats, start: int, tile: int) -> tuple[Pairs, Pairs, Floats]:
    """Return similar pairs of a block and a tile: rows of the block, pictures, similarities."""
    similar = descriptors[start : start + BLOCK] @ descriptors[tile : tile + TILE].T
    own = np.arange(max(start, tile), min(start + len(similar), tile + similar.shape[1]))
    similar[own - start, own - tile] = -1
    if np.count_nonzero(similar > MIN_SIMILARITY) > max(similar.size // 16, CROWD):
        # If all pictures are alike, this many pairs would fill memory.
        nearest = min(NEIGHBOURS, similar.shape[1])
        kept = np.argpartition(similar, -nearest, axis=1)[:, -nearest:]
        rows, others = np.repeat(np.arange(len(similar)), kept.shape[1]), kept.ravel()
        above = similar[rows, others] > MIN_SIMILARITY
        rows, others = rows[above], others[above]
    else:
        rows, others = np.divmod(
            np.flatnonzero((similar > MIN_SIMILARITY).ravel()), similar.shape[1]
        )
    return rows, others + tile, similar[rows, others]
