import resource
import sqlite3
import subprocess
import sys

import optuna
import pytest

from analysis.__main__ import main
from analysis.export import export
from analysis.ledger import times
from analysis.run_data import read_run
from tests.run_factory import Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "study.db"
    assert export(run, out) == len(run.trials)
    return optuna.load_study(study_name="small", storage=f"sqlite:///{out}")


def test_every_trial_is_there_with_its_status(run, study):
    expected = {"COMPLETED": "COMPLETE", "EARLY_STOPPED": "PRUNED"}
    for row, trial in zip(run.trials.to_dict("records"), study.trials, strict=True):
        assert trial.number == row["number"]
        assert trial.state.name == expected.get(row["status"], "FAIL")
        assert trial.user_attrs["trial_id"] == row["trial_id"]
        assert trial.params == {name: row[name] for name in run.info.searched}


def test_values_and_curves_are_those_of_the_run(run, study):
    best = run.completed["best_val_accuracy"].max()
    assert study.best_value == best
    for trial in study.trials:
        rows = run.measurements[run.measurements["trial_id"] == trial.user_attrs["trial_id"]]
        curve = dict(zip(rows["epoch"], rows["val_accuracy"], strict=True))
        assert trial.intermediate_values == curve


def test_times_are_those_of_the_ledger(run, study):
    spans = times(run)
    for trial in study.trials:
        start, end = spans[trial.user_attrs["trial_id"]]
        assert (trial.datetime_complete - trial.datetime_start).total_seconds() == end - start


def test_optuna_can_work_on_with_it(study):
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    assert set(importances) == {"kernel_size", "blocks", "channels", "conv_depth", "fc_layers"}


def test_nothing_is_overwritten_and_nothing_half_written_stays(run, tmp_path, monkeypatch):
    out = tmp_path / "study.db"
    out.write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        export(run, out)
    assert out.read_text() == "mine"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        export(run, tmp_path / "other.db")
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_full_disk_is_told_and_leaves_nothing_behind(run, tmp_path):
    def no_file_over_10_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    out = tmp_path / "study.db"
    command = [sys.executable, "-m", "analysis", "export", str(run.path), "--out", str(out)]
    done = subprocess.run(
        command, preexec_fn=no_file_over_10_kb, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {out} cannot be written (")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_names_the_file(run, tmp_path, capsys):
    out = tmp_path / "study.db"
    assert main(["export", str(run.path), "--out", str(out)]) == 0
    assert f"optuna-dashboard sqlite:///{out}" in capsys.readouterr().out
    with sqlite3.connect(out) as database:
        assert database.execute("select count(*) from trials").fetchone() == (len(run.trials),)
