"""The base class of all errors that the user can fix."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class UserError(ValueError):
    """An input breaks a rule. The message names the value, the rule and the fix in one line.

    A command prints the message and ends with ``exit_code``. Any other exception is a bug of ours.
    """

    exit_code: ClassVar[int] = 2


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that a command needs does not exist."""


def nearest(word: str, options: Iterable[str]) -> str:
    """Return the option whose spelling is closest to ``word``, for a message."""
    return get_close_matches(word, list(options), n=1, cutoff=0.0)[0]


def one_line(error: BaseException) -> str:
    """Return the message of an exception on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
