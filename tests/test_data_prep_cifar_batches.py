"""Pictures in the Python batches of CIFAR-10 and CIFAR-100."""

import pickle
import tarfile

import numpy as np
import pytest

from data_prep.cifar_batches import find_in_batches, is_cifar
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile


def batch(*reds, **labels):
    """A batch of pictures whose first pixel is (red, 20, 30) and whose others are black."""
    data = np.zeros((len(reds), 3, 32, 32), np.uint8)
    data[:, :, 0, 0] = [(red, 20, 30) for red in reds]
    return {"data": data.reshape(len(reds), -1), **labels}


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(pickle.dumps(content))
    return folder


@pytest.fixture
def ten(tmp_path):
    return write(
        tmp_path / "cifar-10-batches-py",
        test_batch=batch(9, labels=[1]),
        data_batch_2=batch(3, labels=[0]),
        data_batch_1=batch(1, 2, labels=[2, 0]),
        batches__meta={"label_names": ["plane", "car", "bird"]},
    )


def found_in(path):
    source = Source(name="c", path=path)
    file = SourcesFile(sources=(source,), image_size=32, colour=True)
    return find_in_batches(source, file, Rejections(may_skip=False)).records


def test_pictures_are_numbered_through_all_batches_and_planes_become_pixels(ten):
    records = found_in(ten)
    assert [(r.name, r.label, r.subset, r.row) for r in records] == [
        ("train/000000", "bird", "train", 0),
        ("train/000001", "plane", "train", 1),
        ("train/000002", "plane", "train", 0),
        ("test/000003", "car", "test", 0),
    ]
    assert [r.picture.pixels[0, 0].tolist() for r in records] == [
        [red, 20, 30] for red in (1, 2, 3, 9)
    ]
    assert records[0].columns == {}


def test_an_archive_is_read_like_its_folder_in_whatever_order_its_batches_are(ten, tmp_path):
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(ten.iterdir(), reverse=True):
            tar.add(file, f"{ten.name}/{file.name}")
    assert [(r.name, r.label) for r in found_in(archive)] == [
        (r.name, r.label) for r in found_in(ten)
    ]
    assert is_cifar(archive)
    assert is_cifar(ten)
    assert is_cifar(tmp_path), "a folder that holds one"
    assert not is_cifar(tmp_path / "other.tar.gz")
    (tmp_path / "empty").mkdir()
    assert not is_cifar(tmp_path / "empty")


def test_of_cifar_100_the_fine_labels_are_classes_and_the_coarse_ones_a_column(tmp_path):
    folder = write(
        tmp_path / "cifar-100-python",
        train=batch(1, 2, fine_labels=[1, 0], coarse_labels=[0, 1]),
        test=batch(3, fine_labels=[1], coarse_labels=[1]),
        meta={"fine_label_names": ["oak", "cod"], "coarse_label_names": ["fish", "trees"]},
    )
    assert [(r.name, r.label, r.columns["coarse_label"]) for r in found_in(folder)] == [
        ("test/000000", "cod", "trees"),
        ("train/000001", "cod", "fish"),
        ("train/000002", "oak", "trees"),
    ]


def test_damaged_batches_are_told(ten):
    contents = batch(1, labels=[0, 1]), batch(1, labels=[7]), {"data": [1]}, [1, 2], None, 7
    for content in contents:
        write(ten, data_batch_2=content)
        with pytest.raises(BadInputError, match="data_batch_2: is not a CIFAR batch"):
            found_in(ten)
    (ten / "data_batch_2").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(
        BadInputError, match=r"data_batch_2: is not .* \(it holds (os|posix).system"
    ):
        found_in(ten)
    write(ten, data_batch_2=batch(1, labels=[0]), batches__meta=["plane", "car"])
    with pytest.raises(BadInputError, match=r"batches\.meta: is not a CIFAR batch"):
        found_in(ten)
    (ten / "batches.meta").unlink()
    with pytest.raises(BadInputError, match=r"lacks meta or batches\.meta"):
        found_in(ten)
