"""Real sweeps on a machine that makes it hard for Ray."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from data_prep.synthetic import prepare_synthetic
from tests.support.ledgers import read_lines
from tune.execution.ray_cluster import require_token

SPEC = """
name: small
data: faces
fixed: {family: resnet, pool_size: 4, fc_width: 16, epochs: 3, batch_size: 64, channels: 4}
space: {kernel_size: [3, 5]}
resources: {cpus: 1}
"""
LITTLE_SHARED_MEMORY = "mount -t tmpfs -o size=8m tmpfs /dev/shm && exec "
pytestmark = pytest.mark.long


@pytest.fixture
def other_ray(tmp_path, monkeypatch):
    """A Ray of somebody else on this machine, with a token of its own."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "other" / "token"))
    require_token()
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster.head_node
    cluster.shutdown()


def test_a_sweep_trains_beside_another_ray_with_long_temporary_paths_and_little_shared_memory(
    tmp_path, other_ray
):
    words = ["unshare", "--mount", "sh", "-c", f'{LITTLE_SHARED_MEMORY} "$@"', "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a tmpfs")
    prepare_synthetic(out=tmp_path / "faces", images=300, near_duplicates=False)
    (tmp_path / "small.yaml").write_text(SPEC)
    temporary = tmp_path / ("long" * 30)
    temporary.mkdir()
    done = subprocess.run(
        [*words, sys.executable, "-m", "tune", "run", "small.yaml"],
        env=os.environ
        | {
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "RAY_AUTH_TOKEN_PATH": str(tmp_path / "own" / "token"),
            "TMPDIR": str(temporary),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = list(read_lines(tmp_path / "runs/small"))
    assert events[-1]["event"] == "sweep_finished"
    ended = [event["status"] for event in events if event["event"] == "trial_ended"]
    assert ended == ["COMPLETED"] * 2
    assert other_ray.dead_processes() == []
    assert other_ray.live_processes() != []
