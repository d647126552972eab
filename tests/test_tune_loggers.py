"""What the readers of TensorBoard, MLflow and W&B find in a run's logs."""

import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.support.in_process import few_pictures_fixture as few_pictures_fixture
from tests.support.in_process import start, tiny_spec
from tests.support.ledgers import events_of, keep_in
from tests.support.sweeps import Clock, figures, play, small_spec
from tests.support.wandb_file import read_records
from tune.run.trial import Measurement, Status
from tune.session import log_mlflow
from tune.session import loggers as module
from tune.session.loggers import Loggers, require_loggers
from tune.sweep.spec import SpecError, parse_spec
from tune.sweep.sweep import Sweep

WORKER = {"host": "here", "device": "cpu", "parameters": 7}
ALL = {"loggers": ["tensorboard", "mlflow", "wandb"]}


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


def in_mlflow(run, spec, address=None):
    from mlflow import MlflowClient  # Takes seconds, which only this module's process should spend.

    client = MlflowClient(tracking_uri=address or (run / "mlruns").as_uri())
    store = client.get_experiment_by_name(spec.name).experiment_id
    return client, {one.data.tags["trial"]: one for one in client.search_runs([store])}


def raising(error):
    def fail(*_):
        raise error

    return fail


def records_to_the_end(file):
    """The records of a finished run; W&B's process writes the last ones a moment later."""
    for _ in range(200):
        records = read_records(file)
        if any(record.HasField("exit") for record in records):
            break
        time.sleep(0.05)
    return records


def in_wandb(run, trial):
    """What one offline run holds: its configuration, its history by step, its summary, its end."""
    (file,) = (run / "wandb").glob(f"offline-run-*-{trial.id}-*/run-{trial.id}-*.wandb")
    about, history, summary, ends = {}, {}, {}, []
    for record in records_to_the_end(file):
        for item in record.run.config.update:
            about[item.key] = json.loads(item.value_json)
        for name in ("run_group", "job_type", "display_name", "project"):
            if told := getattr(record.run, name):
                about[name] = told
        row = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        if row:
            values = {name: json.loads(text) for name, text in row.items()}
            assert history.setdefault(values["_step"], values) is values
        for item in record.summary.update:
            summary[item.key or item.nested_key[0]] = json.loads(item.value_json)
        if record.HasField("exit"):
            ends.append(record.exit.exit_code)
    return about, history, summary, ends


def assert_logged(run, sweep, address=None):
    """Every trial stands in all logs, each of its epochs once, with the ledger's figures."""
    assert_in_mlflow(run, sweep, address)
    for trial in sweep.trials.values():
        session, scalars = in_tensorboard(run, trial)
        about, history, summary, ends = in_wandb(run, trial)
        assert list(history) == [m.epoch for m in trial.measurements]
        for m in trial.measurements:
            row = history[m.epoch]
            assert {name: row[name] for name in m.values} == dict(m.values)
            assert row["_timestamp"] == pytest.approx(m.time, abs=1e-3)
            for name, value in m.values.items():
                assert (m.epoch, pytest.approx(value, rel=1e-6)) in scalars[name]
                assert [step for step, _ in scalars[name]] == list(history)
        objective = sweep.objective(trial)
        assert session.hparams["kernel_size"].number_value == trial.config["kernel_size"]
        assert about["kernel_size"] == trial.config["kernel_size"]
        assert about["run_group"] == trial.configuration_id
        assert (about["job_type"], about["project"]) == (trial.phase, sweep.spec.name)
        assert about["display_name"] == f"{trial.name} seed {trial.config['seed']}"
        assert scalars["objective"] == [
            (len(trial.measurements), pytest.approx(objective, rel=1e-6))
        ]
        told = {name: summary[name] for name in ("objective", "status", "reason")}
        assert told == {"objective": objective, "status": trial.status, "reason": trial.reason}
        assert ends == [0]


def assert_in_mlflow(run, sweep, address=None):
    client, runs = in_mlflow(run, sweep.spec, address)
    assert set(runs) == set(sweep.trials)
    for trial in sweep.trials.values():
        one = runs[trial.id]
        for name in trial.last.values:
            expected = [(m.epoch, m.values[name], round(1000 * m.time)) for m in trial.measurements]
            history = client.get_metric_history(one.info.run_id, name)
            assert sorted((at.step, at.value, at.timestamp) for at in history) == expected
        assert one.data.params["kernel_size"] == str(trial.config["kernel_size"])
        assert one.data.metrics["objective"] == sweep.objective(trial)
        assert one.data.tags["status"] == trial.status
        assert one.data.tags["configuration"] == trial.configuration_id
        assert one.data.tags["phase"] == trial.phase
        assert one.data.tags.get("reason", "") == trial.reason
        assert one.info.status == "FINISHED"


