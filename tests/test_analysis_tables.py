import json
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons.replicates_table import replicates
from analysis.comparisons.statistics import against_incumbent
from analysis.curves.incomplete_table import incomplete
from analysis.effects.by_table import by_hyperparameter
from analysis.effects.statistics import marginal_means
from analysis.rendering.render import FORMATS, to_json, to_latex, to_markdown
from analysis.rendering.table import Column, Table, View
from analysis.report.tables import TABLES
from analysis.run.hyperparameters import levels
from analysis.run.run_data import read_run
from analysis.statistics.intervals import wilson
from analysis.trials.table import models
from tests.support.discs import SPLIT_SIZES
from tests.support.run_factory import RUNGS, Factory


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


def with_own_micro(run):
    """Return the run with micro averages that differ from the accuracy, so that both are shown."""
    own = run.trials["best_val_micro_f1"] - 0.01
    return replace(run, trials=run.trials.assign(best_val_micro_f1=own))


def test_micro_averages_equal_the_accuracy(run):
    frame = models(run).frame.dropna(subset=["accuracy"])
    for score in ("recall", "precision", "f1"):
        assert np.allclose(frame[f"micro_{score}"], frame["accuracy"])
    assert not np.allclose(frame["macro_f1"], frame["accuracy"], atol=1e-4)


def test_trials_that_lost_their_node_are_told(run):
    lost = run.trials.assign(nodes_lost=[1, 2, *[0] * (len(run.trials) - 2)])
    told = " ".join(models(replace(run, trials=lost)).notes)
    assert "on another node after theirs died: 2." in told
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
    assert row["accuracy"] == pytest.approx(by_hand)
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
    assert any(
        "do not represent a population" in note for note in by_hyperparameter(run, "channels").notes
    )


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
    table = by_hyperparameter(replace(run, trials=stopped), "blocks")
    row = table.frame.set_index("name").loc["2"]
    assert pd.isna(row["accuracy_at_epoch_low"])
    assert not any("not known without replicates" in note for note in table.notes)
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
    text = FORMATS["latex"](models(with_own_micro(run)))
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    assert r"B16\_N4\_FC2" in text
    assert r"95 \% interval" in text
    body = text[text.index(r"\begin{table}") :]
    assert "_" not in body.replace(r"\_", "")


def test_markdown_rows_are_of_one_width(run):
    text = FORMATS["md"](models(with_own_micro(run)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 * (len(run.trials) + 2)
    assert len({line.count("|") for line in lines}) == 1
    assert "0.6675" not in "".join(lines)


def test_the_same_run_gives_the_same_text(tmp_path):
    path = Factory(configurations=4, replicates=2).write(tmp_path / "run")
    run, again = read_run(path), read_run(path)
    for name, make in TABLES.items():
        for first, second in zip(make(run), make(again), strict=True):
            assert FORMATS["md"](first) == FORMATS["md"](second), name


def as_last(run):
    """The run with its objective at the last epoch."""
    return replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))


@pytest.mark.parametrize("at", ["best", "last"])
def test_every_column_of_a_model_is_its_own(run, at):
    run = as_last(run) if at == "last" else run
    frame = models(run).frame.set_index("trial_id")
    trials = run.trials.set_index("trial_id").loc[frame.index]
    sources = {
        "accuracy": f"{at}_val_accuracy",
        **{
            f"{average}_{score}": f"{at}_val_{average}_{score}"
            for average in ("macro", "micro")
            for score in ("recall", "precision", "f1")
        },
        "best_accuracy": "best_val_accuracy",
        "last_accuracy": "last_val_accuracy",
        "trial": "number",
    }
    same = ["name", "kernel_size", "seed", "best_epoch", "epochs_trained", "status", "reason"]
    same += ["phase", "replicate", "parameters", "seconds", "device_seconds", "configuration_id"]
    for column, source in {**sources, **dict(zip(same, same, strict=True))}.items():
        assert frame[column].equals(trials[source].rename(column)), column
    assert "fold" not in frame
    for row in frame.dropna(subset=["accuracy"]).to_dict("records"):
        interval = wilson(row["accuracy"], SPLIT_SIZES["val"])
        assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(interval)


