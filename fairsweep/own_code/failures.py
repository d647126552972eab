"""Exceptions in the user's own code, told with the user's file and line."""

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairsweep.errors import UserError


class OwnCodeError(UserError):
    """The user's own code raised an exception; the message names its file and line."""


_names: dict[str, str] = {}
"""Path of each file of own code in this process → its name for messages."""


def note_file(path: Path, name: str) -> None:
    """Let messages name the file ``path`` as ``name``."""
    _names[str(path)] = name


@contextmanager
def failures_explained(what: str) -> Iterator[None]:
    """Turn an exception that passed through own code into an `OwnCodeError`; others pass.

    Args:
        what: The beginning of the message, such as the reference of the code.
    """
    try:
        yield
    except Exception as error:
        if not own_frames(error):
            raise
        raise OwnCodeError(f"{what}: {told(error)}") from error


def told(error: BaseException) -> str:
    """Return an exception in one line: the last place in own code, its type and its message."""
    gist = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename in _names:
        return f"{_names[error.filename]}, line {error.lineno}: SyntaxError: {error.msg}"
    frames = own_frames(error)
    return f"{_place(frames[0])}: {gist}" if frames else gist


def trace(error: BaseException) -> str:
    """Return the lines of own code that an exception passed through, the last one first."""
    lines = [told(error)]
    for frame in own_frames(error):
        lines += [f"  {_place(frame)}", f"    {frame.line}"]
    return "\n".join(lines)


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of an exception that are in own code, the last one first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in reversed(frames) if frame.filename in _names]


def _place(frame: traceback.FrameSummary) -> str:
    return f"{_names[frame.filename]}, line {frame.lineno}, in {frame.name}"


def place_of(target: Callable[..., Any]) -> str:
    """Return the file and line where a function or class is defined."""
    try:
        path = inspect.getsourcefile(target) or "?"
        line = inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return str(getattr(target, "__qualname__", target))
    return f"{_names.get(path, path)}, line {line}"
