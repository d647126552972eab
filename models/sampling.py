"""Which training pictures an epoch shows, how often, and with which weight.

This serves groups on which a network does worse than on others. It never affects validation and
test pictures, each of which is evaluated once.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data_prep.reader import ImageDataset
from models.config import TrainConfig
from models.groups import group_factors
from models.known_groups import check_groups


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """The training pictures of an epoch, before shuffling."""

    rows: Tensor
    """(m,) rows of the dataset; those of an oversampled group occur several times."""
    groups: npt.NDArray[np.int64] | None
    """(m,) group of each row, numbered from 0, if batches are balanced; otherwise None."""
    weights: Tensor | None
    """(n,) float32 weight of every picture of the dataset in the loss, with mean 1 over ``rows``;
    None for equal weights."""

    @classmethod
    def create(cls, config: TrainConfig, dataset: ImageDataset, rows: Tensor) -> Self:
        """Apply the sampling hyperparameters of ``config`` to the training ``rows``.

        Raises:
            UserError: The dataset lacks a column or a group; the message names the nearest one.
        """
        check_groups(config, dataset.columns)
        if config.oversample is not None:
            times = torch.from_numpy(_product(config.oversample, dataset)).long().to(rows.device)
            rows = rows.repeat_interleave(times[rows])
        groups = weights = None
        if config.balance is not None:
            cells = [dataset.columns[name] for name in config.balance.split(",")]
            names = np.stack(cells, axis=1)[rows.cpu().numpy()]
            groups = np.unique(names, axis=0, return_inverse=True)[1].reshape(-1)
        if config.sample_weights is not None:
            weights = torch.from_numpy(_product(config.sample_weights, dataset)).to(rows.device)
            weights = (weights / weights[rows].mean()).float()
        return cls(rows=rows, groups=groups, weights=weights)


def balanced_order(
    groups: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return (m,) indices of the m pictures in an order in which the groups alternate.

    So every batch holds equal shares of the groups. Pictures of small groups are repeated, none
    once more before all others of its group; some pictures of large groups are left out.

    Args:
        groups: (m,) group of each picture, numbered from 0.
        rng: Draws the order of the groups and the order within each group.
    """
    count = int(groups.max()) + 1
    turns = -(-len(groups) // count)
    order = np.empty((turns, count), dtype=np.int64)
    for column, group in enumerate(rng.permutation(count)):
        members = np.flatnonzero(groups == group)
        rounds = [rng.permutation(members) for _ in range(-(-turns // len(members)))]
        order[:, column] = np.concatenate(rounds)[:turns]
    return order.reshape(-1)[: len(groups)]


def weighted(targets: Tensor, weights: Tensor, label_smoothing: float) -> Tensor:
    """Smooth the (n, classes) targets and multiply each by its weight.

    The cross-entropy with these targets is the weighted loss, also for mixed pairs.
    """
    smoothed = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    return smoothed * weights[:, None]


def _product(text: str, dataset: ImageDataset) -> npt.NDArray[np.float64]:
    """Return the (n,) factor of each picture: the product of those of its groups."""
    product = np.ones(len(dataset.labels))
    for group in group_factors(text):
        product[dataset.columns[group.column] == group.value] *= group.factor
    return product
