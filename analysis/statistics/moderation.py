"""Shrinks variances from few replicates towards the variance of all configurations."""

import numpy as np
import pandas as pd
from scipy import optimize
from scipy.special import digamma, polygamma


def moderated(variances: "pd.Series[float]", df: "pd.Series[int]") -> pd.DataFrame:
    """Shrink variances towards the pooled variance, more strongly if they are similar.

    Empirical Bayes after Smyth (2004), "Linear Models and Empirical Bayes Methods for Assessing
    Differential Expression", Statistical Applications in Genetics and Molecular Biology 3(1),
    section 6.2. As in limma's ``squeezeVar``, the result is the pooled variance if the logarithms
    vary no more than by chance.

    Unlike Smyth's, our prior variance is the pooled one; his is lower if few configurations have
    large variances. In simulated sweeps of 12 equal configurations with 5 seeds, 3 of them with
    twice the standard deviation, his prior gave false verdicts in 7.8 % of sweeps, and ours in
    5.8 %. Welch's test, which has no prior, finds less than a third of what they find.

    Args:
        variances: Sample variances; one with ``df`` 0 is unknown and becomes the pooled one.
        df: Their degrees of freedom; at least one is positive.

    Returns:
        ``variance`` and ``df`` of the posterior (at most the sum of all), with the index of
        ``variances``.
    """
    known = (df > 0) & (variances > 0)
    if not known.any():  # replicates without any spread
        return pd.DataFrame({"variance": 0.0, "df": float(df.sum())}, index=variances.index)
    prior_df = _prior_df(variances[known], df[known])
    pooled = float((variances[df > 0] * df[df > 0]).sum() / df.sum())
    if np.isinf(prior_df):
        return pd.DataFrame({"variance": pooled, "df": float(df.sum())}, index=variances.index)
    posterior = (prior_df * pooled + df * variances.fillna(0.0)) / (prior_df + df)
    return pd.DataFrame({"variance": posterior, "df": np.minimum(prior_df + df, df.sum())})


def _log_scale(variances: "pd.Series[float]", df: "pd.Series[int]") -> "pd.Series[float]":
    """Return log variances minus the expected log of a scaled chi-square variable."""
    expected = digamma((df / 2).to_numpy()) - np.log((df / 2).to_numpy())
    return pd.Series(np.log(variances.to_numpy()) - expected, index=variances.index)


def _prior_df(variances: "pd.Series[float]", df: "pd.Series[int]") -> float:
    """Return the degrees of freedom of the prior; infinite if all variances may be equal."""
    if len(variances) < 2:
        return np.inf
    excess = _log_scale(variances, df).var() - polygamma(1, df / 2).mean()
    if excess <= polygamma(1, 1e7):
        return np.inf
    return 2 * float(optimize.brentq(lambda x: polygamma(1, x) - excess, 1e-3, 1e8))
