"""Exceptions in the user's own code: out of memory, or a failed attempt with its lines."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairsweep.errors import UserError
from fairsweep.own_code.failures import OwnCodeError, failures_explained, told, trace
from tune.execution.executor import AttemptFailedError
from tune.execution.memory import OutOfMemoryError
from tune.run.directory import ERRORS_DIR

_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "can't allocate memory")
"""How JAX, TensorFlow and torch tell that a device has no memory left."""


@contextmanager
def failures_kept(run: Path, trial_id: str, what: str) -> Iterator[None]:
    """Turn exceptions of own code into the failure of an attempt, and keep their lines.

    Args:
        run: The run directory.
        trial_id: The trial.
        what: The reference of the code.

    Raises:
        AttemptFailedError: There was an exception; its lines are added to the trial's file.
        OutOfMemoryError: The exception says that there is not enough memory.
    """
    try:
        yield
        return
    except (Exception, SystemExit) as error:
        line = _line(what, error)
        no_memory = _is_out_of_memory(error)
        if not no_memory:
            _keep(run, trial_id, error)
    # Not inside the handler, where the traceback still references tensors on the card.
    if no_memory:
        raise OutOfMemoryError(line)
    raise AttemptFailedError(f"{line} (all of it in {ERRORS_DIR}/{trial_id}.txt)")


@contextmanager
def network_failures_kept(run: Path, trial_id: str, family: str) -> Iterator[None]:
    """Turn exceptions of an own network into the failure of an attempt; others pass.

    Raises:
        AttemptFailedError: There was one; its lines are added to the trial's file.
    """
    try:
        with failures_explained(family):
            yield
    except OwnCodeError as error:
        _keep(run, trial_id, error.__cause__ or error)
        reason = f"{error} (all of it in {ERRORS_DIR}/{trial_id}.txt)"
        raise AttemptFailedError(reason) from error


def _line(what: str, error: BaseException) -> str:
    if isinstance(error, OwnCodeError):
        return str(error)
    return f"{what} {error}" if isinstance(error, UserError) else f"{what}: {told(error)}"


def _is_out_of_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in str(error) for words in _MEMORY_WORDS)
    )


def _keep(run: Path, trial_id: str, error: BaseException) -> None:
    whole = "".join(traceback.format_exception(error))
    path = run / ERRORS_DIR / f"{trial_id}.txt"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{trace(error)}\n\nAll calls, the last one last:\n{whole}\n")
