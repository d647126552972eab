"""Measures how large a network is, and how long it takes to predict pictures."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.predict import predict_logits
from models.seeding import seeded

_WARM_UP, _WARM_UP_SECONDS = 5, 0.5
"""Most runs that are not counted, because they allocate memory and choose algorithms; and the time
after which no more of them begin."""
_RUNS, _LEAST_RUNS, _SECONDS = 30, 10, 2.0
"""Most and fewest runs that are counted; and the time after which no more than the fewest begin."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from a batch of uint8 pictures to its logits, over many runs."""

    p50: float
    """Median."""
    p95: float
    """95th percentile."""


@dataclass(frozen=True, kw_only=True)
class MeasuredNetwork:
    """How large and how fast a network is."""

    parameters: int
    """All parameters, trainable and frozen."""
    weights_bytes: int
    """Bytes of all parameters and buffers, as they are exported."""
    latencies: Mapping[int, Latency]
    """Number of pictures that are predicted together → their latency."""


def measure_network(
    config: TrainConfig,
    data: DeviceDataset,
    *,
    batch_sizes: Iterable[int] = (1,),
    channels_last: bool = True,
) -> MeasuredNetwork:
    """Build the network of ``config`` with random weights and time its predictions.

    The values of the weights do not change the time, so the network need not be trained.

    Args:
        config: The network, its precision and how it predicts.
        data: Pictures on the device that predicts.
        batch_sizes: Numbers of pictures that are predicted together.
        channels_last: Whether the network is in channels-last layout in memory.

    Raises:
        UserError: The network does not fit the pictures.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with seeded(0, data.device):
        model = build_model(config, **data.task).to(data.device).to(memory_format=layout)
    weights = model.state_dict().values()
    return MeasuredNetwork(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights),
        latencies={size: _time(model, data, config, size) for size in batch_sizes},
    )


def _time(model: nn.Module, data: DeviceDataset, config: TrainConfig, batch_size: int) -> Latency:
    """Time the predictions of a network, as validation makes them, on the first pictures."""
    rows = torch.arange(batch_size, device=data.device) % len(data.labels)

    def milliseconds() -> float:
        started = time.perf_counter()
        predict_logits(model, data, rows, config).cpu()  # The copy waits for a GPU to finish.
        return 1000 * (time.perf_counter() - started)

    began = time.perf_counter()
    for _ in range(_WARM_UP):
        milliseconds()
        if time.perf_counter() - began > _WARM_UP_SECONDS:
            break
    counted = [milliseconds() for _ in range(_LEAST_RUNS)]
    while len(counted) < _RUNS and time.perf_counter() - began < _SECONDS:
        counted.append(milliseconds())
    p50, p95 = np.percentile(counted, [50, 95])
    return Latency(p50=round(float(p50), 3), p95=round(float(p95), 3))
