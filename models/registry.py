"""The network families by name. To add a family, write its file and add an entry here.

This module does not import torch: a family's module is imported when a network is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairsweep.errors import UserError
from fairsweep.own_code.reference import is_own


@dataclass(frozen=True, kw_only=True)
class Family:
    """What must be known about a network family before a network is built."""

    builder: str
    """``module:callable``. The callable returns a ``torch.nn.Module`` from keyword arguments:
    ``classes``, ``image_shape`` (height, width), each name in ``defaults``, and, if it supports
    colour, ``image_channels`` (1 or 3). The network takes (n, channels, height, width) float
    pictures and returns (n, classes) logits."""
    defaults: Mapping[str, int | float | str]
    """The hyperparameters that shape its networks (`models.hyperparameters`), with defaults."""
    name: str
    """Format string of a configuration's short name, with the names in ``defaults``."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Parts of the short name for values that are not the default: name → letters."""
    earlier_names: Mapping[str, str] = field(default_factory=dict)
    """Earlier name of a hyperparameter → its current name. Earlier names are still read, and ids
    are made with them, so that a trial keeps its id."""

    def with_current_names(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``values`` with earlier names replaced by current ones.

        Raises:
            UserError: A hyperparameter has a value under both names.
        """
        renamed = dict(values)
        for earlier, current in self.earlier_names.items():
            value = renamed.get(earlier)
            if value is None:
                continue
            if renamed.get(current) is not None:
                raise UserError(
                    f"{earlier} is the earlier name of {current}, but got both: {earlier} "
                    f"{value!r} and {current} {renamed[current]!r}; give only {current}"
                )
            renamed |= {current: value, earlier: None}
        return renamed


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
            "stages": 3,
            "fc_width": 128,
            "dropout": 0.5,
            "activation": "leaky_relu",
        },
        name="plain_C{channels}_D{stages}_K{kernel_size}",
        marks={"fc_width": "W", "activation": ""},
        earlier_names={"conv_depth": "stages"},
    ),
    "staged": Family(
        builder="models.families.staged:StagedNet",
        defaults={
            "kernel_size": 3,
            "blocks": 2,
            "channels": 32,
            "stages": 3,
            "dropout": 0.0,
            "activation": "relu",
        },
        name="staged_C{channels}_N{blocks}_D{stages}_K{kernel_size}",
        marks={"activation": ""},
        earlier_names={"conv_depth": "stages"},
    ),
    "torchvision": Family(
        builder="models.families.torchvision_models:TorchvisionNet",
        defaults={"architecture": "resnet18", "pretrained": "none", "frozen_stages": 0},
        name="{architecture}",
        marks={"pretrained": "", "frozen_stages": "F"},
    ),
}


def family_of(name: str) -> Family:
    """Return what is known of a family before its network is built; of own code, nothing."""
    if is_own(name):
        return Family(builder=name, defaults={}, name=name)
    return FAMILIES[name]
