"""Real sweeps whose driver, process group or Ray is ended from outside."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from data_prep.synthetic import prepare_synthetic
from tests.support.ledgers import read_lines
from tests.support.slurm import wait_until
from tune.run.directory import LEDGER_FILE, TRIALS_FILE

SPEC = """
name: long
data: faces
fixed: {family: resnet, pool_size: 4, fc_width: 16, epochs: 5000, batch_size: 64, channels: 4}
space: {kernel_size: [3, 5]}
resources: {cpus: 1}
"""
END_SECONDS = 10
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stops")
    prepare_synthetic(out=folder / "faces", images=300, near_duplicates=False)
    (folder / "long.yaml").write_text(SPEC)
    return folder


@pytest.fixture
def sweep(folder, request):
    """A sweep that has trained an epoch: its driver, its run, and all of its processes."""
    name = request.node.name.replace("[", "-").strip("]")
    driver = subprocess.Popen(
        [sys.executable, "-m", "tune", "run", "long.yaml", "--name", name],
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


@pytest.mark.parametrize(("server", "name"), [("gcs_server", "GCS"), ("raylet", "raylet")])
def test_a_server_of_ray_that_is_killed_ends_the_sweep_in_order(sweep, server, name):
    driver, run, family = sweep
    next(one for one in family if one.name() == server).kill()
    assert f"Ray stopped unexpectedly (the {name} no longer answers)" in assert_closed(driver, run)
    assert_nothing_is_left(family)


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
