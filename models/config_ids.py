"""Ids of configurations and trials: hashes of the values that decide a result."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

DRAW: tuple[str, ...] = ("seed", "fold", "folds")
"""Values that a sweep sets for each trial; they distinguish the trials of one configuration."""


class Identified:
    """A configuration with ids."""

    @property
    @abstractmethod
    def _identifying_values(self) -> dict[str, Any]:
        """All values that decide the result of a training, in a form for JSON."""

    @property
    def configuration_id(self) -> str:
        """Hash of all identifying values except ``DRAW``."""
        return _hash({k: v for k, v in self._identifying_values.items() if k not in DRAW})

    def trial_id(self, fingerprint: str) -> str:
        """Hash of all that determines a trial's result on the dataset with this ``fingerprint``."""
        return _hash(self._identifying_values | {"dataset": fingerprint})


def _hash(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
