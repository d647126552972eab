"""Sweeps on a real Slurm: into the time limit and on, side by side, and nodes that are not fit."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import yaml

from data_prep.synthetic import prepare_synthetic
from tests.support import slurm_accounts
from tests.support.equal_runs import assert_equal_end
from tests.support.ledgers import read_lines
from tests.support.slurm import NOTICE, REQUEUE, SmallSlurm, missing, wait_until
from tune.run.directory import LEDGER_FILE, STOP_FILE, TRIALS_FILE

ROOT = Path(__file__).parents[1]
SPEC = """
name: small
data: {data}
fixed: {{family: resnet, pool_size: 4, fc_width: 16, epochs: {epochs}, batch_size: 64, channels: 4}}
space:
  kernel_size: [3, 5]
  blocks: [1, 2]
  conv_depth: [1, 2]
resources: {{cpus: 1}}
"""
EPOCHS = 50
"""So many that two nodes cannot train them all in one allocation of a minute."""
SWEEP_SECONDS = 300

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with SmallSlurm(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture(autouse=True)
def no_job_is_left(slurm):
    """A job that a failed test leaves would take the nodes of the next test."""
    yield
    slurm.ask("scancel", "--user=root")
    wait_until(lambda: not slurm.ask("squeue", "--noheader"))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "faces"
    prepare_synthetic(out=out, images=500, near_duplicates=False)
    return out


def tune(slurm, folder, *words):
    command = [sys.executable, "-m", "tune", *map(str, words)]
    disk = {"SLURM_TMPDIR": str(folder / "disk")}
    environment = slurm.environment | disk
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


EXPORTED = ("ONEDNN_MAX_CPU_ISA", "PYTHONPATH")
"""A job does not inherit the environment, but it must run this code and round as it does here."""


def launch(slurm, folder, faces, *words, nodes=2, epochs=EPOCHS, time=1):
    """Submit a sweep to Slurm from ``folder``; return its job."""
    spec = folder / f"epochs-{epochs}.yaml"
    spec.write_text(SPEC.format(data=faces, epochs=epochs))
    size = ("--nodes", nodes, "--cpus-per-node", 1, "--time", time)
    if names := [name for name in EXPORTED if name in os.environ]:
        words += ("--sbatch", f"export={','.join(names)}")
    said = tune(slurm, folder, "launch", "slurm", spec, *size, *words, "--submit")
    return said.split()[1]


def wait_for_event(folder, event):
    ledger = folder / "runs/small" / LEDGER_FILE
    told = f'"{event}"'.encode()
    wait_until(lambda: ledger.exists() and told in ledger.read_bytes(), SWEEP_SECONDS)


def preempt(slurm, folder, job, how=NOTICE):
    """Let a more urgent job take the nodes of a sweep that trains; return the urgent job."""
    wait_for_event(folder, "measurement")
    urgent = slurm.submit_urgent(how)
    log = folder / f"small-{job}.log"
    try:
        wait_until(lambda: "the job is preempted; queued again" in log.read_text(), 100)
        wait_until(lambda: "RUNNING" in slurm.ask("squeue", "--format=%T", "--job", urgent))
    except AssertionError:
        slurm.ask("scancel", urgent)
        raise
    return urgent


def test_a_sweep_goes_on_through_its_allocations_and_leaves_its_neighbours_alone(
    slurm, tmp_path, faces
):
    job = launch(slurm, tmp_path, faces)
    wait_for_event(tmp_path, "measurement")
    assert json.loads(tune(slurm, tmp_path, "status", "runs/small", "--json"))["running"]
    other = ("--name", "neighbour", "--stage-data")
    neighbour = launch(slurm, tmp_path, faces, *other, nodes=1, epochs=1, time=5)
    log = tmp_path / f"small-{job}.log"
    wait_until(lambda: "queued again" in log.read_text(), SWEEP_SECONDS)
    slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=10")  # One cut is enough.
    state, restarts = slurm.wait(job, SWEEP_SECONDS)
    assert state == "COMPLETED", log.read_text()
    assert restarts >= 1
    assert slurm.wait(neighbour, SWEEP_SECONDS) == ("COMPLETED", 0)
    assert len(list((tmp_path / "disk").rglob("images.parquet"))) == 1  # One copy on its node.

    tune(slurm, tmp_path, "run", f"epochs-{EPOCHS}.yaml", "--name", "undisturbed")
    assert_equal_end(tmp_path / "runs/small", tmp_path / "runs/undisturbed")
    stops = [e["reason"] for e in read_lines(tmp_path / "runs/small") if "reason" in e]
    assert stops.count("stopped by SIGTERM") == restarts  # Never cut off.
    assert_nodes_are_clean(job)


ENDED = """
import os, signal, sys, time
from tune.launch.job import SlurmJob

