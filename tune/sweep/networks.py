"""The own networks that a spec names as families: found, and their hyperparameters checked."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fairsweep.errors import UserError
from fairsweep.own_code.files import find_code
from fairsweep.own_code.loading import load
from fairsweep.own_code.provided import provide
from fairsweep.own_code.reference import Reference, is_own, is_timm
from fairsweep.own_code.signature import Signature, read_signature
from models.config import FIELDS, TrainConfig
from models.hyperparameters import NETWORK
from models.own_network import OFFERED, short_name
from models.timm_network import installed_code, read_arguments, with_weights
from tune.run.tables import TRIAL_COLUMNS

TRAINING = frozenset({*FIELDS, "code"} - {*NETWORK})
"""Values of a configuration that do not shape the network."""
_TAKEN = TRAINING | {name for name, _ in TRIAL_COLUMNS}
"""Names that a hyperparameter of an own network cannot have."""


class OwnNetwork(BaseModel):
    """An own network as it was when its sweep was specified; needs no import."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    hash: str
    """Hash of its source files; of a network of timm, ``timm VERSION``."""
    signature: dict[str, Any]
    """Its arguments, as `Signature.to_dict` writes them."""
    channels_last: bool = True
    """Whether it is trained in the channels-last layout, which is faster on CPUs."""

    @classmethod
    def find(cls, reference: str, folders: Iterable[Path]) -> "OwnNetwork":
        """Import an own network and read its arguments.

        Raises:
            UserError: It is not found, cannot be imported, or its arguments cannot be used.
        """
        if is_timm(reference):
            signature = read_arguments(reference, _TAKEN)
            return cls(hash=installed_code(reference), signature=signature.to_dict())
        code = find_code(Reference.parse(reference), folders)
        # A misspelt name would vanish in **kwargs.
        signature = replace(read_signature(reference, load(code), OFFERED), free=False)
        for name in signature.hyperparameters:
            if name in _TAKEN:
                raise UserError(
                    f"{reference} has an argument {name}, which is already the name of a "
                    "hyperparameter of the training or of a column of the tables; rename it"
                )
        provide(code)
        return cls(hash=code.hash, signature=signature.to_dict())

    @property
    def arguments(self) -> Signature:
        """Its hyperparameters, and what it gets from us."""
        return Signature.from_dict(self.signature)

    def complete(self, reference: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a configuration with this network's defaults and hash.

        Raises:
            UserError: A hyperparameter is unknown, missing, or breaks its rule.
        """
        own = {name: value for name, value in values.items() if name not in TRAINING}
        own = with_weights(own) if is_timm(reference) else own
        shared = {name: value for name, value in values.items() if name in TRAINING}
        if shared.get("code") not in (None, self.hash):
            raise UserError(
                f"code {shared['code']!r} is not the hash of {reference}, which is {self.hash}; "
                "leave it out"
            )
        return {**shared, **self.arguments.complete(reference, own), "code": self.hash}

    def name_of(self, config: TrainConfig) -> str:
        """Return the short name of a configuration, with values that are not the defaults."""
        known = self.arguments.hyperparameters
        return short_name(
            config.family,
            {name: value for name, value in config.own if value != known[name].default},
        )


def own_families(fixed: Mapping[str, Any], space: Mapping[str, Any]) -> list[str]:
    """Return the own networks that a spec's ``fixed`` and ``space`` name, each once."""
    named = [fixed.get("family"), *_families(space)]
    return list(dict.fromkeys(name for name in named if is_own(name)))


def names_own_families_alone(fixed: Mapping[str, Any], space: Mapping[str, Any]) -> bool:
    """Return whether every family that a spec names is an own network."""
    named = [*([fixed["family"]] if "family" in fixed else []), *_families(space)]
    return bool(named) and all(is_own(name) for name in named)


def _families(space: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the values of ``family`` in a space and the spaces of its choices."""
    for name, entry in space.items():
        if name == "family" and isinstance(entry, list):
            yield from entry
        if not isinstance(entry, dict):
            continue
        if name == "family":
            tied = entry.get("map")
            yield from tied.values() if isinstance(tied, dict) else entry
        for nested in entry.values():
            if isinstance(nested, dict):
                yield from _families(nested)
