from dataclasses import replace

import numpy as np
import pytest
import torch

from models.data import DeviceDataset, _fits
from tests.support.picture_factory import make_dataset


def test_read_only_pictures_are_shared_without_a_copy_or_a_warning():
    dataset = make_dataset()
    dataset.pixels.flags.writeable = False
    data = DeviceDataset.create(dataset)
    assert data.pixels.data_ptr() == dataset.pixels.ctypes.data
    assert data.pixels.dtype == torch.uint8


@pytest.mark.parametrize(("free", "fits"), [(49_152, True), (49_151, False)])
def test_pictures_that_need_more_than_half_of_the_free_memory_stay_on_the_cpu(
    monkeypatch, free, fits
):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (free, 10**9))
    pixels = make_dataset().pixels
    assert pixels.nbytes == 24_576
    assert _fits(pixels, torch.device("cuda")) is fits
    assert _fits(pixels, torch.device("cpu"))


def test_normalised_training_pictures_have_mean_zero_and_deviation_one():
    data = DeviceDataset.create(make_dataset())
    pictures = data.normalise(data.pictures(data.rows("train")))
    assert pictures.shape == (96, 1, 12, 16)
    assert pictures.mean().item() == pytest.approx(0, abs=1e-4)
    assert pictures.std().item() == pytest.approx(1, abs=1e-3)


def test_normalising_leaves_the_dataset_as_it_is():
    dataset = make_dataset()
    before = dataset.pixels.copy()
    data = DeviceDataset.create(dataset)
    data.normalise(data.pictures(data.rows("val")))
    assert np.array_equal(dataset.pixels, before)


def test_a_fold_takes_the_place_of_the_validation_split():
    data = DeviceDataset.create(make_dataset())
    assert torch.equal(data.rows("val", 1), torch.arange(1, 128, 3))
    others = [row for row in range(128) if row % 3 != 1]
    assert data.rows("train", 1).tolist() == others
    assert torch.equal(data.rows("val"), torch.arange(96, 128))


def test_an_empty_split_is_told():
    with pytest.raises(ValueError, match="dataset made has no picture in split test"):
        DeviceDataset.create(make_dataset()).rows("test")


def test_targets_are_the_labels_or_the_votes():
    votes = np.random.default_rng(0).dirichlet(np.ones(3), 128).astype(np.float32)
    data = DeviceDataset.create(make_dataset(soft_labels=votes))
    assert torch.equal(data.targets(soft=False).argmax(dim=1), data.labels)
    assert torch.equal(data.targets(soft=False).sum(dim=1), torch.ones(128))
    assert np.array_equal(data.targets(soft=True).numpy(), votes)


def test_soft_labels_without_votes_are_refused():
    with pytest.raises(ValueError, match="soft_labels is true, but dataset made has no votes"):
        DeviceDataset.create(make_dataset()).targets(soft=True)


@pytest.mark.parametrize("fold", [0, 3, 6])
def test_folds_may_be_of_another_number_and_dealt_again(fold):
    source = make_dataset()
    data = DeviceDataset.create(source)
    val, train = data.rows("val", fold, 4), data.rows("train", fold, 4)
    assert val.tolist() == source.rows("val", fold, 4).tolist()
    assert sorted([*val.tolist(), *train.tolist()]) == list(range(128))
    assert 30 <= len(val) <= 34
    assert val.tolist() != data.rows("val", (fold + 4) % 8, 4).tolist()


def test_a_normalised_picture_is_in_deviations_from_the_mean():
    source = make_dataset()
    data = DeviceDataset.create(source)
    rows = torch.tensor([100, 3])
    found = data.normalise(data.pictures(rows))
    gray = source.pixels[[100, 3]].astype(float)
    expected = (gray - 255 * source.manifest.mean) / (255 * source.manifest.std)
    assert np.allclose(found[:, 0], expected, atol=1e-5)


def test_a_label_is_a_place_in_the_list_of_classes():
    source = make_dataset()
    data = DeviceDataset.create(source)
    assert data.classes == 3
    assert data.image_shape == (12, 16)
    assert data.targets(soft=False).argmax(dim=1).tolist() == source.labels.tolist()


def test_a_class_without_a_picture_has_its_place_in_the_targets():
    source = replace(make_dataset(), labels=np.zeros(128, dtype=np.int64))
    targets = DeviceDataset.create(source).targets(soft=False)
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[1, 0, 0]] * 128


def test_soft_labels_are_used_where_they_are_asked_for_alone():
    votes = np.full((128, 3), 1 / 3, dtype=np.float32)
    data = DeviceDataset.create(make_dataset(soft_labels=votes))
    assert data.targets(soft=False).max() == 1
    assert data.targets(soft=True).max() < 0.4


def test_a_split_of_one_picture_is_not_empty():
    assert DeviceDataset.create(make_dataset(val=1)).rows("val").tolist() == [96]


def test_pictures_without_room_on_the_device_stay_in_the_memory_of_the_cpu(monkeypatch):
    places = {}
    for fits in (True, False):
        monkeypatch.setattr("models.data._fits", lambda _pixels, _device, fits=fits: fits)
        data = DeviceDataset.create(make_dataset(), "meta")
        places[fits] = (data.pixels.device.type, data.device.type, data.resident)
    assert places == {True: ("meta", "meta", True), False: ("cpu", "meta", False)}
