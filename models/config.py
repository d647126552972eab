"""`TrainConfig`: everything that determines one training, and the ids and name that identify it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field

from fairsweep.errors import UserError, nearest
from fairsweep.own_code.reference import is_own, is_timm
from models.config_ids import Identified
from models.file_hash import check_hash, pinned_hash, shown
from models.hyperparameters import LATER, NETWORK, Hyperparameters, known_family
from models.own_network import short_name
from models.registry import Family, family_of
from models.validation import check_values


def _check_code(value: Any) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[0-9a-f]{32}|timm \d\S*", value) is None:
        raise UserError(f"is the hash of own code, which a run sets, but got {value!r}")
    return value


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Identified, Hyperparameters):
    """The hyperparameters of one training, its seed, its fold and its initial weights.

    The values are checked and completed. A hyperparameter that shapes the network is None if the
    family does not use it; if it is not given, it has the family's default. So equal trainings
    have equal configurations. The hyperparameters of an own network are in ``own``, complete and
    checked by its signature before (`tune.sweep.networks`).

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
    code: Annotated[str, BeforeValidator(_check_code)] | None = None
    """Hash of the source files of an own network; of a network of timm, ``timm VERSION``."""
    own: tuple[tuple[str, bool | int | float | str], ...] = ()
    """Names and values of the hyperparameters of an own network."""

    def __post_init__(self) -> None:
        """Check and complete the values."""
        family = family_of(check_values(_FamilyName, {"family": self.family})["family"])
        values = family.with_current_names(vars(self))
        if is_own(self.family):
            values |= self._own_values()
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

    def _own_values(self) -> dict[str, Any]:
        """Return ``own`` with the hyperparameters that have the name of one of ours."""
        if self.code is None:
            raise UserError(
                f"{self.family} is own code, whose hyperparameters only a sweep spec checks; name "
                "it there as the family"
            )
        named = {name: vars(self)[name] for name in NETWORK if vars(self)[name] is not None}
        return {**dict.fromkeys(NETWORK), "own": tuple(sorted({**dict(self.own), **named}.items()))}

    @classmethod
    def create(cls, values: Mapping[str, Any]) -> Self:
        """Create a configuration from names and values.

        Raises:
            UserError: A name is not a hyperparameter (the message gives the nearest one), a value
                breaks its rule, or the family does not use a hyperparameter.
        """
        if is_own(values.get("family")):
            own = tuple((n, v) for n, v in values.items() if n not in (*FIELDS, "code"))
            return cls(**{n: v for n, v in values.items() if n in (*FIELDS, "code")}, own=own)
        for name in values:
            if name not in FIELDS:
                raise UserError(
                    f"{name!r} is not a hyperparameter; the nearest is {nearest(name, FIELDS)!r} "
                    f"(all: {', '.join(FIELDS)})"
                )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every value that is not None, for JSON and for `create`."""
        names = FIELDS if self.code is None else (*FIELDS, "code")
        return {n: vars(self)[n] for n in names if vars(self)[n] is not None} | dict(self.own)

    @property
    def by_every_name(self) -> dict[str, Any]:
        """`to_dict`, with renamed hyperparameters under their earlier names as well."""
        values = self.to_dict()
        return values | {old: values[new] for old, new in self._family.earlier_names.items()}

    @property
    def network(self) -> dict[str, Any]:
        """The hyperparameters that shape the network, by name."""
        if self.own:
            return dict(self.own)
        return {name: getattr(self, name) for name in self._family.defaults}

    @property
    def name(self) -> str:
        """Short name of the network; of a resnet its published name, ``B16_N8_FC2_K5_AP20``."""
        family, values = self._family, self.network
        if is_own(self.family):
            return short_name(self.family, values)
        marks = (
            f"_{letters}{shown(values[name])}"
            for name, letters in family.marks.items()
            if values[name] != family.defaults[name]
        )
        return family.name.format(**values) + "".join(marks)

    @property
    def schedule_needs_epochs(self) -> bool:
        """True if the learning rate of every step depends on the number of epochs."""
        return self.lr_schedule != "constant"

    @property
    def _family(self) -> Family:
        return family_of(self.family)

    @property
    def _identifying_values(self) -> dict[str, Any]:
        values = {name: value for name, value in self.to_dict().items() if LATER.get(name) != value}
        if not self.schedule_needs_epochs:
            del values["epochs"]
        if self.pretrained is not None or is_timm(self.family):
            values["pretrained"] = pinned_hash(values["pretrained"]) or values["pretrained"]
        for earlier, current in self._family.earlier_names.items():
            values[earlier] = values.pop(current)
        return values


class _FamilyName:
    """The family, which must be known before the other values can be completed."""

    family: Annotated[str, BeforeValidator(known_family)]


FIELDS: tuple[str, ...] = tuple(
    field.name for field in fields(TrainConfig) if field.name not in ("code", "own")
)
"""Names of all values of a configuration, without those of own networks."""
