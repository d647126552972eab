"""How Optuna is told the range of a hyperparameter."""

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.run.distributions import distribution, plain


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([7, 3, pd.NA], dtype="Int64"), IntDistribution(3, 7)),
        (pd.Series([0.5, 0.1, np.nan]), FloatDistribution(0.1, 0.5)),
        (pd.Series([0.1, 0.001, 0.01]), FloatDistribution(0.001, 0.1, log=True)),
        (pd.Series(["sgd", None, "adam"]), CategoricalDistribution(["adam", "sgd"])),
        (pd.Series([True, False]), CategoricalDistribution([False, True])),
    ],
)
def test_numbers_are_a_range_and_words_a_choice(values, expected):
    assert distribution(values) == expected


def test_a_missing_value_is_none_and_a_number_is_pythons_own():
    assert plain(pd.NA) is None
    assert plain(np.nan) is None
    assert plain("adam") == "adam"
    assert type(plain(np.int64(3))) is int
    assert type(plain(np.float64(0.5))) is float
