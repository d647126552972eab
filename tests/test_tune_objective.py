import math
from dataclasses import replace

import pytest

from tests.support.sweeps import new_sweep, play, small_spec, train
from tune.run.objective import curve, curve_point, scores, value
from tune.run.trial import Measurement, Status, Trial, is_metric_name
from tune.sweep.pareto import undominated
from tune.sweep.spec import ObjectiveSpec

COST = [{"metric": "val_accuracy"}, {"metric": "parameters", "mode": "min"}]


def trial_of(accuracies, **changes):
    measurements = [
        Measurement(epoch=epoch, values={"val_accuracy": one, "val_loss": 1 - one})
        for epoch, one in enumerate(accuracies, start=1)
    ]
    return Trial(
        id="t", configuration_id="c", number=0, name="n", phase="search", replicate=0, config={},
        epochs=9, measurements=measurements, **changes,
    )  # fmt: skip


def test_a_value_is_that_of_the_best_epoch_or_the_last():
    trial = trial_of([0.2, 0.6, 0.4])
    assert value(ObjectiveSpec(), trial) == 0.6
    assert value(ObjectiveSpec(at="last"), trial) == 0.4
    assert value(ObjectiveSpec(metric="val_loss", mode="min"), trial) == pytest.approx(0.4)


def test_a_cost_is_a_figure_of_the_whole_trial():
    trial = trial_of([0.2], parameters=12, seconds=3.0, devices=0.5)
    assert value(ObjectiveSpec(metric="parameters", mode="min"), trial) == 12
    assert value(ObjectiveSpec(metric="device_seconds", mode="min"), trial) == 1.5


def test_a_latency_is_that_of_the_network_or_what_the_users_code_has_measured():
    latency = ObjectiveSpec(metric="latency_ms", mode="min")
    measured = Measurement(epoch=1, values={"latency_ms": 7.5})
    own = replace(trial_of([]), measurements=[measured])
    assert value(latency, own) == 7.5
    assert value(latency, replace(own, latency_ms=2.5)) == 2.5
    assert value(latency, trial_of([0.2])) is None


def test_a_value_that_is_not_known_is_none():
    assert value(ObjectiveSpec(), trial_of([])) is None
    assert value(ObjectiveSpec(at="last"), trial_of([math.nan])) is None
    both = (ObjectiveSpec(), ObjectiveSpec(metric="parameters", mode="min"))
    assert scores(both, trial_of([0.2])) is None
    assert scores(both, trial_of([0.2], parameters=7)) == [0.2, -7]


def test_a_value_that_is_not_finite_at_one_epoch_does_not_hide_those_of_others():
    trial = trial_of([0.2, math.nan, 0.4, math.inf])
    assert value(ObjectiveSpec(), trial) == 0.4
    assert value(ObjectiveSpec(at="last"), trial) is None
    assert curve(ObjectiveSpec(), trial)[:3] == [0.2, 0.2, 0.4]
    (nan,) = curve(ObjectiveSpec(at="last"), trial_of([math.nan]))
    assert math.isnan(nan)
    assert curve(ObjectiveSpec(), trial_of([math.nan])) == [-math.inf]
    worse = Measurement(epoch=2, values={"val_accuracy": 0.1})
    assert curve_point(ObjectiveSpec(), worse, 0.3) == 0.3
    assert curve_point(ObjectiveSpec(at="last"), worse, 0.3) == 0.1


def test_scores_stand_in_the_order_of_the_objectives_and_larger_is_better():
    several = (
        ObjectiveSpec(metric="val_loss", mode="min"),
        ObjectiveSpec(at="last"),
        ObjectiveSpec(metric="device_seconds", mode="min"),
    )
    trial = trial_of([0.25, 0.75, 0.5], seconds=3.0, devices=2.0)
    assert scores(several, trial) == [-0.25, 0.5, -6.0]


def test_a_curve_is_so_far_the_best_and_larger_is_better():
    trial = trial_of([0.2, 0.6, 0.4])
    assert curve(ObjectiveSpec(), trial) == [0.2, 0.6, 0.6]
    assert curve(ObjectiveSpec(at="last"), trial) == [0.2, 0.6, 0.4]
    assert curve(ObjectiveSpec(metric="val_loss", mode="min"), trial) == pytest.approx(
        [-0.8, -0.4, -0.4]
    )


def test_the_front_holds_what_nothing_beats():
    rows = [(1, 5), (2, 4), (2, 3), (3, 1), (1, 5), (0, 0)]
    assert undominated(rows) == [0, 1, 3, 4]
    assert undominated([]) == []


def test_the_front_of_a_sweep_trades_accuracy_for_parameters():
    spec = small_spec(objective=COST, scheduler={"name": "none"})
    sweep, ledger = new_sweep(spec)
    play(sweep, parameters=lambda trial: 100 * trial.config["channels"] + trial.config["blocks"])
    front = [(sweep.values(trial)["val_accuracy"], trial.parameters) for trial in sweep.front]
    assert sweep.front[0] is sweep.incumbent
    assert 1 < len(front) < len(sweep.trials)
    assert front == sorted(front, reverse=True), "less accurate ones are smaller"
    for trial in sweep.trials.values():
        beaten = any(
            accuracy >= sweep.objective(trial) and parameters <= trial.parameters
            for accuracy, parameters in front
        )
        assert beaten
    assert {trial.id for trial in sweep.front} <= sweep.worth_keeping(1)
    again, _ = new_sweep(spec, ledger)
    assert [trial.id for trial in again.front] == [trial.id for trial in sweep.front]


def test_a_trial_that_was_not_trained_whole_is_not_on_the_front():
    sweep, _ = new_sweep(small_spec(objective=COST, scheduler={"name": "none"}))
    play(sweep, steps=13)
    assert [trial.status for trial in sweep.front] == [Status.COMPLETED]


@pytest.mark.parametrize(
    ("name", "ok"),
    [
        ("loss", True), ("val_f1", True), ("F1", True), ("latency_ms", True), ("times", True),
        ("_f1", False), ("1f", False), ("a b", False), ("", False), ("epoch", False),
        ("time", False), ("trial", False), ("trial_id", False), ("seconds", False),
        ("images_per_second", False), ("parameters", False), ("device_seconds", False),
    ],
)  # fmt: skip
def test_a_metric_is_a_word_that_is_no_other_column_of_the_tables(name, ok):
    assert is_metric_name(name) is ok


@pytest.mark.parametrize("name", ["loss", "val_loss", "train_loss"])
def test_a_training_whose_loss_is_no_number_has_diverged_and_no_other(name):
    assert Measurement(epoch=1, values={name: math.inf, "f1": 0.5}).diverged
    assert not Measurement(epoch=1, values={name: 0.5, "f1": math.nan, "lossy": math.nan}).diverged


def test_each_objective_has_its_own_value():
    sweep, _ = new_sweep(small_spec(objective=[*COST, "val_loss"], scheduler={"name": "none"}))
    trial = train(sweep, 0.5, 0.75)
    assert sweep.values(trial) == {"val_accuracy": 0.75, "parameters": 7, "val_loss": 0.25}
