"""Classification networks of the package timm, with random or pretrained initial weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from data_prep.manifest import Scale
from fairsweep.own_code.reference import TIMM
from models.file_hash import pinned_hash
from models.pretrained import PretrainedError, checked_file
from models.timm_network import NONE, check_name, check_version, class_arguments, type_and_message

_RGB = 3


def builder_of(family: str, code: str) -> Callable[..., "TimmNet"]:
    """Return what builds a network of timm from sizes and hyperparameters.

    Raises:
        UserError: The installed timm is another version, or has no such network.
    """
    check_version(family, code)
    check_name(family)
    return partial(TimmNet, name=family.removeprefix(TIMM))


class TimmNet(nn.Module):
    """A network of timm with one logit per class.

    With pretrained weights, a picture is first normalised as in their training, and a gray one is
    given as three equal channels, so that the first layer computes what it was trained for.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        *,
        classes: int,
        image_shape: tuple[int, int],
        image_channels: int,
        name: str,
        pretrained: str = NONE,
        **arguments: Any,
    ) -> None:
        super().__init__()
        self.name, self.pretrained = name, pretrained
        self._arguments = arguments | _size(name, image_shape)
        channels = image_channels if pretrained == NONE else _RGB
        self.network = timm.create_model(
            name, num_classes=classes, in_chans=channels, **self._arguments
        )
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    @property
    def head(self) -> nn.Module:
        """The last layer, which never starts from pretrained weights."""
        get: Callable[[], nn.Module] = self.network.get_classifier  # type: ignore[assignment]
        return get()

    def forward(self, x: Tensor) -> Tensor:
        """(n, image_channels, height, width) pictures → (n, classes) logits."""
        logits: Tensor = self.network(x * self.scale + self.shift)
        return logits

    def load_pretrained(self, *, mean: Scale, std: Scale) -> None:
        """Load the pretrained weights, if the configuration names any.

        Args:
            mean: Mean subtracted from pictures on a scale of 0 to 1; for colour, one per channel.
            std: Standard deviation that they are then divided by, likewise.

        Raises:
            PretrainedError: The weights are unavailable or belong to another network.
        """
        self.load_state_dict(self.pretrained_weights(mean=mean, std=std))

    def pretrained_weights(self, *, mean: Scale, std: Scale) -> dict[str, Tensor]:
        """Return the initial weights of the network; those of its head are always random.

        Raises:
            PretrainedError: As `load_pretrained`.
        """
        own: dict[str, Tensor] = self.state_dict()
        if self.pretrained == NONE:
            return own
        trained = self._trained()
        weights = {f"network.{name}": value for name, value in trained.state_dict().items()}
        weights |= {name: own[name] for name in own if name.startswith(self._heads(trained))}
        known = _facts(trained)
        to_mean, to_std = (torch.tensor(known[key]).view(_RGB, 1, 1) for key in ("mean", "std"))
        from_mean, from_std = (torch.tensor(value).view(-1, 1, 1) for value in (mean, std))
        # ((x · std + mean) - their mean) / their std, as one product and one sum.
        weights["scale"] = (from_std / to_std).expand(_RGB, 1, 1).clone()
        weights["shift"] = ((from_mean - to_mean) / to_std).expand(_RGB, 1, 1).clone()
        return weights

    def _trained(self) -> nn.Module:
        """Return the network as it was trained, with its own classes; timm checks that all fits."""
        pinned = pinned_hash(self.pretrained)
        overlay = {}
        if pinned is not None:
            overlay["file"] = str(checked_file(self.pretrained, pinned))
        try:
            # The random weights that are replaced must not move the generator.
            with torch.random.fork_rng(devices=[]):
                network: nn.Module = timm.create_model(
                    self.name, pretrained=True, pretrained_cfg_overlay=overlay, **self._arguments
                )
        except Exception as error:  # timm raises exceptions of any kind.
            raise PretrainedError(self._unavailable(error, overlay.get("file"))) from error
        return network

    def _unavailable(self, error: Exception, file: str | None) -> str:
        if file is not None:
            return (
                f"pretrained: {file} does not hold the weights of timm's {self.name} "
                f"({type_and_message(error)}); use the file that timm offers for this network"
            )
        known = timm.get_pretrained_cfg(self.name)
        place = known and (known.hf_hub_id or known.url)
        way = (
            f"download {place} on a machine with internet access and set `pretrained` to its file"
            if place
            else "timm offers none; leave `pretrained` out or give a file"
        )
        return f"cannot load the weights of timm's {self.name} ({type_and_message(error)}); {way}"

    def _heads(self, trained: nn.Module) -> tuple[str, ...]:
        named = _facts(trained)["classifier"]
        names = (named,) if isinstance(named, str) else tuple(named)
        return tuple(f"network.{name}." for name in names)


def _facts(network: nn.Module) -> Mapping[str, Any]:
    """Return what timm knows of the pretrained weights of a network."""
    facts: Any = network.pretrained_cfg
    return facts  # type: ignore[no-any-return]


def _size(name: str, image_shape: tuple[int, int]) -> dict[str, Any]:
    """Return the argument with the size of the pictures, if the network has one."""
    height, width = image_shape
    if "img_size" not in class_arguments(name):
        return {}
    return {"img_size": height if height == width else image_shape}
