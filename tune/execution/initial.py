"""Weights that a retrained run starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsweep.errors import MissingFileError, UserError
from models.config import TrainConfig
from models.file_hash import content_hash
from tune.run.directory import INITIAL_FILE

if TYPE_CHECKING:
    from torch import Tensor


def read_initial(run: Path, config: TrainConfig) -> "Mapping[str, Tensor] | None":
    """Read the weights that a training of ``config`` starts from, if not from nothing.

    Raises:
        MissingFileError: The run has lost them.
        UserError: They are not those that it began with.
    """
    if config.initial is None:
        return None
    from models.checkpoint import load

    path = run / INITIAL_FILE
    if not path.is_file():
        raise MissingFileError(
            f"{path} is missing; put the checkpoint back that the run began with"
        )
    if content_hash(path) != config.initial:
        raise UserError(
            f"{path} has the hash {content_hash(path)}, but this trial starts from "
            f"{config.initial}; put the checkpoint back that the run began with"
        )
    state: dict[str, Any] = load(path)
    weights: Mapping[str, Tensor] = state["weights"]
    return weights
