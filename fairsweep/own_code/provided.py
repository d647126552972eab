"""The own code that this process has found, from which networks are built and trials trained."""

from collections.abc import Mapping
from pathlib import Path

from fairsweep.errors import UserError
from fairsweep.own_code.copies import read_copy
from fairsweep.own_code.files import OwnCode
from fairsweep.own_code.reference import Reference

_codes: dict[tuple[str, str], OwnCode] = {}


def provide(code: OwnCode) -> None:
    """Let `provided` return this code, instead of an equal one from another folder."""
    _codes[str(code.reference), code.hash] = code


def provide_copies(folder: Path, hashes: Mapping[str, str]) -> list[OwnCode]:
    """Provide the copies of own code in a run directory, and return them; nothing is imported.

    Args:
        folder: The copy.
        hashes: Hash by reference.

    Raises:
        UserError: As `read_copy`.
    """
    codes = [read_copy(Reference.parse(name), folder, value) for name, value in hashes.items()]
    for code in codes:
        provide(code)
    return codes


def provided(reference: str, code_hash: str) -> OwnCode:
    """Return own code by its reference and hash.

    Raises:
        UserError: This process has not found it.
    """
    code = _codes.get((reference, code_hash))
    if code is None:
        raise UserError(
            f"the code of {reference} with the hash {code_hash} is not available; open its run "
            "with a command that imports it, such as `python -m tune predict`"
        )
    return code
