"""Large datasets: pixels unpacked once into a file that all processes of a machine map."""

import fcntl
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep import fingerprint, reader, unpacked, writer
from data_prep.fingerprint import check_content, content_hashes
from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from tests.support.dataset_factory import labelled_images, write_labelled

HOLDER = """
import sys
from pathlib import Path
from data_prep import reader
from data_prep.reader import read_dataset
reader.LARGE_BYTES = 0
folder = Path(sys.argv[2])
dataset = read_dataset(Path(sys.argv[1]), unpack_to=lambda: folder)
print(dataset.pixels.sum(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch):
    monkeypatch.setattr(reader, "LARGE_BYTES", 0)
    monkeypatch.setattr(unpacked, "BATCH_BYTES", 1000)
    monkeypatch.setattr(writer, "ROW_GROUP_BYTES", 2500)
    yield
    unpacked._release()


@pytest.fixture
def place(tmp_path):
    write_labelled(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def held_by_another_process(place, disk):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, place, disk],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    return process


def unpacked_files(disk):
    return sorted(path.name for path in disk.iterdir() if path.suffix in (".pixels", ".partial"))


def test_mapped_pixels_are_those_in_memory(place, disk):
    mapped, read = read_dataset(place, unpack_to=lambda: disk), read_dataset(place)
    assert mapped.is_mapped
    assert not read.is_mapped
    np.testing.assert_array_equal(mapped.pixels, read.pixels)
    assert mapped.pixels.shape == (95, 6, 9)
    assert mapped.image_ids.tolist() == read.image_ids.tolist()
    check_content(mapped)
    with pytest.raises(ValueError, match="read-only"):
        mapped.pixels[0, 0, 0] = 1


def test_a_process_maps_several_datasets_at_once(tmp_path, place, disk):
    pixels = labelled_images().pixels
    write_labelled(tmp_path / "other", labelled_images(pixels=255 - pixels))
    first, other = (
        read_dataset(one, unpack_to=lambda: disk) for one in (place, tmp_path / "other")
    )
    np.testing.assert_array_equal(first.pixels, pixels)
    np.testing.assert_array_equal(other.pixels, 255 - pixels)
    assert len(unpacked_files(disk)) == 2


def test_pixels_are_hashed_once_by_the_process_that_unpacks_them(place, disk, monkeypatch):
    hashed = []

    def hashes(pixels):
        hashed.append(len(pixels))
        return content_hashes(pixels)

    monkeypatch.setattr(fingerprint, "content_hashes", hashes)
    check_content(read_dataset(place, unpack_to=lambda: disk))
    assert hashed == []
    check_content(read_dataset(place, unpack_to=lambda: disk))  # It maps what was unpacked before.
    assert hashed == [95]


def test_a_dataset_with_other_hashes_is_refused_though_they_match_its_pixels(place, disk):
    table = pq.read_table(place / "images.parquet")
    for name in ("pixels", "content_hash"):
        at = table.schema.get_field_index(name)
        table = table.set_column(
            at, table.schema.field(name), table[name].take(np.arange(95)[::-1])
        )
    pq.write_table(table, place / "images.parquet")
    with pytest.raises(UserError, match="does not hold the pictures and labels"):
        check_content(read_dataset(place, unpack_to=lambda: disk))


def test_colour_keeps_its_shape(tmp_path, disk):
    pixels = np.random.default_rng(1).integers(0, 256, (95, 6, 9, 3), dtype=np.uint8)
    write_labelled(tmp_path / "colour", labelled_images(pixels=pixels))
    mapped = read_dataset(tmp_path / "colour", unpack_to=lambda: disk)
    np.testing.assert_array_equal(mapped.pixels, pixels)


def test_a_small_dataset_is_read_into_memory(place, disk, monkeypatch):
    monkeypatch.setattr(reader, "LARGE_BYTES", 95 * 6 * 9)
    assert not read_dataset(place, unpack_to=lambda: disk).is_mapped
    assert unpacked_files(disk) == []
    monkeypatch.setattr(reader, "LARGE_BYTES", 95 * 6 * 9 - 1)
    assert read_dataset(place, unpack_to=lambda: disk).is_mapped


def test_who_unpacks_waits_for_others_and_who_ends_does_not(disk, monkeypatch):
    asked = []
    monkeypatch.setattr(fcntl, "flock", lambda _, how: asked.append(how))
    with unpacked._sole_access(disk):
        pass
    with unpacked._sole_access(disk, wait=False):
        pass
    assert asked == [fcntl.LOCK_EX, fcntl.LOCK_EX | fcntl.LOCK_NB]


def test_processes_share_one_file_and_the_last_removes_it(place, disk):
    first, second = held_by_another_process(place, disk), held_by_another_process(place, disk)
    file = disk / unpacked_files(disk)[0]
    inode = file.stat().st_ino
    read_dataset(place, unpack_to=lambda: disk)
    assert unpacked_files(disk) == [file.name]
    assert file.stat().st_ino == inode
    unpacked._release()
    first.communicate("\n")
    assert file.stat().st_ino == inode
    second.communicate("\n")
    assert unpacked_files(disk) == []


def test_what_a_killed_process_leaves_goes_with_the_next(tmp_path, place, disk):
    killed = held_by_another_process(place, disk)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (disk / "half.partial").touch()
    assert len(unpacked_files(disk)) == 2
    write_labelled(tmp_path / "other", recipe={"seed": 8})
    other = read_dataset(tmp_path / "other", unpack_to=lambda: disk)
    assert unpacked_files(disk) == [f"{other.manifest.fingerprint}.pixels"]


def test_pixels_with_another_hash_are_refused(place, disk):
    table = pq.read_table(place / "images.parquet")
    hashes = table["content_hash"].to_pylist()
    at = table.schema.get_field_index("content_hash")
    pq.write_table(table.set_column(at, "content_hash", [hashes[::-1]]), place / "images.parquet")
    with pytest.raises(UserError, match=r"images\.parquet is damaged .*content_hash"):
        read_dataset(place, unpack_to=lambda: disk)
    assert not list(disk.glob("*.pixels"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_without_room_is_told(place, disk):
    name = read_dataset(place).manifest.fingerprint
    (disk / f"{name}.partial").symlink_to("/dev/full")
    way_out = r"no space left for 0.0 GB of pixels in .*; free some or set TUNE_STAGE to a folder"
    with pytest.raises(UserError, match=way_out):
        read_dataset(place, unpack_to=lambda: disk)


def test_unpacking_leaves_its_memory_to_the_system(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "BATCH_BYTES", 1 << 26)
    pictures = [bytes([number]) * 1_000_000 for number in range(96)]
    hashes = [hashlib.sha256(picture).hexdigest() for picture in pictures]
    pixels = pa.array(pictures, pa.binary(1_000_000))
    pq.write_table(pa.table({"pixels": pixels, "content_hash": hashes}), tmp_path / "images")
    del pictures, pixels
    pa.default_memory_pool().release_unused()
    before = psutil.Process().memory_full_info().uss
    mapped, _ = unpacked.map_pixels(tmp_path / "images", "large", tmp_path)
    assert psutil.Process().memory_full_info().uss - before < 30_000_000
    assert mapped[-1] == 95
