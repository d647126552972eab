"""First weights for networks that others have trained: downloaded, or from a file."""

import pickle
import re
import struct
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from fairsweep.errors import UserError
from models.file_hash import content_hash, pinned_hash

_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
)
"""What torch raises on a damaged file; most are of its old format, which has no checksums."""


class PretrainedError(UserError):
    """Pretrained weights cannot be had, or do not fit; the message is one line."""


def read_weights(architecture: str, pretrained: str) -> dict[str, Tensor]:
    """Read the weights of a torchvision architecture, as torchvision names and orders them.

    Args:
        architecture: Torchvision's name of it.
        pretrained: ``imagenet``, or ``PATH#HASH`` of a file with a state dict.

    Raises:
        PretrainedError: The download is refused, or the file is gone, changed or no state dict.
    """
    pinned = pinned_hash(pretrained)
    weights = _download(architecture) if pinned is None else _read_file(pretrained, pinned)
    for name in list(weights):
        # Torchvision's oldest DenseNet files write norm.1 for what is norm1 today.
        today = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)", r"\1\2", name)
        weights[today] = weights.pop(name)
    return weights


def _download(architecture: str) -> dict[str, Tensor]:
    """Return the weights from torchvision's cache on this machine, downloaded if need be."""
    weights = get_model_weights(architecture).DEFAULT
    try:
        found: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return found
    except (OSError, HTTPException, RuntimeError) as error:
        raise PretrainedError(
            f"cannot download the weights of {architecture} ({_one_line(error)}); fetch "
            f"{weights.url} on a machine with a network and write `pretrained: PATH` of that file"
        ) from error


def _read_file(pretrained: str, pinned: str) -> dict[str, Tensor]:
    path = Path(pretrained.rpartition("#")[0])
    if not path.is_file():
        raise PretrainedError(f"pretrained: {path} is gone; put the file back")
    if content_hash(path) != pinned:
        raise PretrainedError(
            f"pretrained: {path} has changed since it was named; put the file with hash {pinned} "
            "back, or begin a new sweep"
        )
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise PretrainedError(
            f"pretrained: {path} is damaged or no weights file; fetch it again: {_one_line(error)}"
        ) from error
    tensors = isinstance(weights, dict) and all(isinstance(t, Tensor) for t in weights.values())
    if not tensors or not weights:
        raise PretrainedError(
            f"pretrained: {path} holds no state dict; save `model.state_dict()` alone"
        )
    return weights


def _one_line(error: Exception) -> str:
    return " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
