"""Which training pictures an epoch shows, how often, and how much each counts.

For groups on which a network does worse than on others. Only training rows come here: validation
and test pictures are judged once each, whatever is asked for.
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
    """The training pictures of an epoch before they are put in order."""

    rows: Tensor
    """(m,) rows of the dataset; those of an oversampled group stand there several times."""
    groups: npt.NDArray[np.int64] | None
    """(m,) group of each, numbered from 0, where batches are balanced; else None."""
    weights: Tensor | None
    """(n,) float32 weight of every picture of the dataset in the loss, 1 on average over ``rows``;
    None where all count alike."""

    @classmethod
    def create(cls, config: TrainConfig, dataset: ImageDataset, rows: Tensor) -> Self:
        """Work out what ``config`` asks for among the training ``rows``.

        Raises:
            ValueError: It names a column or a group that the dataset does not have; the message
                tells the nearest one.
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
    """Return (m,) places of the m pictures in which the groups take turns.

    So every batch holds equal shares of them. Pictures of a group that is too small come again,
    none a further time before all others of the group have; those of a large group sit out.

    Args:
        groups: (m,) group of each picture, numbered from 0.
        rng: Draws the order within each group, and that of the groups.
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
    """Smooth (n, classes) targets and scale each by its weight.

    The cross-entropy of such targets is the weighted one, of mixed pairs too.
    """
    smoothed = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    return smoothed * weights[:, None]


def _product(text: str, dataset: ImageDataset) -> npt.NDArray[np.float64]:
    """Return (n,) the number of each picture; of several groups that it is in, their product."""
    product = np.ones(len(dataset.labels))
    for one in group_factors(text):
        product[dataset.columns[one.column] == one.value] *= one.factor
    return product
