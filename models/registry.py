"""The network families by name. To add one: write its file, then give it an entry here.

Nothing here imports torch: a family's network is imported when one is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is known of a network family before one of its networks is built."""

    builder: str
    """``module:callable``. The callable returns a ``torch.nn.Module`` from keyword arguments:
    ``classes``, ``image_shape`` (height, width), each name in ``defaults``, and, if it can take
    colour, ``image_channels`` (1 or 3). The network takes (n, channels, height, width) float
    pictures and returns (n, classes) logits."""
    defaults: Mapping[str, int | float | str]
    """The hyperparameters of `TrainConfig` that shape its networks, with their defaults."""
    name: str
    """Format string of a configuration's short name, over the names in ``defaults``."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Further parts of the short name, for values that are not the default: name → letters."""


FAMILIES: dict[str, Family] = {
    "resnet": Family(
        builder="models.families.resnet:ResNet",
        defaults={
            "kernel_size": 3,
            "blocks": 4,
            "channels": 16,
            "conv_depth": 2,
            "fc_layers": 1,
            "fc_width": "flat",
            "pool_size": 20,
            "dropout": 0.0,
            "activation": "relu",
        },
        name="B{channels}_N{blocks}_FC{fc_layers}_K{kernel_size}_AP{pool_size}",
        marks={"conv_depth": "D", "fc_width": "W", "activation": ""},
    ),
    "plain": Family(
        builder="models.families.plain:PlainNet",
        defaults={
            "kernel_size": 3,
            "channels": 32,
            "conv_depth": 3,
            "fc_width": 128,
            "dropout": 0.5,
            "activation": "leaky_relu",
        },
        name="plain_C{channels}_D{conv_depth}_K{kernel_size}",
        marks={"fc_width": "W", "activation": ""},
    ),
    "staged": Family(
        builder="models.families.staged:StagedNet",
        defaults={
            "kernel_size": 3,
            "blocks": 2,
            "channels": 32,
            "conv_depth": 3,
            "dropout": 0.0,
            "activation": "relu",
        },
        name="staged_C{channels}_N{blocks}_D{conv_depth}_K{kernel_size}",
        marks={"activation": ""},
    ),
    "torchvision": Family(
        builder="models.families.torchvision_models:TorchvisionNet",
        defaults={"architecture": "resnet18", "pretrained": "none", "frozen_stages": 0},
        name="{architecture}",
        marks={"pretrained": "", "frozen_stages": "F"},
    ),
}
