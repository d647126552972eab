"""Torchvision's classification models, with random or pretrained initial weights."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from data_prep.manifest import Scale
from fairsweep.errors import UserError, nearest
from models.pretrained import PretrainedError, read_weights


class TorchvisionNet(nn.Module):
    """A torchvision model with one logit per class.

    Its first convolution is replaced by one for gray pictures, or for colours normalised our way.

    Pictures are resized to the size that torchvision trained the model for: its filters expect
    edges and parts of that size, and some transformers accept no other.
    """

    def __init__(
        self,
        *,
        classes: int,
        image_shape: tuple[int, int],  # noqa: ARG002 - any size will do
        image_channels: int = 1,
        architecture: str,
        pretrained: str,
        frozen_stages: int,
    ) -> None:
        super().__init__()
        if architecture not in (known := models.list_models(module=models)):
            raise UserError(
                "architecture must be one of torchvision's classification models, but got "
                f"{architecture!r}; the nearest is {nearest(architecture, known)!r}"
            )
        self.architecture, self.pretrained = architecture, pretrained
        self.network = _make_network(architecture, classes)
        layers = dict(self.network.named_modules())
        self._stem, stem = next((n, m) for n, m in layers.items() if isinstance(m, nn.Conv2d))
        self._head = [n for n, m in layers.items() if isinstance(m, nn.Conv2d | nn.Linear)][-1]
        make_stem = GrayStem if image_channels == 1 else ColourStem
        self.network.set_submodule(self._stem, make_stem(stem))
        self._side: int = _transforms(architecture).crop_size[0]
        self._frozen = self._freeze(frozen_stages)

    @property
    def head(self) -> nn.Module:
        """The last layer, which never starts from pretrained weights."""
        return self.network.get_submodule(self._head)

    def forward(self, x: Tensor) -> Tensor:
        """(n, image_channels, height, width) pictures → (n, classes) logits."""
        size = (self._side, self._side)
        x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.network(x)
        return logits

    def train(self, mode: bool = True) -> "TorchvisionNet":
        """Set the mode, but keep frozen layers and their batch norms in evaluation mode."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def load_pretrained(self, *, mean: Scale, std: Scale) -> None:
        """Load the pretrained weights, if the configuration names any.

        Args:
            mean: Mean subtracted from pictures on a scale of 0 to 1; for colour, one per channel.
            std: Standard deviation that they are then divided by, likewise.

        Raises:
            PretrainedError: The weights are unavailable or belong to another architecture.
        """
        self.network.load_state_dict(self.pretrained_weights(mean=mean, std=std))

    def pretrained_weights(self, *, mean: Scale, std: Scale) -> dict[str, Tensor]:
        """Return the initial weights of the network; those of its head are always random.

        Raises:
            PretrainedError: As `load_pretrained`.
        """
        own: dict[str, Tensor] = self.network.state_dict()
        if self.pretrained == "none":
            return own
        weights = read_weights(self.architecture, self.pretrained)
        for name in [name for name in weights if name.startswith(_FURTHER_OUTPUTS)]:
            del weights[name]
        rgb = weights.get(f"{self._stem}.weight", torch.empty(0))
        if rgb.ndim == 4 and rgb.shape[1] == 3:
            scale, shift = _to_imagenet(self.architecture, mean=mean, std=std)
            if f"{self._stem}.offset" in own:
                weights[f"{self._stem}.weight"] = (rgb * scale).sum(dim=1, keepdim=True)
                weights[f"{self._stem}.offset"] = (rgb * shift).sum(dim=1, keepdim=True)
            else:
                weights |= {f"{self._stem}.scale": scale, f"{self._stem}.shift": shift}
        weights |= {name: own[name] for name in own if name.startswith(f"{self._head}.")}
        shapes, expected = ({n: t.shape for n, t in part.items()} for part in (weights, own))
        if wrong := [n for n in expected | shapes if shapes.get(n) != expected.get(n)]:
            raise PretrainedError(
                f"pretrained: {self.pretrained.rpartition('#')[0]} does not hold the weights of "
                f"{self.architecture} ({wrong[0]} is missing, unexpected or of another shape); use "
                "the file that torchvision offers for this architecture"
            )
        return weights

    def _freeze(self, count: int) -> list[nn.Module]:
        """Freeze the first ``count`` stages and return their layers."""
        found = stages(self.network)
        if count > len(found):
            raise UserError(
                f"frozen_stages must be at most {len(found)}, the number of stages of "
                f"{self.architecture}, but got {count}"
            )
        if count == 0:
            return []
        # First everything, because some architectures have parameters outside their layers.
        self.network.requires_grad_(False)
        for layer in (*chain(*found[count:]), self.head):
            layer.requires_grad_(True)
        layers = chain(*found[:count])
        return [
            layer
            for layer in layers
            if layer is not self.head and any(True for _ in layer.parameters())
        ]


