"""What TensorBoard's and MLflow's own readers find in a run's logs."""

import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.support.ledgers import events_of, keep_in
from tests.support.sweeps import figures, play, small_spec
from tune.run.trial import Status
from tune.session.loggers import Loggers, require_loggers
from tune.sweep.spec import SpecError, parse_spec
from tune.sweep.sweep import Sweep

WORKER = {"host": "here", "device": "cpu", "parameters": 7}
BOTH = {"loggers": ["tensorboard", "mlflow"]}


def sit(run, spec, ledger, *, steps):
    """One sitting of a sweep that stands where ``ledger`` ends; it is killed after ``steps``."""
    sweep = Sweep(spec, fingerprint="f", commit=keep_in(ledger), events=events_of(ledger))
    loggers = Loggers(run, sweep)
    sweep.begin()
    play(sweep, slots=2, steps=steps, on_step=loggers.update)
    return sweep, loggers


def in_tensorboard(run, trial):
    (folder,) = (run / "tensorboard").glob(f"{trial.number:04}-*")
    reader = EventAccumulator(str(folder)).Reload()
    metadata = reader.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    session = HParamsPluginData.FromString(metadata).session_start_info
    scalars = {tag: reader.Scalars(tag) for tag in reader.Tags()["scalars"]}
    return session, {
        tag: [(event.step, event.value) for event in events] for tag, events in scalars.items()
    }


def in_mlflow(run, spec):
    client = MlflowClient(tracking_uri=(run / "mlruns").as_uri())
    store = client.get_experiment_by_name(spec.name).experiment_id
    return client, {one.data.tags["trial"]: one for one in client.search_runs([store])}


def assert_logged(run, sweep):
    """Every trial stands in both logs, each of its epochs once, with the ledger's figures."""
    client, runs = in_mlflow(run, sweep.spec)
    assert set(runs) == set(sweep.trials)
    for trial in sweep.trials.values():
        session, scalars = in_tensorboard(run, trial)
        expected = [(m.epoch, m.values["val_accuracy"]) for m in trial.measurements]
        assert scalars["val_accuracy"] == [(e, pytest.approx(v, rel=1e-6)) for e, v in expected]
        history = client.get_metric_history(runs[trial.id].info.run_id, "val_accuracy")
        assert sorted((one.step, one.value) for one in history) == expected
        times = [round(1000 * measurement.time) for measurement in trial.measurements]
        assert [one.timestamp for one in sorted(history, key=lambda one: one.step)] == times
        assert session.hparams["kernel_size"].number_value == trial.config["kernel_size"]
        assert runs[trial.id].data.params["kernel_size"] == str(trial.config["kernel_size"])
        objective = sweep.objective(trial)
        assert runs[trial.id].data.metrics["objective"] == objective
        assert scalars["objective"] == [(len(expected), pytest.approx(objective, rel=1e-6))]
        assert runs[trial.id].data.tags["status"] == trial.status
        assert runs[trial.id].data.tags["configuration"] == trial.configuration_id
        assert runs[trial.id].data.tags["phase"] == trial.phase
        assert runs[trial.id].data.tags["reason"] == trial.reason
        assert runs[trial.id].info.status == "FINISHED"


@pytest.mark.parametrize("kills", [[], [1], [3, 1, 8, 5]], ids=["untouched", "once", "four times"])
def test_each_epoch_is_logged_once_however_often_the_sweep_is_killed(tmp_path, kills):
    spec, ledger = small_spec(**BOTH, searcher={"name": "random", "samples": 5}), []
    for steps in kills:
        sit(tmp_path, spec, ledger, steps=steps)
    sweep, loggers = sit(tmp_path, spec, ledger, steps=1000)
    loggers.close()
    assert {Status.COMPLETED, Status.EARLY_STOPPED} <= {t.status for t in sweep.trials.values()}
    assert_logged(tmp_path, sweep)


def test_a_finished_sweep_logs_what_its_killed_driver_had_not(tmp_path):
    spec, ledger = small_spec(**BOTH, searcher={"name": "random", "samples": 2}), []
    sit(tmp_path, spec, ledger, steps=3)
    sweep = Sweep(spec, fingerprint="f", commit=keep_in(ledger), events=events_of(ledger))
    sweep.begin()
    play(sweep)
    assert sweep.finished
    Loggers(tmp_path, sweep).close()
    assert_logged(tmp_path, sweep)


def test_a_note_that_a_kill_cut_short_is_begun_anew(tmp_path):
    spec, ledger = small_spec(**BOTH, searcher={"name": "random", "samples": 2}), []
    sit(tmp_path, spec, ledger, steps=3)
    for notes in tmp_path.glob("*/logged.jsonl"):
        notes.write_bytes(notes.read_bytes() + b'{"trial": "a')
    for steps in (1, 1000):  # The second reads what the first has added.
        sweep, loggers = sit(tmp_path, spec, ledger, steps=steps)
    loggers.close()
    assert_logged(tmp_path, sweep)


