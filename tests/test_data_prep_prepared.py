from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.pictures import resize_pixels
from data_prep.prepared import labels_of, read_prepared
from data_prep.reader import read_dataset
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile
from tests.support.dataset_factory import CLASSES, labelled_images, write_labelled

OURS = ("upset", "busy", "calm")
MAP = {"angry": "upset", "neutral": "calm"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Wider than high, classes (neutral, angry, focused), distributions, ages."""
    out = tmp_path_factory.mktemp("prepared") / "my set"
    write_labelled(out)
    return out


def read(directory, rejections=None, *, classes=OURS, **source):
    source = Source(name="theirs", dataset=directory, **{"map": MAP, **source})
    file = SourcesFile(classes=classes, image_size=8, sources=(source,))
    return read_prepared(source, file, rejections or Rejections())


def kept_rows():
    return np.flatnonzero(labelled_images().labels != CLASSES.index("focused"))


def test_pictures_of_mapped_classes_come_with_all_that_belongs_to_them(directory):
    theirs, rows, found = labelled_images(), kept_rows(), read(directory)
    assert 0 < len(rows) < len(theirs.labels)
    assert found.ids == [theirs.image_ids[row] for row in rows]
    wanted = [resize_pixels(picture, (8, 8)) for picture in theirs.pixels[rows]]
    np.testing.assert_array_equal(found.pixels, wanted)
    names = [MAP[CLASSES[label]] for label in theirs.labels[rows]]
    assert [OURS[label] for label in found.labels] == names
    assert found.columns.to_pydict() == {
        "age": theirs.columns["age"].take(pa.array(rows)).to_pylist(),
        "votes_anger": theirs.columns["votes_anger"].take(pa.array(rows)).to_pylist(),
        "height": [6] * len(rows),
        "width": [9] * len(rows),
    }
    assert (found.bad, found.with_margin) == (0, 0)
    splits = read_dataset(directory).splits[rows]
    assert found.given.tolist() == splits.tolist()
    assert len(set(splits.tolist())) == 3
    assert not found.is_official


def test_all_their_pictures_are_counted_by_their_classes(directory):
    counts = {"neutral": 24, "angry": 40, "focused": 31}
    assert read(directory).found == Counter({(name, ""): n for name, n in counts.items()})
    assert labels_of(Source(name="theirs", dataset=directory)) == counts


def test_what_is_mapped_to_nothing_is_left_out_by_name(directory):
    rejections = Rejections()
    read(directory, rejections)
    theirs = labelled_images()
    reason = "'focused' is not mapped to a class"
    assert [(one.image_id, one.file, one.row, one.reason) for one in rejections._rows] == [
        (theirs.image_ids[row], "", None, reason)
        for row in np.flatnonzero(theirs.labels == CLASSES.index("focused"))
    ]


def test_distributions_are_added_up_and_what_is_left_out_is_shared(directory):
    neutral, angry, focused = labelled_images().soft_labels.T
    found = read(directory)
    wanted = np.stack([angry, 0 * focused, neutral], axis=1) / (neutral + angry)[:, None]
    np.testing.assert_allclose(found.soft_labels, wanted[kept_rows()], rtol=1e-5)
    both = read(directory, map={"angry": "upset", "focused": "upset", "neutral": "calm"})
    wanted = np.stack([angry + focused, 0 * focused, neutral], axis=1)
    np.testing.assert_allclose(both.soft_labels, wanted, atol=1e-6)


def test_a_distribution_over_what_is_left_out_is_replaced_by_the_label(tmp_path):
    images = labelled_images()
    soft = np.tile(np.eye(3, dtype=np.float32)[CLASSES.index("focused")], (95, 1))
    write_labelled(tmp_path / "out", replace(images, soft_labels=soft))
    found = read(tmp_path / "out")
    np.testing.assert_array_equal(found.soft_labels, np.eye(3)[found.labels])


def test_without_a_map_classes_of_the_same_name_are_taken(directory):
    found = read(directory, map=None, classes=("focused", "other", "neutral"))
    names = {"neutral", "focused"}
    rows = [row for row, label in enumerate(labelled_images().labels) if CLASSES[label] in names]
    assert found.ids == [labelled_images().image_ids[row] for row in rows]


def test_a_dataset_without_distributions_gives_none(tmp_path):
    write_labelled(tmp_path / "out", labelled_images(soft_labels=None))
    assert read(tmp_path / "out").soft_labels is None


def test_a_split_that_was_given_is_official(tmp_path):
    given = np.array(["train", "test", "val", "train", "train"] * 19)
    write_labelled(tmp_path / "out", labelled_images(given=given), recipe={"split": "given"})
    found = read(tmp_path / "out")
    assert found.is_official
    assert found.given.tolist() == given[kept_rows()].tolist()


def test_the_width_of_the_original_file_is_kept(tmp_path):
    columns = {"width": pa.array(range(95), pa.int32())}
    write_labelled(tmp_path / "out", labelled_images(columns=columns))
    found = read(tmp_path / "out").columns
    assert found["width"].to_pylist() == kept_rows().tolist()
    assert set(found["height"].to_pylist()) == {6}


def test_numbers_of_a_complete_copy_are_checked(directory):
    read(directory, expect={"focused": 31})
    with pytest.raises(
        BadInputError, match=r"should hold 30 pictures of 'focused', but .* holds 31"
    ):
        read(directory, expect={"focused": 30})


def test_copies_in_the_dataset_bring_no_groups_or_splits_of_theirs(directory):
    """The merge deals all sources anew."""
    assert "split" in pq.read_schema(directory / "images.parquet").names
    assert not {"split", "fold", "duplicate_group", "label"} & set(
        read(directory).columns.schema.names
    )
    assert read_dataset(directory).duplicate_groups is not None
