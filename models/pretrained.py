"""Reads pretrained weights, downloaded or from a file."""

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
"""Exceptions of torch on a damaged file; most come from its old format, without checksums."""


class PretrainedError(UserError):
    """Pretrained weights are unavailable or do not fit; the message is one line."""


def read_weights(architecture: str, pretrained: str) -> dict[str, Tensor]:
    """Read the weights of a torchvision architecture, with torchvision's names and layout.

    Args:
        architecture: Name of a torchvision model.
        pretrained: ``imagenet``, or ``PATH#HASH`` of a file with a state dict.

    Raises:
        PretrainedError: The download fails, or the file is missing, changed or not a state dict.
    """
    pinned = pinned_hash(pretrained)
    weights = _download(architecture) if pinned is None else _read_file(pretrained, pinned)
    for name in list(weights):
        # Torchvision's old DenseNet files have names such as norm.1 instead of norm1.
        current = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d\.)", r"\1\2", name)
        weights[current] = weights.pop(name)
    return weights


def _download(architecture: str) -> dict[str, Tensor]:
    """Return the weights from torchvision's local cache; download them if they are not there."""
    weights = get_model_weights(architecture).DEFAULT
    try:
        found: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return found
    except (OSError, HTTPException, RuntimeError) as error:
        raise PretrainedError(
            f"cannot download the weights of {architecture} ({_one_line(error)}); download "
            f"{weights.url} on a machine with internet access and set `pretrained` to that file"
        ) from error


def _read_file(pretrained: str, pinned: str) -> dict[str, Tensor]:
    path = checked_file(pretrained, pinned)
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise PretrainedError(
            f"pretrained: {path} is damaged or not a weights file; download it again: "
            f"{_one_line(error)}"
        ) from error
    tensors = isinstance(weights, dict) and all(isinstance(t, Tensor) for t in weights.values())
    if not tensors or not weights:
        raise PretrainedError(
            f"pretrained: {path} does not hold a state dict; save only `model.state_dict()`"
        )
    return weights


def checked_file(pretrained: str, pinned: str) -> Path:
    """Return the file of ``PATH#HASH``, unchanged.

    Raises:
        PretrainedError: It is missing or has changed.
    """
    path = Path(pretrained.rpartition("#")[0])
    if not path.is_file():
        raise PretrainedError(f"pretrained: {path} is missing; restore the file")
    if content_hash(path) != pinned:
        raise PretrainedError(
            f"pretrained: {path} has changed since the sweep began; restore the file with hash "
            f"{pinned}, or start a new sweep"
        )
    return path


def _one_line(error: Exception) -> str:
    return " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
