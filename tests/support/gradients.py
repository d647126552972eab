"""Compares the gradients of small networks of each family with a reference in double precision.

It can run as a program with numbers of threads as arguments, so that a test can choose the
instruction set of the process: `ONEDNN_MAX_CPU_ISA=AVX2 python -m tests.support.gradients 1 2`.
"""

import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.build import build_model
from models.config import TrainConfig
from models.fused import fuse, side_by_side

MEMBERS = 3
PICTURES, SIDES = 16, (32, 24)
LARGE_SIDES = (128, 112)
"""With larger feature maps, oneDNN's AVX-512 kernels write beyond their buffer too."""
NETWORKS: dict[str, Mapping[str, Any]] = {
    **{f"resnet_{c}": {"family": "resnet", "channels": c, "blocks": 1, "fc_width": 8,
                       "pool_size": 4} for c in (1, 3, 8)},
    **{f"resnet_kernel_{k}": {"family": "resnet", "channels": 5, "blocks": 1, "fc_layers": 0,
                              "kernel_size": k, "pool_size": 4} for k in (1, 2, 5)},
    **{f"plain_{c}": {"family": "plain", "channels": c, "fc_width": 8} for c in (1, 3, 8)},
    "plain_kernel_4": {"family": "plain", "channels": 5, "kernel_size": 4, "fc_width": 8},
    **{f"staged_{c}": {"family": "staged", "channels": c, "blocks": 1} for c in (*range(1, 9), 12)},
    "staged_kernel_5": {"family": "staged", "channels": 4, "blocks": 2, "kernel_size": 5},
}  # fmt: skip


def wrong_gradients(
    values: Mapping[str, Any], *, members: int, sides: tuple[int, int] = SIDES
) -> list[str]:
    """Return the parameters whose gradients differ from the reference, with the errors.

    The networks are trained for one step as in `models.loop`: channels last, with oneDNN. The
    reference trains each member separately, channels first, in double precision, which oneDNN does
    not support.
    """
    pictures, labels = _batch(members, sides)
    models = [_network(values, seed, sides) for seed in range(members)]
    reference = torch.tensor(0.0, dtype=torch.float64)
    doubles = [deepcopy(model).double() for model in models]
    for place, model in enumerate(doubles):
        reference = reference + functional.cross_entropy(
            model(pictures[place].double()), labels[place], reduction="sum"
        )
    reference.backward()
    trained = models[0] if members == 1 else fuse(models)
    trained = trained.to(memory_format=torch.channels_last)
    together = side_by_side(pictures.flatten(0, 1), members)
    # Twice, because a write beyond a buffer may show only the second time.
    for _ in range(2):
        trained.zero_grad()
        logits = trained(together).flatten(0, -2)
        functional.cross_entropy(logits, labels.flatten(), reduction="sum").backward()
    expected = {
        name: torch.cat([dict(model.named_parameters())[name].grad for model in doubles])
        for name, parameter in doubles[0].named_parameters()
        if parameter.grad is not None
    }
    scale = max(float(gradient.norm()) for gradient in expected.values())
    found = dict(trained.named_parameters())
    errors = {name: _error(found[name].grad, grad, scale) for name, grad in expected.items()}
    # Rounding may flip the sign of an activation near 0, which causes an error of up to 1 %. The
    # known bugs of oneDNN cause errors of 16 % and more.
    return [f"{name} off by {error:.0%}" for name, error in errors.items() if not error < 0.03]


def _batch(members: int, sides: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(members, PICTURES, 1, *sides, generator=generator)
    return pictures, torch.randint(4, (members, PICTURES), generator=generator)


def _network(values: Mapping[str, Any], seed: int, sides: tuple[int, int]) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model(TrainConfig.create(values), classes=4, image_shape=sides)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # fused members draw random numbers in another order
    return model


def _error(gradient: Tensor, expected: Tensor, scale: float) -> float:
    return float((gradient - expected).norm() / (expected.norm() + 1e-4 * scale))


def wrong_networks(threads: int) -> Iterator[str]:
    """Yield a line for each wrong gradient of each network, trained separately and fused."""
    torch.set_num_threads(threads)
    for name, values in NETWORKS.items():
        for members in (1, MEMBERS):
            for wrong in wrong_gradients(values, members=members):
                yield f"{name}, {threads} threads, {members} fused: {wrong}"
    for wrong in wrong_gradients(NETWORKS["staged_8"], members=1, sides=LARGE_SIDES):
        yield f"staged_8, {threads} threads, large pictures: {wrong}"


if __name__ == "__main__":
    lines = [line for threads in sys.argv[1:] for line in wrong_networks(int(threads))]
    print("\n".join(lines))
    sys.exit(bool(lines))
