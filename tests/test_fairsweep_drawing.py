"""Figures of a dataset: with a few classes, with a hundred, and with more than fit."""

import hashlib
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fairsweep.class_balance import balance_words
from fairsweep.drawing import class_counts, pixel_values, samples, training_pictures
from fairsweep.drawing.png import png
from fairsweep.drawing.reasons import draw_reasons
from fairsweep.drawing.style import shortened
from fairsweep.drawing.training_pictures import read_training_pictures

CLASSES = ("neutral", "bored", "angry")
SHAPE = (4, 7)


def write_images(path, *, channels=1, shape=SHAPE, hashes=True, group=60):
    """Write 60 pictures in three splits, the first 40 of them for training, in turn by class."""
    rng = np.random.default_rng(1)
    size = shape[0] * shape[1] * channels
    pixels = [rng.integers(0, 256, size, dtype=np.uint8).tobytes() for _ in range(60)]
    pixels[3] = pixels[0]  # copies of one class
    table = {
        "image_id": [f"{99 - row}" for row in range(60)],
        "split": ["train"] * 40 + ["val"] * 10 + ["test"] * 10,
        "label": [CLASSES[row % 3] for row in range(60)],
        "pixels": pa.array(pixels, pa.binary(size)),
    }
    if hashes:
        table["content_hash"] = [hashlib.sha256(one).hexdigest() for one in pixels]
    pq.write_table(pa.table(table), path, row_group_size=group)
    return pq.read_table(path).to_pandas()


def counts_of(classes, least=10):
    """Return counts in which class c0 is the smallest and each next one is larger."""
    return {
        split: {f"c{place}": (least + place) * times for place in range(classes)}
        for split, times in (("train", 3), ("val", 2), ("test", 1))
    }


def axis_names(axis):
    return [text.get_text() for text in axis]


def test_a_few_classes_have_a_bar_per_split():
    counts = counts_of(3)
    axes = class_counts.draw_class_counts(counts).axes[0]
    assert axis_names(axes.get_xticklabels()) == ["c0", "c1", "c2"]
    for bars, split in zip(axes.containers, counts, strict=True):
        assert [bar.get_height() for bar in bars] == list(counts[split].values())
    labels = [bars.get_label() for bars in axes.containers]
    assert labels == ["training (99)", "validation (66)", "test (33)"]
    assert class_counts.left_out_words(counts) == ""


@pytest.mark.parametrize("classes", [2, class_counts.MOST_UPRIGHT])
def test_the_bars_of_a_class_stand_around_its_name_and_apart_from_those_of_the_next(classes):
    axes = class_counts.draw_class_counts(counts_of(classes)).axes[0]
    for place, bars in enumerate(zip(*axes.containers, strict=True)):
        ends = [bar.get_x() for bar in bars] + [bar.get_x() + bar.get_width() for bar in bars]
        assert max(ends) + min(ends) == pytest.approx(2 * place)
        assert max(ends) - min(ends) < 1


def test_many_classes_have_a_row_each_the_largest_on_top():
    counts = counts_of(class_counts.MOST_UPRIGHT + 1)
    axes = class_counts.draw_class_counts(counts).axes[0]
    assert axis_names(axes.get_yticklabels()) == ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]
    assert axes.yaxis_inverted()
    for bars, split in zip(axes.containers, counts, strict=True):
        assert [bar.get_width() for bar in bars] == list(counts[split].values())[::-1]
    assert [bar.get_x() for bar in axes.containers[1]] == list(counts["train"].values())[::-1]
    assert axis_names(axes.texts)[0] == "96"
    assert axes.get_xlim()[1] > 96