def end(*_):
    print(job.goes_on(), job.is_cancelled(), job.is_out_of_time(), flush=True)
    if job.goes_on():
        job.queue_again()
    sys.exit(130)

if "SLURM_RESTART_COUNT" not in os.environ:
    job = SlurmJob.here()
    signal.signal(signal.SIGTERM, end)
    open("ready", "w").close()
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("how", "facts", "ends"),
    [
        ("time is up", "True False True", ("COMPLETED", 1)),
        ("preempted", "True False False", ("COMPLETED", 1)),
        ("cancelled", "False True False", ("CANCELLED", 0)),
    ],
)
def test_a_job_that_slurm_has_ended_is_queued_again_unless_it_was_cancelled(
    slurm, tmp_path, how, facts, ends
):
    (tmp_path / "job.py").write_text(ENDED)
    (tmp_path / "job.sh").write_text(f"#!/bin/bash\nexec {sys.executable} job.py\n")
    options = ("--output=said", "--open-mode=append", "--time=10", "--requeue")
    job = slurm.ask(
        "sbatch", "--parsable", f"--chdir={tmp_path}", *options, tmp_path / "job.sh"
    ).strip()
    wait_until((tmp_path / "ready").exists)
    if how == "time is up":
        slurm.ask("scontrol", "update", f"JobId={job}", "EndTime=now")
    elif how == "preempted":
        urgent = slurm.submit_urgent(("PreemptMode=CANCEL", "GraceTime=0"))
        wait_until(lambda: slurm.look(job)["JobState"] != "RUNNING")
        slurm.ask("scancel", urgent)
    else:
        slurm.ask("scancel", job)
    assert slurm.wait(job, SWEEP_SECONDS) == ends
    assert facts in (tmp_path / "said").read_text().splitlines()


def test_a_job_whose_first_node_dies_queues_itself_again(slurm, tmp_path, faces):
    job = launch(slurm, tmp_path, faces, epochs=10, time=10)
    wait_for_event(tmp_path, "measurement")
    try:
        slurm.kill_node("left", job)
        wait_until(lambda: "PENDING" in slurm.ask("squeue", "--format=%T"), SWEEP_SECONDS)
    finally:
        slurm.start_node("left")
    assert slurm.wait(job, SWEEP_SECONDS) == ("COMPLETED", 1)
    events = [event["event"] for event in read_lines(tmp_path / "runs/small")]
    assert events.count("sweep_resumed") == 1
    assert events[-1] == "sweep_finished"


def test_a_sweep_goes_on_without_a_node_that_dies(slurm, tmp_path, faces):
    job = launch(slurm, tmp_path, faces, epochs=10, time=10)
    wait_for_event(tmp_path, "measurement")
    try:
        slurm.kill_node("right", job)
        assert slurm.wait(job, SWEEP_SECONDS) == ("COMPLETED", 0)
    finally:
        slurm.start_node("right")
    events = list(read_lines(tmp_path / "runs/small"))
    assert [event["node"] for event in events if event["event"] == "node_lost"] == ["right"]
    lost = [event["trial"] for event in events if event["event"] == "attempt_lost"]
    ended = {event["trial"]: event["status"] for event in events if event["event"] == "trial_ended"}
    assert set(lost) < set(ended)
    assert list(ended.values()) == ["COMPLETED"] * 8
    measured = Counter(event["trial"] for event in events if event["event"] == "measurement")
    assert set(measured.values()) == {10}
    assert_nodes_are_clean(job)


