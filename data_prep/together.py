"""Pictures of one person, patient or scene: kept in one split, or counted as leaks."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data_prep.splits import SHARES
from fairsweep.errors import UserError

NAMES = re.compile(
    r"(subject|patient|person|people|identity|individual|participant|proband|actor|speaker|user|"
    r"animal|scene|session|sequence|video|clip|series|folder)s?([ _-]?(id|no|nr|number|name|code))?"
)
"""Names of columns whose equal values belong together."""
NO_NAMES = re.compile(r"subset|(.*[ _-])?(age|year|date|time|size|width|height)")
"""Names of columns with many values that pictures may share by chance."""
MIN_VALUES = 50
"""A column of any other name with at least this many values may hold persons or scenes."""

Groups = npt.NDArray[np.int64]


def numbered(cells: pa.Array | pa.ChunkedArray, sources: Sequence[str]) -> Groups:
    """Number the values of a column separately for each source, because ids such as ``1`` recur.

    Returns:
        (n,) number of each picture's value, from 0; -1 if it has none.
    """
    texts = pc.dictionary_encode(cells.cast(pa.string()).fill_null(""))
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    origins = np.unique(np.array(sources, dtype=str), return_inverse=True)[1].astype(np.int64)
    keys = origins * len(texts.dictionary) + texts.indices.to_numpy()
    there = np.array([text != "" for text in texts.dictionary.to_pylist()], dtype=bool)
    known = there[texts.indices.to_numpy()]
    numbers: Groups = np.full(len(keys), -1, dtype=np.int64)
    numbers[known] = np.unique(keys[known], return_inverse=True)[1]
    return numbers


def values_together(name: str, columns: Mapping[str, pa.Array], sources: Sequence[str]) -> Groups:
    """Return the numbered values of the column whose equal values stay together.

    Raises:
        UserError: There is no such column, or it is empty.
    """
    if name not in columns:
        raise UserError(
            f"together: there is no column {name!r}; the pictures have "
            f"{', '.join(sorted(columns)) or 'no columns'}"
        )
    values = numbered(columns[name], sources)
    if values.max(initial=-1) < 0:
        raise UserError(f"together: column {name!r} is empty; name another, or fill it")
    return values


def joined_groups(duplicate_groups: Groups, values: Groups) -> Groups:
    """Join pictures that are linked by duplicates or equal values, directly or through others.

    Args:
        duplicate_groups: (n,) duplicate group of each picture, from 0.
        values: (n,) value of each picture from 0, -1 for none.

    Returns:
        (n,) group of each picture.
    """
    count = int(duplicate_groups.max()) + 1
    rows = np.flatnonzero(values >= 0)
    nodes = count + int(values.max()) + 1
    edges = (np.ones(len(rows)), (duplicate_groups[rows], count + values[rows]))
    _, components = connected_components(coo_array(edges, (nodes, nodes)), directed=False)
    return components[duplicate_groups].astype(np.int64)


def check_sides(name: str, values: Groups, splits: npt.NDArray[np.str_]) -> None:
    """Check that no split is empty because too many pictures stay together.

    Raises:
        UserError: A split is empty.
    """
    empty = [split for split in SHARES if split not in splits]
    if empty:
        raise UserError(
            f"together: column {name!r} has only {values.max() + 1:,} values, so {empty[0]} gets "
            "no picture; name a column with more values"
        )


def leaks(
    columns: Mapping[str, pa.Array],
    sources: Sequence[str],
    splits: npt.NDArray[np.str_],
    together: str | None,
) -> dict[str, dict[str, int]]:
    """Count values in train and in another split, for columns that look like persons or scenes.

    Args:
        columns: Columns of the pictures.
        sources: (n,) source of each picture.
        splits: (n,) ``train``, ``val`` or ``test``.
        together: Column that stays together; it is always checked.

    Returns:
        Column → number of ``values``, number of values ``on_both_sides`` of train and the rest, and
        number of validation and test ``pictures`` with such a value; only columns that leak.
    """
    found = {}
    for name, cells in columns.items():
        if not pa.types.is_string(cells.type) and name != together:
            continue
        values = numbered(cells, sources)
        if name != together and not _looks_like_a_grouping(name, values):
            continue
        train, rest = (set(values[(splits == "train") == side].tolist()) for side in (True, False))
        both = (train & rest) - {-1}
        if both:
            leaking = np.isin(values, list(both)) & (splits != "train")
            found[name] = {
                "values": int(values.max()) + 1,
                "on_both_sides": len(both),
                "pictures": int(leaking.sum()),
            }
    return found


def _looks_like_a_grouping(name: str, values: Groups) -> bool:
    pictures, count = int((values >= 0).sum()), int(values.max(initial=-1)) + 1
    if count < 2 or pictures < 2 * count:
        return False
    name = name.lower().strip()
    return bool(NAMES.fullmatch(name)) or (count >= MIN_VALUES and not NO_NAMES.fullmatch(name))
