"""Sentences about the best of two runs, on runs of a few trials that are made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.runs.compare import compare_runs
from analysis.runs.differences import (
    compare_best_models,
    model_words,
    replicate_words,
    shared_fold_words,
)
from analysis.runs.page import _facts
from analysis.runs.table import best_table
from analysis.statistics.clusters import clusters_of
from analysis.statistics.pairs import compare_models
from fairsweep.errors import UserError
from tests.support.hand_made import hand_made

NAMES = ("one", "other")


def over_folds(values, **changes):
    """A run of one configuration with these values on folds 0, 1, …, of four in a repeat."""
    count = len(values)
    settings = {
        "configuration_id": ["c"] * count,
        "name": ["net"] * count,
        "fold": list(range(count)),
        "folds": [4] * count,
        **changes,
    }
    metric = settings.pop("metric", None) or "val_accuracy"
    settings |= {f"best_{metric}": list(values), f"last_{metric}": list(values)}
    return hand_made(None if metric == "val_accuracy" else metric, **settings)


def test_over_shared_folds_an_accuracy_is_the_first_less_the_second():
    told = shared_fold_words(over_folds([0.7, 0.6, 0.65]), over_folds([0.5, 0.5]), NAMES)
    # By hand: 0.2 and 0.1 have a mean of 0.15 and a variance of 0.005; of four folds one is held
    # out, so the ratio of validation to training pictures is a third.
    error = np.sqrt((1 / 2 + 1 / 3) * 0.005)
    p = 2 * stats.t.sf(0.15 / error, 1)
    reach = 100 * stats.t.isf(0.025, 1) * error
    assert told == (
        "Over the 2 folds that both were trained on, the best configuration of one is +15.0 "
        f"percentage points (95 % interval {15 - reach:+.1f} to {15 + reach:+.1f}) from that of "
        "other (corrected resampled t test of Nadeau and Bengio 2003, "
        f"p = {p:.2g}): no difference shown."
    )


def test_over_shared_folds_a_smaller_loss_is_better_and_told_as_it_is():
    made = {"metric": "rmse", "mode": "min"}
    told = shared_fold_words(
        over_folds([5.01, 5.02, 5.03], **made), over_folds([9.0, 9.02, 9.01], **made), NAMES
    )
    assert " is -3.99 (95 % interval -4.0" in told
    assert " to -3.9" in told
    assert told.endswith(": better.")


def test_over_folds_every_pair_of_candidates_counts_unless_both_were_picked_by_the_accuracy():
    def two(best, **changes):
        values = [best, best - 0.1, 0.2, 0.1]
        return hand_made(
            best_val_accuracy=values,
            best_val_loss=[1.0, 1.0, 2.0, 2.0],
            configuration_id=list("ccdd"),
            fold=[0, 1, 0, 1],
            folds=4,
            **changes,
        )

    by_loss = {"info": {"objective": {"metric": "val_loss", "mode": "min", "at": "best"}}}

    def p_of(first, second):
        told = shared_fold_words(first, second, NAMES)
        assert "picking the best of 2 and of 2 configurations" in told
        return float(told.split("p = ")[1].split(")")[0])

    second = two(0.45)
    second.trials["best_val_accuracy"] = [0.45, 0.348, 0.2, 0.1]
    once = p_of(two(0.5), second) / 2
    assert 0 < once < 0.1
    for pair in ((two(0.5, **by_loss), second), (two(0.5), replace(second, info=LOSS_INFO))):
        assert p_of(*pair) == pytest.approx(4 * once, rel=0.05)


LOSS_INFO = hand_made(
    best_val_accuracy=[0.5],
    info={"objective": {"metric": "val_loss", "mode": "min", "at": "best"}},
).info


def test_averages_over_folds_stand_beside_those_of_the_last_epochs():
    first = over_folds([0.7, 0.6])
    first.trials["last_val_accuracy"] = [0.5, 0.4]
    frame = best_table(first, over_folds([0.5, 0.5]), NAMES).frame
    assert frame["accuracy"].tolist() == pytest.approx([0.65, 0.5])
    assert frame["last_accuracy"].tolist() == pytest.approx([0.45, 0.5])


def test_one_run_with_folds_is_enough_to_tell_of_averages():
    plain = hand_made(configuration_id=["c"], name=["net"], best_val_accuracy=[0.5])
    both = (plain, over_folds([0.7, 0.6]))
    assert any(note.startswith("Over folds: averages") for note in best_table(*both, NAMES).notes)
    assert not any("Over folds" in note for note in best_table(plain, plain, NAMES).notes)


def test_runs_with_one_fold_in_common_or_other_splits_are_not_compared():
    first = over_folds([0.7, 0.6, 0.65])
    apart = over_folds([0.7, 0.6], fold=[2, 3])
    assert shared_fold_words(first, apart, NAMES) == ""
    assert shared_fold_words(first, over_folds([0.7, 0.6], folds=[5, 5]), NAMES) == ""
    assert shared_fold_words(first, hand_made(best_val_accuracy=[0.5]), NAMES) == ""


def two_models(right, wrong, **changes):
    """A run whose best model is right on these many pictures, and then wrong on the others."""
    answers = {"t0": [True] * right + [False] * wrong}
    settings = {"best_val_accuracy": [0.9, 0.1], "n": right + wrong, **changes}
    return hand_made(answers=answers, **settings)


@pytest.mark.parametrize(
    ("changes", "family"),
    [
        ({}, 2),
        # The objective is of another epoch, so the models were not picked by what is compared.
        ({"at": "last", "last_val_accuracy": [0.9, 0.1]}, 6),
        # A configuration was trained twice, so it was picked by its mean.
        ({"configuration_id": ["c0", "c0"]}, 6),
    ],
)
def test_the_difference_of_two_models_allows_for_what_they_were_picked_from(changes, family):
    first = two_models(60, 40, **changes)
    second = hand_made(
        answers={"s0": [True] * 40 + [False] * 60},
        trial_id=["s0", "s1", "s2"],
        best_val_accuracy=[0.9, 0.1, 0.1],
        n=100,
    )
    pair = compare_best_models(first, second)
    assert (pair.n, pair.only_first, pair.only_second) == (100, 20, 0)
    told = model_words(first, second, pair, NAMES)
    assert "only the best model of one is right on 20 and only that of other on 0" in told
    assert "a difference of +20.0 percentage points" in told
    assert f"McNemar's p = {min(1, family * pair.p_value):.2g}: better." in told
    assert "picking the best of 2 and of 3 models" in told


def test_picking_is_told_if_one_of_the_runs_had_several_candidates():
    lone = hand_made(answers={"s0": [True, False]}, trial_id=["s0"], best_val_accuracy=[0.5], n=2)
    many = hand_made(answers={"t0": [True, True]}, best_val_accuracy=[0.9, 0.1, 0.1], n=2)
    for first, second, told in ((lone, many, "1 and of 3"), (many, lone, "3 and of 1")):
        pair = compare_best_models(first, second)
        assert f"the best of {told} models" in model_words(first, second, pair, NAMES)


def test_equally_good_models_are_told_within_the_margin():
    rng = np.random.default_rng(0)
    right = rng.random(40_000) < 0.6
    other = right.copy()
    other[:2] = ~other[:2]
    first = hand_made(answers={"t0": right}, best_val_accuracy=[0.6], n=40_000)
    second = hand_made(answers={"s0": other}, trial_id=["s0"], best_val_accuracy=[0.6], n=40_000)
    pair = compare_best_models(first, second)
    told = model_words(first, second, pair, NAMES)
    assert "equivalent within 1 percentage point." in told
    assert "picking" not in told
    wider = replace(first, margin=0.02)
    assert "within 2 percentage points" in model_words(wider, second, pair, NAMES)
    copies = compare_models(right, other, clusters_of(np.arange(40_000) // 1_000))
    assert "no difference shown." in model_words(first, second, copies, NAMES), "worth 40 pictures"
    assert "same training" in model_words(first, first, pair, NAMES)
    assert model_words(first, second, None, NAMES) == ""


def repeated(values, ids, **changes):
    """A run with these values, of configurations with these ids."""
    count = len(values)
    metric = {"best_rmse": values, "last_rmse": values, "metric": "rmse", "mode": "min"}
    return hand_made(
        **metric,
        configuration_id=list(ids),
        name=[f"net {name}" for name in ids],
        trial_id=[f"{ids}{number}" for number in range(count)],
        **changes,
    )


def test_replicated_configurations_with_the_lowest_mean_loss_are_compared():
    # The lowest single loss, of x, was not repeated.
    first = repeated([2.0, 2.2, 1.0, 3.0, 3.1], "aaxbb")
    second = repeated([4.0, 4.2, 4.1, 5.0, 5.1], "cccdd")
    told = replicate_words(first, second, NAMES)
    assert told.startswith(
        "Over 2 and 3 replicates, for these validation data only, the best configuration of one "
        "(net a) is -2 (95 % interval -"
    )
    assert "from that of other (net c) (t test, p = " in told
    assert "picking the best of 2 and of 2 configurations" in told
    assert ": better." in told
    turned = replicate_words(second, first, NAMES)
    assert "is +2 (95 % interval +" in turned
    assert ": worse." in turned


def test_the_same_best_configuration_in_both_is_told_and_single_trainings_are_not_compared():
    first = repeated([2.0, 2.2], "aa")
    assert replicate_words(first, repeated([2.1, 2.3, 1.0], "aax"), NAMES) == (
        "The best configuration over replicates is the same in both: net a."
    )
    assert replicate_words(first, repeated([2.0, 2.2], "bc"), NAMES) == ""


def test_replicates_on_other_pictures_are_compared_without_them():
    def twice(right, pictures, name):
        ids = [f"{name}{number}" for number in range(2)]
        return hand_made(
            answers={one: np.arange(pictures) < right + k for k, one in enumerate(ids)},
            best_val_accuracy=[(right + k) / pictures for k in range(2)],
            trial_id=ids,
            configuration_id=[name] * 2,
            n=pictures,
        )

    first = twice(30, 40, "a")
    same = replicate_words(first, twice(20, 40, "b"), NAMES)
    assert same.startswith("Over 2 and 2 replicates and the pictures, the best")
    others = replicate_words(first, twice(20, 50, "b"), NAMES)
    assert others.startswith("Over 2 and 2 replicates, for these pictures only, the best")


def on_one_dataset(run, name):
    dataset = {"path": "nowhere", "fingerprint": "f"}
    return replace(run, path=Path(name), provenance={"dataset": dataset})


def test_runs_that_report_other_metrics_or_directions_are_refused_with_both():
    first = on_one_dataset(hand_made("score", best_score=[2.0]), "one")
    other = on_one_dataset(hand_made("rmse", mode="min", best_rmse=[2.0]), "other")
    with pytest.raises(UserError, match="of one report score, those of other rmse, so the runs"):
        compare_runs(first, other)
    turned = on_one_dataset(hand_made("score", mode="min", best_score=[2.0]), "other")
    with pytest.raises(UserError, match="cannot be compared; compare runs with one objective"):
        compare_runs(first, turned)


def test_a_run_is_not_compared_with_itself_under_another_path():
    first = on_one_dataset(hand_made("score", best_score=[2.0]), "one")
    with pytest.raises(UserError, match=r"one and .*one are the same run; give two"):
        compare_runs(first, replace(first, path=Path("x/../one")))


def test_runs_over_other_folds_say_how_to_compare_them_and_nothing_of_pictures():
    first = on_one_dataset(over_folds([0.7, 0.6]), "one")
    apart = on_one_dataset(over_folds([0.7, 0.6], fold=[2, 3]), "other")
    compared = compare_runs(first, apart)
    folds, bias = compared.unknown
    assert folds.startswith("Whether the two best configurations differ: they were not trained on")
    assert "`python -m tune kfold` of both with the same --folds" in folds
    assert "selection bias" in bias
    assert all("by its average over 2 folds is net" in each for each in compared.found)
    assert len(compared.found) == 2
    same = compare_runs(first, on_one_dataset(over_folds([0.5, 0.4]), "other"))
    assert same.unknown == (bias,)
    assert len(same.found) == 3


def test_a_run_over_folds_and_one_without_say_that_their_folds_are_not_the_same():
    first = on_one_dataset(over_folds([0.7, 0.6]), "one")
    plain = on_one_dataset(hand_made(best_val_accuracy=[0.5, 0.4]), "other")
    for compared in (compare_runs(first, plain), compare_runs(plain, first)):
        folds, bias = compared.unknown
        assert "they were not trained on the same folds" in folds
        assert "selection bias" in bias


def test_facts_of_runs_that_nothing_is_known_of_say_so():
    first = hand_made(best_val_accuracy=[0.5, 0.4], path=Path("one"))
    second = hand_made(
        best_val_accuracy=[0.5], path=Path("other"), info={"searcher": "tpe", "scheduler": "asha"}
    )
    compared = compare_runs(on_one_dataset(first, "one"), on_one_dataset(second, "other"))
    assert _facts(replace(compared, runs=(first, second))) == {
        "fingerprint of the dataset": "not known",
        "one: command": "unknown",
        "one: searcher": "grid",
        "one: scheduler": "none",
        "one: trials": "2",
        "other: command": "unknown",
        "other: searcher": "tpe",
        "other: scheduler": "asha",
        "other: trials": "1",
    }
    assert _facts(compared)["fingerprint of the dataset"] == "f"
