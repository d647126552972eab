"""One driver session: what it checks before a file is written, and what it leaves."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.manifest import IMAGES_FILE
from data_prep.reader import ImageDataset, read_dataset
from fairsweep.errors import UserError
from tests.support.in_process import (  # noqa: F401 - fixtures, used by name
    extend,
    few_pictures_fixture,
    finished_run_fixture,
    resume,
    run_fixture,
    start,
    tiny_spec,
)
from tests.support.ledgers import read_lines
from tests.support.sweeps import SPEC, new_sweep, small_spec, train
from tune.commands.outcome import last_line
from tune.execution.executor import SweepData
from tune.execution.in_process import InProcessExecutor
from tune.execution.ray_executor import RayExecutor
from tune.run.directory import (
    GROUPS_FILE,
    LEDGER_FILE,
    RETRY_FILE,
    STOP_FILE,
    TRIALS_FILE,
    RunError,
    best_weights,
)
from tune.run.lease import holder_of
from tune.run.tables import read_predictions, read_table_info
from tune.run.trial import Status
from tune.session import session
from tune.session.carried import Carried
from tune.session.run_directory import read_provenance, read_spec
from tune.session.store import STAGE
from tune.sweep.spec import SpecError


def events(run):
    return [event["event"] for event in read_lines(run)]


def test_a_new_run_leaves_its_tables_and_gives_its_lease_back(run, few_pictures):
    table = pq.read_table(run / TRIALS_FILE)
    assert table["status"].to_pylist() == ["COMPLETED"] * 2
    assert read_table_info(table).classes == read_dataset(few_pictures).manifest.classes
    assert set(table["seed"].to_pylist()) == {6}
    assert holder_of(run) is None
    kinds = events(run)
    assert (kinds[0], kinds[-1]) == ("sweep_started", "sweep_finished")
    assert kinds.count("measurement") == 2


def test_a_finished_run_is_left_as_it_is_but_for_its_tables(run):
    (run / TRIALS_FILE).unlink()
    for name in (STOP_FILE, f"{STOP_FILE}-nobody", RETRY_FILE, f"{RETRY_FILE}-nobody"):
        (run / name).touch()
    before = events(run)
    sweep = resume(run)
    assert sweep.finished
    assert events(run) == before
    assert (run / TRIALS_FILE).is_file()
    assert not [*run.glob(f"{STOP_FILE}*"), *run.glob(f"{RETRY_FILE}*")]


def test_an_extension_is_in_the_ledger_and_in_the_spec(run, few_pictures, tmp_path):
    moved = tmp_path / "moved here"
    moved.symlink_to(few_pictures)
    sweep = extend(run, overrides=["replicates=2"], data=str(moved))
    assert read_spec(run).replicates == 2
    assert len(sweep.trials) == 4
    assert events(run).count("sweep_extended") == 1
    sampled = start(
        tiny_spec(few_pictures, name="drawn", searcher={"name": "random", "samples": 1}), tmp_path
    )[0]
    assert len(extend(sampled, samples=1).trials) == 2
    assert read_spec(sampled).searcher.samples == 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"searcher": {"name": "gird"}}, SpecError, "searcher must be one of"),
        ({"data": "nowhere at all"}, FileNotFoundError, "nowhere at all"),
        ({"warm_start": "runs/none", "searcher": {"name": "tpe", "samples": 2}}, RunError,
         "runs/none is not a run directory"),
        ({"fixed": {"family": "resnet", "balance": "age"}}, ValueError, "'age'"),
        ({"folds": 900}, ValueError, "900 folds"),
        ({"fixed": {"family": "resnet", "groups": "0" * 16}}, SpecError,
         "groups refers to a file of a retrained run"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_refused_before_a_file_is_written(
    tmp_path, few_pictures, changes, error, message
):
    values = {**SPEC, "scheduler": {"name": "none"}, "data": str(few_pictures), **changes}
    if "fixed" in changes:
        values["space"] = {"blocks": [1, 2]}
    root = tmp_path / "runs"
    with pytest.raises(error, match=message):
        start(small_spec(**{k: v for k, v in values.items() if k != "name"}), root)
    assert not root.exists()


def test_a_disk_without_room_is_refused_before_a_run_is_made(tmp_path, few_pictures, monkeypatch):
    usage = SimpleNamespace(free=199_999_999)
    monkeypatch.setattr("tune.session.disk.shutil.disk_usage", lambda _folder: usage)
    with pytest.raises(RunError, match="a sweep needs 200 MB"):
        start(tiny_spec(few_pictures), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_carried_column_stays_with_the_run(run, tmp_path, few_pictures):
    dataset = read_dataset(few_pictures)
    groups = tmp_path / "ages"
    rows = [f"{name},{'child' if row % 3 else 'adult'}" for row, name in
            enumerate(dataset.image_ids)]  # fmt: skip
    groups.write_text("\n".join(["image_id,age", *rows]) + "\n")
    carried = Carried(origin={"run": str(run), "trial_id": "t"}, groups=groups)
    spec = tiny_spec(few_pictures, name="aged")
    fixed = {**spec.fixed, **carried.hashes, "balance": "age"}
    made, sweep = start(tiny_spec(few_pictures, name="aged", fixed=fixed), tmp_path, carried)
    groups.unlink()
    assert read_provenance(made)["origin"] == {"run": str(run), "trial_id": "t"}
    assert (made / GROUPS_FILE).is_file()
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert resume(made).finished


@dataclass
class Notes:
    """An executor that trains one trial and asks for a stop."""

    asked: dict = field(default_factory=dict)

    def execute(self, sweep, run, data, *, on_step):
        self.asked.update(run=run, data=data)
        assert not (run / STOP_FILE).exists(), "a request of before is forgotten"
        train(sweep, 0.5)
        (run / STOP_FILE).touch()
        on_step()
        assert sweep.stopping == "asked to by `tune stop`"


def test_workers_read_the_copy_of_their_node_if_there_is_one(tmp_path, few_pictures, monkeypatch):
    executor = Notes()
    spec = tiny_spec(few_pictures)
    session.start(spec, tmp_path / "plain", executor=executor)
    assert executor.asked["data"].read_copy is None
    assert executor.asked["data"].dataset.place == str(few_pictures)
    monkeypatch.setenv(STAGE, str(tmp_path / "disk"))
    run, _ = session.start(spec, tmp_path / "staged", executor=executor)
    first, *_ = executor.asked["data"].dataset.image_ids
    (run / GROUPS_FILE).write_text(f"image_id,age\n{first},child\n")
    loaded = executor.asked["data"].read_copy()
    np.testing.assert_array_equal(loaded.pixels, executor.asked["data"].dataset.pixels)
    assert (loaded.columns["age"] == "child").sum() == 1


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_trials_stop_and_the_second_ends_at_once(tmp_path, monkeypatch, kind):
    ended = []
    monkeypatch.setattr(session.os, "_exit", ended.append)
    before = signal.getsignal(kind)
    sweep, _ = new_sweep(small_spec())
    with session._stop_on_signals(sweep, tmp_path):
        os.kill(os.getpid(), kind)
        assert sweep.stopping == f"stopped by {kind.name}"
        assert (tmp_path / STOP_FILE).exists()
        os.kill(os.getpid(), kind)
        assert ended == [], "the same request, sent to the process and to its group"
        monkeypatch.setattr(session, "_ECHO_SECONDS", 0.0)
        os.kill(os.getpid(), kind)
    assert ended == [130]
    assert signal.getsignal(kind) is before


def test_another_run_is_heard_of_once(monkeypatch):
    asked = []

    def read(spec, fingerprint):
        asked.append((spec.seed, fingerprint))
        return SimpleNamespace(run="other", trials=(), unfit=3)

    monkeypatch.setattr(session, "read_warm_start", read)
    sweep, ledger = new_sweep(small_spec(searcher={"name": "tpe", "samples": 2}))
    for _ in range(2):
        session._warm_up(sweep, "f")
    assert asked == [(3, "f")]
    assert [
        (e["run"], e["trials"], e["unfit"]) for e in ledger if e["event"] == "warm_started"
    ] == [("other", [], 3)]


@pytest.mark.parametrize("fuse", ["never", "always"])
def test_trainings_end_when_their_patience_does_and_keep_their_best_epoch(
    tmp_path, few_pictures, fuse
):
    fixed = {**tiny_spec(few_pictures).fixed, "epochs": 30, "patience": 2, "learning_rate": 0.01}
    spec = tiny_spec(few_pictures, fixed=fixed, replicates=2, fuse=fuse)
    run, sweep = start(spec, tmp_path)
    lengths = {len(trial.measurements) for trial in sweep.trials.values()}
    assert len(lengths) > 1, "no trial of a bundle ends before another"
    assert max(lengths) < 30
    for trial in sweep.trials.values():
        best = trial.best("val_accuracy", "max")
        assert (trial.status, trial.last.epoch) == (Status.COMPLETED, best.epoch + 2)
        assert read_predictions(run, trial.id).schema.metadata[b"epoch"] == b"%d" % best.epoch
        assert best_weights(run, trial.id).is_file()


def test_a_stop_of_before_is_forgotten_and_one_that_comes_is_obeyed(tmp_path, few_pictures):
    spec = tiny_spec(few_pictures)
    dataset = session.open_dataset(few_pictures)
    run = session.create_run(tmp_path / "my runs", spec, dataset.manifest, Carried())
    (run / LEDGER_FILE).touch()
    (run / STOP_FILE).touch()
    executor = Notes()
    session.resume(run, executor=executor)
    assert executor.asked["run"] == run
    kinds = events(run)
    assert (kinds[0], kinds[-1]) == ("sweep_started", "sweep_stopped")
    assert read_lines(run)[-1]["reason"] == "asked to by `tune stop`"
    assert not (run / STOP_FILE).exists()
    assert pq.read_table(run / TRIALS_FILE).num_rows >= 1


def test_what_must_be_done_while_trials_run_is_done_while_ray_trains(tmp_path, monkeypatch):
    asked = []

    def execute(_executor, *words, on_step):
        asked.append(words)
        on_step()

    monkeypatch.setattr(RayExecutor, "execute", execute)
    data = SweepData(dataset=None)
    session.ON_RAY.execute("a sweep", tmp_path, data, on_step=lambda: asked.append("a step"))
    assert asked == [("a sweep", tmp_path, data), "a step"]


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1.0, 1), (2.5, 2), (3.9, 3)])
@pytest.mark.parametrize("copied", [True, False])
def test_a_worker_has_a_thread_for_each_whole_core_and_ray_has_room_for_the_pictures(
    tmp_path, few_pictures, monkeypatch, cpus, threads, copied
):
    """The Ray executor with stand-ins for Ray."""
    asked = {}

    @contextmanager
    def ray_session(*, object_store_bytes):
        asked["store"] = object_store_bytes
        yield

    def drive(_sweep, *, run, slots, make_training, on_step):
        asked.update(run=run, slots=slots, factory=make_training)
        on_step()

    slots = SimpleNamespace(cpus=cpus, gpus=0)
    module = "tune.execution.ray_executor"
    monkeypatch.setattr(f"{module}.ray_session", ray_session)
    monkeypatch.setattr(f"{module}.find_slots", lambda _spec: slots)
    monkeypatch.setattr(f"{module}.drive", drive)
    monkeypatch.setattr(f"{module}.share", lambda dataset: ("through Ray", dataset))
    # It would start a Ray to ask for its servers, and leave it to later tests of this process.
    monkeypatch.setattr(f"{module}.run_while_ray_lives", lambda work: work())
    loss = {"metric": "val_loss", "mode": "min"}
    sweep, _ = new_sweep(tiny_spec(few_pictures, fuse="always", objective=loss))
    dataset = session.open_dataset(few_pictures)
    pictures = SimpleNamespace(pixels=SimpleNamespace(nbytes=70_000_000), manifest=dataset.manifest)
    data = SweepData(dataset=pictures, read_copy="a copy" if copied else None)
    steps = []
    RayExecutor().execute(sweep, tmp_path, data, on_step=lambda: steps.append(1))
    factory = asked["factory"]
    assert (asked["run"], asked["slots"], steps) == (tmp_path, slots, [1])
    assert asked["store"] == (200_000_000 if copied else 210_000_000)
    assert (factory.run, factory.threads, factory.always_fuse) == (tmp_path, threads, True)
    assert factory.load_dataset == ("a copy" if copied else ("through Ray", pictures))
    assert factory.fingerprint == dataset.manifest.fingerprint
    assert factory.objective == sweep.spec.objective


def test_a_missing_logger_is_refused_before_a_file_is_written(tmp_path, few_pictures, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "mlflow" else real(name)
    )
    with pytest.raises(SpecError, match="mlflow needs the package mlflow-skinny"):
        session.start(tiny_spec(few_pictures, loggers=["mlflow"]), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_ray_that_does_not_answer_is_refused_before_a_file_is_written(
    tmp_path, few_pictures, monkeypatch
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # Is set back after the test.
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a secret of more than thirty-two characters")
    with pytest.raises(UserError, match=rf"cannot connect to Ray at {address} \(nobody answers: "):
        session.start(tiny_spec(few_pictures), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    _, sweep = start(tiny_spec(few_pictures), tmp_path / "runs")
    assert sweep.finished, "an executor that needs no Ray is not asked for one"


def test_a_local_ray_that_cannot_start_is_refused_before_a_file_is_written(
    tmp_path, few_pictures, monkeypatch
):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # Is set back after the test.
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a secret of more than thirty-two characters")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 20)))
    with pytest.raises(UserError, match=r"RAY_TMPDIR is .*, too long"):
        session.start(tiny_spec(few_pictures), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_full_folder_of_ray_is_refused_before_a_file_is_written(
    tmp_path, few_pictures, monkeypatch
):
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("this user may not mount a tmpfs")
        try:
            for name, value in {
                "RAY_ADDRESS": "local",
                "RAY_AUTH_MODE": "token",  # Is set back after the test.
                "RAY_AUTH_TOKEN": "a secret of more than thirty-two characters",
                "RAY_TMPDIR": folder,
            }.items():
                monkeypatch.setenv(name, value)
            told = rf"only \d MB are free in {folder}, but Ray needs 20 MB there for its logs; free"
            with pytest.raises(UserError, match=told):
                session.start(tiny_spec(few_pictures), tmp_path / "runs")
            assert not list(Path(folder).iterdir())
        finally:
            subprocess.run(["umount", folder], check=True)
    assert not (tmp_path / "runs").exists()


def test_a_dataset_that_changed_after_a_kill_is_refused_with_its_file(tmp_path, few_pictures, run):
    changed = tmp_path / "changed"
    shutil.copytree(few_pictures, changed)
    table = pq.read_table(changed / IMAGES_FILE)
    pq.write_table(pa.concat_tables([table[1:], table[:1]]), changed / IMAGES_FILE)
    for call in (resume, extend):
        with pytest.raises(UserError, match=f"{IMAGES_FILE} of the dataset {changed} does not"):
            call(run, data=str(changed))
    with pytest.raises(UserError, match="restore both files from a copy"):
        start(tiny_spec(changed), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_failed_trials_are_trained_once_more_when_they_are_asked_for(
    tmp_path, few_pictures, capsys
):
    class Broken(InProcessExecutor):
        """Trains on a machine without a disk."""

        def execute(self, sweep, *_, **__):
            while (trial := sweep.next_trial()) is not None:
                sweep.start(trial.id, 1.0)
                sweep.attempt_failed(trial.id, "no disk")

    run, sweep = session.start(tiny_spec(few_pictures), tmp_path, executor=Broken())
    assert {trial.status for trial in sweep.trials.values()} == {Status.FAILED}
    assert f"`python -m tune resume {run} --retry-failed`" in last_line(run, sweep)
    assert {trial.status for trial in resume(run).trials.values()} == {Status.FAILED}
    again = resume(run, retry_failed=True)
    assert "2 failed trials are trained again" in capsys.readouterr().err
    assert {trial.status for trial in again.trials.values()} == {Status.COMPLETED}
    assert "retry" not in last_line(run, again)
    assert pq.read_table(run / TRIALS_FILE)["status"].to_pylist() == ["COMPLETED"] * 2


def test_failed_trials_are_trained_again_in_the_session_in_which_that_is_asked(
    tmp_path, few_pictures
):
    class Mended(InProcessExecutor):
        """Trains on a machine that gets its disk back after one trial has failed."""

        def execute(self, sweep, run, data, *, on_step):
            trial = sweep.next_trial()
            sweep.start(trial.id, 1.0)
            sweep.attempt_failed(trial.id, "no disk")
            assert trial.status is Status.FAILED
            (run / RETRY_FILE).touch()
            super().execute(sweep, run, data, on_step=on_step)

    spec = tiny_spec(few_pictures, retries=0)
    run, sweep = session.start(spec, tmp_path, executor=Mended())
    assert sweep.finished
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    kinds = events(run)
    assert (kinds.count("failed_retried"), kinds.count("sweep_resumed")) == (1, 0)
    assert resume(run).seconds == sweep.seconds > 0


def test_a_session_ends_with_its_tables_and_then_removes_what_is_not_kept(run, monkeypatch):
    done = []
    keeper = SimpleNamespace(sweep_up=lambda: done.append("keeper"))
    monkeypatch.setattr(session, "Keeper", lambda where, _sweep: keeper if where == run else None)
    monkeypatch.setattr(session, "write_tables", lambda *_: done.append("tables"))
    resume(run)
    assert done == ["tables", "keeper"]


def test_an_extension_is_in_the_ledger_before_it_is_in_the_spec(tmp_path, monkeypatch, capsys):
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, *[0.5] * 9)
    train(sweep, 0.5)
    larger = sweep.spec.model_copy(update={"retries": 7})
    written = []
    monkeypatch.setattr(
        session,
        "write_spec",
        lambda _run, spec: written.append((spec.retries, ledger[-1]["event"])),
    )
    session._extend(tmp_path, sweep, lambda _spec: larger)
    assert written == [(7, "sweep_extended")]
    assert sweep.spec.retries == 7
    told = f"{tmp_path}: 1 trials are kept as they are\n"
    assert capsys.readouterr().err == told, "the one that runs has not ended"


def test_workers_map_a_large_dataset_themselves(tmp_path, few_pictures, monkeypatch):
    monkeypatch.setattr(ImageDataset, "is_mapped", True)
    executor = Notes()
    session.start(tiny_spec(few_pictures), tmp_path, executor=executor)
    loaded = executor.asked["data"].read_copy()
    np.testing.assert_array_equal(loaded.pixels, executor.asked["data"].dataset.pixels)


def test_the_dataset_is_checked_for_as_many_splits_into_folds_as_are_asked_for(
    tmp_path, few_pictures, monkeypatch
):
    asked = []
    monkeypatch.setattr(session, "check_folds", lambda _dataset, *words: asked.append(words))
    monkeypatch.setattr(session, "create_run", lambda *_: tmp_path)
    monkeypatch.setattr(session, "_hold_and_drive", lambda *_: None)
    session.start(tiny_spec(few_pictures, folds=3, repeats=2), tmp_path / "runs")
    session.start(tiny_spec(few_pictures), tmp_path / "runs")
    assert asked == [(3, 2)]


@pytest.mark.parametrize(("seconds", "ends"), [(0.9, []), (1.1, [130])])
def test_signals_within_a_second_are_one_request(tmp_path, monkeypatch, seconds, ends):
    ended, now = [], 100.0
    monkeypatch.setattr(session.os, "_exit", ended.append)
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: now))
    sweep, _ = new_sweep(small_spec())
    with session._stop_on_signals(sweep, tmp_path):
        os.kill(os.getpid(), signal.SIGTERM)
        now += seconds
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended == ends
