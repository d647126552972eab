"""Decides whether sources' own splits are kept, and finds the copies that are in several splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.splits import SHARES, SplitMethod
from fairsweep.errors import UserError

COPY_COLUMNS = ("duplicate_group", "image_id", "split", "label")

Splits = npt.NDArray[np.str_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnSplit:
    """The split that a source comes with."""

    source: str
    ids: Sequence[str]
    given: Splits
    """(n,) ``train``, ``val`` or ``test``; empty if the source gives none."""
    is_official: bool = True
    """False if this program made the split, as in most prepared datasets; such a split is kept only
    on request."""

    @property
    def exists(self) -> bool:
        """Whether the source has validation or test pictures; train alone is not a split."""
        return bool(np.isin(self.given, ("val", "test")).any())

    @property
    def fault(self) -> str:
        """Why the split cannot be kept; empty if it can."""
        names = set(self.given.tolist())
        if names <= {""}:
            return "has no splits of its own"
        if "" in names:
            without = np.flatnonzero(self.given == "")
            return (
                f"has {len(without):,} pictures in none of train, val and test, such as "
                f"{self.ids[int(without[0])]}"
            )
        if "train" not in names or len(names) < 2:
            return f"has only {' and '.join(sorted(names, reverse=True))}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen method of splitting, and messages for the user about it."""

    method: SplitMethod
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def choose_split(asked: SplitMethod | None, own: Sequence[OwnSplit]) -> Choice:
    """Choose the method of splitting; by default, official splits of all sources are kept.

    Raises:
        UserError: Split given is requested, but a source has no split that can be kept.
    """
    if asked == "given":
        for split in own:
            if split.fault:
                raise UserError(
                    f"split given: source {split.source!r} {split.fault}; use split grouped"
                )
    if asked is not None:
        return Choice(method=asked)
    official = [split for split in own if split.is_official and split.exists]
    if not official:
        return Choice(method="grouped")
    unfit = [split for split in own if split.fault or not split.is_official]
    if not unfit:
        return Choice(method="given", notes=(_kept(own),))
    reason = unfit[0].fault or "has no official split"
    return Choice(
        method="grouped",
        warnings=(
            f"source {official[0].source!r} has an official split, but source "
            f"{unfit[0].source!r} {reason}, so all pictures are split again and official test "
            "pictures may be used for training",
        ),
    )


def _kept(own: Sequence[OwnSplit]) -> str:
    names = {name for split in own for name in split.given.tolist()}
    *others, last = (name for name in SHARES if name in names)
    there = f"{', '.join(others)} and {last}"
    drawn = "".join(f"; {name} is drawn from train" for name in SHARES if name not in names)
    return (
        f"the source's own {there} are kept (split given){drawn}; "
        "split grouped would split all pictures again"
    )


def copies_across(splits: Splits, groups: Rows) -> Rows:
    """Return the rows of all pictures that have a duplicate in another split, group by group."""
    places = np.unique(splits, return_inverse=True)[1]
    low = np.full(groups.max(initial=-1) + 1, len(SHARES))
    high = np.full(len(low), -1)
    np.minimum.at(low, groups, places)
    np.maximum.at(high, groups, places)
    rows = np.flatnonzero((low < high)[groups])
    return rows[np.argsort(groups[rows], kind="stable")]


def about_given(
    splits: Splits,
    given: Splits,
    groups: Rows,
    labels: npt.NDArray[np.integer],
) -> dict[str, Any]:
    """Return what a manifest's details record about a split that was given.

    Returns:
        ``dealt_splits``: the splits that were not given. ``copies_across_splits``: the number of
        duplicate ``groups`` in several splits, the number of ``groups_of_several_labels`` among
        them, and their ``pictures`` by split.
    """
    rows = copies_across(splits, groups)
    of_group = np.unique(np.stack([groups[rows], labels[rows].astype(np.int64)], 1), axis=0)[:, 0]
    counts = np.unique(of_group, return_counts=True)[1]
    return {
        "dealt_splits": [name for name in SHARES if not (given == name).any()],
        "copies_across_splits": {
            "groups": len(counts),
            "groups_of_several_labels": int((counts > 1).sum()),
            "pictures": {name: int((splits[rows] == name).sum()) for name in SHARES},
        },
    }


def absent_classes(
    splits: Splits, labels: npt.NDArray[np.integer], classes: Sequence[str]
) -> Iterator[str]:
    """Yield a line for each split that has no picture of some class."""
    for split in SHARES:
        there = set(labels[splits == split].tolist())
        names = [repr(name) for place, name in enumerate(classes) if place not in there]
        if names:
            yield f"{split} has no picture of {', '.join(names)}"
