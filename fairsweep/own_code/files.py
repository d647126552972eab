"""Finds the source files that own code consists of, without importing them, and hashes them."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fairsweep.errors import MissingFileError, UserError
from fairsweep.own_code.reference import OURS, Reference


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A module of the user, as it was when it was read."""

    path: Path
    content: bytes
    is_package: bool
    """Whether it is the ``__init__.py`` of a package."""


@dataclass(frozen=True, kw_only=True)
class OwnCode:
    """A class or function of the user, and the source files that it comes from."""

    reference: Reference
    root: Path
    """The folder that holds the top-level package or module."""
    modules: Mapping[str, SourceFile]
    """Dotted name of each module → its file."""
    installed: bool
    """Whether the code is in an installed package, which every node has and which is not copied."""

    @property
    def files(self) -> dict[str, SourceFile]:
        """The files by their path relative to ``root``, sorted."""
        named = {file.path.relative_to(self.root).as_posix(): file for file in self._each()}
        return dict(sorted(named.items()))

    @property
    def hash(self) -> str:
        """Hash of the names and contents of all files; the same in any folder."""
        digest = hashlib.blake2b(digest_size=16)
        for name, file in self.files.items():
            for part in (name.encode(), file.content):
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    def _each(self) -> Iterable[SourceFile]:
        return self.modules.values()


def find_code(reference: Reference, folders: Iterable[Path]) -> OwnCode:
    """Find the files of own code: its module, and all that this imports of the user's own.

    The module is searched in ``folders``, in this order, then in the installed packages. Of a
    module in a folder, every imported module below that folder is own code. Of an installed module,
    those in the same top-level package are. Only ``import`` statements are followed.

    Raises:
        MissingFileError: There is no such module.
        UserError: A file is not valid Python, or the module belongs to Python itself.
    """
    folders = tuple(dict.fromkeys(folder.absolute() for folder in folders))
    for folder in folders:
        if _module_file(folder, reference.module) is not None:
            return _read(reference, folder)
    root = _installed_root(reference)
    if root is None or _module_file(root, reference.module) is None:
        places = ", ".join(map(str, folders))
        raise MissingFileError(
            f"{reference}: there is no module {reference.module} in {places} or the installed "
            "packages; start the command in the folder that holds "
            f"{reference.top}, or install the package"
        )
    return _read(reference, root)


def _read(reference: Reference, root: Path) -> OwnCode:
    if reference.top in sys.stdlib_module_names:
        raise UserError(f"{reference}: {reference.top} is part of Python; name code of your own")
    installed = not {"site-packages", "dist-packages"}.isdisjoint(root.parts)
    modules: dict[str, SourceFile] = {}
    pending = [reference.module]
    while pending:
        for name in _with_parents(pending.pop()):
            if name in modules or not _is_own(name, reference, installed=installed):
                continue
            if (path := _module_file(root, name)) is not None:
                is_package = path.name == "__init__.py"
                file = SourceFile(path=path, content=path.read_bytes(), is_package=is_package)
                modules[name] = file
                pending += _imports(name, file, root)
    return OwnCode(reference=reference, root=root, modules=modules, installed=installed)


def _is_own(name: str, reference: Reference, *, installed: bool) -> bool:
    top = name.partition(".")[0]
    if installed:
        return top == reference.top
    return top not in OURS and top not in sys.stdlib_module_names


def _with_parents(name: str) -> Iterator[str]:
    """Yield ``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``; Python imports them in this order."""
    parts = name.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def _module_file(root: Path, name: str) -> Path | None:
    place = root.joinpath(*name.split("."))
    # A package comes before a module of the same name, as in Python.
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    return None


def _installed_root(reference: Reference) -> Path | None:
    """Return the folder above an installed top-level package or module, without importing it."""
    for finder in sys.meta_path:
        if hasattr(finder, "offer"):  # Ours, which knows only code that was found before.
            continue
        spec = finder.find_spec(reference.top, None)
        if spec is None:
            continue
        places = [*(spec.submodule_search_locations or ())]
        if spec.origin is not None and spec.has_location:
            places.insert(0, str(Path(spec.origin).parent))
        if not places:
            return None
        is_package = spec.submodule_search_locations is not None
        return Path(places[0]).parent if is_package else Path(places[0])
    return None


def _imports(module: str, file: SourceFile, root: Path) -> Iterator[str]:
    """Yield every module that a file may import, also those inside functions."""
    name = file.path.relative_to(root).as_posix()
    try:
        tree = ast.parse(file.content)
    except SyntaxError as error:
        raise UserError(f"{name}, line {error.lineno}: SyntaxError: {error.msg}") from None
    except ValueError as error:
        raise UserError(f"{name} is not a Python file: {error}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node, is_package=file.is_package)
            yield from (f"{base}.{alias.name}" for alias in node.names if base)


def _base(module: str, node: ast.ImportFrom, *, is_package: bool) -> str:
    """Return the absolute name of the module after ``from``."""
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])
