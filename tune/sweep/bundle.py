"""What a worker trains at a time: one trial, or several of equal shapes as one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Trials for one worker; it travels there as text."""

    trials: Mapping[str, Mapping[str, Any]]
    """Every hyperparameter of each by its id."""
    folder: str
    """Where their state lies below ``checkpoints``: the trial's own folder if it is one."""
    exclusive: bool = False
    """Whether it needs its card to itself."""
    channels_last: bool = True
    """Layout in memory of several as one."""
    probe: bool = False
    """Whether to measure first if several are worth training as one."""

    @property
    def key(self) -> str:
        """The id of its first trial, which names it while it runs."""
        return next(iter(self.trials))

    def to_json(self) -> str:
        """Return it as one string, because Ray copies and flattens a mapping many times over."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Fusing:
    """A decision whether the trials of a configuration are trained as one."""

    trials: tuple[str, ...]
    fused: bool
    gain: float
    """Measured speed as one, over that in turn."""
    channels_last: bool = True
    reason: str = ""
    """Why they cannot be, where they cannot."""

    @property
    def folder(self) -> str:
        """Name of the folder below ``checkpoints`` that holds the state of all."""
        return f"{BUNDLE_PREFIX}{self.trials[0]}"


BUNDLE_PREFIX = "bundle-"