def test_models_stand_completed_first_and_best_first(run):
    frame = models(run).frame
    statuses = ["COMPLETED"] * 10 + ["EARLY_STOPPED"] * 4 + ["DIVERGED", "FAILED"]
    assert frame["status"].tolist() == statuses
    assert frame["accuracy"].head(10).is_monotonic_decreasing
    assert frame["accuracy"][10:14].is_monotonic_decreasing


def test_the_views_of_the_models_show_what_their_headings_say(run):
    table = models(with_own_micro(run))
    assert not any("micro" in note for note in table.notes)
    for view, average in zip(table.views, ("macro", "micro"), strict=True):
        assert view.title == f"All models, {average} averages"
        keys = {column.heading: column.key for column in view.columns}
        assert keys["recall"] == f"{average}_recall"
        assert keys["precision"] == f"{average}_precision"
        assert keys["F1"] == f"{average}_f1"
        assert keys["FCs"] == "fc_layers"
        assert keys["convolution depth"] == "conv_depth"
        assert "replicate" in keys
    row = shown(models(run)).iloc[10]
    assert row["status"] == "stopped early"
    first = models(run).frame.iloc[0]
    low, high = f"{first['accuracy_low']:.3f}", f"{first['accuracy_high']:.3f}"
    assert shown(models(run)).iloc[0]["95 % interval"] == f"{low} to {high}"


def test_micro_averages_that_repeat_the_accuracy_are_a_sentence_and_no_table(run):
    table = models(run)
    assert [view.title for view in table.views] == ["All models, macro averages"]
    assert "micro averages of recall, precision and F1 all equal the accuracy" in table.notes[-1]
    assert {"micro_recall", "micro_precision", "micro_f1"} <= set(table.frame)


def test_notes_of_the_models_count_trials_and_name_the_epoch(run):
    notes = models(run).notes
    assert "Trials: 16, of which 10 completed." in notes
    assert "Accuracy, recall, precision and F1 at the epoch with the best objective." in notes
    assert any("a little too high" in note for note in notes)
    notes = models(as_last(run)).notes
    assert "Accuracy, recall, precision and F1 at the last epoch." in notes
    assert not any("a little too high" in note for note in notes)


def test_the_levels_of_a_hyperparameter_count_their_own_trials(run):
    frame = by_hyperparameter(run, "channels").frame.set_index("name")
    assert frame.index.tolist() == ["8", "16"]
    for level, row in frame.iterrows():
        trials = run.trials[run.trials["channels"] == int(level)]
        counts = trials["status"].value_counts()
        assert row["trials"] == len(trials)
        assert row["completed"] == counts["COMPLETED"]
        assert row["early_stopped"] == counts["EARLY_STOPPED"]
        assert row["other"] == len(trials) - counts["COMPLETED"] - counts["EARLY_STOPPED"]
        completed = trials[trials["status"] == "COMPLETED"]
        assert row["configurations"] == completed["configuration_id"].nunique()
        early = run.measurements[run.measurements["epoch"] <= RUNGS[0]]
        comparable = trials[trials["status"].isin(["COMPLETED", "EARLY_STOPPED"])]
        best = early.groupby("trial_id")["val_accuracy"].max()[comparable["trial_id"]]
        assert row["best_at_epoch"] == best.max()
        of = comparable.set_index("trial_id")["configuration_id"]
        assert row["accuracy_at_epoch"] == pytest.approx(best.groupby(of).mean().mean())
        assert row["n"] == SPLIT_SIZES["val"]
    last = by_hyperparameter(as_last(run), "channels").frame.set_index("name")
    completed = run.completed[run.completed["channels"] == 16]
    assert last.loc["16", "best"] == completed["last_val_accuracy"].max()