def test_a_preempted_job_requeues_itself_and_goes_on(slurm, tmp_path, faces):
    job = launch(slurm, tmp_path, faces, epochs=20, time=10)
    urgent = preempt(slurm, tmp_path, job)
    assert list(read_lines(tmp_path / "runs/small"))[-1]["event"] == "sweep_stopped"
    slurm.ask("scancel", urgent)
    assert slurm.wait(job, SWEEP_SECONDS) == ("COMPLETED", 1)
    events = [event["event"] for event in read_lines(tmp_path / "runs/small")]
    assert events.count("sweep_resumed") == 1
    assert events[-1] == "sweep_finished"
    assert_nodes_are_clean(job)


def test_a_job_that_is_cancelled_between_two_slots_stays_cancelled(slurm, tmp_path, faces):
    job = launch(slurm, tmp_path, faces, epochs=20, time=10)
    urgent = preempt(slurm, tmp_path, job, REQUEUE)
    slurm.ask("scancel", job)
    slurm.ask("scancel", urgent)
    assert slurm.wait(job, SWEEP_SECONDS) == ("CANCELLED", 1)
    wait_until(lambda: not slurm.ask("squeue", "--noheader"))
    events = [event["event"] for event in read_lines(tmp_path / "runs/small")]
    assert events[-1] == "sweep_stopped"
    assert_nodes_are_clean(job)


def test_a_job_that_is_cancelled_while_it_leaves_its_nodes_stays_cancelled(slurm, tmp_path, faces):
    long_epochs = ("--set", "fixed.channels=64", "--set", "fixed.batch_size=8")
    job = launch(slurm, tmp_path, faces, *long_epochs, time=10)
    wait_for_event(tmp_path, "trial_started")
    urgent = slurm.submit_urgent()
    wait_until(lambda: slurm.look(job)["PreemptTime"] != "None", SWEEP_SECONDS)
    # Slurm tells whole seconds, and the driver waits five seconds for epochs.
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 3)
    slurm.ask("scancel", job)
    slurm.ask("scancel", urgent)
    assert slurm.wait(job, SWEEP_SECONDS) == ("CANCELLED", 0)
    wait_until(lambda: not slurm.ask("squeue", "--noheader"), SWEEP_SECONDS)
    said = (tmp_path / f"small-{job}.log").read_text()
    assert said.endswith(f"small: job {job} was cancelled, so it is not queued again\n"), said
    assert_nodes_are_clean(job)


def test_a_job_trains_on_no_cores_where_torch_does_not_see_its_gpus(slurm, tmp_path, faces):
    job = launch(slurm, tmp_path, faces, "--gpus-per-node", "v100l:2", epochs=1)
    assert slurm.wait(job, SWEEP_SECONDS) == ("FAILED", 0)
    said = (tmp_path / f"small-{job}.log").read_text()
    assert "torch sees 0 GPUs on left, but 2 were requested" in said
    assert "torch sees 0 GPUs on right, but 2 were requested" in said


def test_gpus_of_gres_are_counted_on_the_nodes_that_a_constraint_allows(slurm, tmp_path, faces):
    def said(number, *words):
        folder = tmp_path / f"gpus-{number}"
        folder.mkdir()
        gres = ("--gres", f"gpu:v100l:{number}", "--constraint", "new")
        job = launch(slurm, folder, faces, *gres, *words, nodes=1, epochs=1)
        assert slurm.wait(job, SWEEP_SECONDS) == ("FAILED", 0)
        return (folder / f"small-{job}.log").read_text()

    assert "torch sees 0 GPUs on right, but 1 were requested" in said(1)
    # Older versions of Slurm do not tell the number, but the places of the cards.
    without = ("--setup", "unset SLURM_GPUS_ON_NODE")
    assert "torch sees 0 GPUs on right, but 2 were requested" in said(2, *without)


def test_a_job_finds_the_environment_of_a_login_and_its_setup_alone(
    slurm, tmp_path, faces, monkeypatch
):
    monkeypatch.setitem(slurm.environment, "SECRET", "leaked")
    note = 'echo "${SECRET-none} $GREETING $*" >> asked; exec "$@"'
    (tmp_path / "python.sh").write_text(note)
    words = ("--setup", "export GREETING=hello", "--sbatch", "comment=two words")
    python = f"bash {tmp_path}/python.sh {sys.executable}"
    job = launch(slurm, tmp_path, faces, *words, "--python", python, epochs=1, time=10)
    assert slurm.wait(job, SWEEP_SECONDS) == ("COMPLETED", 0)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 5, "the job itself, and each node twice"
    assert all(line.startswith(f"none hello {sys.executable} -m tune") for line in asked)
    assert "Comment=two words" in slurm.ask("scontrol", "show", "job", job)


