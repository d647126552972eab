"""Fuses networks of equal shapes into one, in which the members' channels stand side by side.

A convolution becomes a grouped convolution, a linear layer a batched product, and batch norm covers
the channels of all members. Each member computes the same as it does by itself (HFTA: Wang et al.
2021, MLSys).
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.families.layers import AdaptiveAveragePool, IdleBiasConv2d, StridedPointwiseConv2d


class NotFusableError(ValueError):
    """Networks cannot be fused; the message names the layer or the difference."""


def fuse(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network that holds the weights of all ``models``.

    It takes (n, members·channels, height, width) pictures, with the members' channels side by side,
    and returns (members, n, classes) logits. Its parameters have the names of a member's parameters
    and are concatenated along their first dimension, in the order of the members.

    Args:
        models: Networks that differ only in their weights.

    Raises:
        NotFusableError: The type of a layer is not in ``LAYERS``.
    """
    device = next(models[0].parameters()).device
    with torch.device(device):
        fused = _fused(deepcopy(models[0]), len(models))
    fused.load_state_dict(join([model.state_dict() for model in models]))
    return fused


def join(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the members' states of a network, or of one parameter of the optimiser."""
    if len(states) == 1:
        return dict(states[0])
    return {
        name: torch.cat([state[name] for state in states]) if _is_split(value) else value
        for name, value in states[0].items()
    }


def split(state: Mapping[str, Any], member: int, members: int) -> dict[str, Any]:
    """Return a copy of a member's part of a joined state; of a single member, the same tensors."""
    if members == 1:
        return dict(state)
    return {
        name: value.chunk(members)[member].clone() if _is_split(value) else value
        for name, value in state.items()
    }


def join_optimizers(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the states of the members' optimisers."""
    numbers = states[0]["state"]
    joined = {number: join([state["state"][number] for state in states]) for number in numbers}
    return {"state": joined, "param_groups": states[0]["param_groups"]}


def split_optimizer(state: Mapping[str, Any], member: int, members: int) -> dict[str, Any]:
    """Return a member's part of the optimiser state of a fused network."""
    parts = {number: split(part, member, members) for number, part in state["state"].items()}
    return {"state": parts, "param_groups": state["param_groups"]}


def side_by_side(pictures: Tensor, members: int) -> Tensor:
    """Rearrange (members·n, channels, h, w) pictures to (n, members·channels, h, w)."""
    if members == 1:
        return pictures
    if pictures.shape[1] == 1:
        return pictures.view(members, -1, *pictures.shape[2:]).transpose(0, 1)
    return pictures.view(members, -1, *pictures.shape[1:]).transpose(0, 1).flatten(1, 2)


def set_generators(model: nn.Module, generators: Sequence[torch.Generator]) -> None:
    """Make every dropout layer draw each member's mask from that member's generator."""
    for module in model.modules():
        if isinstance(module, FusedDropout):
            module.generators = generators


class FusedLinear(nn.Module):
    """The linear layers of all members: (members, n, inputs) → (members, n, outputs)."""

    def __init__(self, layer: nn.Linear, members: int) -> None:
        super().__init__()
        self.members = members
        shape = (members * layer.out_features, layer.in_features)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = None if layer.bias is None else nn.Parameter(torch.empty(shape[0]))

    def forward(self, x: Tensor) -> Tensor:
        """(members, n, inputs) → (members, n, outputs)."""
        weight = self.weight.view(self.members, -1, x.shape[2]).transpose(1, 2)
        if self.bias is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(self.bias.view(self.members, 1, -1), x, weight)


class FusedFlatten(nn.Module):
    """Flattens each member: (n, members·channels, h, w) → (members, n, channels·h·w)."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        """(n, members·channels, h, w) → (members, n, channels·h·w)."""
        count, channels, *sides = x.shape
        apart = x.view(count, self.members, channels // self.members, *sides)
        return apart.transpose(0, 1).flatten(2)


class FusedDropout(nn.Module):
    """Dropout on (members, n, features), with a random generator for each member."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generators: Sequence[torch.Generator] = ()

    def forward(self, x: Tensor) -> Tensor:
        """(members, n, features) → the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            # The order of draws on a GPU differs from separate training in any case.
            return functional.dropout(x, self.p)
        kept = torch.stack(
            [
                torch.empty(part.shape).bernoulli_(1 - self.p, generator=generator)
                for part, generator in zip(x, self.generators, strict=True)
            ]
        )
        return x * kept.div_(1 - self.p)


def _conv(layer: nn.Conv2d, members: int) -> nn.Module:
    return type(layer)(
        members * layer.in_channels,
        members * layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        members * layer.groups,
        layer.bias is not None,
    )


def _batch_norm(layer: nn.BatchNorm2d, members: int) -> nn.Module:
    return nn.BatchNorm2d(members * layer.num_features, layer.eps, layer.momentum)


def _unchanged(layer: nn.Module, _members: int) -> nn.Module:
    return layer


LAYERS: dict[type[nn.Module], Callable[[Any, int], nn.Module]] = {
    nn.Conv2d: _conv,
    IdleBiasConv2d: _conv,
    StridedPointwiseConv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: FusedLinear,
    nn.Dropout: lambda layer, _members: FusedDropout(layer.p),
    nn.Flatten: lambda _layer, members: FusedFlatten(members),
    # These treat each channel separately.
    nn.ReLU: _unchanged,
    nn.LeakyReLU: _unchanged,
    nn.SiLU: _unchanged,
    nn.GELU: _unchanged,
    nn.MaxPool2d: _unchanged,
    nn.AvgPool2d: _unchanged,
    nn.AdaptiveAvgPool2d: _unchanged,
    AdaptiveAveragePool: _unchanged,
    nn.ZeroPad2d: _unchanged,
    nn.Identity: _unchanged,
}
"""Type of a layer → function from a member's layer and the number of members to the fused layer.
Layers that consist of other layers have their parts replaced."""


def _fused(module: nn.Module, members: int) -> nn.Module:
    make = LAYERS.get(type(module))
    if make is not None:
        return make(module, members).train(module.training)
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    made_of_layers = any(True for _ in module.children()) or isinstance(module, nn.Sequential)
    if own or not made_of_layers:
        raise NotFusableError(f"{type(module).__name__} is a layer that cannot be fused")
    for name, child in module.named_children():
        setattr(module, name, _fused(child, members))
    return module


def _is_split(value: Any) -> bool:
    """Return whether each member has its own part of ``value``: of weights, not of step counts."""
    return isinstance(value, Tensor) and value.ndim > 0