class _Stem(nn.Conv2d):
    """A convolution like ``like``, but with another number of input channels."""

    def __init__(self, like: nn.Conv2d, channels: int) -> None:
        # torch's type stubs declare these pairs of numbers as tuples of any length.
        super().__init__(
            channels,
            like.out_channels,
            like.kernel_size,  # type: ignore[arg-type]
            like.stride,  # type: ignore[arg-type]
            like.padding,  # type: ignore[arg-type]
            bias=like.bias is not None,
        )


class GrayStem(_Stem):
    """The first convolution of an RGB network, for pictures with one channel.

    A gray picture stands for three equal channels, so its weight is the sum of the three weights.
    Each channel was trained with its own mean and standard deviation. The standard deviations scale
    the weights. The means add the convolution of a plane of ones, which differs at the border,
    because the network pads its normalised picture with zeros.
    """

    offset: Tensor

    def __init__(self, rgb: nn.Conv2d) -> None:
        super().__init__(rgb, 1)
        self.register_buffer("offset", torch.zeros_like(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) → (n, channels, h', w')."""
        plane = torch.ones_like(x[:1])
        added = functional.conv2d(plane, self.offset, None, self.stride, self.padding)
        return super().forward(x) + added


class ColourStem(_Stem):
    """The first convolution of an RGB network, for pictures that are normalised in another way.

    The pictures are first normalised as in the network's training, because the convolution pads
    them with zeros.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, rgb: nn.Conv2d) -> None:
        super().__init__(rgb, rgb.in_channels)
        self.register_buffer("scale", torch.ones(rgb.in_channels, 1, 1))
        self.register_buffer("shift", torch.zeros(rgb.in_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) → (n, channels, h', w')."""
        return super().forward(x * self.scale + self.shift)


def stages(network: nn.Module) -> list[list[nn.Module]]:
    """Return the layers of a torchvision model, grouped by stage.

    A stage begins with a layer whose stride makes the picture smaller, as in residual networks (He
    et al. 2016, table 1). Most architectures have five stages, most transformers one.
    """
    found: list[list[nn.Module]] = [[]]
    for layer in _layers(network):
        if found[-1] and _has_stride(layer):
            found.append([])
        found[-1].append(layer)
    return found


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the parts of a network in order, with sequences flattened."""
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _layers(child)
        else:
            yield child


def _has_stride(layer: nn.Module) -> bool:
    strided = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    return any(m.stride not in (1, (1, 1)) for m in layer.modules() if isinstance(m, strided))


_INCEPTION = ("googlenet", "inception_v3")
"""Trained with TensorFlow: they have other means, and further outputs for long trainings."""
_FURTHER_OUTPUTS = ("aux1.", "aux2.", "AuxLogits.")


def _make_network(architecture: str, classes: int) -> nn.Module:
    options = {"aux_logits": False, "init_weights": False} if architecture in _INCEPTION else {}
    try:
        network: nn.Module = models.get_model(architecture, num_classes=classes, **options)
    except NotImplementedError:
        # RegNet computes its widths with tensors, which have no values on the meta device.
        with torch.device("cpu"):
            network = models.get_model(architecture, num_classes=classes)
        network.to("meta")
    return network


def _to_imagenet(architecture: str, *, mean: Scale, std: Scale) -> tuple[Tensor, Tensor]:
    """Return (3, 1, 1) factors and offsets that convert our normalised values to torchvision's."""
    if architecture in _INCEPTION:
        means = stds = torch.full((3,), 0.5)
    else:
        transforms = _transforms(architecture)
        means, stds = torch.tensor(transforms.mean), torch.tensor(transforms.std)
    our_means, our_stds = torch.tensor(mean), torch.tensor(std)
    return (our_stds / stds).view(3, 1, 1), ((our_means - means) / stds).view(3, 1, 1)


def _transforms(architecture: str) -> Any:
    """Return torchvision's preprocessing of pictures for this architecture."""
    return models.get_model_weights(architecture).DEFAULT.transforms()
