"""`OwnConfig`: a configuration that the user's own training code trains, and its ids."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from fairsweep.errors import UserError
from fairsweep.own_code.files import find_code
from fairsweep.own_code.loading import load
from fairsweep.own_code.provided import provide
from fairsweep.own_code.reference import Reference
from fairsweep.own_code.signature import Signature, read_signature
from models.config_ids import DRAW, Identified
from models.validation import check_values
from tune.run.tables import TRIAL_COLUMNS

OFFERED = ("data", "state", "seed", "fold", "folds", "epochs", "device")
"""Arguments that own training code gets from us if its signature names them."""
_MOST_LETTERS = 80
"""Longest name of a configuration."""


@dataclass(frozen=True, kw_only=True)
class TrainingCode:
    """Own training code, as it was when its sweep began. No import is needed to read it."""

    reference: str
    """``package.module:name``."""
    hash: str
    """Hash of its source files."""
    signature: Signature

    @classmethod
    def find(cls, reference: str, folders: Iterable[Path]) -> Self:
        """Import own training code from one of ``folders`` or an installed package.

        Raises:
            UserError: It is not found, cannot be imported, or its arguments cannot be used.
        """
        code = find_code(Reference.parse(reference), folders)
        signature = read_signature(reference, load(code), OFFERED)
        for name in signature.hyperparameters:
            if name in _TAKEN:
                raise UserError(
                    f"{reference} has an argument {name}, which is the name of a column of the "
                    "tables; rename it"
                )
        provide(code)
        return cls(reference=reference, hash=code.hash, signature=signature)

    @property
    def gets_epochs(self) -> bool:
        """Whether the code gets the number of epochs, so that its result may depend on it."""
        return "epochs" in self.signature.given


_TAKEN = frozenset({"train", *(name for name, _ in TRIAL_COLUMNS)})
"""Names that hyperparameters cannot have."""


class _Frame:
    """The values of a configuration that the code may get, but that are no arguments of its own."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)]
    fold: Annotated[int, Field(ge=0, le=99_999)] | None
    folds: Annotated[int, Field(ge=2, le=1000)] | None


FRAME = ("epochs", *DRAW)


@dataclass(frozen=True, kw_only=True)
class OwnConfig(Identified):
    """Hyperparameters of own training code, number of epochs, seed and fold."""

    code: TrainingCode
    values: Mapping[str, Any]
    """All hyperparameters of the code that are not None, checked."""
    epochs: int
    seed: int
    fold: int | None
    folds: int | None

    @classmethod
    def create(cls, code: TrainingCode, values: Mapping[str, Any]) -> Self:
        """Create a configuration from names and values; hyperparameters may lack their defaults.

        Raises:
            UserError: A name is unknown, a value breaks its rule, or a value is missing.
        """
        if "epochs" not in values:
            raise UserError(
                f"fixed.epochs is missing: after how many epochs a trial of {code.reference} is "
                "complete; give it"
            )
        frame = {"seed": 0, **{name: values.get(name) for name in FRAME if name in values}}
        own = {name: value for name, value in values.items() if name not in ("train", *FRAME)}
        return cls(
            code=code,
            values=code.signature.complete(code.reference, own),
            **check_values(_Frame, {**dict.fromkeys(FRAME), **frame}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return every value that is not None, for JSON and for `create`."""
        frame = {name: getattr(self, name) for name in FRAME}
        known = {name: value for name, value in frame.items() if value is not None}
        return {"train": self.code.reference, **self.values, **known}

    @property
    def by_every_name(self) -> dict[str, Any]:
        """The same as `to_dict`."""
        return self.to_dict()

    @property
    def name(self) -> str:
        """The code's name with the values that are not its defaults: ``train_width=64``."""
        defaults = self.code.signature.hyperparameters
        marks = [
            f"_{name}={value:g}" if isinstance(value, float) else f"_{name}={value}"
            for name, value in self.values.items()
            if name not in defaults or defaults[name].required or defaults[name].default != value
        ]
        text = self.code.reference.rpartition(":")[2] + "".join(marks)
        return re.sub(r"[^\w.=+-]", "-", text)[:_MOST_LETTERS]

    @property
    def schedule_needs_epochs(self) -> bool:
        """True if the code gets the number of epochs, so that its result may depend on it."""
        return self.code.gets_epochs

    @property
    def _identifying_values(self) -> dict[str, Any]:
        values = self.to_dict() | {"code": self.code.hash}
        if not self.schedule_needs_epochs:
            del values["epochs"]
        return values
