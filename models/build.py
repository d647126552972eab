"""Builds the network that a configuration describes, and counts its parameters."""

import inspect
from importlib import import_module
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from data_prep.manifest import Scale
from fairsweep.errors import UserError
from fairsweep.own_code.failures import failures_explained, place_of
from models.config import TrainConfig
from models.families.layers import replace_faulty_convolutions
from models.input_size import input_shape
from models.own_network import arguments, misfits_explained, parameter_names
from models.own_network import builder as own_builder
from models.registry import family_of


@runtime_checkable
class Pretrained(Protocol):
    """A network that can start from pretrained weights."""

    def load_pretrained(self, *, mean: Scale, std: Scale) -> None:
        """Load the pretrained weights, for pictures with this mean and standard deviation."""
        ...

    def pretrained_weights(self, *, mean: Scale, std: Scale) -> dict[str, Tensor]:
        """Return the pretrained weights. Raises UserError if they are unavailable or do not fit."""
        ...


def build_model(
    config: TrainConfig, *, classes: int, image_shape: tuple[int, int], image_channels: int = 1
) -> nn.Module:
    """Build the network of ``config``, with initial weights from torch's global generator.

    Args:
        config: Its family and network hyperparameters are used.
        classes: Number of classes.
        image_shape: Height and width of the dataset's pictures.
        image_channels: 1 for gray pictures, 3 for colour.

    Returns:
        A module from (n, image_channels, height, width) float pictures to (n, classes) logits.

    Raises:
        UserError: The network does not fit pictures of this size, or takes gray pictures only.
    """
    if config.code is not None:
        return _build_own(config, classes, input_shape(config, image_shape), image_channels)
    module, _, attribute = family_of(config.family).builder.partition(":")
    builder = getattr(import_module(module), attribute)
    image_shape = input_shape(config, image_shape)
    options = dict(config.network)
    if "image_channels" in inspect.signature(builder).parameters:
        options["image_channels"] = image_channels
    elif image_channels != 1:
        raise UserError(
            f"family {config.family} takes gray pictures only, but these have {image_channels} "
            "channels; let its builder take image_channels, or prepare the dataset without colour"
        )
    model: nn.Module = builder(classes=classes, image_shape=image_shape, **options)
    replace_faulty_convolutions(model)
    return model


def _build_own(
    config: TrainConfig, classes: int, image_shape: tuple[int, int], image_channels: int
) -> nn.Module:
    assert config.code is not None, "not own code"
    target = own_builder(config.family, config.code)
    try:
        given = arguments(
            parameter_names(target),
            classes=classes,
            image_shape=image_shape,
            image_channels=image_channels,
        )
    except UserError as error:
        raise UserError(f"{config.family}: {error}") from None
    with misfits_explained(config.family):
        model = target(**given, **config.network)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{config.family} must return a torch.nn.Module, but returns a {type(model).__name__}"
        )
    _initialise_lazy(model, config.family, torch.zeros(1, image_channels, *image_shape))
    replace_faulty_convolutions(model)
    return model


def _initialise_lazy(model: nn.Module, family: str, picture: Tensor) -> None:
    """Let layers such as `nn.LazyLinear` find out their shapes, from one black picture."""
    if not any(is_lazy(parameter) for parameter in model.parameters()):
        return
    with failures_explained(family), torch.no_grad():
        model.eval()(picture)
    model.train()
    if left := [name for name, parameter in model.named_parameters() if is_lazy(parameter)]:
        raise UserError(
            f"{family}: {place_of(type(model).forward)}: the shape of {left[0]} is still unknown "
            "after the forward pass; use its layer there or remove it"
        )


def unallocated(config: TrainConfig) -> torch.device:
    """Return the device on which a network takes no memory; own code may need a real one."""
    return torch.device("meta" if config.code is None else "cpu")


def count_parameters(
    config: TrainConfig, *, classes: int, image_shape: tuple[int, int], image_channels: int = 1
) -> int:
    """Count the trainable parameters of a network without allocating them, except of own code.

    Raises:
        UserError: As `build_model`.
    """
    with unallocated(config):
        model = build_model(
            config, classes=classes, image_shape=image_shape, image_channels=image_channels
        )
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def check_network(
    config: TrainConfig, *, classes: int, image_shape: tuple[int, int], image_channels: int = 1
) -> None:
    """Check that training of ``config`` can start, and download the pretrained weights it needs.

    Raises:
        UserError: As `build_model`, or the pretrained weights are unavailable or do not fit.
    """
    with unallocated(config):
        model = build_model(
            config, classes=classes, image_shape=image_shape, image_channels=image_channels
        )
    if isinstance(model, Pretrained):
        scale = (0.5,) * image_channels if image_channels > 1 else 0.5
        model.pretrained_weights(mean=scale, std=scale)
