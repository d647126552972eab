"""What a configuration costs before it is trained: parameters, arithmetic, memory, disk."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.build import build_model
from models.config import TrainConfig
from models.state_size import state_bytes

BACKWARD = 3
"""A step takes so many times the arithmetic, and the traffic of a layer's numbers, of its forward
pass (each layer's gradient by its input and by its weights takes as much again)."""


@dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """What training one configuration takes."""

    parameters: int
    """Those that are trained."""
    flop_per_picture: int
    """Floating-point operations of one picture's forward pass."""
    memory_bytes: int
    """Weights, gradients and optimiser state, and the outputs for one batch of all layers that are
    trained."""
    checkpoint_bytes: int
    """``last.pt`` and ``best.pt`` together."""


def training_cost(
    config: TrainConfig, *, classes: int, image_shape: tuple[int, int], image_channels: int = 1
) -> TrainingCost:
    """Count what ``config`` costs, without memory for its network.

    Raises:
        ValueError: The network does not fit pictures of this size.
    """
    kept = largest = 0

    def count(_module: object, _inputs: object, output: torch.Tensor) -> None:
        nonlocal kept, largest
        largest = max(largest, output.numel())
        if output.requires_grad:  # Frozen layers leave nothing to the backward pass.
            kept += output.numel()

    with torch.device("meta"):
        model = build_model(
            config, classes=classes, image_shape=image_shape, image_channels=image_channels
        ).eval()
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(count)
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, image_channels, *image_shape))
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters()) - parameters
    state = state_bytes(parameters, config.optimizer)
    return TrainingCost(
        parameters=parameters,
        flop_per_picture=int(counter.get_total_flops()),
        memory_bytes=state + 4 * (frozen + max(kept, largest) * config.batch_size),
        checkpoint_bytes=state + 4 * frozen * 2,
    )
