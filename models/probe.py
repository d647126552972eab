"""Measures whether fused training of several members is faster than separate training."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import psutil
import torch

from models.config import TrainConfig
from models.cost import training_cost
from models.data import DeviceDataset
from models.epoch import Batch, seed_of, steps
from models.fused import NotFusableError
from models.loop import Loop
from models.seeding import seeded

LEAST_GAIN = 1.1
"""Fused training is used if it is at least this many times as fast as separate training."""
_CPU_PICTURES = 32
"""Pictures per step on a CPU, where time grows with their number; with fewer, the gain looks larger
than it is. A GPU trains on whole batches."""
_STEPS = 2
"""Number of timed steps, after a first one that includes one-time costs."""
_HOPELESS = 1.25
"""If the first fused step takes this many times as long as separate steps, no more are timed."""
_LEAST_STEPS = 100
"""If all members together have fewer steps, a probe costs more time than it can save."""
_CLOSE = 1e-2
"""Allowed difference between the losses of the first step, fused and separate. It is larger for a
network that mixes up its members."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What fusing certain members gains on a device."""

    gain: float
    """Pictures per second in fused training, divided by those in separate training."""
    channels_last: bool
    """Whether channels last is the faster layout in memory."""
    reason: str = ""
    """Why the members cannot be fused; empty if they can."""

    @property
    def pays(self) -> bool:
        """True if the members should be fused."""
        return self.gain >= LEAST_GAIN


def probe(
    configs: Sequence[TrainConfig],
    data: DeviceDataset,
    *,
    always: bool = False,
) -> Probe:
    """Time a few steps of separate and of fused training, and discard the results.

    The gain is 0 if the network cannot be fused, or its results differ when it is fused.

    Args:
        configs: The members.
        data: The pictures, on the training device.
        always: Whether the members are fused whenever possible. Then only channels last is tried,
            because the faster layout can vary between runs, and rounding with it.
    """
    if (needed := _state_bytes(configs, data)) > _room(data):
        reason = f"fusing {len(configs)} needs {needed / 1e9:.1f} GB, more than is free"
        return Probe(gain=0.0, channels_last=True, reason=reason)
    if not always and len(configs) * _steps(configs[0], data) < _LEAST_STEPS:
        return Probe(gain=0.0, channels_last=True, reason="too short to measure the gain")
    separate, losses = _time(configs[:1], data, channels_last=True)
    found = []
    # On a CPU, channels first was never faster.
    layouts = (True,) if always or data.device.type == "cpu" else (True, False)
    for channels_last in layouts:
        try:
            seconds, fused_losses = _time(
                configs,
                data,
                channels_last=channels_last,
                hopeless=_HOPELESS * len(configs) * separate,
            )
        except (NotFusableError, torch.OutOfMemoryError) as error:
            return Probe(gain=0.0, channels_last=True, reason=str(error))
        if not torch.allclose(fused_losses[:1], losses, rtol=_CLOSE, atol=_CLOSE):
            reason = f"the results of {configs[0].family} differ when it is fused"
            return Probe(gain=0.0, channels_last=True, reason=reason)
        found.append(Probe(gain=len(configs) * separate / seconds, channels_last=channels_last))
    return max(found, key=lambda layout: layout.gain)


def _time(
    configs: Sequence[TrainConfig],
    data: DeviceDataset,
    *,
    channels_last: bool,
    hopeless: float = math.inf,
) -> tuple[float, torch.Tensor]:
    """Return the seconds per step, and each member's mean loss in the first step."""
    loop = Loop(configs, data, channels_last=channels_last)
    pictures = _CPU_PICTURES if data.device.type == "cpu" else configs[0].batch_size
    steps_of_all = ([batch.first(pictures) for batch in batches] for batches in loop.batches())
    first, *others = islice(cycle(steps_of_all), 1 + _STEPS)
    rate = configs[0].learning_rate

    def timed(batches: Sequence[Batch]) -> tuple[float, torch.Tensor]:
        _wait(data)
        started = time.perf_counter()
        sums = loop.step(batches, rate)
        _wait(data)
        return time.perf_counter() - started, sums

    with seeded(seed_of(configs[0], 1), data.device):
        loop.prepare_epoch()
        seconds, sums = timed(first)
        if seconds < hopeless:
            seconds = min(timed(batches)[0] for batches in others)
    return seconds, (sums[:, 0] / first[0].pictures).cpu()


def _steps(config: TrainConfig, data: DeviceDataset) -> int:
    """Return the number of steps in a whole training."""
    pictures = len(data.rows("train", config.fold, config.folds))
    return config.epochs * steps(pictures, config.batch_size)


def _state_bytes(configs: Sequence[TrainConfig], data: DeviceDataset) -> int:
    cost = training_cost(configs[0], **data.task)
    return len(configs) * cost.memory_bytes


def _room(data: DeviceDataset) -> int:
    """Return the free memory for one worker, in bytes."""
    if data.device.type == "cuda":
        return int(torch.cuda.mem_get_info(data.device)[0])
    return int(psutil.virtual_memory().available) // (2 * (os.cpu_count() or 1))


def _wait(data: DeviceDataset) -> None:
    if data.device.type == "cuda":
        torch.cuda.synchronize(data.device)
