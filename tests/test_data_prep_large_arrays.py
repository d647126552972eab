"""Pixels of large datasets lie in files, and pictures are read on all cores, with equal results."""

import os

import numpy as np
import pytest

from data_prep import in_parallel, large_arrays
from data_prep.in_parallel import in_order
from data_prep.large_arrays import Spool, concatenate, new_pixels, take
from data_prep.pixel_statistics import means_and_stds
from fairsweep.errors import UserError


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(large_arrays, "LARGE_BYTES", 100)
    monkeypatch.setattr(large_arrays, "PART_BYTES", 50)


def noise(*shape):
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.usefixtures("small_memory")
def test_only_large_arrays_lie_in_files_and_these_have_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not isinstance(new_pixels((10, 10)), np.memmap)
    large = new_pixels((10, 11))
    assert isinstance(large, np.memmap)
    large[...] = noise(10, 11)
    np.testing.assert_array_equal(large, noise(10, 11))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_memory")
def test_a_full_disk_is_told_before_anything_is_written(monkeypatch):
    def full(_descriptor, _offset, _size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"no space left for .* or point TMPDIR to another disk"):
        new_pixels((10, 11))
    with pytest.raises(UserError, match=r"no space left for 2\.5 GB of pixels in "):
        new_pixels((10_000, 500, 500))


@pytest.mark.usefixtures("small_memory")
def test_pictures_are_taken_and_joined_in_order():
    pixels, rows = noise(40, 3, 4), np.array([7, 3, 39, *range(12)])
    np.testing.assert_array_equal(take(pixels, rows), pixels[rows])
    assert take(pixels, np.arange(40)) is pixels
    np.testing.assert_array_equal(take(pixels, np.arange(40)[::-1]), pixels[::-1])
    three = [pixels, pixels[:5], pixels[20:29]]
    np.testing.assert_array_equal(concatenate(three), np.concatenate(three))
    assert concatenate([pixels]) is pixels


@pytest.mark.usefixtures("small_memory")
def test_a_spool_keeps_every_picture():
    pictures = [noise(size, 3) for size in (5, 9, 2, 30, 1, 8, 16)]
    spool = Spool()
    kept = [spool.keep(picture) for picture in pictures]
    for picture, copy in zip(pictures, kept, strict=True):
        assert copy is not picture
        np.testing.assert_array_equal(copy, picture)
    in_files = [isinstance(copy, np.memmap) for copy in kept]
    assert in_files[0] is False  # The first ones are in memory.
    assert in_files[-1] is True


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("shape", [(30, 5, 4), (30, 5, 4, 3)])
def test_mean_and_deviation_are_those_of_the_chosen_pictures(shape):
    pixels, chosen = noise(*shape), np.arange(30) % 3 > 0
    means, stds = means_and_stds(pixels, chosen)
    axes = (0, 1, 2)
    np.testing.assert_allclose(means, (pixels[chosen] / 255).mean(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(stds, (pixels[chosen] / 255).std(axis=axes), rtol=1e-9)


def process_and_square(number):
    return os.getpid(), number * number


def test_many_items_are_computed_in_order_by_other_processes(monkeypatch):
    monkeypatch.setattr(in_parallel, "FEW", 10)
    monkeypatch.setattr(in_parallel, "AT_ONCE", 4)
    read = []

    def numbers():
        for number in range(101):
            read.append(number)
            yield number

    results = in_order(process_and_square, numbers())
    first = [next(results) for _ in range(11)]
    assert {process for process, _ in first[:10]} == {os.getpid()}
    assert first[10][0] != os.getpid()
    assert len(read) < 101  # The rest is read as results are taken.
    squares = [square for _, square in [*first, *results]]
    assert squares == [number * number for number in range(101)]


@pytest.mark.parametrize("count", [0, 9, 10, 11])
def test_no_item_is_lost_where_few_become_many(monkeypatch, count):
    monkeypatch.setattr(in_parallel, "FEW", 10)
    squares = [square for _, square in in_order(process_and_square, range(count))]
    assert squares == [number * number for number in range(count)]
