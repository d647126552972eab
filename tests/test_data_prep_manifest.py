import json
from dataclasses import replace

import pytest

from data_prep.manifest import DatasetManifest
from fairsweep.errors import UserError

MANIFEST = DatasetManifest(
    name="Gesichter für alle",
    classes=("neutral", "angry"),
    image_shape=(6, 9),
    mean=0.25,
    std=0.125,
    counts={"train": {"neutral": 7, "angry": 5}, "val": {"neutral": 2, "angry": 1}, "test": {}},
    steps=({"step": "look", "removed": 2, "left": 15},),
    label_rule="by hand",
    split_method="grouped",
    split_seed=3,
    duplicates={"groups": 1, "surplus": 2, "across_splits": 0},
    details={"note": 1},
    versions={"python": "3.11"},
    fingerprint="0a" * 32,
)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    MANIFEST.write(tmp_path)
    assert DatasetManifest.read(tmp_path) == MANIFEST
    text = (tmp_path / "manifest.json").read_text("utf-8")
    assert "Gesichter für alle" in text
    assert text.endswith("}\n")
    assert json.loads(text)["schema_version"] == 1


def test_classes_keep_their_order_in_the_file(tmp_path):
    """Tables of the counts rely on it."""
    MANIFEST.write(tmp_path)
    counts = DatasetManifest.read(tmp_path).counts
    assert list(counts) == ["train", "val", "test"]
    assert list(counts["train"]) == ["neutral", "angry"]


@pytest.mark.parametrize(("channels", "pixel_shape"), [(1, (6, 9)), (3, (6, 9, 3))])
def test_a_network_is_told_classes_shape_and_channels(channels, pixel_shape):
    manifest = replace(MANIFEST, channels=channels)
    assert manifest.task == {"classes": 2, "image_shape": (6, 9), "image_channels": channels}
    assert manifest.pixel_shape == pixel_shape


def test_pictures_are_counted_over_splits_and_classes():
    assert MANIFEST.images == 15


@pytest.mark.parametrize(
    "fingerprint", ["", "../../" + 58 * "0", 64 * "A", 63 * "0", 64 * "0" + "\n", "/tmp", 7]
)
def test_a_fingerprint_that_is_no_hash_is_refused(tmp_path, fingerprint):
    """It names a folder in the cache, so a path would lead out of it."""
    replace(MANIFEST, fingerprint=fingerprint).write(tmp_path)
    with pytest.raises(UserError, match="must be a hash of 64 hexadecimal digits; prepare"):
        DatasetManifest.read(tmp_path)


def test_a_folder_without_a_manifest_is_no_dataset(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"is not a prepared dataset \(no manifest.json\).*docs/start\.md"
    ):
        DatasetManifest.read(tmp_path)


@pytest.mark.parametrize("version", [0, 2])
def test_another_schema_version_is_refused(tmp_path, version):
    replace(MANIFEST, schema_version=version).write(tmp_path)
    message = f"schema version {version}, but this program reads 1; prepare the dataset again"
    with pytest.raises(ValueError, match=message):
        DatasetManifest.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "1"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest.json is not a dataset manifest"):
        DatasetManifest.read(tmp_path)


def test_an_unknown_key_is_named(tmp_path):
    MANIFEST.write(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"zoom": 1}))
    with pytest.raises(ValueError, match="manifest: zoom missing or unknown"):
        DatasetManifest.read(tmp_path)
