"""Packs what a machine with a GPU and without a network lacks: `python -m benchmarks gpu_bundle`.

The wheels of all packages that sweeps need, except torch's own, in the versions of this
environment, for Python 3.12 on Linux; and datasets. All of it is one archive, in pieces that are
small enough to be carried there one at a time.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.harness import Result
from fairsweep.errors import UserError

PIECE_BYTES = 58_000_000
PYTHON = "3.12"
ROOT = "fairsweep[sweep]"
ON_THE_MACHINE = ("torch", "torchvision")
"""Left out with all that only they need, such as CUDA's libraries."""
JARS = "ray/jars/"
"""Part of Ray's wheel that only Java needs: nearly half of it."""
PLATFORMS = (
    "manylinux1",
    "manylinux2010",
    "manylinux2014",
    *(f"manylinux_2_{n}" for n in range(5, 36)),
)
INSTALL = "cat bundle.* | tar x && python3 -m pip install --no-index --no-deps wheels/*.whl"

Versions = Mapping[str, str]


def run(
    out: Path, data: Path | None = None, cifar: Path | None = None, have: Path | None = None
) -> Iterator[Result]:
    """Write the pieces into ``out`` and print the command that installs them; yield nothing.

    Args:
        out: Folder of the pieces, which must be empty or missing.
        data: A prepared dataset.
        cifar: CIFAR-10 as a prepared dataset.
        have: What ``pip freeze`` prints on the other machine; packages that it has are left out.

    Raises:
        UserError: ``out`` is not empty, or a wheel cannot be downloaded.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; give another folder, or remove what is there")
    out.mkdir(parents=True, exist_ok=True)
    there = {} if have is None else read_freeze(have.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        download(needed(there), wheels)
        for wheel in wheels.glob("ray-*.whl"):
            strip(wheel, JARS)
        datasets = {"data": data, "cifar": cifar}
        contents = {"wheels": wheels} | {name: path for name, path in datasets.items() if path}
        pieces = pack(contents, out)
    sizes = [piece.stat().st_size / 1e6 for piece in pieces]
    print(f"{len(pieces)} pieces in {out}, MB: {', '.join(f'{size:.1f}' for size in sizes)}")
    print(f"there, in a folder with all pieces:\n{INSTALL}")
    yield from ()


def read_freeze(text: str) -> Versions:
    """Return name → version of the lines ``NAME==VERSION`` of ``pip freeze``."""
    pairs = (line.split("==") for line in text.splitlines() if line.count("==") == 1)
    return {canonicalize_name(name.strip()): version.strip() for name, version in pairs}


def needed(there: Versions) -> dict[str, str]:
    """Return name → version of the packages that ``ROOT`` needs and the other machine lacks.

    A package that is there in a version which all its users accept is left out, but not what it
    needs, because that may be too old.
    """
    asked: dict[str, list[Requirement]] = {}
    todo = [Requirement(ROOT)]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        known = asked.setdefault(name, [])
        if name in ON_THE_MACHINE or any(str(other) == str(requirement) for other in known):
            continue
        known.append(requirement)
        todo += _requirements(requirement)
    names = sorted(asked.keys() - {canonicalize_name("fairsweep"), *ON_THE_MACHINE})
    lacking = (name for name in names if not _accepted(there.get(name), asked[name]))
    return {name: distribution(name).version for name in lacking}


def _requirements(requirement: Requirement) -> Iterator[Requirement]:
    """Yield what a package and the extras that are asked of it need on the other machine."""
    try:
        lines = distribution(requirement.name).requires or ()
    except PackageNotFoundError as error:
        raise UserError(
            f"{requirement.name} is not installed here, so its version is unknown"
        ) from error
    for line in lines:
        further = Requirement(line)
        wanted = ({"extra": extra} for extra in ("", *requirement.extras))
        machine = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
        if further.marker is None or any(further.marker.evaluate(machine | w) for w in wanted):
            yield further


def _accepted(version: str | None, requirements: Iterable[Requirement]) -> bool:
    return version is not None and all(
        requirement.specifier.contains(version, prereleases=True) for requirement in requirements
    )


def download(packages: Versions, wheels: Path) -> None:
    """Download the wheels of these packages for the other machine.

    Raises:
        UserError: pip finds no wheel for one of them.
    """
    wheels.mkdir()
    lines = [f"{name}=={version}" for name, version in packages.items()]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", PYTHON, "--dest", str(wheels)]
    for platform in PLATFORMS:
        command += ["--platform", f"{platform}_x86_64"]
    done = subprocess.run([*command, *lines], capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise UserError(f"a wheel cannot be downloaded: {(errors or [done.stderr.strip()])[-1]}")


def strip(wheel: Path, folder: str) -> None:
    """Remove a folder from a wheel, also from its list of files."""
    smaller = wheel.with_suffix(".smaller")
    with ZipFile(wheel) as source, ZipFile(smaller, "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            if entry.filename.startswith(folder):
                continue
            content = source.read(entry)
            if entry.filename.endswith(".dist-info/RECORD"):
                lines = content.decode().splitlines(keepends=True)
                content = "".join(line for line in lines if not line.startswith(folder)).encode()
            target.writestr(entry, content)
    smaller.replace(wheel)


class _Pieces:
    """A file that is written in pieces of limited size."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self.paths: list[Path] = []
        self._room = 0

    def write(self, content: bytes) -> int:
        """Append to the last piece, and begin another one when it is full."""
        for start in range(0, len(content), self._size):
            self._append(content[start : start + self._size])
        return len(content)

    def _append(self, content: bytes) -> None:
        if len(content) > self._room:
            self._begin()
        with self.paths[-1].open("ab") as file:
            file.write(content)
        self._room -= len(content)

    def _begin(self) -> None:
        self.paths.append(self._folder / f"bundle.{len(self.paths):02}")
        self._room = self._size


def pack(contents: Mapping[str, Path], out: Path, *, piece_bytes: int = PIECE_BYTES) -> list[Path]:
    """Write folders into one archive in pieces; return the paths of the pieces.

    Args:
        contents: Name in the archive → folder.
        out: Folder of the pieces, and of a list of their checksums.
        piece_bytes: Largest size of a piece.
    """
    pieces = _Pieces(out, piece_bytes)
    with tarfile.open(fileobj=pieces, mode="w|") as archive:  # type: ignore[call-overload]
        for name, folder in contents.items():
            archive.add(folder, arcname=name)
    sums = [
        f"{hashlib.sha256(piece.read_bytes()).hexdigest()}  {piece.name}" for piece in pieces.paths
    ]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    return pieces.paths
