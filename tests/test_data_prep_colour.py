"""Colour from picture files to the dataset, and between datasets in colour and in gray."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.duplicates import duplicate_groups
from data_prep.folders import prepare_folders
from data_prep.manifest import DatasetManifest
from data_prep.pictures import read_gray, read_picture, to_gray
from data_prep.reader import read_dataset

SIDE = 8
CLASSES = ("red", "blue")


def colours(seed, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def pictures(tmp_path):
    """Thirty pictures a class as PNG, exactly as they are to come out."""
    made = {}
    for place, name in enumerate(CLASSES):
        folder = tmp_path / "my pictures" / name
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = colours(100 * place + number)
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
            made[f"mine/{name}/{number:02}.png"] = pixels
    return made


def prepare(tmp_path, text, out="out"):
    config = tmp_path / "sources.yaml"
    config.write_text(f"classes: [red, blue]\nimage_size: {SIDE}\n{text}")
    prepare_folders(config=config, out=tmp_path / out, near_duplicates=False)
    return tmp_path / out


MINE = "sources: [{name: mine, path: my pictures}]\n"


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_folder")
def test_colour_pictures_come_out_as_they_went_in(tmp_path, pictures):
    out = prepare(tmp_path, f"colour: true\n{MINE}")
    dataset = read_dataset(out)
    assert dataset.pixels.shape == (60, SIDE, SIDE, 3)
    for image_id, pixels in zip(dataset.image_ids, dataset.pixels, strict=True):
        np.testing.assert_array_equal(pixels, pictures[image_id])
    manifest = dataset.manifest
    assert (manifest.channels, manifest.image_shape) == (3, (SIDE, SIDE))
    train = dataset.pixels[dataset.splits == "train"] / 255
    np.testing.assert_allclose(manifest.mean, train.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(manifest.std, train.std(axis=(0, 1, 2)))
    schema = pq.read_schema(out / "images.parquet")
    assert schema.field("pixels").type.byte_width == 3 * SIDE**2
    assert json.loads(schema.metadata[b"dataset"]) == {
        "schema_version": 1, "image_shape": [SIDE, SIDE], "channels": 3,
    }  # fmt: skip


@pytest.mark.usefixtures("in_folder", "pictures")
def test_gray_and_colour_of_the_same_files_are_two_datasets_and_gray_says_nothing_new(tmp_path):
    gray = prepare(tmp_path, MINE, "gray")
    colour = prepare(tmp_path, f"colour: true\n{MINE}", "colour")
    ours, theirs = (DatasetManifest.read(place) for place in (gray, colour))
    assert ours.fingerprint != theirs.fingerprint
    assert isinstance(ours.mean, float)
    old = (gray / "manifest.json").read_text().replace('  "channels": 1,\n', "")
    assert "channels" not in old
    (gray / "manifest.json").write_text(old)
    assert DatasetManifest.read(gray) == ours, "a manifest of before colour is read"


@pytest.mark.usefixtures("in_folder", "pictures")
def test_a_dataset_is_merged_in_the_colour_of_the_new_one(tmp_path):
    colour = prepare(tmp_path, f"colour: true\n{MINE}", "colour")
    gray = prepare(tmp_path, MINE, "gray")
    for place, more in ((colour, ""), (gray, "colour: true\n")):
        again = prepare(
            tmp_path, f"{more}sources: [{{name: old, dataset: {place}}}]\n", f"again-{place.name}"
        )
        ours, theirs = read_dataset(again).pixels, read_dataset(gray).pixels
        expected = np.repeat(theirs[..., None], 3, axis=-1) if more else theirs
        np.testing.assert_array_equal(ours, expected)


def test_gray_of_colours_is_what_reading_in_gray_gives(tmp_path):
    pixels = colours(5, 64)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", colour=True).pixels, pixels)
    np.testing.assert_array_equal(to_gray(pixels), read_gray(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1", "CMYK", "I;16"])
def test_any_kind_of_picture_is_read_in_colour(tmp_path, mode):
    image = Image.new(mode, (5, 4), {"I;16": 65535, "RGBA": (10, 20, 30, 0)}.get(mode, 0))
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    found = read_picture(path, colour=True).pixels
    assert found.shape == (4, 5, 3)
    if mode in ("RGBA", "I;16"):
        assert (found == 255).all(), "what is transparent is white, and so is a full 16-bit gray"


def test_copies_of_another_colour_are_found_by_their_gray_values():
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 200, (6, 48, 48, 3), dtype=np.uint8)
    tinted = np.clip(pictures[0] + np.array([12, -6, 4]), 0, 255).astype(np.uint8)
    groups = duplicate_groups(np.concatenate([pictures, tinted[None]]))
    assert groups.tolist() == [0, 1, 2, 3, 4, 5, 0]
    apart = duplicate_groups(np.concatenate([pictures, tinted[None]]), near=False)
    assert apart.tolist() == [0, 1, 2, 3, 4, 5, 6]
