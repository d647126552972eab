"""Whether own code in a run directory may be imported: a directory from elsewhere could hold any.

A user trusts the code that she started a run with, and code that she names with ``--trust-code``.
Hashes of both are kept in a file of the user.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from fairsweep.errors import MissingFileError, UserError
from fairsweep.own_code.files import OwnCode, find_code


def record() -> Path:
    """Return the file with the hashes of trusted code, one a line."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "fairsweep" / "trusted_code"


def trust(codes: Iterable[OwnCode]) -> None:
    """Remember that the user trusts these codes."""
    known = _known()
    path = record()
    lines = "".join(f"{h} {code.reference}\n" for code in codes if (h := code.hash) not in known)
    if not lines:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)


def check_trusted(codes: Iterable[OwnCode], run: Path) -> None:
    """Check that the user trusts own code of a run.

    She does if she has run it before, or if the same code is in the current folder.

    Raises:
        UserError: She has not; the message names the option that says so.
    """
    known = _known()
    for code in codes:
        if code.hash not in known and not _is_present(code):
            place = code.root if code.installed else run
            raise UserError(
                f"{run} would import {code.reference} from {place} (hash {code.hash}), which you "
                "have not run before and which could do anything with your rights; read it, then "
                "repeat the command with --trust-code (docs/own_network.md)"
            )


def present(code: OwnCode) -> OwnCode | None:
    """Return the code of this name in the current folder as it is now; None without any."""
    try:
        found = find_code(code.reference, [Path.cwd()])
    except MissingFileError:
        return None
    return None if found.installed else found


def _is_present(code: OwnCode) -> bool:
    try:
        found = present(code)
    except UserError:  # A file that is being edited may not be valid Python.
        return False
    return not code.installed and found is not None and found.hash == code.hash


def _known() -> frozenset[str]:
    path = record()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return frozenset(line.split(" ")[0] for line in lines)
