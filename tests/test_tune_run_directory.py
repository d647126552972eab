"""The lease of a run: one writer at a time, whatever clocks, disks and frozen processes do."""

import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from data_prep.manifest import DatasetManifest
from models.file_hash import content_hash
from tests.support.repository import ROOT
from tests.support.slurm import wait_until
from tests.support.sweeps import small_spec
from tune.run import lease as module
from tune.run.directory import (
    GROUPS_FILE,
    INITIAL_FILE,
    LEASE_FILE,
    LEDGER_FILE,
    PROVENANCE_FILE,
    RETRY_FILE,
    SPEC_FILE,
    STOP_FILE,
    RunError,
    requests_in,
)
from tune.run.events import SweepExtended, SweepResumed, SweepStarted
from tune.run.lease import hold, holder_of
from tune.run.ledger import Ledger
from tune.session.carried import Carried
from tune.session.run_directory import create_run, find_dataset, read_provenance, read_spec

DRIVER = """
import sys, time
from pathlib import Path
from tune.run.lease import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
BEAT_SECONDS = 0.05
FOREIGN = json.dumps({"host": "elsewhere", "pid": 7, "started": 1.0})


@pytest.fixture
def lease(tmp_path, monkeypatch):
    """Where the lease of the run ``tmp_path`` lies; processes of this test beat fast."""
    monkeypatch.setattr(module, "_HEARTBEAT_SECONDS", BEAT_SECONDS)
    return tmp_path / LEASE_FILE


def make_old(path):
    hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (hour_ago, hour_ago))


@contextmanager
def beating(path, clock):
    """A process elsewhere that holds the lease, and stamps it by ``clock``."""
    path.write_text(FOREIGN)
    done = threading.Event()

    def beat():
        while not done.wait(BEAT_SECONDS):
            now = clock()
            os.utime(path, None if now is None else (now, now))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()


def test_a_driver_that_slept_through_a_takeover_ends_without_a_trace(lease, monkeypatch):
    run = lease.parent
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(run)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout.readline() == "held\n"
    driver.send_signal(signal.SIGSTOP)
    make_old(lease)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    with hold(run):
        ours = lease.read_text()
        driver.send_signal(signal.SIGCONT)
        _, errors = driver.communicate(timeout=30)
        assert driver.returncode == 130
        assert errors.startswith(f"error: another process has taken over {run}")
        assert errors.count("\n") == 1
        assert lease.read_text() == ours


def test_a_lease_is_given_back_by_its_holder_alone(lease, monkeypatch):
    with hold(lease.parent):
        assert holder_of(lease.parent)["pid"] == os.getpid()
    assert lease.read_text() == ""
    monkeypatch.setattr(module, "_HEARTBEAT_SECONDS", 60.0)
    with hold(lease.parent):
        lease.write_text(FOREIGN)
    assert lease.read_text() == FOREIGN


def test_a_heartbeat_outlives_a_bad_moment_of_its_disk(lease):
    with hold(lease.parent):
        away = lease.rename(lease.with_name("away"))
        time.sleep(5 * BEAT_SECONDS)
        make_old(away)
        old = away.stat().st_mtime
        away.rename(lease)
        wait_until(lambda: lease.stat().st_mtime > old, seconds=5)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_here_voids_no_lease(lease, monkeypatch, hours):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    with beating(lease, clock=lambda: None):
        assert holder_of(lease.parent)["host"] == "elsewhere"
        with pytest.raises(RunError, match="in use by process 7 on elsewhere"), hold(lease.parent):
            pass
    make_old(lease)
    with hold(lease.parent):
        assert holder_of(lease.parent)["pid"] == os.getpid()


def test_a_wrong_clock_there_voids_no_lease(lease):
    with beating(lease, clock=lambda: time.time() - 3600):
        make_old(lease)
        with pytest.raises(RunError, match="in use by process 7 on elsewhere"), hold(lease.parent):
            pass
    assert lease.read_text() == FOREIGN


def test_a_lease_elsewhere_is_void_a_minute_after_its_last_heartbeat(lease, monkeypatch):
    lease.write_text(FOREIGN)
    now = lease.stat().st_mtime
    monkeypatch.setattr(module, "_clock_of", lambda _folder: now + 59.0)
    assert holder_of(lease.parent)["pid"] == 7
    monkeypatch.setattr(module, "_clock_of", lambda _folder: now + 60.0)
    assert holder_of(lease.parent) is None


def test_a_lease_of_a_process_that_has_ended_here_is_void(lease):
    me = {"host": socket.gethostname(), "pid": os.getpid()}
    lease.write_text(json.dumps({**me, "started": 1.0}))
    assert holder_of(lease.parent) is None, "its number belongs to another process now"
    lease.write_text(json.dumps({**me, "pid": 2**22 + 1, "started": 1.0}))
    assert holder_of(lease.parent) is None
    lease.write_text(FOREIGN[:-5])
    assert holder_of(lease.parent) is None
    lease.unlink()
    assert holder_of(lease.parent) is None


def test_a_new_run_says_what_it_was_made_of(tmp_path, synthetic_dataset, monkeypatch):
    monkeypatch.chdir(synthetic_dataset.parent)
    monkeypatch.setattr(sys, "argv", ["tune", "run", "my spec.yaml", "--set", "fixed.epochs=3"])
    manifest = DatasetManifest.read(synthetic_dataset)
    spec = small_spec(data=synthetic_dataset.name)
    initial, groups = tmp_path / "weights", tmp_path / "ages"
    initial.write_text("weights")
    groups.write_text("image_id,age\n")
    origin = {"run": "a", "trial_id": "b"}
    carried = Carried(origin=origin, initial=initial, groups=groups)
    assert carried.hashes == {"initial": content_hash(initial), "groups": content_hash(groups)}
    run = create_run(tmp_path / "my runs", spec, manifest, carried)
    (run / LEDGER_FILE).touch()
    assert run == tmp_path / "my runs" / "small"
    assert read_spec(run) == spec
    told = read_provenance(run)
    assert told["dataset"] == {
        "path": str(synthetic_dataset), "name": manifest.name, "fingerprint": manifest.fingerprint,
    }  # fmt: skip
    assert told["command"] == "python -m tune run 'my spec.yaml' --set fixed.epochs=3"
    assert told["origin"] == origin
    assert told["hardware"]["host"] == socket.gethostname()
    assert told["hardware"]["cores"] == os.cpu_count()
    assert told["hardware"]["memory_bytes"] > 100_000_000
    assert set(told["versions"]) == {
        "python", "torch", "torchvision", "ray", "optuna", "numpy", "pyarrow",
    }  # fmt: skip
    for name in ("torch", "ray", "numpy"):
        assert told["versions"][name] == importlib.metadata.version(name)
    assert told["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (run / INITIAL_FILE).read_text() == "weights"
    assert (run / GROUPS_FILE).read_text() == "image_id,age\n"
    assert {path.name for path in run.iterdir()} == {
        SPEC_FILE, PROVENANCE_FILE, LEDGER_FILE, INITIAL_FILE, GROUPS_FILE, LEASE_FILE,
    }  # fmt: skip


def test_a_run_is_never_made_over_another_one(tmp_path, synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    runs = tmp_path / "my runs"
    (runs / "small").mkdir(parents=True)
    run = create_run(runs, small_spec(), manifest, Carried())
    assert "origin" not in json.loads((run / PROVENANCE_FILE).read_text())
    (run / LEDGER_FILE).write_text("an event")
    with pytest.raises(RunError, match=rf"{run} already holds a run; .* tune resume '{run}'`"):
        create_run(runs, small_spec(seed=9), manifest, Carried())
    (run / LEDGER_FILE).write_text("")
    assert read_spec(run).seed == 3
    (run / "thesis.txt").touch()
    with pytest.raises(RunError, match="already holds a run"):
        create_run(runs, small_spec(seed=9), manifest, Carried())


def test_a_second_start_beside_the_first_is_told_that_it_runs(tmp_path, synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    run = create_run(tmp_path, small_spec(), manifest, Carried())
    with hold(run), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        create_run(tmp_path, small_spec(seed=9), manifest, Carried())
    assert read_spec(run).seed == 3


def test_a_dataset_is_found_where_it_was_or_where_it_is_said_to_be(
    tmp_path, synthetic_dataset, monkeypatch
):
    manifest = DatasetManifest.read(synthetic_dataset)
    spec = small_spec(data=str(synthetic_dataset))
    run = create_run(tmp_path, spec, manifest, Carried())
    with pytest.raises(RunError, match="is not a run directory; `python -m tune list`"):
        read_spec(tmp_path)
    assert find_dataset(run, None).place == str(synthetic_dataset)
    moved = tmp_path / "moved"
    moved.symlink_to(synthetic_dataset)
    monkeypatch.chdir(tmp_path)
    assert find_dataset(run, "moved").place == str(moved)
    provenance = json.loads((run / PROVENANCE_FILE).read_text())
    provenance["dataset"]["fingerprint"] = "another"
    (run / PROVENANCE_FILE).write_text(json.dumps(provenance))
    with pytest.raises(
        RunError, match=rf"has fingerprint {manifest.fingerprint}, but {run} was made with another"
    ):
        find_dataset(run, None)


def test_a_folder_that_cannot_be_written_to_is_judged_by_the_clock_here(lease, monkeypatch):
    lease.write_text(FOREIGN)
    beaten = lease.stat().st_mtime

    def refuse(**_options):
        raise OSError("read-only file system")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", refuse)
    for seconds, held in ((59.0, True), (61.0, False)):
        now = beaten + seconds
        monkeypatch.setattr(time, "time", lambda now=now: now)
        assert (holder_of(lease.parent) is not None) is held
        assert (module.silent_holder(lease.parent) is None) is held


def test_a_lease_survives_many_missed_heartbeats():
    assert (module._HEARTBEAT_SECONDS, module.LEASE_SECONDS) == (2.0, 60.0)


@pytest.mark.parametrize("kind", [SweepExtended, SweepResumed])
def test_a_lost_spec_is_that_of_the_last_event_that_has_one(tmp_path, kind):
    with Ledger(tmp_path) as ledger:
        ledger.append(SweepStarted(time=1.0, spec=small_spec(seed=4).to_yaml()))
        ledger.append(kind(time=2.0, spec=small_spec(seed=5).to_yaml()))
    assert read_spec(tmp_path).seed == 5


def test_the_provenance_has_the_commit_and_whether_files_differ_from_it(tmp_path, monkeypatch):
    status = " M tune/run/lease.py\n"

    def git(words, *, cwd, **_options):
        assert Path(cwd).is_relative_to(ROOT), (
            "the commit is that of the program, wherever it is started"
        )
        return subprocess.CompletedProcess(words, 0, {"rev-parse": "abc\n"}.get(words[1], status))

    monkeypatch.setattr("tune.session.run_directory.subprocess.run", git)
    manifest = SimpleNamespace(name="faces", fingerprint="f")

    def told(name):
        return read_provenance(create_run(tmp_path, small_spec(name=name), manifest, Carried()))

    first = told("changed")
    assert first["git"] == {"commit": "abc", "dirty": True}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", first["created"])
    assert first["hardware"]["memory_bytes"] == psutil.virtual_memory().total
    status = ""
    assert told("clean")["git"] == {"commit": "abc", "dirty": False}


def test_the_name_of_a_new_run_is_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        "tune.session.run_directory.sync_folder",
        lambda folder: flushed.append((folder, (folder / "small").is_dir())),
    )
    create_run(
        tmp_path / "runs", small_spec(), SimpleNamespace(name="a", fingerprint="f"), Carried()
    )
    assert flushed == [(tmp_path / "runs", True)]


def test_a_file_whose_name_begins_like_that_of_a_request_is_none(tmp_path):
    for name in (f"{STOP_FILE}-t1", RETRY_FILE, f"{RETRY_FILE}_notes.txt", f"{STOP_FILE}s"):
        (tmp_path / name).touch()
    found = requests_in(tmp_path, STOP_FILE, RETRY_FILE)
    assert [path.name for path in found] == [f"{STOP_FILE}-t1", RETRY_FILE]


@pytest.mark.parametrize("host", ["elsewhere", socket.gethostname()])
def test_a_silent_holder_may_live_on_another_machine_but_not_have_ended_here(lease, host):
    lease.write_text(json.dumps({"host": host, "pid": os.getpid(), "started": 1.0}))
    make_old(lease)
    found = module.silent_holder(lease.parent)
    if host != "elsewhere":
        assert found is None
    else:
        assert (found[0]["host"], found[1]) == (host, lease.stat().st_mtime)


def test_a_lease_names_the_job_of_its_holder(lease, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with hold(lease.parent):
        assert "job" not in holder_of(lease.parent)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with hold(lease.parent):
        assert holder_of(lease.parent)["job"] == "17"
