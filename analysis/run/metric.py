"""The metric that tables and figures of a run report: its name in words, its unit, its sign."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tune.run.trial import METRICS

ACCURACY = "val_accuracy"
_SHARES = ("accuracy", "acc", "precision", "recall", "f1")
"""A metric with one of these words at its end is a share, if its values lie between 0 and 1."""
_SPLITS = {"val": "validation", "train": "training", "test": "test"}
_DIGITS = 4
"""Significant digits of a value whose error is not known."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of a run."""

    name: str
    """Column of the measurements."""
    sign: int
    """1 if larger values are better, otherwise -1."""
    is_share: bool
    """Whether values are shares of a whole, which are shown in percent."""
    when: str = ""
    """At which epoch values were measured, in words for the label of an axis."""

    @property
    def key(self) -> str:
        """Column of the frames of tables."""
        return "accuracy" if self.name == ACCURACY else self.name

    @property
    def word(self) -> str:
        """Short name in words."""
        return "accuracy" if self.name == ACCURACY else self.long

    @property
    def long(self) -> str:
        """Complete name in words."""
        return metric_words(self.name)

    @property
    def is_accuracy(self) -> bool:
        """Whether values are shares of pictures, so that a binomial interval applies."""
        return self.is_share and _words_of(self.name)[-1] in ("accuracy", "acc")

    @property
    def scale(self) -> int:
        """Factor that converts a value to the unit of figures."""
        return 100 if self.is_share else 1

    @property
    def axis(self) -> str:
        """Label of an axis."""
        label = f"{self.long} {self.when}".strip()
        return f"{label}, %" if self.is_share else label

    def text(self, value: float) -> str:
        """Format a value: a share as a percentage with one decimal."""
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.{_DIGITS}g}"

    def gap(self, value: float) -> str:
        """Format the size of a difference."""
        return points_text(value) if self.is_share else f"{value:.{_DIGITS}g}"

    @property
    def gap_axis(self) -> str:
        """Label of an axis of differences."""
        return f"difference in {self.word}" + ", percentage points" * self.is_share

    def cells(self, of_shares: Callable[[Any], str]) -> Callable[[Any], str]:
        """Return ``of_shares``, or a formatter with significant digits for any other metric."""
        if self.is_share:
            return of_shares
        return lambda value: "–" if pd.isna(value) else f"{value:.{_DIGITS}g}"


def reported(trials: pd.DataFrame, objective: str, mode: str) -> Metric:
    """Return the metric that the tables of a run report.

    It is the validation accuracy for trials of our own training loop, which measures all of
    `tune.run.trial.METRICS`, and the metric of the objective for all others.
    """
    ours = all(f"best_{name}" in trials for name in METRICS)
    return described(trials, ACCURACY, "max") if ours else described(trials, objective, mode)


def described(trials: pd.DataFrame, name: str, mode: str) -> Metric:
    """Return what is known about a metric of these trials."""
    values = pd.concat([trials[f"{at}_{name}"] for at in ("best", "last")]).dropna().astype(float)
    is_share = _words_of(name)[-1] in _SHARES and bool(values.between(0, 1).all())
    return Metric(name=name, sign=-1 if mode == "min" else 1, is_share=is_share)


def points_text(share: float) -> str:
    """Format a difference in accuracy in percentage points."""
    points = 100 * share
    return f"{points:g} percentage point{'' if points == 1 else 's'}"


def metric_words(name: str) -> str:
    """Return a metric's name in words, such as "validation loss"."""
    split, _, what = name.partition("_")
    return (
        f"{_SPLITS[split]} {what.replace('_', ' ')}"
        if split in _SPLITS and what
        else (name.replace("_", " "))
    )


def _words_of(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower())
