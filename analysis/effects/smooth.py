"""A smooth mean of the metric over a continuous hyperparameter, with its interval."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from sklearn.preprocessing import SplineTransformer

KNOTS = 3
"""Knots of the spline, both ends included: enough for one bend in either direction."""
LEAST = 12
"""Fewest points for a smooth mean; fewer would make it follow single points."""
POINTS = 60
"""Points at which the smooth mean is computed, evenly over the range."""


def smooth(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> pd.DataFrame | None:
    """Fit a cubic spline by least squares.

    The intervals allow for a variance that differs along x (HC3; Long and Ervin 2000, "Using
    Heteroscedasticity Consistent Standard Errors in the Linear Regression Model").

    Args:
        x: (n,) values on the scale of the axis.
        y: (n,) independent values.

    Returns:
        `POINTS` rows: ``x``, ``mean``, and its pointwise 95 % interval ``low`` and ``high``. None
        if there are fewer than `LEAST` different x.
    """
    if len(np.unique(x)) < LEAST:
        return None
    basis = SplineTransformer(n_knots=KNOTS, degree=3).fit(x[:, None])
    fitted = sm.OLS(y, basis.transform(x[:, None])).fit(cov_type="HC3")
    at = np.linspace(x.min(), x.max(), POINTS)
    told = fitted.get_prediction(basis.transform(at[:, None])).summary_frame(alpha=0.05)
    return pd.DataFrame(
        {
            "x": at,
            "mean": told["mean"].to_numpy(),
            "low": told["mean_ci_lower"].to_numpy(),
            "high": told["mean_ci_upper"].to_numpy(),
        }
    )
