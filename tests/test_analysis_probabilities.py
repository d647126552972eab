"""Scores and figures of predicted probabilities, against scikit-learn and torchmetrics."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    top_k_accuracy_score,
)
from statsmodels.stats.proportion import proportion_confint

from analysis.classes import probabilities_figure
from analysis.classes import probabilities_table as table_module
from analysis.classes.probabilities import BINS, Predicted, reliability, scores
from analysis.classes.probabilities_figure import SHOWN, probabilities
from analysis.classes.probabilities_table import probabilities_table
from analysis.drawing.drawing import render
from analysis.run.run_data import read_probabilities, read_run, read_shares
from analysis.run.trials import incumbent
from tests.support.many_classes import write_run_of_many_classes
from tests.support.run_factory import Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return read_run(Factory(configurations=4, replicates=1, faults=False).write(place / "run"))


@pytest.fixture(scope="module", params=[2, 5, 20])
def predicted(request):
    rng = np.random.default_rng(request.param)
    labels = rng.integers(0, request.param, 600)
    shares = rng.dirichlet(np.ones(request.param), 600)
    shares[np.arange(600), labels] += rng.random(600)
    return Predicted(labels, shares / shares.sum(axis=1, keepdims=True))


def test_scores_are_those_of_scikit_learn(predicted):
    labels, shares = predicted
    found = scores(predicted)
    one_hot = np.eye(shares.shape[1])[labels]
    assert found["auc"] == pytest.approx(roc_auc_score(one_hot, shares, average="macro"))
    expected = average_precision_score(one_hot, shares, average="macro")
    assert found["average_precision"] == pytest.approx(expected)
    if shares.shape[1] > 5:
        assert found["top_5"] == pytest.approx(top_k_accuracy_score(labels, shares, k=5))
    else:
        assert np.isnan(found["top_5"])


def test_the_calibration_error_is_that_of_its_definition(predicted):
    labels, shares = predicted
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    total = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (confidence > low) & (confidence <= low + 1 / BINS)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert scores(predicted)["ece"] == pytest.approx(total)


def test_the_calibration_error_is_that_of_torchmetrics(predicted):
    classification = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    expected = classification.multiclass_calibration_error(
        torch.tensor(predicted.shares),
        torch.tensor(predicted.labels),
        num_classes=predicted.shares.shape[1],
        n_bins=BINS,
    )
    assert scores(predicted)["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_a_sure_model_that_errs_is_badly_calibrated_and_a_class_alone_has_no_curve():
    labels = np.array([0] * 6 + [1] * 4)
    sure = Predicted(labels, np.tile([1.0, 0.0], (10, 1)))
    bins = reliability(sure)
    assert bins[["confidence", "right", "n"]].to_numpy().tolist() == [[1.0, 0.6, 10]]
    assert scores(sure)["ece"] == pytest.approx(0.4)
    alone = scores(Predicted(np.zeros(10, int), sure.shares))
    assert np.isnan(alone["auc"])
    assert alone["ece"] == 0
    gone = Predicted(np.array([0, 0, 2]), np.full((3, 3), 1 / 3))
    assert scores(gone)["auc"] == 0.5  # The class without pictures does not count.


def test_the_table_has_a_row_for_each_of_the_best_models(run):
    frame = probabilities_table(run).frame
    assert len(frame) == len(run.comparable)
    best = str(incumbent(run)["trial_id"])
    _, labels, shares = read_shares(run, best)
    row = frame.set_index("trial_id").loc[best]
    assert row["auc"] == pytest.approx(roc_auc_score(labels, shares, multi_class="ovr"))
    assert row["n"] == len(labels)
    table = probabilities_table(run)
    headings = [column.heading for column in table.views[0].columns]
    assert "top-5 accuracy" not in headings
    assert f"the {len(frame)} best trials with predictions" in table.notes[-1]
    assert frame["trial_id"].iloc[0] == best


def test_probabilities_are_those_of_the_answers(run):
    best = str(incumbent(run)["trial_id"])
    ids, labels, shares = read_shares(run, best)
    answers = read_probabilities(run, best)
    assert ids == answers["image_id"].tolist()
    assert labels.tolist() == answers["label"].tolist()
    assert shares.argmax(axis=1).tolist() == answers["predicted"].tolist()
    assert read_shares(run, best, "test") is None
    assert read_shares(replace(run, answers={}), best) is None


def test_the_figure_has_the_bins_and_a_curve_for_each_class(run):
    drawing = next(probabilities(run))
    _, labels, shares = read_shares(run, str(incumbent(run)["trial_id"]))
    bins = reliability(Predicted(labels, shares))
    reliable, curves = drawing.chart.panels
    points = reliable.layers[1]
    assert points.x.tolist() == pytest.approx(100 * bins["confidence"])
    assert points.y.tolist() == pytest.approx(100 * bins["right"])
    assert (points.low <= points.y).all()
    assert (points.high >= points.y).all()
    assert points.texts == tuple(f"{n} pictures" for n in bins["n"])
    diagonal = reliable.layers[0]
    assert (diagonal.x.tolist(), diagonal.y.tolist()) == ([0, 100], [0, 100])
    limits = [axis.limits for panel in drawing.chart.panels for axis in (panel.x, panel.y)]
    assert limits == [(0, 100)] * 4
    error = scores(Predicted(labels, shares))["ece"]
    assert f"Calibration error {100 * error:.1f} %." in drawing.caption
    assert "precision over recall of each class, with" in drawing.caption
    assert drawing.title.endswith(f"{incumbent(run)['name']}, trial {incumbent(run)['number']}")
    for layer in curves.layers:
        place = run.info.classes.index(layer.label.split(" (")[0])
        precision, recall, _ = precision_recall_curve(labels == place, shares[:, place])
        known = set(zip((100 * recall).tolist(), (100 * precision).tolist(), strict=True))
        assert set(zip(layer.x.tolist(), layer.y.tolist(), strict=True)) <= known
    averages = sorted(average_precision_score(labels == k, shares[:, k]) for k in range(4))
    assert [layer.label.split("(")[1] for layer in curves.layers] == [
        f"{average:.2f})" for average in averages
    ]
    assert render(drawing).png


def test_points_of_a_curve_are_thinned_out_and_classes_without_pictures_have_none(run, monkeypatch):
    ids, labels, shares = read_shares(run, str(incumbent(run)["trial_id"]))
    kept = labels != 2
    part = [image_id for image_id, keep in zip(ids, kept, strict=True) if keep]
    found = (part, labels[kept], shares[kept])
    monkeypatch.setattr(probabilities_figure, "read_shares", lambda *_: found)
    monkeypatch.setattr(probabilities_figure, "MOST_POINTS", 7)
    drawing = next(probabilities(run))
    reliable, curves = drawing.chart.panels
    assert {layer.label.split(" (")[0] for layer in curves.layers} == {
        name for place, name in enumerate(run.info.classes) if place != 2
    }
    for layer in curves.layers:
        assert len(layer.x) <= 7
        assert (layer.x[0], layer.x[-1]) == (100, 0)  # Recall, from all pictures to none.
    bins = reliability(Predicted(*found[1:]))
    low, high = proportion_confint(bins["right"] * bins["n"], bins["n"], method="wilson")
    assert reliable.layers[1].low == pytest.approx(100 * low)
    assert reliable.layers[1].high == pytest.approx(100 * high)
    assert f"n = {kept.sum():,} pictures" in drawing.caption


def test_of_many_classes_the_worst_have_curves_and_top_5_is_shown(tmp_path):
    many = read_run(
        write_run_of_many_classes(
            tmp_path / "run", tmp_path / "data", classes=15, pictures=900, trials=2, colour=False
        )
    )
    drawing = next(probabilities(many))
    assert len(drawing.chart.panels[1].layers) == SHOWN
    assert f"the {SHOWN} classes with the lowest one" in drawing.caption
    headings = [column.heading for column in probabilities_table(many).views[0].columns]
    assert "top-5 accuracy" in headings


def test_five_of_seven_classes_are_the_top_though_one_has_no_picture():
    labels = np.array([0, 1, 2, 3, 4, 5])
    shares = np.tile([0.25, 0.2, 0.15, 0.12, 0.1, 0.09, 0.09], (6, 1))
    assert scores(Predicted(labels, shares))["top_5"] == pytest.approx(5 / 6)


def test_a_probability_may_exceed_1_by_rounding_and_the_end_of_a_bin_is_in_it():
    end = np.linspace(0, 1, BINS + 1)[9]
    confidence = np.array([1 + 1e-7, end, end - 0.01])
    shares = np.column_stack([confidence, 1 - confidence])
    bins = reliability(Predicted(np.zeros(3, int), shares))
    assert bins["n"].tolist() == [2, 1]
    assert bins["confidence"].tolist() == pytest.approx([end - 0.005, 1])


def test_as_many_classes_as_have_curves_are_each_shown_and_few_have_no_top_5(run, monkeypatch):
    monkeypatch.setattr(probabilities_figure, "SHOWN", len(run.info.classes))
    assert "precision over recall of each class" in next(probabilities(run)).caption
    monkeypatch.setattr(table_module, "MOST_NUMBERED", len(run.info.classes))
    headings = [column.heading for column in probabilities_table(run).views[0].columns]
    assert "top-5 accuracy" not in headings
