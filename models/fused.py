"""Networks of equal shapes as one: every layer of all members at once, their channels side by side.

A convolution becomes a grouped one, a linear layer a batched product, and batch norm runs over the
channels of all, so each member computes what it would alone (HFTA: Wang et al. 2021, MLSys).
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.families.layers import AdaptiveAveragePool, IdleBiasConv2d, StridedPointwiseConv2d


class NotFusableError(ValueError):
    """A network has a layer that cannot serve several members at once; the message names it."""


def fuse(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network that holds the weights of all ``models``.

    It takes (n, members·channels, height, width) pictures, those of the members side by side, and
    returns (members, n, classes) logits. Its parameters have the names of a member's; those of the
    first member come first along their first dimension, then those of the second, and so on.

    Args:
        models: Networks alike in all but their weights.

    Raises:
        NotFusableError: They have a layer that is not in ``LAYERS``.
    """
    device = next(models[0].parameters()).device
    with torch.device(device):
        fused = _fused(deepcopy(models[0]), len(models))
    fused.load_state_dict(join([model.state_dict() for model in models]))
    return fused


def join(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make the state of a fused network, or of its optimiser's parameter, from its members'."""
    if len(states) == 1:
        return dict(states[0])
    return {
        name: torch.cat([state[name] for state in states]) if _is_split(value) else value
        for name, value in states[0].items()
    }


def split(state: Mapping[str, Any], member: int, members: int) -> dict[str, Any]:
    """Return a copy of a member's part of what `join` makes; of a single one, the thing itself."""
    if members == 1:
        return dict(state)
    return {
        name: value.chunk(members)[member].clone() if _is_split(value) else value
        for name, value in state.items()
    }


def join_optimizers(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make the state of a fused network's optimiser from those of its members'."""
    numbers = states[0]["state"]
    joined = {number: join([state["state"][number] for state in states]) for number in numbers}
    return {"state": joined, "param_groups": states[0]["param_groups"]}


def split_optimizer(state: Mapping[str, Any], member: int, members: int) -> dict[str, Any]:
    """Return a member's part of the state of a fused network's optimiser."""
    parts = {number: split(part, member, members) for number, part in state["state"].items()}
    return {"state": parts, "param_groups": state["param_groups"]}


def side_by_side(pictures: Tensor, members: int) -> Tensor:
    """Make (n, members·channels, h, w) of (members·n, channels, h, w) pictures."""
    if members == 1:
        return pictures
    if pictures.shape[1] == 1:
        return pictures.view(members, -1, *pictures.shape[2:]).transpose(0, 1)
    return pictures.view(members, -1, *pictures.shape[1:]).transpose(0, 1).flatten(1, 2)


def set_generators(model: nn.Module, generators: Sequence[torch.Generator]) -> None:
    """Let the dropout of each member draw from its own generator, all its layers in turn."""
    for module in model.modules():
        if isinstance(module, FusedDropout):
            module.generators = generators


class FusedLinear(nn.Module):
    """Linear layers side by side: (members, n, inputs) → (members, n, outputs)."""

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
    """Where the members part: (n, members·channels, h, w) → (members, n, channels·h·w)."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        """(n, members·channels, h, w) → (members, n, channels·h·w)."""
        count, channels, *sides = x.shape
        apart = x.view(count, self.members, channels // self.members, *sides)
        return apart.transpose(0, 1).flatten(2)


class FusedDropout(nn.Module):
    """Dropout on (members, n, features), in which each member draws from a stream of its own."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generators: Sequence[torch.Generator] = ()

    def forward(self, x: Tensor) -> Tensor:
        """(members, n, features) → the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            # A GPU draws in an order of its own, whoever asks: only the distribution is the same.
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


def _as_it_is(layer: nn.Module, _members: int) -> nn.Module:
    return layer


LAYERS: dict[type[nn.Module], Callable[[Any, int], nn.Module]] = {
    nn.Conv2d: _conv,
    IdleBiasConv2d: _conv,
    StridedPointwiseConv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: FusedLinear,
    nn.Dropout: lambda layer, _members: FusedDropout(layer.p),
    nn.Flatten: lambda _layer, members: FusedFlatten(members),
    # These look at each channel alone.
    nn.ReLU: _as_it_is,
    nn.LeakyReLU: _as_it_is,
    nn.SiLU: _as_it_is,
    nn.GELU: _as_it_is,
    nn.MaxPool2d: _as_it_is,
    nn.AvgPool2d: _as_it_is,
    nn.AdaptiveAvgPool2d: _as_it_is,
    AdaptiveAveragePool: _as_it_is,
    nn.ZeroPad2d: _as_it_is,
    nn.Identity: _as_it_is,
}
"""How a layer becomes that of all members. Layers made of layers have their parts replaced."""


def _fused(module: nn.Module, members: int) -> nn.Module:
    make = LAYERS.get(type(module))
    if make is not None:
        return make(module, members).train(module.training)
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    made_of_layers = any(True for _ in module.children()) or isinstance(module, nn.Sequential)
    if own or not made_of_layers:
        raise NotFusableError(f"{type(module).__name__} is no layer that can be fused")
    for name, child in module.named_children():
        setattr(module, name, _fused(child, members))
    return module


def _is_split(value: Any) -> bool:
    """Return whether members have each a part of it, as of weights, unlike a count of steps."""
    return isinstance(value, Tensor) and value.ndim > 0
