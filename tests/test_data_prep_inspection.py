import csv
import json
import re
import sys
from dataclasses import replace
from importlib import import_module
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

import data_prep.__main__ as program
from data_prep.inspection import (
    MOST_REASONS,
    Copies,
    Inspection,
    copies_across_words,
    inspect_dataset,
    most_frequent,
)
from data_prep.inspection_figures import (
    FILES,
    _made,
    _of_copies,
    _spread,
    _varied,
    read_pixels,
    write_figures,
)
from data_prep.manifest import DatasetManifest
from data_prep.reader import read_dataset
from data_prep.rejections import Rejection, Rejections
from data_prep.summary import print_inspection
from fairsweep.drawing.copies import GROUPS, Copy, draw_copies
from tests.support.dataset_factory import CLASSES, labelled_images, write_labelled

COPIES = Copies(
    image_ids=list("abcdefghijkl"),
    labels=["x", "y", "x", "x", "y", "z", "x", "y", "z", "z", "z", "x"],
    splits=["val", "train", "train", "test", "val", "test", *6 * ["train"]],
    groups=np.array([5, 5, 5, 2, 2, 7, 8, 2, 9, 9, 11, 11]),
)
"""Groups 5 (a, b, c), 2 (d, e, h), 9 (i, j, one label), 11 (k, l, one split), two single ones."""


def ids(groups):
    return ["".join(COPIES.image_ids[row] for row in rows) for rows in groups]


def test_groups_of_copies_stand_in_the_order_of_their_splits():
    assert ids(COPIES.several) == ["hed", "bca", "ij", "kl"]
    assert ids(COPIES.mixed) == ["hed", "bca", "kl"]
    assert list(COPIES.rows()) == [
        (2, "h", "train", "y"), (2, "e", "val", "y"), (2, "d", "test", "x"),
        (5, "b", "train", "y"), (5, "c", "train", "x"), (5, "a", "val", "x"),
        (9, "i", "train", "z"), (9, "j", "train", "z"),
        (11, "k", "train", "z"), (11, "l", "train", "x"),
    ]  # fmt: skip


def test_labels_that_meet_in_a_group_and_leaks_are_counted():
    assert COPIES.label_pairs() == {("x", "y"): 2, ("x", "z"): 1}
    leaks = COPIES.leaks()
    assert leaks == {"val in train": 2, "test in train": 1, "test in val": 1}
    assert copies_across_words(leaks).startswith(
        "2 val pictures have a copy in train, 1 test picture has a copy in train"
    )
    assert copies_across_words({"val in train": 0}) == ""


@pytest.fixture(scope="module")
def scattered(tmp_path_factory):
    """A dataset whose copies are scattered over the splits, with rows left out."""
    out = tmp_path_factory.mktemp("scattered") / "set"
    rejections = Rejections()
    rejections.leave_out(
        [
            Rejection("a", "", None, "a copy of first/880"),
            Rejection(
                "b", "", None, "a copy of first/881, which is labelled 'x' there and 'y' here"
            ),
            Rejection(
                "c", "", None, "a copy of first/882, which is labelled 'y' there and 'x' here"
            ),
            *(Rejection("", "f", row, "too dark") for row in range(5)),
        ]
    )
    groups = np.arange(95)
    groups[60:90] = groups[:30]
    write_labelled(out, recipe={"split": "random"}, groups=groups, rejections=rejections)
    return out


def test_reasons_are_counted_without_the_names_of_single_pictures(scattered):
    assert list(inspect_dataset(scattered).reasons.items()) == [
        ("too dark", 5),
        ("a copy of a picture of an earlier source, under another label", 2),
        ("a copy of a picture of an earlier source", 1),
    ]


def test_many_reasons_end_in_a_row_for_the_others():
    reasons = {f"reason {number}": 100 - number for number in range(40)}
    shown = most_frequent(reasons)
    assert len(shown) == MOST_REASONS
    assert sum(shown.values()) == sum(reasons.values())
    assert list(shown)[-1] == "26 other reasons"
    few = dict(list(reasons.items())[:MOST_REASONS])
    assert most_frequent(few) == few