@pytest.mark.parametrize("kills", [[], [1], [3, 1, 8, 5]], ids=["untouched", "once", "four times"])
def test_each_epoch_is_logged_once_however_often_the_sweep_is_killed(tmp_path, kills):
    spec, ledger = small_spec(**ALL, searcher={"name": "random", "samples": 5}), []
    for steps in kills:
        sit(tmp_path, spec, ledger, steps=steps)
    sweep, loggers = sit(tmp_path, spec, ledger, steps=1000)
    loggers.close()
    assert {Status.COMPLETED, Status.EARLY_STOPPED} <= {t.status for t in sweep.trials.values()}
    assert_logged(tmp_path, sweep)


def test_a_finished_sweep_logs_what_its_killed_driver_had_not(tmp_path):
    spec, ledger = small_spec(**ALL, searcher={"name": "random", "samples": 2}), []
    sit(tmp_path, spec, ledger, steps=3)
    sweep = Sweep(spec, fingerprint="f", commit=keep_in(ledger), events=events_of(ledger))
    sweep.begin()
    play(sweep)
    assert sweep.finished
    Loggers(tmp_path, sweep).close()
    assert_logged(tmp_path, sweep)


def test_a_note_that_a_kill_cut_short_is_begun_anew(tmp_path):
    spec, ledger = small_spec(**ALL, searcher={"name": "random", "samples": 2}), []
    sit(tmp_path, spec, ledger, steps=3)
    for notes in tmp_path.glob("*/logged.jsonl"):
        notes.write_bytes(notes.read_bytes() + b'{"trial": "a')
    for steps in (1, 1000):  # The second reads what the first has added.
        sweep, loggers = sit(tmp_path, spec, ledger, steps=steps)
    loggers.close()
    assert_logged(tmp_path, sweep)


def test_an_extended_trial_is_logged_with_all_its_epochs(tmp_path):
    changes = {"scheduler": {"name": "none"}, "space": {"kernel_size": [3, 5]}}
    spec, ledger = small_spec(**ALL, **changes), []
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
    spec = small_spec(**ALL, scheduler={"name": "none"}, space={"kernel_size": [3, 5]}, retries=0)
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
    sweep = Sweep(small_spec(**ALL), fingerprint="f")
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    sweep.report(trial.id, 1, figures(trial.id, 1, train_loss=math.nan), WORKER)
    Loggers(tmp_path, sweep).close()
    _, runs = in_mlflow(tmp_path, sweep.spec)
    assert runs[trial.id].info.status == "FAILED"
    assert runs[trial.id].data.tags["status"] == "DIVERGED"
    _, history, summary, ends = in_wandb(tmp_path, trial)
    assert math.isnan(history[1]["train_loss"])
    assert (summary["status"], ends) == ("DIVERGED", [1])
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
        "import sys, tune.session.session;"
        "print({'tensorboard', 'mlflow', 'wandb'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_mlflow_does_not_wait_for_minutes_unless_the_user_wants_it_to(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with log_mlflow._in_haste():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_an_old_log_that_mlflow_has_no_more_is_no_fault_and_another_refusal_is(
    tmp_path, monkeypatch
):
    from mlflow import MlflowException

    writer = log_mlflow.MLflowWriter(tmp_path / "mlruns", small_spec())
    trial = Sweep(small_spec(), fingerprint="f").next_trial()
    first = writer.begin(trial, "0" * 32)
    for _ in range(2):
        last = writer.begin(trial, first)
    monkeypatch.setattr(writer._client, "delete_run", raising(MlflowException("no")))
    with pytest.raises(MlflowException, match="no"):
        writer.begin(trial, last)


def test_mlflow_gets_many_figures_in_as_many_calls_as_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(log_mlflow, "_MOST", 4)
    spec = small_spec()
    writer = log_mlflow.MLflowWriter(tmp_path / "mlruns", spec)
    trial = Sweep(spec, fingerprint="f").next_trial()
    run = writer.begin(trial, None)
    names = ("a", "b", "c")
    writer.log(
        trial,
        [Measurement(epoch=e, values=dict.fromkeys(names, float(e)), time=1.0) for e in (1, 2, 3)],
    )
    for name in names:
        history = writer._client.get_metric_history(run, name)
        assert sorted((at.step, at.value) for at in history) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_mlflow_gets_an_objective_of_zero(tmp_path):
    sweep = Sweep(small_spec(), fingerprint="f")
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    sweep.report(trial.id, 1, figures(trial.id, 1), WORKER)
    writer = log_mlflow.MLflowWriter(tmp_path / "mlruns", sweep.spec)
    run = writer.begin(trial, None)
    writer.end(trial, 0.0)
    assert writer._client.get_run(run).data.metrics == {"objective": 0.0}


