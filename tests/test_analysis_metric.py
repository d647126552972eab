"""What tables and figures say about a metric: its words, unit and sign."""

import pandas as pd
import pytest

from analysis.run.metric import Metric, described, reported
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


def test_our_own_runs_report_the_accuracy_whatever_their_objective_is():
    ours = trials(**{name: [0.5] for name in METRICS})
    assert reported(ours, "val_loss", "min") == described(ours, "val_accuracy", "max")
    assert reported(trials(val_loss=[0.5]), "val_loss", "min") == Metric(
        name="val_loss", sign=-1, is_share=False
    )
