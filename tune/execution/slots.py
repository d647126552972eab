"""How many workers run at once, and which resources each of them has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import ray

from fairsweep.errors import UserError
from tune.sweep.spec import Resources, SweepSpec

MOST_PER_GPU = 8
"""Most workers per GPU; each takes a CPU core and its own CUDA context."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The resources of each worker, and the number of workers."""

    cpus: float
    gpus: float
    count: int
    most: int | None = None
    """Most workers that the spec allows at once."""

    @property
    def devices(self) -> float:
        """Share of a GPU, or number of CPU cores, that a worker has."""
        return self.gpus or self.cpus

    @property
    def places(self) -> int:
        """Number of GPUs or CPU slots in use at once; several slots may share a GPU."""
        share = self.gpus if 0 < self.gpus < 1 else 1.0
        return max(1, round(self.count * share))

    def on(self, nodes: Iterable[Mapping[str, Any]]) -> Self:
        """Return as many of these slots as fit on ``nodes`` (from `ray.nodes`)."""
        fit = sum(self._fit(node["Resources"]) for node in nodes)
        return replace(self, count=fit if self.most is None else min(fit, self.most))

    def _fit(self, have: Mapping[str, float]) -> int:
        by_cores, gpus = int(have.get("CPU", 0.0) // self.cpus), have.get("GPU", 0.0)
        if self.gpus == 0:
            return by_cores
        # Ray gives a share from one GPU only: five of 0.4 do not fit on two GPUs.
        by_gpus = int(gpus) * int(1 / self.gpus) if self.gpus < 1 else int(gpus // self.gpus)
        return min(by_cores, by_gpus)


def find_slots(spec: SweepSpec) -> Slots:
    """Return how many workers run at once on the connected Ray, and with which resources.

    By default each has a CPU core, because parallel trials with one thread each train more pictures
    per second than consecutive trials with many threads. If there are GPUs, several workers share
    each, and its memory decides how many of them train at a time.

    Raises:
        UserError: No node has the resources that the spec asks for.
    """
    have = ray.cluster_resources()
    cores, gpus = have.get("CPU", 1.0), have.get("GPU", 0.0)
    asked = spec.resources
    if isinstance(asked, str):
        asked = Resources(gpus=1 / _per_gpu(cores / gpus)) if gpus else Resources(cpus=1)
    slots = Slots(cpus=asked.cpus, gpus=asked.gpus, count=0, most=asked.trials_at_once).on(
        node for node in ray.nodes() if node["Alive"]
    )
    if slots.count < 1:
        raise UserError(
            f"a trial asks for {asked.cpus} CPUs and {asked.gpus} GPUs, but Ray has {cores:.0f} "
            f"and {gpus:.0f}; change resources in the spec"
        )
    return slots


def _per_gpu(cores: float) -> int:
    return max(1, min(MOST_PER_GPU, int(cores)))
