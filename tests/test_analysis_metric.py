"""What tables and figures say about a metric: its words, unit and sign."""

import pandas as pd
import pytest

from analysis.run.clusters import single_intervals
from analysis.run.metric import Metric, described, metric_words, points_text, reported
from tests.support.hand_made import hand_made
from tune.run.trial import METRICS


def trials(**values):
    return pd.DataFrame(
        {f"{at}_{name}": v for name, v in values.items() for at in ("best", "last")}
    )


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("val_accuracy", "validation accuracy, %"),
        ("val_macro_f1", "validation macro f1, %"),
        ("val_micro_recall", "validation micro recall, %"),
        ("precision", "precision, %"),
        ("val_loss", "validation loss"),
        ("rmse", "rmse"),
        ("val", "val"),
    ],
)
def test_shares_are_told_in_percent_and_other_metrics_as_they_are(name, axis):
    metric = described(trials(**{name: [0.2, 0.9]}), name, "max")
    assert metric.axis == axis
    assert metric.scale == (100 if axis.endswith("%") else 1)


def test_an_accuracy_that_was_logged_in_percent_is_no_share():
    metric = described(trials(accuracy=[71.5, 80.0]), "accuracy", "max")
    assert not metric.is_share
    assert not metric.is_accuracy
    assert metric.text(71.5) == "71.5"


def test_only_an_accuracy_has_a_binomial_interval():
    names = ("val_accuracy", "acc", "f1", "rmse")
    told = {name: described(trials(**{name: [0.5]}), name, "max").is_accuracy for name in names}
    assert told == {"val_accuracy": True, "acc": True, "f1": False, "rmse": False}


@pytest.mark.parametrize(("name", "known"), [("val_accuracy", True), ("f1", False)])
def test_a_share_that_is_no_accuracy_has_no_interval_of_a_single_training(name, known):
    run = hand_made(name, n=[40], **{f"best_{name}": 0.5})
    assert (
        single_intervals(run, run.trials[f"best_{name}"], run.trials).notna().all(axis=None)
        == known
    )


def test_our_own_runs_report_the_accuracy_whatever_their_objective_is():
    ours = trials(**{name: [0.5] for name in METRICS})
    assert reported(ours, "val_loss", "min") == described(ours, "val_accuracy", "max")
    assert reported(trials(val_loss=[0.5]), "val_loss", "min") == Metric(
        name="val_loss", sign=-1, is_share=False
    )


def test_values_gaps_and_axes_have_the_unit_of_the_metric():
    share = Metric(name="val_accuracy", sign=1, is_share=True, when="at the last epoch")
    loss = Metric(name="val_loss", sign=-1, is_share=False)
    assert (share.key, share.word, share.long) == ("accuracy", "accuracy", "validation accuracy")
    assert (loss.key, loss.word, loss.long) == ("val_loss", "validation loss", "validation loss")
    assert share.axis == "validation accuracy at the last epoch, %"
    assert (share.text(0.12345), loss.text(0.123456)) == ("12.3 %", "0.1235")
    assert (share.gap(0.025), loss.gap(0.0123456)) == ("2.5 percentage points", "0.01235")
    assert share.gap_axis == "difference in accuracy, percentage points"
    assert loss.gap_axis == "difference in validation loss"
    assert [points_text(points) for points in (0.01, 0.02)] == [
        "1 percentage point", "2 percentage points",
    ]  # fmt: skip


def test_cells_of_shares_are_as_told_and_of_other_metrics_have_four_digits():
    def write(value):
        return f"<{value}>"

    assert Metric(name="f1", sign=1, is_share=True).cells(write)(0.5) == "<0.5>"
    cells = Metric(name="rmse", sign=-1, is_share=False).cells(write)
    assert [cells(value) for value in (12.34567, None, float("nan"))] == ["12.35", "–", "–"]


def test_a_metric_is_told_with_its_split_in_words():
    told = [metric_words(name) for name in ("train_macro_f1", "test_acc", "a_b", "val_")]
    assert told == ["training macro f1", "test acc", "a b", "val "]
    assert described(trials(acc=[0.0, 1.0]), "acc", "min") == Metric(
        name="acc", sign=-1, is_share=True
    )
    last = pd.DataFrame({"best_acc": [0.5], "last_acc": [50.0]})
    assert not described(last, "acc", "max").is_share, "values of both epochs count"