def test_an_extended_trial_is_logged_with_all_its_epochs(tmp_path):
    changes = {"scheduler": {"name": "none"}, "space": {"kernel_size": [3, 5]}}
    spec, ledger = small_spec(**BOTH, **changes), []
    _, loggers = sit(tmp_path, spec, ledger, steps=1000)
    loggers.close()
    longer = parse_spec({**spec.model_dump(mode="json"), "fixed": {**spec.fixed, "epochs": 11}})
    sweep = Sweep(spec, fingerprint="f", commit=keep_in(ledger), events=events_of(ledger))
    sweep.extend(longer)
    loggers = Loggers(tmp_path, sweep)
    play(sweep)
    loggers.close()
    assert {len(trial.measurements) for trial in sweep.trials.values()} == {11}
    assert_logged(tmp_path, sweep)


def test_a_trial_that_is_retried_while_the_sweep_runs_is_logged_further(tmp_path):
    spec = small_spec(**BOTH, scheduler={"name": "none"}, space={"kernel_size": [3, 5]}, retries=0)
    sweep, loggers = sit(tmp_path, spec, [], steps=3)
    broken = next(iter(sweep.trials.values()))
    sweep.attempt_failed(broken.id, "no disk")
    loggers.update()
    sweep.retry_failed()
    play(sweep, on_step=loggers.update)
    loggers.close()
    _, scalars = in_tensorboard(tmp_path, broken)
    assert [epoch for epoch, _ in scalars["val_accuracy"]] == list(range(1, 10))
    _, runs = in_mlflow(tmp_path, spec)
    assert runs[broken.id].data.metrics["objective"] == sweep.objective(broken)


def test_a_diverged_trial_is_logged_with_its_loss_and_as_failed(tmp_path):
    sweep = Sweep(small_spec(**BOTH), fingerprint="f")
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    sweep.report(trial.id, 1, figures(trial.id, 1, train_loss=math.nan), WORKER)
    Loggers(tmp_path, sweep).close()
    _, runs = in_mlflow(tmp_path, sweep.spec)
    assert runs[trial.id].info.status == "FAILED"
    assert runs[trial.id].data.tags["status"] == "DIVERGED"
    (folder,) = (tmp_path / "tensorboard").glob("0*")
    assert folder.name == f"0000-{trial.name}-seed3"
    (event,) = EventAccumulator(str(folder)).Reload().Scalars("val_loss")
    assert event.wall_time == pytest.approx(trial.last.time, abs=0.01)
    ((step, loss),) = in_tensorboard(tmp_path, trial)[1]["train_loss"]
    assert (step, math.isnan(loss)) == (1, True)


def test_without_loggers_nothing_is_written_and_nothing_imported(tmp_path):
    sweep, loggers = sit(tmp_path, small_spec(), [], steps=5)
    loggers.close()
    assert sweep.trials
    assert not list(tmp_path.iterdir())
    program = (
        "import sys, tune.session.session; print({'tensorboard', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_an_unknown_logger_is_refused():
    with pytest.raises(SpecError, match=r"loggers: .*'tensorboard' or 'mlflow', but got 'wandb'"):
        small_spec(loggers=["wandb"])


def test_a_missing_library_is_told_with_the_way_out(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SpecError, match="pip install mlflow-skinny`, or leave mlflow out"):
        require_loggers(small_spec(loggers=["mlflow"]))


def test_a_trial_is_logged_once_it_has_a_worker_and_each_epoch_can_be_read_at_once(tmp_path):
    spec = small_spec(loggers=["tensorboard"])
    sweep = Sweep(spec, fingerprint="f")
    loggers = Loggers(tmp_path, sweep)
    trial = sweep.next_trial()
    loggers.update()
    assert not list((tmp_path / "tensorboard").glob("0*"))
    sweep.start(trial.id, 1.0)
    for epoch in (1, 2):
        sweep.report(trial.id, epoch, figures(trial.id, epoch), WORKER)
        loggers.update()
        _, scalars = in_tensorboard(tmp_path, trial)
        assert [step for step, _ in scalars["val_loss"]] == list(range(1, epoch + 1))
    loggers.close()


def test_closing_ends_the_writers_of_trials_that_have_not_ended(tmp_path):
    before = set(threading.enumerate())
    _, loggers = sit(tmp_path, small_spec(**BOTH), [], steps=5)
    loggers.update()
    assert set(threading.enumerate()) - before
    loggers.close()
    assert not set(threading.enumerate()) - before
