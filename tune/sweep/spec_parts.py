"""The parts of a sweep spec: objectives, searcher, scheduler, resources, budget, own code."""

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from fairsweep.errors import UserError
from tune.run.trial import COSTS, LATENCY, METRICS, is_metric_name


class SpecError(UserError):
    """A sweep spec that the user must change; the message is one line."""


class Part(BaseModel):
    """A mapping in a spec, without other keys than its own; docstrings describe its keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


DEFAULT_METRIC = "val_accuracy"


_SMALLER = frozenset({"loss", "error", "mae", "mse", "rmse", "perplexity"})
_LARGER = frozenset({"accuracy", "acc", "f1", "auc", "recall", "precision", "score"})


def direction(metric: object) -> Literal["max", "min"] | None:
    """Return whether larger or smaller values of a metric or cost are better, by its last word.

    None if its name does not tell.
    """
    word = str(metric).lower().rpartition("_")[2]
    if metric in (*COSTS, LATENCY) or word in _SMALLER:
        return "min"
    return "max" if word in _LARGER else None


def is_recorded(info: ValidationInfo) -> bool:
    """Return whether the spec is from an existing run, which newer rules do not apply to."""
    return bool((info.context or {}).get("recorded"))


def has_own_training(info: ValidationInfo) -> bool:
    """Return whether the spec names training code of the user."""
    return bool((info.context or {}).get("own"))


class ObjectiveSpec(Part):
    """A metric or cost that trials are compared by."""

    metric: str = DEFAULT_METRIC
    """One of the measured metrics; a second objective may be a cost, a column of the trials."""
    mode: Literal["max", "min"] = "max"
    """Set from the metric's name, if that tells: losses, errors and costs are minimized."""
    at: Literal["best", "last"] = "best"
    """The epoch that counts: the trial's best or its last."""

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if has_own_training(info):
            if not is_metric_name(value) and value not in COSTS:
                raise UserError(
                    "must be a metric that your code yields, letters, digits and underscores, but "
                    f"got {value!r}"
                )
        elif value not in (*METRICS, *COSTS, LATENCY):
            known = ", ".join((*METRICS, *COSTS, LATENCY))
            raise UserError(f"must be one of {known}, but got {value!r}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_mode(cls, value: Any) -> Any:
        if isinstance(value, dict) and "mode" not in value:
            known = direction(value.get("metric", DEFAULT_METRIC))
            return value if known is None else {**value, "mode": known}
        return value

    @model_validator(mode="after")
    def _better_as_the_metric_says(self, info: ValidationInfo) -> Self:
        right = direction(self.metric)
        if right is None and "mode" not in self.model_fields_set:
            raise UserError(
                f"{self.metric} may be better when larger or when smaller; write mode: max or "
                "mode: min"
            )
        if right not in (None, self.mode) and not is_recorded(info):
            better = "smaller" if right == "min" else "larger"
            raise UserError(
                f"{self.metric} is better when {better}; leave mode out, or write mode: {right}, "
                f"but got mode: {self.mode}"
            )
        return self


class SearcherSpec(Part):
    """Which algorithm proposes configurations, and how many it may propose."""

    name: str = "grid"
    """Algorithm that proposes configurations."""
    samples: int | None = Field(default=None, ge=1)
    """Number of configurations to propose; every searcher but ``grid`` needs it."""
    population: int | None = Field(default=None, ge=2)
    """Configurations per generation, for evolutionary searchers; each has a default."""
    reason: str | None = None
    """Why `auto` picked it; None if the spec named it."""

    @model_serializer(mode="wrap")
    def _without_an_empty_reason(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Specs that name their searcher look as before there was `auto`.
        values: dict[str, Any] = write(self)
        return {key: value for key, value in values.items() if (key, value) != ("reason", None)}


class SchedulerSpec(Part):
    """Which algorithm stops trials early."""

    name: str = "none"
    """Algorithm that stops trials early."""
    grace_period: int = Field(default=1, ge=1)
    """Epochs before the first comparison."""
    reduction_factor: int = Field(default=3, ge=2)
    """One in this many trials continues at each rung (asha, hyperband, promotion)."""
    brackets: int | None = Field(default=None, ge=1)
    """Number of brackets, which have growing grace periods (hyperband); without it, one for each
    rung, and one that stops no trial."""
    min_trials: int = Field(default=3, ge=1)
    """Number of other trials that must reach an epoch before a trial stops there (median)."""

    @model_validator(mode="after")
    def _brackets_of_hyperband(self) -> Self:
        if self.brackets is not None and self.name != "hyperband":
            raise UserError(
                f"brackets goes with name: hyperband only, but got name: {self.name}; leave "
                "brackets out, or write name: hyperband"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_empty_brackets(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Specs without brackets look as before there was `hyperband`.
        values: dict[str, Any] = write(self)
        return {key: value for key, value in values.items() if (key, value) != ("brackets", None)}


class Resources(Part):
    """Resources of a trial, and how many trials run in parallel."""

    cpus: float = Field(default=1, gt=0)
    """CPU cores of a trial."""
    gpus: float = Field(default=0, ge=0)
    """GPUs of a trial; with 0.25, four trials share one GPU."""
    trials_at_once: int | None = Field(default=None, ge=1)
    """Most trials that run in parallel; without it, as many as the cores and GPUs allow."""


class Budget(Part):
    """Limits of the sweep; at a limit it ends cleanly."""

    hours: float | None = Field(default=None, gt=0)
    """Hours that the sweep may run, all its sessions together."""
    device_hours: float | None = Field(default=None, gt=0)
    """Hours that all its trials together may train."""


class LimitsSpec(Part):
    """What a network may cost; a configuration over a limit is not trained."""

    parameters: int | None = Field(default=None, ge=1)
    """Most trainable parameters."""
    mflop: float | None = Field(default=None, gt=0)
    """Most operations of one picture's forward pass, in millions (``tune plan`` shows them)."""
    latency_ms: float | None = Field(default=None, gt=0)
    """Most milliseconds to predict one picture. Measured on the trial's device before its first
    epoch, beside the other trials that are trained there: the median of many runs."""

    @field_validator("parameters", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        # YAML reads 1e6 as a number with a decimal point.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.parameters is None and self.mflop is None and self.latency_ms is None:
            raise UserError("must hold parameters, mflop or latency_ms, or be left out")
        return self


_VARIABLE = r"^\$[A-Za-z_][A-Za-z0-9_]*$"


class NotifySpec(Part):
    """Where to send messages about the sweep: ``url`` or ``command``.

    Both are names of environment variables, because a spec is copied to the run: a URL may be a
    secret, and a run from elsewhere must not bring commands.
    """

    url: str | None = Field(default=None, pattern=_VARIABLE)
    """``$NAME`` of an environment variable with the URL that messages are posted to."""
    command: str | None = Field(default=None, pattern=_VARIABLE)
    """``$NAME`` of an environment variable with a shell command that reads a message from its
    standard input."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise UserError("must hold either url: $NAME or command: $NAME")
        return self

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return (self.url or self.command or "").removeprefix("$")


class CodeRecord(Part):
    """Own training code, as it was when the sweep was specified."""

    hash: str
    """Hash of its source files."""
    signature: dict[str, Any]
    """Its arguments, as `Signature.to_dict` writes them."""
