"""Reads the initial weights of a run that `tune retrain` made."""

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
    """Read the initial weights of ``config``; None if it does not start from a checkpoint.

    Raises:
        MissingFileError: The run directory lacks the checkpoint.
        UserError: The checkpoint is not the one that the run began with.
    """
    if config.initial is None:
        return None
    from models.checkpoint import load

    path = run / INITIAL_FILE
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; restore the checkpoint that the run began with")
    if content_hash(path) != config.initial:
        raise UserError(
            f"{path} has the hash {content_hash(path)}, but this trial starts from "
            f"{config.initial}; restore the checkpoint that the run began with"
        )
    state: dict[str, Any] = load(path)
    weights: Mapping[str, Tensor] = state["weights"]
    return weights
