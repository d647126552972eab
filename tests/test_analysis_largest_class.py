"""Validation with very unequal classes: a high accuracy that says nothing is called so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from analysis.classes.scores import per_class
from analysis.report.summary import found
from analysis.run.run_data import read_run
from analysis.run.trials import incumbent
from analysis.trials.largest import no_better_than_largest
from analysis.trials.table import models
from tests.support.discs import CLASSES
from tests.support.run_factory import Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory(faults=False).write(tmp_path_factory.mktemp("runs") / "unequal"))


def with_confusion(run, counts):
    """Return ``run`` with predictions of the incumbent that have this confusion matrix."""
    label, predicted = np.divmod(np.repeat(np.arange(16), np.ravel(counts)), 4)
    answers = pd.DataFrame({"label": label, "predicted": predicted})
    answers = answers.assign(image_id=[f"p{i}" for i in range(len(label))], probability=1.0)
    return replace(run, answers={incumbent(run)["trial_id"]: answers})


NOTHING = [0, 0, 0, 0]


def test_a_model_that_predicts_only_the_largest_class_is_told_so(run):
    told = no_better_than_largest(with_confusion(run, [[5, 0, 0, 0], NOTHING, NOTHING, NOTHING]))
    assert "macro recall 100.0 %" in told
    unequal = with_confusion(run, [[0, 10, 0, 0], [1, 989, 0, 0], NOTHING, NOTHING])
    told = no_better_than_largest(unequal)
    assert told.startswith(
        f"The incumbent is not shown to be better than always predicting '{CLASSES[1]}', the "
        "largest class of validation (99.0 % of the pictures): its accuracy is 98.9 % (95 % "
    )
    # Of the two classes that validation has: 0 of 10 and 989 of 990.
    assert "its macro recall 49.9 %. Where classes differ in size, use" in told
    assert "`objective: {metric: val_macro_f1}`" in told
    assert "`balance: label`" in told
    assert told in found(unequal)
    assert told in models(unequal).notes


def test_a_model_that_is_a_little_above_the_largest_class_may_owe_it_to_chance(run):
    chance = with_confusion(run, [[6, 4, 0, 0], [3, 987, 0, 0], NOTHING, NOTHING])
    assert "its accuracy is 99.3 %" in no_better_than_largest(chance)


def test_most_predictions_do_not_make_the_largest_class(run):
    told = with_confusion(run, [[10, 50, 0, 0], [0, 40, 0, 0], NOTHING, NOTHING])
    assert f"predicting '{CLASSES[0]}'" in no_better_than_largest(told)


def test_a_model_that_is_better_or_has_no_predictions_is_not_mentioned(run):
    assert not no_better_than_largest(run)
    assert not no_better_than_largest(replace(run, answers={}))
    assert not any("largest class" in note for note in models(run).notes)


def test_a_class_without_pictures_has_no_recall_and_no_f1():
    frame = per_class(np.array([[4, 1, 0], [0, 0, 0], [2, 0, 0]]), ["a", "b", "c"])
    frame = frame.set_index("class")
    assert frame.loc["b", ["recall", "recall_low", "recall_high", "f1"]].isna().all()
    assert frame.loc["b", "precision"] == 0
    assert frame.loc["b", "predicted"] == 1
    # A class that is there and never predicted: 0, as in scikit-learn.
    assert frame.loc["c", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert frame.loc["c", ["precision_low", "precision_high"]].isna().all()
    never = per_class(np.array([[4, 0], [0, 0]]), ["a", "b"]).iloc[1]
    assert never[["precision", "recall", "f1"]].isna().all()


def test_scores_of_classes_are_those_of_scikit_learn_with_wilson_s_intervals():
    rng = np.random.default_rng(4)
    labels, predicted = rng.integers(0, 3, (2, 90))
    predicted = np.where(rng.random(90) < 0.3 * labels, labels, predicted)
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (labels, predicted), 1)
    frame = per_class(confusion, ["z", "x", "y"])
    assert frame["class"].tolist() == ["z", "x", "y"]
    precision, recall, f1, n = precision_recall_fscore_support(labels, predicted)
    expected = {"precision": precision, "recall": recall, "f1": f1, "n": n}
    for column, values in expected.items():
        assert frame[column].tolist() == pytest.approx(values.tolist())
    right, told = np.diag(confusion), confusion.sum(axis=0)
    assert frame["predicted"].tolist() == told.tolist()
    for column, total in (("precision", told), ("recall", n)):
        low, high = proportion_confint(right, total, method="wilson")
        assert frame[f"{column}_low"].tolist() == pytest.approx(low.tolist())
        assert frame[f"{column}_high"].tolist() == pytest.approx(high.tolist())
