"""Tables that say what is known: comparisons, effects, levels, selection, importance, classes."""

import json
from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from analysis.__main__ import WHAT, main
from analysis.classes.table import classes
from analysis.comparisons.best import Standing
from analysis.comparisons.best_table import best
from analysis.comparisons.statistics import against_incumbent
from analysis.comparisons.table import comparisons
from analysis.effects import figure as figures
from analysis.effects.design import SMALL
from analysis.effects.statistics import effects, marginal_means
from analysis.effects.table import ADJUSTED, _effects_notes, effects_table, levels_table
from analysis.folds.table import AVERAGE, folds
from analysis.importance.statistics import Importance, importance
from analysis.importance.table import importance_table
from analysis.rendering.digits import decimals, fraction, p_text, share_text, signed, supported
from analysis.rendering.render import FORMATS
from analysis.rendering.words import INCUMBENT
from analysis.report.summary import unknown
from analysis.report.tables import NAMED, TABLES
from analysis.run.hyperparameters import words
from analysis.run.run_data import read_probabilities, read_run
from analysis.selection.table import selection_table
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.verdicts import MARGIN, Verdict
from analysis.trials.table import models
from tests.support.discs import CLASSES, SPLIT_SIZES
from tests.support.run_factory import Factory, by
from tune.run.directory import PREDICTIONS_DIR


