"""Names of the user's own code in a spec: ``package.module:name``."""

import re
from dataclasses import dataclass
from typing import Any, Self

from fairsweep.errors import UserError

TIMM = "timm:"
"""Beginning of the name of a network of the package timm."""
OURS = frozenset({"fairsweep", "data_prep", "models", "tune", "analysis"})
"""Top-level packages of this program."""
_NAME = r"[^\W\d]\w*"
_PATTERN = re.compile(rf"({_NAME}(?:\.{_NAME})*):({_NAME})")


def is_own(value: Any) -> bool:
    """Return whether a value names own code or a network of timm; a name of ours has no colon."""
    return isinstance(value, str) and ":" in value


def is_timm(value: Any) -> bool:
    """Return whether a value names a network of the package timm."""
    return isinstance(value, str) and value.startswith(TIMM)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A class or function of the user."""

    module: str
    """Dotted name of the module."""
    name: str
    """Name of the class or function in the module."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``package.module:name``.

        Raises:
            UserError: The text has another form, or the package is one of ours.
        """
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise UserError(
                f"own code is named package.module:name, such as mypackage.nets:MyNet, but got "
                f"{text!r}"
            )
        reference = cls(module=found[1], name=found[2])
        if reference.top in OURS:
            raise UserError(
                f"{text}: a package named {reference.top} is part of this program; give your own "
                "package another name"
            )
        return reference

    @property
    def top(self) -> str:
        """Name of the top-level package or module."""
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"
