"""Imports own code from the files that were found and hashed, and from no others."""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source, spec_from_file_location
from types import ModuleType
from typing import Any

from fairsweep.errors import UserError, nearest
from fairsweep.own_code.failures import OwnCodeError, note_file, told
from fairsweep.own_code.files import OwnCode, SourceFile


def load(code: OwnCode) -> Callable[..., Any]:
    """Import own code and return the class or function that it names.

    Modules of an earlier version, or from another folder, are imported again.

    Raises:
        OwnCodeError: The import raises an exception.
        UserError: The module does not have the name, or it is not a class or function.
    """
    for name, file in code.files.items():
        note_file(file.path, name)
    if not code.installed:
        _finder.offer(code)
    try:
        module = importlib.import_module(code.reference.module)
    except (Exception, SystemExit) as error:
        raise OwnCodeError(f"{code.reference} cannot be imported: {told(error)}") from error
    return _callable(code, module)


def _callable(code: OwnCode, module: ModuleType) -> Callable[..., Any]:
    reference = code.reference
    found = getattr(module, reference.name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    if found is not None:
        raise UserError(f"{reference} must be a class or function, but is {found!r}")
    names = [name for name, value in vars(module).items() if callable(value)]
    hint = f"; the nearest is {nearest(reference.name, names)!r}" if names else ""
    raise UserError(f"{reference}: {reference.module} has no {reference.name!r}{hint}")


class _Loader(ExecutionLoader):
    """Runs a module from the bytes that were hashed, never from compiled files beside them."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file

    def get_filename(self, _fullname: str) -> str:
        return str(self.file.path)

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the name in the base class
        return decode_source(self.file.content)

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002 - the name in the base class
        return self.file.is_package


class _Finder(MetaPathFinder):
    """Finds the modules of own code before Python searches its own path.

    So the folder of own code need not be on the path, where a file of it could hide a library.
    """

    def __init__(self) -> None:
        self.files: dict[str, SourceFile | None] = {}
        """Dotted name → file; None for a folder without ``__init__.py``."""

    def offer(self, code: OwnCode) -> None:
        """Let the modules of ``code`` be imported, instead of others of their names."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        files = _with_folders(code)
        if any(self._is_stale(name, file) for name, file in files.items()):
            # Modules that were not changed hold objects of those that were.
            tops = {name.partition(".")[0] for name in files}
            for known in (self.files, sys.modules):
                for name in [name for name in known if name.partition(".")[0] in tops]:
                    del known[name]
        self.files |= files

    def _is_stale(self, name: str, file: SourceFile | None) -> bool:
        if name in self.files:
            return self.files[name] != file
        return name in sys.modules

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: Any = None
    ) -> ModuleSpec | None:
        """Return how to import a module of own code; None for all others."""
        if fullname not in self.files:
            return None
        file = self.files[fullname]
        if file is None:
            return ModuleSpec(fullname, None, is_package=True)
        return spec_from_file_location(
            fullname,
            file.path,
            loader=_Loader(file),
            submodule_search_locations=[] if file.is_package else None,
        )


def _with_folders(code: OwnCode) -> dict[str, SourceFile | None]:
    """Return the modules of ``code``, and None for each folder without ``__init__.py``."""
    files: dict[str, SourceFile | None] = dict(code.modules)
    for name in code.modules:
        parts = name.split(".")[:-1]
        for count in range(len(parts)):
            files.setdefault(".".join(parts[: count + 1]), None)
    return files


_finder = _Finder()
