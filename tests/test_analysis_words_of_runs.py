"""Sentences and small tables that compare runs: units, signs and numbers in them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.run.metric import Metric
from analysis.runs import compare, together
from analysis.runs.compare import best_words
from analysis.runs.differences import _judged, _picked, _points
from analysis.runs.picked import Candidates
from analysis.runs.searchers import _best_at, _row
from analysis.statistics.verdicts import Verdict
from analysis.trials.headline import fold_words, percent, status_counts
from fairsweep.errors import UserError

ACCURACY = Metric(name="val_accuracy", sign=1, is_share=True)
LOSS = Metric(name="val_loss", sign=-1, is_share=False)


def run_of(metric, **facts):
    return SimpleNamespace(metric=metric, margin=0.005, **facts)


def test_a_difference_has_its_sign_and_its_ends_in_order():
    found = SimpleNamespace(value=0.02, low=-0.01, high=0.05, verdict=Verdict.NOT_SHOWN)
    assert _points(run_of(ACCURACY), found) == (
        "+2.0 percentage points (95 % interval -1.0 to +5.0)"
    )
    # Losses were negated, so that larger is better.
    assert _points(run_of(LOSS), found) == "-0.02 (95 % interval -0.05 to +0.01)"


def test_a_verdict_names_the_margin_only_if_it_is_equivalence():
    for verdict in Verdict:
        told = _judged(SimpleNamespace(verdict=verdict), run_of(ACCURACY))
        within = " within 0.5 percentage points" if verdict is Verdict.EQUIVALENT else ""
        assert told == f"{verdict}{within}"
    assert _picked(Candidates(first=1, second=1), "model") == ""
    assert "picking the best of" in _picked(Candidates(first=1, second=2), "model")


def test_the_best_of_a_run_is_told_with_trials_and_device_hours(monkeypatch):
    best = {"name": "N", "accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "n": 1200}
    monkeypatch.setattr(compare, "fold_average", lambda _: None)
    monkeypatch.setattr(compare, "best_trial", lambda _: pd.Series(best))
    trials = pd.DataFrame({"device_seconds": [1800.0, 5400.0]})
    run = run_of(ACCURACY, trials=trials, completed=trials)
    assert best_words(run, "a") == (
        "The best of a is N with a validation accuracy of 50.0 % (95 % interval 40.0 % to 60.0 %, "
        "n = 1,200), out of 2 trials in 2 device-hours."
    )
    best |= {"accuracy_low": np.nan, "accuracy_high": np.nan}
    single = pd.DataFrame({"device_seconds": [0.0]})
    run = run_of(ACCURACY, trials=single, completed=single.head(0))
    assert best_words(run, "a") == (
        "The best of a is N (stopped early; no trial was trained to the end) with a validation "
        "accuracy of 50.0 %, out of 1 trial."
    )


def test_runs_of_one_name_are_told_by_their_paths():
    first, second = (SimpleNamespace(name="r", path=Path(f"{place}/r")) for place in "ab")
    assert compare._names(first, second) == ("a/r", "b/r")
    second.name = "s"
    assert compare._names(first, second) == ("r", "s")


def test_a_searcher_has_the_t_interval_of_its_runs_and_welch_s_of_the_difference():
    first, other = pd.Series([0.6, 0.7, 0.8]), pd.Series([0.5, 0.52])
    row = _row("random", other, first)
    assert (row["runs"], row["value"]) == (2, pytest.approx(0.51))
    low, high = stats.t.interval(0.95, 1, 0.51, stats.sem(other))
    assert [row["value_low"], row["value_high"]] == pytest.approx([low, high])
    assert row["difference"] == pytest.approx(-0.19)
    welch = stats.ttest_ind(other, first, equal_var=False).confidence_interval(0.95)
    assert row["difference_low"] == pytest.approx(welch.low)
    assert row["difference_high"] == pytest.approx(welch.high)
    alone = _row("best", first, first)
    assert (alone["difference"], np.isnan(alone["difference_low"])) == (0.0, True)


def test_a_value_at_a_cost_is_the_last_that_was_reached_by_then():
    data = pd.DataFrame({"spent": [1.0, 2.0, 3.0, 4.0], "best": [np.nan, 0.5, 0.7, 0.9]})
    assert _best_at(data, "spent", 3.0) == 0.7
    assert _best_at(data, "spent", 2.9) == 0.5
    assert np.isnan(_best_at(data, "spent", 1.0))


def test_statuses_are_counted_with_the_most_frequent_first_and_ties_in_their_order():
    statuses = ["FAILED", "EARLY_STOPPED", "COMPLETED", "EARLY_STOPPED", "COMPLETED"]
    found = status_counts(SimpleNamespace(trials=pd.DataFrame({"status": statuses})))
    assert list(found.items()) == [("stopped early", 2), ("completed", 2), ("failed", 1)]
    assert percent(0.1234) == "12.3 %"


def test_an_average_over_folds_is_told_with_its_interval_and_range():
    average = SimpleNamespace(
        per_fold=pd.Series([0.5, 0.7, 0.6]), name="N", accuracy=0.6, low=0.4, high=0.8, pictures=0
    )
    words = fold_words(ACCURACY, average)
    assert words.startswith("by its average over 3 folds is N: validation accuracy 60.0 %")
    assert "(95 % interval 40.0 % to 80.0 %, " in words
    assert words.endswith("); single folds reach from 50.0 % to 70.0 %")
    average.pictures = 1234
    assert ", n = 1,234 pictures; single folds" in fold_words(ACCURACY, average)


def named_run(path, name="r", **facts):
    return SimpleNamespace(
        name=name,
        path=Path(path),
        provenance={"dataset": {"fingerprint": "aa"}},
        metric=ACCURACY,
        completed=pd.DataFrame({"fold": [None]}),
        trials=pd.DataFrame({"trial_id": ["t"]}),
        **facts,
    )


def test_of_several_runs_only_those_of_one_name_are_told_by_their_paths():
    runs = [named_run("a/r"), named_run("b/r"), named_run("c/s", "s")]
    assert together._names(runs) == ["a/r", "b/r", "s"]
    with pytest.raises(UserError, match="is given 2 times; give each run once"):
        together._names([named_run("a/r"), named_run("x/../a/r")])


def test_runs_are_apart_by_dataset_metric_folds_or_because_nothing_completed():
    first = named_run("a/r")
    assert together._apart(named_run("b/r"), first) == ""
    other = named_run("b/r")
    other.provenance = {"dataset": {"fingerprint": "b" * 20}}
    assert together._apart(other, first) == f"another dataset (fingerprint {'b' * 12}, not aa)"
    for unknown in ({}, {"dataset": None}, {"dataset": {"fingerprint": None}}):
        other.provenance = unknown
        assert "fingerprint of its dataset is not known" in together._apart(other, first)
    worse = named_run("b/r")
    worse.metric = Metric(name="val_accuracy", sign=-1, is_share=True)
    assert "its tables report val_accuracy" in together._apart(worse, first)
    folds = named_run("b/r")
    folds.trials = pd.DataFrame({"fold": [0, 1]})
    folds.completed = folds.trials
    assert together._apart(folds, first) == "it was trained on folds"
    assert together._apart(first, folds) == "it was not trained on folds"
    nothing = named_run("b/r")
    nothing.completed = first.completed.head(0)
    assert together._apart(nothing, first) == "no trial of it was trained to the end"


def test_of_a_training_in_two_runs_the_longer_one_counts_with_its_answers(monkeypatch):
    columns = ["trial_id", "configuration_id", "name", "epochs_trained"]
    shorter = named_run("a/a", "a", measurements=pd.DataFrame({"x": [1]}))
    longer = replace_trials(shorter, [("t", "c", "N", 9), ("u", "d", "M", 9)], columns)
    shorter = replace_trials(shorter, [("v", "d", "M", 5), ("t", "c", "N", 5)], columns)
    monkeypatch.setattr(together, "fairly_trained", lambda run: run.trials)
    monkeypatch.setattr(together, "replace", lambda _run, **facts: SimpleNamespace(**facts))
    monkeypatch.setattr(together, "read_probabilities", lambda run, _: run.trials)
    for runs in ([shorter, longer], [longer, shorter]):
        names = ["short" if run is shorter else "long" for run in runs]
        merged, shared = together._merge(runs, names)
        trials = merged.trials.set_index("trial_id")
        assert shared == 1
        assert trials["epochs_trained"].to_dict() == {"t": 9, "u": 9, "v": 5}
        assert trials["run"].to_dict() == {"t": ", ".join(names), "u": "long", "v": "short"}
        assert sorted(trials["number"]) == [1, 2, 3]
        # One configuration was trained for two numbers of epochs.
        assert trials["configuration_id"].to_dict() == {"t": "c", "u": "d-9", "v": "d-5"}
        assert trials.loc["u", "name"] == "M (9 epochs)"
        assert merged.answers["t"] is longer.trials
        assert merged.answers["v"] is shorter.trials
        assert len(merged.answers) == 3
        assert len(merged.measurements) == 2


def replace_trials(run, rows, columns):
    return SimpleNamespace(**{**vars(run), "trials": pd.DataFrame(rows, columns=columns)})
