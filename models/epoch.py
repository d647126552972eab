"""The random draws of one epoch: a pure function of seed and epoch, so none needs to be saved."""

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
    """What one step trains on."""

    rows: Tensor
    """(members, b) rows of the dataset; members are trained as one, most often there is one."""
    transforms: Tensor | None
    """(members·b, 2, 3) matrices that change the pictures, or None."""
    mix: Tensor
    """(members,) weight of each picture against its partner in mixup, 0.5 to 1."""

    @property
    def pictures(self) -> int:
        """Pictures of each member."""
        return self.rows.shape[1]

    def first(self, count: int) -> Self:
        """Return the batch of one member without the pictures after the first ``count``."""
        transforms = None if self.transforms is None else self.transforms[:count]
        return replace(self, rows=self.rows[:, :count], transforms=transforms)

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Put batches of equal size side by side."""
        if len(batches) == 1:
            return batches[0]
        transforms = [one.transforms for one in batches if one.transforms is not None]
        return cls(
            rows=torch.cat([one.rows for one in batches]),
            transforms=torch.cat(transforms) if transforms else None,
            mix=torch.cat([one.mix for one in batches]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochPlan:
    """The order of the pictures in one epoch, and what is done to each."""

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
        """Draw the plan of ``epoch`` (from 1) over the training ``rows``.

        Args:
            config: What is trained.
            epoch: Counted from 1.
            rows: (m,) training rows; each is shown as often as it stands there.
            image_shape: Height and width of a picture.
            groups: (m,) group of each row where every batch shall hold equal shares of them.
        """
        rng = np.random.default_rng([config.seed, epoch])
        # Drawn on the CPU whatever the device, so that every machine trains in the same order.
        drawn = rng.permutation(len(rows)) if groups is None else balanced_order(groups, rng)
        order = torch.from_numpy(drawn[: used(len(rows), config.batch_size)])
        transforms = draw_transforms(config, len(order), image_shape, rng)
        mixes = np.ones(steps(len(rows), config.batch_size))
        if config.mixup > 0:
            mixes = rng.beta(config.mixup, config.mixup, len(mixes))
        return cls(
            rows=rows[order.to(rows.device)],
            transforms=None if transforms is None else transforms.to(rows.device),
            # A pair is unordered, so the label that weighs more may always come first.
            mixes=torch.from_numpy(np.maximum(mixes, 1 - mixes)).float().to(rows.device),
            batch_size=config.batch_size,
        )

    def batches(self) -> Iterator[Batch]:
        """Yield the steps of the epoch in order, for this one member."""
        for step in range(len(self.mixes)):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            transforms = None if self.transforms is None else self.transforms[part]
            mix = self.mixes[step : step + 1]
            yield Batch(rows=self.rows[None, part], transforms=transforms, mix=mix)


def used(count: int, batch_size: int) -> int:
    """Return how many of ``count`` pictures an epoch uses.

    All of them, unless one alone would be left for the last step: batch norm cannot train on it,
    so it sits this epoch out.

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
    """Return the seed of torch's own generator: 0 for the first weights, then for an epoch."""
    return int(np.random.SeedSequence([config.seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
