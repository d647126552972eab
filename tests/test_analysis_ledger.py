"""What the ledger alone tells: the order of measurements, what they had cost, and when."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from analysis.run.ledger import progress, times
from analysis.run.run_data import RunData
from tests.support.run_factory import default_info
from tune.run.directory import LEDGER_FILE


def run_with(path, events, rest="", **objective):
    """A run of which only the ledger is there."""
    path.mkdir(exist_ok=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    (path / LEDGER_FILE).write_text(text + rest)
    nothing = pd.DataFrame()
    info = default_info()
    info = replace(info, objective={**info.objective, **objective})
    return RunData(
        path=path, info=info, trials=nothing, measurements=nothing, provenance={}, spec=""
    )


def started(trial, devices, time=0.0):
    return {"event": "trial_started", "trial": trial, "devices": devices, "time": time}


def measured(trial, epoch, accuracy, seconds=3600.0, time=0.0):
    loss = None if accuracy is None else 2 - accuracy
    values = {"val_accuracy": accuracy, "val_loss": loss, "seconds": seconds}
    return {"event": "measurement", "trial": trial, "epoch": epoch, "values": values, "time": time}


EVENTS = [
    {"event": "sweep_started", "time": 1.0},
    started("a", 0.5),
    started("b", 4.0),
    measured("b", 1, 0.5, seconds=900.0),
    measured("a", 1, 0.7, seconds=1800.0),
    measured("b", 2, 0.6, seconds=900.0),
    measured("a", 2, 0.4, seconds=1800.0),
    measured("unstarted", 1, None, seconds=7200.0),
]


def test_device_hours_add_up_in_the_order_of_the_ledger(tmp_path):
    data = progress(run_with(tmp_path, EVENTS))
    assert data["trial_id"].tolist() == ["b", "a", "b", "a", "unstarted"]
    assert data["epoch"].tolist() == [1, 1, 2, 2, 1]
    # 4 devices for 900 s are 1 hour, half of one for 1800 s a quarter; unknown devices count as 1.
    assert data["device_hours"].tolist() == [1.0, 1.25, 2.25, 2.5, 4.5]


def test_a_measurement_without_seconds_costs_nothing(tmp_path):
    data = progress(run_with(tmp_path, [measured("a", 1, 0.5, seconds=None), *EVENTS]))
    assert data["device_hours"].tolist() == [0.0, 1.0, 1.25, 2.25, 2.5, 4.5]


def test_a_trial_that_was_started_again_counts_by_its_last_devices(tmp_path):
    events = [started("a", 0.5), started("a", 2.0), measured("a", 1, 0.5)]
    assert progress(run_with(tmp_path, events))["device_hours"].tolist() == [2.0]


def test_the_best_so_far_is_the_highest_accuracy(tmp_path):
    data = progress(run_with(tmp_path, EVENTS))
    assert data["value"].tolist()[:4] == [0.5, 0.7, 0.6, 0.4]
    assert data["best"].tolist() == [0.5, 0.7, 0.7, 0.7, 0.7]


def test_the_best_so_far_is_the_lowest_loss_where_the_objective_is_to_be_small(tmp_path):
    data = progress(run_with(tmp_path, EVENTS, metric="val_loss", mode="min"))
    assert data["value"].tolist()[:4] == [1.5, 1.3, 1.4, 1.6]
    assert data["best"].tolist() == [1.5, 1.3, 1.3, 1.3, 1.3]


def test_at_last_only_the_last_epoch_of_each_trial_may_be_the_best(tmp_path):
    data = progress(run_with(tmp_path, EVENTS, at="last"))
    assert data["best"].isna().tolist() == [True, True, False, False, False]
    assert data["best"].tolist()[2:] == [0.6, 0.6, 0.6]


def test_a_half_written_last_line_is_left_out(tmp_path):
    whole = progress(run_with(tmp_path / "whole", EVENTS))
    half = progress(run_with(tmp_path / "half", EVENTS, rest='{"event": "measurement", "tri'))
    pd.testing.assert_frame_equal(whole, half)


def test_a_ledger_without_measurements_has_no_progress(tmp_path):
    assert progress(run_with(tmp_path, EVENTS[:3])).empty


def test_a_trial_lasts_from_its_first_start_to_the_last_that_is_heard_of_it(tmp_path):
    events = [
        {"event": "trial_proposed", "trial": "a", "time": 1.0},
        started("a", 1.0, time=5.0),
        measured("a", 1, 0.5, time=7.0),
        started("a", 1.0, time=8.0),
        measured("a", 2, 0.5, time=9.0),
        {"event": "trial_ended", "trial": "a", "time": 11.0},
        {"event": "test_opened", "trial": "a", "time": 30.0},
        started("b", 1.0, time=12.0),
        {"event": "sweep_finished", "time": 40.0},
    ]
    assert times(run_with(tmp_path, events)) == {"a": (5.0, 11.0), "b": (12.0, 12.0)}


def test_a_number_of_a_metric_that_is_no_accuracy_is_read_too(tmp_path):
    events = [started("a", 1.0), measured("a", 1, 0.25)]
    assert progress(run_with(tmp_path, events, metric="val_loss"))["value"].tolist() == [
        pytest.approx(1.75)
    ]
