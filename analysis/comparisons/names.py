"""Names of the configurations or trained models that are compared."""

import pandas as pd

from analysis.comparisons.statistics import Comparisons
from analysis.run.run_data import RunData


def row_names(run: RunData, compared: Comparisons) -> "pd.Series[str]":
    """Return the name of each id in ``compared``; equal names are followed by a trial number."""
    key = "trial_id" if compared.basis == "models" else "configuration_id"
    trials = run.trials.drop_duplicates(key).set_index(key)
    shared = trials["name"].duplicated(keep=False)
    return trials["name"].where(~shared, trials["name"] + ", trial " + trials["number"].astype(str))


def incumbent_name(run: RunData, compared: Comparisons) -> str:
    """Return the name of the incumbent's configuration."""
    rows = run.trials[run.trials["configuration_id"] == compared.incumbent_id]
    return str(rows["name"].iloc[0])
