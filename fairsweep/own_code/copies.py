"""The copy of own code in a run directory, from which its trials are trained."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from fairsweep.durable import sync, sync_folder
from fairsweep.errors import MissingFileError, UserError
from fairsweep.own_code.files import OwnCode, find_code
from fairsweep.own_code.reference import Reference


def write_copy(codes: Iterable[OwnCode], folder: Path) -> None:
    """Write the files of all ``codes`` below ``folder``, replacing what is there, atomically.

    Code of an installed package is not copied.

    Raises:
        UserError: Two of them have different files of one name.
    """
    files: dict[str, bytes] = {}
    copied = [code for code in codes if not code.installed]
    for code in copied:
        for name, file in code.files.items():
            if files.setdefault(name, file.content) != file.content:
                raise UserError(
                    f"own code from two folders has different files {name}; rename one of them"
                )
    partial = folder.with_name(f".{folder.name}")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    if not files:
        return
    for name, content in files.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sync(path)
    partial.replace(folder)
    sync_folder(folder.parent)
    for code in copied:
        # A file of one may be a library to the other.
        read_copy(code.reference, folder, code.hash)


def read_copy(reference: Reference, folder: Path, expected: str) -> OwnCode:
    """Find own code in the copy, or in an installed package, and check that it is unchanged.

    Raises:
        MissingFileError: It is in neither.
        UserError: Its hash is not the ``expected`` one.
    """
    folder = folder.absolute()
    code: OwnCode | None
    try:
        code = find_code(reference, [folder])
    except MissingFileError:
        code = None
    if code is None or not (code.installed or code.root == folder):
        raise MissingFileError(
            f"{reference} is missing in {folder}; restore the folder from a copy of the run"
        )
    if code.hash == expected:
        return code
    if code.installed:
        raise UserError(
            f"{reference} is in an installed package that has changed since the run began (hash "
            f"{code.hash}, then {expected}); install the earlier version, or start a new run"
        )
    raise UserError(
        f"{reference} in {folder} has the hash {code.hash}, but the run was made with "
        f"{expected}; restore the folder from a copy of the run, or start a new run to train with "
        "changed code"
    )
