"""Tables name the metric of their run, and leave out columns that nothing is known of."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from analysis.rendering.table import Column, Table, View
from analysis.report.naming import named
from analysis.run.metric import Metric

KEYS = [
    *("accuracy", "accuracy_low", "accuracy_high", "best_accuracy", "last_accuracy"),
    *("accuracy_at_epoch", "accuracy_at_epoch_low", "accuracy_at_epoch_high"),
]
ACCURACY = Metric(name="val_accuracy", sign=1, is_share=True)
LOSS = Metric(name="val_loss", sign=-1, is_share=False)


def table_of(**columns):
    frame = pd.DataFrame({**{key: [0.5, 0.6] for key in KEYS}, **columns})
    shown = [Column(key=key, heading=f"Accuracy, {key.replace('_', ' ')}") for key in frame]
    ranges = Column(key="accuracy_low", upper_key="accuracy_at_epoch", heading="inaccuracy")
    view = View(title="The accuracy of both", columns=(*shown, ranges))
    return Table(name="t", frame=frame, views=(view,), notes=("n",))


def run_of(metric, *, has_pictures=True):
    return SimpleNamespace(metric=metric, has_pictures=has_pictures)


def test_every_column_of_the_metric_and_every_heading_has_its_name():
    table = named(table_of(), run_of(LOSS))
    assert list(table.frame) == [key.replace("accuracy", "val_loss") for key in KEYS]
    (view,) = table.views
    assert view.title == "The validation loss of both"
    assert view.columns[0].heading == "validation loss, validation loss"
    *_, ranges = view.columns
    assert (ranges.key, ranges.upper_key) == ("val_loss_low", "val_loss_at_epoch")
    assert ranges.heading == "inaccuracy", "another word"


def test_a_table_of_accuracies_stays_as_it_is():
    before = table_of(n=[np.nan, np.nan])
    after = named(before, run_of(ACCURACY))
    assert list(after.frame) == list(before.frame)
    assert [c.heading for c in after.views[0].columns] == [
        c.heading for c in before.views[0].columns
    ]


def test_empty_columns_are_left_out_of_the_views_where_nothing_is_known_of_pictures():
    table = table_of(n=[np.nan, np.nan], verdict=["", ""], half=["", "x"], none=[0, 0])
    for run in (run_of(LOSS), run_of(ACCURACY, has_pictures=False)):
        after = named(table, run)
        keys = [column.key for column in after.views[0].columns]
        assert "n" not in keys
        assert "verdict" not in keys
        assert {"half", "none"} <= set(keys)
        assert {"n", "verdict"} <= set(after.frame)
