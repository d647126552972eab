"""Real sweeps whose driver, process group or Ray is ended from outside."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from data_prep.synthetic import prepare_synthetic
from tests.support.equal_runs import assert_equal_end
from tests.support.in_process import start
from tests.support.killing import finish_tune
from tests.support.ledgers import read_lines
from tests.support.slurm import wait_until
from tune.run.directory import LEDGER_FILE, TRIALS_FILE
from tune.sweep.spec import load_spec

SPEC = """
name: {name}
data: {data}
fixed: {{family: resnet, pool_size: 4, fc_width: 16, epochs: {epochs}, batch_size: 64, channels: 4}}
space: {{kernel_size: [3, 5]}}
resources: {{cpus: 1}}
"""
ENDLESS, SHORT = 5000, 40
"""Epochs of a sweep that is stopped before its end, and of one that is also resumed to its end."""
END_SECONDS = 10
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stops")
    prepare_synthetic(out=folder / "faces", images=300, near_duplicates=False)
    return folder


def write_spec(folder, epochs):
    path = folder / f"epochs-{epochs}.yaml"
    path.write_text(SPEC.format(name="long", data=folder / "faces", epochs=epochs))
    return path


@pytest.fixture(scope="module")
def undisturbed(folder):
    """A run of the short sweep that nobody disturbed; without Ray, with which it ends equally."""
    run, _ = start(load_spec(write_spec(folder, SHORT), ["name=undisturbed"]), folder / "runs")
    return run


@pytest.fixture
def sweep(folder, request):
    """A sweep that has trained an epoch: its driver, its run, and all of its processes."""
    name = request.node.name.replace("[", "-").strip("]")
    spec = write_spec(folder, getattr(request, "param", ENDLESS))
    driver = subprocess.Popen(
        [sys.executable, "-m", "tune", "run", spec.name, "--name", name],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run = folder / "runs" / name
    ledger = run / LEDGER_FILE
    wait_until(lambda: ledger.exists() and b'"measurement"' in ledger.read_bytes())
    family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    yield driver, run, family
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    driver.communicate()


def assert_closed(driver, run):
    out, errors = driver.communicate(timeout=END_SECONDS)
    assert driver.returncode == 130
    assert errors == ""
    assert len(out.splitlines()) == 1
    assert list(read_lines(run))[-1]["event"] == "sweep_stopped"
    assert (run / TRIALS_FILE).is_file()
    return out


def assert_nothing_is_left(family, seconds=20):
    psutil.wait_procs(family, timeout=seconds)
    left = [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert left == []


@pytest.mark.parametrize("sweep", [SHORT], indirect=True)
@pytest.mark.parametrize(("server", "name"), [("gcs_server", "GCS"), ("raylet", "raylet")])
def test_a_server_of_ray_that_is_killed_ends_the_sweep_in_order_and_resume_loses_nothing(
    sweep, undisturbed, server, name
):
    driver, run, family = sweep
    next(one for one in family if one.name() == server).kill()
    assert f"Ray stopped unexpectedly (the {name} no longer answers)" in assert_closed(driver, run)
    assert_nothing_is_left(family)
    before = list(read_lines(run))
    finish_tune(run.parents[1], "resume", run, "--report", patience=300)
    assert (run / "report/report.html").is_file()
    after = list(read_lines(run))
    assert after[: len(before)] == before
    assert after[-1]["event"] == "sweep_finished"
    measured = Counter((e["trial"], e["epoch"]) for e in after if e["event"] == "measurement")
    assert set(measured.values()) == {1}
    assert_equal_end(run, undisturbed)


def test_every_process_that_is_told_to_stop_ends_the_sweep_in_order(sweep):
    driver, run, family = sweep
    for process in family:
        process.terminate()
    assert "; continue with" in assert_closed(driver, run)
    assert_nothing_is_left(family)


def test_a_stop_of_the_process_group_lets_trials_end_their_epoch(sweep):
    driver, run, family = sweep
    os.kill(driver.pid, signal.SIGTERM)  # As `timeout` does it.
    os.killpg(driver.pid, signal.SIGTERM)
    assert "stopped by SIGTERM" in assert_closed(driver, run)
    assert_nothing_is_left(family)


@pytest.mark.parametrize("numbers", [(signal.SIGKILL,), (signal.SIGINT,) * 2])
def test_nothing_outlives_a_driver_that_is_killed(sweep, numbers):
    driver, _, family = sweep
    for number in numbers:
        driver.send_signal(number)
        time.sleep(1.5)
    assert_nothing_is_left(family)
