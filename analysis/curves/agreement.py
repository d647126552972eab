"""How early the final order of configurations shows: agreement of ranks after each epoch."""

import numpy as np
import pandas as pd
from scipy import stats

from analysis.run.run_data import RunData
from analysis.statistics.estimate import NotKnownError

LEAST = 5
"""Fewest configurations whose ranks are compared."""
MOST_EPOCHS = 60
"""Maximum number of epochs at which ranks are compared; of more, evenly spaced ones."""


def agreement(run: RunData) -> pd.DataFrame:
    """Compare the ranks of configurations after each epoch with their final ranks.

    Includes the configurations that were trained to the end, by the objective at its best epoch so
    far (``at: best``) or at that epoch (``at: last``). Trainings of a configuration are averaged.

    Returns:
        A row per epoch but the last one: ``epoch``, ``spearman`` with its 95 % interval
        ``spearman_low`` and ``spearman_high`` (Bonett and Wright 2000, "Sample size requirements
        for estimating Pearson, Kendall and Spearman correlations"), ``kendall`` (tau-b),
        ``configurations``.

    Raises:
        NotKnownError: Fewer than `LEAST` configurations were trained to the end, or all equally
            well, or for one epoch only.
    """
    reached = _reached(run)
    few = len(reached) < LEAST or reached.shape[1] < 2
    if few or reached.iloc[:, -1].nunique() < 2:
        raise NotKnownError(
            f"fewer than {LEAST} configurations with different values were trained to the end"
        )
    final, epochs = reached.iloc[:, -1], reached.columns[:-1]
    chosen = epochs[np.unique(np.linspace(0, len(epochs) - 1, MOST_EPOCHS).round().astype(int))]
    return pd.DataFrame([_row(int(epoch), reached[epoch], final) for epoch in chosen])


def _reached(run: RunData) -> pd.DataFrame:
    """Return the objective of each configuration (row) up to each epoch (column), larger better."""
    metric, at = run.info.objective["metric"], run.info.objective["at"]
    sign = -1 if run.info.objective["mode"] == "min" else 1
    trials = run.completed.set_index("trial_id")["configuration_id"]
    own = run.measurements[run.measurements["trial_id"].isin(trials.index)]
    values = sign * own.pivot(index="trial_id", columns="epoch", values=metric).astype(float)
    values = values.cummax(axis=1) if at == "best" else values
    values = values.ffill(axis=1).dropna()
    return values.groupby(trials).mean()


def _row(epoch: int, early: "pd.Series[float]", final: "pd.Series[float]") -> dict[str, float]:
    if early.nunique() < 2:
        nan = dict.fromkeys(("spearman", "spearman_low", "spearman_high", "kendall"), np.nan)
        return {"epoch": epoch, **nan, "configurations": len(final)}
    rho, n = float(stats.spearmanr(early, final).statistic), len(final)
    reach = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    return {
        "epoch": epoch,
        "spearman": rho,
        "spearman_low": float(np.tanh(centre - reach)),
        "spearman_high": float(np.tanh(centre + reach)),
        "kendall": float(stats.kendalltau(early, final).statistic),
        "configurations": n,
    }
