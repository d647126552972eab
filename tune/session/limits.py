"""Finds the costs of networks that are known before training, for the limits of a spec."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_prep.manifest import DatasetManifest
from models.config import TrainConfig
from tune.sweep.limits import Costs, network_key
from tune.sweep.spec import SweepSpec

if TYPE_CHECKING:
    from models.cost import TrainingCost


def known_costs(spec: SweepSpec, manifest: DatasetManifest | None) -> Costs:
    """Return what counts the parameters and operations of a trial's network, each once.

    Args:
        spec: The sweep spec; without these limits, nothing is counted.
        manifest: The dataset's; None for own training code, which has no limits.
    """
    limits = spec.limits
    if manifest is None or limits is None or (limits.parameters or limits.mflop) is None:
        return lambda _config: {}  # Importing torch would delay the driver by a second.
    known: dict[str, Mapping[str, float]] = {}

    def costs(config: Mapping[str, Any]) -> Mapping[str, float]:
        key = network_key(config)
        if key not in known:
            from models.cost import training_cost

            cost = training_cost(TrainConfig.create(config), **manifest.task)
            known[key] = limited(cost)
        return known[key]

    return costs


def limited(cost: "TrainingCost") -> dict[str, float]:
    """Return the costs that a spec can limit, by the names of the limits."""
    return {"parameters": cost.parameters, "mflop": cost.flop_per_picture / 1e6}
