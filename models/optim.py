"""Optimisers and learning-rate schedules."""

import math

import torch
from torch import nn

from models.config import TrainConfig

WARM_UP_SHARE = 0.3
"""Share of a one-cycle schedule in which the rate rises."""
START_DIVISOR = 25.0
"""A one-cycle schedule starts at the peak rate divided by this."""
END_DIVISOR = 1e4
"""A one-cycle schedule ends at its start rate divided by this."""


def make_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of ``config`` over all parameters of ``model``."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    fused = parameters[0].device.type in ("cpu", "cuda")
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=fused
        )
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=fused)
    return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=fused)


def learning_rate_at(config: TrainConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of ``step`` (from 0) of ``total_steps`` in the whole training.

    ``cosine`` falls from the given rate to 0 (Loshchilov & Hutter 2017, "SGDR", eq. 5, without
    restarts). ``one_cycle`` rises and falls along half cosines (Smith & Topin 2019,
    "Super-convergence"; the form and constants of torch's ``OneCycleLR``).
    """
    peak = config.learning_rate
    if config.lr_schedule == "cosine":
        return _half_cosine(peak, 0.0, step / total_steps)
    if config.lr_schedule == "one_cycle":
        start = peak / START_DIVISOR
        top, last = WARM_UP_SHARE * total_steps - 1, total_steps - 1
        if step <= top:
            return _half_cosine(start, peak, step / top)
        return _half_cosine(peak, start / END_DIVISOR, (step - top) / (last - top))
    return peak


def _half_cosine(start: float, end: float, share: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine, as ``share`` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
