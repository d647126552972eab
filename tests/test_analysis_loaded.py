"""Runs in Python: stable names, data frames with notes, figures that show in a notebook."""

import json
import subprocess
import sys
import typing
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import analysis
from analysis.loaded import FigureName, Run, TableName
from analysis.report.figures import FIGURES
from analysis.report.tables import NAMED, TABLES
from analysis.statistics.estimate import NotKnownError
from fairsweep.errors import UserError
from tests.support.hand_made import hand_made
from tests.support.run_factory import CLASSES, Factory

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    Factory().write(place / "small", place / "data")
    return analysis.load(str(place / "small"))


def test_every_table_and_figure_of_the_report_has_a_name():
    assert set(typing.get_args(FigureName)) == set(FIGURES)
    others = {"by", "bias", "dataset", "copies"}
    assert set(typing.get_args(TableName)) == {*NAMED, *TABLES} - others


def test_trials_and_measurements_are_the_tables_of_the_run(run):
    written = pd.read_parquet(run.path / "trials.parquet")
    assert set(run.trials["trial_id"]) == set(written["trial_id"])
    assert len(run.measurements) == len(pd.read_parquet(run.path / "measurements.parquet"))
    assert repr(run).startswith(f"<run small: {len(written)} trials, ")
    assert set(written["status"]) > {"COMPLETED"}
    mine = run.trials
    mine["status"] = "changed"
    assert "changed" not in set(run.trials["status"])


def test_a_run_is_loaded_with_the_dataset_and_the_margin_that_are_given(run):
    moved = analysis.load(run.path, data="moved", margin=0.5)
    assert (moved._data.data, moved._data.margin) == (Path("moved"), 0.5)
    assert (run._data.data, run._data.margin) == (None, 0.01)


def test_a_table_carries_its_title_and_notes(run):
    frame = run.table("comparisons")
    assert {"name", "difference", "verdict"} <= set(frame)
    assert frame.attrs["title"] == "The others against the incumbent, as configurations"
    assert any("Holm" in note or "pairs" in note for note in frame.attrs["notes"])
    assert run.by("kernel_size")["name"].tolist() == ["3", "5"]
    assert run.table("replicates")["replicates"].min() > 1


def test_predictions_of_a_trial_are_found_by_number_id_or_name(run):
    row = run.trials.iloc[0]
    by_number = run.predictions(int(row["number"]))
    assert by_number.equals(run.predictions(row["trial_id"]))
    written = pd.read_parquet(run.path.parent / "data" / "images.parquet")
    labels = written.set_index("image_id")["label"].loc[by_number["image_id"]]
    assert by_number["label"].tolist() == labels.tolist()
    assert set(labels) == set(CLASSES)
    right = (by_number["label"] == by_number["predicted"]).mean()
    assert right == pytest.approx(row["best_val_accuracy"])
    with pytest.raises(NotKnownError, match="no predictions on test"):
        run.predictions(0, split="test")
    with pytest.raises(UserError, match="no trial 99"):
        run.predictions(99)
    shared = run.table("replicates")["name"].iloc[0]
    with pytest.raises(UserError, match=f"3 trials {shared}; give a number"):
        run.predictions(shared)


def test_a_figure_is_drawn_and_shows_in_a_notebook(run):
    figure = run.figure("effects")
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    first, *others = (drawn.get_label() for drawn in run.figures("pairs"))
    assert others
    assert first not in others
    assert run.figure("pairs").get_label() == first
    with pytest.raises(NotKnownError, match="does not apply"):
        run.figure("folds")


def test_what_does_not_apply_to_a_run_says_so_and_a_figure_carries_its_title():
    run = Run(hand_made(best_val_accuracy=[0.5, 0.4], parameters=[5, 6]))
    with pytest.raises(NotKnownError, match="the table incomplete does not apply to nowhere"):
        run.table("incomplete")
    assert repr(run) == "<run nowhere: 2 trials, max val_accuracy at the best epoch>"
    assert run.figure("cost").get_label() == "Accuracy against cost"
    assert run.figures("folds") == []
    mine = run.measurements
    mine["mine"] = 9
    assert "mine" not in run.measurements


def test_an_unknown_name_is_answered_with_the_nearest(run):
    with pytest.raises(UserError, match="did you mean models"):
        run.table("model")
    with pytest.raises(UserError, match="did you mean effects"):
        run.figure("effect")
    with pytest.raises(UserError, match="there is no table 'by'"):
        run.table("by")


def test_the_import_is_light():
    heavy = {"pandas", "matplotlib", "torch", "ray", "optuna"}
    code = f"import sys, analysis, tune; assert not {heavy!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def cells_of(notebook):
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.long
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in cells_of(ROOT / "docs/python.ipynb"):
        exec(compile(code, "docs/python.ipynb", "exec"), names)
    assert names["run"].trials["status"].eq("COMPLETED").all()
    assert names["again"].trials.equals(names["run"].trials)
