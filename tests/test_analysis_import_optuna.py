"""What is read of a study of Optuna: values, curves, states and times."""

import math

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from analysis.imports.optuna_study import INTERMEDIATE, _found
from tune.run.trial import Status

X = {"x": optuna.distributions.FloatDistribution(0, 1)}


def trial(value, curve=None, state=TrialState.COMPLETE, **facts):
    return create_trial(
        value=value,
        params={"x": 0.5},
        distributions=X,
        intermediate_values=curve or {},
        state=state,
        **facts,
    )


def found_in(*trials, direction="maximize"):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="s", direction=direction)
    study.add_trials(trials)
    return _found(study, "sqlite:///user:secret@x.db")


@pytest.mark.parametrize(
    ("direction", "value", "curve", "at", "metrics"),
    [
        ("maximize", 0.9, {1: 0.5, 2: 0.9, 3: 0.7}, "best", ["value"]),
        ("minimize", 0.5, {1: 0.5, 2: 0.9, 3: 0.7}, "best", ["value"]),
        ("maximize", 0.7, {3: 0.7, 1: 0.5, 2: 0.9}, "last", ["value"]),
        ("maximize", 0.9, {1: math.nan, 2: 0.9, 3: 0.7}, "best", ["value"]),
        ("maximize", 0.6, {1: 0.5, 2: 0.9, 3: 0.7}, "last", [INTERMEDIATE, "value"]),
    ],
)
def test_the_value_is_that_of_the_best_epoch_of_the_last_or_a_metric_of_its_own(
    direction, value, curve, at, metrics
):
    found = found_in(trial(value, curve), direction=direction)
    assert (found.at, found.metrics()) == (at, metrics)
    assert found.mode == {"maximize": "max", "minimize": "min"}[direction]
    (read,) = found.trials
    assert set(read.measurements) == set(curve)
    if "value" in metrics[1:]:
        assert [v.get("value") for _, v in sorted(read.measurements.items())] == [None, None, 0.6]


def test_a_value_without_a_curve_is_that_of_the_first_epoch():
    (read,) = found_in(trial(0.4)).trials
    assert read.measurements == {1: {"value": 0.4}}
    assert (read.label, dict(read.values)) == ("trial 0", {"x": 0.5})


def test_states_become_statuses_with_reasons_and_only_complete_trials_have_a_value():
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    found = found_in(
        *(trial(0.5 if s is not TrialState.FAIL else None, {2: 0.5}, s) for s in states)
    )
    assert [(t.status, t.reason) for t in found.trials] == [
        (Status.COMPLETED, ""),
        (Status.EARLY_STOPPED, "pruned"),
        (Status.FAILED, "it failed; Optuna does not say why"),
    ]
    assert [t.measurements for t in found.trials] == [{2: {"value": 0.5}}] * 3
    assert found.source == "x.db, study s"


def test_seconds_are_those_between_start_and_end():
    (read,) = found_in(trial(0.4)).trials
    assert read.facts["seconds"] == pytest.approx(read.ended - read.started)
