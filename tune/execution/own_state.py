"""Saves and loads the state of the user's own training code, without torch if it does not use it.

A state is loaded as its own code in the run directory is imported: it may run code when unpickled.
"""

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from fairsweep.durable import replaced
from fairsweep.errors import UserError


def save_state(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` to ``path`` atomically.

    Raises:
        UserError: They cannot be pickled.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replaced(path) as partial, partial.open("wb") as file:
            if "torch" in sys.modules:
                import torch

                torch.save(dict(values), file)
            else:
                pickle.dump(dict(values), file)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise UserError(
            f"yielded a state that cannot be pickled ({error}); yield plain values, arrays and "
            "state dicts"
        ) from error


def load_state(path: Path) -> dict[str, Any] | None:
    """Read what `save_state` wrote, with tensors on the CPU; None if it is missing or damaged."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
            file.seek(0)
            return _load_torch(file) if is_zip else dict(pickle.load(file))
    except Exception:  # A damaged pickle can raise anything; the training then starts again.
        return None


def _load_torch(file: IO[bytes]) -> dict[str, Any]:
    import torch

    return dict(torch.load(file, map_location="cpu", weights_only=False))
