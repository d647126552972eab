"""Sets that torchvision reads itself, from files made here in the layouts that it keeps."""

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_prep.__main__ import main
from data_prep.reader import read_dataset
from data_prep.rejections import Rejections
from data_prep.sources_file import Source, SourcesFile
from data_prep.torchvision_sets import _class_names, find_in_torchvision
from tests.support.idx_files import write_idx

SIDE = 8


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def put(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)


def prepare(tmp_path, name, *options):
    out = tmp_path / "out"
    words = ["images", str(tmp_path / "root"), "--torchvision", name, "--out", str(out)]
    words += ["--image-size", str(SIDE), "--colour", "--no-near-duplicates", *options]
    return main(words), out


def refused(tmp_path, capsys, name, *options):
    code, out = prepare(tmp_path, name, *options)
    assert code == 2
    assert not out.exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.fixture
def signs(tmp_path):
    """GTSRB: class folders of training pictures, and a table of test pictures."""
    base = tmp_path / "root" / "gtsrb"
    for number in range(60):
        put(base / "GTSRB" / "Training" / f"0000{number % 2}" / f"{number:02}.ppm", number)
    with (base / "GT-final_test.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Filename", "ClassId"])
        for number in range(20):
            put(base / "GTSRB" / "Final_Test" / "Images" / f"{number:02}.ppm", 100 + number)
            rows.writerow([f"{number:02}.ppm", number // 10])
    return base


@pytest.mark.usefixtures("signs")
def test_train_and_test_are_an_official_split_with_torchvisions_pictures_and_labels(
    tmp_path, capsys
):
    code, out = prepare(tmp_path, "GTSRB")
    assert code == 0
    assert "the source's own train and test are kept" in capsys.readouterr().err
    dataset = read_dataset(out)
    assert dataset.manifest.classes == ("0", "1")
    is_test = dataset.splits == "test"
    np.testing.assert_array_equal(
        dataset.pixels[is_test], [picture(100 + number) for number in range(20)]
    )
    assert dataset.labels[is_test].tolist() == [number // 10 for number in range(20)]
    assert dataset.image_ids[is_test][0] == "GTSRB/test/000000"
    assert (~is_test).sum() == 60


def test_it_is_noted_that_the_pictures_of_a_set_have_colours(tmp_path, signs):
    source = Source(name="signs", path=tmp_path / "root", torchvision="GTSRB")
    file = SourcesFile(sources=(source,), image_size=SIDE)
    assert find_in_torchvision(source, file, Rejections()).in_colour
    for path in signs.rglob("*.ppm"):
        Image.open(path).convert("L").convert("RGB").save(path)
    assert not find_in_torchvision(source, file, Rejections()).in_colour


def test_a_set_that_is_asked_for_train_or_not_has_two_splits(tmp_path):
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for start, labels in (("train", [7, 0, 1]), ("t10k", [9])):
        write_idx(raw / f"{start}-images-idx3-ubyte", np.zeros((len(labels), SIDE, SIDE)))
        write_idx(raw / f"{start}-labels-idx1-ubyte", labels)
    source = Source(name="digits", path=tmp_path / "root", torchvision="MNIST")
    file = SourcesFile(sources=(source,), image_size=SIDE)
    records = find_in_torchvision(source, file, Rejections()).records
    assert [(record.subset, record.label) for record in records] == [
        ("train", "7 - seven"), ("train", "0 - zero"), ("train", "1 - one"), ("test", "9 - nine"),
    ]  # fmt: skip


def test_a_set_without_splits_is_split_and_has_the_names_of_its_classes(tmp_path):
    for number in range(60):
        folder = tmp_path / "root/eurosat/2750" / ("Sea", "Forest")[number % 2]
        put(folder / f"{number}.png", number)
    code, out = prepare(tmp_path, "EuroSAT")
    assert code == 0
    dataset = read_dataset(out)
    assert dataset.manifest.classes == ("Forest", "Sea")
    assert dataset.manifest.split_method == "grouped"
    assert dataset.image_ids[0] == "EuroSAT/000000"


def test_pictures_that_two_splits_of_a_set_hold_are_read_once(tmp_path):
    data = tmp_path / "root" / "fgvc-aircraft-2013b" / "data"
    data.mkdir(parents=True)
    (data / "variants.txt").write_text("A300\nDC-3\n")
    rows = [f"{number} {('A300', 'DC-3')[number % 2]}\n" for number in range(6)]
    for split, part in (("train", rows[:3]), ("val", rows[3:5]), ("test", rows[5:])):
        (data / f"images_variant_{split}.txt").write_text("".join(part))
    (data / "images_variant_trainval.txt").write_text("".join(rows[:5]))
    for number in range(6):
        put(data / "images" / f"{number}.jpg", number)
    source = Source(name="planes", path=tmp_path / "root", torchvision="FGVCAircraft")
    file = SourcesFile(sources=(source,), image_size=SIDE, colour=True)
    found = find_in_torchvision(source, file, Rejections())
    assert [(record.name, record.label) for record in found.records] == [
        ("train/000000", "A300"), ("train/000001", "DC-3"), ("train/000002", "A300"),
        ("val/000000", "DC-3"), ("val/000001", "A300"), ("test/000000", "DC-3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["sea", "forest"], ["sea", "forest"]),
        ([("tench", "fish"), ("shark",)], ["tench, fish", "shark"]),
        (["crane", "crane"], []),
        (None, []),
    ],
)
def test_classes_have_their_names_in_a_set_unless_two_are_equal(classes, names):
    assert list(_class_names(SimpleNamespace(classes=classes))) == names


def test_what_torchvision_cannot_open_is_told_with_the_way_out(tmp_path, signs, capsys):
    said = refused(tmp_path, capsys, "SVHN")
    assert "root: torchvision cannot open SVHN split=train (Dataset not found" in said
    assert "check the path, or let torchvision download it (images: --download)" in said
    (signs / "GT-final_test.csv").unlink()
    assert "cannot open GTSRB split=test" in refused(tmp_path, capsys, "GTSRB")


def test_a_download_that_fails_is_told(tmp_path, monkeypatch, capsys):
    def no_network(*_args, **_options):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", no_network)
    said = refused(tmp_path, capsys, "SVHN", "--download")
    assert "(no route to host); check the network, or copy the files there" in said
    assert "cannot download ImageNet" in refused(tmp_path, capsys, "ImageNet", "--download")


def test_a_damaged_picture_is_named_or_skipped(tmp_path, signs, capsys):
    (signs / "GTSRB" / "Training" / "00000" / "00.ppm").write_bytes(b"P6 no picture")
    said = refused(tmp_path, capsys, "GTSRB")
    assert "torchvision's GTSRB train, row 0 (line 2): cannot be read (" in said
    code, out = prepare(tmp_path, "GTSRB", "--skip-bad")
    assert code == 0
    assert len(read_dataset(out).labels) == 79


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SVNH", "has no set 'SVNH' that can be read by its name and folder; did you mean 'SVHN'?"),
        ("svhn", "did you mean 'SVHN'?"),
        ("ImageFolder", "torchvision has no set 'ImageFolder'"),
        ("EMNIST", "torchvision has no set 'EMNIST'"),
    ],
)  # fmt: skip
def test_an_unknown_set_is_refused_with_the_nearest(tmp_path, capsys, name, message):
    assert message in refused(tmp_path, capsys, name)


def test_pictures_without_one_class_each_are_refused(tmp_path, monkeypatch, capsys):
    class Boxes:
        def __init__(self, root):
            self.root = root

        def __len__(self):
            return 1

        def __getitem__(self, row):
            return Image.fromarray(picture(row)), {"boxes": []}

    monkeypatch.setattr("torchvision.datasets.Kitti", Boxes)
    said = refused(tmp_path, capsys, "Kitti")
    assert "row 0 is of the types Image and dict, but only a picture and its class" in said


def test_a_machine_without_torchvision_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert "torchvision is needed to read its set SVHN" in refused(tmp_path, capsys, "SVHN")


def test_options_that_do_not_belong_together_are_refused(tmp_path, capsys):
    words = ["images", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*words, "--download"]) == 2
    assert "download goes with torchvision" in capsys.readouterr().err
    assert main([*words, "--torchvision", "SVHN", "--columns", "label=x"]) == 2
    assert "torchvision goes with path, and without labels" in capsys.readouterr().err
