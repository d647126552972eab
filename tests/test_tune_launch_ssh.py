"""`ray up` with cluster.yaml on two machines, and a sweep on both."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from data_prep.synthetic import prepare_synthetic
from tests.support.machines import Machines, missing
from tune.run.directory import TRIALS_FILE

ROOT = Path(__file__).parents[1]
SPEC = """
name: both
data: {data}
fixed: {{family: resnet, pool_size: 4, fc_width: 16, epochs: 25, batch_size: 64, channels: 4}}
space: {{kernel_size: [3, 5], blocks: [1, 2], conv_depth: [1, 2]}}
resources: {{cpus: 1}}
"""
NAME = "sweeps-under-test"
WAIT_FOR_BOTH = """
import ray, time
ray.init(logging_level=40)
while len(ray.nodes()) < 2: time.sleep(0.5)
"""
UP_SECONDS = 240

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture
def machines(tmp_path):
    with Machines(tmp_path, "first", "second") as machines:
        yield machines
    for left in Path("/tmp/ray").glob(f"cluster-{NAME}.*"):  # What `ray up` remembers.
        left.unlink()


def configuration(machines, token):
    """cluster.yaml with our machines in it, and this environment instead of a new one."""
    head, worker = machines.addresses.values()
    values = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    values["cluster_name"] = NAME
    values["provider"] |= {"head_ip": head, "worker_ips": [worker]}
    values["auth"] = {"ssh_user": "root", "ssh_private_key": str(machines.key)}
    values["min_workers"] = values["max_workers"] = 1
    values["file_mounts"] = {"~/.ray/auth_token": str(token), "~/sweeps": str(ROOT)}
    values["setup_commands"] = [f"ln -sfn {Path(sys.executable).parents[1]} ~/sweeps/.venv"]
    return values


def call_ray(*words):
    command = [sys.executable, "-m", "ray.scripts.scripts", *map(str, words)]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=UP_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ray_up_makes_one_cluster_of_machines_and_a_sweep_uses_all(machines, tmp_path):
    token = tmp_path / "token"
    token.write_text("an-old-secret-that-all-machines-share-1234567890")
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(configuration(machines, token)))
    prepare_synthetic(out=tmp_path / "faces", images=300, near_duplicates=False)
    (tmp_path / "spec.yaml").write_text(SPEC.format(data=tmp_path / "faces"))

    call_ray("up", "--yes", "--no-config-cache", path)
    here = f"cd {tmp_path} && export RAY_ADDRESS=auto"
    python = "~/sweeps/.venv/bin/python"
    wait = f"RAY_AUTH_MODE=token timeout {UP_SECONDS} {python} -c '{WAIT_FOR_BOTH}'"
    call_ray("exec", path, f"{here} && {wait} && {python} -m tune run spec.yaml")
    trials = pq.read_table(tmp_path / "runs/both" / TRIALS_FILE)
    assert set(trials["host"].to_pylist()) == {"first", "second"}
    assert set(trials["status"].to_pylist()) == {"COMPLETED"}