def test_a_part_of_the_space_without_a_hyperparameter_is_told(run):
    some = run.trials["channels"].where(run.trials["blocks"] == 4)
    table = by_hyperparameter(replace(run, trials=run.trials.assign(channels=some)), "channels")
    assert table.frame["name"].tolist() == ["8", "16", "–"]
    assert "–: trials in a part of the space without channels." in table.notes
    notes = by_hyperparameter(run, "blocks").notes
    assert any(note.startswith("Tied: blocks and FC layers change together") for note in notes)


def test_incomplete_trials_stand_in_order_with_figures_of_their_own(run):
    frame = incomplete(run).frame
    assert frame["status"].tolist() == ["EARLY_STOPPED"] * 4 + ["DIVERGED", "FAILED"]
    assert frame["accuracy"].head(4).is_monotonic_decreasing
    trials = run.trials.set_index("trial_id").loc[frame["trial_id"]]
    pairs = {"trial": "number", "accuracy": "best_val_accuracy", "epochs_trained": "epochs_trained"}
    for column, source in {**pairs, "reason": "reason", "name": "name", "n": "n"}.items():
        assert (
            frame[column]
            .astype(object)
            .equals(trials[source].astype(object).set_axis(frame.index).rename(column))
        ), column
    last = incomplete(as_last(run)).frame.set_index("trial_id")["accuracy"]
    expected = run.trials.set_index("trial_id")["last_val_accuracy"]
    assert last.equals(expected[last.index].rename("accuracy"))
    assert shown(incomplete(run))["status"].tolist()[3:] == ["stopped early", "diverged", "failed"]


def test_replicates_stand_by_their_mean_with_their_extremes(whole):
    frame = replicates(whole).frame
    finalists = whole.completed[whole.completed["phase"] == "finalist"]
    groups = finalists.groupby("configuration_id")["best_val_accuracy"]
    expected = groups.agg(["mean", "min", "max", "count"]).sort_values("mean", ascending=False)
    assert frame["configuration_id"].tolist() == expected.index.tolist()
    for ours, theirs in (("accuracy", "mean"), ("lowest", "min"), ("highest", "max")):
        assert frame[ours].tolist() == pytest.approx(expected[theirs].tolist())
    assert frame["replicates"].tolist() == expected["count"].tolist() == [2, 2]
    assert (frame["n"] == SPLIT_SIZES["val"]).all()
    assert any("favours lucky" in note for note in replicates(whole).notes)
    assert any("other pictures." in note for note in replicates(whole).notes)


def test_a_cell_that_reads_from_one_figure_to_another_is_missing_where_the_lower_is():
    frame = pd.DataFrame({"low": [0.12345, np.nan], "high": [0.5, 0.6], "count": [3, 4]})
    column = Column(key="low", upper_key="high", heading="x")
    assert column.cells(frame) == ["0.123 to 0.500", "–"]
    assert Column(key="count", heading="n").cells(frame) == ["3", "4"]
    view = View(title="t", columns=(column, Column(key="count", heading="n")))
    assert view.shown(frame).to_dict("list") == {"x": ["0.123 to 0.500", "–"], "n": ["3", "4"]}


def test_a_bar_or_a_line_break_in_a_cell_does_not_end_it():
    frame = pd.DataFrame({"reason": ["sad|bored\nin line 3"], "n": [5]})
    columns = (Column(key="reason", heading="rea|son"), Column(key="n", heading="n"))
    table = Table(name="t", frame=frame, views=(View(title="t", columns=columns),), notes=())
    head, _, row = to_markdown(table).splitlines()[2:5]
    assert [cell.strip() for cell in re.split(r"(?<!\\)\|", head)[1:-1]] == [r"rea\|son", "n"]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert cells == [r"sad\|bored in line 3", "5"]
    assert r"sad|bored in line 3 & 5 \\" in to_latex(table)
    assert json.loads(to_json(table))[0]["reason"] == "sad|bored\nin line 3"


