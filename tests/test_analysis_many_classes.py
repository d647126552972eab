"""Tables and figures of a run with more classes than a matrix of numbers can show."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from analysis.classes import confusions_figure
from analysis.classes import figure as matrices
from analysis.classes.confusions import confusions
from analysis.classes.confusions_table import MOST_PAIRS, confusions_table
from analysis.dataset import mistakes_figure as mistakes
from analysis.dataset import table as dataset_table
from analysis.dataset.copies_table import copies_table
from analysis.dataset.table import class_counts_table
from analysis.drawing.drawing import render
from analysis.report import tables
from analysis.report.report import _dataset_warning, write_report
from analysis.report.tables import TABLES
from analysis.run.dataset import find_dataset
from analysis.run.run_data import read_confusion, read_probabilities, read_run
from analysis.run.trials import incumbent
from analysis.statistics.clusters import clusters_of, design_effect, singles
from tests.support.many_classes import write_run_of_many_classes
from tests.support.run_factory import Factory

CLASSES = 15


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("many")
    return read_run(
        write_run_of_many_classes(
            place / "run", place / "data", classes=CLASSES, pictures=3000, trials=2, colour=False
        )
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    place = tmp_path_factory.mktemp("few")
    return read_run(Factory(configurations=2, replicates=1, faults=False).write(place / "run"))


MATRIX = np.array([[5, 0, 3, 1], [0, 0, 0, 0], [7, 3, 90, 0], [2, 0, 0, 0]])


def answers_of(matrix):
    """Return a row per picture of a confusion matrix."""
    labels, predicted = (
        np.repeat(part, matrix.ravel()) for part in np.indices(matrix.shape).reshape(2, -1)
    )
    return pd.DataFrame({"label": labels, "predicted": predicted})


def test_confusions_are_the_cells_off_the_diagonal_the_most_frequent_first():
    answers = answers_of(MATRIX)
    found = confusions(answers, ["a", "b", "c", "d"], singles(len(answers)), 9)
    assert list(zip(found["true"], found["predicted"], found["pictures"], strict=True)) == [
        ("c", "a", 7), ("a", "c", 3), ("c", "b", 3), ("d", "a", 2), ("a", "d", 1),
    ]  # fmt: skip
    assert found["n"].tolist() == [100, 9, 100, 2, 9]
    assert found["share"].tolist() == pytest.approx([0.07, 3 / 9, 0.03, 1, 1 / 9])
    low, high = proportion_confint(7, 100, method="wilson")
    assert (found["share_low"][0], found["share_high"][0]) == pytest.approx((low, high))
    most = confusions(answers, ["a", "b", "c", "d"], singles(len(answers)), 2)
    pd.testing.assert_frame_equal(most, found.head(2))
    right = answers_of(np.diag([3, 4]))
    assert confusions(right, ["a", "b"], singles(7), 9).empty


def test_equally_frequent_confusions_stand_in_the_order_of_the_classes():
    answers = answers_of(1 - np.eye(7, dtype=int))
    found = confusions(answers, list("gfedcba"), singles(len(answers)), 99)
    pairs = [(true, other) for true in "gfedcba" for other in "gfedcba" if true != other]
    assert list(zip(found["true"], found["predicted"], strict=True)) == pairs


def all_confusions(run, trial_id):
    answers = read_probabilities(run, trial_id)
    return confusions(answers, run.info.classes, singles(len(answers)), 10_000)


def test_copies_count_once_in_the_interval_of_a_confusion():
    answers = answers_of(np.array([[30, 10], [0, 40]]))
    pairs = clusters_of(np.arange(80) // 2)  # two copies each, told alike
    found = confusions(answers, ["a", "b"], pairs, 9)
    assert (found["pictures"][0], found["n"][0], found["share"][0]) == (10, 40, 0.25)
    of_class = (answers["label"] == 0).to_numpy()
    taken = (answers["predicted"] == 1).to_numpy()[of_class]
    effect = design_effect([(taken, pairs.part(of_class))])
    assert effect > 1.9
    low, high = proportion_confint(10 / effect, 40 / effect, method="wilson")
    assert (found["share_low"][0], found["share_high"][0]) == pytest.approx((low, high))


def test_the_interval_of_a_confusion_does_not_depend_on_what_else_the_class_is_taken_for():
    answers = answers_of(np.array([[20, 6, 14], [0, 20, 0], [0, 0, 20]]))
    fours = clusters_of(np.arange(80) // 4)  # one of them is taken for b and for c
    found = confusions(answers, ["a", "b", "c"], fours, 9).set_index("predicted").loc["b"]
    of_class = np.arange(80) < 40
    taken = (answers["predicted"] == 1).to_numpy()[of_class]
    effect = design_effect([(taken, fours.part(of_class))])
    ends = proportion_confint(6 / effect, 40 / effect, method="wilson")
    assert found[["share_low", "share_high"]].tolist() == pytest.approx(ends)


def test_a_matrix_of_many_classes_has_colours_and_a_limited_size():
    rng = np.random.default_rng(0)
    for count in (matrices.MOST_NUMBERED + 1, 300):
        counts = rng.integers(1, 9, (count, count))
        counts[4] = 0
        figure = matrices.draw(counts, [f"c{place}" for place in range(count)])
        assert figure.get_size_inches().max() < 8
        axes = figure.axes[0]
        assert not axes.texts
        shown = axes.images[0].get_array()
        assert shown.mask.all(axis=1).tolist() == (np.arange(count) == 4).tolist()
        expected = counts[0] / counts[0].sum()
        assert shown[0].tolist() == pytest.approx(expected.tolist())
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert len(names) <= matrices.MOST_NAMED
        at = axes.get_yticks()
        assert names == [f"c{place}" for place in at]
        assert [text.get_text() for text in axes.get_xticklabels()] == names
        assert axes.get_xticks().tolist() == at.tolist()
        assert {text.get_rotation() for text in axes.get_xticklabels()} == {90}
        assert axes.yaxis_inverted()
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
        scale = axes.images[0].norm
        assert (scale.vmin, scale.vmax, scale(0.25)) == (0, 1, 0.5)  # the square root
        bar = figure.axes[1]
        assert bar.get_ylabel() == "share of the true class"
        told = dict(zip(bar.get_yticks(), map(label_text, bar.get_yticklabels()), strict=True))
        assert {0.01: "1%", 0.5: "50%", 1: "100%"}.items() <= told.items()


def label_text(label):
    return label.get_text()


def test_a_matrix_of_twelve_classes_still_has_numbers(run, monkeypatch):
    assert matrices.MOST_NUMBERED == 12
    axes = matrices.draw(np.full((12, 12), 3), [f"c{place}" for place in range(12)]).axes[0]
    assert len(axes.texts) == 2 * 144
    assert "above the number of pictures" in matrices._how_to_read(12)
    assert "above the number of pictures" not in matrices._how_to_read(13)
    # Its pairs are all seen there, so the report has neither their table nor their figure.
    for module in (tables, confusions_figure):
        monkeypatch.setattr(module, "MOST_NUMBERED", CLASSES)
    assert list(TABLES["confusions"](run)) == []
    assert list(confusions_figure.confused_pairs(run)) == []
    for module in (tables, confusions_figure):
        monkeypatch.setattr(module, "MOST_NUMBERED", CLASSES - 1)
    assert len(list(TABLES["confusions"](run))) == 1


def test_a_matrix_says_which_classes_it_names(run):
    assert "of the true class" in next(matrices.confusion(run)).caption
    assert "is named" not in matrices._how_to_read(40)
    assert "One in 3 of the 100 classes is named." in matrices._how_to_read(100)


def test_long_class_names_stand_upright_below_a_matrix():
    def rotation(names):
        axes = matrices.draw(np.ones((2, 2), int), names).axes[0]
        return axes.get_xticklabels()[0].get_rotation()

    assert (rotation(["disgusts", "focused"]), rotation(["automobil", "cat"])) == (0, 90)


def test_the_pairs_that_the_incumbent_confuses_most_are_drawn(run):
    (drawing,) = confusions_figure.confused_pairs(run)
    matrix = read_confusion(run, str(incumbent(run)["trial_id"]))
    found = all_confusions(run, str(incumbent(run)["trial_id"]))
    panel = drawing.chart.panels[0]
    first = found.iloc[0]
    assert len(panel.y.names) == confusions_figure.SHOWN < len(found)
    assert panel.y.reversed
    assert panel.y.names[0] == f"{first['true']} → {first['predicted']} ({first['pictures']})"
    (layer,) = panel.layers
    assert layer.x.tolist() == pytest.approx(100 * found["share"].head(20))
    assert layer.low.tolist() == pytest.approx(100 * found["share_low"].head(20))
    assert layer.high.tolist() == pytest.approx(100 * found["share_high"].head(20))
    assert layer.y.tolist() == list(range(20))
    assert layer.texts[0] == f"{first['pictures']} of {first['n']} {first['true']}"
    assert drawing.title.endswith(f"{incumbent(run)['name']}, trial {incumbent(run)['number']}")
    long = found.head(1).assign(true="a" * 30, pictures=1_200, n=3_400)
    (name,) = confusions_figure._chart(long).panels[0].y.names
    assert name.startswith("a" * 20)
    assert "a" * 25 not in name
    assert name.endswith(f" → {first['predicted']} (1,200)")
    wrong = matrix.sum() - np.trace(matrix)
    assert f"mistakes on {matrix.sum():,} validation pictures" in drawing.caption
    share = found["pictures"].head(20).sum() / wrong
    assert f"The 20 most frequent of {len(found)} kinds of mistakes" in drawing.caption
    assert f"they are {share:.0%} of all {wrong:,} mistakes" in drawing.caption


def test_few_classes_need_no_list_of_pairs_but_can_have_it(small):
    assert list(confusions_figure.confused_pairs(small)) == []
    assert list(TABLES["confusions"](small)) == []
    assert list(TABLES["dataset"](small)) == []
    frame = confusions_table(small).frame
    assert (frame["true"] != frame["predicted"]).all()
    assert frame["trial_id"].nunique() == 2


def test_the_table_of_confusions_has_the_most_frequent_of_each_model(run):
    (table,) = TABLES["confusions"](run)
    for trial_id, rows in table.frame.groupby("trial_id", sort=False):
        expected = all_confusions(run, trial_id).head(MOST_PAIRS)
        own = rows[list(expected)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, expected)
    assert table.frame["trial"].iloc[0] == incumbent(run)["number"]
    told = f"The {MOST_PAIRS} most frequent pairs (fewer if there are fewer) of each of the 2 best"
    assert table.notes[-1].startswith(told)


def test_mistakes_of_many_classes_are_those_of_the_incumbent_in_the_worst_classes(run):
    (drawing,) = mistakes.mistakes(run)
    best = incumbent(run)
    predicted = read_probabilities(run, str(best["trial_id"]))
    shown = mistakes.prepare(run, predicted)
    wrong = (predicted["label"] != predicted["predicted"]).groupby(predicted["label"]).mean()
    worst = sorted(wrong.sort_values(ascending=False).index[: mistakes.MOST_CLASSES])
    assert list(dict.fromkeys(shown["true"])) == [run.info.classes[label] for label in worst]
    assert "one row per class; the 12 classes with the lowest recall" in drawing.caption
    size = Image.open(BytesIO(render(drawing).png)).size
    assert max(size) < 3000


def test_classes_that_the_figure_shows_have_no_table(run, monkeypatch):
    monkeypatch.setattr(dataset_table, "MOST_UPRIGHT", CLASSES)
    assert class_counts_table(run) is None
    monkeypatch.setattr(dataset_table, "MOST_UPRIGHT", CLASSES - 1)
    assert class_counts_table(run) is not None


def test_the_table_of_the_dataset_counts_each_class_by_split(run):
    table = class_counts_table(run)
    counts = find_dataset(run).manifest["counts"]
    assert table.frame["class"].tolist() == list(run.info.classes)
    assert table.frame["val"].tolist() == list(counts["val"].values())
    splits = list(counts)
    assert splits != sorted(splits)
    headings = [column.heading for column in table.views[0].columns]
    assert headings == ["class", *splits, "all"]
    assert table.frame["all"].tolist() == [
        sum(counts[split][name] for split in splits) for name in run.info.classes
    ]
    assert table.frame["all"].sum() == sum(sum(of_class.values()) for of_class in counts.values())
    gone = replace(run, provenance={})
    assert class_counts_table(gone) is None


def test_copies_across_splits_are_a_warning_of_the_report(run, tmp_path):
    manifest = dict(find_dataset(run).manifest)
    (tmp_path / "images.parquet").touch()
    for leaks, told in (
        (0, ""),
        (1, "1 validation or test picture has a copy in"),
        (1234, "1,234 validation and test pictures have a copy in"),
    ):
        manifest["duplicates"] = {"groups": 9, "surplus": 9, "across_splits": leaks}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        warning = _dataset_warning(replace(run, data=tmp_path), "")
        assert warning.startswith(told)
        assert bool(warning) == bool(leaks)
    assert "left out: it is gone." in _dataset_warning(run, "it is gone")


def test_people_on_both_sides_are_a_warning_of_the_report(run, tmp_path):
    manifest = dict(find_dataset(run).manifest)
    (tmp_path / "images.parquet").touch()
    manifest["duplicates"] = {"across_splits": 3}
    leak = {"values": 40, "on_both_sides": 12, "pictures": 1500}
    manifest["details"] = {**manifest["details"], "leaking_columns": {"patient": leak}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    warning = _dataset_warning(replace(run, data=tmp_path), "")
    assert warning.startswith("3 validation and test pictures have a copy in")
    assert (
        "lists them. 12 of the 40 values of 'patient' have pictures in train and in validation or "
        "test, where 1,500 pictures have such a value; together: patient keeps them on one side."
    ) in warning


def test_the_report_lists_copies_that_an_official_split_parts(run, tmp_path, monkeypatch):
    """As many pictures as fit; labels such as NA are texts."""
    for name in ("images.parquet", "manifest.json"):
        (tmp_path / name).write_bytes((find_dataset(run).path / name).read_bytes())
    here = replace(run, data=tmp_path)
    assert copies_table(here) is None
    rows = ["3,a/1,train,NA", "3,a/2,test,cat", "7,a/3,val,cat", "7,a/4,test,cat"]
    text = "\n".join(["duplicate_group,image_id,split,label", *rows])
    (tmp_path / "copies_across_splits.csv").write_text(text)
    table = copies_table(here)
    assert table.frame["name"].tolist() == ["a/1", "a/2", "a/3", "a/4"]
    assert table.frame["label"].tolist() == ["NA", "cat", "cat", "cat"]
    assert table.frame["split"].tolist() == ["train", "test", "val", "test"]
    assert table.notes[0].startswith("2 groups of identical or nearly identical pictures")
    assert "1 of them with several labels. The first 4 of 4 pictures" in table.notes[0]
    monkeypatch.setattr("analysis.dataset.copies_table.MOST_ROWS", 3)
    assert len(copies_table(here).frame) == 3
    assert "The first 3 of 4 pictures" in copies_table(here).notes[0]
    monkeypatch.setattr("analysis.dataset.copies_table.MOST_ROWS", 1)
    assert copies_table(here).notes[0].startswith("2 groups")
    (tmp_path / "copies_across_splits.csv").write_text(text.replace("a/", "00"))
    assert copies_table(here).frame["name"].tolist() == ["001"]
    assert [each.name for each in TABLES["copies"](here)] == ["copies_across_splits"]
    assert copies_table(replace(run, provenance={})) is None


@pytest.mark.long
def test_a_report_of_many_classes_shows_them_all(run, tmp_path):
    written = write_report(run, tmp_path / "out", lambda _: None)
    assert not written.left_out
    page = written.page.read_text()
    for title in ("What the incumbent confuses most", "Classes that are confused most"):
        assert title in page
    assert 'class="beside even"' in page
    assert (tmp_path / "out/tables/dataset_classes.csv").is_file()
    assert (tmp_path / "out/figures/samples.png").is_file()
