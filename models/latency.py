"""Measures how long a network takes to predict a batch of pictures."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.predict import predict_logits
from models.seeding import seeded

_WARM_UP = 5
"""Runs that are not counted: the first ones allocate memory and choose algorithms."""
_RUNS = 30
_SECONDS = 2.0
"""Time after which no further run begins, for slow networks."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from a batch of uint8 pictures to its logits, over many runs."""

    p50: float
    """Median."""
    p95: float
    """95th percentile."""


def time_network(
    config: TrainConfig, data: DeviceDataset, *, batch_size: int = 1, channels_last: bool = True
) -> Latency:
    """Build the network of ``config`` with random weights and time its predictions.

    The values of the weights do not change the time, so the network need not be trained.

    Args:
        config: The network, its precision and how it predicts.
        data: Pictures on the device that predicts.
        batch_size: Number of pictures that are predicted together.
        channels_last: Whether the network is in channels-last layout in memory.

    Raises:
        UserError: The network does not fit the pictures.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with seeded(0, data.device):
        model = build_model(config, **data.task).to(data.device).to(memory_format=layout)
    return time_predictions(model, data, config, batch_size=batch_size)


def time_predictions(
    model: nn.Module, data: DeviceDataset, config: TrainConfig, *, batch_size: int
) -> Latency:
    """Time the predictions of a network, as validation makes them, on the first pictures."""
    rows = torch.arange(batch_size, device=data.device) % len(data.labels)
    milliseconds: list[float] = []
    began = time.perf_counter()
    for run in range(_WARM_UP + _RUNS):
        started = time.perf_counter()
        predict_logits(model, data, rows, config).cpu()  # The copy waits for a GPU to finish.
        ended = time.perf_counter()
        if run >= _WARM_UP:
            milliseconds.append(1000 * (ended - started))
        if milliseconds and ended - began > _SECONDS:
            break
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return Latency(p50=round(float(p50), 3), p95=round(float(p95), 3))
