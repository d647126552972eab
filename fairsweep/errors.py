"""The root of all errors that the user can mend."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class UserError(ValueError):
    """An input breaks a rule. The message names the value, the rule and the way out in one line.

    Commands print it and end with its exit code; every other exception is a fault of ours.
    """

    exit_code: ClassVar[int] = 2


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that a command needs is not there."""


def nearest(word: str, options: Iterable[str]) -> str:
    """Return the option that is spelt most like ``word``, for a message."""
    return get_close_matches(word, list(options), n=1, cutoff=0.0)[0]
