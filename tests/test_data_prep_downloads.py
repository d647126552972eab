"""Sets in the files in which torchvision keeps what it downloaded."""

import pickle
import shutil

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.reader import read_dataset
from tests.support.idx_files import write_idx

SIDE = 28


def prepare(tmp_path, path, *options):
    out = tmp_path / "out"
    words = ["images", str(path), "--out", str(out), "--no-near-duplicates", *options]
    return main(words), out


def write_sets(folder, *, packed=False):
    """60 training and 20 test pictures of two classes."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    made = {}
    for start, count in (("train", 60), ("t10k", 20)):
        pixels = generator.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
        labels = (np.arange(count) % 2 * 7).astype(np.uint8)
        made[start] = pixels, labels
        for name, values in (("images-idx3-ubyte", pixels), ("labels-idx1-ubyte", labels)):
            write_idx(folder / f"{start}-{name}{'.gz' if packed else ''}", values)
    return made


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_with_their_split(tmp_path, packed):
    made = write_sets(tmp_path / "FashionMNIST" / "raw", packed=packed)
    code, out = prepare(tmp_path, tmp_path / "FashionMNIST", "--image-size", str(SIDE))
    assert code == 0
    dataset = read_dataset(out)
    assert dataset.manifest.classes == ("0", "7")
    is_test = dataset.splits == "test"
    np.testing.assert_array_equal(dataset.pixels[is_test], made["t10k"][0])
    np.testing.assert_array_equal(dataset.pixels[~is_test], made["train"][0])
    np.testing.assert_array_equal(dataset.labels[~is_test] * 7, made["train"][1])
    assert dataset.image_ids[is_test][0] == "FashionMNIST/test/000000"


def test_an_idx_file_that_is_cut_short_is_refused(tmp_path, capsys):
    write_sets(tmp_path / "raw")
    path = tmp_path / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    assert prepare(tmp_path, tmp_path / "raw")[0] == 2
    assert "t10k-images-idx3-ubyte: is not an idx file of 3 dimensions" in capsys.readouterr().err


def test_several_sets_of_idx_files_are_refused(tmp_path, capsys):
    write_sets(tmp_path / "raw")
    for path in list((tmp_path / "raw").iterdir()):
        shutil.copy(path, path.with_name(f"emnist-letters-{path.name}"))
    assert prepare(tmp_path, tmp_path / "raw")[0] == 2
    assert (
        "which belong to two sets; give a folder with the files of one set"
        in capsys.readouterr().err
    )


def write_cifar(folder, *, fine=False):
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    key = "fine_labels" if fine else "labels"
    batches = {"train": 60, "test": 20} if fine else {
        "data_batch_1": 30, "data_batch_2": 30, "test_batch": 20
    }  # fmt: skip
    made = {}
    for name, count in batches.items():
        pixels = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        batch = {"data": pixels, key: [row % 2 for row in range(count)]}
        if fine:
            batch["coarse_labels"] = [row % 3 for row in range(count)]
        made[name] = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    names = {("fine_label_names" if fine else "label_names"): ["truck", "cat"]}
    if fine:
        names["coarse_label_names"] = ["x", "y", "z"]
    (folder / ("meta" if fine else "batches.meta")).write_bytes(pickle.dumps(names))
    return made


@pytest.mark.parametrize("kind", ["folder", "folder above", "archive"])
def test_batches_of_cifar10_are_read_in_colour(tmp_path, kind):
    folder = tmp_path / "root" / "cifar-10-batches-py"
    made = write_cifar(folder)
    path = {"folder": folder, "folder above": folder.parent}.get(kind)
    if path is None:
        archive = shutil.make_archive(str(tmp_path / "a"), "gztar", folder.parent)
        path = shutil.move(archive, tmp_path / "cifar-10-python.tar.gz")
    code, out = prepare(tmp_path, path, "--image-size", "32", "--colour")
    assert code == 0
    dataset = read_dataset(out)
    assert dataset.manifest.classes == ("cat", "truck")
    is_test = dataset.splits == "test"
    np.testing.assert_array_equal(dataset.pixels[is_test], made["test_batch"])
    train = np.concatenate([made["data_batch_1"], made["data_batch_2"]])
    np.testing.assert_array_equal(dataset.pixels[~is_test], train)
    assert [dataset.manifest.classes[label] for label in dataset.labels[:2]] == ["truck", "cat"]


def test_cifar100_has_fine_labels_and_the_coarse_ones_as_a_column(tmp_path):
    write_cifar(tmp_path / "cifar-100-python", fine=True)
    code, out = prepare(tmp_path, tmp_path / "cifar-100-python", "--image-size", "32")
    assert code == 0
    dataset = read_dataset(out)
    assert dataset.manifest.classes == ("cat", "truck")
    assert set(dataset.columns["coarse_label"].tolist()) == {"x", "y", "z"}


class Evil:
    def __reduce__(self):
        return (print, ("this ran",))


def test_a_batch_that_would_run_a_program_is_refused(tmp_path, capsys):
    write_cifar(tmp_path / "cifar-10-batches-py")
    path = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(pickle.dumps({"data": Evil()}))
    assert prepare(tmp_path, tmp_path)[0] == 2
    told = capsys.readouterr()
    assert "data_batch_2: is not a CIFAR batch (it holds builtins.print)" in told.err
    assert "this ran" not in told.out


@pytest.mark.long  # Importing torchvision takes seconds.
def test_what_torchvision_reads_from_the_same_files_is_the_same(tmp_path):
    """The order of batches, planes and labels is torchvision's own."""
    datasets = pytest.importorskip("torchvision.datasets")
    write_sets(tmp_path / "MNIST" / "raw")
    theirs = datasets.MNIST(tmp_path, train=False)
    code, out = prepare(tmp_path, tmp_path / "MNIST", "--image-size", str(SIDE))
    assert code == 0
    dataset = read_dataset(out)
    is_test = dataset.splits == "test"
    np.testing.assert_array_equal(dataset.pixels[is_test], theirs.data.numpy())
    names = np.array(dataset.manifest.classes)[dataset.labels[is_test]]
    assert names.tolist() == [str(label) for label in theirs.targets.tolist()]
