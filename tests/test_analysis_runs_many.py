"""Several runs compared: one table of all configurations, what differed, and which stand apart."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.__main__ import main
from analysis.comparisons.best_table import best
from analysis.rendering.render import to_markdown
from analysis.run.ledger import progress
from analysis.run.run_data import read_run
from analysis.run.trials import fairly_trained
from analysis.runs.many import _all_runs, best_of_all, compare_many
from analysis.runs.page import _drawings, _page_of_many
from analysis.runs.searchers import _row, searchers_table
from analysis.runs.spec_differences import differences_table
from analysis.runs.table import best_table
from analysis.runs.together import put_together
from fairsweep.errors import UserError
from tests.support.hand_made import hand_made
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
    table = differences_table(runs[:1] * 2, ["first", "again"])
    assert "| setting" in to_markdown(table), "equal runs have a table without rows"


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


@pytest.mark.usefixtures("undrawn")
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


@pytest.fixture
def of_pictures(tmp_path):
    """A function that makes a run of single trainings, all of one name, by how many of 40
    pictures each gets right."""

    def make(name, right, number, *, seconds=3600.0, metric="val_accuracy", **changes):
        path = tmp_path / name
        path.mkdir()
        ids = [f"t{number + place}" for place in range(len(right))]
        accuracy = [count / 40 for count in right]
        facts = zip(ids, accuracy, strict=True)
        rows = [{"trial_id": one, "epoch": 1, "val_accuracy": value} for one, value in facts]
        events = [
            {"event": "measurement", "trial": row["trial_id"], "epoch": 1, "time": 1.0}
            | {"values": {metric: row["val_accuracy"], "seconds": seconds}}
            for row in rows
        ]
        (path / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
        made = hand_made(
            answers={one: np.arange(40) < count for one, count in zip(ids, right, strict=True)},
            path=path,
            **{
                "trial_id": ids,
                "configuration_id": [f"c{one}" for one in ids],
                "name": "net",
                "best_val_accuracy": accuracy,
                "last_val_accuracy": accuracy,
                "n": 40,
                **changes,
            },
        )
        return replace(
            made,
            measurements=pd.DataFrame(rows),
            provenance={"dataset": {"path": "nowhere", "fingerprint": "f"}},
            spec=f"seed: {number}",
        )

    return make


def test_of_several_runs_each_row_names_its_run_and_no_trial(of_pictures):
    runs = [of_pictures("one", [10, 39], 0), of_pictures("two", [20, 5], 2)]
    compared = compare_many([*runs, of_pictures("three", [30, 12], 4)])
    table = compared.best
    columns = table.views[0].columns
    headings = [(column.heading, column.key) for column in columns[:3]]
    assert headings == [("name", "name"), ("run", "run"), ("verdict", "verdict")]
    assert table.frame["run"].tolist() == ["one", "three", "two", "three", "one", "two"]
    # Numbers of trials, which tell equal names apart within a run, would mean nothing.
    assert table.frame["name"].tolist() == ["net"] * 6
    assert table.frame["trial_id"].tolist() == ["t1", "t4", "t2", "t5", "t0", "t3"]
    assert compared.found[-1] == "Of all 6 shown, net (one) is the best."
    for run, sentence in zip(compared.together.runs, compared.found, strict=False):
        assert sentence.startswith(f"The best of {run.name} is net with a validation accuracy of ")
    assert table.notes[-1].startswith("The fair trainings of all runs together")
    page = _page_of_many(compared)
    assert (page.title, page.subtitle.split(": ")[1]) == ("3 runs", "one, two, three")
    assert [(one.id, one.title) for one in page.sections] == [
        ("best_of_all", "Configurations of all runs"), ("cost", "Cost"),
        ("differences", "What differed"),
    ]  # fmt: skip
    assert [words.split(": ")[0] for words in page.tiles] == ["one", "two", "three"]
    assert next(iter(page.tiles)).endswith("as picked on validation: 97.5 %)")
    names = [drawn.drawing.name for drawn in page.figures]
    assert names == ["best_so_far_of_all", "accuracy_against_parameters_of_all"]
    best_so_far, costs = (drawn.drawing.chart.panels[0].layers for drawn in page.figures)
    for layers in (best_so_far, costs):
        assert [layer.label for layer in layers] == ["one", "two", "three"]
        assert len({layer.colour for layer in layers}) == 3
    assert best_so_far[0].y.tolist() == [25, 97.5]
    assert compared.found[:3] == page.found[:3]


def test_a_configuration_that_several_runs_trained_is_one_row_with_each_run_once(of_pictures):
    runs = [
        of_pictures("one", [30, 31], 0, configuration_id=["c", "c"]),
        of_pictures("two", [29, 28, 10, 11], 2, configuration_id=["c", "c", "d", "d"]),
    ]
    frame = best_of_all(put_together(runs)).frame
    told = dict(zip(frame["configuration_id"], frame["run"], strict=True))
    assert told == {"c": "one, two", "d": "two"}
    assert _all_runs(["one, two", "two", "three"]) == "one, two, three"


def test_of_runs_together_a_trial_without_predictions_has_none(of_pictures):
    bare = replace(of_pictures("two", [39, 5], 2), answers={})
    answers = put_together([of_pictures("one", [10, 39], 0), bare]).merged.answers
    assert [answers.get(trial_id) is None for trial_id in ("t0", "t2")] == [False, True]


def test_a_first_run_that_trained_nothing_to_the_end_is_compared_with_none(of_pictures):
    first = of_pictures("one", [10, 39], 0, status="EARLY_STOPPED")
    others = [of_pictures("two", [20], 2), of_pictures("three", [30], 3)]
    with pytest.raises(UserError, match=r"no run can be compared with one \(one: no trial of it"):
        put_together([first, *others])


def test_a_single_training_that_two_runs_have_is_told(of_pictures):
    first, second = of_pictures("one", [10, 39], 0), of_pictures("two", [39, 5], 1)
    together = put_together([first, second])
    assert together.shared == 1
    assert "in several runs count once" in best_of_all(together).notes[-1]


def test_finalists_of_one_run_do_not_push_out_what_another_run_trained(of_pictures):
    first = of_pictures("one", [30, 31], 0, configuration_id=["c", "c"], phase="finalist")
    other = of_pictures("two", [29, 28], 2, configuration_id=["d", "d"])
    assert set(best_of_all(put_together([first, other])).frame["configuration_id"]) == {"c", "d"}


def test_searchers_are_compared_by_one_objective_and_one_kind_of_cost(of_pictures):
    by_random = {"info": {"searcher": "random"}}
    runs = [of_pictures("one", [10], 0), of_pictures("two", [30], 1)]
    runs.append(of_pictures("three", [25], 2, **by_random))
    alike = of_pictures("four", [20], 3, **by_random)
    frame = searchers_table([*runs, alike]).frame
    assert frame["runs"].tolist() == [2, 2]
    assert frame["searcher"].tolist() == ["random with none", "grid with none"], "by their means"
    sections = ["Configurations of all runs", "Searchers", "What differed"]
    assert [*compare_many([*runs, alike]).tables] == sections
    columns = compare_many([*runs, alike]).searchers.views[0].columns
    assert {one.upper_key: one.key for one in columns if one.upper_key} == {
        "value_high": "value_low", "difference_high": "difference_low",
    }  # fmt: skip
    apart = of_pictures("apart", [40], 4, **by_random)
    apart = replace(apart, provenance={"dataset": {"path": "nowhere", "fingerprint": "another"}})
    assert compare_many([*runs, alike, apart]).searchers.frame["runs"].tolist() == [2, 2]
    assert searchers_table([*runs, of_pictures("five", [20], 3, at="last", **by_random)]) is None
    assert searchers_table([*runs, of_pictures("six", [20], 3, seconds=None, **by_random)]) is None
    # It had found nothing when it had spent what the others have.
    assert searchers_table([*runs, of_pictures("seven", [20], 3, seconds=9e9, **by_random)]) is None


def test_several_that_cannot_be_told_from_the_best_are_counted_with_their_runs(of_pictures):
    runs = [of_pictures("one", [10, 30], 0), of_pictures("two", [31, 5], 2)]
    compared = compare_many([*runs, of_pictures("three", [4, 3], 4)])
    assert compared.found[-1] == (
        "Of all 6 shown, 2 cannot be told from the best, net (two) first. They are of two, one."
    )


def test_runs_that_can_be_put_together_but_not_compared_say_why(of_pictures):
    runs = [of_pictures("one", [30], 0), of_pictures("two", [30], 2, trial_id=["t0"])]
    compared = compare_many([replace(run, answers={}) for run in runs])
    assert compared.best is None
    assert list(compared.tables) == ["What differed"]
    (why,) = compared.unknown
    assert why.startswith("Which configurations cannot be told from the best: ")
    assert len(compared.found) == 2


STYLES = [SimpleNamespace(colour=colour, dash="-", marker="o") for colour in ("red", "blue")]


def test_progress_of_runs_is_drawn_in_one_unit_and_parameters_only_if_all_have_them(of_pictures):
    def drawn(*runs):
        return list(_drawings(runs, ["a", "b"], STYLES, "both"))

    timed, other = of_pictures("one", [10, 30], 0), of_pictures("two", [20], 2)
    progressed, costs = drawn(timed, other)
    assert progressed.chart.panels[0].x.label == "device-hours spent"
    assert "against the device-hours spent" in progressed.caption
    assert [layer.x.tolist() for layer in progressed.chart.panels[0].layers] == [[1, 2], [1]]
    assert costs.chart.panels[0].layers[0].texts == ("a: net", "a: net")
    untimed = [of_pictures(name, [20], 4, seconds=None) for name in ("three", "four")]
    progressed, _ = drawn(*untimed)
    assert progressed.chart.panels[0].x.label == "epochs trained, all trials"
    assert progressed.caption.endswith("against the epochs trained.")
    (only,) = drawn(timed, untimed[0])
    assert only.name == "accuracy_against_parameters_of_both"
    unknown = of_pictures("five", [20], 6, parameters=pd.array([None], "Int64"))
    (only,) = drawn(timed, unknown)
    assert only.name == "best_so_far_of_both"
    unmeasured = of_pictures("six", [20], 6, metric="other")
    (only,) = drawn(timed, unmeasured)
    assert only.name == "accuracy_against_parameters_of_both"


def test_the_best_of_both_has_the_incumbent_by_its_fair_training_though_another_was_luckier():
    values = [0.9, 0.8, 0.85, 0.6, 0.7, 0.5, 0.55]
    first = hand_made(
        best_val_accuracy=values,
        last_val_accuracy=[value - 0.1 for value in values],
        configuration_id=list("abcaabb"),
        name=[f"net {name}" for name in "abcaabb"],
        phase=["search"] * 3 + ["finalist"] * 4,
    )
    second = hand_made(
        best_val_accuracy=[0.75, 0.95],
        status=["EARLY_STOPPED", "FAILED"],
        configuration_id=["d", "e"],
        name=["net d", "net e"],
    )
    frame = best_table(first, second, ("one", "two")).frame
    assert frame["name"].tolist() == ["net c", "net b", "net d", "net a"]
    assert frame["accuracy"].tolist() == [0.85, 0.8, 0.75, 0.7]
    assert frame["last_accuracy"].tolist()[3] == pytest.approx(0.6)
    assert frame["run"].tolist() == ["one", "one", "two", "one"]
    assert frame["replicates"].tolist() == [1, 3, 0, 3]
    turned = [
        hand_made("rmse", mode="min", best_rmse=values, last_rmse=values)
        for values in ([2.0, 3.0], [1.0, 2.5])
    ]
    frame = best_table(*turned, ("one", "two")).frame
    assert frame["accuracy"].tolist() == [1.0, 2.0, 2.5, 3.0]
    assert frame["accuracy_low"].isna().all()
