"""A dataset is what its fingerprint says, or is refused with the file that differs."""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.fingerprint import check_content
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
