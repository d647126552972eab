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
from models.config import TrainConfig
from models.sampling import balanced_order


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The pictures of one training step."""

    rows: Tensor
    """(members, b) dataset rows; one member, or several that are trained as one network."""
    transforms: Tensor | None
    """(members·b, 2, 3) matrices that transform the pictures, or None."""
    mix: Tensor
    """(members,) mixup weight of each picture against its partner, from 0.5 to 1."""
    pixels: Tensor | None = None
    """(members·b, …) uint8 pixels of the rows if they were gathered ahead of the step."""

    @property
    def pictures(self) -> int:
        """Number of pictures per member."""
        return self.rows.shape[1]

    def first(self, count: int) -> Self:
        """Return the first ``count`` pictures of a batch with one member."""
        transforms = None if self.transforms is None else self.transforms[:count]
        pixels = None if self.pixels is None else self.pixels[:count]
        return replace(self, rows=self.rows[:, :count], transforms=transforms, pixels=pixels)

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Join the members' batches, all of equal size."""
        if len(batches) == 1:
            return batches[0]
        transforms = [batch.transforms for batch in batches if batch.transforms is not None]
        pixels = [batch.pixels for batch in batches if batch.pixels is not None]
        return cls(
            rows=torch.cat([batch.rows for batch in batches]),
            transforms=torch.cat(transforms) if transforms else None,
            mix=torch.cat([batch.mix for batch in batches]),
            pixels=torch.cat(pixels) if pixels else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochPlan:
    """The order of the pictures in one epoch, with their transforms and mixup weights."""

    rows: Tensor
    transforms: Tensor | None
    mixes: Tensor
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
        transforms = draw_transforms(config, len(order), image_shape, rng)
        mixes = np.ones(steps(len(rows), config.batch_size))
        if config.mixup > 0:
            mixes = rng.beta(config.mixup, config.mixup, len(mixes))
        return cls(
            rows=rows[order.to(rows.device)],
            transforms=None if transforms is None else transforms.to(rows.device),
            # Pairs are unordered, so the label with the larger weight can always come first.
            mixes=torch.from_numpy(np.maximum(mixes, 1 - mixes)).float().to(rows.device),
            batch_size=config.batch_size,
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the epoch's batches in order; each has one member."""
        for step in range(len(self.mixes)):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            transforms = None if self.transforms is None else self.transforms[part]
            mix = self.mixes[step : step + 1]
            yield Batch(rows=self.rows[None, part], transforms=transforms, mix=mix)


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
