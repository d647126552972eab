"""Names, levels and scales of hyperparameters, as tables and figures share them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.run.hyperparameters import (
    checked,
    followers,
    is_continuous,
    is_wide,
    level_text,
    levels,
    searched,
    words,
)
from analysis.run.run_data import read_run
from tests.support.run_factory import Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    factory = Factory(configurations=4, replicates=1, faults=False, early_stopping=False)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "one run"))


def test_searched_are_those_with_two_values_that_follow_no_other(run):
    assert searched(run) == ["kernel_size", "blocks", "channels", "conv_depth"]
    same = replace(run, trials=run.trials.assign(channels=8))
    assert searched(same) == ["kernel_size", "blocks", "conv_depth"]
    one_or_none = run.trials["channels"].where(run.trials["channels"] == 8)
    assert "channels" not in searched(replace(run, trials=run.trials.assign(channels=one_or_none)))


def test_followers_are_told_by_their_leader(run):
    assert followers(run, "blocks") == ["fc_layers"]
    assert followers(run, "fc_layers") == []


def test_a_name_of_the_run_is_taken_as_it_is_and_another_refused_with_what_there_is(run):
    assert checked(run, "fc_layers") == "fc_layers"
    with pytest.raises(ValueError, match=r"of one run, but got 'chanels'; did you mean channels\?"):
        checked(run, "chanels")
    with pytest.raises(ValueError, match="it has family, architecture, kernel_size"):
        checked(run, "xyz")


def test_names_are_told_in_words():
    told = [words(name) for name in ("fc_layers", "fc_width", "conv_depth", "learning_rate")]
    assert told == ["FC layers", "FC width", "convolution depth", "learning rate"]


def test_more_than_eight_numbers_are_continuous():
    assert not is_continuous(pd.Series(range(8)))
    assert is_continuous(pd.Series(range(9)))
    assert not is_continuous(pd.Series(list("abcdefghi")))
    assert not is_continuous(pd.Series([True, False] * 10))


def test_numbers_that_span_a_factor_of_fifty_are_wide():
    assert is_wide(pd.Series([0.1, 5.0]))
    assert not is_wide(pd.Series([0.1, 4.9]))
    assert not is_wide(pd.Series([0.0, 100.0]))


def test_a_level_is_written_with_four_digits_if_it_is_a_fraction():
    told = [level_text(value) for value in (0.00123456, 20000, "adam", None, True, 12345.0)]
    assert told == ["0.001235", "20000", "adam", "–", "True", "1.234e+04"]


def test_words_are_ordered_by_name_and_an_unused_level_comes_last():
    found = levels(pd.Series(["sgd", None, "adam"], index=[5, 3, 4]))
    assert found.tolist() == ["sgd", "–", "adam"]
    assert found.index.tolist() == [5, 3, 4]
    assert found.cat.categories.tolist() == ["adam", "sgd", "–"]
    assert found.cat.ordered


def test_numbers_are_ordered_as_numbers_not_as_words():
    assert levels(pd.Series([16, 4, 128])).cat.categories.tolist() == ["4", "16", "128"]


def test_a_continuous_hyperparameter_is_cut_into_quarters_named_by_their_ends():
    values = pd.Series([*np.arange(1.0, 13.0)[::-1], np.nan])
    found = levels(values)
    spans = ["1 to 3", "4 to 6", "7 to 9", "10 to 12"]
    assert found.cat.categories.tolist() == [*spans, "–"]
    assert found.tolist() == [span for span in spans[::-1] for _ in range(3)] + ["–"]


def test_ranges_of_a_continuous_hyperparameter_are_fewer_where_many_values_are_equal():
    found = levels(pd.Series([1.0] * 20 + [float(value) for value in range(2, 12)]))
    assert found.cat.categories.tolist() == ["1 to 3", "4 to 11"]
    assert found.value_counts().to_dict() == {"1 to 3": 22, "4 to 11": 8}
