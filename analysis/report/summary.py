"""Summarizes the findings of a run in sentences."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from analysis.comparisons.best import Standing
from analysis.comparisons.best_table import best
from analysis.comparisons.statistics import Comparisons, against_incumbent
from analysis.effects.design import MATTERS
from analysis.effects.statistics import known_effects
from analysis.ensembles.statistics import ensemble
from analysis.folds.statistics import fold_average
from analysis.rendering.words import first_upper
from analysis.run.clusters import effective_n
from analysis.run.hyperparameters import followers, is_continuous, level_text, searched, words
from analysis.run.run_data import UNKNOWN, RunData, add_replicates
from analysis.run.trials import common_epoch, fairly_trained
from analysis.selection.statistics import estimates
from analysis.statistics.estimate import NotKnownError
from analysis.trials.headline import best_trial, fold_words, percent, status_counts
from analysis.trials.largest import no_better_than_largest
from tune.run.trial import Status

MOST_NAMED = 10
"""Maximum number of configurations that a sentence names."""


def found(run: RunData) -> list[str]:
    """Return sentences about the search, its trials, the best configuration and the effects."""
    told = [_searched(run), _trials(run), _best(run), no_better_than_largest(run)]
    told += [_corrected(run), _leaders(run), _lead(run), _together(run)]
    told += [_matters(run)]
    return [sentence for sentence in told if sentence]


def unknown(run: RunData) -> list[str]:
    """Return sentences about what the run does not show, and what would show it."""
    told = [_untold(run), _small(run), _effects_untold(run), _excluded(run), _searcher(run)]
    told += [_test(run), _no_dataset(run)]
    return [sentence for sentence in told if sentence]


def _searched(run: RunData) -> str:
    parts = [_space(run, name) for name in searched(run)]
    what = _listed(parts) if parts else "no hyperparameter with more than one value"
    how = f"{run.info.searcher_words} with {run.info.scheduler_words}"
    if run.imported:
        how += f" (imported from {run.imported['tool']}, {run.imported['date']})"
    return f"The sweep searched {what}, by {how}."


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
    counts = [f"{count:,} {status}" for status, count in status_counts(run).items()]
    return (
        f"It made {_number(len(run.trials), 'trial')} of "
        f"{_number(configurations, 'configuration')}: {_listed(counts)}."
    )


def _best(run: RunData) -> str:
    average = fold_average(run)
    if average is None:
        return _best_trial(run)
    return f"The best configuration {fold_words(run.metric, average)}."


def _best_trial(run: RunData) -> str:
    best, text = best_trial(run), run.metric.text
    completed = "completed trial" if len(run.completed) else "trial (none completed)"
    n = "" if pd.isna(best["n"]) else f", on n = {best['n']:,} validation pictures"
    effective = float(effective_n(run, best.to_frame().T).iloc[0])
    if n and effective < best["n"]:
        n += f" (worth {effective:,.0f} independent ones)"
    interval = (
        ""
        if pd.isna(best["accuracy_low"])
        else f" (95 % interval {text(best['accuracy_low'])} to {text(best['accuracy_high'])})"
    )
    metric, own = run.metric.name, fairly_trained(run)
    own = own[own["configuration_id"] == best["configuration_id"]]
    which = (
        f"The best {completed} is {best['name']} (trial {best['number']})"
        if len(own) < 2
        else f"The best configuration by its mean over {len(own)} fair trainings "
        f"({text(own['accuracy'].mean())}) is {best['name']}. The best of them is trial "
        f"{best['number']}"
    )
    return (
        f"{which}: {run.metric.long} "
        f"{text(best[f'best_{metric}'])} at its best epoch ({best['best_epoch']}) and "
        f"{text(best[f'last_{metric}'])} at its last ({best['epochs_trained']}){n}{interval}."
    )


def _corrected(run: RunData) -> str:
    """Return a sentence about the best accuracy when corrected for selection, and on test."""
    rows = estimates(run)
    told = ""
    if row := rows.get("corrected"):
        told = (
            f"Corrected for having been picked as the best of {int(row['models']):,} on the "
            f"pictures that judge it, its accuracy is about {_with_interval(row)}."
        )
    if row := rows.get("test"):
        told += (
            f" On {int(row['n']):,} test pictures it is {_with_interval(row)}; they were opened "
            f"{_number(int(row['openings']), 'time')}."
        )
    return told.strip()


def _leaders(run: RunData) -> str:
    """Return a sentence that names the candidates that may be the best."""
    compared = _compared(run)
    if compared is None:
        return ""
    frame = best(run).frame
    models = frame["basis"].iloc[0] == "models"
    of_all = _number(len(frame), "trained model" if models else "configuration")
    if compared.candidates > len(frame):
        of_all = f"the best {of_all} (of {compared.candidates:,})"
    leading = frame.loc[frame["verdict"] != Standing.NOT_BEST, "name"]
    if len(leading) == 1:
        return f"{leading.iloc[0]} is shown to be the best of {of_all}."
    if len(leading) > MOST_NAMED:
        return f"{len(leading)} of {of_all} cannot be told from the best."
    return f"Of {of_all} these cannot be told from the best: {_listed(list(leading))}."


def _lead(run: RunData) -> str:
    """Return how far the best candidate is from the next."""
    if _compared(run) is None:
        return ""
    first = best(run).frame.iloc[0]
    low, high = first["difference_low"], first["difference_high"]
    sign = run.metric.sign
    interval = f" (95 % interval {_points(run, low)} to {_points(run, high)})"
    apart = "ahead of" if sign * first["difference"] >= 0 else "behind"
    return (
        f"{first['name']} is {_gap(run, abs(first['difference']))} {apart} the best other one"
        f"{'' if pd.isna(low) else interval}."
    )


def _gap(run: RunData, value: float) -> str:
    return f"{100 * value:.1f} percentage points" if run.metric.is_share else f"{value:.2g}"


def _points(run: RunData, value: float) -> str:
    value = value or 0.0  # an interval of a loss can end at -0.0
    return f"{100 * value:+.1f}" if run.metric.is_share else f"{value:+.2g}"


def _together(run: RunData) -> str:
    """Return a sentence about the ensemble, if it is shown to be better than the best model."""
    try:
        made = ensemble(run)
    except NotKnownError:
        return ""
    if made.gain is None or made.gain.low <= 0:
        return ""
    value, low, high = (f"{100 * figure:+.1f}" for figure in made.gain)
    return (
        f"The mean of {len(made.members)} models is better than the best single one: {value} "
        f"percentage points (95 % interval {low} to {high}, corrected for choosing them)."
    )


def _matters(run: RunData) -> str:
    """Return a sentence about the significant effects, with the variance that they explain."""
    frame = known_effects(run)
    if frame is None:
        return ""
    shown = frame[frame["verdict"] == MATTERS].sort_values("share", ascending=False)
    pairs = zip(shown["term"], shown["share"], strict=True)
    names = [f"{_term(term)} ({100 * share:.0f} % of the variance)" for term, share in pairs]
    epoch = common_epoch(run)
    after = (
        f" after {_number(epoch, 'epoch')}" if epoch < run.trials["epochs_trained"].max() else ""
    )
    if names:
        return f"What is shown to matter{after}: {_listed(names)}."
    known = frame["p_value"].notna().any()
    return f"No hyperparameter is shown to matter{after}." if known else ""


def _untold(run: RunData) -> str:
    """Return why configurations cannot be compared; empty if they can."""
    try:
        compared = against_incumbent(run)
    except NotKnownError as reason:
        return f"Which configuration is best: {reason}."
    told = "Whether another seed would change the order: each configuration was trained once."
    if compared.basis == "models":
        extend = f"`python -m tune extend {run.shell_path} --set replicates=5`"
        return f"{told} Add replicates with {extend}."
    if compared.on_pictures:
        return ""
    if run.has_pictures:
        return "Whether it holds on other pictures: no predictions."
    return "Whether it holds on other validation data: the run has no predictions on pictures."


def _small(run: RunData) -> str:
    """Return a sentence about the smallest difference that the comparisons can detect."""
    compared = _compared(run)
    if compared is None:
        return ""
    least = float(compared.frame["detectable"].median())
    return (
        f"Differences from the incumbent below about {_gap(run, least)}: smaller ones "
        "would mostly have gone unnoticed with this amount of data."
    )


def _effects_untold(run: RunData) -> str:
    frame = known_effects(run)
    if frame is None or frame["p_value"].notna().any():
        return ""
    if run.info.sampling == "adaptive" or "seed" in set(frame["term"]):
        return ""  # Replicates would not help; the table says what would.
    advice = (
        add_replicates(run)
        if run.imported
        else f"add some with `python -m tune extend {run.shell_path} --set replicates=5`"
    )
    return (
        "Whether any hyperparameter matters beyond chance: without replicates the effect of chance "
        f"is not known. {first_upper(advice)}."
    )


def _excluded(run: RunData) -> str:
    if run.excluded.empty:
        return ""
    why = "diverged, failed or did not fit into memory"
    if (run.excluded["status"] == Status.OVER_LIMIT).any():
        why = "diverged, failed, did not fit into memory or are over a limit"
    return (
        f"What accuracy {_number(len(run.excluded), 'trial')} that {why} would have reached: no "
        "mean includes them, so a level at which many failed looks as good as its remaining trials."
    )


def _searcher(run: RunData) -> str:
    if run.info.sampling != "adaptive":
        return ""
    if run.info.searcher == UNKNOWN:
        return (
            "Whether hyperparameters matter: how configurations were chosen is not known, perhaps "
            "by earlier results, so no verdict is given on hyperparameters."
        )
    return (
        "How the parts of the space that the searcher avoided would do: "
        f"{run.info.searcher_words} sampled adaptively, so no verdict is given on hyperparameters."
    )


def _test(run: RunData) -> str:
    if run.imported or not run.knows_dataset:
        return (
            "How well the incumbent does on data that had no part in choosing it: the run has no "
            "measurement on a test split."
        )
    if fold_average(run) is not None:
        return ""  # A k-fold run selects a configuration, but no trial to test.
    if "test" in estimates(run):
        return ""
    return (
        "How well the incumbent does on pictures that had no part in choosing it: the test split "
        f"was not opened for it (`python -m tune test {run.shell_path}` does)."
    )


def _no_dataset(run: RunData) -> str:
    if run.knows_dataset:
        return ""
    return "What the data look like, and how groups of them do: the run names no dataset of ours."


@lru_cache(maxsize=4)  # several sentences use it
def _compared(run: RunData) -> Comparisons | None:
    try:
        return against_incumbent(run)
    except NotKnownError:
        return None


def _term(term: str) -> str:
    return " × ".join(words(name) for name in term.split(" × "))


def _with_interval(row: Mapping[Any, Any]) -> str:
    low, high = percent(row["accuracy_low"]), percent(row["accuracy_high"])
    return f"{percent(row['accuracy'])} (95 % interval {low} to {high})"


def _listed(parts: list[str]) -> str:
    return (
        parts[0]
        if len(parts) == 1
        else ", ".join(parts[:-1]) + " and " * bool(parts) + "".join(parts[-1:])
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
