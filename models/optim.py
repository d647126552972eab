"""Optimisers and learning-rate schedules."""

import math
from inspect import unwrap
from typing import Any, TypeVar

import torch
from torch import nn

from fairsweep.errors import UserError
from models.config import TrainConfig

WARM_UP_SHARE = 0.3
"""Share of a one-cycle schedule during which the rate rises."""
START_DIVISOR = 25.0
"""A one-cycle schedule starts at the peak rate divided by this."""
END_DIVISOR = 1e4
"""A one-cycle schedule ends at its start rate divided by this."""


_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


def _uncompiled(kind: type[_Kind]) -> type[_Kind]:
    """Return an optimiser class that leaves `torch.compile` out.

    Torch wraps these methods in calls of ``torch._dynamo``, whose import takes every new worker
    more than two seconds; outside compiled code the calls do nothing.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: unwrap(getattr(kind, name)) for name in names}
    step = torch.no_grad()(unwrap(kind.step))
    made: type[_Kind] = type(kind.__name__, (kind,), {**methods, "step": step})
    return made


_ADAM = _uncompiled(torch.optim.Adam)
_ADAMW = _uncompiled(torch.optim.AdamW)
_SGD = _uncompiled(torch.optim.SGD)


def make_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of ``config`` for all parameters of ``model`` that are not frozen.

    With a ``head_learning_rate``, the parameters of the head are its second group.

    Raises:
        UserError: ``head_learning_rate`` is given, but the network has no ``head``.
    """
    parameters: Any = [p for p in model.parameters() if p.requires_grad]
    fused = parameters[0].device.type in ("cpu", "cuda")
    if config.head_learning_rate is not None:
        head = getattr(model, "head", None)
        if head is None:
            raise UserError(
                f"family {config.family} has no part named head; leave out head_learning_rate"
            )
        in_head = set(head.parameters())
        parameters = [
            {"params": [p for p in parameters if p not in in_head]},
            {"params": [p for p in parameters if p in in_head]},
        ]
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return _SGD(parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=fused)
    if config.optimizer == "adamw":
        return _ADAMW(parameters, rate, weight_decay=decay, fused=fused)
    return _ADAM(parameters, rate, weight_decay=decay, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, rate: float) -> None:
    """Set the rate of the next step; the head's rate keeps its ratio to the others."""
    rates = [rate]
    if config.head_learning_rate is not None:
        rates.append(rate * config.head_learning_rate / config.learning_rate)
    for group, value in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = value


def learning_rate_at(config: TrainConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of ``step`` (from 0) of ``total_steps`` in the whole training.

    ``cosine`` falls from the given rate to 0 (Loshchilov & Hutter 2017, "SGDR", eq. 5, without
    restarts). ``one_cycle`` rises and falls along half cosines (Smith & Topin 2019,
    "Super-convergence"; the form and constants of torch's ``OneCycleLR``). During
    ``warmup_epochs``, the rate of the schedule is multiplied by a share that rises to 1.
    """
    warm_up = config.warmup_epochs * total_steps / config.epochs
    share = (step + 1) / warm_up if step + 1 < warm_up else 1.0
    return share * _scheduled_rate(config, step, total_steps)


def _scheduled_rate(config: TrainConfig, step: int, total_steps: int) -> float:
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
    """Interpolate from ``start`` to ``end`` along half a cosine, for ``share`` from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
