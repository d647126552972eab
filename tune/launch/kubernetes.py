"""Writes the KubeRay manifest that runs a sweep on Kubernetes.

Fields: KubeRay API reference, v1.6 (``docs.ray.io``, "KubeRay CRD API reference").
"""

import importlib.metadata
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
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
_DRIVER = {"cpu": "2", "memory": "8Gi"}
"""Resources of the pod that runs the driver, or prepares data."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""Names of objects (RFC 1123)."""
_TOLERATION = re.compile(
    r"(?P<key>[\w./-]+)(=(?P<value>[\w.-]*))?(:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute))?"
)
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
    namespace: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes on which trials run."""
    tolerations: tuple[str, ...] = ()
    """Taints that all pods tolerate, as `kubectl taint` writes them: ``KEY=VALUE:EFFECT``."""
    pull_secret: str | None = None
    """Secret with the password of the image's registry."""

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
        for option in ("namespace", "pull_secret"):
            value = getattr(self, option)
            if value is not None and not _NAME.fullmatch(value):
                raise LaunchError(
                    f"--{option.replace('_', '-')} must be lower-case letters, digits and dashes, "
                    f"but got {value!r}"
                )
        for key, value in self.node_selector.items():
            if not key or not value:
                raise LaunchError(
                    f"--node-selector must be written like pool=gpu, but got {f'{key}={value}'!r}"
                )
        for text in self.tolerations:
            _toleration(text)

    def manifest(self) -> str:
        """Return the manifest: the spec as a ConfigMap, and a RayJob that runs it."""
        return _written(self._config_map(), self._ray_job())

    def preparation(self, command: str) -> str:
        """Return the manifest of a Job that runs a shell command on the claim, with our image.

        Args:
            command: Writes the dataset to the path that the spec names, below the claim.
        """
        pod = self._pod("prepare", _DRIVER, spec=False)
        (container,) = pod["spec"]["containers"]
        container["command"] = ["sh", "-c", command]
        container["workingDir"] = _WORK
        pod["spec"]["restartPolicy"] = "Never"
        return _written(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": self._metadata("prepare"),
                "spec": {
                    "backoffLimit": 0,
                    "ttlSecondsAfterFinished": _KEPT_SECONDS,
                    "template": pod,
                },
            }
        )

    @property
    def _name(self) -> str:
        """The run's name as Kubernetes allows it (RFC 1123)."""
        return re.sub(r"[^a-z0-9-]+", "-", self.spec.name.lower()).strip("-")[:40].strip("-")

    def _metadata(self, part: str | None = None) -> dict[str, str]:
        name = self._name if part is None else f"{self._name}-{part}"
        return {"name": name, **({} if self.namespace is None else {"namespace": self.namespace})}

    def _config_map(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata("spec"),
            "data": {"spec.yaml": self.spec.to_yaml()},
        }

    def _ray_job(self) -> dict[str, Any]:
        there = {"cpu": str(self.cpus_per_node), "memory": self.memory}
        if self.gpus_per_node:
            there["nvidia.com/gpu"] = str(self.gpus_per_node)
        return {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": self._metadata(),
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
                        "template": self._pod("ray-head", _DRIVER),
                    },
                    "workerGroupSpecs": [
                        {
                            "groupName": "trials",
                            "replicas": self.nodes,
                            "minReplicas": self.nodes,
                            "maxReplicas": self.nodes,
                            "rayStartParams": {},
                            "template": self._pod("ray-worker", there, selector=self.node_selector),
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

    def _pod(
        self,
        container: str,
        resources: dict[str, str],
        *,
        spec: bool = True,
        selector: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the template of a pod; KubeRay itself adds a ``/dev/shm`` in memory to its pods.

        Args:
            container: Name of the container.
            resources: What it requests.
            spec: Whether the sweep's spec is mounted.
            selector: Labels of the nodes that the pod may run on.
        """
        mounts: list[dict[str, Any]] = [{"name": "work", "mountPath": _WORK}]
        volumes: list[dict[str, Any]] = [
            {"name": "work", "persistentVolumeClaim": {"claimName": self.claim}}
        ]
        if spec:
            mounts.append({"name": "spec", "mountPath": _SPEC, "readOnly": True})
            volumes.append({"name": "spec", "configMap": {"name": f"{self._name}-spec"}})
        tolerations = [_toleration(text) for text in self.tolerations]
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
                **({"nodeSelector": dict(selector)} if selector else {}),
                **({"tolerations": tolerations} if tolerations else {}),
                **({"imagePullSecrets": [{"name": self.pull_secret}]} if self.pull_secret else {}),
            }
        }


def _toleration(text: str) -> dict[str, str]:
    found = _TOLERATION.fullmatch(text)
    if found is None:
        raise LaunchError(
            "--toleration must be written like nvidia.com/gpu:NoSchedule or pool=gpu:NoSchedule, "
            f"but got {text!r}"
        )
    operator = "Exists" if found["value"] is None else "Equal"
    parts = {key: value for key, value in found.groupdict().items() if value is not None}
    return {"operator": operator, **parts}


def _written(*documents: dict[str, Any]) -> str:
    return "# kubectl apply -f THIS_FILE\n" + yaml.safe_dump_all(documents, sort_keys=False)
