"""The cost of training a configuration: parameters, arithmetic, memory and disk."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.build import build_model, unallocated
from models.config import TrainConfig
from models.input_size import input_shape
from models.state_size import state_bytes

BACKWARD = 3
"""Arithmetic and memory traffic of a training step relative to its forward pass: each layer's
gradients with respect to its inputs and to its weights cost as much as its forward pass."""


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """The cost of training one configuration."""

    parameters: int
    """Number of trainable parameters."""
    flop_per_picture: int
    """Floating-point operations of one picture's forward pass."""
    memory_bytes: int
    """Weights, gradients, optimiser state, and all trainable layers' outputs for one batch."""
    checkpoint_bytes: int
    """``last.pt`` and ``best.pt`` together."""


def training_cost(
    config: TrainConfig, *, classes: int, image_shape: tuple[int, int], image_channels: int = 1
) -> TrainingCost:
    """Compute the cost of ``config`` without allocating its network, except of own code.

    Raises:
        UserError: The network does not fit pictures of this size.
    """
    kept = largest = 0

    def count(_module: object, _inputs: object, output: torch.Tensor) -> None:
        nonlocal kept, largest
        largest = max(largest, output.numel())
        if output.requires_grad:  # The backward pass needs no outputs of frozen layers.
            kept += output.numel()

    with unallocated(config):
        model = build_model(
            config, classes=classes, image_shape=image_shape, image_channels=image_channels
        ).eval()
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(count)
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, image_channels, *input_shape(config, image_shape)))
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters()) - parameters
    state = state_bytes(parameters, config.optimizer, averaged=config.ema_decay > 0)
    return TrainingCost(
        parameters=parameters,
        flop_per_picture=int(counter.get_total_flops()),
        memory_bytes=state + 4 * (frozen + max(kept, largest) * config.batch_size),
        checkpoint_bytes=state + 4 * frozen * 2,
    )
