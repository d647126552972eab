"""Whether the pictures of a dataset have the groups that a configuration names."""

from collections.abc import Iterable, Mapping
from typing import Any

from fairsweep.errors import UserError, nearest
from models.config import TrainConfig
from models.groups import group_factors


def check_groups(config: TrainConfig, columns: Mapping[str, Any]) -> None:
    """Make sure that the pictures have the groups that ``config`` names.

    Args:
        config: What to train.
        columns: `data_prep.reader.ImageDataset.columns`.

    Raises:
        UserError: A column or a group is missing; the message tells the nearest one.
    """
    for name in ("oversample", "sample_weights", "balance"):
        text: str | None = getattr(config, name)
        if text is None:
            continue
        factors = () if name == "balance" else group_factors(text)
        for column in text.split(",") if name == "balance" else [one.column for one in factors]:
            _check_known(f"{name} must name a column of the pictures", column, columns)
        for one in factors:
            values = set(columns[one.column].tolist()) - {""}
            _check_known(f"{name} must name a group of {one.column}", one.value, values)


def _check_known(what: str, name: str, known: Iterable[str]) -> None:
    options = sorted(known)
    if name not in options:
        near = f"; the nearest is {nearest(name, options)!r}" if options else ""
        shown = ", ".join(options[:20]) + (", …" if len(options) > 20 else "")
        raise UserError(f"{what}, but got {name!r}{near} (all: {shown or 'none'})")
