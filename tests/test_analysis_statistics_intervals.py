"""Intervals of single models, of means over replicates, and of classes."""

from math import sqrt

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from analysis.classes.scores import per_class
from analysis.statistics.bootstrap import mean_intervals, picture_counts, stretched
from analysis.statistics.intervals import newcombe, wilson, wilson_interval
from analysis.statistics.trainings import contrast
from tests.support.trainings import trainings_of


def test_wilson_interval_follows_the_formula():
    p, n, z = 0.623371, 2225, 1.959963984540054
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    interval = wilson_interval(pd.Series([p]), pd.Series([n])).iloc[0]
    assert interval["accuracy_low"] == pytest.approx(centre - half, abs=1e-12)
    assert interval["accuracy_high"] == pytest.approx(centre + half, abs=1e-12)


def test_wilson_interval_equals_scipy():
    theirs = stats.binomtest(1387, 2225).proportion_ci(method="wilson")
    assert wilson(1387 / 2225, 2225) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_interval_of_newcombe_combines_those_of_both_accuracies():
    first, second = (56.0, 70.0), (48.0, 80.0)  # The example (a) of Newcombe 1998, table II.
    (p, low, high), (q, least, most) = (
        (right / n, *wilson(right / n, n)) for right, n in (first, second)
    )
    found = newcombe(first, second)
    assert found[0] == pytest.approx(p - q - sqrt((p - low) ** 2 + (most - q) ** 2))
    assert found[1] == pytest.approx(p - q + sqrt((high - p) ** 2 + (q - least) ** 2))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_an_unknown_accuracy_or_n_has_no_interval():
    interval = wilson_interval(pd.Series([0.5, None]), pd.Series([pd.NA, 10], dtype="Int64"))
    assert interval.isna().all(axis=None)
    assert np.isnan(wilson(0.5, np.nan)).all()


@pytest.fixture(scope="module")
def trainings():
    rng = np.random.default_rng(0)
    easy = rng.normal(0, 1, 1_000)
    skill = rng.normal(0.3, 0.1, 12)
    correct = rng.normal(0, 1, (12, 1_000)) < easy + skill[:, None]
    accuracy = correct.mean(axis=1)
    groups = {name: accuracy[3 * k : 3 * k + 3] for k, name in enumerate("abcd")}
    return trainings_of(groups, correct)


def test_means_stand_inside_their_intervals(trainings):
    found = mean_intervals(trainings)
    assert found["accuracy"].equals(trainings.means.rename("accuracy"))
    assert (found["accuracy_low"] < found["accuracy"]).all()
    assert (found["accuracy"] < found["accuracy_high"]).all()


def test_the_bootstrap_over_pictures_and_replicates_has_the_width_of_the_t_interval(trainings):
    found = mean_intervals(trainings, draws=4_000)
    ratios = []
    for name, row in found.iterrows():
        low, high = contrast(trainings, pd.Series({name: 1.0})).interval()
        # Ends from 4,000 draws are uncertain by about 3 % of the width; shares are not skew here.
        width = high - low
        assert row["accuracy_low"] == pytest.approx(low, abs=0.06 * width)
        assert row["accuracy_high"] == pytest.approx(high, abs=0.06 * width)
        ratios.append((row["accuracy_high"] - row["accuracy_low"]) / width)
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)


def test_without_predictions_the_interval_is_that_of_the_replicates():
    alone = trainings_of({"a": [0.60, 0.61, 0.62], "b": [0.63, 0.64, 0.65]})
    row = mean_intervals(alone).loc["a"]
    half = stats.t.isf(0.025, 4) * 0.01 / sqrt(3)
    assert row["accuracy_high"] - row["accuracy"] == pytest.approx(half)


def test_the_same_seed_gives_the_same_interval(trainings):
    pd.testing.assert_frame_equal(mean_intervals(trainings, seed=3), mean_intervals(trainings, 3))


def test_a_percentile_interval_is_stretched_about_its_value():
    draws = np.linspace(0, 1, 1001)
    assert stretched(draws, 0.5, 1.0) == pytest.approx((0.025, 0.975))
    assert stretched(draws, 0.5, 2.0) == pytest.approx((-0.45, 1.45))


def test_classes_equal_scikit_learn():
    rng = np.random.default_rng(0)
    truth, told = rng.integers(0, 4, (2, 300))
    told[told == 2] = 1  # a class that is never predicted
    frame = per_class(confusion_matrix(truth, told, labels=range(4)), list("abcd"))
    theirs = precision_recall_fscore_support(truth, told, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "n"), theirs, strict=True):
        assert frame[name].tolist() == pytest.approx(values.tolist())
    assert pd.isna(frame["precision_low"].iloc[2])
    row = frame.iloc[0]
    interval = stats.binomtest(round(row["recall"] * row["n"]), row["n"]).proportion_ci(
        method="wilson"
    )
    assert (row["recall_low"], row["recall_high"]) == pytest.approx((interval.low, interval.high))


def test_precision_is_of_the_pictures_told_to_be_of_the_class_and_recall_of_its_own():
    frame = per_class(np.array([[6, 2, 0], [1, 10, 9], [0, 0, 4]]), ["c", "a", "b"]).set_index(
        "class"
    )
    assert frame["n"].to_dict() == {"c": 8, "a": 20, "b": 4}
    assert frame["predicted"].to_dict() == {"c": 7, "a": 12, "b": 13}
    assert frame.loc["a", ["precision", "recall"]].tolist() == pytest.approx([10 / 12, 10 / 20])
    for name, total in (("precision", 12), ("recall", 20)):
        theirs = stats.binomtest(10, total).proportion_ci(method="wilson")
        ours = frame.loc["a", [f"{name}_low", f"{name}_high"]].tolist()
        assert ours == pytest.approx([theirs.low, theirs.high])


def test_an_interval_of_a_mean_stays_between_0_and_1():
    rng = np.random.default_rng(0)
    correct = rng.random((4, 30)) < [[0.97], [0.9], [0.02], [0.1]]
    accuracy = correct.mean(axis=1)
    found = mean_intervals(trainings_of({"high": accuracy[:2], "low": accuracy[2:]}, correct))
    assert found.loc["high", "accuracy_high"] == 1
    assert found.loc["low", "accuracy_low"] == 0


def test_where_every_draw_is_equal_the_interval_is_that_of_the_replicates():
    other = np.random.default_rng(0).random((2, 60)) < 0.6
    correct = np.vstack([np.ones((2, 60), bool), other])
    accuracy = correct.mean(axis=1)
    known = trainings_of({"sure": accuracy[:2], "other": accuracy[2:]}, correct)
    low, high = contrast(known, pd.Series({"sure": 1.0})).interval()
    row = mean_intervals(known).loc["sure"]
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx((low, min(1.0, high)))


def test_another_seed_draws_other_pictures(trainings):
    first, second = mean_intervals(trainings, seed=3), mean_intervals(trainings, seed=4)
    assert not np.allclose(first["accuracy_low"], second["accuracy_low"], atol=1e-12)
    assert first["standard_error"].equals(second["standard_error"])


def test_drawn_counts_add_up_to_the_pictures_in_every_draw():
    blocks = list(picture_counts(7, 450, np.random.default_rng(5)))
    counts = np.concatenate(blocks)
    assert counts.shape == (450, 7)
    assert (counts.sum(axis=1) == 7).all()
    # Each picture is drawn once a draw on average; 450 means are known to about 5 %.
    assert counts.mean(axis=0) == pytest.approx(1, abs=0.2)
    assert len({tuple(row) for row in counts.tolist()}) > 300
