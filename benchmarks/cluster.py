"""The cost of a second node: a sweep on two nodes with one core each, and on one with two cores."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray.cluster_utils

from benchmarks.harness import Result, in_process
from data_prep.synthetic import prepare_synthetic
from tune.execution.ray_cluster import require_token
from tune.session.session import start
from tune.sweep.spec import parse_spec

STORE_BYTES = 200_000_000
IMAGES = 5000
SPEC = {
    "fixed": {"family": "resnet", "pool_size": 4, "fc_width": 64, "channels": 16, "epochs": 6},
    "space": {"kernel_size": [3, 5], "blocks": [2, 4], "conv_depth": [1, 2]},
    "resources": {"cpus": 1},
}


def sweep(data: str, cores: tuple[int, ...]) -> dict[str, Any]:
    """Run the sweep on Ray nodes with these numbers of cores, all on this machine."""
    require_token()
    head, *others = (
        {"num_cpus": count, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        for count in cores
    )
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        for node in others:
            cluster.add_node(**node)
        os.environ["RAY_ADDRESS"] = cluster.address
        with tempfile.TemporaryDirectory() as folder:
            spec = parse_spec({"name": "cluster", "data": data, **SPEC})
            begun = time.perf_counter()
            _, done = start(spec, Path(folder))
            seconds = time.perf_counter() - begun
    finally:
        cluster.shutdown()
    return {"seconds": seconds, "trained": sum(trial.seconds for trial in done.trials.values())}


def run() -> Iterator[Result]:
    """Measure both clusters, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "faces"
        prepare_synthetic(out=data, images=IMAGES, near_duplicates=False)
        two_nodes = in_process(sweep, str(data), (1, 1))
        one_node = in_process(sweep, str(data), (2,))
    yield Result(
        name="cluster",
        unit="seconds a sweep on two nodes of a core each",
        ours=two_nodes["seconds"],
        others={"one node of two cores": one_node["seconds"]},
        smaller_is_better=True,
        details={
            "seconds on workers, two nodes": round(two_nodes["trained"], 1),
            "seconds on workers, one node": round(one_node["trained"], 1),
        },
    )