def made(tmp_path_factory, **settings):
    return read_run(Factory(**settings).write(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """A run with early stopping, whose two finalists were trained three times."""
    return made(tmp_path_factory)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A run with one training each."""
    return made(tmp_path_factory, replicates=1, early_stopping=False, faults=False)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """A run whose only two configurations were trained five times, without any picking."""
    return made(
        tmp_path_factory, configurations=2, replicates=5, early_stopping=False, faults=False
    )


def over_folds(run):
    """Turn the trials of a run into ten folds of its first configuration and three of another."""
    rows = run.completed.iloc[[k % len(run.completed) for k in range(13)]].reset_index(drop=True)
    first, second = run.trials["configuration_id"].unique()[:2]
    rng = np.random.default_rng(0)
    accuracy = np.r_[0.66 + rng.normal(0, 0.01, 10), 0.6 + rng.normal(0, 0.01, 3)]
    trials = rows.assign(
        trial_id=[f"t{k}" for k in range(13)],
        configuration_id=[first] * 10 + [second] * 3,
        number=range(13),
        fold=pd.array([*range(10), 0, 1, 2], dtype="Int64"),
        best_val_accuracy=accuracy,
        phase="search",
    )
    return replace(run, trials=trials)


@pytest.fixture(scope="module")
def tables(picked):
    """The tables of each section of the report."""
    return {name: list(make(picked)) for name, make in TABLES.items()}


def test_every_table_has_n_and_a_name(picked, tables):
    for name, make in NAMED.items():
        if name not in ("folds", "latency"):
            (table,) = tables[name] or [make(picked)]
            assert {"name", "n"} <= set(table.frame), name
            assert any(note.startswith("n: ") for note in table.notes), name


def test_every_table_writes_every_format_with_headings_of_its_own(tables):
    for name, made in tables.items():
        for table in made:
            for write in FORMATS.values():
                assert write(table)
            for view in table.views:
                headings = [column.heading for column in view.columns]
                assert len(headings) == len(set(headings)), name


def test_the_command_line_names_every_table():
    assert tuple(NAMED) == WHAT


def test_what_prints_a_table(picked, capsys):
    assert main(["table", str(picked.path), "--what", "comparisons", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["verdict"] == INCUMBENT
    assert {"name", "n", "accuracy", "accuracy_low", "accuracy_high"} <= rows[0].keys()


def test_the_margin_of_equivalence_is_the_users(picked, capsys):
    command = ["table", str(picked.path), "--what", "comparisons"]
    verdicts = []
    for more in ([], ["--margin", "0.4"]):
        assert main([*command, "--format", "json", *more]) == 0
        verdicts.append({row["verdict"] for row in json.loads(capsys.readouterr().out)})
    assert verdicts == [{INCUMBENT, Verdict.NOT_SHOWN}, {INCUMBENT, Verdict.EQUIVALENT}]
    assert main([*command, "--margin", "0.025"]) == 0
    assert "shown to differ by less than 2.5 percentage points" in capsys.readouterr().out
    assert main(command) == 0
    told = capsys.readouterr().out
    assert f"less than {100 * MARGIN:g} percentage point (two one-sided" in told


@pytest.mark.parametrize("margin", ["0", "1", "-0.01", "nan"])
def test_a_margin_that_is_no_share_is_refused(picked, capsys, margin):
    assert main(["table", str(picked.path), f"--margin={margin}"]) == 2
    error = capsys.readouterr().err
    assert f"such as 0.01 for one percentage point, but got {margin}" in error


def test_those_that_may_be_the_best_stand_before_the_comparisons_with_the_incumbent(picked, tables):
    order = [table.name for made in tables.values() for table in made]
    assert order.index("best") == order.index("comparisons") - 1
    table = best(picked)
    frame = table.frame
    incumbents = comparisons(picked).frame.set_index("configuration_id")
    assert sorted(frame["configuration_id"]) == sorted(incumbents.index)
    assert (
        frame["accuracy"].tolist() == incumbents.loc[frame["configuration_id"], "accuracy"].tolist()
    )
    assert frame["accuracy"].is_monotonic_decreasing
    first, second = frame["accuracy"].iloc[:2]
    assert frame["difference"].iloc[:2].tolist() == pytest.approx([first - second, second - first])
    shown = table.views[0].shown(frame)["from the best other"]
    assert [text[0] for text in shown.head(2)] == ["+", "-"]
    assert (frame["difference_low"] <= 0).all()
    assert (frame["difference_high"] >= 0).all()
    assert set(frame["verdict"]) == {Standing.MAY_BE}
    assert any("favours lucky" in note for note in table.notes)
    assert not any("are shown." in note for note in table.notes)


def test_a_small_hyperparameter_is_told_among_the_best_with_its_digits(single):
    rates = np.geomspace(1e-4, 1e-3, len(single.trials))
    info = replace(single.info, searched=("learning_rate",), tied={})
    table = best(replace(single, trials=single.trials.assign(learning_rate=rates), info=info))
    shown = table.views[0].shown(table.frame)["learning rate"]
    assert shown.tolist() == [f"{rate:.4g}" for rate in table.frame["learning_rate"]]


def test_namesakes_among_the_best_have_the_number_of_their_trial(single):
    frame = best(replace(single, trials=single.trials.assign(name="same"))).frame
    numbers = single.trials.set_index("trial_id")["number"]
    assert frame["name"].tolist() == [f"same, trial {numbers[one]}" for one in frame["trial_id"]]


def test_trained_models_that_may_be_the_best_are_those_of_one_training_each(single):
    table = best(single)
    assert set(table.frame["basis"]) == {"models"}
    assert "Which models cannot" in table.views[0].title
    assert any("only for these trainings" in note for note in table.notes)
    assert table.frame["trial_id"].is_unique
    assert len(table.frame) == len(single.completed)


def test_models_that_are_not_shown_count_among_those_that_may_be_the_best(single, monkeypatch):
    reach = best(single).frame["difference_high"].max()
    monkeypatch.setattr("analysis.comparisons.statistics.MOST_MODELS", 5)
    table = best(replace(single, data=single.path))  # not the run that is remembered
    assert len(table.frame) == 5
    assert table.notes[-1] == "The best 5 are shown."
    # Fewer shown, as many to pick from: intervals as wide but for the draws.
    assert table.frame["difference_high"].max() == pytest.approx(reach, rel=0.05)


def test_what_is_not_known_is_said_in_one_line(picked, capsys):
    assert main(["table", str(picked.path), "--what", "folds"]) == 2
    assert capsys.readouterr().err.startswith("error: run was not trained on folds")


def test_the_incumbent_stands_first_and_has_no_difference(picked):
    frame = comparisons(picked).frame
    best = picked.completed.sort_values("best_val_accuracy").iloc[-1]
    assert frame["configuration_id"].iloc[0] == best["configuration_id"]
    assert frame["verdict"].tolist().count(INCUMBENT) == 1
    assert pd.isna(frame["difference"].iloc[0])


def test_the_training_that_picked_a_finalist_does_not_count(picked):
    table = comparisons(picked)
    row = table.frame.iloc[0]
    fresh = picked.completed[
        (picked.completed["configuration_id"] == row["configuration_id"])
        & (picked.completed["phase"] == "finalist")
    ]
    assert row["trainings"] == len(fresh) == 2
    assert row["accuracy"] == pytest.approx(fresh["best_val_accuracy"].mean())
    assert any("favours lucky" in note for note in table.notes)


def test_without_picking_every_training_counts(repeated):
    table = comparisons(repeated)
    assert table.frame["trainings"].tolist() == [5, 5]
    assert not any("favours lucky" in note for note in table.notes)
    assert table.frame["basis"].tolist() == ["configurations"] * 2


def test_one_training_each_is_compared_as_trained_models(single):
    table = comparisons(single)
    assert set(table.frame["basis"]) == {"models"}
    assert any("only for these trainings" in note for note in table.notes)
    assert len(table.frame) == len(single.completed)
    row = table.frame.iloc[-1]
    first = table.frame.iloc[0]
    assert row["difference"] == pytest.approx(row["accuracy"] - first["accuracy"])


def test_comparisons_are_adjusted_for_every_pair(single):
    frame = comparisons(single).frame.iloc[1:]
    smallest = frame.loc[frame["p_value"].idxmin()]
    assert smallest["p_adjusted"] == pytest.approx(min(1, 66 * smallest["p_value"]))


def test_without_predictions_configurations_are_still_compared_for_these_pictures(repeated):
    for path in (repeated.path / PREDICTIONS_DIR).iterdir():
        path.rename(path.with_suffix(".away"))
    try:
        table = comparisons(read_run(repeated.path))
    finally:
        for path in (repeated.path / PREDICTIONS_DIR).iterdir():
            path.rename(path.with_suffix(".parquet"))
    assert table.frame["verdict"].isin([INCUMBENT, *Verdict]).all()
    assert any("only for these pictures" in note for note in table.notes)


def test_with_neither_replicates_nor_predictions_it_says_what_to_add(single):
    objective = {**single.info.objective, "at": "last"}  # predictions are of the best epoch
    last = replace(single, info=replace(single.info, objective=objective))
    with pytest.raises(NotKnownError, match="replicates=5"):
        comparisons(last)
    assert list(TABLES["comparisons"](last)) == []
    assert (models(last).frame["verdict"] == "").all()


def test_models_carry_the_verdicts_of_their_configurations(picked):
    frame = models(picked).frame
    found = against_incumbent(picked)
    own = frame[
        (frame["configuration_id"] == found.incumbent_id) & (frame["status"] == "COMPLETED")
    ]
    assert (own["verdict"] == INCUMBENT).all()
    other = frame[frame["configuration_id"] == found.frame["id"].iloc[0]]
    assert set(other["verdict"]) == {found.frame["verdict"].iloc[0]}
    assert (frame.loc[frame["status"] == "EARLY_STOPPED", "verdict"] == "").all()


def test_effects_name_what_is_tied(picked):
    table = effects_table(picked)
    assert "blocks (with FC layers)" in set(table.frame["name"])
    assert any("one effect" in note for note in table.notes)


def test_effects_without_replicates_say_what_to_add(single):
    table = effects_table(single)
    assert (table.frame["verdict"] == "").all()
    assert any("No verdict" in note and "replicates=5" in note for note in table.notes)
    assert ADJUSTED not in table.notes
    assert levels_table(single).frame["accuracy_low"].isna().all()


def with_lost(run, kernel, status="FAILED"):
    """Return the run with every trial of one kernel size lost."""
    lost = run.trials["status"].mask(run.trials["kernel_size"] == kernel, status)
    return replace(run, trials=run.trials.assign(status=lost))


def test_trials_that_broke_are_counted_where_they_are_missing(picked):
    broken = picked.trials[picked.trials["status"].isin(["DIVERGED", "FAILED"])]
    assert len(broken) == 2
    frame = levels_table(picked).frame
    for row in frame.to_dict("records"):
        values = broken[row["hyperparameter"]].astype(str)
        assert row["excluded"] == (values == row["level"]).sum(), row["name"]
    for table in (levels_table(picked), effects_table(picked)):
        assert any("Excluded from all means: 1 diverged, 1 failed." in note for note in table.notes)
    assert "excluded" in levels_table(picked).views[0].shown(frame)
    assert "2 others failed" in next(figures.effects(picked)).caption
    assert any("2 trials that diverged, failed" in each for each in unknown(picked))


def test_where_no_trial_broke_none_is_told(single):
    table = levels_table(single)
    assert (table.frame["excluded"] == 0).all()
    assert "excluded" not in table.views[0].shown(table.frame)
    assert not any("Excluded from all means" in note for note in table.notes)
    assert not any("diverged, failed" in each for each in unknown(single))


def test_a_level_of_which_no_trial_is_left_is_named(single):
    notes = levels_table(with_lost(single, 5)).notes
    assert "All trials excluded: kernel size = 5." in notes


def test_broken_trials_are_counted_in_the_range_of_a_continuous_hyperparameter(single):
    rates = np.geomspace(1e-4, 1e-1, len(single.trials))
    status = ["COMPLETED"] * 9 + ["DIVERGED"] * 3  # all above the last rate that went well
    info = replace(single.info, searched=("learning_rate", "channels"), **by("random"))
    trials = single.trials.assign(learning_rate=rates, status=status)
    frame = levels_table(replace(single, trials=trials, info=info)).frame
    rows = frame[frame["hyperparameter"] == "learning_rate"]
    assert rows["excluded"].tolist() == [0, 0, 0, 3]
    assert rows["trainings"].sum() == 9


def test_effects_of_an_adaptive_search_are_marked(picked):
    adaptive = replace(picked, info=replace(picked.info, **by("tpe")))
    told, levels = effects_table(adaptive), levels_table(adaptive)
    for table in (told, levels):
        assert any("do not represent the whole space" in note for note in table.notes)
    assert not any("do not represent" in note for note in effects_table(picked).notes)
    assert (told.frame["verdict"] == "").all()
    assert any(note.startswith("No verdict: the searcher tpe") for note in told.notes)
    assert levels.frame[["accuracy_low", "effect_low"]].isna().all(axis=None)


def test_importance_is_for_sweeps_that_are_no_grid(picked):
    assert list(TABLES["importance"](picked)) == []
    drawn = replace(picked, info=replace(picked.info, **by("random")))
    (table,) = TABLES["importance"](drawn)
    assert table.name == "importance"
    assert any("too few for a reliable order" in note for note in table.notes)


def test_selection_says_how_often_test_was_opened(picked):
    notes = selection_table(picked).notes
    assert any("was not opened" in note for note in notes)


def test_classes_of_the_best_models(picked):
    frame = classes(picked).frame
    first = frame[frame["trial_id"] == frame["trial_id"].iloc[0]]
    assert first["class"].tolist() == list(picked.info.classes)
    assert first["n"].sum() == SPLIT_SIZES["val"]
    best = picked.completed.sort_values("best_val_accuracy").iloc[-1]
    assert first["recall"].mean() == pytest.approx(best["best_val_macro_recall"])
    assert first["precision"].mean() == pytest.approx(best["best_val_macro_precision"])


def test_folds_end_in_their_average_with_a_corrected_interval(single):
    run = over_folds(single)
    frame = folds(run).frame
    average = frame[frame["fold"] == AVERAGE].iloc[0]
    accuracy = run.trials["best_val_accuracy"].head(10)
    assert average["accuracy"] == pytest.approx(accuracy.mean())
    assert average["n"] == 10 * SPLIT_SIZES["val"]
    half = 2.262157 * accuracy.std() * sqrt(1 / 10 + 1 / 9)
    assert average["accuracy_high"] - average["accuracy"] == pytest.approx(half, rel=1e-6)
    assert frame["fold"].tolist()[:11] == [*map(str, range(10)), AVERAGE]


def test_configurations_are_compared_over_the_folds_that_both_have(single):
    run = over_folds(single)
    found = against_incumbent(run)
    assert found.basis == "folds"
    assert found.means["trainings"].tolist() == [10, 3]
    accuracy = run.trials["best_val_accuracy"].to_numpy()
    assert found.frame["difference"].iloc[0] == pytest.approx((accuracy[10:] - accuracy[:3]).mean())
    assert "folds" in set(comparisons(run).frame["basis"])


@pytest.mark.parametrize(
    ("error", "digits"),
    [(0.0103, 3), (0.0069, 3), (0.025, 3), (0.0354, 3), (0.0355, 2), (0.0012, 4), (0.97, 1)],
)
def test_digits_follow_the_rule_of_the_particle_data_group(error, digits):
    assert decimals(error) == digits


def test_columns_have_the_digits_that_their_intervals_support():
    wide = pd.DataFrame({"low": [0.4, 0.5], "high": [0.6, 0.7]})
    assert supported(wide, "low", "high")(0.61234) == "0.61"
    assert supported(wide * np.nan, "low", "high")(0.61234) == "0.612"
    assert p_text(0.0004) == "< 0.001"


@pytest.mark.parametrize(
    ("error", "digits"), [(0, 3), (-1, 3), (np.nan, 3), (0.0000001, 6), (12.0, 0), (0.00949, 3)]
)
def test_an_error_that_tells_nothing_gives_three_digits_and_none_gives_more_than_six(error, digits):
    assert decimals(error) == digits


def test_cells_are_written_with_their_signs_bounds_and_percent():
    write = signed(fraction(2))
    assert [write(value) for value in (0.126, -0.126, 0.0, np.nan)] == [
        "+0.13",
        "-0.13",
        "0.00",
        "–",
    ]
    assert [write(value) for value in (0.004, -0.004)] == ["0.00", "0.00"]
    assert [signed(fraction(0))(value) for value in (0.4, -0.4, 10)] == ["0", "0", "+10"]
    assert [p_text(p) for p in (0.00099, 0.001, 0.5, np.nan)] == ["< 0.001", "0.001", "0.500", "–"]
    assert [share_text(share) for share in (0.126, 1.0, np.nan)] == ["13 %", "100 %", "–"]
    # Half of 0.0392 over 1.96 is an error of 0.01, which keeps two digits.
    narrow = pd.DataFrame({"low": [0.5, 0.4, np.nan], "high": [0.5392, 0.4392, np.nan]})
    assert supported(narrow, "low", "high")(0.51234) == "0.512"
    wider = pd.DataFrame(
        {"low": [0.5], "high": [0.6176]}
    )  # an error of 0.03, twice of which has one
    assert supported(wider, "low", "high")(0.51234) == "0.512"


def test_comparisons_show_the_figures_of_the_statistics(picked):
    table = comparisons(picked)
    found = against_incumbent(picked)
    frame = table.frame.set_index("configuration_id")
    for name, row in frame.iterrows():
        means = found.means.loc[name]
        fair = picked.completed[
            (picked.completed["configuration_id"] == name)
            & (picked.completed["phase"] == "finalist")
        ]
        assert row["accuracy"] == pytest.approx(fair["best_val_accuracy"].mean())
        assert row[["accuracy_low", "accuracy_high"]].tolist() == pytest.approx(
            means[["accuracy_low", "accuracy_high"]].tolist()
        )
        assert row["trainings"] == 2
        assert row["n"] == SPLIT_SIZES["val"]
        assert row["trial_id"] == fair["trial_id"].iloc[0]
    other = found.frame.iloc[0]
    keys = [
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "p_adjusted",
        "detectable",
    ]
    assert frame.loc[other["id"], keys].tolist() == other[keys].tolist()
    assert found.candidates == 2
    assert found.on_pictures
    assert any("all pairs of the 2 candidates" in note for note in table.notes)
    assert not any("are shown." in note for note in table.notes)


def test_trained_models_have_intervals_of_their_own_pictures(single):
    found = against_incumbent(single)
    assert found.candidates == 12
    best = single.completed.sort_values(["best_val_accuracy", "number"], ascending=[False, True])
    assert [found.reference, *found.frame["id"]] == best["trial_id"].tolist()
    assert found.incumbent_id == best["configuration_id"].iloc[0]
    means = found.means.loc[best["trial_id"]]
    assert means["accuracy"].tolist() == best["best_val_accuracy"].tolist()
    for row in means.to_dict("records"):
        interval = proportion_confint(400 * row["accuracy"], 400, method="wilson")
        assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(interval)
    assert (means["trainings"] == 1).all()
    assert means["trial_id"].tolist() == means.index.tolist()


def test_only_the_best_models_are_compared_and_all_pairs_counted(single, monkeypatch):
    every = comparisons(single).frame.set_index("trial_id")
    monkeypatch.setattr("analysis.comparisons.statistics.MOST_MODELS", 5)
    table = comparisons(replace(single, data=single.path))  # not the run that is remembered
    assert len(table.frame) == 5
    assert table.notes[-1] == "The best 5 are shown."
    assert any("all pairs of the 12 candidates" in note for note in table.notes)
    frame = table.frame.set_index("trial_id").iloc[1:]
    # Bounds and the smallest difference shown allow for all 66 pairs as well.
    for column in ("difference_low", "difference_high", "detectable"):
        assert frame[column].equals(every.loc[frame.index, column])


def test_a_lucky_training_that_was_not_replicated_is_not_the_incumbent(picked):
    best = picked.trials["trial_id"] == picked.trials["trial_id"].iloc[8]
    accuracy = picked.trials["best_val_accuracy"]
    assert picked.trials.loc[best, "phase"].tolist() == ["search"]
    lucky = picked.trials["configuration_id"].where(~best, "alone")
    trials = picked.trials.assign(
        configuration_id=lucky, best_val_accuracy=accuracy.mask(best, 0.9)
    )
    found = against_incumbent(replace(picked, trials=trials))
    assert found.basis == "configurations"
    finalists = picked.trials[picked.trials["phase"] == "finalist"]
    means = finalists.groupby("configuration_id")["best_val_accuracy"].mean()
    assert found.reference == found.incumbent_id == means.idxmax()


def test_effects_tell_trainings_epoch_and_n(picked):
    table = effects_table(picked)
    assert (table.frame["trainings"] == 14).all()
    assert (table.frame["epoch"] == 3).all()
    assert (table.frame["n"] == SPLIT_SIZES["val"]).all()
    assert (
        "All 14 completed and early-stopped trials are compared after 3 epochs, the most that all "
        "of them reached." in table.notes
    )
    assert "effect of" in table.views[0].shown(table.frame)
    assert ADJUSTED in table.notes
    own = effects(picked)
    for column in ("df", "share", "f", "p_value", "p_adjusted", "verdict", "detectable"):
        assert table.frame[column].equals(own[column]), column


def test_without_early_stopping_all_epochs_enter(single):
    notes = effects_table(single).notes
    assert "All 12 completed and early-stopped trials are compared after 12 epochs." in notes


def test_levels_show_the_means_of_the_statistics(repeated):
    with_levels = marginal_means(repeated)
    table = levels_table(repeated)
    names = [
        f"{name} = {level}"
        for name in ("kernel size", "blocks (with FC layers)", "channels", "convolution depth")
        for level in with_levels.loc[
            with_levels["hyperparameter"].map(words) == name.split(" (")[0], "level"
        ]
    ]
    assert table.frame["name"].tolist() == names
    for ours, theirs in (("accuracy", "mean"), ("accuracy_low", "low"), ("accuracy_high", "high")):
        assert table.frame[ours].tolist() == with_levels[theirs].tolist()
    assert table.frame["trainings"].tolist() == with_levels["trainings"].tolist() == [5] * 8
    assert table.frame["configurations"].tolist() == [1] * 8


@pytest.mark.parametrize(
    ("searcher", "told"),
    [("grid", "Without replicates there is no"), ("random", "Intervals: from")],
)
def test_notes_say_what_the_intervals_of_levels_are_of(single, searcher, told):
    run = replace(single, info=replace(single.info, **by(searcher)))
    assert sum(note.startswith(told) for note in levels_table(run).notes) == 1
    assert sum(note.startswith(("Without", "Intervals")) for note in levels_table(run).notes) == 1


def test_classes_stand_for_each_model_in_the_order_of_the_models(picked, monkeypatch):
    monkeypatch.setattr("analysis.classes.table.MOST_MODELS", 3)
    table = classes(picked)
    best = picked.completed.sort_values(["best_val_accuracy", "number"], ascending=[False, True])
    assert table.frame["trial_id"].drop_duplicates().tolist() == best["trial_id"].head(3).tolist()
    assert table.frame["trial"].drop_duplicates().tolist() == best["number"].head(3).tolist()
    assert "The 3 best trials with predictions" in table.notes[-1]
    few = replace(picked, trials=picked.completed.head(2))
    assert classes(few).notes[-1].startswith("The 2 best trials with predictions")
    answers = read_probabilities(picked, best["trial_id"].iloc[0])
    first = table.frame.head(4)
    assert first["class"].tolist() == list(CLASSES)
    assert first["n"].tolist() == [(answers["label"] == place).sum() for place in range(4)]
    assert first["predicted"].tolist() == [
        (answers["predicted"] == place).sum() for place in range(4)
    ]


def test_classes_need_predictions(picked):
    with pytest.raises(NotKnownError, match="no trial of run has predictions"):
        classes(replace(picked, trials=picked.trials.iloc[2:3]))


def test_selection_tells_estimates_from_the_boldest_on(picked):
    table = selection_table(picked)
    assert table.frame["name"].tolist() == [
        "validation, best epoch",
        "validation, last epoch",
        "validation, corrected for picking the best model",
    ]
    best = picked.completed.loc[picked.completed["best_val_accuracy"].idxmax()]
    assert table.views[0].title == f"What to expect of {best['name']}"
    assert table.frame["models"].tolist() == [12, 12, 12]  # Configurations, stopped ones too.


def test_notes_of_the_selection_tell_of_stopped_trials_where_there_are_some(picked, single):
    stopped = "enters the repeats with its accuracy at that epoch plus what the completed"
    told, plain = (" ".join(selection_table(run).notes) for run in (picked, single))
    assert stopped in told
    assert stopped not in plain
    for notes in (told, plain):
        assert "the best on the same pictures; where there are replicates, by the mean" in notes
        assert "it does not correct for the selection of the best epoch" in notes
        assert "Not known" not in notes


@pytest.mark.parametrize(("times", "told"), [(1, "opened 1 time."), (3, "opened 3 times.")])
def test_openings_of_the_test_split_are_counted(picked, monkeypatch, times, told):
    monkeypatch.setattr("analysis.selection.table.openings_of_test", lambda _: {"a": times})
    assert selection_table(picked).notes[-1] == f"The test split was {told}"


def test_importance_shows_its_columns_and_what_is_left_out(single):
    rates = np.geomspace(1e-4, 1e-1, len(single.trials))
    some = single.trials["channels"].where(single.trials["blocks"] == 4)
    info = replace(
        single.info,
        **by("random"),
        searched=("learning_rate", "kernel_size", "channels"),
        tied={},
    )
    trials = single.trials.assign(learning_rate=rates, channels=some)
    run = replace(single, trials=trials, info=info)
    table = importance_table(run)
    own = importance(run).frame
    assert table.frame["hyperparameter"].tolist() == own["hyperparameter"].tolist()
    assert table.frame["name"].tolist() == own["hyperparameter"].map(words).tolist()
    for column in ("fanova", "ped_anova"):
        assert table.frame[column].tolist() == own[column].tolist()
        assert own[column].sum() == pytest.approx(1)
    assert (table.frame["configurations"] == 12).all()
    assert table.notes[-1] == "Left out, because some configurations do not have them: channels."
    keys = {column.heading: column.key for column in table.views[0].columns}
    assert keys["fANOVA"] == "fanova"
    assert keys["PED-ANOVA, best tenth"] == "ped_anova"


def test_each_fold_shows_its_own_figures(single):
    run = over_folds(single)
    frame = folds(run).frame
    first = run.trials.head(10)
    own = frame.head(10)
    assert own["accuracy"].tolist() == pytest.approx(first["best_val_accuracy"].tolist())
    for average in ("macro", "micro"):
        for score in ("recall", "precision", "f1"):
            expected = first[f"best_val_{average}_{score}"].tolist()
            assert own[f"{average}_{score}"].tolist() == pytest.approx(expected)
    assert (own["n"] == SPLIT_SIZES["val"]).all()
    assert own["repeat"].tolist() == [0] * 10
    assert pd.isna(frame["repeat"].iloc[10])
    assert "repeat" not in folds(run).views[0].shown(frame)
    assert frame["configuration_id"].nunique() == 2
    short = frame[frame["configuration_id"] == frame["configuration_id"].iloc[-1]]
    assert short["fold"].tolist() == ["0", "1", "2", AVERAGE]


def test_broken_trials_are_counted_in_the_range_that_they_lie_in(single):
    rates = np.geomspace(1e-4, 1e-1, 12)
    broken = [1, 4, 5]  # of ranges that end at the trials 3, 7, 9 and 11
    status = ["FAILED" if place in broken else "COMPLETED" for place in range(12)]
    info = replace(single.info, searched=("learning_rate", "channels"), **by("random"))
    trials = single.trials.assign(learning_rate=rates, status=status)
    frame = levels_table(replace(single, trials=trials, info=info)).frame
    rows = frame[frame["hyperparameter"] == "learning_rate"]
    ends = [float(level.split(" to ")[1]) for level in rows["level"]]
    expected = np.zeros(4, int)
    for place in broken:
        expected[np.searchsorted(ends, rates[place] * 0.999)] += 1
    assert rows["excluded"].tolist() == expected.tolist()


def test_a_trial_that_broke_carries_no_verdict_of_its_configuration(picked):
    found = against_incumbent(picked)
    other = found.frame["id"].iloc[0]
    search = (picked.trials["configuration_id"] == other) & (picked.trials["phase"] == "search")
    status = picked.trials["status"].mask(search, "FAILED")
    frame = models(replace(picked, trials=picked.trials.assign(status=status))).frame
    own = frame[frame["configuration_id"] == other].set_index("phase")["verdict"]
    assert own["search"] == ""
    assert (own["finalist"] != "").all()


@pytest.mark.parametrize("searcher", ["random", "sobol"])
def test_a_search_that_looks_at_no_result_is_an_even_sample(single, searcher):
    fair = replace(single, info=replace(single.info, **by(searcher)))
    assert not any("uneven sample" in note for note in effects_table(fair).notes)


def test_a_tiny_effect_is_told_with_the_share_below_which_it_is_tiny(picked):
    notes = _effects_notes(picked, effects(picked).assign(verdict=SMALL))
    assert f"{SMALL}: an effect, of less than 0.5 % of the variance." in notes


INTERVAL = ("95 % interval", "accuracy_low", "accuracy_high")
SHOWN = {
    "best": [
        ("name", "name"), ("verdict", "verdict"), ("kernel size", "kernel_size"),
        ("blocks", "blocks"), ("channels", "channels"),
        ("convolution depth", "conv_depth"), ("trainings", "trainings"), ("accuracy", "accuracy"),
        INTERVAL, ("from the best other", "difference"),
        ("95 % interval of all", "difference_low", "difference_high"), ("n", "n"),
    ],
    "comparisons": [
        ("name", "name"), ("trainings", "trainings"), ("accuracy", "accuracy"), INTERVAL,
        ("difference", "difference"),
        ("95 % interval of all", "difference_low", "difference_high"),
        ("p (Holm)", "p_adjusted"), ("verdict", "verdict"), ("smallest shown", "detectable"),
        ("n", "n"),
    ],
    "selection": [
        ("accuracy on", "name"), ("accuracy", "accuracy"), INTERVAL, ("picked from", "models"),
        ("n", "n"),
    ],
    "effects": [
        ("effect of", "name"), ("degrees of freedom", "df"), ("variance explained", "share"),
        ("F", "f"), ("p (adjusted)", "p_adjusted"), ("verdict", "verdict"),
        ("smallest shown", "detectable"), ("n", "n"),
    ],
    "levels": [
        ("level", "name"), ("configurations", "configurations"), ("trainings", "trainings"),
        ("excluded", "excluded"), ("mean accuracy", "accuracy"), INTERVAL, ("effect", "effect"),
        ("95 % interval of the effect", "effect_low", "effect_high"), ("n", "n"),
    ],
    "classes": [
        ("trial", "trial"), ("name", "name"), ("class", "class"), ("precision", "precision"),
        ("precision, 95 %", "precision_low", "precision_high"), ("recall", "recall"),
        ("recall, 95 %", "recall_low", "recall_high"), ("F1", "f1"), ("predicted", "predicted"),
        ("n", "n"),
    ],
    "models": [
        ("name", "name"), ("kernel", "kernel_size"), ("blocks", "blocks"),
        ("channels", "channels"), ("FCs", "fc_layers"), ("convolution depth", "conv_depth"),
        ("accuracy", "accuracy"), INTERVAL, ("recall", "macro_recall"),
        ("precision", "macro_precision"), ("F1", "macro_f1"), ("best epoch", "best_epoch"),
        ("accuracy, last epoch", "last_accuracy"), ("against the incumbent", "verdict"),
        ("epochs", "epochs_trained"), ("status", "status"), ("replicate", "replicate"),
        ("n", "n"),
    ],
    "probabilities": [
        ("trial", "trial"), ("name", "name"), ("calibration error", "ece"), ("AUC", "auc"),
        ("average precision", "average_precision"), ("n", "n"),
    ],
    "confusions": [
        ("trial", "trial"), ("name", "name"), ("true class", "true"),
        ("predicted class", "predicted"), ("pictures", "pictures"), ("n", "n"),
        ("share", "share"), ("share, 95 %", "share_low", "share_high"),
    ],
    "replicates": [
        ("name", "name"), ("replicates", "replicates"), ("mean accuracy", "accuracy"), INTERVAL,
        ("lowest", "lowest"), ("highest", "highest"), ("standard deviation", "deviation"),
        ("n", "n"),
    ],
    "by": [
        ("kernel size", "name"), ("trials", "trials"), ("completed", "completed"),
        ("stopped early", "early_stopped"), ("other", "other"), ("mean, completed", "accuracy"),
        ("mean, completed: 95 % interval", "accuracy_low", "accuracy_high"),
        ("best, completed", "best"), ("best, completed: 95 % interval", "best_low", "best_high"),
        ("mean at epoch 3", "accuracy_at_epoch"),
        ("mean at epoch 3: 95 % interval", "accuracy_at_epoch_low", "accuracy_at_epoch_high"),
        ("n", "n"),
    ],
    "incomplete": [
        ("trial", "trial"), ("name", "name"), ("status", "status"), ("epochs", "epochs_trained"),
        ("accuracy so far", "accuracy"), INTERVAL, ("n", "n"), ("reason", "reason"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_every_heading_stands_over_its_own_column(picked, name):
    table = NAMED[name](picked) if name in NAMED else next(TABLES[name](picked))
    columns = table.views[0].columns
    told = [(one.heading, one.key, *filter(None, [one.upper_key])) for one in columns]
    assert told == SHOWN[name]


def test_errors_are_told_with_sign_and_percent_where_they_are_due(picked):
    row = comparisons(picked).views[0].shown(comparisons(picked).frame).iloc[1]
    assert row["difference"][0] in "+-"
    low, high = row["95 % interval of all"].split(" to ")
    assert (low[0], high[0]) == ("-", "+")  # no difference is shown
    effect = effects_table(picked)
    shown = effect.views[0].shown(effect.frame).iloc[0]
    assert shown["variance explained"] == f"{100 * effect.frame['share'].iloc[0]:.0f} %"
    assert shown["F"] == f"{effect.frame['f'].iloc[0]:.1f}"


def test_titles_say_what_is_compared(picked, single):
    assert comparisons(picked).views[0].title.endswith("incumbent, as configurations")
    assert comparisons(single).views[0].title.endswith("incumbent, as trained models")


def test_n_of_a_table_is_that_of_the_most_pictures(picked):
    n = pd.array(range(300, 300 + len(picked.trials)), dtype="Int64")
    run = replace(picked, trials=picked.trials.assign(n=n))
    most = run.comparable["n"].max()
    for table in (effects_table(run), levels_table(run)):
        assert (table.frame["n"] == most).all()
    by = next(TABLES["by"](run)).frame.set_index("name")
    for level, row in by.iterrows():
        own = run.trials[run.trials["kernel_size"] == int(level)]
        assert row["n"] == own["n"].max()
        done = own[own["status"] == "COMPLETED"]
        best = done.loc[done["best_val_accuracy"].idxmax()]
        theirs = proportion_confint(
            best["n"] * best["best_val_accuracy"], best["n"], method="wilson"
        )
        assert (row["best_low"], row["best_high"]) == pytest.approx(theirs)
    seeds = next(TABLES["replicates"](run)).frame.set_index("configuration_id")["n"]
    finalists = run.completed[run.completed["phase"] == "finalist"]
    assert seeds.to_dict() == finalists.groupby("configuration_id")["n"].max().to_dict()


@pytest.mark.parametrize(("count", "drawn"), [(300, 0), (301, 1), (2_000, 1), (2_001, 2)])
def test_that_an_importance_is_of_a_part_is_told(picked, monkeypatch, count, drawn):
    frame = pd.DataFrame({"hyperparameter": ["channels"], "fanova": [1.0], "ped_anova": [1.0]})
    known = Importance(
        frame=frame, configurations=count, explained=0.9, left_out=(), warnings=("A warning.",)
    )
    monkeypatch.setattr("analysis.importance.table.importance", lambda _: known)
    notes = importance_table(picked).notes
    parts = (
        "fANOVA was computed from 300 configurations, drawn at random.",
        "PED-ANOVA was computed from 2,000, drawn in the same way.",
    )
    assert [part in notes for part in parts] == [drawn > 0, drawn > 1]
    assert "A warning." in notes
