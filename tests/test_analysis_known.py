"""What a run knows, and from when on something is judged: thresholds, on runs made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons.best import Standing
from analysis.comparisons.best_table import against_best
from analysis.comparisons.statistics import LEAST_PICTURES, against_incumbent
from analysis.effects.statistics import effects, error_of, level_means, level_table, marginal_means
from analysis.run.hyperparameters import followers, searched, words
from analysis.run.run_data import adaptive_words, add_replicates
from analysis.run.trainings import fair_trainings, has_folds, trainings_at_common_epoch
from analysis.run.trials import (
    accuracy_within,
    common_epoch,
    fairly_trained,
    incumbent,
    ranked,
    trainings,
)
from analysis.statistics.estimate import NotKnownError
from tests.support.hand_made import hand_made


@pytest.mark.parametrize(
    ("dataset", "known"),
    [
        ({"path": "data/x", "fingerprint": "f"}, True),
        ({"path": "data/x"}, True),
        ({"path": "data/x", "fingerprint": None}, False),
        ({"path": None, "fingerprint": "f"}, False),
        (None, False),
    ],
)
def test_a_run_knows_our_dataset_by_path_and_fingerprint(dataset, known):
    run = replace(hand_made(best_val_accuracy=[0.5]), provenance={"dataset": dataset})
    assert run.knows_dataset == known
    assert run.validation_words == ("these pictures" if known else "these validation data")
    assert replace(run, data=Path("moved")).knows_dataset


def test_trials_count_by_their_status_and_only_with_a_value():
    status = ["COMPLETED", "EARLY_STOPPED", "FAILED", "RUNNING", "COMPLETED", "OVER_LIMIT"]
    run = hand_made(best_val_accuracy=[0.5, 0.4, 0.3, 0.2, None, None], status=status)
    assert run.comparable["trial_id"].tolist() == ["t0", "t1"]
    assert run.completed["trial_id"].tolist() == ["t0"]
    assert run.excluded["trial_id"].tolist() == ["t2", "t5"]
    assert not run.has_pictures
    assert hand_made(best_val_accuracy=[0.5, 0.4], n=[None, 9]).has_pictures


def test_advice_and_reasons_are_those_of_the_origin():
    run = hand_made(best_val_accuracy=[0.5], info={"searcher": "tpe"})
    assert "tune extend" in add_replicates(run)
    assert "import them too" in add_replicates(replace(run, provenance={"imported": {"tool": "x"}}))
    assert adaptive_words(run) == "The searcher tpe chose configurations by earlier results"
    unknown = replace(run, info=replace(run.info, searcher="unknown"))
    assert adaptive_words(unknown).startswith("It is not known how configurations were chosen")


def test_hyperparameters_that_lead_are_the_searched_ones_with_two_values():
    run = hand_made(
        best_val_accuracy=[0.5, 0.4],
        a=[1, 2],
        b=[1, 1],
        c=[1, 2],
        d=[1, 2],
        info={
            "hyperparameters": ("a", "b", "c", "d"),
            "searched": ("c", "a", "b"),
            "tied": {"c": "a"},
        },
    )
    assert searched(run) == ["a"]
    assert followers(run, "a") == ["c"]
    assert followers(run, "c") == []
    assert words("fc_layers") == "FC layers"
    assert words("batch_size") == "batch size"


def two_configurations(count, **changes):
    """A run whose two models have ``count`` pictures each; the first one is right on most."""
    answers = {"t0": np.arange(count) < count - 2, "t1": np.arange(count) < count // 2}
    accuracy = [float(right.mean()) for right in answers.values()]
    return hand_made(answers=answers, best_val_accuracy=accuracy, n=count, **changes)


def test_nothing_is_compared_on_fewer_than_thirty_pictures():
    assert LEAST_PICTURES == 30
    found = against_incumbent(two_configurations(30))
    assert (found.basis, found.candidates, found.reference) == ("models", 2, "t0")
    assert (found.pictures, found.on_pictures) == (30, True)
    assert found.means["trainings"].tolist() == [1, 1]
    with pytest.raises(NotKnownError, match=r"too few pictures \(29\) to judge"):
        against_incumbent(two_configurations(29))


def models(*right, pictures):
    """Models that are right on the first so many pictures."""
    answers = {f"t{k}": np.arange(pictures) < count for k, count in enumerate(right)}
    accuracy = [count / pictures for count in right]
    return hand_made(answers=answers, best_val_accuracy=accuracy, n=pictures)


@pytest.mark.parametrize(
    ("pictures", "told"), [(200, Standing.MAY_BE), (300, Standing.AS_GOOD)], ids=str
)
def test_a_model_is_as_good_as_the_best_only_on_enough_pictures(pictures, told):
    assert set(against_best(models(100, 100, pictures=pictures))["verdict"]) == {told}


def test_equal_models_stand_in_the_order_of_their_trials():
    run = models(*[12, 18, 15] * 8, pictures=30)  # more than an unstable sort leaves in order
    order = [f"t{number}" for rest in (1, 2, 0) for number in range(rest, 24, 3)]
    compared = against_incumbent(run)
    assert [compared.reference, *compared.means.index[1:]] == order
    assert against_best(run)["id"].tolist() == order


def test_what_cannot_be_compared_says_why():
    none = two_configurations(30, status="EARLY_STOPPED")
    with pytest.raises(NotKnownError, match="no trial was trained to the end"):
        against_incumbent(none)
    with pytest.raises(NotKnownError, match="only one fully trained configuration"):
        against_incumbent(two_configurations(30, status=["COMPLETED", "FAILED"]))
    run = two_configurations(30)
    lacking = replace(run, answers={"t0": run.answers["t0"]})
    with pytest.raises(NotKnownError, match="no predictions of the compared epoch for every"):
        against_incumbent(lacking)
    with pytest.raises(NotKnownError, match="no predictions on single pictures that give"):
        against_incumbent(hand_made("rmse", mode="min", best_rmse=[2.0, 3.0], n=40))


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({}, False),  # A grid of one training each has no intervals.
        ({"info": {"sampling": "drawn"}}, True),
        ({"configuration_id": ["c", "c"]}, True),
        ({"configuration_id": ["c", "c"], "fold": [0, 1]}, False),
    ],
)
def test_predictions_are_read_where_an_interval_needs_them(changes, read):
    run = two_configurations(40, **changes)
    assert (fair_trainings(run).correct is not None) == read


def test_larger_is_better_in_the_trainings_of_a_loss():
    run = hand_made("rmse", mode="min", best_rmse=[2.0, 3.0])
    assert fair_trainings(run).accuracy.to_dict() == {"t0": -2.0, "t1": -3.0}


def grid(values, *, sampling="every", **changes):
    """A run over depths 1 and 2 and widths 8 and 16 with these values at each point."""
    repeats = len(values) // 4
    points = [(depth, width) for depth in (1, 2) for width in (8, 16) for _ in range(repeats)]
    names = ("depth", "width")
    run = hand_made(
        "score",
        best_score=list(values),
        last_score=list(values),
        configuration_id=[f"{depth} {width}" for depth, width in points],
        depth=[depth for depth, _ in points],
        width=[width for _, width in points],
        info={"hyperparameters": names, "searched": names, "sampling": sampling},
        **changes,
    )
    rows = [
        {"trial_id": trial_id, "epoch": epoch, "score": value}
        for trial_id, value in zip(run.trials["trial_id"], values, strict=True)
        for epoch in (1, 2)
    ]
    return replace(run, measurements=type(run.trials)(rows))


def test_effects_are_tested_against_what_the_search_allows():
    once, twice = [1.0, 2.0, 3.0, 5.0], [1.0, 1.1, 2.0, 2.1, 3.0, 3.1, 5.0, 5.1]
    assert error_of(grid(twice)) == "replicates"
    assert error_of(grid(once)) == "replicates"
    assert error_of(grid(once, sampling="drawn")) == "configurations"
    assert error_of(grid(twice, sampling="adaptive")) == "none"
    # One combination of the grid is missing.
    status = ["COMPLETED"] * 6 + ["FAILED"] * 2
    assert error_of(grid(twice, status=status)) == "configurations"
    assert error_of(grid(once, status=["COMPLETED"] * 3 + ["FAILED"])) == "replicates"


def test_configurations_that_differ_in_nothing_that_was_searched_have_no_effects():
    run = grid([1.0, 2.0, 3.0, 5.0])
    same = replace(run, trials=run.trials.assign(depth=1, width=8))
    with pytest.raises(NotKnownError, match="no hyperparameter has two values among the comp"):
        level_table(same)
    one = replace(run, trials=run.trials.head(1))
    with pytest.raises(NotKnownError, match="no hyperparameter has two values among the comp"):
        level_table(one)


def test_means_of_levels_are_over_configurations_with_the_error_of_the_search():
    twice = [1.0, 1.2, 2.0, 2.2, 3.0, 3.2, 5.0, 5.2]
    frame = marginal_means(grid(twice)).set_index(["hyperparameter", "level"])
    assert frame["mean"].tolist() == pytest.approx([1.6, 4.1, 2.1, 3.6])
    assert frame["effect"].tolist() == pytest.approx([-1.25, 1.25, -0.75, 0.75])
    assert frame["configurations"].tolist() == [2] * 4
    assert frame["trainings"].tolist() == [4] * 4
    # By hand: each configuration has a variance of 0.02, of 4 degrees of freedom together.
    reach = 2.776445 * np.sqrt(0.02 / 4)
    assert frame["high"].iloc[0] - 1.6 == pytest.approx(reach, rel=1e-4)
    assert frame["effect_high"].iloc[0] + 1.25 == pytest.approx(
        2.776445 * np.sqrt(0.02 / 8), rel=1e-4
    )
    guided = marginal_means(grid(twice, sampling="adaptive"))
    assert guided["mean"].tolist() == pytest.approx([1.6, 4.1, 2.1, 3.6])
    assert guided[["low", "high"]].isna().all(axis=None)
    assert marginal_means(grid([1.0, 2.0, 3.0, 5.0]))["low"].isna().all()


def test_means_at_any_levels_are_those_of_the_levels():
    run = grid([1.0, 1.2, 2.0, 2.2, 3.0, 3.2, 5.0, 5.2])
    known = level_means(run, level_table(run)["depth"])
    expected = marginal_means(run).set_index("level").loc[["1", "2"], ["mean", "low", "high"]]
    assert known.to_numpy() == pytest.approx(expected.to_numpy())


def test_only_a_grid_has_interactions():
    values = [1.0, 1.1, 2.0, 2.1, 3.0, 3.1, 5.0, 5.1]
    assert effects(grid(values))["term"].tolist()[:3] == ["depth", "width", "depth × width"]
    assert "depth × width" not in set(effects(grid(values, sampling="drawn"))["term"])
    single = grid(values, status=["COMPLETED"] * 2 + ["FAILED"] * 6)
    with pytest.raises(NotKnownError, match="no hyperparameter has two values"):
        level_table(single)


def test_trials_that_were_stopped_are_compared_at_the_last_epoch_of_all():
    run = grid([1.0, 2.0, 3.0, 5.0], status=["COMPLETED"] * 3 + ["EARLY_STOPPED"])
    rows = run.measurements
    cut = rows[(rows["trial_id"] != "t3") | (rows["epoch"] < 2)].copy()
    cut.loc[cut["epoch"] == 2, "score"] = 9.0
    early = trainings_at_common_epoch(replace(run, measurements=cut))
    assert early.accuracy.to_dict() == {"t0": 1.0, "t1": 2.0, "t2": 3.0, "t3": 5.0}
    assert fair_trainings(run).accuracy.index.tolist() == ["t0", "t1", "t2"]


def test_the_rule_for_the_incumbent_is_given_the_facts_of_each_trial():
    run = hand_made(
        "rmse",
        mode="min",
        at="last",
        best_rmse=[1.0, 2.0, 3.0],
        last_rmse=[4.0, None, 6.0],
        fold=pd.array([3, None, 0], "Int64"),
        phase=["search", "finalist", "search"],
        status=["COMPLETED", "FAILED", "EARLY_STOPPED"],
        number=[7, 8, 9],
        configuration_id=["c", "c", "d"],
    )
    told = trainings(run)
    assert [one.fold for one in told] == [3, None, 0]
    assert [one.score for one in told] == pytest.approx([-4.0, np.nan, -6.0], nan_ok=True)
    assert [(one.trial_id, one.configuration_id, one.number) for one in told] == [
        ("t0", "c", 7), ("t1", "c", 8), ("t2", "d", 9),
    ]  # fmt: skip
    assert [(one.phase, one.status) for one in told] == [
        ("search", "COMPLETED"), ("finalist", "FAILED"), ("search", "EARLY_STOPPED"),
    ]  # fmt: skip
    assert [one.fold for one in trainings(hand_made(best_val_accuracy=[0.5, 0.4]))] == [None] * 2


def test_a_configuration_is_the_incumbent_by_its_mean_over_folds():
    facts = {"configuration_id": list("aabb"), "name": list("aabb"), "fold": [0, 1, 0, 1]}
    run = hand_made(best_val_accuracy=[0.9, 0.1, 0.6, 0.5], **facts)
    assert incumbent(run)["configuration_id"] == "b"
    assert has_folds(run)
    assert not has_folds(hand_made(best_val_accuracy=[0.9, 0.1], fold=[1, 1]))


def test_trials_are_ranked_by_status_then_value_then_number_and_unknown_values_last():
    status = ["FAILED", "EARLY_STOPPED", *["COMPLETED"] * 4, "DIVERGED", "EARLY_STOPPED"]
    values = [0.1, 0.9, None, 0.5, 0.7, 0.5, 0.3, 0.2]
    numbers = [0, 1, 2, 9, 4, 5, 6, 7]
    settings = {"status": status, "number": numbers}
    run = hand_made(best_val_accuracy=values, **settings)
    assert ranked(run)["number"].tolist() == [4, 5, 9, 2, 1, 7, 6, 0]
    loss = hand_made("rmse", mode="min", best_rmse=values, **settings)
    assert ranked(loss)["number"].tolist() == [5, 9, 4, 2, 7, 1, 0, 6]
    assert list(ranked(run)) == list(run.trials)


def test_a_value_within_some_epochs_is_that_of_the_first_best_epoch_or_of_the_last_one():
    rows = [("t0", 3, 0.5), ("t0", 1, 0.7), ("t0", 2, 0.7), ("t0", 4, 0.9), ("t1", 2, None)]
    rows += [("t1", 1, 0.2), ("t2", 3, 0.4)]
    frame = pd.DataFrame(rows, columns=["trial_id", "epoch", "val_accuracy"])
    frame["val_loss"] = [0.3, 0.6, 0.2, 0.1, 0.5, 0.5, 0.5]
    made = {"best_val_accuracy": [0.9, 0.2, 0.4], "status": "COMPLETED"}
    run = replace(hand_made(**made), measurements=frame)
    assert accuracy_within(run, 3).to_dict() == {"t0": 0.7, "t1": 0.2, "t2": 0.4}
    assert accuracy_within(run, 2).to_dict() == {"t0": 0.7, "t1": 0.2}
    last = replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
    assert accuracy_within(last, 3).to_dict() == {"t0": 0.5, "t1": 0.2, "t2": 0.4}
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    by_loss = replace(run, info=replace(run.info, objective=objective))
    assert accuracy_within(by_loss, 4)["t0"] == 0.9, "the accuracy at the epoch of the best loss"
    assert accuracy_within(by_loss, 3)["t0"] == 0.7
    assert common_epoch(run) == 1  # the second trial has no accuracy after its first epoch
    broken = [*made["status"].split(), "FAILED", "COMPLETED"]
    assert common_epoch(replace(run, trials=run.trials.assign(status=broken))) == 3


def test_trainings_that_picked_a_finalist_count_only_where_the_incumbent_has_no_other():
    phases = ["search", "search", "search", "finalist"]
    facts = {"configuration_id": list("abca"), "phase": phases}
    run = hand_made(best_val_accuracy=[0.9, 0.8, 0.7, 0.6], **facts)
    fair = fairly_trained(run)
    assert fair["trial_id"].tolist() == ["t3"]
    assert fair["accuracy"].tolist() == [0.6]
    status = ["COMPLETED"] * 3 + ["FAILED"]
    none = hand_made(best_val_accuracy=[0.9, 0.8, 0.7, 0.6], status=status, **facts)
    assert fairly_trained(none)["trial_id"].tolist() == ["t0", "t1", "t2"]
