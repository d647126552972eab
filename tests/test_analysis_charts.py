"""Charts that are made of small frames: what is drawn where, in which unit and order."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons import figure
from analysis.comparisons.figure import SHOWN, differences_chart
from analysis.comparisons.names import incumbent_name, row_names
from analysis.curves import progress_figure
from analysis.curves.progress_figure import best_layer, prepare, progress_chart, spent_label
from analysis.dataset.mistakes_figure import _shares_of_mistakes, _votes
from analysis.folds import figure as folds_figure
from analysis.groups.figure import groups_figure
from analysis.rendering.table import AVERAGE
from analysis.run.metric import Metric
from analysis.statistics.verdicts import Verdict
from tests.support.hand_made import hand_made

ACCURACY = Metric(name="val_accuracy", sign=1, is_share=True)
LOSS = Metric(name="val_loss", sign=-1, is_share=False)


@pytest.fixture
def progress(monkeypatch):
    """A function that returns a run whose ledger has these rows: trial, value, best, hours."""

    def make(rows, *, metric="val_accuracy", mode="max"):
        frame = pd.DataFrame(rows, columns=["trial_id", "value", "best", "device_hours"])
        monkeypatch.setattr(progress_figure, "read_progress", lambda _: frame)
        ends = {f"{at}_{metric}": frame["value"] for at in ("best", "last")}
        trials = pd.DataFrame({"trial_id": ["b", "a"], "number": [3, 1]})
        return SimpleNamespace(
            trials=trials.join(pd.DataFrame(ends).head(2)),
            info=SimpleNamespace(objective={"metric": metric, "mode": mode, "at": "best"}),
        )

    return make


ROWS = [
    ("a", 0.5, 0.5, 1.0),
    ("b", 0.4, 0.5, 2.0),
    ("a", 0.7, 0.7, 3.0),
    ("b", np.nan, 0.7, 4.0),
    ("gone", 0.6, 0.7, 5.0),
]


def test_the_best_so_far_has_a_step_at_each_change_and_at_the_end(progress):
    run = progress(ROWS)
    data = prepare(run)
    assert data["number"].tolist() == [1, 3, 1, 3, -1]
    assert data["ends"].tolist() == [False, False, True, True, True]
    assert data["epochs"].tolist() == [1, 2, 3, 4, 5]
    points, steps = progress_chart(run, data).panels[0].layers
    assert (points.x.tolist(), points.y.tolist()) == ([3.0, 5.0], [70.0, 60.0])
    assert points.trials.tolist() == [1, -1]
    assert (steps.x.tolist(), steps.y.tolist()) == ([1.0, 3.0, 5.0], [50.0, 70.0, 70.0])
    assert steps.trials.tolist() == [1, 1, -1]
    assert best_layer(data, "x", "blue", named=False).trials is None
    assert "device-hours spent (5 in total;" in next(progress_figure.progress(run)).caption
    assert spent_label(data) == "device-hours spent"


def test_without_seconds_epochs_are_counted_and_a_loss_is_no_share(progress):
    run = progress([(*row[:3], 0.0) for row in ROWS], metric="val_loss", mode="min")
    data = prepare(run)
    panel = progress_chart(run, data).panels[0]
    assert panel.x.label == spent_label(data) == "epochs trained, all trials"
    assert panel.layers[1].x.tolist() == [1.0, 3.0, 5.0]
    assert panel.layers[1].y.tolist() == [0.5, 0.7, 0.7]
    caption = next(progress_figure.progress(run)).caption
    assert "slightly too low" in caption
    assert "Every epoch of every trial counts" in caption
    assert "against the epochs trained, those of all trials together" in caption
    run.info.objective["at"] = "last"
    run.info.objective["mode"] = "max"
    caption = next(progress_figure.progress(run)).caption
    assert "slightly too high" in caption
    assert "Only the last epoch of each trial counts" in caption
    assert not list(progress_figure.progress(progress([("a", np.nan, np.nan, 1.0)])))


def compared(count, basis="configurations"):
    verdicts = [Verdict.NOT_SHOWN, Verdict.WORSE, Verdict.EQUIVALENT]
    frame = pd.DataFrame(
        {
            "id": [f"c{n}" for n in range(count)],
            "difference": [-0.01 * n for n in range(count)],
            "verdict": [verdicts[n % 3] for n in range(count)],
        }
    )
    frame["difference_low"] = frame["difference"] - 0.02
    frame["difference_high"] = frame["difference"] + 0.03
    return SimpleNamespace(frame=frame, basis=basis, incumbent_id="best")


def run_of(count, metric=ACCURACY):
    ids = [f"c{n}" for n in range(count)]
    trials = {
        "configuration_id": [*ids, "best", "c0"],
        "trial_id": [*ids, "tb", "t0"],
        "name": [*(f"n{n // 2}" for n in range(count)), "first", "n0"],
        "number": range(count + 2),
    }
    return SimpleNamespace(trials=pd.DataFrame(trials), metric=metric)


def test_differences_are_rows_in_order_with_their_intervals_and_verdicts():
    panel = differences_chart(run_of(5), compared(5)).panels[0]
    zero, *layers = panel.layers
    assert zero.x.tolist() == [0.0]
    assert panel.y.reversed
    assert panel.y.names == ("n0, trial 0", "n0, trial 1", "n1, trial 2", "n1, trial 3", "n2")
    rows = {row: layer for layer in layers for row in layer.y.tolist()}
    assert sorted(rows) == [0, 1, 2, 3, 4]
    worse = next(layer for layer in layers if layer.label == str(Verdict.WORSE))
    assert worse.y.tolist() == [1, 4]
    assert worse.x.tolist() == pytest.approx([-1, -4])
    assert worse.low.tolist() == pytest.approx([-3, -6])
    assert worse.high.tolist() == pytest.approx([2, -1])
    assert worse.texts == (f"n0, trial 1: {Verdict.WORSE}", f"n2: {Verdict.WORSE}")
    assert incumbent_name(run_of(5), compared(5)) == "first"
    many = differences_chart(run_of(30), compared(30)).panels[0]
    assert len(many.y.names) == SHOWN
    assert many.y.names[0] == "n0, trial 0"
    assert differences_chart(run_of(5, LOSS), compared(5)).panels[0].layers[1].x.min() > -0.1


def test_the_caption_of_differences_says_what_is_compared_how_many_and_the_margin(monkeypatch):
    run = run_of(30)
    run.margin = 0.01
    for basis, words in (("folds", "over the folds that they share"), ("models", "same pictures")):
        monkeypatch.setattr(figure, "against_incumbent", lambda _, b=basis: compared(30, b))
        caption = next(figure.comparisons(run)).caption
        assert words in caption
    assert f"the best {SHOWN} of 30 others" in caption
    assert "incumbent first, in percentage points, with 95 %" in caption
    assert "(Holm); equivalent means within 1 percentage point." in caption
    run = run_of(3, LOSS)
    run.margin = 0
    monkeypatch.setattr(figure, "against_incumbent", lambda _: compared(3))
    caption = next(figure.comparisons(run)).caption
    assert "the best 3 of 3 others" in caption
    assert "points" not in caption
    assert caption.endswith("(Holm).")


def test_models_have_the_names_of_their_trials():
    names = row_names(run_of(2), compared(2, "models"))
    assert names["tb"] == "first"
    assert names["t0"] == "n0, trial 3"


def test_ranks_on_folds_are_of_means_over_seeds_with_the_best_first():
    rows = [
        *(("a", "A", fold, value) for fold, value in ((0, 0.9), (0, 0.5), (1, 0.8), (2, 0.4))),
        *(("b", "B", fold, value) for fold, value in ((0, 0.8), (1, 0.8), (2, 0.5))),
        *(("c", "C", fold, 0.99) for fold in (0, 1)),
    ]
    trials = pd.DataFrame(rows, columns=["configuration_id", "name", "fold", "value"])
    run = SimpleNamespace(completed=trials, value_column="value", metric=ACCURACY)
    ranks = folds_figure.prepare(run)
    assert ranks.index.tolist() == ["B", "A"], "the third one lacks a fold"
    assert ranks.to_numpy().tolist() == [[1, 1.5, 1], [2, 1.5, 2]]
    run.metric = LOSS
    assert folds_figure.prepare(run).index.tolist() == ["A", "B"]
    chart = folds_figure.ranks_chart(ranks, "x").panels[0]
    assert chart.y.reversed
    assert [layer.label for layer in chart.layers] == ["B", "A"]
    assert chart.layers[1].y.tolist() == [2, 1.5, 2]
    assert folds_figure.prepare(SimpleNamespace(completed=trials.drop(columns="fold"))).empty


def test_groups_have_their_earlier_accuracy_beside_them():
    now = pd.DataFrame(
        {
            "attribute": ["age", "age", "sex", "age"],
            "group": ["young", "old", "young", AVERAGE],
            "n": [1200, 30, 5, 1230],
            "accuracy": [0.9, 0.5, 0.7, 0.7],
            "accuracy_low": [0.8, 0.4, 0.6, 0.6],
            "accuracy_high": [0.95, 0.6, 0.8, 0.8],
        }
    )
    then = now.iloc[[2, 0]].assign(accuracy=[0.1, 0.2])
    tables = [
        SimpleNamespace(name="bias_groups", frame=now),
        SimpleNamespace(name="bias_groups_before", frame=then),
    ]
    panel = next(groups_figure(tables)).chart.panels[0]
    assert panel.y.names == ("age: young (n 1,200)", "age: old (n 30)", "sex: young (n 5)")
    after, before = panel.layers
    assert after.x.tolist() == pytest.approx([90, 50, 70])
    assert after.low.tolist() == pytest.approx([80, 40, 60])
    assert after.high.tolist() == pytest.approx([95, 60, 80])
    assert before.x.tolist() == pytest.approx([20, 10])
    assert before.y.tolist() == [0, 2]
    assert before.texts == (panel.y.names[0], panel.y.names[2])
    (alone,) = next(groups_figure(tables[:1])).chart.panels[0].layers
    assert alone.label == ""
    assert not list(groups_figure(tables[1:]))


def test_shares_of_mistakes_are_those_of_the_true_class_and_two_votes_are_told():
    predicted = pd.DataFrame({"label": [0, 0, 0, 1, 1, 2], "predicted": [0, 1, 1, 0, 1, 2]})
    assert _shares_of_mistakes(predicted).to_dict() == pytest.approx({0: 2 / 3, 1: 0.5})
    assert _votes({"votes_joy": 2.0, "votes_fear": 5.0, "votes_sad": 4.0}) == "fear 5\nsad 4"
    assert _votes({"votes_joy": 0.0, "votes_fear": np.nan, "votes_sad": 1.0}) == "sad 1"


def test_only_trainings_that_completed_are_ranked_and_all_configurations_are_counted():
    run = hand_made(
        "f1",
        best_f1=[0.5, 0.7, 0.6, 0.8, 0.9, 0.9],
        status=["COMPLETED"] * 4 + ["FAILED"] * 2,
        fold=[0, 1] * 3,
        configuration_id=["a", "a", "b", "b", "c", "c"],
        name=["A", "A", "B", "B", "C", "C"],
    )
    (drawing,) = folds_figure.folds(run)
    assert [layer.label for layer in drawing.chart.panels[0].layers] == ["B", "A"]
    assert "replicates averaged first: 2 of the 2 configurations" in drawing.caption
    assert "on each of 2 folds (1: best; ties" in drawing.caption, "a share, but no accuracy"
