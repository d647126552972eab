"""Several Ray nodes on this machine, and who is let in."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.support.ledgers import read_lines
from tests.support.sweeps import Factory, TrivialTraining, small_spec
from tune.execution.ray_cluster import connect, ray_session, require_token, token_file
from tune.execution.ray_executor import drive
from tune.execution.slots import find_slots
from tune.run.ledger import Ledger
from tune.run.trial import Status
from tune.sweep.sweep import Sweep

STORE_BYTES = 80_000_000
JOIN = """
from tune.execution.ray_cluster import connect
import ray, sys
connect(sys.argv[1])
print("let in, with", len(ray.nodes()), "node")
"""


@pytest.fixture
def own_token(tmp_path, monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "own" / "token"))


def join(address, **environment):
    """Start a process that joins the cluster, and says so if it is let in."""
    return subprocess.Popen(
        [sys.executable, "-c", JOIN, address],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("own_token")
@pytest.mark.long
def test_only_who_has_the_token_is_let_in_and_there_is_no_dashboard():
    with ray_session(object_store_bytes=STORE_BYTES):
        mode = token_file().stat().st_mode
        context = ray.get_runtime_context()
        address = context.gcs_address
        # Ray would try twenty times.
        stranger = join(address, RAY_AUTH_TOKEN="another", RAY_NUM_REDIS_GET_RETRIES="2")
        friend = join(address)
        refused, refusal = stranger.communicate(timeout=120)
        admitted, _ = friend.communicate(timeout=120)
        dashboard = ray._private.worker.get_dashboard_url()
    assert mode & 0o777 == 0o600
    assert "let in, with 1 node" in admitted
    assert stranger.returncode != 0
    assert "let in" not in refused
    assert f"cannot connect to Ray at {address}" in refusal
    assert not dashboard


@pytest.mark.usefixtures("own_token")
def test_a_token_that_others_can_read_is_closed_to_them_and_kept():
    path = token_file()
    path.parent.mkdir()
    path.write_text("known")
    path.chmod(0o644)
    require_token()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "known"


CODE = """
from ray.cluster_utils import Cluster
from tune.execution.ray_cluster import connect, require_token
import ray, shutil, sys
require_token()
args = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=args)
connect(cluster.address)
shutil.rmtree(sys.argv[1])  # As on a node that never had it.
def where():
    import models.build, tune.execution.worker
    return tune.execution.worker.__file__
print(ray.get(ray.remote(where).remote()))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.long
@pytest.mark.usefixtures("own_token")
def test_our_code_travels_to_nodes_that_lack_it(tmp_path):
    root, code = Path(__file__).parents[1], tmp_path / "code"
    for package in ("fairsweep", "data_prep", "models", "tune"):
        shutil.copytree(root / package, code / package)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(code)],
        env=os.environ | {"PYTHONPATH": str(code)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "py_modules" in done.stdout


@dataclass(kw_only=True)
class Slow(TrivialTraining):
    """Takes longer than a worker takes to start, so that every node gets one."""

    sleep_seconds: float = 1.2


@pytest.mark.long
@pytest.mark.usefixtures("own_token")
def test_trials_of_a_lost_node_go_on_elsewhere_and_a_new_node_gets_trials(tmp_path):
    require_token()
    add = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=add)
    del add["include_dashboard"]
    second = cluster.add_node(node_name="second", **add)
    try:
        connect(cluster.address)
        with Ledger(tmp_path) as ledger:
            # No retries: the loss of a node must not count as a failure of its trials.
            spec = small_spec(
                scheduler={"name": "none"},
                retries=0,
                space={"kernel_size": [3, 5, 7], "blocks": [1, 2]},
            )
            sweep = Sweep(spec, fingerprint="f", commit=ledger.append)
            sweep.begin()
            changes = iter(
                (
                    partial(cluster.remove_node, second, allow_graceful=False),
                    partial(cluster.add_node, node_name="third", wait=False, **add),
                )
            )
            due = iter((lambda: _training(sweep) == 2, lambda: sweep.lost_nodes))
            is_due = next(due)

            def on_step():
                nonlocal is_due
                if is_due and is_due():
                    next(changes)()
                    is_due = next(due, None)

            drive(
                sweep,
                run=tmp_path,
                slots=find_slots(spec),
                make_training=Factory(kind=Slow, run=tmp_path),
                on_step=on_step,
            )
            sweep.close()
    finally:
        ray.shutdown()
        cluster.shutdown()
    events = read_lines(tmp_path)
    assert sweep.finished
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert [e["node"] for e in events if e["event"] == "node_lost"] == ["second"]
    assert [e["node"] for e in events if e["event"] == "node_joined"] == ["third"]
    lost = [e["trial"] for e in events if e["event"] == "attempt_lost"]
    assert len(lost) == 1
    assert {t.id for t in sweep.trials.values() if t.nodes_lost} == set(lost)
    lines = (tmp_path / "trained.txt").read_text().splitlines()
    again = {line: count for line, count in Counter(lines).items() if count > 1}
    assert set(again.values()) <= {2}
    assert {line.split()[0] for line in again} <= set(lost)
    assert len(again) <= 1
    assert _most_at_once_after(events, "node_joined") == 2


def _training(sweep):
    """Return how many trials have trained two epochs and go on."""
    running = [t for t in sweep.trials.values() if t.status is Status.RUNNING]
    return sum(len(trial.measurements) >= 2 for trial in running)


def _most_at_once_after(events, kind):
    """Return how many trials ran side by side at most after an event."""
    running, most, after = set(), 0, False
    for event in events:
        after = after or event["event"] == kind
        if event["event"] == "trial_started":
            running.add(event["trial"])
        elif event["event"] in ("trial_ended", "attempt_lost"):
            running.discard(event["trial"])
        most = max(most, len(running)) if after else most
    return most
