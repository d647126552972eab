"""What an import needs to know beyond the results: metric, direction, seeds, searcher."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from analysis.imports.found import At, Found, Mode
from fairsweep.errors import UserError

SEEDS = ("seed", "random_seed", "random_state")
"""Names of hyperparameters that are seeds."""
_SMALLER = ("loss", "error", "err", "rmse", "mse", "mae", "perplexity", "nll", "logloss", "wer")
_LARGER = ("accuracy", "acc", "f1", "auc", "score", "reward", "precision", "recall", "map", "r2")
Chosen = Literal["grid", "random", "adaptive"]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the user says about the results; None where the results themselves tell."""

    metric: str | None = None
    mode: Mode | None = None
    at: At | None = None
    seed: str | None = None
    searcher: Chosen | None = None


def metric_of(found: Found, asked: str | None) -> str:
    """Return the objective's metric.

    Raises:
        UserError: The metric does not occur, or there are several and none is asked for.
    """
    names = found.metrics()
    if not names:
        raise UserError(
            f"{found.source} has no measurement of any metric, so nothing is imported; if it is a "
            "CSV, name the column of the metric with --metric"
        )
    wanted = asked or found.metric
    if wanted is not None:
        return one_of(wanted, names, "--metric")
    if len(names) == 1:
        return names[0]
    raise UserError(
        f"{found.source} has several metrics ({', '.join(names)}); name the objective's with "
        "--metric"
    )


def mode_of(found: Found, metric: str, asked: Mode | None) -> Mode:
    """Return whether larger or smaller values of the metric are better.

    Raises:
        UserError: Neither the user, nor the tool, nor the name of the metric tells.
    """
    if (known := asked or found.mode) is not None:
        return known
    words = _words(metric)
    if words & set(_SMALLER):
        return "min"
    if words & set(_LARGER):
        return "max"
    raise UserError(
        f"whether larger or smaller values of {metric} are better is not known; give --mode max "
        "or --mode min"
    )


def is_metric_word(name: str) -> bool:
    """Return whether a column is a metric by its name, such as ``val_loss`` or ``acc``."""
    return bool(_words(name) & {*_SMALLER, *_LARGER})


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def seed_of(names: Iterable[str], asked: str | None) -> str | None:
    """Return the hyperparameter that is the seed; None if there is none."""
    known = list(names)
    if asked is not None:
        return one_of(asked, known, "--seed")
    return next((name for name in known if name.split(".")[-1].lower() in SEEDS), None)


def one_of(asked: str, names: list[str], option: str) -> str:
    """Return ``asked`` if it is one of ``names``.

    Raises:
        UserError: It is not; the message names the most similar one.
    """
    if asked in names:
        return asked
    near = difflib.get_close_matches(asked, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(names) or 'none'}"
    raise UserError(f"{option} must name a column of the results, but got {asked!r}; {hint}")


def metric_name(name: str) -> str:
    """Return a metric's name as a word: ``eval/loss`` becomes ``eval_loss``."""
    word = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    return word if word[:1].isalpha() else f"metric_{word}"
