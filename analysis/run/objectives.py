"""The objectives of a sweep, and the value of each trial for each of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.run.run_data import RunData
from fairsweep.yaml_text import load_yaml
from tune.run.directory import SPEC_FILE
from tune.run.trial import COSTS, LATENCY

Objective = Mapping[str, str]
"""``metric``, ``mode`` (max or min) and ``at`` (best or last)."""


def objectives_of(run: RunData) -> tuple[Objective, ...]:
    """Return the objectives of a sweep; the first one selects the incumbent."""
    spec = load_yaml(run.spec, str(run.path / SPEC_FILE)) or {}
    written = spec.get("objective")
    return tuple(written) if isinstance(written, list) else (run.info.objective,)


def objective_values(run: RunData, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return a row per trial, in the order of ``run.trials``, and a column per metric.

    The value is that of the trial's best epoch for this metric, or of its last epoch, as the
    objective says. Unknown values are NaN.
    """
    return pd.DataFrame({each["metric"]: _values(run, each) for each in objectives})


def _values(run: RunData, objective: Objective) -> "pd.Series[float]":
    metric = objective["metric"]
    if metric in COSTS or (metric == LATENCY and metric in run.trials):
        return run.trials[metric].astype(float)
    measured = run.measurements.sort_values("epoch").set_index("trial_id")[metric]
    finite = measured.replace([np.inf, -np.inf], np.nan)
    if objective["at"] == "last":
        picked = finite[~finite.index.duplicated(keep="last")]
    else:
        by_trial = finite.groupby(level=0)
        picked = by_trial.min() if objective["mode"] == "min" else by_trial.max()
    return run.trials["trial_id"].map(picked).astype(float)
