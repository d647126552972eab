"""The loss of each training picture."""

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-6
"""Least value of 1 - p in a focal loss, whose gradient has no limit at 0 for exponents below 1."""


def picture_losses(
    logits: Tensor, targets: Tensor, *, label_smoothing: float, focal_gamma: float
) -> Tensor:
    """Return the (n,) cross-entropy of each picture, or its focal loss.

    Each class's part of a focal loss is multiplied by (1 - p)^gamma, with p the probability that
    the network gives to the class (Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 4,
    for distributions instead of one label).

    Args:
        logits: (n, classes).
        targets: (n, classes) distributions, which may be multiplied by a weight.
        label_smoothing: Share of the targets that is spread evenly over all classes.
        focal_gamma: Exponent of the focal loss; 0 for the cross-entropy.
    """
    if focal_gamma == 0:
        return functional.cross_entropy(
            logits, targets, label_smoothing=label_smoothing, reduction="none"
        )
    if label_smoothing > 0:
        targets = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    known = functional.log_softmax(logits, dim=1)
    doubt = (-torch.expm1(known)).clamp_min(_LEAST) ** focal_gamma
    return -(targets * doubt * known).sum(dim=1)
