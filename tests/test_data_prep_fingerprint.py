"""A dataset is what its fingerprint says, or is refused with the file that differs."""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.fingerprint import check_content, fingerprint
from data_prep.manifest import IMAGES_FILE, MANIFEST_FILE
from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from tests.support.dataset_factory import labelled_images, write_labelled


@pytest.fixture
def directory(tmp_path):
    write_labelled(tmp_path / "my set")
    return tmp_path / "my set"


@pytest.mark.parametrize("soft_labels", [True, False])
def test_a_dataset_as_it_was_written_is_accepted(tmp_path, soft_labels):
    images = labelled_images()
    write_labelled(tmp_path / "out", images if soft_labels else replace(images, soft_labels=None))
    check_content(read_dataset(tmp_path / "out"))


@pytest.mark.parametrize(
    "name",
    [
        *("image_ids", "pixels", "labels", "splits", "folds", "soft_labels", "duplicate_groups"),
    ],
)
def test_a_dataset_that_was_changed_is_refused(directory, name):
    dataset = read_dataset(directory)
    values = getattr(dataset, name).copy()
    values[[0, 1]] = values[[1, 0]] if name != "folds" else 7 - values[[0, 1]]
    if np.array_equal(values, getattr(dataset, name)):
        values[0] = "val" if name == "splits" else 1 - values[0]
    with pytest.raises(UserError, match=rf"{IMAGES_FILE} of the dataset .* restore both files"):
        check_content(replace(dataset, **{name: values}))


@pytest.mark.parametrize(
    ("has_soft_labels", "has_split_groups", "wanted"),
    [
        (False, False, "fabc4e9f52de3e81cd44e8c65befa1b2214d10df25d2c330d7bbf9dfe5a11c9f"),
        (True, False, "c127a46fd2c0d461f874d768210813c773d11fddc751a50e5340d4a563f4faf7"),
        (False, True, "a8027c0a40f0794a128f48d15350e23f748af2a33191e41658e0917b6dd4a5de"),
        (True, True, "87fc3b990cde7e72547bc2c3ffaf34bcd77ff1436a85809b7917972e586ad593"),
    ],
)
def test_fingerprints_are_those_of_earlier_releases(has_soft_labels, has_split_groups, wanted):
    """Frozen: taken from the program once. Datasets of all kinds must stay what they are."""
    soft_labels = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]])
    found = fingerprint(
        classes=("z", "a"),
        image_ids=["s/1", "\u00e9/2", "s/0"],
        pixels_shape=(3, 6, 9, 3),
        hashes=["b" * 64, "a" * 64, "b" * 64],
        labels=np.array([1, 0, 1]),
        groups=np.array([0, 1, 0]),
        splits=np.array(["train", "val", "test"]),
        folds=np.array([7, 0, -1]),
        soft_labels=soft_labels if has_soft_labels else None,
        split_groups=np.array([1, 0, 1]) if has_split_groups else None,
    )
    assert found == wanted


def test_classes_in_another_order_are_refused(directory):
    path = directory / MANIFEST_FILE
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"classes": values["classes"][::-1]}))
    with pytest.raises(UserError, match=f"its {MANIFEST_FILE} was written for"):
        check_content(read_dataset(directory))


def of_another_size(path):
    manifest = path.with_name(MANIFEST_FILE)
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(values | {"image_shape": [5, 7]}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: pq.write_table(pq.read_table(path).drop_columns(["fold"]), path),
        lambda path: path.unlink(),
        of_another_size,
    ],
)
def test_damaged_pictures_are_named_with_the_way_out(directory, damage):
    path = directory / IMAGES_FILE
    damage(path)
    with pytest.raises(UserError, match=re.escape(f"{path} is ")) as raised:
        read_dataset(directory)
    assert "\n" not in str(raised.value)
    assert "prepare the dataset again" in str(raised.value)
