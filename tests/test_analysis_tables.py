import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from analysis.hyperparameters import levels
from analysis.run_data import read_run
from analysis.statistics.comparisons import against_incumbent
from analysis.statistics.effects import marginal_means
from analysis.statistics.intervals import wilson
from analysis.tables.by import by_hyperparameter
from analysis.tables.incomplete import incomplete
from analysis.tables.models import models
from analysis.tables.registry import TABLES
from analysis.tables.render import FORMATS
from analysis.tables.replicates import replicates
from tests.run_factory import RUNGS, SPLIT_SIZES, Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete grid whose trials were all trained to the end, two of them three times."""
    factory = Factory(configurations=24, faults=False, early_stopping=False)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "whole"))


def shown(table, view=0):
    return table.views[view].shown(table.frame)


def test_models_stand_in_the_columns_of_the_study(run):
    study = ["kernel", "blocks", "channels", "FCs", "accuracy", "recall", "precision", "F1"]
    headings = list(shown(models(run)).columns)
    assert [heading for heading in headings if heading in study] == study
    assert headings[0] == "name"
    assert headings[-1] == "n"


def test_every_trial_has_a_row_with_its_n(run):
    table = models(run)
    assert sorted(table.frame["trial"]) == sorted(run.trials["number"])
    assert (table.frame["n"] == SPLIT_SIZES["val"]).all()


def test_micro_averages_equal_the_accuracy(run):
    frame = models(run).frame.dropna(subset=["accuracy"])
    for score in ("recall", "precision", "f1"):
        assert np.allclose(frame[f"micro_{score}"], frame["accuracy"])
    assert not np.allclose(frame["macro_f1"], frame["accuracy"], atol=1e-4)


def test_trials_that_lost_their_node_are_told(run):
    lost = run.trials.assign(nodes_lost=[1, 2, *[0] * (len(run.trials) - 2)])
    assert "elsewhere from a checkpoint: 2." in models(replace(run, trials=lost)).notes[2]
    assert not any("elsewhere" in note for note in models(run).notes)


def test_best_and_last_epoch_are_both_told(run):
    frame = models(run).frame.set_index("trial_id")
    trials = run.trials.set_index("trial_id").loc[frame.index]
    assert frame["best_accuracy"].equals(trials["best_val_accuracy"].rename("best_accuracy"))
    assert frame["last_accuracy"].equals(trials["last_val_accuracy"].rename("last_accuracy"))
    assert "accuracy, last epoch" in shown(models(run)).columns


def test_objective_at_last_shows_the_last_accuracy_first(run):
    objective = {**run.info.objective, "at": "last"}
    table = models(replace(run, info=replace(run.info, objective=objective)))
    assert table.frame["accuracy"].equals(table.frame["last_accuracy"].rename("accuracy"))
    assert "accuracy, best epoch" in shown(table).columns


def test_by_counts_every_trial_once(run):
    frame = by_hyperparameter(run, "channels").frame
    assert frame["trials"].sum() == len(run.trials)
    parts = frame[["completed", "early_stopped", "other"]].sum(axis=1)
    assert (parts == frame["trials"]).all()


def test_early_stopped_trials_do_not_enter_the_mean_of_completed_ones(run):
    row = by_hyperparameter(run, "kernel_size").frame.set_index("name").loc["5"]
    completed = run.completed[run.completed["kernel_size"] == 5]
    by_hand = completed.groupby("configuration_id")["best_val_accuracy"].mean().mean()
    assert row["accuracy"] == by_hand
    assert row["best"] == completed["best_val_accuracy"].max()
    assert row["early_stopped"] > 0


def test_levels_are_compared_at_the_common_epoch(run):
    frame = by_hyperparameter(run, "kernel_size").frame
    assert (frame["epoch"] == RUNGS[0]).all()
    assert f"mean at epoch {RUNGS[0]}" in shown(by_hyperparameter(run, "kernel_size")).columns
    assert (frame["accuracy_at_epoch"] < frame["accuracy"]).all()


def test_every_mean_and_best_has_its_interval(whole):
    frame = by_hyperparameter(whole, "kernel_size").frame.set_index("name")
    means = marginal_means(whole)
    means = means[means["hyperparameter"] == "kernel_size"].set_index("level")
    for level, row in frame.iterrows():
        interval = [row["accuracy_low"], row["accuracy_high"]]
        assert interval == pytest.approx(means.loc[level, ["low", "high"]].tolist())
        best = wilson(row["best"], SPLIT_SIZES["val"])
        assert (row["best_low"], row["best_high"]) == pytest.approx(best)
    headings = shown(by_hyperparameter(whole, "kernel_size")).columns
    assert {"mean, completed: 95 % interval", "best, completed: 95 % interval"} <= set(headings)
    # Tied ones and fixed ones have no row among the levels, and their intervals all the same.
    for name in ("fc_layers", "family"):
        assert by_hyperparameter(whole, name).frame["accuracy_low"].notna().all()


def test_the_mean_of_survivors_has_no_interval_and_that_of_all_at_one_epoch_has(run):
    frame = by_hyperparameter(run, "kernel_size").frame
    assert frame["accuracy_low"].isna().all()
    assert (frame["accuracy_at_epoch_low"] < frame["accuracy_at_epoch"]).all()
    assert any("a sample of nothing" in note for note in by_hyperparameter(run, "channels").notes)


def test_replicates_have_no_interval_by_what_they_differ_in(whole):
    frame = by_hyperparameter(whole, "seed").frame
    assert frame["name"].tolist() == ["7", "8", "9"]
    assert frame["accuracy_low"].isna().all()


def test_means_without_replicates_say_what_is_missing(tmp_path):
    factory = Factory(early_stopping=False, faults=False, replicates=1)
    table = by_hyperparameter(read_run(factory.write(tmp_path / "run")), "blocks")
    assert table.frame["accuracy_low"].isna().all()
    assert table.frame["best_low"].notna().all()
    assert any("not known without replicates" in note for note in table.notes)


def test_without_early_stopping_one_mean_is_enough(tmp_path):
    factory = Factory(early_stopping=False, faults=False)
    frame = by_hyperparameter(read_run(factory.write(tmp_path / "run")), "blocks").frame
    assert np.allclose(frame["accuracy"], frame["accuracy_at_epoch"])
    run = read_run(tmp_path / "run")
    assert not any("epoch" in heading for heading in shown(by_hyperparameter(run, "blocks")))


def test_replicates_of_a_finalist_do_not_weigh_more(run):
    repeated = run.completed.groupby("configuration_id")["trial_id"].transform("count") > 1
    assert repeated.any()
    once = run.completed.drop_duplicates("configuration_id")
    row = by_hyperparameter(run, "family").frame.iloc[0]
    assert row["configurations"] == len(once)


def test_a_level_without_completed_trials_has_no_mean(run):
    stopped = run.trials.assign(
        status=run.trials["status"].where(run.trials["blocks"] == 4, "FAILED")
    )
    row = by_hyperparameter(replace(run, trials=stopped), "blocks").frame.set_index("name").loc["2"]
    assert row["completed"] == 0
    assert pd.isna(row["accuracy"])
    assert row["configurations"] == 0


@pytest.mark.parametrize("name", ["blocks", "fc_layers"])
def test_tied_hyperparameters_are_told(run, name):
    assert any(note.startswith("Tied:") for note in by_hyperparameter(run, name).notes)


def test_an_unknown_hyperparameter_is_refused_with_the_nearest(run):
    with pytest.raises(ValueError, match="did you mean kernel_size"):
        by_hyperparameter(run, "kernel")


def test_a_continuous_hyperparameter_is_cut_into_groups_in_order(run):
    rates = np.geomspace(1e-4, 1e-1, len(run.trials))
    run = replace(run, trials=run.trials.assign(learning_rate=rates))
    names = by_hyperparameter(run, "learning_rate").frame["name"].tolist()
    assert len(names) == 4
    assert names[0].startswith("0.0001 to ")
    assert names[-1].endswith(" to 0.1")


def test_levels_are_ordered_as_numbers_and_unused_ones_come_last():
    values = pd.Series([16, pd.NA, 4, 8], dtype="Int64")
    assert list(levels(values).cat.categories) == ["4", "8", "16", "–"]


def test_replicates_show_what_a_seed_does(run):
    frame = replicates(run).frame
    fair = run.completed[run.completed["phase"] == "finalist"]
    first = fair[fair["configuration_id"] == frame["configuration_id"].iloc[0]]
    assert frame["replicates"].tolist() == [2, 2]  # of three, one of which picked the finalist
    assert frame["deviation"].iloc[0] == pytest.approx(first["best_val_accuracy"].std(ddof=1))
    means = against_incumbent(run).means.loc[frame["configuration_id"]]
    for end in ("accuracy_low", "accuracy_high"):
        assert frame[end].tolist() == means[end].tolist()


def test_incomplete_trials_carry_their_reason(run):
    frame = incomplete(run).frame
    assert "COMPLETED" not in set(frame["status"])
    assert frame["reason"].str.len().gt(0).all()
    known = frame[frame["accuracy"].notna()]
    for row in known.to_dict("records"):
        interval = (row["accuracy_low"], row["accuracy_high"])
        assert interval == pytest.approx(wilson(row["accuracy"], SPLIT_SIZES["val"]))
    assert frame["accuracy_low"].notna().sum() == len(known) > 0


def test_tables_that_have_nothing_to_show_are_left_out(tmp_path):
    run = read_run(Factory(early_stopping=False, faults=False, replicates=1).write(tmp_path / "r"))
    assert list(TABLES["incomplete"](run)) == []
    assert list(TABLES["replicates"](run)) == []


def test_csv_keeps_full_precision(run):
    table = models(run)
    read = pd.read_csv(StringIO(FORMATS["csv"](table)))
    assert read["macro_f1"].equals(table.frame["macro_f1"].astype(float))


def test_json_is_a_list_of_rows(run):
    rows = json.loads(FORMATS["json"](models(run)))
    assert {"name", "n", "accuracy", "accuracy_low", "accuracy_high"} <= rows[0].keys()
    assert rows[0]["accuracy_low"] < rows[0]["accuracy"] < rows[0]["accuracy_high"]
    assert rows[-1]["accuracy"] is None
    by = json.loads(FORMATS["json"](by_hyperparameter(run, "kernel_size")))
    assert [row["name"] for row in by] == ["3", "5"]
    assert {"n", "accuracy", "best", "completed"} <= by[0].keys()


def test_latex_is_booktabs_with_escaped_names(run):
    text = FORMATS["latex"](models(run))
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    assert r"B16\_N4\_FC2" in text
    assert r"95 \% interval" in text
    body = text[text.index(r"\begin{table}") :]
    assert "_" not in body.replace(r"\_", "")


def test_markdown_rows_are_of_one_width(run):
    lines = [line for line in FORMATS["md"](models(run)).splitlines() if line.startswith("|")]
    assert len(lines) == 2 * (len(run.trials) + 2)
    assert len({line.count("|") for line in lines}) == 1
    assert "0.6675" not in "".join(lines)


def test_the_same_run_gives_the_same_text(run):
    again = read_run(run.path)
    for name, make in TABLES.items():
        for first, second in zip(make(run), make(again), strict=True):
            assert FORMATS["md"](first) == FORMATS["md"](second), name
