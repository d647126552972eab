"""Finds identical and near-identical pictures, such as with another crop, contrast or a stamp."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from data_prep.fingerprint import content_hashes
from data_prep.near_duplicates.alignment import MIN_LIKENESS, likeness
from data_prep.near_duplicates.candidates import candidate_pairs
from data_prep.near_duplicates.signatures import Signatures, signatures
from data_prep.near_duplicates.stars import star_groups
from data_prep.near_duplicates.version_1 import chained_groups, fine_correlation
from data_prep.pictures import to_gray
from fairsweep.errors import UserError

SearchVersion = Literal["v1", "v2"]
"""Versions of the near-duplicate search; datasets without a version were made with v1."""
SEARCH_VERSIONS = get_args(SearchVersion)
DEFAULT_SEARCH: SearchVersion = "v2"

Pictures = npt.NDArray[np.uint8]


def duplicate_groups(
    pictures: Pictures,
    hashes: Sequence[str] | None = None,
    *,
    near: bool = True,
    version: SearchVersion = DEFAULT_SEARCH,
) -> npt.NDArray[np.int64]:
    """Group byte-identical pictures and, with ``near``, near-identical ones.

    In v2, every member of a group is a near-duplicate of the group's centre. In v1, groups are
    connected components, so a chain of near-identical pictures is one group.

    Args:
        pictures: (n, height, width) gray values or (n, height, width, 3) colours. Byte-identical
            pictures have equal colours. Near-identical pictures have similar gray values; v2 also
            uses colours to select the pairs that it compares.
        hashes: (n,) hashes from `content_hashes`, if they are known.
        near: Whether to look for near-identical pictures too.
        version: Version of the search for near-identical pictures.

    Returns:
        (n,) group of each picture, numbered from 0 by the group's first picture; a picture without
        duplicates has its own group.

    Raises:
        UserError: There are no pictures.
    """
    if not len(pictures):
        raise UserError("no picture is left after cleaning; give other pictures, or other votes")
    hashes = content_hashes(pictures) if hashes is None else hashes
    _, firsts, same = np.unique(np.array(hashes), return_index=True, return_inverse=True)
    if not near:
        groups = np.arange(len(firsts))
    elif version == "v1":
        groups = chained_groups(as_gray(pictures[firsts]))
    else:
        groups = _near_groups(signatures(pictures, firsts))
    return number_by_first(groups[same])


def _near_groups(pictures: Signatures) -> npt.NDArray[np.int64]:
    candidates = candidate_pairs(pictures.descriptors)
    pairs = candidates[likeness(pictures, candidates) >= MIN_LIKENESS]
    return star_groups(
        len(pictures.descriptors), pairs, lambda more: likeness(pictures, more) >= MIN_LIKENESS
    )


def pair_likeness(
    pictures: Pictures, pairs: npt.NDArray[np.int64], version: SearchVersion
) -> npt.NDArray[np.floating[Any]]:
    """Return the (pairs,) correlations that the search compares with its threshold.

    Args:
        pictures: As for `duplicate_groups`.
        pairs: (pairs, 2) indices of pictures.
        version: Version of the search.
    """
    if version == "v1":
        return fine_correlation(*(as_gray(pictures[pairs[:, side]]) for side in (0, 1)))
    rows, places = np.unique(pairs, return_inverse=True)
    return likeness(signatures(pictures, rows), places.reshape(-1, 2))


def as_gray(pictures: Pictures) -> Pictures:
    """Convert pictures, gray or in colour, to (n, height, width) gray values."""
    return to_gray(pictures) if pictures.ndim == 4 else pictures


def number_by_first(groups: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Renumber (n,) groups from 0, in the order of each group's first picture."""
    _, firsts, of = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[of].astype(np.int64)


def count_duplicates(groups: npt.NDArray[np.int64], splits: npt.NDArray[np.str_]) -> dict[str, int]:
    """Count duplicate groups, surplus copies, and leaks of training pictures.

    Args:
        groups: (n,) duplicate groups.
        splits: (n,) ``train``, ``val`` or ``test``.

    Returns:
        ``groups`` (with at least two pictures), ``surplus`` (copies without the first of each
        group), and ``across_splits`` (val and test pictures with a copy in train).
    """
    sizes = np.bincount(groups)
    in_train = np.isin(groups, groups[splits == "train"])
    return {
        "groups": int((sizes > 1).sum()),
        "surplus": int((sizes - 1).clip(0).sum()),
        "across_splits": int((in_train & (splits != "train")).sum()),
    }
