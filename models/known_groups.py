"""Checks that the pictures of a dataset have the groups that a configuration names."""

from collections.abc import Iterable, Mapping
from typing import Any

from fairsweep.errors import UserError, nearest
from models.config import TrainConfig
from models.groups import group_factors


def check_groups(config: TrainConfig, columns: Mapping[str, Any]) -> None:
    """Check that the pictures have the groups that ``config`` names.

    Args:
        config: The configuration to train.
        columns: `data_prep.reader.ImageDataset.columns`.

    Raises:
        UserError: A column or a group does not exist; the message names the nearest one.
    """
    for name in ("oversample", "sample_weights", "balance"):
        text: str | None = getattr(config, name)
        if text is None:
            continue
        factors = () if name == "balance" else group_factors(text)
        for column in text.split(",") if name == "balance" else [group.column for group in factors]:
            _check_known(f"{name} must name a column of the pictures", column, columns)
        for group in factors:
            values = set(columns[group.column].tolist()) - {""}
            _check_known(f"{name} must name a group of {group.column}", group.value, values)


def _check_known(what: str, name: str, known: Iterable[str]) -> None:
    options = sorted(known)
    if name not in options:
        near = f"; the nearest is {nearest(name, options)!r}" if options else ""
        shown = ", ".join(options[:20]) + (", …" if len(options) > 20 else "")
        raise UserError(f"{what}, but got {name!r}{near} (all: {shown or 'none'})")
