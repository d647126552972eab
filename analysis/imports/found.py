"""What is found in the results of another tool, before it becomes a run directory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tune.run.tables import Sampling
from tune.run.trial import Status

Mode = Literal["max", "min"]
At = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True)
class FoundTrial:
    """One training, as the other tool recorded it. What is not known is None."""

    label: str
    """How the other tool names it."""
    values: Mapping[str, Any]
    """Hyperparameters, with the seed if it is one of them."""
    measurements: Mapping[int, Mapping[str, float]]
    """Epoch or step → metric → value."""
    status: Status
    """``RUNNING`` if it had not ended."""
    reason: str = ""
    seconds: Mapping[int, float] = field(default_factory=dict)
    """Epoch → seconds of training for it."""
    times: Mapping[int, float] = field(default_factory=dict)
    """Epoch → when it ended, in seconds since 1970."""
    started: float | None = None
    """In seconds since 1970."""
    ended: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the trials table that are known as they were in a run of ours."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The results of another tool."""

    tool: str
    source: str
    trials: tuple[FoundTrial, ...]
    metric: str | None = None
    """Name of the objective's metric, if the tool tells."""
    mode: Mode | None = None
    at: At | None = None
    tied: Mapping[str, str] = field(default_factory=dict)
    sampling: Sampling | None = None
    searcher: str | None = None
    searcher_words: str | None = None
    scheduler: str | None = None
    scheduler_words: str | None = None
    chosen_freely: bool = False
    """Whether configurations were chosen without looking at results, all at once or at random."""
    names_stops: bool = True
    """Whether the tool tells stopped trials from complete ones."""
    notes: tuple[str, ...] = ()
    """Sentences about what was read, and what was left out."""

    def metrics(self) -> list[str]:
        """Return the names of all metrics, in the order in which they first occur."""
        seen: dict[str, None] = {}
        for trial in self.trials:
            for values in trial.measurements.values():
                seen |= dict.fromkeys(values)
        return list(seen)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings: ``net`` → ``width`` becomes ``net.width``."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def from_zero(trials: Iterable[FoundTrial]) -> bool:
    """Return whether epochs are counted from 0."""
    return any(epoch == 0 for trial in trials for epoch in trial.measurements)
