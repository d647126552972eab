"""Tables that say what is known: comparisons, effects, levels, selection, importance, classes."""

import json
from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import WHAT, main
from analysis.figures import effects as figures
from analysis.run_data import read_run
from analysis.statistics.comparisons import against_incumbent
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.verdicts import Verdict
from analysis.summary import unknown
from analysis.tables.classes import classes
from analysis.tables.comparisons import comparisons
from analysis.tables.digits import decimals, p_text, supported
from analysis.tables.effects import effects_table, levels_table
from analysis.tables.folds import AVERAGE, folds
from analysis.tables.importance import importance_table
from analysis.tables.models import INCUMBENT, models
from analysis.tables.registry import NAMED, TABLES
from analysis.tables.render import FORMATS
from analysis.tables.selection import selection_table
from tests.run_factory import SPLIT_SIZES, Factory
from tune import schema


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


def test_every_table_has_n_and_a_name(picked):
    for name, make in NAMED.items():
        if name not in ("folds",):
            table = make(picked)
            assert {"name", "n"} <= set(table.frame), name
            assert any(note.startswith("n: ") for note in table.notes), name


def test_every_table_writes_every_format_with_headings_of_its_own(picked):
    for name, make in TABLES.items():
        for table in make(picked):
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
    assert any("lucky" in note for note in table.notes)


def test_without_picking_every_training_counts(repeated):
    table = comparisons(repeated)
    assert table.frame["trainings"].tolist() == [5, 5]
    assert not any("lucky" in note for note in table.notes)
    assert table.frame["basis"].tolist() == ["configurations"] * 2


def test_one_training_each_is_compared_as_trained_models(single):
    table = comparisons(single)
    assert set(table.frame["basis"]) == {"models"}
    assert any("these trainings alone" in note for note in table.notes)
    assert len(table.frame) == len(single.completed)
    row = table.frame.iloc[-1]
    first = table.frame.iloc[0]
    assert row["difference"] == pytest.approx(row["accuracy"] - first["accuracy"])


def test_comparisons_are_adjusted_for_every_pair(single):
    frame = comparisons(single).frame.iloc[1:]
    smallest = frame.loc[frame["p_value"].idxmin()]
    assert smallest["p_adjusted"] == pytest.approx(min(1, 66 * smallest["p_value"]))


def test_without_predictions_configurations_are_still_compared_for_these_pictures(repeated):
    for path in (repeated.path / schema.PREDICTIONS_DIR).iterdir():
        path.rename(path.with_suffix(".away"))
    try:
        table = comparisons(read_run(repeated.path))
    finally:
        for path in (repeated.path / schema.PREDICTIONS_DIR).iterdir():
            path.rename(path.with_suffix(".parquet"))
    assert table.frame["verdict"].isin([INCUMBENT, *Verdict]).all()
    assert any("these pictures only" in note for note in table.notes)


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
    assert any("no verdict" in note and "replicates=5" in note for note in table.notes)
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
        assert any("In no mean: 1 diverged, 1 failed." in note for note in table.notes)
    assert "excluded" in levels_table(picked).views[0].shown(frame)
    assert "2 others broke" in next(figures.effects(picked)).caption
    assert any("2 trials would have reached that diverged" in each for each in unknown(picked))


def test_where_no_trial_broke_none_is_told(single):
    table = levels_table(single)
    assert (table.frame["excluded"] == 0).all()
    assert "excluded" not in table.views[0].shown(table.frame)
    assert not any("In no mean" in note for note in table.notes)
    assert not any("diverged, failed" in each for each in unknown(single))


def test_a_level_of_which_no_trial_is_left_is_named(single):
    notes = levels_table(with_lost(single, 5)).notes
    assert "Excluded to the last trial: kernel size = 5." in notes


def test_broken_trials_are_counted_in_the_range_of_a_continuous_hyperparameter(single):
    rates = np.geomspace(1e-4, 1e-1, len(single.trials))
    status = ["COMPLETED"] * 9 + ["DIVERGED"] * 3  # all above the last rate that went well
    info = replace(single.info, searched=("learning_rate", "channels"), searcher="random")
    trials = single.trials.assign(learning_rate=rates, status=status)
    frame = levels_table(replace(single, trials=trials, info=info)).frame
    rows = frame[frame["hyperparameter"] == "learning_rate"]
    assert rows["excluded"].tolist() == [0, 0, 0, 3]
    assert rows["trainings"].sum() == 9


def test_effects_of_an_adaptive_search_are_marked(picked):
    adaptive = replace(picked, info=replace(picked.info, searcher="tpe"))
    for table in (effects_table(adaptive), levels_table(adaptive)):
        assert any("uneven sample" in note for note in table.notes)
    assert not any("uneven sample" in note for note in effects_table(picked).notes)


def test_importance_is_for_sweeps_that_are_no_grid(picked):
    assert list(TABLES["importance"](picked)) == []
    drawn = replace(picked, info=replace(picked.info, searcher="random"))
    assert [table.name for table in TABLES["importance"](drawn)] == ["importance"]
    assert any("too few to believe" in note for note in importance_table(drawn).notes)


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
