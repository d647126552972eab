"""The root of all errors that the user can mend."""

from typing import ClassVar


class UserError(ValueError):
    """An input breaks a rule. The message names the value, the rule and the way out in one line.

    Commands print it and end with its exit code; every other exception is a fault of ours.
    """

    exit_code: ClassVar[int] = 2


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that a command needs is not there."""
