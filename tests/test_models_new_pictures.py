"""New pictures are brought to the size of a dataset as its own were."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_prep.pictures import fit_pixels
from fairsweep.errors import MissingFileError, UserError
from models import new_pictures
from models.new_pictures import classify, find_pictures
from tests.support.picture_factory import CLASSES, SHAPE, make_dataset


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_picture_is_fitted_as_the_dataset_says(tmp_path, fit):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen = []

    def probabilities(pictures):
        seen.append(pictures)
        return np.full((len(pictures), len(CLASSES)), 1 / len(CLASSES))

    manifest = replace(make_dataset().manifest, fit=fit)
    classifier = SimpleNamespace(manifest=manifest, probabilities=probabilities)
    assert len(list(classify(classifier, [tmp_path / "a.png"]))) == 1
    np.testing.assert_array_equal(seen[0][0], fit_pixels(pixels, manifest.image_shape, fit))


def test_pictures_of_a_folder_are_found_by_any_case_of_their_ending_in_order(tmp_path, capsys):
    for name in ("b/X.PNG", "a.jpg", "notes.txt", "c.TXT", ".hidden.png", "none"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_pictures(tmp_path) == [tmp_path / "a.jpg", tmp_path / "b" / "X.PNG"]
    assert capsys.readouterr().err == (
        "warning: 3 files are not pictures of a known kind and not read: 1 without an ending, "
        "2 .txt\n"
    )
    assert find_pictures(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        find_pictures(tmp_path / "empty")
    with pytest.raises(MissingFileError, match="does not exist"):
        find_pictures(tmp_path / "gone")


def test_predictions_stay_with_their_pictures_beside_bad_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(new_pictures, "AT_ONCE", 2)
    manifest = make_dataset().manifest
    paths = [tmp_path / f"{place}.png" for place in range(5)]
    for place, path in enumerate(paths):
        gray = np.full((9, 9), 10 * place, np.uint8)
        Image.fromarray(gray).save(path) if place not in (1, 2) else path.write_bytes(b"bad")

    def probabilities(pictures):
        # The class is told by the gray value; of two equally probable ones, the first counts.
        shares = np.zeros((len(pictures), len(CLASSES)))
        shares[np.arange(len(pictures)), pictures[:, 0, 0] // 10 % len(CLASSES)] = 1
        return shares

    classifier = SimpleNamespace(manifest=manifest, probabilities=probabilities)
    found = list(classify(classifier, paths))
    assert [one.picture for one in found] == paths
    assert [bool(one.fault) for one in found] == [False, True, True, False, False]
    good = [one.label for one in found if not one.fault]
    assert good == [manifest.classes[place % len(CLASSES)] for place in (0, 3, 4)]
    tie = new_pictures.Prediction(picture=paths[0], probabilities={"b": 0.5, "a": 0.5})
    assert tie.label == "b"


def test_a_picture_whose_name_cannot_be_written_is_found_and_told(tmp_path, capsys):
    path = tmp_path / os.fsdecode(b"\xff.png")
    Image.new("L", (4, 4)).save(path)
    assert find_pictures(tmp_path) == [path]
    assert capsys.readouterr().err == ""
    classifier = SimpleNamespace(manifest=make_dataset().manifest, probabilities=None)
    (found,) = classify(classifier, [path])
    assert (found.picture, found.probabilities) == (path, {})
    assert found.fault == "its name is not UTF-8; rename it"


@pytest.mark.parametrize(("channels", "shape"), [(1, SHAPE), (3, (*SHAPE, 3))])
def test_pictures_are_read_in_gray_or_in_colour_as_the_dataset_is(tmp_path, channels, shape):
    for name, mode in (("gray.png", "L"), ("colour.png", "RGB")):
        Image.new(mode, (20, 50)).save(tmp_path / name)
    seen = []

    def probabilities(pictures):
        seen.append(pictures.shape)
        return np.full((len(pictures), len(CLASSES)), 1 / len(CLASSES))

    manifest = replace(make_dataset().manifest, channels=channels)
    classifier = SimpleNamespace(manifest=manifest, probabilities=probabilities)
    assert len(list(classify(classifier, find_pictures(tmp_path)))) == 2
    assert seen == [(2, *shape)]


def test_a_folder_without_pictures_is_told_with_its_path_and_a_single_other_file_is_too(
    tmp_path, capsys
):
    folder = tmp_path / "my pictures"
    with pytest.raises(MissingFileError, match=rf"^{folder} does not exist; give a picture or a"):
        find_pictures(folder)
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(UserError, match=rf"^{folder} holds no picture \(\.\w+, .*\); give another"):
        find_pictures(folder)
    (folder / "a.png").touch()
    assert find_pictures(folder) == [folder / "a.png"]
    told = capsys.readouterr()
    assert (told.out, "1 .txt" in told.err) == ("", True)
