"""Which pictures trials classified correctly, whatever the order of their files."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from analysis.run.predictions import TOLERANCE, read_correct, read_right
from analysis.run.run_data import read_probabilities

ORDERS = {
    "a": ["y", "x", "z"],
    "b": ["z", "y", "x"],
    "b again": ["z", "y", "x"],
    "other": ["x", "y", "w"],
}
RIGHT = {"x": True, "y": False, "z": True, "w": True}


def answers(trial_id):
    """Each trial is right on the same pictures; its file lists them in its own order."""
    ids = ORDERS[trial_id]
    given = [1 if RIGHT[name] else 0 for name in ids]
    return pd.DataFrame({"image_id": ids, "label": 1, "predicted": given})


RUN = SimpleNamespace(answers={trial_id: answers(trial_id) for trial_id in ORDERS})


def test_answers_are_in_the_order_of_the_pictures_ids():
    for trial in ("a", "b"):
        right = read_right(RUN, trial)
        assert right.index.tolist() == ["x", "y", "z"]
        assert right.tolist() == [True, False, True]
    assert read_right(RUN, "a", "test") is None
    assert read_probabilities(RUN, "a")["image_id"].tolist() == ORDERS["a"]
    assert read_probabilities(RUN, "a", "test") is None


def test_trials_are_rows_in_the_order_that_is_asked_for_if_their_pictures_are_the_same():
    correct = read_correct(RUN, pd.Series({"b": 2 / 3, "a": 2 / 3, "b again": 2 / 3}))
    assert correct.index.tolist() == ["b", "a", "b again"]
    assert correct.columns.tolist() == ["x", "y", "z"]
    assert correct.to_numpy().tolist() == [[True, False, True]] * 3
    assert read_correct(RUN, pd.Series({"a": 2 / 3, "other": 2 / 3})) is None
    assert read_correct(RUN, pd.Series({"a": 2 / 3, "gone": 2 / 3})) is None
    assert read_correct(RUN, pd.Series({"a": 2 / 3}), "test") is None
    assert read_correct(RUN, pd.Series(dtype=float)) is None


def test_predictions_of_another_epoch_are_told_by_their_accuracy_up_to_rounding():
    near, far = (2 + TOLERANCE) / 3, (2 + TOLERANCE + 0.01) / 3
    assert read_correct(RUN, pd.Series({"a": near})) is not None
    assert read_correct(RUN, pd.Series({"a": far})) is None
    assert read_correct(RUN, pd.Series({"a": (2 - TOLERANCE - 0.01) / 3})) is None
    assert read_correct(RUN, pd.Series({"a": far}), any_epoch=True) is not None
    assert np.isclose(TOLERANCE, 1.5)
