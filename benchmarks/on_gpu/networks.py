"""Checks that a GPU computes the same training as a CPU, with and without each optimisation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.on_gpu.parts import Row, Settings
from data_prep.reader import read_dataset
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import seed_of
from models.fit import fit
from models.loop import Loop
from models.seeding import seeded

Floats = npt.NDArray[np.float64]

STEPS = 20
ROUNDING = 1e-5
"""Relative deviation of a loss that float32 always allows: its rounding of 6e-8, times the square
root of the 10,000 numbers that a convolution or a batch adds up."""
MARGIN = 10.0
"""A change may deviate this many times as much as the same arithmetic in another order."""
TF32_ROUNDING = 1e-2
"""Deviation allowed with TF32 (10 bits of mantissa), in which cuDNN convolves by default."""
MEMBERS = 3
SEEDS = 3


def check(settings: Settings) -> Iterator[Row]:
    """Yield one result for each check."""
    source = read_dataset(settings.small)
    on_cpu = DeviceDataset.create(source)
    data = DeviceDataset.create(source, settings.device)
    config = _config(settings)
    torch.set_num_threads(1)
    with _whole_float32():
        expected = step_losses([config], on_cpu)
        noise = deviation(step_losses([config], on_cpu, channels_last=False), expected)
        yield _compared("losses equal the CPU's", step_losses([config], data), expected, noise)
        eager = step_losses([config], data, graph=False)
        noise = max(noise, deviation(step_losses([config], data, graph=False), eager))
        graph = step_losses([config], data)
        yield _compared("a CUDA graph equals eager", graph, eager, noise)
        yield _dropout_is_drawn_anew(config, data)
        yield _fused_equals_apart(config, data, noise)
    told = step_losses([config], data)
    yield _judged("losses with TF32 are close", deviation(told, expected), TF32_ROUNDING)
    yield _bf16_within_noise(config, data, epochs=3 if settings.on_gpu else 2)


def step_losses(
    configs: Sequence[TrainConfig],
    data: DeviceDataset,
    *,
    graph: bool = True,
    channels_last: bool = True,
) -> Floats:
    """Return the (steps, members) mean losses of the first steps of a training."""
    as_it_is = patch("models.loop.captured", lambda model, *_: model)
    with nullcontext() if graph else as_it_is:
        loop = Loop(configs, data, channels_last=channels_last)
    sums = []
    with seeded(seed_of(configs[0], 1), data.device):
        loop.prepare_epoch()
        for batches in islice(loop.batches(), STEPS):
            trained = loop.step(batches, configs[0].learning_rate)
            sums.append(trained[:, 0] / batches[0].pictures)
    return torch.stack(sums).double().cpu().numpy()


def deviation(found: Floats, expected: Floats) -> float:
    """Return the largest relative difference; infinite if a loss is not finite."""
    largest = float(np.max(np.abs(found - expected) / np.abs(expected)))
    return largest if np.isfinite(largest) else float("inf")


def _config(settings: Settings) -> TrainConfig:
    """Return a small network without dropout, trained by SGD.

    Adam turns rounding into steps of full size wherever a gradient is nearly zero.
    """
    size = {"channels": 16, "blocks": 2} if settings.on_gpu else {"channels": 4, "blocks": 1}
    return TrainConfig.create(
        {
            "family": "resnet",
            "pool_size": 6,
            "fc_width": 32,
            "dropout": 0.0,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "augmentation": "flip_rotate",
            "batch_size": 64 if settings.on_gpu else 16,
            **size,
        }
    )


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Compute in float32 instead of TF32, which cuDNN takes by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _judged(what: str, found: float, allowed: float, **more: Any) -> Row:
    return {"what": what, "passed": found <= allowed, "deviation": found, "allowed": allowed} | more


def _compared(what: str, found: Floats, expected: Floats, noise: float) -> Row:
    """Judge losses by how much the same arithmetic in another order deviates."""
    allowed = max(ROUNDING, MARGIN * noise)
    return _judged(what, deviation(found, expected), allowed, noise=noise, steps=len(expected))


def _dropout_is_drawn_anew(config: TrainConfig, data: DeviceDataset) -> Row:
    """Check that each replay of a graph draws its own dropout, and not the captured one."""
    config = replace(config, dropout=0.5, augmentation="none", learning_rate=1e-12)
    loop = Loop([config], data)
    with seeded(seed_of(config, 1), data.device):
        loop.prepare_epoch()
        batch = next(iter(loop.batches()))
        losses = [float(loop.step(batch, config.learning_rate)[0, 0]) for _ in range(3)]
    differ = len(set(losses)) == len(losses)
    return {"what": "a graph draws dropout anew", "passed": differ, "losses": losses}


def _fused_equals_apart(config: TrainConfig, data: DeviceDataset, noise: float) -> Row:
    members = [replace(config, seed=seed) for seed in range(MEMBERS)]
    apart = np.concatenate([step_losses([member], data) for member in members], axis=1)
    return _compared("fused equals apart", step_losses(members, data), apart, noise)


def _bf16_within_noise(config: TrainConfig, data: DeviceDataset, *, epochs: int) -> Row:
    """Compare validation losses of trainings in bf16 with those in float32, over a few seeds."""
    config = replace(config, epochs=epochs)
    wide, narrow = (
        np.array([_last_loss(replace(config, seed=s, precision=kind), data) for s in range(SEEDS)])
        for kind in ("float32", "bf16")
    )
    difference = abs(float(narrow.mean() - wide.mean()))
    # Three standard errors of the difference, and what the coarser number itself rounds (2^-8).
    allowed = 3 * float(wide.std(ddof=1)) * (2 / SEEDS) ** 0.5 + 2**-8 * float(wide.mean())
    losses = {"float32": wide.tolist(), "bf16": narrow.tolist()}
    return _judged("bf16 is within the noise of seeds", difference, allowed, losses=losses)


def _last_loss(config: TrainConfig, data: DeviceDataset) -> float:
    *_, last = (result.values["val_loss"] for result in fit(config, data))
    return last