def test_what_was_logged_is_noted_apart_for_the_folder_and_each_mlflow_server(
    tmp_path, monkeypatch
):
    def notes(server):
        monkeypatch.setenv(log_mlflow.ADDRESS, server)
        return log_mlflow.MLflowWriter(tmp_path, small_spec()).notes

    servers = ("", "http://one:5000", "http://two:5000")
    assert len({notes(server) for server in servers}) == 3
    assert [notes(server) for server in servers] == [notes(server) for server in servers]


def test_an_unknown_logger_is_refused():
    with pytest.raises(
        SpecError, match=r"loggers: .*'tensorboard', 'mlflow' or 'wandb', but got 'comet'"
    ):
        small_spec(loggers=["comet"])


def test_a_missing_library_is_told_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    spec = small_spec(loggers=["mlflow"])
    for ask in (require_loggers, lambda spec: Loggers(tmp_path, Sweep(spec, fingerprint="f"))):
        with pytest.raises(SpecError, match="pip install mlflow-skinny`, or leave mlflow out"):
            ask(spec)
    assert list(tmp_path.iterdir()) == []


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
    _, loggers = sit(tmp_path, small_spec(loggers=["tensorboard"]), [], steps=5)
    loggers.update()
    assert set(threading.enumerate()) - before
    loggers.close()
    assert not set(threading.enumerate()) - before


def test_every_logger_follows_a_sweep_while_it_runs(tmp_path):
    sweep, _ = sit(tmp_path, small_spec(**ALL), [], steps=5)
    measured = [trial for trial in sweep.trials.values() if trial.measurements]
    assert measured
    _, runs = in_mlflow(tmp_path, sweep.spec)
    assert set(runs) == {trial.id for trial in measured}
    for trial in measured:
        assert list((tmp_path / "wandb").glob(f"offline-run-*-{trial.id}-*"))
        assert list((tmp_path / "tensorboard").glob(f"{trial.number:04}-*"))


def test_wandb_stays_offline_and_does_not_take_over_errors_of_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    hook = sys.excepthook
    sweep, loggers = sit(tmp_path, small_spec(loggers=["wandb"]), [], steps=5)
    loggers.close()
    assert sys.excepthook is hook
    unfinished = [
        trial for trial in sweep.trials.values() if trial.measurements and not trial.ended
    ]
    assert [in_wandb(tmp_path, trial)[3] for trial in unfinished] == [[1]] * len(unfinished)
    assert len(unfinished) == 2


# A tracker that is away.


class Memory:
    """Keeps logs as lists, and fails while ``away``; each call takes ``takes`` seconds."""

    notes = "logged.jsonl"

    def __init__(self, clock):
        self.clock, self.away, self.takes = clock, False, 0.0
        self.logs, self.calls = {}, 0

    def _call(self):
        self.calls += 1
        self.clock.now += self.takes
        if self.away:
            raise ConnectionError("no route to http://me:secret@there/")

    def begin(self, trial, old):
        self._call()
        self.logs.pop(old, None)
        name = f"{trial.id} {self.calls}"
        self.logs[name] = []
        return name

    def log(self, trial, measurements):
        self._call()
        (log,) = (log for name, log in self.logs.items() if name.startswith(trial.id))
        log.extend(measurement.epoch for measurement in measurements)

    def end(self, _trial, _objective):
        self._call()

    def close(self):
        pass


@pytest.fixture(name="memory")
def memory_fixture(monkeypatch):
    clock = Clock()
    memory = Memory(clock)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setitem(module._LOGGERS, "tensorboard", ("p", "t", lambda *_: memory))
    return memory


def test_a_tracker_that_fails_is_told_once_and_gets_everything_when_it_is_back(
    tmp_path, memory, capsys
):
    spec = small_spec(loggers=["tensorboard"], searcher={"name": "random", "samples": 4})
    sweep = Sweep(spec, fingerprint="f")
    run = tmp_path / "my run"
    run.mkdir()
    loggers = Loggers(run, sweep)
    moments = iter(range(10**6))

    def step():
        """Be away from the sixth epoch to the fifteenth."""
        memory.away = 5 < next(moments) < 15
        memory.clock.now += 30.0
        loggers.update()

    play(sweep, slots=2, on_step=step)
    loggers.close()
    assert sweep.finished
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tensorboard: no route to http://there/; the sweep goes on")
    assert line.endswith(f"`python -m tune resume '{run}'` logs")
    assert len(memory.logs) == len(sweep.trials)
    for name, epochs in memory.logs.items():
        whole = sweep.trials[name.split()[0]].measurements
        assert epochs == [measurement.epoch for measurement in whole]


