"""The training loop: a generator that yields the measurement of each epoch."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from torch import Tensor

from models.config import TrainConfig
from models.data import DeviceDataset
from models.fused import join
from models.loop import EpochResult, Loop


def fit(
    config: TrainConfig,
    data: DeviceDataset,
    *,
    state: Mapping[str, Any] | None = None,
    initial: Mapping[str, Tensor] | None = None,
) -> Generator[EpochResult, None, None]:
    """Train the network of ``config`` and yield a result after each epoch.

    Ends after ``config.epochs``, or after the first epoch whose loss is not finite. On one CPU
    thread equal arguments give equal results to the last digit, whatever else the process does.

    Args:
        config: What to train.
        data: The pictures, on the device that trains.
        state: `EpochResult.state` of an earlier training of this configuration, to go on exactly
            from there. Its tensors are taken over.
        initial: The first weights, where they are those of an earlier training.

    Raises:
        ValueError: The network, or a hyperparameter, does not fit the dataset.
    """
    states = None if state is None else [state]
    for results in fit_together([config], data, states=states, initial=initial):
        yield from results


def fit_together(
    configs: Sequence[TrainConfig],
    data: DeviceDataset,
    *,
    channels_last: bool = True,
    states: Sequence[Mapping[str, Any]] | None = None,
    initial: Mapping[str, Tensor] | None = None,
) -> Generator[list[EpochResult], None, None]:
    """Train several networks of equal shapes as one, and yield their results after each epoch.

    Each has its own first weights, order of pictures, augmentation and dropout, and ends where
    `fit` alone would end it, but for the last digits: sums may run in another order. One whose
    loss is not finite has no further results.

    Args:
        configs: What to train; they differ in seed and fold alone.
        data: The pictures, on the device that trains.
        channels_last: Layout of the pictures in memory.
        states: `EpochResult.state` of each after the same epoch, to go on from there.
        initial: The first weights of all, where they are those of an earlier training.

    Raises:
        NotFusableError: The network has a layer that cannot serve several members, or the members'
            epochs have different numbers of steps.
        ValueError: As `fit`.
    """
    loop = Loop(configs, data, channels_last=channels_last)
    if states is not None:
        loop.load(states)
    elif initial is not None:
        loop.model.load_state_dict(join([initial] * loop.members))
    else:
        loop.load_pretrained()
    while loop.epoch < configs[0].epochs and not all(loop.diverged):
        going_on = [member for member, diverged in enumerate(loop.diverged) if not diverged]
        results = loop.train_epoch()
        loop.diverged = [
            before or one.diverged for before, one in zip(loop.diverged, results, strict=True)
        ]
        yield [results[member] for member in going_on]
