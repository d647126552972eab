import math
import resource
import shlex
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime

import optuna
import pandas as pd
import pytest
from optuna.distributions import IntDistribution

from analysis.__main__ import main
from analysis.export import _trials, export
from analysis.run.objectives import objectives_of
from analysis.run.run_data import read_run
from tests.support.ledgers import read_lines
from tests.support.run_factory import Factory

SINGLE = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)


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
    times = {(line["event"], line.get("trial")): line["time"] for line in read_lines(run.path)}
    for trial in study.trials:
        trial_id = trial.user_attrs["trial_id"]
        told = [trial.datetime_start, trial.datetime_complete]
        own = [times["trial_started", trial_id], times["trial_ended", trial_id]]
        assert told == [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for time in own]


def test_optuna_can_work_on_with_it(study):
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    assert set(importances) == {"kernel_size", "blocks", "channels", "conv_depth", "fc_layers"}


def test_nothing_is_overwritten_and_nothing_half_written_stays(run, tmp_path, monkeypatch):
    out = tmp_path / "study.db"
    out.write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        export(run, out)
    assert out.read_text() == "mine"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        export(run, tmp_path / "other.db")
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_full_disk_is_told_and_leaves_nothing_behind(run, tmp_path, capsys):
    out = tmp_path / "study.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # bytes of a file
    try:
        code = main(["export", str(run.path), "--out", str(out)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {out} cannot be written (")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_names_the_file_as_a_shell_takes_it(run, tmp_path, capsys):
    out = tmp_path / "new" / "folder" / "a study.db"
    assert main(["export", str(run.path), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"wrote {out} (16 trials); open it with: ")
    assert shlex.split(told)[-2:] == ["optuna-dashboard", f"sqlite:///{out}"]
    with sqlite3.connect(out) as database:
        assert database.execute("select count(*) from trials").fetchone() == (len(run.trials),)


def test_the_study_stands_in_the_run_by_default(tmp_path, capsys):
    run = read_run(SINGLE.write(tmp_path / "a run"))
    assert main(["export", str(run.path)]) == 0
    assert (run.path / "study.db").is_file()
    assert f"wrote {run.path / 'study.db'} (1 trials)" in capsys.readouterr().out


def test_the_study_knows_what_was_searched_and_how(run, study):
    facts = study.user_attrs
    assert facts["objective"] == {"metric": "val_accuracy", "mode": "max", "at": "best"}
    assert (facts["searcher"], facts["scheduler"]) == ("grid", "asha")
    for name in ("searcher_words", "scheduler_words", "sampling"):
        assert facts[name] == getattr(run.info, name)
    assert facts["tied"] == {"fc_layers": "blocks"}
    assert facts["dataset"] == run.provenance["dataset"]
    assert facts["command"] == run.provenance["command"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE


def test_every_fact_of_a_trial_goes_along(run, study):
    for row, trial in zip(run.trials.to_dict("records"), study.trials, strict=True):
        facts = dict(trial.user_attrs)
        fixed = facts.pop("fixed")
        assert {"family", "pool_size", "epochs"} <= set(fixed)
        for name, value in {**facts, **fixed}.items():
            assert (pd.isna(row[name]) and value is None) or value == row[name], name
    told = {
        *("trial_id", "configuration_id", "name", "phase", "replicate", "seed", "fold", "status"),
        *("reason", "epochs_trained", "best_epoch", "parameters", "seconds", "device_seconds"),
        *("best_val_accuracy", "last_val_accuracy", "best_val_macro_f1", "last_val_macro_f1"),
    }
    assert set(study.trials[0].user_attrs) == {*told, "fixed"}


def test_only_trials_that_ran_well_have_a_value(run, study):
    values = [trial.value for trial in study.trials]
    comparable = run.trials["status"].isin(["COMPLETED", "EARLY_STOPPED"])
    expected = run.trials["best_val_accuracy"].where(comparable)
    assert values == [None if pd.isna(value) else value for value in expected]
    assert run.trials.loc[~comparable, "best_val_accuracy"].notna().any()


def test_trials_that_are_not_finished_have_no_end(run, tmp_path):
    statuses = ["PENDING", "RUNNING", "INTERRUPTED", "PAUSED", "INFEASIBLE", "OVER_LIMIT"]
    statuses += ["COMPLETED"] * 10
    export(replace(run, trials=run.trials.assign(status=statuses)), tmp_path / "study.db")
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'study.db'}")
    states = [trial.state.name for trial in study.trials[:6]]
    assert states == ["WAITING", "RUNNING", "RUNNING", "RUNNING", "FAIL", "FAIL"]
    starts = [trial.datetime_start is None for trial in study.trials[:5]]
    assert starts == [True, False, False, False, False]
    ends = [trial.datetime_complete is None for trial in study.trials[:5]]
    assert ends == [True, True, True, True, False]


def test_a_loss_at_the_last_epoch_is_to_be_small(run, tmp_path):
    objective = {"metric": "val_loss", "mode": "min", "at": "last"}
    loss = replace(run, info=replace(run.info, objective=objective))
    export(loss, tmp_path / "study.db")
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    assert study.best_value == run.completed["last_val_loss"].min()
    curve = run.measurements[run.measurements["trial_id"] == run.trials["trial_id"].iloc[1]]
    # The second trial diverged: its last loss is no number, and is not told.
    assert study.trials[1].intermediate_values == {1: curve["val_loss"].iloc[0]}


SEVERAL = """
objective:
- {metric: val_accuracy, mode: max, at: best}
- {metric: parameters, mode: min, at: best}
- {metric: val_loss, mode: min, at: last}
"""


def test_all_objectives_are_exported_with_their_directions(run, tmp_path):
    export(replace(run, spec=SEVERAL), tmp_path / "study.db")
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert study.metric_names == ["val_accuracy", "parameters", "val_loss"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", *["MINIMIZE"] * 2]
    assert [one["metric"] for one in study.user_attrs["objective"]] == study.metric_names
    curve = run.measurements[run.measurements["trial_id"] == run.trials["trial_id"].iloc[0]]
    told = study.trials[0].intermediate_values
    assert list(told.values()) == curve["val_accuracy"].tolist(), "the curve of the first one"
    columns = ["best_val_accuracy", "parameters", "last_val_loss"]
    for row, trial in zip(run.trials.to_dict("records"), study.trials, strict=True):
        ran_well = row["status"] in ("COMPLETED", "EARLY_STOPPED")
        assert trial.values == ([row[column] for column in columns] if ran_well else None)
    front = [trial.number for trial in study.best_trials]
    points = run.completed.set_index("number")[columns].astype(float) * [-1, 1, 1]
    beaten = [
        ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
        for _, point in points.iterrows()
    ]
    assert front == [number for number, b in zip(points.index, beaten, strict=True) if not b]
    assert 1 < len(front) < len(points)


def test_a_further_objective_counts_at_its_own_best_epoch(run, tmp_path):
    spec = SEVERAL.replace("at: last", "at: best")
    export(replace(run, spec=spec), tmp_path / "study.db")
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'study.db'}")
    lowest = run.measurements.groupby("trial_id")["val_loss"].min()
    completed = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    for trial in completed:
        assert trial.values[2] == lowest[trial.user_attrs["trial_id"]]
    ends = run.completed["last_val_loss"]
    assert [trial.values[2] for trial in completed] != list(ends), "losses rise at the end"


def test_a_hyperparameter_has_the_range_that_was_tried_and_only_where_it_is_used(run, tmp_path):
    some = run.trials["channels"].where(run.trials["blocks"] == 4)
    trials = run.trials.assign(channels=some, conv_depth=pd.array([pd.NA] * 16, dtype="Int64"))
    export(replace(run, trials=trials), tmp_path / "study.db")
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert "channels" not in study.trials[0].params
    assert study.trials[4].params["channels"] == 8
    assert study.trials[4].distributions["channels"] == IntDistribution(8, 16)
    assert "conv_depth" not in study.trials[4].params


def test_a_trial_has_no_value_if_one_of_several_is_missing_and_no_infinite_one_in_its_curve(run):
    measurements = run.measurements.copy()
    first = run.trials["trial_id"].iloc[0]
    place = measurements.index[measurements["trial_id"] == first][1]
    measurements.loc[place, "val_accuracy"] = math.inf
    parameters = run.trials["parameters"].where(run.trials["number"] > 0)
    trials = run.trials.assign(parameters=parameters)
    several = replace(run, spec=SEVERAL, measurements=measurements, trials=trials)
    made, *_ = _trials(several, objectives_of(several))
    epochs = measurements.loc[measurements["trial_id"] == first, "epoch"]
    assert list(made.intermediate_values) == epochs.drop(place).tolist()
    assert made.values is None
