"""Pictures that all models get wrong, and labels that are suspected to be wrong."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.dataset import suspects as suspects_module
from analysis.dataset import suspects_figure
from analysis.dataset import suspects_table as suspects_table_module
from analysis.dataset.suspects import MOST_MODELS, Judged, confident, judged
from analysis.dataset.suspects_figure import suspects
from analysis.dataset.suspects_table import suspects_table
from analysis.drawing.drawing import render
from analysis.run.dataset import DatasetLeftOutError
from analysis.run.run_data import read_probabilities, read_run, read_shares
from analysis.statistics.estimate import NotKnownError
from tests.support.discs import CLASSES
from tests.support.run_factory import Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return read_run(Factory().write(place / "run", place / "data"))


def test_the_rule_of_confident_learning_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.35, 0.65]])
    # Usual for class 0: (0.9 + 0.7 + 0.2) / 3 = 0.6; for class 1: 0.625.
    suggested, suspected = confident(labels, shares)
    assert suggested.tolist() == [0, 0, 1, 1, 1]
    assert suspected.tolist() == [False, False, True, False, False]


def test_a_probability_that_only_reaches_the_usual_one_is_confident():
    shares = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
    suggested, suspected = confident(np.array([0, 1, 1]), shares)
    assert suggested.tolist() == [0, 0, 1]
    assert suspected.tolist() == [False, True, False]


def test_the_best_models_judge_by_their_mean_and_pictures_have_the_names_of_classes(
    run, monkeypatch
):
    monkeypatch.setattr(suspects_module, "MOST_MODELS", 2)
    monkeypatch.setattr(suspects_table_module, "MOST_ROWS", 5)
    pictures, models = judged.__wrapped__(run)
    monkeypatch.setattr(suspects_table_module, "judged", judged.__wrapped__)
    order = run.completed.sort_values(["best_val_accuracy", "number"], ascending=[False, True])
    found = [read_shares(run, trial_id) for trial_id in order["trial_id"].head(2)]
    by_picture = [dict(zip(ids, own, strict=True)) for ids, _, own in found]
    assert models == 2
    for row in pictures.to_dict("records"):
        mean = (by_picture[0][row["image_id"]] + by_picture[1][row["image_id"]]) / 2
        assert row["probability"] == pytest.approx(mean[row["suggested"]])
        assert row["own"] == pytest.approx(mean[row["label"]])
    table = suspects_table(run)
    assert len(table.frame) == 5
    assert "the 5 most suspect are shown" in table.notes[1]
    rows = pictures.set_index("image_id").loc[table.frame["name"]]
    for column in ("label", "suggested"):
        assert table.frame[column].tolist() == [CLASSES[place] for place in rows[column]]
    assert (table.frame["n"] == 2).all()


def test_a_class_without_pictures_is_never_suggested():
    suggested, _ = confident(np.array([0, 1]), np.array([[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]]))
    assert 2 not in suggested


def test_a_label_is_kept_where_the_model_is_confident_of_no_class():
    shares = np.array([[0.9, 0.1], [0.45, 0.55], [0.3, 0.7]])
    # Usual for class 0: (0.9 + 0.45) / 2; for class 1: 0.7. The second picture reaches neither.
    suggested, suspected = confident(np.array([0, 0, 1]), shares)
    assert suggested.tolist() == [0, 0, 1]
    assert not suspected.any()


def test_labels_that_were_changed_are_found():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 1000)
    shares = rng.dirichlet(np.ones(5), 1000)
    shares[np.arange(1000), truth] += 2
    shares /= shares.sum(axis=1, keepdims=True)
    changed = rng.random(1000) < 0.05
    labels = np.where(changed, (truth + rng.integers(1, 5, 1000)) % 5, truth)
    suggested, suspected = confident(labels, shares)
    assert (suggested[suspected & changed] == truth[suspected & changed]).all()
    assert suspected[changed].mean() > 0.5
    assert not suspected[~changed].any()


def test_pictures_that_all_models_get_wrong_are_counted_over_the_best(run):
    pictures, models = judged(run)
    ranked = run.completed.sort_values(["best_val_accuracy", "number"], ascending=[False, True])
    ids = ranked["trial_id"].head(MOST_MODELS)
    assert models == len(ids)
    wrong = np.zeros(len(pictures), int)
    for trial_id in ids:
        answers = read_probabilities(run, trial_id).set_index("image_id")
        own = answers.loc[pictures["image_id"]]
        assert own["label"].tolist() == pictures["label"].tolist()
        wrong += (own["label"] != own["predicted"]).to_numpy()
    assert pictures["wrong"].tolist() == wrong.tolist()


def test_the_table_has_the_most_suspect_first_and_those_that_all_get_wrong(run):
    table = suspects_table(run)
    pictures, models = judged(run)
    chosen = pictures[pictures["suspected"] | (pictures["wrong"] == models)]
    assert sorted(table.frame["name"]) == sorted(chosen["image_id"])[: len(table.frame)]
    assert table.frame["suspected"].is_monotonic_decreasing
    doubted = table.frame[table.frame["suspected"]]
    assert (doubted["label"] != doubted["suggested"]).all()
    assert (doubted["probability"] - doubted["own"]).is_monotonic_decreasing
    assert f"{int(pictures['suspected'].sum())} labels are suspected" in table.notes[1]


def test_the_figure_shows_the_suspected_pictures(run, monkeypatch):
    drawing = next(suspects(run))
    data = drawing.draw.args[0]
    pictures, _ = judged(run)
    doubted = pictures[pictures["suspected"]]
    # At most eight of each label, the most probable ones first.
    order = ["label", "probability", "image_id"]
    expected = doubted.sort_values(order, ascending=[True, False, True]).groupby("label").head(8)
    assert len(expected) > 8
    for column, source in (("true", "label"), ("given", "suggested")):
        assert data[column].tolist() == [CLASSES[place] for place in expected[source]]
    assert data["probability"].tolist() == pytest.approx(expected["probability"].tolist())
    assert f"{len(doubted)} of 400 validation pictures have a label that" in drawing.caption
    assert f"of the best {len(run.completed)} completed models" in drawing.caption
    assert render(drawing).png
    assert "(one row each)" in drawing.caption
    monkeypatch.setattr(suspects_figure, "MOST_CLASSES", 2)
    assert "each; the 2 labels with the largest share of them)" in next(suspects(run)).caption
    with pytest.raises(DatasetLeftOutError):
        next(suspects(replace(run, provenance={})))


def test_a_run_without_predictions_suspects_nothing(run):
    bare = replace(run, answers={})
    with pytest.raises(NotKnownError, match="has predictions on pictures"):
        judged(bare)
    assert list(suspects(bare)) == []


def test_suspected_labels_stand_before_pictures_that_all_get_wrong_and_both_by_their_lead(
    monkeypatch,
):
    rows = [  # picture, label, suggested, its probability, that of the label, wrong, suspected
        ("d", 0, 0, 0.3, 0.3, 3, False),
        ("a", 1, 0, 0.6, 0.3, 1, True),
        ("e", 0, 0, 0.5, 0.5, 2, False),
        ("c", 0, 1, 0.9, 0.1, 3, True),
        ("b", 1, 0, 0.5, 0.2, 0, True),
    ]
    columns = ["image_id", "label", "suggested", "probability", "own", "wrong", "suspected"]
    found = Judged(pd.DataFrame(rows, columns=columns), 3)
    monkeypatch.setattr(suspects_table_module, "judged", lambda _: found)
    table = suspects_table(SimpleNamespace(info=SimpleNamespace(classes=("z", "y"))))
    assert table.frame["name"].tolist() == ["c", "a", "b", "d"]
    assert table.frame["label"].tolist() == ["z", "y", "y", "z"]
    assert table.frame["suggested"].tolist() == ["y", "z", "z", "z"]
    assert table.frame["n"].tolist() == [3] * 4
    shown = table.views[0].shown(table.frame)
    assert shown.iloc[0].to_dict() == {
        "picture": "c", "label": "z", "suggested": "y", "its probability": "0.900",
        "that of the label": "0.100", "models wrong": "3", "n": "3", "label suspected": "yes",
    }  # fmt: skip
    assert shown["label suspected"].tolist() == ["yes", "yes", "yes", "no"]
    assert (
        "Of 5 validation pictures, all of the best 3 completed models get 2 wrong; 3 labels are "
        "suspected; the 4 most suspect are shown."
    ) in table.notes


def test_models_that_were_judged_on_other_pictures_are_not_put_together(monkeypatch, run):
    def read(ids):
        shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
        return ids, np.array([0, 1, 1]), shares

    monkeypatch.setattr(suspects_module, "read_shares", lambda _, one: read(ids_of[one]))
    trials = run.completed["trial_id"].tolist()
    ids_of = {trial: ["a", "b", "c"] for trial in trials}
    pictures, models = judged.__wrapped__(run)
    assert (models, pictures["image_id"].tolist()) == (len(trials), ["a", "b", "c"])
    ids_of[trials[3]] = ["a", "b", "x"]
    with pytest.raises(NotKnownError, match="were judged on different pictures"):
        judged.__wrapped__(run)


def test_models_may_list_their_pictures_in_another_order_and_only_completed_ones_judge(
    run, monkeypatch
):
    shares = {"a": [0.9, 0.1], "b": [0.2, 0.8], "c": [0.3, 0.7]}
    labels = {"a": 0, "b": 1, "c": 1}
    first, second = run.completed["trial_id"].head(2)
    orders = {first: ["b", "c", "a"], second: ["c", "a", "b"]}

    def read(_, trial_id):
        ids = orders[trial_id]
        return ids, np.array([labels[one] for one in ids]), np.array([shares[one] for one in ids])

    monkeypatch.setattr(suspects_module, "read_shares", read)
    status = run.trials["status"].where(run.trials["trial_id"].isin(orders), "EARLY_STOPPED")
    pictures, models = judged.__wrapped__(replace(run, trials=run.trials.assign(status=status)))
    assert models == 2
    assert pictures["image_id"].tolist() == ["a", "b", "c"]
    assert pictures["label"].tolist() == [0, 1, 1]
    assert pictures["own"].tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_labels_without_a_suspect_are_not_counted_among_those_that_are_shown(run, monkeypatch):
    pictures, models = judged(run)
    of_two = pictures.assign(suspected=pictures["suspected"] & (pictures["label"] < 2))
    assert of_two.loc[of_two["suspected"], "label"].nunique() == 2
    monkeypatch.setattr(suspects_figure, "judged", lambda _: Judged(of_two, models))
    monkeypatch.setattr(suspects_figure, "MOST_CLASSES", 2)
    assert "(one row each)" in next(suspects(run)).caption
