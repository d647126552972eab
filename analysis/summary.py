"""What a run found, in plain sentences."""

from typing import Any

import pandas as pd

from analysis.comparison import ranked, wilson_interval
from analysis.hyperparameters import followers, is_continuous, level_text, searched, words
from analysis.run_data import RunData
from analysis.tables.models import status_words

SEARCHERS = {"grid": "grid search", "random": "random search", "tpe": "TPE (Bayesian) search"}
SCHEDULERS = {"none": "no early stopping", "asha": "early stopping by ASHA"}


def sentences(run: RunData) -> list[str]:
    """Say what was searched, what became of the trials, what was best and what is not known."""
    return [_searched(run), _trials(run), _best(run), *_caution(run)]


def status_counts(run: RunData) -> dict[str, int]:
    """Return the number of trials by status in words, the most frequent first."""
    counts = (
        run.trials["status"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    )
    return {status_words(str(status)): int(count) for status, count in counts.items()}


def best_trial(run: RunData) -> "pd.Series[Any]":
    """Return the first trial in the order of the tables, with its Wilson interval."""
    first = ranked(run).head(1)
    accuracy = first[f"{run.info.objective['at']}_val_accuracy"]
    interval = wilson_interval(accuracy, first["n"])
    return pd.concat([first, interval], axis=1).assign(accuracy=accuracy).iloc[0]


def percent(share: float) -> str:
    """Write a share as a percentage with one digit after the point."""
    return f"{100 * share:.1f} %"


def _searched(run: RunData) -> str:
    parts = [_space(run, name) for name in searched(run)]
    searcher = SEARCHERS.get(run.info.searcher, run.info.searcher)
    scheduler = SCHEDULERS.get(run.info.scheduler, f"scheduler {run.info.scheduler}")
    what = _listed(parts) if parts else "no hyperparameter with more than one value"
    return f"The sweep searched {what}, by {searcher} with {scheduler}."


def _space(run: RunData, name: str) -> str:
    values = run.trials[name].dropna()
    if is_continuous(values):
        low, high = float(values.min()), float(values.max())
        told = f"{level_text(low)} to {level_text(high)}"
    else:
        told = ", ".join(level_text(value) for value in sorted(values.unique()))
    tied = followers(run, name)
    return (
        f"{words(name)} ({told}{'; tied to it: ' if tied else ''}{_listed(list(map(words, tied)))})"
    )


def _trials(run: RunData) -> str:
    configurations = run.trials["configuration_id"].nunique()
    counts = [f"{count} {status}" for status, count in status_counts(run).items()]
    return (
        f"It made {_number(len(run.trials), 'trial')} of "
        f"{_number(configurations, 'configuration')}: {_listed(counts)}."
    )


def _best(run: RunData) -> str:
    best = best_trial(run)
    completed = "completed trial" if len(run.completed) else "trial (none completed)"
    n = "" if pd.isna(best["n"]) else f", on n = {best['n']:,} validation pictures"
    interval = (
        ""
        if pd.isna(best["accuracy_low"])
        else f" (95 % interval {percent(best['accuracy_low'])} to {percent(best['accuracy_high'])})"
    )
    return (
        f"The best {completed} is {best['name']} (trial {best['number']}): validation accuracy "
        f"{percent(best['best_val_accuracy'])} at its best epoch ({best['best_epoch']}) and "
        f"{percent(best['last_val_accuracy'])} at its last ({best['epochs_trained']}){n}{interval}."
    )


def _caution(run: RunData) -> list[str]:
    """Say how many configurations the data cannot tell from the best, and what is biased."""
    best, at = best_trial(run), run.info.objective["at"]
    others = run.completed[run.completed["configuration_id"] != best["configuration_id"]]
    means = others.groupby("configuration_id")[f"{at}_val_accuracy"].mean()
    inside = int((means >= best["accuracy_low"]).sum())
    told = [
        "Differences smaller than the intervals are not shown to be real: "
        f"{inside} of the {len(means)} other completed configurations lie inside the interval of "
        "the best."
    ]
    told.append(
        "The best was picked on the validation pictures that it is judged by, so its accuracy is a "
        "little too high; no test picture was used here."
    )
    return told if len(means) else told[1:]


def _listed(parts: list[str]) -> str:
    return (
        parts[0]
        if len(parts) == 1
        else ", ".join(parts[:-1]) + " and " * bool(parts) + "".join(parts[-1:])
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