def test_a_thousand_classes_show_both_ends_and_say_what_is_between():
    counts = counts_of(1000)
    figure = class_counts.draw_class_counts(counts)
    axes = figure.axes[0]
    names = axis_names(axes.get_yticklabels())
    assert len(names) == class_counts.MOST_ROWS + 1
    assert (names[0], names[19], names[20], names[21], names[-1]) == (
        "c999", "c980", "⋮", "c19", "c0",
    )  # fmt: skip
    assert " 960 more classes of 180 to 5,934 pictures" in axis_names(axes.texts)
    assert "the 20 largest and the 20 smallest of the 1,000" in class_counts.left_out_words(counts)
    assert figure.get_size_inches().max() < 10
    assert class_counts.left_out_words(counts_of(class_counts.MOST_ROWS)) == ""
    assert class_counts.left_out_words(counts_of(class_counts.MOST_ROWS + 1)) != ""


def test_every_training_pixel_is_counted_once(tmp_path):
    rows = write_images(tmp_path / "images.parquet")
    found = read_training_pictures(tmp_path / "images.parquet", CLASSES, SHAPE, 2)
    assert list(found.values) == ["gray"]
    for name in CLASSES:
        own = b"".join(rows[(rows["label"] == name) & (rows["split"] == "train")]["pixels"])
        expected = np.bincount(np.frombuffer(own, np.uint8), minlength=256)
        assert (found.values["gray"][name] == expected).all()
    assert found.words == "All pixels of 40 training pictures"


def test_the_planes_of_colour_are_counted_apart(tmp_path):
    rows = write_images(tmp_path / "images.parquet", channels=3)
    found = read_training_pictures(tmp_path / "images.parquet", CLASSES, (*SHAPE, 3), 2)
    own = b"".join(rows[(rows["label"] == "bored") & (rows["split"] == "train")]["pixels"])
    planes = np.frombuffer(own, np.uint8).reshape(-1, 3)
    for place, channel in enumerate(("red", "green", "blue")):
        expected = np.bincount(planes[:, place], minlength=256)
        assert (found.values[channel]["bored"] == expected).all()


@pytest.mark.parametrize("group", [60, 25])
def test_of_a_large_dataset_some_pictures_are_counted_and_that_is_said(
    tmp_path, monkeypatch, group
):
    rows = write_images(tmp_path / "images.parquet", group=group)
    size = SHAPE[0] * SHAPE[1]
    monkeypatch.setattr(training_pictures, "MOST_BYTES", 10 * size)
    monkeypatch.setattr(training_pictures, "BATCH_BYTES", 7 * size)
    found = read_training_pictures(tmp_path / "images.parquet", CLASSES, SHAPE, 2)
    assert found.words == "All pixels of 10 of the 40 training pictures (at random)"
    first = rows[rows["split"] == "train"].sort_values(["content_hash", "image_id"]).head(10)
    expected = np.bincount(np.frombuffer(b"".join(first["pixels"]), np.uint8), minlength=256)
    assert (sum(found.values["gray"].values()) == expected).all()


def test_samples_are_the_smallest_hashes_of_their_class_without_copies(tmp_path):
    rows = write_images(tmp_path / "images.parquet")
    found = read_training_pictures(tmp_path / "images.parquet", CLASSES, SHAPE, 13)
    assert {name: len(pictures) for name, pictures in found.samples.items()} == {
        "neutral": 13, "bored": 13, "angry": 13,
    }  # fmt: skip
    train = rows[rows["split"] == "train"].sort_values("content_hash")
    for name, pictures in found.samples.items():
        own = train[train["label"] == name]["pixels"].drop_duplicates().head(13)
        assert {picture.tobytes() for picture in pictures} == set(own)
        assert pictures.shape[1:] == SHAPE


def test_a_dataset_without_hashes_has_samples_too(tmp_path):
    write_images(tmp_path / "images.parquet", hashes=False)
    found = read_training_pictures(tmp_path / "images.parquet", CLASSES, SHAPE, 3)
    assert all(len(pictures) == 3 for pictures in found.samples.values())


