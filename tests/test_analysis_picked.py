"""Differences of candidates that were picked as the best, and verdicts about terms of a model."""

import numpy as np
import pandas as pd
import pytest

from analysis.effects.design import (
    LEAST_SHARE,
    MATTERS,
    NO_EFFECT,
    NO_VERDICT,
    SMALL,
    TABLES,
    can_tell_pairs,
    contrasts,
    design,
    is_complete,
    term_text,
    terms_of,
    with_verdicts,
)
from analysis.runs.picked import Candidates, picked_difference
from analysis.statistics.estimate import Estimate
from analysis.statistics.verdicts import Verdict


def test_a_lead_is_compared_with_the_candidates_of_the_run_that_is_ahead():
    few_and_many = Candidates(first=2, second=5)
    assert (few_and_many.ahead(0.1), few_and_many.ahead(-0.1), few_and_many.ahead(0)) == (2, 5, 5)
    other = Candidates(first=2, second=5, by_compared=False)
    assert (other.ahead(0.1), other.ahead(-0.1)) == (10, 10)
    assert str(Candidates(first=1200, second=5)) == "1,200 and of 5"


def test_interval_and_p_allow_for_picking_on_the_side_that_they_are_about():
    estimate = Estimate(value=0.03, standard_error=0.01, df=20)
    found = picked_difference(estimate, Candidates(first=2, second=5), margin=0.0, pictures=1000)
    assert found.value == 0.03
    assert found.low == pytest.approx(estimate.interval(2)[0])
    assert found.high == pytest.approx(estimate.interval(5)[1])
    assert found.p_value == pytest.approx(2 * estimate.p_value)
    assert found.verdict is Verdict.BETTER
    worse = Estimate(value=-0.03, standard_error=0.01, df=20)
    back = picked_difference(worse, Candidates(first=2, second=5), margin=0.0, pictures=1000)
    assert back.p_value == pytest.approx(5 * estimate.p_value)
    assert back.verdict is Verdict.WORSE
    given = picked_difference(
        estimate,
        Candidates(first=3, second=1),
        margin=0.0,
        pictures=1000,
        p_value=0.4,
        interval=lambda family: (-family, family),
    )
    assert (given.low, given.high, given.p_value) == (-3, 1, 1.0)
    assert given.verdict is Verdict.NOT_SHOWN


def test_equivalence_allows_for_the_picking_of_the_run_with_more_candidates():
    estimate = Estimate(value=0.0, standard_error=0.004)
    for candidates in (Candidates(first=1, second=50), Candidates(first=50, second=1)):
        found = picked_difference(estimate, candidates, margin=0.01, pictures=1e9)
        assert found.verdict is Verdict.NOT_SHOWN
    few = picked_difference(estimate, Candidates(first=1, second=1), margin=0.01, pictures=1e9)
    assert few.verdict is Verdict.EQUIVALENT


def test_terms_are_single_hyperparameters_and_then_pairs():
    levels = pd.DataFrame({"a": ["1", "2"], "b": ["x", "x"], "c": ["y", "z"]})
    assert terms_of(levels, interactions=False) == [("a",), ("b",), ("c",)]
    assert terms_of(levels, interactions=True)[3:] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert term_text(("a", "b")) == "a × b"


def grid(*counts):
    places = np.indices(counts).reshape(len(counts), -1).T
    return pd.DataFrame(places, columns=list("abc")[: len(counts)])


def test_columns_add_up_to_zero_over_levels_and_pairs_are_products():
    levels = grid(2, 3)
    a, b, both = design(levels, [("a",), ("b",), ("a", "b")])
    assert (a.shape[1], b.shape[1], both.shape[1]) == (1, 2, 2)
    for columns in (a, b, both):
        assert columns.sum(axis=0) == pytest.approx(0)
    assert both == pytest.approx(a * b)
    wide, high, pair = design(grid(3, 3), [("a",), ("b",), ("a", "b")])
    products = [wide[:, i] * high[:, j] for i in range(2) for j in range(2)]
    assert pair == pytest.approx(np.stack(products, axis=1))


def test_a_design_is_complete_if_each_combination_is_there_as_often():
    whole = grid(2, 3)
    assert is_complete(whole)
    assert is_complete(pd.concat([whole, whole]))
    assert not is_complete(whole.iloc[1:])
    assert not is_complete(pd.concat([whole, whole.iloc[:1]]))
    assert can_tell_pairs(whole)
    assert not can_tell_pairs(whole.iloc[1:])


def test_contrasts_are_adjusted_for_the_other_terms_but_not_for_those_that_contain_theirs():
    levels = grid(2, 2).drop(index=3)
    terms = terms_of(levels, interactions=False)
    (weights,) = contrasts(levels, terms, ("a",))
    # In the one pair that differs in a alone.
    assert np.abs(weights) == pytest.approx(np.array([1, 0, 1]) / np.sqrt(2))
    (of_main,) = contrasts(grid(2, 2), terms_of(levels, interactions=True), ("a",))
    assert np.abs(of_main) == pytest.approx(np.full(4, 0.5))
    uneven = pd.concat([grid(2, 2), grid(2, 2).iloc[:1]])
    beside_b, beside_their_pair = (
        contrasts(uneven, terms_of(uneven, interactions=pairs), ("a",)) for pairs in (False, True)
    )
    assert np.abs(beside_their_pair) == pytest.approx(np.abs(beside_b))
    tied = pd.DataFrame({"a": [0, 1, 2], "b": [0, 1, 2]})
    assert len(contrasts(tied, terms_of(tied, interactions=False), ("a",))) == 0


def test_a_verdict_is_about_holm_s_p_for_two_tables_and_a_share_that_would_show():
    fitted = pd.DataFrame(
        {
            "p_value": [0.001, 0.0124, np.nan, 0.6],
            "share": [LEAST_SHARE, LEAST_SHARE - 1e-9, 0.5, 0.5],
        }
    )
    found = with_verdicts(fitted)
    assert found["p_adjusted"].tolist()[:2] == pytest.approx([TABLES * 0.003, TABLES * 0.0248])
    assert np.isnan(found["p_adjusted"].iloc[2])
    assert found["p_adjusted"].iloc[3] == 1
    assert found["verdict"].tolist() == [MATTERS, SMALL, NO_VERDICT, NO_EFFECT]
    for p, verdict in ((0.0249, MATTERS), (0.0251, NO_EFFECT)):
        single = fitted.head(1).assign(p_value=p)
        assert with_verdicts(single)["verdict"].tolist() == [verdict]
