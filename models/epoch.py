"""The random draws of one epoch, a pure function of seed and epoch, so they are never saved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fairsweep.errors import UserError
from models.augment import draw_transforms
from models.boxes import Mixing, draw_erased, draw_mixing
from models.config import TrainConfig
from models.sampling import balanced_order
from models.trivial import draw_operations


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The pictures of one training step."""

    rows: Tensor
    """(members, b) dataset rows; one member, or several that are trained as one network."""
    transforms: Tensor | None
    """(members·b, 2, 3) matrices that transform the pictures, or None."""
    mix: Tensor
    """(members,) mixup weight of each picture against its partner, from 0.5 to 1."""
    cuts: Tensor | None = None
    """(members, 4) box of each picture that CutMix takes from its partner, or None."""
    changes: Tensor | None = None
    """(members·b, 3) how the pixel values of each picture change, or None."""
    erased: Tensor | None = None
    """(members·b, 4) box of each picture that is erased, or None."""
    pixels: Tensor | None = None
    """(members·b, …) uint8 pixels of the rows if they were gathered ahead of the step."""

    @property
    def pictures(self) -> int:
        """Number of pictures per member."""
        return self.rows.shape[1]

    def first(self, count: int) -> Self:
        """Return the first ``count`` pictures of a batch with one member."""
        return replace(
            self,
            rows=self.rows[:, :count],
            transforms=_part(self.transforms, slice(count)),
            changes=_part(self.changes, slice(count)),
            erased=_part(self.erased, slice(count)),
            pixels=_part(self.pixels, slice(count)),
        )

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Join the members' batches, all of equal size."""
        if len(batches) == 1:
            return batches[0]
        return cls(
            rows=torch.cat([batch.rows for batch in batches]),
            transforms=_joined([batch.transforms for batch in batches]),
            mix=torch.cat([batch.mix for batch in batches]),
            cuts=_joined([batch.cuts for batch in batches]),
            changes=_joined([batch.changes for batch in batches]),
            erased=_joined([batch.erased for batch in batches]),
            pixels=_joined([batch.pixels for batch in batches]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochPlan:
    """The order of the pictures in one epoch, and how they are changed and mixed."""

    rows: Tensor
    transforms: Tensor | None
    changes: Tensor | None
    mixing: Mixing
    erased: Tensor | None
    batch_size: int

    @classmethod
    def draw(
        cls,
        config: TrainConfig,
        epoch: int,
        rows: Tensor,
        image_shape: tuple[int, int],
        groups: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Draw the plan of ``epoch`` over the training ``rows``.

        Args:
            config: Configuration of the trial.
            epoch: Counted from 1.
            rows: (m,) training rows; a row that occurs several times is shown that often.
            image_shape: Height and width of a picture.
            groups: (m,) group of each row if batches are balanced by group.
        """
        rng = np.random.default_rng([config.seed, epoch])
        # Drawn on the CPU for every device, so that all machines train in the same order.
        drawn = rng.permutation(len(rows)) if groups is None else balanced_order(groups, rng)
        order = torch.from_numpy(drawn[: used(len(rows), config.batch_size)])
        trivial = config.augmentation == "trivial"
        operations = draw_operations(len(order), rng) if trivial else None
        transforms = draw_transforms(config, len(order), image_shape, rng, operations)
        changes = None if operations is None else operations.changes()
        mixing = draw_mixing(config, steps(len(rows), config.batch_size), rng)
        erased = draw_erased(config, len(order), image_shape, rng)
        weights, cuts = mixing.weights.to(rows.device), _moved(mixing.cuts, rows.device)
        return cls(
            rows=rows[order.to(rows.device)],
            transforms=_moved(transforms, rows.device),
            changes=_moved(changes, rows.device),
            mixing=Mixing(weights, cuts),
            erased=_moved(erased, rows.device),
            batch_size=config.batch_size,
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the epoch's batches in order; each has one member."""
        for step in range(len(self.mixing.weights)):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            yield Batch(
                rows=self.rows[None, part],
                transforms=_part(self.transforms, part),
                mix=self.mixing.weights[step : step + 1],
                cuts=_part(self.mixing.cuts, slice(step, step + 1)),
                changes=_part(self.changes, part),
                erased=_part(self.erased, part),
            )


def _moved(values: Tensor | None, device: torch.device) -> Tensor | None:
    return None if values is None else values.to(device)


def _part(values: Tensor | None, part: slice) -> Tensor | None:
    return None if values is None else values[part]


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None


def used(count: int, batch_size: int) -> int:
    """Return how many of ``count`` pictures an epoch uses.

    All of them, unless the last batch would have one picture: batch norm cannot train on a single
    picture, so the epoch skips it.

    Raises:
        UserError: There is only one picture.
    """
    if count < 2:
        raise UserError(f"training needs at least 2 pictures, but got {count}")
    return count - (count % batch_size == 1)


def steps(count: int, batch_size: int) -> int:
    """Return the number of steps of an epoch over ``count`` pictures."""
    return -(-used(count, batch_size) // batch_size)


def seed_of(config: TrainConfig, epoch: int) -> int:
    """Return the seed of torch's generator in ``epoch``; 0 stands for the initial weights."""
    return int(np.random.SeedSequence([config.seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