def test_inspect_tells_leaks_labels_and_reasons_to_people_and_machines(scattered, capsys):
    dataset = read_dataset(scattered)
    leaked = dataset.manifest.duplicates["across_splits"]
    assert program.main(["inspect", str(scattered), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert leaked > 0
    assert found["leaks"]["val in train"] + found["leaks"]["test in train"] == leaked
    assert found["rejected"]["too dark"] == 5
    labels = {group: set() for group in dataset.duplicate_groups.tolist()}
    for group, label in zip(dataset.duplicate_groups.tolist(), dataset.labels, strict=True):
        labels[group].add(int(label))
    mixed = sum(len(found) > 1 for found in labels.values())
    assert found["mixed_labels"]["groups"] == mixed > 0
    assert program.main(["inspect", str(scattered)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"in {mixed} of 30 groups of duplicates labels differ: " in told
    assert f"{found['leaks']['val in train']} val pictures have a copy in train" in told
    assert re.search(r"too dark │ 5 │", told)
    assert "The largest class, angry, has " in told


def test_copies_that_agree_are_told_so(tmp_path):
    write_labelled(tmp_path / "set", groups=np.arange(95))
    stream = StringIO()
    manifest = DatasetManifest.read(tmp_path / "set")
    print_inspection(manifest, inspect_dataset(tmp_path / "set"), Console(file=stream, width=200))
    assert "no picture has a copy" in stream.getvalue()
    agreed = Copies(image_ids=list("ab"), labels=["x"] * 2, splits=["val"] * 2, groups=np.zeros(2))
    print_inspection(manifest, Inspection(reasons={}, copies=agreed), Console(file=stream))
    assert "in each of the 1 groups of duplicates all labels agree" in stream.getvalue()


def test_figures_and_the_list_of_duplicates_are_written(scattered, tmp_path, capsys):
    out = tmp_path / "new/figures"
    assert program.main(["inspect", str(scattered), "--figures", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert "wrote class_counts.png, " in capsys.readouterr().err
    for path in out.glob("*.png"):
        assert 500 < Image.open(BytesIO(path.read_bytes())).size[0] < 3000
    rows = list(csv.DictReader((out / "duplicates.csv").read_text().splitlines()))
    dataset = read_dataset(scattered)
    sizes = np.bincount(dataset.duplicate_groups)
    assert len(rows) == sizes[sizes > 1].sum() == 60
    known = dict(zip(dataset.image_ids, dataset.labels, strict=True))
    assert all(CLASSES[known[row["image_id"]]] == row["label"] for row in rows)


def test_captions_count_the_rows_and_groups_behind_a_figure(scattered, tmp_path, monkeypatch):
    monkeypatch.setattr(
        import_module("fairsweep.drawing.png"), "png", lambda _draw, caption: caption.encode()
    )
    found = inspect_dataset(scattered)
    write_figures(scattered, DatasetManifest.read(scattered), found, tmp_path)
    captions = {path.name: path.read_text() for path in tmp_path.glob("*.png")}
    assert captions["rejected.png"] == (
        "8 rows were left out of my faces; rejected.csv lists each."
    )
    assert captions["duplicates.png"].startswith("20 of 30 groups of duplicates of my faces; the ")
    assert captions["class_counts.png"].startswith("my faces: 95 pictures, split 'random'.")


def test_of_many_reasons_the_figure_shows_the_most_frequent(scattered, monkeypatch):
    monkeypatch.setattr(
        import_module("fairsweep.drawing.png"), "png", lambda draw, _caption: draw.args[0]
    )
    reasons = {f"reason {number}": 100 - number for number in range(40)}
    found = replace(inspect_dataset(scattered), reasons=reasons)
    drawn = dict(_made(scattered, DatasetManifest.read(scattered), found, found.copies))
    assert drawn["rejected.png"] == most_frequent(reasons)


def test_figures_that_no_longer_apply_are_removed_and_other_files_stay(tmp_path):
    write_labelled(tmp_path / "plain", groups=np.arange(95))
    out = tmp_path / "out"
    out.mkdir()
    for name in ("leaks.png", "mine.txt"):
        (out / name).write_text("old")
    plain = tmp_path / "plain"
    written = write_figures(plain, DatasetManifest.read(plain), inspect_dataset(plain), out)
    assert written == ["class_counts.png", "pixel_values.png", "samples.png"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*written, "mine.txt"])


def test_pixels_of_a_few_rows_are_read_in_colour_and_by_row_group(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (95, 6, 9, 3), dtype=np.uint8)
    write_labelled(tmp_path / "set", labelled_images(pixels=pixels))
    file = tmp_path / "set/images.parquet"
    pq.write_table(pq.read_table(file), file, row_group_size=20)
    rows = np.array([3, 19, 20, 94])
    found = read_pixels(file, rows, (6, 9, 3))
    assert list(found) == rows.tolist()
    assert all((found[row] == pixels[row]).all() for row in rows.tolist())


def test_copies_are_drawn_with_label_and_split_and_another_label_in_colour():
    def copy(label, split):
        return Copy(label=label, split=split, pixels=np.zeros((6, 9), np.uint8))

    group = [copy("a", "train"), copy("b", "val"), *(copy("a", "test") for _ in range(5))]
    axes = draw_copies([group, group[:2]]).axes[0]
    assert len(axes.images) == 4 + 2
    texts = [(text.get_text(), text.get_color()) for text in axes.texts]
    assert [text for text, _ in texts[::2]] == ["a", "b", "a", "a", "a", "b"]
    assert [text for text, _ in texts[1::2]] == [
        "train", "val", "test", "test, 3 more", "train", "val",
    ]  # fmt: skip
    assert texts[2][1] != texts[0][1] == texts[4][1]


def test_every_group_of_copies_is_in_the_figure_in_the_shape_of_its_pictures():
    group = [Copy(label="a", split="val", pixels=np.zeros((6, 9), np.uint8))] * 4
    axes = draw_copies([group] * 3).axes[0]
    bottom, top = axes.get_ylim()
    assert len(axes.images) == 12
    for image in axes.images:
        left, right, below, above = image.get_extent()
        assert top <= above < below <= bottom
        assert (below - above) / (right - left) == pytest.approx(6 / 9)
    assert {text.get_text() for text in axes.texts} == {"a", "val"}, "and no more copies"


def test_figures_of_nothing_or_into_a_file_are_refused(scattered, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert program.main(["inspect", str(scattered), "--figures", str(tmp_path / "file")]) == 2
    assert "--figures must be a directory, but" in capsys.readouterr().err
    DatasetManifest.read(scattered).write(tmp_path)
    assert program.main(["inspect", str(tmp_path), "--figures", str(tmp_path / "out")]) == 2
    assert "images.parquet is missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["whole", "inside"])
def test_a_damaged_file_of_pictures_is_refused_in_a_line(scattered, tmp_path, capsys, damage):
    DatasetManifest.read(scattered).write(tmp_path)
    content = (scattered / "images.parquet").read_bytes()
    # What tells where the columns are is at the end.
    damaged = b"nothing" if damage == "whole" else content[:4] + bytes(99) + content[103:]
    (tmp_path / "images.parquet").write_bytes(damaged)
    assert program.main(["inspect", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "images.parquet is damaged" in error
    assert error.count("\n") == 1


def test_without_matplotlib_figures_name_what_to_install(scattered, tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fairsweep.drawing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert program.main(["inspect", str(scattered)]) == 0
    out = tmp_path / "out"
    assert program.main(["inspect", str(scattered), "--figures", str(out)]) == 2
    assert "pip install 'fairsweep[analysis]'" in capsys.readouterr().err
    assert not out.exists()


def test_groups_of_several_labels_are_drawn_first_and_leaks_show_each_split(monkeypatch):
    monkeypatch.setattr(
        import_module("fairsweep.drawing.png"), "png", lambda draw, _caption: draw.args[0]
    )
    monkeypatch.setattr(
        "data_prep.inspection_figures.read_pixels",
        lambda _file, rows, _shape: {row: row for row in rows.tolist()},
    )
    # Two groups of pictures with two labels and two splits, then 30 groups of equal pictures.
    labels, splits = ["x", "y", "x"] * 2 + ["x"] * 60, ["train", "train", "val"] * 2 + ["val"] * 60
    groups = np.array([0] * 3 + [1] * 3 + [2 + row // 2 for row in range(60)])
    copies = Copies(
        image_ids=[str(row) for row in range(66)], labels=labels, splits=splits, groups=groups
    )
    about = SimpleNamespace(name="set", pixel_shape=(6, 9))
    drawn = dict(_of_copies(Path("images.parquet"), about, copies))
    shown = [[one.pixels for one in group] for group in drawn["duplicates.png"]]
    assert len(shown) == GROUPS == 20
    assert shown[:3] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [[one.pixels for one in group] for group in drawn["leaks.png"]] == [[0, 2, 1], [3, 5, 4]]


def test_what_is_drawn_of_copies_is_spread_and_varied():
    groups = [np.array([number]) for number in range(101)]
    assert [int(rows[0]) for rows in _spread(groups, 3)] == [0, 50, 100]
    assert _spread(groups[:3], 3) == groups[:3]
    texts = ["train", "train", "train", "val", "test", "val"]
    assert _varied(np.arange(6), texts).tolist() == [0, 3, 4, 1, 2, 5]
