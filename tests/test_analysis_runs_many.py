"""Several runs compared: one table of all configurations, what differed, and which stand apart."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.__main__ import main
from analysis.comparisons.best_table import best
from analysis.run.ledger import progress
from analysis.run.run_data import read_run
from analysis.run.trials import fairly_trained
from analysis.runs.many import best_of_all, compare_many
from analysis.runs.searchers import _row, searchers_table
from analysis.runs.spec_differences import differences_table
from analysis.runs.together import put_together
from fairsweep.errors import UserError
from tests.support.run_factory import Factory

FACTORIES = {
    "first": Factory(),
    "second": Factory(configurations=20, learning_rate=0.002, seed=8),
    "third": Factory(configurations=4, learning_rate=0.003, seed=9),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def paths(place):
    first, *others = FACTORIES
    written = [FACTORIES[first].write(place / first, place / "data")]
    return [*written, *(FACTORIES[name].write(place / name, None) for name in others)]


@pytest.fixture(scope="module")
def runs(paths):
    return [read_run(path) for path in paths]


@pytest.fixture
def copy_of(place, tmp_path):
    """A function that copies the first run under another name, with other facts."""

    def copied(name, **dataset):
        shutil.copytree(place / "first", tmp_path / name)
        file = tmp_path / name / "provenance.json"
        known = json.loads(file.read_text())
        known["dataset"] |= dataset
        file.write_text(json.dumps(known))
        return read_run(tmp_path / name)

    return copied


def test_the_fair_trainings_of_all_runs_are_in_one_table(runs):
    table = best_of_all(put_together(runs))
    expected = {
        (run.name, name, configuration)
        for run in runs
        for name, configuration in fairly_trained(run)[["name", "configuration_id"]].itertuples(
            index=False
        )
    }
    frame = table.frame
    assert set(zip(frame["run"], frame["name"], frame["configuration_id"], strict=True)) == expected
    for run in runs:
        means = best(run).frame.set_index("configuration_id")["accuracy"]
        own = frame[frame["run"] == run.name].set_index("configuration_id")["accuracy"]
        pd.testing.assert_series_equal(own.sort_index(), means.sort_index())
    assert frame["difference"].max() == pytest.approx(
        frame["accuracy"].nlargest(2).diff().abs().iloc[-1]
    )


def test_all_are_compared_with_the_best_of_all_runs(runs):
    apart = {run.name: set(best(run).frame["verdict"]) for run in runs}
    together = best_of_all(put_together(runs)).frame
    assert (together["difference"] >= 0).sum() == 1
    assert len(together) > max(len(best(run).frame) for run in runs)
    assert apart.keys() == set(together["run"])


def test_a_training_that_two_runs_have_counts_once(runs, copy_of):
    together = put_together([runs[0], copy_of("copied"), runs[1]])
    assert together.shared == len(fairly_trained(runs[0]))
    alone = put_together(runs[:2])
    pd.testing.assert_frame_equal(
        best_of_all(together).frame.drop(columns="run"),
        best_of_all(alone).frame.drop(columns="run"),
    )
    assert "first, copied" in set(best_of_all(together).frame["run"])
    assert (
        f"{together.shared} trainings that are in several runs" in best_of_all(together).notes[-1]
    )


def test_one_configuration_trained_for_other_numbers_of_epochs_is_two(runs, copy_of):
    longer = copy_of("longer")
    trials = longer.trials.assign(
        trial_id=longer.trials["trial_id"] + "x", epochs_trained=longer.trials["epochs_trained"] + 5
    )
    vars(longer)["trials"] = trials
    merged = put_together([runs[0], longer]).merged.trials
    assert (
        merged["configuration_id"].nunique()
        == 2 * fairly_trained(runs[0])["configuration_id"].nunique()
    )
    assert merged["name"].str.contains(r"\(\d+ epochs\)").all()


def test_a_run_on_another_dataset_stands_apart_with_the_reason(runs, copy_of):
    other = copy_of("other", fingerprint="ab" * 32)
    unknown = copy_of("unknown", fingerprint="")
    compared = compare_many([*runs, other, unknown])
    assert compared.together.names == ("first", "second", "third")
    assert "How other compares: another dataset (fingerprint abababababab, not " in (
        " ".join(compared.unknown)
    )
    assert "How unknown compares: the fingerprint of its dataset is not known." in compared.unknown
    with pytest.raises(UserError, match=r"no run can be compared with first .*another dataset"):
        compare_many([runs[0], other, unknown])


def test_a_run_given_twice_is_refused(runs):
    with pytest.raises(UserError, match="is given 2 times; give each run once"):
        compare_many([runs[0], runs[1], runs[0]])


def test_what_differed_is_listed_and_what_did_not_is_not(runs):
    frame = differences_table(runs, ["first", "second", "third"]).frame.set_index("setting")
    assert list(frame.loc["fixed.learning_rate"]) == ["0.001", "0.002", "0.003"]
    assert "fixed.family" not in frame.index
    assert "name" not in frame.index


@pytest.fixture
def searched(runs, copy_of):
    """Two runs of grid search and two of random search."""
    four = [*runs, copy_of("fourth")]
    names = ("grid", "grid", "random", "random")
    return [
        replace(run, info=replace(run.info, searcher=name))
        for run, name in zip(four, names, strict=True)
    ]


def best_within(run, cost):
    known = progress(run)
    return known[known["device_hours"] <= cost]["value"].max()


def test_searchers_are_compared_at_the_cost_that_every_run_has_spent(searched):
    table = searchers_table(searched)
    cost = min(progress(run)["device_hours"].max() for run in searched)
    values = [best_within(run, cost) for run in searched]
    frame = table.frame.set_index("searcher")
    scheduler = searched[0].info.scheduler
    for name, own in (("grid", values[:2]), ("random", values[2:])):
        row = frame.loc[f"{name} with {scheduler}"]
        assert row["value"] == pytest.approx(np.mean(own))
        assert row["runs"] == 2
    assert frame["value"].is_monotonic_decreasing
    assert frame["difference"].iloc[0] == 0
    assert f"had spent {cost:.3g} device-hours" in table.notes[0]
    shown = table.views[0].shown(table.frame).iloc[0]
    low, high = (float(table.frame[end].iloc[0]) for end in ("value_low", "value_high"))
    assert shown["95 % interval"] == f"{low:.3f} to {high:.3f}"
    assert shown["95 % interval of the difference"] == "–"


def test_one_run_of_a_searcher_tells_nothing(searched):
    assert searchers_table(searched[:3]) is None
    assert "Searchers" not in compare_many(searched[:3]).tables
    assert "Searchers" in compare_many(searched).tables


def test_the_difference_of_searchers_has_the_error_of_both():
    better, other = pd.Series([0.70, 0.72, 0.74]), pd.Series([0.60, 0.66])
    row = _row("random", other, better)
    errors = np.array([0.02**2 / 3, 0.0018 / 2])  # Squared errors of both means.
    df = errors.sum() ** 2 / (errors**2 / [2, 1]).sum()
    reach = stats.t.isf(0.025, df) * np.sqrt(errors.sum())
    assert row["difference"] == pytest.approx(-0.09)
    assert row["difference_low"] == pytest.approx(-0.09 - reach)
    assert row["difference_high"] == pytest.approx(-0.09 + reach)
    assert row["value_high"] - row["value"] == pytest.approx(0.03 * stats.t.isf(0.025, 1))


def test_the_command_prints_sentences_and_writes_a_page(paths, tmp_path, capsys):
    assert main(["compare", *map(str, paths), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "The best of third is " in said
    assert "cannot be told from the best" in said or "is the best." in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Configurations of all runs" in page
    assert "What differed" in page
    assert {file.stem for file in (tmp_path / "out" / "tables").glob("*.csv")} == {
        "best_of_all", "differences",
    }  # fmt: skip
    assert main(["compare", *map(str, paths), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].count(",") > 5
