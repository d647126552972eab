"""The limits of a configuration: which networks cost too much to be trained."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from models.config import FIELDS
from models.hyperparameters import NETWORK
from tune.sweep.spec_parts import LimitsSpec

Costs = Callable[[Mapping[str, Any]], Mapping[str, float]]
"""Returns the ``parameters`` and ``mflop`` of the network of a trial's hyperparameters."""

OVER = "over the limit: "
"""Begins the reason of a trial that is not trained."""
_WORDS = {
    "parameters": "parameters",
    "mflop": "MFLOP/picture",
    "latency_ms": "ms latency",
}
_OF_FORWARD = ("family", "architecture", "image_size", "precision", "test_time_flip")
"""Hyperparameters that also decide how fast a network predicts."""


def excess(limits: LimitsSpec, costs: Mapping[str, float]) -> str | None:
    """Return in words which limit is exceeded; None if none of the known costs is over its limit.

    Args:
        limits: The limits.
        costs: Known costs, by the names of the limits.
    """
    for name, words in _WORDS.items():
        limit = getattr(limits, name)
        if limit is not None and name in costs and costs[name] > limit:
            return f"{OVER}{_figure(costs[name])} {words}, at most {_figure(limit)} allowed"
    return None


def network_key(config: Mapping[str, Any]) -> str:
    """Return a key that is equal for trials whose networks predict equally fast."""
    apart = {*FIELDS, "code"} - {*NETWORK, *_OF_FORWARD}
    return json.dumps({k: v for k, v in config.items() if k not in apart}, sort_keys=True)


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
