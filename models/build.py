"""Builds the network that a configuration describes, and counts its parameters."""

from importlib import import_module
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from models.config import TrainConfig
from models.families.layers import replace_faulty_convolutions
from models.registry import FAMILIES


@runtime_checkable
class Pretrained(Protocol):
    """A network that may start from weights which others have trained."""

    def load_pretrained(self, *, mean: float, std: float) -> None:
        """Take them over, for pictures that are normalised with this mean and deviation."""
        ...

    def pretrained_weights(self, *, mean: float, std: float) -> dict[str, Tensor]:
        """Return them; raises ValueError where they cannot be had or do not fit."""
        ...


def build_model(config: TrainConfig, *, classes: int, image_shape: tuple[int, int]) -> nn.Module:
    """Build the network of ``config``, with first weights from torch's global generator.

    Args:
        config: Its family and network hyperparameters are used.
        classes: Width of the logits.
        image_shape: Height and width of a picture.

    Returns:
        A module from (n, 1, height, width) float pictures to (n, classes) logits.

    Raises:
        ValueError: The network does not fit pictures of this size.
    """
    module, _, attribute = FAMILIES[config.family].builder.partition(":")
    builder = getattr(import_module(module), attribute)
    model: nn.Module = builder(classes=classes, image_shape=image_shape, **config.network)
    replace_faulty_convolutions(model)
    return model


def count_parameters(config: TrainConfig, *, classes: int, image_shape: tuple[int, int]) -> int:
    """Count the trainable parameters of a network, without memory for them.

    Raises:
        ValueError: The network does not fit pictures of this size.
    """
    with torch.device("meta"):
        model = build_model(config, classes=classes, image_shape=image_shape)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def check_network(config: TrainConfig, *, classes: int, image_shape: tuple[int, int]) -> None:
    """Make sure that a training of ``config`` can begin; downloads the weights that it needs.

    Raises:
        ValueError: The network does not fit pictures of this size, or its first weights cannot be
            had or do not fit.
    """
    with torch.device("meta"):
        model = build_model(config, classes=classes, image_shape=image_shape)
    if isinstance(model, Pretrained):
        model.pretrained_weights(mean=0.5, std=0.5)
