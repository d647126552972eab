"""Hashes of files that a configuration names, so that its id depends on the files' content."""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from fairsweep.errors import UserError

WEIGHTS = ("none", "imagenet")
"""Values of ``pretrained`` that are not files."""


def pin_weights(value: Any) -> str:
    """Return a value in ``WEIGHTS`` unchanged, and a file as ``ABSOLUTE_PATH#HASH``.

    A value that already has a hash is returned unchanged: the file need not exist on this machine.

    Raises:
        UserError: It is neither. The caller puts the hyperparameter's name before the message.
    """
    if isinstance(value, str) and (value in WEIGHTS or pinned_hash(value) is not None):
        return value
    path = Path(str(value)).expanduser().absolute()
    if not isinstance(value, str) or not path.is_file():
        raise UserError(
            f"must be {', '.join(WEIGHTS)} or the path of a file, but got {value!r}, and there is "
            "no such file"
        )
    return f"{path}#{content_hash(path)}"


def check_hash(value: Any) -> str:
    """Return ``value`` if it is a hash in the form of `content_hash`.

    Raises:
        UserError: It is not. The caller puts the hyperparameter's name before the message.
    """
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{16}", value) is None:
        raise UserError(
            f"must be the hash of a file, which `python -m tune retrain` writes, but got {value!r}"
        )
    return value


def pinned_hash(value: str) -> str | None:
    """Return the hash in ``PATH#HASH``, or None if there is none."""
    found = re.search(r"#([0-9a-f]{16})$", value)
    return found[1] if found else None


def shown(value: Any) -> str:
    """Return a value as shown in a short name: a file without folder, suffix and hash."""
    is_file = isinstance(value, str) and pinned_hash(value) is not None
    return Path(value.rpartition("#")[0]).stem if is_file else str(value)


def content_hash(path: Path) -> str:
    """Return a hash of a file's content, cached until the file changes."""
    stat = path.stat()
    return _content_hash(path, stat.st_mtime_ns, stat.st_size)


@cache
def _content_hash(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
