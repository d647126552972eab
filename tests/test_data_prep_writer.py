import csv
import errno
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.manifest import DatasetManifest
from data_prep.rejections import Rejection, Rejections
from data_prep.splits import split_dataset
from data_prep.writer import Recipe, write_dataset
from fairsweep.disk_space import enough_space
from fairsweep.errors import UserError
from tests.support.dataset_factory import (
    CLASSES,
    SEED,
    SHAPE,
    duplicate_groups_of_pairs,
    labelled_images,
    sha256_of,
    write_labelled,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The manifest and the directory; its path has a space and its parent is not there yet."""
    out = tmp_path_factory.mktemp("written") / "new folder" / "my set"
    rejections = Rejections()
    rejections.leave_out([Rejection("first/7", "a file.csv", 4, "blurred, and cropped")])
    return write_labelled(out, rejections=rejections), out


@pytest.fixture(scope="module")
def table(written):
    return pq.read_table(written[1] / "images.parquet").to_pylist()


def test_each_row_of_the_table_holds_one_picture_in_the_order_given(table):
    images = labelled_images()
    assert [row["image_id"] for row in table] == images.image_ids
    assert [row["source"] for row in table] == images.sources
    assert [row["label"] for row in table] == [CLASSES[label] for label in images.labels]
    assert [row["pixels"] for row in table] == [picture.tobytes() for picture in images.pixels]
    assert [row["content_hash"] for row in table] == [sha256_of(one) for one in images.pixels]
    assert [row["soft_label"] for row in table] == images.soft_labels.tolist()
    assert [row["age"] for row in table] == images.columns["age"].to_pylist()
    assert [row["votes_anger"] for row in table] == images.columns["votes_anger"].to_pylist()


def test_groups_are_numbered_from_0_by_their_first_picture(table):
    assert [row["duplicate_group"] for row in table] == [*range(90), 10, 11, 12, 13, 14]


def test_split_and_folds_are_those_of_the_recipes_seed_and_method(table, tmp_path):
    groups = np.array([row["duplicate_group"] for row in table])
    for method in ("grouped", "random"):
        rows = table
        if method == "random":
            write_labelled(tmp_path / "out", recipe={"split": method})
            rows = pq.read_table(tmp_path / "out" / "images.parquet").to_pylist()
            assert not (tmp_path / "out" / "copies_across_splits.csv").exists()
        splits, folds = split_dataset(
            labelled_images().labels, groups, classes=CLASSES, method=method, seed=SEED
        )
        assert [row["split"] for row in rows] == splits.tolist()
        assert [row["fold"] for row in rows] == [None if n < 0 else n for n in folds.tolist()]


def test_only_a_random_split_needs_twenty_pictures_of_every_class():
    for method in ("grouped", "given"):
        few = Recipe(name="few", label_rule="by hand", split=method, min_per_class=3)
        assert few.min_per_class == 3
    with pytest.raises(UserError, match="split random needs at least 20 pictures of every class"):
        Recipe(name="few", label_rule="by hand", split="random", min_per_class=3)


def test_the_manifest_says_what_the_table_holds(written, table):
    manifest, out = written
    assert DatasetManifest.read(out) == manifest
    assert (manifest.name, manifest.label_rule) == ("my faces", "by hand")
    assert (manifest.split_method, manifest.split_seed) == ("grouped", SEED)
    assert manifest.classes == CLASSES
    assert manifest.image_shape == SHAPE
    assert manifest.steps == ({"step": "look", "removed": 2, "left": 95},)

    def count(**wanted):
        return sum(all(row[key] == value for key, value in wanted.items()) for row in table)

    assert manifest.counts == {
        split: {name: count(split=split, label=name) for name in CLASSES}
        for split in ("train", "val", "test")
    }
    sources = dict.fromkeys(row["source"] for row in table)
    assert manifest.details == {
        "near_duplicates": True,
        "duplicate_search": "v2",
        "note": 1,
        "sources": {
            source: {
                name: {
                    split: count(source=source, label=name, split=split)
                    for split in ("train", "val", "test")
                }
                for name in CLASSES
            }
            for source in sources
        },
    }
    assert list(manifest.details["sources"]) == list(sources)
    assert manifest.duplicates == {"groups": 5, "surplus": 5, "across_splits": 0}


def test_mean_and_deviation_are_of_the_training_pictures_alone(written, table):
    train = np.concatenate(
        [np.frombuffer(row["pixels"], np.uint8) for row in table if row["split"] == "train"]
    )
    assert written[0].mean == pytest.approx((train / 255).mean(), abs=1e-12)
    assert written[0].std == pytest.approx((train / 255).std(), abs=1e-9)


def test_mean_and_deviation_hold_for_more_pictures_than_are_counted_at_once(tmp_path):
    """Bright pictures at the end alone, so that a part left out or counted twice shows."""
    count = 3200
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 90, (count, 3, 2), dtype=np.uint8)
    pixels[-700:] += 150
    images = labelled_images(
        image_ids=[str(row) for row in range(count)],
        sources=["one"] * count,
        pixels=pixels,
        labels=np.arange(count) % 3,
        soft_labels=None,
        columns={},
    )
    manifest = write_labelled(tmp_path / "out", images, groups=np.arange(count))
    split = pq.read_table(tmp_path / "out" / "images.parquet", columns=["split"])["split"]
    train = pixels[np.array(split.to_pylist()) == "train"] / 255
    assert len(train) > 2000
    assert manifest.mean == pytest.approx(train.mean(), abs=1e-12)
    assert manifest.std == pytest.approx(train.std(), abs=1e-9)


def test_labels_csv_tells_id_source_split_and_label_of_each_picture(written, table):
    with (written[1] / "labels.csv").open(newline="") as file:
        found = list(csv.reader(file))
    columns = ["image_id", "source", "split", "label"]
    assert found == [columns, *([row[name] for name in columns] for row in table)]


def test_rejected_csv_lists_what_was_left_out(written):
    with (written[1] / "rejected.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["image_id", "file", "row", "reason"],
            ["first/7", "a file.csv", "4", "blurred, and cropped"],
        ]


def test_the_table_tells_its_schema_version_and_shape(written):
    metadata = pq.read_schema(written[1] / "images.parquet").metadata
    assert json.loads(metadata[b"dataset"]) == {"schema_version": 1, "image_shape": [6, 9]}


def test_a_source_without_votes_has_no_label_distributions(tmp_path):
    write_labelled(tmp_path / "out", labelled_images(soft_labels=None))
    assert "soft_label" not in pq.read_schema(tmp_path / "out" / "images.parquet").names


def test_the_fingerprint_is_the_one_of_earlier_releases(written):
    """Frozen: taken from the program once. Runs remember their dataset by it."""
    assert (
        written[0].fingerprint == "0ec10041e1cbf11c54a4123850f4487ab6c0cacd0548679396dfb9e07ea2c8f2"
    )


def changed(values, row, value):
    values = values.copy()
    values[row] = value
    return values


def test_the_fingerprint_depends_on_all_that_decides_a_training(written, tmp_path):
    images = labelled_images()
    row = int(np.flatnonzero(images.labels == 1)[0])
    other_groups = changed(duplicate_groups_of_pairs(), 0, duplicate_groups_of_pairs()[1])
    others = {
        "id": {"images": replace(images, image_ids=changed(images.image_ids, 3, "other"))},
        "pixel": {"images": replace(images, pixels=changed(images.pixels, (3, 2, 1), 7))},
        "shape": {"images": replace(images, pixels=images.pixels.reshape(-1, 9, 6))},
        "label": {"images": replace(images, labels=changed(images.labels, row, 2))},
        "classes": {"images": replace(images, classes=CLASSES[::-1])},
        "soft label": {"images": replace(images, soft_labels=images.soft_labels[:, ::-1])},
        "no soft labels": {"images": replace(images, soft_labels=None)},
        "groups": {"groups": other_groups},
        "seed": {"recipe": {"seed": SEED + 1}},
    }
    prints = {
        what: write_labelled(tmp_path / what, **change).fingerprint
        for what, change in others.items()
    }
    assert len({written[0].fingerprint, *prints.values()}) == len(others) + 1


def test_the_fingerprint_does_not_depend_on_names_columns_or_sources(written, tmp_path):
    images = labelled_images(columns={}, sources=["other"] * 95)
    recipe = {"name": "other", "label_rule": "other", "near_duplicates": False}
    manifest = write_labelled(tmp_path / "out", images, recipe=recipe, details={})
    assert manifest.fingerprint == written[0].fingerprint
    assert manifest.details["near_duplicates"] is False


@pytest.mark.parametrize("near", [True, False])
def test_duplicates_are_looked_for_where_the_source_has_not_looked(tmp_path, near):
    pixels = np.random.default_rng(2).integers(0, 256, (95, 48, 48), dtype=np.uint8)
    pixels[50] = pixels[20]
    pixels[60] = (pixels[30] * 0.8 + 20).astype(np.uint8)
    write_dataset(
        tmp_path / "out",
        labelled_images(pixels=pixels),
        Recipe(name="x", label_rule="x", near_duplicates=near),
        steps=(),
        details={},
        rejections=Rejections(),
    )
    table = pq.read_table(tmp_path / "out" / "images.parquet", columns=["duplicate_group"])
    groups = table["duplicate_group"].to_pylist()
    assert groups[50] == groups[20] == 20
    assert (groups[60] == groups[30]) is near
    assert max(groups) == (92 if near else 93)


def test_pictures_that_the_user_names_are_counted_by_split(written, tmp_path):
    named = np.arange(95) % 3 == 0
    manifest = write_dataset(
        tmp_path / "out",
        labelled_images(),
        Recipe(name="x", label_rule="x"),
        steps=(),
        details={},
        rejections=Rejections(),
        groups=np.arange(95),
        named=named,
    )
    table = pq.read_table(tmp_path / "out" / "images.parquet", columns=["split"])
    splits = np.array(table["split"].to_pylist())
    assert manifest.details["annotated"] == {
        split: int((named & (splits == split)).sum()) for split in ("train", "val", "test")
    }
    assert "annotated" not in written[0].details


def test_rows_are_taken_with_all_that_belongs_to_them():
    images = labelled_images()
    rows = np.array([40, 3, 77])
    taken = images.take(rows)
    assert taken.classes == CLASSES
    assert taken.image_ids == [images.image_ids[row] for row in rows]
    assert taken.sources == [images.sources[row] for row in rows]
    np.testing.assert_array_equal(taken.pixels, images.pixels[rows])
    np.testing.assert_array_equal(taken.labels, images.labels[rows])
    np.testing.assert_array_equal(taken.soft_labels, images.soft_labels[rows])
    for name, cells in images.columns.items():
        assert taken.columns[name].to_pylist() == [cells[row].as_py() for row in rows]
    assert replace(images, soft_labels=None).take(rows).soft_labels is None


def test_a_folder_that_stands_gets_its_manifest_last(tmp_path, monkeypatch):
    """A reader takes the folder for a dataset as soon as it has a manifest."""
    moved = []
    plain = Path.replace

    def note(path, target):
        moved.append(path.name)
        return plain(path, target)

    monkeypatch.setattr(Path, "replace", note)
    write_labelled(tmp_path)
    assert sorted(moved) == ["images.parquet", "labels.csv", "manifest.json", "rejected.csv"]
    assert moved[-1] == "manifest.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(moved)


def test_a_dataset_is_written_beside_its_place_and_readable_by_others(tmp_path, monkeypatch):
    """Its place may be on another disk than the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    write_labelled(tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Rejections, "write", fail)
    with pytest.raises(OSError, match="broken"):
        write_labelled(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_with_a_way_out(number):
    message = r"^no space left for the thing \(full\); free some or go elsewhere$"
    with pytest.raises(ValueError, match=message), enough_space("the thing", "go elsewhere"):
        raise OSError(number, "full")


def test_columns_of_a_source_come_after_ours(written):
    names = pq.read_schema(written[1] / "images.parquet").names
    assert names[8:] == ["age", "votes_anger", "soft_label"]
    assert pq.read_schema(written[1] / "images.parquet").field("fold").type == pa.int8()


def test_versions_of_the_libraries_are_noted(written):
    versions = written[0].versions
    assert versions["numpy"] == np.__version__
    assert versions["pyarrow"] == pa.__version__
    assert set(versions) == {
        "python", "numpy", "scipy", "scikit-learn", "pyarrow", "pillow", "ImageHash",
    }  # fmt: skip
