"""Profiles a training step."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from data_prep.reader import read_dataset
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import seed_of
from models.freed_memory import keep_freed_memory
from models.loop import Loop
from models.seeding import seeded

WARM_UP, STEPS = 3, 20
MOST = 10


def kernels(data: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return the operators (on one CPU thread) or GPU kernels that take most time of a step.

    Args:
        data: A prepared dataset.
        values: Hyperparameters for `TrainConfig.create`.

    Returns:
        Name → share of a step's time, in descending order.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    config = TrainConfig.create(values)
    loop = Loop([config], DeviceDataset.create(read_dataset(Path(data)), device))
    with seeded(seed_of(config, 1), device):
        loop.prepare_epoch()
        batches = loop.batches()
        for batch in islice(batches, WARM_UP):
            loop.step(batch, config.learning_rate)
        with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as found:
            for batch in islice(batches, STEPS):
                loop.step(batch, config.learning_rate)
            if gpu:
                torch.cuda.synchronize()
    taken = {
        event.key: event.self_device_time_total if gpu else event.self_cpu_time_total
        for event in found.key_averages()
    }
    whole = sum(taken.values())
    largest = sorted(taken, key=lambda name: taken[name], reverse=True)[:MOST]
    return {name: round(taken[name] / whole, 3) for name in largest}
