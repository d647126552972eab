"""Writes the KubeRay manifest that runs a sweep on Kubernetes.

Fields: KubeRay API reference, v1.6 (``docs.ray.io``, "KubeRay CRD API reference").
"""

import importlib.metadata
import re
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from tune.launch.errors import LaunchError
from tune.run.directory import RUNS
from tune.sweep.spec import SweepSpec

_WORK = "/work"
"""Where the volume with data and runs is mounted, and where commands run."""
_SPEC = "/etc/sweep"
_RETRIES = 10
_KEPT_SECONDS = 600
_QUANTITY = re.compile(r"\d+(\.\d+)?([kMGTPE]|[KMGTPE]i)?")


@dataclass(frozen=True, kw_only=True)
class KubernetesRequest:
    """What the manifest requests from Kubernetes."""

    spec: SweepSpec
    image: str
    nodes: int
    claim: str
    """A volume claim that all pods can write to (ReadWriteMany), with the data and the runs."""
    memory: str
    """Memory of one pod."""
    gpus_per_node: int = 0
    cpus_per_node: int | None = None

    def __post_init__(self) -> None:
        if self.cpus_per_node is None:
            raise LaunchError(
                "Kubernetes needs to know how many cores a pod takes; add --cpus-per-node N"
            )
        for option, least in (("nodes", 1), ("cpus_per_node", 1), ("gpus_per_node", 0)):
            if getattr(self, option) < least:
                raise LaunchError(
                    f"--{option.replace('_', '-')} must be {least} or more, "
                    f"but got {getattr(self, option)}"
                )
        if not _QUANTITY.fullmatch(self.memory):
            raise LaunchError(f"--memory must be written like 32Gi, but got {self.memory!r}")

    def manifest(self) -> str:
        """Return the manifest: the spec as a ConfigMap, and a RayJob that runs it."""
        documents = [self._config_map(), self._ray_job()]
        return "# kubectl apply -f THIS_FILE\n" + yaml.safe_dump_all(documents, sort_keys=False)

    @property
    def _name(self) -> str:
        """The run's name as Kubernetes allows it (RFC 1123)."""
        return re.sub(r"[^a-z0-9-]+", "-", self.spec.name.lower()).strip("-")[:40].strip("-")

    def _config_map(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{self._name}-spec"},
            "data": {"spec.yaml": self.spec.to_yaml()},
        }

    def _ray_job(self) -> dict[str, Any]:
        here = {"cpu": "2", "memory": "8Gi"}
        there = {"cpu": str(self.cpus_per_node), "memory": self.memory}
        if self.gpus_per_node:
            there["nvidia.com/gpu"] = str(self.gpus_per_node)
        return {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": self._name},
            "spec": {
                "entrypoint": f"sh -c {shlex.quote(self._script())}",
                # A new cluster continues after the last one was lost.
                "backoffLimit": _RETRIES,
                "shutdownAfterJobFinishes": True,
                "ttlSecondsAfterFinished": _KEPT_SECONDS,
                "rayClusterSpec": {
                    "rayVersion": importlib.metadata.version("ray"),
                    # The operator makes a token; clients without it are refused.
                    "authOptions": {"mode": "token"},
                    "headGroupSpec": {
                        # Only the driver runs there, so that trials do not take its cores.
                        "rayStartParams": {"num-cpus": "0"},
                        "template": self._pod("ray-head", here),
                    },
                    "workerGroupSpecs": [
                        {
                            "groupName": "trials",
                            "replicas": self.nodes,
                            "minReplicas": self.nodes,
                            "maxReplicas": self.nodes,
                            "rayStartParams": {},
                            "template": self._pod("ray-worker", there),
                        }
                    ],
                },
            },
        }

    def _script(self) -> str:
        """Run the sweep; one that `tune stop` ended has not failed, so that it is not retried."""
        launch = ("python", "-m", "tune", "launch")
        sweep = shlex.join([*launch, "sweep", f"{_SPEC}/spec.yaml"])
        asked = shlex.join([*launch, "stopped", str(RUNS / self.spec.name)])
        return f"cd {_WORK} && {{ {sweep} || {asked}; }}"

    def _pod(self, container: str, resources: dict[str, str]) -> dict[str, Any]:
        mounts = [
            {"name": "work", "mountPath": _WORK},
            {"name": "spec", "mountPath": _SPEC, "readOnly": True},
        ]
        volumes = [
            {"name": "work", "persistentVolumeClaim": {"claimName": self.claim}},
            {"name": "spec", "configMap": {"name": f"{self._name}-spec"}},
        ]
        return {
            "spec": {
                "containers": [
                    {
                        "name": container,
                        "image": self.image,
                        "resources": {"requests": resources, "limits": resources},
                        "env": [{"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}],
                        "volumeMounts": mounts,
                    }
                ],
                "volumes": volumes,
            }
        }