def test_large_samples_are_reduced(tmp_path):
    rows = write_images(tmp_path / "images.parquet", shape=(192, 96), channels=3)
    found = read_training_pictures(tmp_path / "images.parquet", CLASSES, (192, 96, 3), 1)
    picture = found.samples["angry"][0]
    assert picture.shape == (96, 48, 3)
    own = rows[(rows["label"] == "angry") & (rows["split"] == "train")]
    first = own.sort_values("content_hash")["pixels"].iloc[0]
    blocks = np.frombuffer(first, np.uint8).reshape(96, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(picture - blocks).max() <= 1


@pytest.mark.parametrize(
    ("classes", "walls", "across"), [(3, 1, 10), (20, 1, 10), (30, 2, 5), (100, 3, 5)]
)
def test_samples_stand_in_rows_by_class_in_as_many_columns_as_it_takes(classes, walls, across):
    rng = np.random.default_rng(0)
    given = {
        f"c{place}": rng.integers(0, 255, (12, *SHAPE), dtype=np.uint8) for place in range(classes)
    }
    figure = samples.draw_samples(given)
    assert len(figure.axes) == walls
    shown = []
    for axes in figure.axes:
        wall = axes.images[0].get_array()
        for row, text in enumerate(axes.get_yticklabels()):
            shown.append(text.get_text())
            for column in range(across):
                top, left = row * (SHAPE[0] + 1), column * (SHAPE[1] + 1)
                part = wall[top : top + SHAPE[0], left : left + SHAPE[1]]
                assert (part == given[text.get_text()][column]).all()
    assert shown == list(given)
    assert figure.get_size_inches().max() < 12
    assert samples.how_to_read(classes) == f"at most {across} per class"


def test_missing_samples_leave_white_and_too_many_classes_are_spread():
    given = {f"c{place}": np.zeros((1, *SHAPE), np.uint8) for place in range(1001)}
    figure = samples.draw_samples(given)
    names = [name for axes in figure.axes for name in axis_names(axes.get_yticklabels())]
    assert len(names) == samples.MOST_CLASSES
    assert (names[0], names[-1]) == ("c0", "c1000")
    wall = figure.axes[0].images[0].get_array()
    assert (wall[:, SHAPE[1] :] == 255).all()
    assert "102 of the 1,001 classes, spread evenly" in samples.how_to_read(1001)


def test_pixel_values_of_few_classes_are_drawn_in_bins_of_eight():
    counts = {"b": np.zeros(256, int), "a": np.zeros(256, int)}
    counts["b"][[0, 7, 8]] = [3, 3, 2]
    axes = pixel_values.draw_pixel_values({"gray": counts}).axes[0]
    assert [patch.get_label() for patch in axes.patches] == ["b", "a"]
    values, edges, _ = axes.patches[0].get_data()
    assert values.tolist()[:3] == [75, 25, 0]
    assert edges.tolist() == list(range(0, 257, 8))
    assert axes.patches[1].get_data()[0].sum() == 0
    assert "The band" not in pixel_values.how_to_read(2)


def test_as_many_classes_as_there_are_colours_have_a_curve_with_a_dash_of_its_own_each():
    names = [f"c{place}" for place in range(pixel_values.MOST_CURVES + 1)]
    counts = {name: np.ones(256, int) for name in names[:-1]}
    curves = pixel_values.draw_pixel_values({"gray": counts}).axes[0].patches
    assert [curve.get_label() for curve in curves] == names[:-1]
    assert len({str(curve.get_linestyle()) for curve in curves}) == len(curves)
    assert "The band" not in pixel_values.how_to_read(len(counts))
    counts[names[-1]] = np.ones(256, int)
    band = pixel_values.draw_pixel_values({"gray": counts}).axes[0].patches[0]
    assert band.get_label() == "most classes"
    assert "The band" in pixel_values.how_to_read(len(counts))


def test_pixel_values_of_many_classes_are_summed_up():
    of_class = {f"c{place}": np.zeros(256, int) for place in range(21)}
    for place, counts in enumerate(of_class.values()):
        counts[8 * place] = 10
    of_class["none"] = np.zeros(256, int)
    axes = pixel_values.draw_pixel_values({"gray": of_class}).axes[0]
    band, everything, darkest, brightest = axes.patches
    assert (darkest.get_label(), brightest.get_label()) == ("darkest: c0", "brightest: c20")
    assert darkest.get_data()[0][0] == brightest.get_data()[0][20] == 100
    assert everything.get_data()[0][:21] == pytest.approx(100 / 21)
    assert band.get_label() == "most classes"
    assert band.get_data()[0].max() == 0  # at each value one class in 21, outside nine of ten
    assert "nine of ten of the 22 classes" in pixel_values.how_to_read(22)


def test_classes_without_pictures_leave_the_band_as_it_is():
    of_class = {f"c{place}": np.ones(256, int) for place in range(8)}
    of_class |= {f"none {place}": np.zeros(256, int) for place in range(8)}
    band = pixel_values.draw_pixel_values({"gray": of_class}).axes[0].patches[0].get_data()
    assert band.values == pytest.approx(100 / 32)
    assert band.baseline == pytest.approx(100 / 32)


def test_the_darkest_and_the_brightest_class_are_those_of_all_channels_together():
    def pixels(value):
        return np.bincount([value], minlength=256)

    red = {"dark": pixels(10), "bright": pixels(200), "between": pixels(100)}
    blue = {"dark": pixels(60), "bright": pixels(90), "between": pixels(100)}
    assert pixel_values.extremes({"red": red, "blue": blue}) == ("dark", "bright")


def test_the_same_darkest_and_brightest_class_are_drawn_in_every_channel():
    red = {f"c{place}": np.bincount([16 * place], minlength=256) for place in range(8)}
    blue = {f"c{place}": np.bincount([8 * (8 - place)], minlength=256) for place in range(8)}
    for axes in pixel_values.draw_pixel_values({"red": red, "blue": blue}).axes:
        assert [patch.get_label() for patch in axes.patches[-2:]] == [
            "darkest: c0",
            "brightest: c7",
        ]


def test_what_to_do_about_unequal_classes_is_said():
    counts = {
        "train": {"a": 300, "b": 150, "c": 12},
        "val": {"a": 60, "b": 30, "c": 3},
        "test": {"a": 1, "b": 1, "c": 1},
    }
    told = balance_words(counts)
    assert "class, a, has 300 training pictures, the smallest, c, has 12 (25 times)" in told
    assert "`fixed: {balance: label}`" in told
    assert "val_macro_f1" in told
    assert "1 of 3 classes have fewer than 30 validation pictures" in told
    even = {split: {"a": 140, "b": 140} for split in counts}
    assert balance_words(even) == "All 2 classes have 140 training pictures."
    level = {split: {"a": 140, "b": 100} for split in counts}
    assert balance_words(level) == (
        "The largest class, a, has 140 training pictures, the smallest, b, has 100."
    )
    assert "(1.5 times)" in balance_words({split: {"a": 150, "b": 100} for split in counts})
    none = balance_words({split: {"a": 0, "b": 2} for split in counts})
    assert "the smallest, a, has 0. In a spec" in none
    assert "2 of 2 classes have fewer than 30 validation pictures" in none


def test_each_reason_for_leaving_pictures_out_stands_beside_its_own_bar():
    axes = draw_reasons({"unreadable": 5, "no label": 3, "too small": 2}).axes[0]
    assert axis_names(axes.get_yticklabels()) == ["unreadable", "no label", "too small"]
    assert [bar.get_width() for bar in axes.containers[0]] == [5, 3, 2]


def test_the_caption_of_a_figure_takes_as_many_lines_as_its_width_asks_for():
    lines = {}
    for width, height in ((2, 6), (6, 2)):
        file = BytesIO(png(lambda size=(width, height): Figure(figsize=size), "word " * 20))
        across, down = (dots / 160 for dots in Image.open(file).size)
        assert across == width
        lines[width] = round((down - height - 0.1) / 0.16)  # inches
    assert lines == {2: 3, 6: 1}


def test_long_names_are_cut():
    assert shortened("tulip", 5) == "tulip"
    assert shortened("tulips", 5) == "tuli…"
