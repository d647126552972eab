"""Rules that a hyperparameter's value must keep; each checks a value and says what is allowed."""

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol

from fairsweep.errors import UserError


class Rule(Protocol):
    """What a value must be."""

    def check(self, name: str, value: Any) -> Any:
        """Return ``value`` as its one proper type.

        Raises:
            UserError: The value breaks the rule; the message names it, the rule and the way out.
        """
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``, or one of a few ``words``."""

    low: int
    high: int
    words: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> int | str:
        """Return the number as an int, or the word. Raises ValueError."""
        if isinstance(value, str) and value in self.words:
            return value
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or not self.low <= int(value) <= self.high:
            words = "".join(f" or {word!r}" for word in self.words)
            raise UserError(
                f"{name} must be a whole number from {self.low} to {self.high}{words}, "
                f"but got {value!r}"
            )
        return int(value)


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` to ``high``, without an end that is ``open``."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def check(self, name: str, value: Any) -> float:
        """Return the number as a float. Raises ValueError."""
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not self._holds(float(value)):
            hint = "; YAML reads 1e-3 as text, write 1.0e-3" if isinstance(value, str) else ""
            raise UserError(
                f"{name} must be a number {'above' if self.open_low else 'of at least'} "
                f"{self.low:g} and {'below' if self.open_high else 'at most'} {self.high:g}, "
                f"but got {value!r}{hint}"
            )
        return float(value)

    def _holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]

    def check(self, name: str, value: Any) -> str:
        """Return the word. Raises ValueError, with the nearest valid one."""
        if value not in self.options:
            raise UserError(
                f"{name} must be one of {', '.join(self.options)}, but got {value!r}; "
                f"the nearest is {nearest(str(value), self.options)!r}"
            )
        return str(value)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, name: str, value: Any) -> bool:
        """Return the flag. Raises ValueError."""
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, but got {value!r}")
        return value


@dataclass(frozen=True)
class Word:
    """A name in small letters, digits and underscores, of something that ``what`` tells."""

    what: str

    def check(self, name: str, value: Any) -> str:
        """Return the name. Raises ValueError."""
        if not isinstance(value, str) or re.fullmatch(r"[a-z][a-z0-9_]*", value) is None:
            raise UserError(f"{name} must be {self.what}, but got {value!r}")
        return value


@dataclass(frozen=True)
class WordOrFile:
    """One of a few words, or a file, which is pinned to its content when it is first named."""

    words: tuple[str, ...]

    def check(self, name: str, value: Any) -> str:
        """Return the word, or the file as ``ABSOLUTE_PATH#HASH``. Raises ValueError.

        A file that is pinned already is not looked at, for a configuration may be read where
        the file no longer is.
        """
        if isinstance(value, str) and (value in self.words or pinned_hash(value) is not None):
            return value
        path = Path(str(value)).expanduser().absolute()
        if not isinstance(value, str) or not path.is_file():
            raise UserError(
                f"{name} must be {', '.join(self.words)} or the path of a file, but got {value!r}, "
                "and there is no such file"
            )
        return f"{path}#{content_hash(path)}"


def pinned_hash(value: str) -> str | None:
    """Return the hash in ``PATH#HASH``, or None where there is none."""
    found = re.search(r"#([0-9a-f]{16})$", value)
    return found[1] if found else None


def content_hash(path: Path) -> str:
    """Return a hash of a file's content, computed anew only when the file has changed."""
    stat = path.stat()
    return _content_hash(path, stat.st_mtime_ns, stat.st_size)


@cache
def _content_hash(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def nearest(word: str, options: Iterable[str]) -> str:
    """Return the one of ``options`` that is spelt most like ``word``."""
    return get_close_matches(word, list(options), n=1, cutoff=0.0)[0]