@pytest.mark.skipif(bool(slurm_accounts.missing()), reason=slurm_accounts.missing())
def test_a_site_that_demands_account_qos_and_memory_is_served_by_its_profile(
    tmp_path, tmp_path_factory, faces
):
    site = {"account": slurm_accounts.ACCOUNT, "qos": slurm_accounts.QOS, "mem": "1000"}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    # Not below tmp_path, where the names of Slurm's sockets would be too long for Linux.
    with SmallSlurm(tmp_path_factory.mktemp("slurm"), strict=True) as strict:
        for name in site:
            others = yaml.safe_dump({key: site[key] for key in site if key != name})
            (tmp_path / f"no-{name}.yaml").write_text(others)
            with pytest.raises(AssertionError, match=r"Slurm refuses small\.sbatch"):
                launch(strict, tmp_path, faces, "--site", f"no-{name}.yaml", epochs=1)
        job = launch(strict, tmp_path, faces, "--site", "site.yaml", epochs=1, time=10)
        assert strict.wait(job, SWEEP_SECONDS) == ("COMPLETED", 0)


def test_a_cancelled_job_closes_its_run_and_leaves_nothing_on_its_nodes(slurm, tmp_path, faces):
    long_epochs = ("--set", "fixed.channels=64", "--set", "fixed.batch_size=8")
    job = launch(slurm, tmp_path, faces, *long_epochs, time=10)
    run, log = tmp_path / "runs/small", tmp_path / f"small-{job}.log"
    wait_for_event(tmp_path, "trial_started")
    again = slurm.ask("sbatch", "--parsable", f"--chdir={tmp_path}", tmp_path / "small.sbatch")
    assert slurm.wait(again.strip(), SWEEP_SECONDS) == ("FAILED", 0)
    said = (tmp_path / f"small-{again.strip()}.log").read_text()
    assert said.startswith("error: runs/small is running already, in process ")
    assert f"(Slurm job {job}); wait for it, or end it with `scancel {job}`" in said
    slurm.ask("scancel", job)
    wait_until(lambda: not slurm.ask("squeue", "--noheader"), SWEEP_SECONDS)
    assert slurm.wait(job, 1) == ("CANCELLED", 0)
    *_, state, last = log.read_text().splitlines()
    assert "stopped by SIGTERM; " in state
    assert "`python -m tune resume runs/small`" in state
    assert last == f"small: job {job} was cancelled, so it is not queued again"
    assert "srun" not in log.read_text()
    assert list(read_lines(run))[-1]["event"] == "sweep_stopped"
    assert (run / TRIALS_FILE).is_file()
    assert not (run / STOP_FILE).exists()
    assert not list(tmp_path.glob(f"small-{job}-*.log"))
    assert_nodes_are_clean(job)


def assert_nodes_are_clean(job):
    folder = f"/tmp/sweep-{os.getuid()}-job-{job}"
    assert not Path(folder).exists()
    commands = (" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))
    assert not [command for command in commands if folder in command]


def test_the_preflight_names_each_node_that_is_not_fit_and_why(slurm, faces, tmp_path):
    other = tmp_path / "torch-0.0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.0.1\n")
    slurm.export("right", PYTHONPATH=f"{tmp_path}:{ROOT}", RAY_AUTH_TOKEN="another")
    try:
        job = launch(slurm, slurm.read_only, faces)
        state, restarts = slurm.wait(job, SWEEP_SECONDS)
    finally:
        slurm.export("right")
    assert (state, restarts) == ("FAILED", 0)
    (error,) = [
        line
        for line in (slurm.read_only / f"small-{job}.log").read_text().splitlines()
        if line.startswith("error: ")
    ]
    torch = "right has torch 0.0.1, but the driver has "
    folder = f"right cannot write to {slurm.read_only / 'runs'}: Read-only file system"
    token = "right has a different Ray token than the driver"
    assert all(cause in error for cause in (torch, folder, token)), error
    assert "left" not in error
    assert not list((slurm.read_only / "runs").iterdir())
