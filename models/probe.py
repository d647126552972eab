"""Measures whether members are trained faster as one than one after another."""

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
from models.loop import Loop, seeded

LEAST_GAIN = 1.1
"""Fused training must be so many times as fast as the same trainings in turn to be worth it."""
_CPU_PICTURES = 32
"""Pictures a step on a CPU, where time grows with them; of fewer, the gain looks larger than it is.
A GPU is asked for whole batches."""
_STEPS = 2
"""Steps that are timed, after one that pays for what is done once."""
_HOPELESS = 1.25
"""Where the first step takes so many times the steps apart, no other is tried."""
_LEAST_STEPS = 100
"""Trainings of fewer steps, all members together, end sooner than a probe pays for itself."""
_CLOSE = 1e-2
"""How far a loss of the first step may be from that of a training alone; a network that mixes up
its members is further off."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What fusing these members would bring on this device."""

    gain: float
    """Pictures a second as one, over those in turn."""
    channels_last: bool
    """The faster layout in memory."""
    reason: str = ""
    """Why they cannot be fused, where they cannot."""

    @property
    def pays(self) -> bool:
        """True if they had better be trained as one."""
        return self.gain >= LEAST_GAIN


def probe(
    configs: Sequence[TrainConfig],
    data: DeviceDataset,
    *,
    always: bool = False,
) -> Probe:
    """Take a few steps with the members apart and as one, and throw them away.

    A network that cannot be fused, or computes something else then, has a gain of 0.

    Args:
        configs: The members.
        data: The pictures, on the device that would train.
        always: Whether they are to be trained as one if only they can be, with channels last: which
            layout is faster may change from run to run, and the last digits with it.
    """
    if (needed := _state_bytes(configs, data)) > _room(data):
        reason = f"{len(configs)} at once need {needed / 1e9:.1f} GB, which are not free"
        return Probe(gain=0.0, channels_last=True, reason=reason)
    if not always and len(configs) * _steps(configs[0], data) < _LEAST_STEPS:
        return Probe(gain=0.0, channels_last=True, reason="too short to measure whether it pays")
    alone, losses = _time(configs[:1], data, channels_last=True)
    found = []
    # On a CPU channels first has never been faster.
    layouts = (True,) if always or data.device.type == "cpu" else (True, False)
    for channels_last in layouts:
        try:
            seconds, fused_losses = _time(
                configs,
                data,
                channels_last=channels_last,
                hopeless=_HOPELESS * len(configs) * alone,
            )
        except (NotFusableError, torch.OutOfMemoryError) as error:
            return Probe(gain=0.0, channels_last=True, reason=str(error))
        if not torch.allclose(fused_losses[:1], losses, rtol=_CLOSE, atol=_CLOSE):
            reason = f"{configs[0].family} computes something else for several members at once"
            return Probe(gain=0.0, channels_last=True, reason=reason)
        found.append(Probe(gain=len(configs) * alone / seconds, channels_last=channels_last))
    return max(found, key=lambda one: one.gain)


def _time(
    configs: Sequence[TrainConfig],
    data: DeviceDataset,
    *,
    channels_last: bool,
    hopeless: float = math.inf,
) -> tuple[float, torch.Tensor]:
    """Return the seconds of a step, and the mean loss of each member in the first one."""
    loop = Loop(configs, data, channels_last=channels_last)
    pictures = _CPU_PICTURES if data.device.type == "cpu" else configs[0].batch_size
    steps_of_all = ([one.first(pictures) for one in batches] for batches in loop.batches())
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
    """Return the steps of a whole training."""
    pictures = len(data.rows("train", config.fold, config.folds))
    return config.epochs * steps(pictures, config.batch_size)


def _state_bytes(configs: Sequence[TrainConfig], data: DeviceDataset) -> int:
    cost = training_cost(configs[0], **data.task)
    return len(configs) * cost.memory_bytes


def _room(data: DeviceDataset) -> int:
    """Return the bytes that are free for one worker."""
    if data.device.type == "cuda":
        return int(torch.cuda.mem_get_info(data.device)[0])
    return int(psutil.virtual_memory().available) // (2 * (os.cpu_count() or 1))


def _wait(data: DeviceDataset) -> None:
    if data.device.type == "cuda":
        torch.cuda.synchronize(data.device)
