"""Limits the norm of the gradient of each network that is trained."""

from collections.abc import Iterable

import torch
from torch import nn

_EPSILON = 1e-6
"""Added to a norm before dividing by it, as torch's ``clip_grad_norm_`` does."""


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float, members: int = 1) -> None:
    """Scale down each member's gradients, so that their norm over all parameters is ``limit``.

    Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks",
    algorithm 1.

    Args:
        parameters: Parameters of one network, or of a fused one (`models.fused`).
        limit: Largest norm; smaller gradients stay as they are.
        members: Number of members of a fused network.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    for member in range(members):
        own = [gradient.chunk(members)[member] for gradient in gradients]
        norm = nn.utils.get_total_norm(own)
        torch._foreach_mul_(own, (limit / (norm + _EPSILON)).clamp(max=1.0))