def test_a_tracker_that_is_away_is_asked_less_and_less_often(tmp_path, memory):
    sweep = Sweep(small_spec(loggers=["tensorboard"]), fingerprint="f")
    loggers, tried = Loggers(tmp_path, sweep), []
    sweep.start(sweep.next_trial().id, 1.0)
    memory.away = True
    began = memory.clock.now
    for _ in range(20_000):
        before = memory.calls
        loggers.update()
        if memory.calls > before:
            tried.append(memory.clock.now - began)
        memory.clock.now += 1.0
    assert tried == [0, 60, 180, 420, 900, 1860, 3780, 7380, 10_980, 14_580, 18_180]


def test_a_slow_tracker_holds_up_the_sweep_for_a_moment_only(tmp_path, memory):
    sweep = Sweep(small_spec(loggers=["tensorboard"]), fingerprint="f")
    loggers = Loggers(tmp_path, sweep)
    play(sweep)
    memory.takes = 0.1
    began = memory.clock.now
    loggers.update()
    assert 0.5 < memory.clock.now - began < 1.0
    loggers.close()
    assert len(memory.logs) == len(sweep.trials)


def test_a_server_that_is_away_does_not_hold_up_the_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    spec = small_spec(loggers=["mlflow"], searcher={"name": "random", "samples": 3})
    sweep, loggers = sit(tmp_path, spec, [], steps=1000)
    loggers.close()
    assert sweep.finished
    assert time.monotonic() - began < 20, "MLflow's own retries take minutes"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlflow: API request to http://127.0.0.1:9/")
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


def test_an_address_that_mlflow_does_not_know_is_told_and_the_sweep_goes_on(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://x")
    sweep, loggers = sit(tmp_path, small_spec(loggers=["mlflow"]), [], steps=5)
    loggers.close()
    assert sweep.trials
    assert "unsupported URI 'nowhere://x'" in capsys.readouterr().err


# A real server.


@contextmanager
def mlflow_server(folder, port):
    address = f"http://127.0.0.1:{port}"
    words = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db",
        "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "server.txt").open("a") as said:
        server = subprocess.Popen(
            words, env=environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        for _ in range(600):
            assert server.poll() is None, (folder / "server.txt").read_text()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(server.pid, 9)
        server.wait()


@pytest.mark.long
def test_a_real_server_has_each_epoch_once_though_it_and_the_sweep_were_killed(
    tmp_path, monkeypatch, capsys
):
    run, folder = tmp_path / "run", tmp_path / "server"
    run.mkdir()
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    spec, ledger = small_spec(loggers=["mlflow"], searcher={"name": "random", "samples": 5}), []
    with mlflow_server(folder, port):
        sit(run, spec, ledger, steps=4)
    sweep, loggers = sit(run, spec, ledger, steps=7)
    loggers.close()
    assert not sweep.finished
    assert len(capsys.readouterr().err.splitlines()) == 1, "the server was away"
    with mlflow_server(folder, port) as address:
        sweep, loggers = sit(run, spec, ledger, steps=1000)
        loggers.close()
        assert sweep.finished
        assert_in_mlflow(run, sweep, address)
    assert capsys.readouterr().err == ""


# The tables of a real sweep.


def test_every_reader_finds_the_figures_of_our_tables(tmp_path, few_pictures):
    fixed = {**tiny_spec(few_pictures).fixed, "epochs": 3}
    run, sweep = start(tiny_spec(few_pictures, fixed=fixed, **ALL), tmp_path / "runs")
    trials = pd.read_parquet(run / "trials.parquet").set_index("trial_id")
    measured = pd.read_parquet(run / "measurements.parquet")
    client, runs = in_mlflow(run, sweep.spec)
    assert len(trials) == 2
    for trial in sweep.trials.values():
        rows = (
            measured[measured["trial_id"] == trial.id].set_index("epoch").drop(columns="trial_id")
        )
        _, scalars = in_tensorboard(run, trial)
        _, history, _, _ = in_wandb(run, trial)
        assert len(rows) == 3
        for name, column in rows.items():
            expected = list(column.items())
            assert scalars[name] == [(e, pytest.approx(v, rel=1e-6)) for e, v in expected]
            of_mlflow = client.get_metric_history(runs[trial.id].info.run_id, name)
            assert sorted((at.step, at.value) for at in of_mlflow) == expected
            assert [(epoch, row[name]) for epoch, row in history.items()] == expected
        best = trials.loc[trial.id, "best_val_accuracy"]
        assert runs[trial.id].data.metrics["objective"] == best
