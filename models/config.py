"""`TrainConfig`: everything that determines one training, and the ids and name that identify it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field

from fairsweep.errors import UserError, nearest
from models.file_hash import check_hash, pinned_hash
from models.hyperparameters import LATER, NETWORK, Hyperparameters, known_family
from models.registry import FAMILIES, Family
from models.validation import check_values


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Hyperparameters):
    """The hyperparameters of one training, its seed, its fold and its initial weights.

    The values are checked and completed. A hyperparameter that shapes the network is None if the
    family does not use it; if it is not given, it has the family's default. So equal trainings
    have equal configurations.

    Raises:
        UserError: A value breaks its rule, or the family does not use it.
    """

    groups: Annotated[str, BeforeValidator(check_hash)] | None = None
    """Hash of the CSV in the run directory whose columns were joined to the dataset's."""
    initial: Annotated[str, BeforeValidator(check_hash)] | None = None
    """Hash of the checkpoint in the run directory that holds the initial weights."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Seed of the initial weights, the order of the pictures, augmentation and dropout."""
    fold: Annotated[int, Field(ge=0, le=99_999)] | None = None
    """Fold used for validation, the others being used for training; None: the dataset's split."""
    folds: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Folds per repeat; ``fold`` counts across repeats. None: the ten folds in the dataset."""

    def __post_init__(self) -> None:
        """Check and complete the values."""
        family = FAMILIES[check_values(_FamilyName, {"family": self.family})["family"]]
        values = family.with_current_names(vars(self))
        for name in NETWORK:
            if values[name] is None:
                values[name] = family.defaults.get(name)
            elif name not in family.defaults:
                raise UserError(
                    f"family {self.family} does not use {name}, but got {values[name]!r}; leave it "
                    f"out (the nearest that it uses is {nearest(name, family.defaults)!r}, all: "
                    f"{', '.join(family.defaults)})"
                )
        # The fields are frozen and cannot be assigned.
        vars(self).update(check_values(TrainConfig, values))

    @classmethod
    def create(cls, values: Mapping[str, Any]) -> Self:
        """Create a configuration from names and values.

        Raises:
            UserError: A name is not a hyperparameter (the message gives the nearest one), a value
                breaks its rule, or the family does not use a hyperparameter.
        """
        for name in values:
            if name not in FIELDS:
                raise UserError(
                    f"{name!r} is not a hyperparameter; the nearest is {nearest(name, FIELDS)!r} "
                    f"(all: {', '.join(FIELDS)})"
                )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every value that is not None, for JSON and for `create`."""
        return {name: vars(self)[name] for name in FIELDS if vars(self)[name] is not None}

    @property
    def by_every_name(self) -> dict[str, Any]:
        """`to_dict`, with renamed hyperparameters under their earlier names as well."""
        values = self.to_dict()
        return values | {old: values[new] for old, new in self._family.earlier_names.items()}

    @property
    def network(self) -> dict[str, Any]:
        """The hyperparameters that shape the network, by name."""
        return {name: getattr(self, name) for name in self._family.defaults}

    @property
    def name(self) -> str:
        """Short name of the network; of a resnet its published name, ``B16_N8_FC2_K5_AP20``."""
        family, values = self._family, self.network
        marks = (
            f"_{letters}{_shown(values[name])}"
            for name, letters in family.marks.items()
            if values[name] != family.defaults[name]
        )
        return family.name.format(**values) + "".join(marks)

    @property
    def schedule_needs_epochs(self) -> bool:
        """True if the learning rate of every step depends on the number of epochs."""
        return self.lr_schedule != "constant"

    @property
    def configuration_id(self) -> str:
        """Hash of all values except ``DRAW``; of epochs only if the schedule needs them."""
        return _hash({k: v for k, v in self._identifying_values.items() if k not in DRAW})

    def trial_id(self, fingerprint: str) -> str:
        """Hash of all that determines a trial's result on the dataset with this ``fingerprint``."""
        return _hash(self._identifying_values | {"dataset": fingerprint})

    @property
    def _family(self) -> Family:
        return FAMILIES[self.family]

    @property
    def _identifying_values(self) -> dict[str, Any]:
        values = {name: value for name, value in self.to_dict().items() if LATER.get(name) != value}
        if not self.schedule_needs_epochs:
            del values["epochs"]
        if self.pretrained is not None:
            values["pretrained"] = pinned_hash(self.pretrained) or self.pretrained
        for earlier, current in self._family.earlier_names.items():
            values[earlier] = values.pop(current)
        return values


class _FamilyName:
    """The family, which must be known before the other values can be completed."""

    family: Annotated[str, BeforeValidator(known_family)]


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(TrainConfig))
"""Names of all values of a configuration."""
DRAW: tuple[str, ...] = ("seed", "fold", "folds")
"""Values that a sweep sets for each trial; they distinguish the trials of one configuration."""


def _shown(value: Any) -> str:
    """Return a value as shown in a short name: a file without folder, suffix and hash."""
    is_file = isinstance(value, str) and pinned_hash(value) is not None
    return Path(value.rpartition("#")[0]).stem if is_file else str(value)


def _hash(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
