"""Networks of the package timm: ``timm:NAME`` as a family. Does not import torch when imported."""

import difflib
import inspect
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fairsweep.errors import UserError
from fairsweep.own_code.reference import TIMM
from fairsweep.own_code.signature import Hyperparameter, Signature, hyperparameter_of
from models.file_hash import pin_weights

NONE, DOWNLOAD = "none", "timm"
"""Values of ``pretrained``: random initial weights, and the download that timm knows."""
_GIVEN = ("num_classes", "in_chans", "img_size")


def installed_code(family: str) -> str:
    """Return ``timm VERSION``, which identifies the code of a network of timm.

    Raises:
        UserError: timm is not installed.
    """
    try:
        return f"timm {version('timm')}"
    except PackageNotFoundError:
        raise UserError(
            f"{family} needs the package timm, which is not installed; install it with "
            "`pip install 'fairsweep[timm]'`"
        ) from None


def check_version(family: str, code: str) -> None:
    """Check that the installed timm is the one that a configuration was made with.

    Raises:
        UserError: It is another version, or timm is not installed.
    """
    if (installed := installed_code(family)) != code:
        raise UserError(
            f"{family} was configured with {code}, but {installed} is installed, whose networks "
            f"may differ; install the earlier one with `pip install {code.replace(' ', '==')}`, or "
            "start a new run"
        )


@cache
def read_arguments(family: str, taken: frozenset[str]) -> Signature:
    """Return the keyword arguments of a network of timm that a spec can set, and ``pretrained``.

    They are those of its class. Their defaults depend on the network, so an argument that is not
    set is left to timm.

    Args:
        family: ``timm:NAME``.
        taken: Names that a hyperparameter cannot have; such arguments keep their defaults.

    Raises:
        UserError: timm is not installed or has no such network.
    """
    installed_code(family)
    check_name(family)
    try:
        parameters = class_arguments(family.removeprefix(TIMM))
    except Exception as error:  # timm raises exceptions of any kind.
        raise UserError(f"{family}: timm cannot build it: {type_and_message(error)}") from error
    free = {name: each for name, each in parameters.items() if name not in {*_GIVEN, *taken}}
    kinds = {name: hyperparameter_of(each) for name, each in free.items()}
    known = {
        name: Hyperparameter(kind=kind.kind, values=kind.values)
        for name, kind in kinds.items()
        if kind is not None
    }
    known["pretrained"] = Hyperparameter(kind="str", default=NONE)
    others = tuple(name for name in free if name not in known)
    given = tuple(name for name in _GIVEN if name in parameters)
    return Signature(hyperparameters=known, given=given, others=others)


@cache
def class_arguments(name: str) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of the class of a network of timm."""
    import torch
    from timm import create_model

    with torch.device("meta"):
        network = create_model(name)
    return inspect.signature(type(network)).parameters


def check_name(family: str) -> None:
    """Check that timm has a network. Raises UserError, with close matches, if it has not."""
    from timm import is_model, list_models

    name = family.removeprefix(TIMM)
    if ":" in name or "/" in name or not is_model(name):
        near = difflib.get_close_matches(name, list_models(), n=3) or ["resnet18"]
        raise UserError(
            f"timm has no network {name!r}; close matches are {', '.join(near)} "
            "(`python -c 'import timm; print(timm.list_models())'` lists all)"
        )


def with_weights(values: dict[str, Any]) -> dict[str, Any]:
    """Return values of a configuration with ``pretrained`` as text: none, timm or ``PATH#HASH``.

    Raises:
        UserError: It is neither true, false nor a file.
    """
    if values.get("pretrained") is None:
        return values
    given = values["pretrained"]
    if isinstance(given, bool) or given in (NONE, DOWNLOAD):
        known = {True: DOWNLOAD, False: NONE}
        return {**values, "pretrained": known.get(given, given)}
    if given == "imagenet":
        raise UserError(
            "pretrained must be true, false or a file for a network of timm, but got 'imagenet'; "
            "write true for the weights that timm names first"
        )
    try:
        return {**values, "pretrained": pin_weights(given)}
    except UserError:
        raise UserError(
            f"pretrained must be true, false or the path of a file for a network of timm, but got "
            f"{given!r}, and there is no such file"
        ) from None


def type_and_message(error: BaseException) -> str:
    """Return an exception in one line, at most 200 letters."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= 200 else f"{text[:200]}…"