def test_numbers_and_names_that_look_like_numbers_keep_their_digits_in_markdown():
    frame = pd.DataFrame({"name": ["007", "1e5"], "accuracy": [0.5, 0.25]})
    columns = (Column(key="name", heading="name"), Column(key="accuracy", heading="accuracy"))
    table = Table(name="t", frame=frame, views=(View(title="t", columns=columns),), notes=())
    rows = [line.split("|")[1:-1] for line in to_markdown(table).splitlines()[4:6]]
    assert [[cell.strip() for cell in row] for row in rows] == [["007", "0.500"], ["1e5", "0.250"]]


@pytest.mark.parametrize("write", [to_markdown, to_latex])
def test_two_columns_with_one_heading_are_both_shown(write):
    frame = pd.DataFrame({"first": ["a"], "second": ["b"]})
    columns = (Column(key="first", heading="n"), Column(key="second", heading="n"))
    table = Table(name="t", frame=frame, views=(View(title="t", columns=columns),), notes=())
    assert {"a", "b"} < set(write(table).split())


def test_numbers_stand_to_the_right_and_words_to_the_left():
    frame = pd.DataFrame({"name": ["a|b_c", "d"], "accuracy": [0.5, np.nan]})
    columns = (Column(key="name", heading="the name"), Column(key="accuracy", heading="accuracy"))
    table = Table(
        name="my_table", frame=frame, notes=("One.", "Two."),
        views=(View(title="First & 2", columns=columns), View(title="Second", columns=columns)),
    )  # fmt: skip
    lines = to_markdown(table).splitlines()
    assert lines[0] == "**First & 2**"
    assert lines[3].startswith("|:--")
    assert lines[3].endswith("-:|")
    assert lines[-1] == "One. Two."
    latex = to_latex(table)
    assert latex.startswith("% One.\n% Two.\n")
    assert r"\begin{tabular}{lr}" in latex
    assert r"\label{tab:my-table}" in latex
    assert r"\label{tab:my-table-2}" in latex
    assert r"\caption{First \& 2}" in latex
    assert r"a|b\_c & 0.500 \\" in latex
    assert r"d & -- \\" in latex
    assert FORMATS["csv"](table) == "name,accuracy\na|b_c,0.5\nd,\n"
    assert json.loads(FORMATS["json"](table))[1] == {"name": "d", "accuracy": None}


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("50 % & 3 $ # _ {x}", r"50 \% \& 3 \$ \# \_ \{x\}"),
        ("a~b^c", r"a\textasciitilde{}b\textasciicircum{}c"),
        ("a\\b–c", r"a\textbackslash{}b--c"),
    ],
)
def test_latex_takes_every_character(text, latex):
    table = Table(
        name="t", notes=(), frame=pd.DataFrame({"a": [text]}),
        views=(View(title="t", columns=(Column(key="a", heading="a"),)),),
    )  # fmt: skip
    assert f"\n{latex} \\\\\n" in to_latex(table)


def test_latex_takes_every_character_and_every_line_break_in_headings_too():
    table = Table(
        name="t", notes=(), frame=pd.DataFrame({"a": ["one\r\ntwo"]}),
        views=(View(title="t", columns=(Column(key="a", heading="fc_width & %"),)),),
    )  # fmt: skip
    assert "\\toprule\nfc\\_width \\& \\% \\\\\n\\midrule\none two \\\\\n" in to_latex(table)


def test_json_keeps_fifteen_digits_and_letters_as_they_are():
    frame = pd.DataFrame({"name": ["Müller"], "x": [0.123456789012345]})
    text = FORMATS["json"](Table(name="t", frame=frame, views=(), notes=()))
    assert '"Müller"' in text
    assert "0.123456789012345" in text
    assert text.endswith("]\n")


def test_each_searched_hyperparameter_has_a_table_of_the_report(run):
    names = [table.name for table in TABLES["by"](run)]
    assert names == [f"by_{name}" for name in run.info.searched]
