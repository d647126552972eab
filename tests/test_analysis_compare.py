import json
import re
import shutil
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from analysis.__main__ import main
from analysis.compare import compare_runs
from analysis.compare_page import write_comparison
from analysis.comparison import incumbent
from analysis.run_data import read_probabilities, read_run
from tests.run_factory import Factory

OTHER = Factory(configurations=20, learning_rate=0.002)


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
        row = frame[frame["run"] == run.name].iloc[0]
        assert row["accuracy"] == best["best_val_accuracy"]
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
        assert any(best["name"] in sentence for sentence in compared.found)


def test_the_same_pictures_are_compared_by_mcnemar(runs):
    rights = []
    for run in runs:
        answers = read_probabilities(run, incumbent(run)["trial_id"])
        rights.append(answers["label"] == answers["predicted"])
    only = [int((rights[i] & ~rights[1 - i]).sum()) for i in (0, 1)]
    sentence = next(s for s in compare_runs(*runs).found if "McNemar" in s)
    assert f"alone is right on {only[0]} and that of second alone on {only[1]}" in sentence
    assert f"p = {binomtest(only[0], sum(only)).pvalue:.2g}" in sentence
    assert "these two trainings" in sentence


def test_the_same_training_in_both_is_told(runs, tmp_path):
    again = read_run(shutil.copytree(runs[0].path, tmp_path / "again"))
    compared = compare_runs(runs[0], again)
    assert any("same training in both" in sentence for sentence in compared.found)
    assert not any("McNemar" in sentence for sentence in compared.found)


def test_without_predictions_it_says_what_is_not_known(runs, tmp_path):
    bare = OTHER.write(tmp_path / "bare")
    for file in (bare / "predictions").iterdir():
        file.unlink()
    compared = compare_runs(runs[0], read_run(bare))
    assert not any("McNemar" in sentence for sentence in compared.found)
    assert any("left no predictions" in sentence for sentence in compared.unknown)


def test_different_datasets_are_refused_with_the_reason(runs):
    dataset = {**runs[1].provenance["dataset"], "fingerprint": "0" * 64}
    other = replace(runs[1], provenance={"dataset": dataset})
    with pytest.raises(ValueError, match=r"different datasets \(fingerprint ffffffffffff in"):
        compare_runs(runs[0], other)
    with pytest.raises(ValueError, match="does not tell the fingerprint"):
        compare_runs(runs[0], replace(runs[1], provenance={}))
    with pytest.raises(ValueError, match="are the same run"):
        compare_runs(runs[0], runs[0])


def test_the_page_stands_alone(runs, tmp_path):
    page = write_comparison(compare_runs(*runs), tmp_path / "out").read_text("utf-8")
    assert page.count('class="chart"') == 2
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert (tmp_path / "out" / "tables" / "best_of_both.csv").is_file()


def test_the_command_prints_rows_or_writes_a_page(runs, tmp_path, capsys):
    first, second = (str(run.path) for run in runs)
    assert main(["compare", first, second, "--format", "json"]) == 0
    assert {row["run"] for row in json.loads(capsys.readouterr().out)} == {"first", "second"}
    assert main(["compare", first, second, "--out", str(tmp_path / "page")]) == 0
    assert "McNemar" in capsys.readouterr().out
    assert (tmp_path / "page" / "report.html").is_file()
    assert main(["compare", first, first]) == 2
    assert "are the same run" in capsys.readouterr().err
