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
    thread, equal arguments give bit-identical results, whatever else the process does.

    Args:
        config: The configuration to train.
        data: The pictures, on the training device.
        state: `EpochResult.state` of an earlier training of this configuration, from which this
            one continues exactly. Its tensors may be modified.
        initial: Initial weights, if they come from an earlier training.

    Raises:
        UserError: The network, or a hyperparameter, does not fit the dataset.
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

    Each has its own initial weights, order of pictures, augmentation and dropout. Results match
    those of `fit` up to rounding, because sums may run in another order. A network whose loss is
    not finite yields no further results.

    Args:
        configs: Configurations that differ only in seed and fold.
        data: The pictures, on the training device.
        channels_last: Whether pictures are in channels-last layout in memory.
        states: `EpochResult.state` of each network, all after the same epoch, to continue from.
        initial: Initial weights of all networks, if they come from an earlier training.

    Raises:
        NotFusableError: The network has a layer that cannot be fused, or the epochs of the networks
            have different numbers of steps.
        UserError: As `fit`.
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
            earlier or result.diverged
            for earlier, result in zip(loop.diverged, results, strict=True)
        ]
        yield [results[member] for member in going_on]
