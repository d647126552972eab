"""Groups near-duplicates so that no chain forms: each member resembles its group's centre."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data_prep.near_duplicates.candidates import Pairs

Confirm = Callable[[Pairs], npt.NDArray[np.bool_]]
Partners = dict[int, set[int]]
"""Picture → those that it is a near-duplicate of."""


def star_groups(count: int, pairs: Pairs, confirm: Confirm) -> npt.NDArray[np.int64]:
    """Deal pictures into groups whose members are all near-duplicates of one of them.

    The picture with most partners takes them into its group; of those left, the one with most
    partners left does the same, and so on.

    Args:
        count: Number of pictures.
        pairs: (pairs, 2) near-duplicates.
        confirm: Says of further pairs whether they are near-duplicates. It is asked for the most
            linked picture of each connected component, since a search that proposes a few
            neighbours for each picture misses pairs of a large group.

    Returns:
        (count,) group of each picture, named by the group's centre.
    """
    further = np.array(list(_to_centres(count, pairs)), dtype=np.int64).reshape(-1, 2)
    pairs = np.concatenate([pairs, further[confirm(further)]])
    groups = np.arange(count)
    for partners in _components(count, pairs):
        while partners:
            centre = _most_linked(partners)
            members = {centre, *partners[centre]}
            groups[list(members)] = centre
            partners = _without(partners, members)
    return groups


def _to_centres(count: int, pairs: Pairs) -> Iterator[tuple[int, int]]:
    """Yield the pairs of each component's most linked picture that nobody has proposed."""
    for partners in _components(count, pairs):
        centre = _most_linked(partners)
        yield from ((centre, other) for other in partners.keys() - partners[centre] - {centre})


def _components(count: int, pairs: Pairs) -> Iterator[Partners]:
    """Yield the partners in each connected component of the pairs."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, component = connected_components(links, directed=False)
    found: dict[int, Partners] = {}
    for first, second in pairs.tolist():
        partners = found.setdefault(int(component[first]), {})
        partners.setdefault(first, set()).add(second)
        partners.setdefault(second, set()).add(first)
    yield from found.values()


def _most_linked(partners: Partners) -> int:
    return min(partners, key=lambda picture: (-len(partners[picture]), picture))


def _without(partners: Partners, members: set[int]) -> Partners:
    return {
        picture: others - members
        for picture, others in partners.items()
        if picture not in members and others - members
    }
