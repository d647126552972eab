"""The user's own network: a class or function that a spec names as its family."""

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fairsweep.errors import UserError
from fairsweep.own_code.failures import OwnCodeError, failures_explained
from fairsweep.own_code.loading import load
from fairsweep.own_code.provided import provided
from fairsweep.own_code.reference import is_timm
from models.file_hash import shown
from models.timm_network import type_and_message

OFFERED = (
    "classes",
    "num_classes",
    "image_shape",
    "image_size",
    "image_channels",
    "in_channels",
    "in_chans",
)
"""Arguments that an own network gets from us if it takes them."""
_MOST_LETTERS = 80
"""Longest short name of a configuration."""


def arguments(
    names: Collection[str], *, classes: int, image_shape: tuple[int, int], image_channels: int
) -> dict[str, Any]:
    """Return the arguments of an own network that say what it must classify.

    Args:
        names: Those that it takes, of ``OFFERED``.
        classes: Number of classes.
        image_shape: Height and width of the pictures that it gets.
        image_channels: 1 for gray pictures, 3 for colour.

    Raises:
        UserError: It takes the side of a square picture, but the pictures are not square.
    """
    height, width = image_shape
    if "image_size" in names and height != width:
        raise UserError(
            f"it takes image_size, the side of a square, but the pictures have {height}×{width} "
            "pixels; let it take image_shape (height and width) instead"
        )
    offered = {
        **dict.fromkeys(("classes", "num_classes"), classes),
        **dict.fromkeys(("image_channels", "in_channels", "in_chans"), image_channels),
        "image_shape": image_shape,
        "image_size": height,
    }
    return {name: offered[name] for name in OFFERED if name in names}


def builder(family: str, code_hash: str) -> Callable[..., Any]:
    """Return the user's class or function; it takes what `arguments` returns and hyperparameters.

    Of a network of timm, return what builds it.

    Raises:
        OwnCodeError: Its import raises an exception.
        UserError: Its code is not available in this process.
    """
    if is_timm(family):
        from models.families.timm_models import builder_of

        return builder_of(family, code_hash)
    return load(provided(family, code_hash))


@contextmanager
def misfits_explained(family: str) -> Iterator[None]:
    """Turn an exception of an own network into an `OwnCodeError`, also one inside timm.

    Use it where the network alone is at work, since timm's code is not told from other code.
    """
    with failures_explained(family):
        try:
            yield
        except Exception as error:
            if not is_timm(family) or isinstance(error, UserError):
                raise
            raise OwnCodeError(f"{family}: {type_and_message(error)}") from error


def parameter_names(target: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a callable's arguments."""
    return tuple(inspect.signature(target).parameters)


def short_name(family: str, values: Mapping[str, Any]) -> str:
    """Return the short name of a configuration, such as ``MyNet_depth=3``."""
    marks = "".join(f"_{name}={shown(value)}" for name, value in values.items())
    return re.sub(r"[^\w.=+-]", "-", family.rpartition(":")[2] + marks)[:_MOST_LETTERS]
