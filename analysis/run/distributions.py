"""Converts the values of a hyperparameter to an Optuna distribution."""

from typing import Any

import numpy as np
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from analysis.run.hyperparameters import is_wide


def distribution(values: "pd.Series[Any]") -> BaseDistribution:
    """Return the range of numeric ``values``, or the set of all other values."""
    known = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known)
    if not numeric:
        return CategoricalDistribution(sorted(map(plain, known.unique())))
    if pd.api.types.is_integer_dtype(known):
        return IntDistribution(int(known.min()), int(known.max()))
    return FloatDistribution(float(known.min()), float(known.max()), log=is_wide(known))


def plain(value: Any) -> Any:
    """Convert a numpy or pandas value to a plain Python value, with None for missing ones."""
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
