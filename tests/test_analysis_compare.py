import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from analysis.__main__ import main
from analysis.drawing.style import BLUE, VERMILION
from analysis.run.ledger import progress
from analysis.run.run_data import read_probabilities, read_run
from analysis.run.trials import incumbent
from analysis.runs.compare import compare_runs
from analysis.runs.page import drawings, write_comparison
from analysis.runs.picked import Candidates, picked_difference
from analysis.statistics.estimate import Estimate
from analysis.statistics.trainings import difference
from analysis.statistics.verdicts import Verdict
from analysis.trials.headline import headline
from tests.support.run_factory import Factory, by, under
from tests.support.trainings import trainings_of
from tune.run.directory import predictions_file
from tune.run.tables import read_predictions, write_table

OTHER = Factory(configurations=20, learning_rate=0.002, seed=8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    first = Factory().write(place / "first", place / "data")
    second = OTHER.write(place / "second", None)
    return read_run(first), read_run(second)


def test_both_incumbents_stand_side_by_side_with_intervals(runs):
    compared = compare_runs(*runs)
    frame = compared.best.frame
    assert frame["accuracy"].is_monotonic_decreasing
    for run in runs:
        best = incumbent(run)
        own = frame["configuration_id"] == best["configuration_id"]
        row = frame[own & (frame["run"] == run.name)].iloc[0]
        assert row["accuracy"] == best["best_val_accuracy"]
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
        assert any(best["name"] in sentence for sentence in compared.found)


def test_the_same_pictures_are_compared_by_mcnemar(runs):
    rights = []
    for run in runs:
        answers = read_probabilities(run, incumbent(run)["trial_id"]).set_index("image_id")
        rights.append((answers["label"] == answers["predicted"]).sort_index())
    only = [int((rights[i] & ~rights[1 - i]).sum()) for i in (0, 1)]
    sentence = next(s for s in compare_runs(*runs).found if "McNemar" in s)
    assert f"is right on {only[0]} and only that of second on {only[1]}" in sentence
    # Finalists were trained several times, so the best were not picked as single models.
    counts = [len(run.comparable) for run in runs]
    p = min(1, counts[0] * counts[1] * binomtest(only[0], sum(only)).pvalue)
    assert f"p = {p:.2g}" in sentence
    assert f"picking the best of {counts[0]} and of {counts[1]} models" in sentence
    assert "these two trainings" in sentence


def test_the_same_training_in_both_is_told(runs, tmp_path):
    again = read_run(shutil.copytree(runs[0].path, tmp_path / "again"))
    compared = compare_runs(runs[0], again)
    assert any("is the same training" in sentence for sentence in compared.found)
    assert not any("McNemar" in sentence for sentence in compared.found)


def test_without_predictions_it_says_what_is_not_known(runs, tmp_path):
    bare = OTHER.write(tmp_path / "bare")
    for file in (bare / "predictions").iterdir():
        file.unlink()
    compared = compare_runs(runs[0], read_run(bare))
    assert not any("McNemar" in sentence for sentence in compared.found)
    assert any("has no predictions" in sentence for sentence in compared.unknown)


def test_different_datasets_are_refused_with_the_reason(runs):
    dataset = {**runs[1].provenance["dataset"], "fingerprint": "0" * 64}
    other = replace(runs[1], provenance={"dataset": dataset})
    own = runs[0].provenance["dataset"]["fingerprint"]
    with pytest.raises(ValueError, match=rf"different datasets \(fingerprint {own[:12]} in"):
        compare_runs(runs[0], other)
    with pytest.raises(ValueError, match="does not hold the fingerprint"):
        compare_runs(runs[0], replace(runs[1], provenance={}))
    with pytest.raises(ValueError, match="are the same run"):
        compare_runs(runs[0], runs[0])


def test_the_page_stands_alone(runs, tmp_path):
    page = write_comparison(compare_runs(*runs), tmp_path / "out").read_text("utf-8")
    assert page.count('class="chart"') == 2
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert (tmp_path / "out" / "tables" / "best_of_both.csv").is_file()


@pytest.mark.usefixtures("undrawn")
def test_the_command_prints_rows_or_writes_a_page(runs, tmp_path, capsys):
    first, second = (str(run.path) for run in runs)
    assert main(["compare", first, second, "--format", "json"]) == 0
    assert {row["run"] for row in json.loads(capsys.readouterr().out)} == {"first", "second"}
    assert main(["compare", first, second, "--out", str(tmp_path / "page")]) == 0
    assert "McNemar" in capsys.readouterr().out
    assert (tmp_path / "page" / "report.html").is_file()
    assert main(["compare", first, first]) == 2
    assert "are the same run" in capsys.readouterr().err


def test_every_sentence_tells_the_figures_of_its_own_run(runs):
    first, second = runs
    found = compare_runs(first, second).found
    for run, sentence in zip(runs, found, strict=False):
        accuracy = incumbent(run)["best_val_accuracy"]
        interval = binomtest(round(400 * accuracy), 400).proportion_ci(method="wilson")
        hours = run.trials["device_seconds"].sum() / 3600
        name = incumbent(run)["name"]
        assert sentence == (
            f"The best of {run.name} is {name} with a validation accuracy of "
            f"{100 * accuracy:.1f} % (95 % interval {100 * interval.low:.1f} % to "
            f"{100 * interval.high:.1f} %, n = 400), out of {len(run.trials)} trials in "
            f"{hours:.3g} device-hours."
        )


def test_the_best_configurations_are_compared_over_their_fair_replicates(runs):
    groups, answers, best = {}, {}, []
    for run in runs:
        fair = run.completed[run.completed["phase"] == "finalist"]
        means = fair.groupby("configuration_id")["best_val_accuracy"].mean()
        best.append(means.idxmax())
        for name, own in fair.groupby("configuration_id"):
            groups[name] = own["best_val_accuracy"].tolist()
            answers[name] = [right_of(run, trial) for trial in own["trial_id"]]
    assert [len(values) for values in groups.values()] == [2] * 4
    trainings = trainings_of(groups, np.concatenate([answers[name] for name in groups]))
    estimate = difference(trainings, *best)
    low, high = estimate.interval(2)  # the best of two each
    shown = [f"{100 * each:+.1f}" for each in (estimate.value, low, high)]
    first, second = (
        run.trials.set_index("configuration_id").loc[[name], "name"].iloc[0]
        for run, name in zip(runs, best, strict=True)
    )
    assert next(each for each in compare_runs(*runs).found if "replicates" in each) == (
        f"Over 2 and 2 replicates and the pictures, the best configuration of first ({first}) is "
        "{} percentage points (95 % interval {} to {}) ".format(*shown)
        + f"from that of second ({second}) (t test, p = {min(1, 2 * estimate.p_value):.2g}): no "
        "difference shown. Interval, p and verdict allow for picking the best of 2 and of 2 "
        "configurations."
    )


def test_without_predictions_replicates_are_compared_for_these_pictures_only(runs, tmp_path):
    bare = OTHER.write(tmp_path / "bare")
    for file in (bare / "predictions").iterdir():
        file.unlink()
    told = next(
        each for each in compare_runs(runs[0], read_run(bare)).found if "replicates" in each
    )
    assert told.startswith("Over 2 and 2 replicates, for these pictures only, the best")


def test_the_same_configuration_in_both_is_told(runs, tmp_path):
    again = read_run(shutil.copytree(runs[0].path, tmp_path / "again"))
    told = compare_runs(runs[0], again).found
    assert any("best configuration over replicates is the same in both: " in each for each in told)


def test_the_verdict_is_on_the_margin_of_the_user(runs):
    wide = [replace(run, margin=0.5) for run in runs]
    told = [each for each in compare_runs(*wide).found if "equivalent" in each]
    assert len(told) == 2
    assert all("equivalent within 50 percentage points." in each for each in told)


def test_a_run_without_a_completed_trial_is_told_to_have_none(runs):
    first, second = runs
    stopped = second.trials["status"].replace("COMPLETED", "EARLY_STOPPED")
    open_end = replace(second, trials=second.trials.assign(status=stopped))
    told = compare_runs(first, open_end).found[1]
    assert "(stopped early; no trial was trained to the end)" in told


ESTIMATE = Estimate(value=0.03, standard_error=0.01)


@pytest.mark.parametrize(
    ("counts", "by_compared", "family"),
    [((1, 1), True, 1), ((24, 1), True, 24), ((1, 24), True, 1), ((24, 5), False, 120)],
)
def test_the_picking_of_the_one_that_is_ahead_is_allowed_for(counts, by_compared, family):
    candidates = Candidates(first=counts[0], second=counts[1], by_compared=by_compared)
    found = picked_difference(ESTIMATE, candidates, margin=0.01, pictures=2_400)
    assert found.p_value == pytest.approx(family * ESTIMATE.p_value)
    assert found.verdict == (Verdict.BETTER if family < 19 else Verdict.NOT_SHOWN)
    assert found.low == ESTIMATE.interval(family)[0]
    behind = family if not by_compared else counts[1]
    assert found.high == ESTIMATE.interval(behind)[1]
    # The interval begins above 0 just where the first is shown to be better.
    assert (found.low > 0) == (found.verdict == Verdict.BETTER)


def test_the_other_way_round_the_picking_of_the_second_counts():
    behind = replace(ESTIMATE, value=-0.03)
    few = picked_difference(behind, Candidates(first=24, second=1), margin=0.01, pictures=2_400)
    assert few.verdict == Verdict.WORSE
    many = picked_difference(behind, Candidates(first=1, second=24), margin=0.01, pictures=2_400)
    assert many.verdict == Verdict.NOT_SHOWN


def right_of(run, trial_id):
    answers = read_probabilities(run, trial_id).sort_values("image_id")
    return (answers["label"] == answers["predicted"]).to_numpy()


def test_a_single_replicate_is_none_and_that_is_told(runs):
    first, second = runs
    once = replace(second, trials=second.trials[second.trials["replicate"] == 0])
    compared = compare_runs(first, once)
    assert not any("replicates" in each for each in compared.found)
    assert any("at least two fair replicates of each" in each for each in compared.unknown)
    assert len(compare_runs(first, second).unknown) == 1


def test_other_pictures_are_not_compared(runs, tmp_path):
    other = shutil.copytree(runs[1].path, tmp_path / "other")
    trial_id = incumbent(runs[1])["trial_id"]
    table = read_predictions(other, trial_id)
    names = pa.array([f"x{name}" for name in table["image_id"].to_pylist()])
    write_table(table.set_column(0, "image_id", names), predictions_file(other, trial_id))
    compared = compare_runs(runs[0], read_run(other))
    assert not any("McNemar" in each for each in compared.found)
    assert any("predictions are for different pictures" in each for each in compared.unknown)


def test_runs_of_one_name_are_told_apart_by_their_paths(runs, tmp_path):
    same = read_run(shutil.copytree(runs[1].path, tmp_path / "first"))
    assert compare_runs(runs[0], same).names == (str(runs[0].path), str(same.path))
    assert compare_runs(*runs).names == ("first", "second")


def test_the_best_ten_of_each_stand_by_their_best_trials_and_the_incumbent_by_its_fair_one(runs):
    frame = compare_runs(*runs).best.frame
    assert frame["run"].value_counts().to_dict() == {"first": 10, "second": 10}
    for run in runs:
        own = frame[frame["run"] == run.name].set_index("configuration_id")
        comparable = run.comparable.sort_values(
            ["status", "best_val_accuracy", "number"], ascending=[True, False, True]
        )
        expected = comparable.drop_duplicates("configuration_id").set_index("configuration_id")
        assert sorted(own.index) == sorted(expected.index[:10])
        for name, row in own.iterrows():
            best = incumbent(run)
            trial = best if name == best["configuration_id"] else expected.loc[name]
            assert row["accuracy"] == trial["best_val_accuracy"]
            assert row["last_accuracy"] == trial["last_val_accuracy"]
            assert row["parameters"] == trial["parameters"]
            assert row["name"] == trial["name"]
            every = run.trials[run.trials["configuration_id"] == name]
            assert row["replicates"] == (every["status"] == "COMPLETED").sum()
            assert row["device_seconds"] == every["device_seconds"].sum()


def test_at_last_the_best_are_those_of_the_last_epoch(runs):
    last = [
        replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
        for run in runs
    ]
    compared = compare_runs(*last)
    frame = compared.best.frame
    assert frame["accuracy"].tolist() == frame["last_accuracy"].tolist()
    panel = list(drawings(compared))[-1].chart.panels[0]
    for run, layer in zip(last, panel.layers, strict=True):
        assert layer.y.tolist() == (100 * run.completed["last_val_accuracy"]).tolist()
    for run, sentence in zip(last, compared.found, strict=False):
        accuracy = incumbent(run)["last_val_accuracy"]
        assert f"accuracy of {100 * accuracy:.1f} % (" in sentence


@pytest.mark.usefixtures("undrawn")
def test_the_page_shows_both_runs_with_facts_of_their_own(runs, tmp_path):
    first, second = runs
    second = replace(
        second,
        provenance={**second.provenance, "command": "python -m tune run second.yaml"},
        info=replace(second.info, **by("random"), **under("none")),
    )
    compared = compare_runs(first, second)
    page = write_comparison(compared, tmp_path / "a page").read_text("utf-8")
    fingerprint = first.provenance["dataset"]["fingerprint"]
    for fact in ("second: command</dt><dd>python -m tune run second.yaml",
                 "first: searcher</dt><dd>grid", "second: searcher</dt><dd>random",
                 "first: scheduler</dt><dd>asha", "second: scheduler</dt><dd>none",
                 "first: trials</dt><dd>16", "second: trials</dt><dd>24",
                 f"fingerprint of the dataset</dt><dd>{fingerprint}"):  # fmt: skip
        assert fact in page
    for run in (first, second):
        ((words, accuracy),) = headline(run).items()
        assert f"<b>{accuracy}</b><span>{run.name}: {words}</span>" in page
    assert page.index(compared.found[0]) < page.index("What is not known")


def test_both_sweeps_are_drawn_in_the_same_axes(runs):
    first, second = runs
    best, parameters = drawings(compare_runs(first, second))
    layers = best.chart.panels[0].layers
    assert [(layer.label, layer.colour, layer.dash) for layer in layers] == [
        ("first", BLUE, "-"),
        ("second", VERMILION, "--"),
    ]
    for run, layer in zip(runs, layers, strict=True):
        assert layer.y[-1] == pytest.approx(100 * run.measurements["val_accuracy"].max())
        assert layer.x[-1] == pytest.approx(progress(run)["device_hours"].iloc[-1])
    assert best.chart.panels[0].y.label == "validation accuracy, %"
    panel = parameters.chart.panels[0]
    assert panel.x.log
    for run, layer in zip(runs, panel.layers, strict=True):
        assert layer.x.tolist() == run.completed["parameters"].tolist()
        assert layer.y.tolist() == (100 * run.completed["best_val_accuracy"]).tolist()
        assert layer.texts[0] == f"{run.name}: {run.completed['name'].iloc[0]}"
    assert [layer.marker for layer in panel.layers] == ["o", "s"]


def test_sweeps_with_other_objectives_share_no_progress(runs):
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    loss = replace(runs[1], info=replace(runs[1].info, objective=objective))
    drawn = [one.name for one in drawings(compare_runs(runs[0], loss))]
    assert drawn == ["accuracy_against_parameters_of_both"]


@pytest.mark.usefixtures("undrawn")
def test_the_page_stands_in_the_first_run_by_default(tmp_path, capsys):
    small = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)
    first = small.write(tmp_path / "run a")
    second = replace(small, learning_rate=0.01).write(tmp_path / "run b")
    assert main(["compare", str(first), str(second)]) == 0
    page = first / "compare" / "run b" / "report.html"
    assert page.is_file()
    assert capsys.readouterr().out.endswith(f"wrote {page}\n")


def test_the_difference_of_the_two_best_models_is_the_first_less_the_second(runs):
    first, second = (incumbent(run)["best_val_accuracy"] for run in runs)
    told = next(each for each in compare_runs(*runs).found if "McNemar" in each)
    pattern = r"a difference of (\S+) percentage points \(95 % interval (\S+) to (\S+)\)"
    value, low, high = map(float, re.search(pattern, told).groups())
    assert value == pytest.approx(100 * (first - second), abs=0.051)
    assert value != 0
    assert low < value < high
    assert "On the same 400 pictures, only the best model of first" in told


def test_headings_of_the_best_of_both_stand_over_their_own_columns(runs):
    columns = compare_runs(*runs).best.views[0].columns
    assert [(one.heading, one.key, one.upper_key) for one in columns] == [
        ("run", "run", ""), ("name", "name", ""), ("accuracy", "accuracy", ""),
        ("95 % interval", "accuracy_low", "accuracy_high"),
        ("accuracy, last epoch", "last_accuracy", ""), ("replicates", "replicates", ""),
        ("parameters", "parameters", ""), ("n", "n", ""),
    ]  # fmt: skip
