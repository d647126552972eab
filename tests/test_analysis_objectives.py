"""The objectives of a sweep, and the values of its trials for each of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from analysis.run.objectives import objective_values, objectives_of


def run_of(spec="", **columns):
    """Return what these functions need of a run with trials a, b, c; c has no measurement."""
    rows = [
        ("a", 2, 0.9, 0.3),
        ("a", 1, 0.5, 0.4),
        ("a", 3, 0.7, 0.6),
        ("b", 1, 0.2, 0.8),
        ("b", 2, np.nan, np.inf),
    ]
    return SimpleNamespace(
        spec=spec,
        path=SimpleNamespace(__truediv__=lambda *_: "spec.yaml"),
        info=SimpleNamespace(objective={"metric": "acc", "mode": "max", "at": "best"}),
        trials=pd.DataFrame({"trial_id": ["c", "b", "a"], "parameters": [30, 20, 10], **columns}),
        measurements=pd.DataFrame(rows, columns=["trial_id", "epoch", "acc", "loss"]),
    )


def values(**objective):
    return objective_values(run_of(), [objective])[objective["metric"]].tolist()


def test_a_value_is_that_of_the_best_epoch_or_of_the_last_in_the_order_of_the_trials():
    np.testing.assert_equal(values(metric="acc", mode="max", at="best"), [np.nan, 0.2, 0.9])
    np.testing.assert_equal(values(metric="acc", mode="max", at="last"), [np.nan, np.nan, 0.7])
    np.testing.assert_equal(values(metric="loss", mode="min", at="best"), [np.nan, 0.8, 0.3])
    np.testing.assert_equal(values(metric="loss", mode="min", at="last"), [np.nan, np.nan, 0.6])


def test_a_cost_is_that_of_the_trial():
    assert values(metric="parameters", mode="min", at="best") == [30, 20, 10]


def test_a_latency_is_that_of_the_network_unless_own_training_code_measures_one():
    objective = {"metric": "latency_ms", "mode": "min", "at": "best"}
    timed = run_of(latency_ms=[3.5, 2.5, None])
    found = objective_values(timed, [objective])["latency_ms"].tolist()
    np.testing.assert_equal(found, [3.5, 2.5, np.nan])
    own = run_of()
    own.measurements = own.measurements.rename(columns={"loss": "latency_ms"})
    found = objective_values(own, [objective])["latency_ms"].tolist()
    np.testing.assert_equal(found, [np.nan, 0.8, 0.3])


def test_several_objectives_have_a_column_each(tmp_path):
    pair = [
        {"metric": "loss", "mode": "min", "at": "best"},
        {"metric": "parameters", "mode": "min", "at": "best"},
    ]
    run = run_of(spec=f"objective: {pair}")
    run.path = tmp_path
    assert list(objectives_of(run)) == pair
    assert list(objective_values(run, objectives_of(run))) == ["loss", "parameters"]
    mixed = [{"metric": "acc", "mode": "max", "at": "best"}, {**pair[0], "at": "last"}]
    found = objective_values(run, mixed)
    np.testing.assert_equal(found["acc"].tolist(), [np.nan, 0.2, 0.9])
    np.testing.assert_equal(found["loss"].tolist(), [np.nan, np.nan, 0.6])
    run.spec = "objective: {metric: loss}"
    assert objectives_of(run) == (run.info.objective,)
    run.spec = ""
    assert objectives_of(run) == (run.info.objective,)
