"""The list of mutants: small mistakes in our code, each with what a tired engineer got wrong."""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent
PARTS = ("fairsweep", "data_prep", "models", "tune", "analysis")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake: a piece of a source file, and what replaces it."""

    part: str
    """The top-level folder that the file is in; only this folder's tests are run."""
    file: str
    """Path from the repository root."""
    old: str
    """Text that occurs exactly once in the file."""
    new: str
    mistake: str
    """What goes wrong, in one sentence."""
    survives: str = ""
    """Why no test notices it, for the few that are left."""

    @property
    def identifier(self) -> str:
        """A short hash of the change."""
        return sha256("\0".join((self.file, self.old, self.new)).encode()).hexdigest()[:10]

    def source(self, root: Path = ROOT) -> str:
        """Return the text of the file with the mistake in it.

        Raises:
            ValueError: ``old`` does not occur exactly once in the file, or ``new`` is the same.
        """
        path = root / self.file
        if not path.is_file():
            raise ValueError(f"{self.file} does not exist; update {self.part}.toml")
        text = path.read_text("utf-8")
        count = text.count(self.old)
        if count != 1 or self.old == self.new:
            raise ValueError(
                f"{self.old!r} must occur exactly once in {self.file} and change, but occurs "
                f"{count} times; update {self.part}.toml"
            )
        return text.replace(self.old, self.new)


def read_mutants(part: str) -> list[Mutant]:
    """Read the mutants of one top-level folder, in the order of its list."""
    listed = tomllib.loads((LISTS / f"{part}.toml").read_text("utf-8"))
    return [Mutant(part=part, **entry) for entry in listed.get("mutant", [])]
