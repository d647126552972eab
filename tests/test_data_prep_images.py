"""`data_prep images`: layouts as people have them, each read without a sources file."""

import csv
import io
import json
import shutil
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.__main__ import main
from data_prep.reader import read_dataset

SIDE = 8
PER_CLASS = 24


def picture(seed, *, height=SIDE, width=SIDE, colour=False):
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def seed_of(*what):
    return zlib.crc32(repr(what).encode())


def put(path, seed, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, **how)).save(path)


def prepare(tmp_path, path, *options, out="out", size=SIDE):
    directory = tmp_path / out
    words = ["images", str(path), "--out", str(directory), "--image-size", str(size)]
    assert main([*words, "--no-near-duplicates", *map(str, options)]) == 0
    return read_dataset(directory)


def refused(tmp_path, capsys, path, *options):
    words = ["images", str(path), "--out", str(tmp_path / "out"), "--image-size", str(SIDE)]
    assert main([*words, "--no-near-duplicates", *map(str, options)]) == 2
    assert not (tmp_path / "out").exists()
    return capsys.readouterr().err


def labels_of(dataset):
    names = [dataset.manifest.classes[label] for label in dataset.labels]
    return dict(zip(dataset.image_ids.tolist(), names, strict=True))


def splits_of(dataset):
    return dict(zip(dataset.image_ids.tolist(), dataset.splits.tolist(), strict=True))


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


# Class folders


def test_class_folders_give_sorted_classes_and_an_archive_the_same_dataset(tmp_path):
    for place, name in enumerate(("zebra", "ant", "Mule")):
        for number in range(PER_CLASS):
            put(tmp_path / "my animals" / name / f"{number}.png", 100 * place + number)
    dataset = prepare(tmp_path, tmp_path / "my animals")
    assert dataset.manifest.classes == ("Mule", "ant", "zebra")
    assert dataset.manifest.split_method == "grouped"
    assert labels_of(dataset)["my-animals/zebra/3.png"] == "zebra"
    archive = shutil.make_archive(str(tmp_path / "my animals"), "zip", tmp_path, "my animals")
    again = prepare(tmp_path, archive, out="again")
    assert again.manifest.fingerprint == dataset.manifest.fingerprint


def test_classes_that_are_numbers_are_sorted_by_value(tmp_path):
    for name in ("10", "9", "0"):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / name / f"{number}.png", 100 * int(name) + number)
    assert prepare(tmp_path, tmp_path / "in").manifest.classes == ("0", "9", "10")


@pytest.mark.parametrize("between", ["", "pictures/"])
def test_split_folders_are_kept_and_folders_below_a_class_become_a_column(
    tmp_path, capsys, between
):
    for split, count in (("train", 20), ("dev", 4), ("test", 4)):
        for place, name in enumerate(("cat", "dog")):
            for number in range(count):
                seed = seed_of(split, place, number)
                put(
                    tmp_path / "in" / split / f"{between}{name}" / f"pet{number % 2}" / "p.png"
                    if number < 2
                    else tmp_path / "in" / split / f"{between}{name}" / f"{number}.png",
                    seed,
                )
    dataset = prepare(tmp_path, tmp_path / "in")
    assert dataset.manifest.classes == ("cat", "dog")
    assert dataset.manifest.counts["val"] == {"cat": 4, "dog": 4}
    splits = splits_of(dataset)
    assert splits[f"in/dev/{between}dog/pet1/p.png"] == "val"
    assert splits[f"in/test/{between}cat/3.png"] == "test"
    folders = dict(zip(splits, dataset.columns["folder"].tolist(), strict=True))
    assert folders[f"in/train/{between}cat/pet0/p.png"] == "pet0"
    assert folders[f"in/train/{between}cat/5.png"] == ""
    assert "own train, val and test are kept" in capsys.readouterr().err


def test_folders_beside_train_and_test_are_no_classes_and_told(tmp_path):
    for split, count in (("train", 20), ("test", 4)):
        for name in ("cat", "dog"):
            for number in range(count):
                put(tmp_path / "in" / split / name / f"{number}.png", seed_of(split, name, number))
    put(tmp_path / "in" / "unlabelled" / "1.png", 9)
    put(tmp_path / "in" / "samples" / "cat" / "1.png", 10)
    dataset = prepare(tmp_path, tmp_path / "in")
    assert dataset.manifest.classes == ("cat", "dog")
    assert dataset.manifest.split_method == "given"
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        rows = {row["image_id"]: row["reason"] for row in csv.DictReader(file)}
    assert rows == dict.fromkeys(
        ("in/unlabelled/1.png", "in/samples/cat/1.png"), "is not in a class folder"
    )


def test_a_flat_test_folder_without_labels_is_left_out_and_no_split(tmp_path, capsys):
    """As many competitions come: the labels of the test pictures are not given away."""
    for name in ("cat", "dog"):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / "train" / name / f"{number}.png", seed_of(name, number))
    put(tmp_path / "in" / "test" / "1.png", 9)
    dataset = prepare(tmp_path, tmp_path / "in")
    assert dataset.manifest.classes == ("cat", "dog")
    assert dataset.manifest.split_method == "grouped"
    assert len(dataset.labels) == 2 * PER_CLASS
    assert "warning: source" not in capsys.readouterr().err


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "car", "bus"):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / name / f"{number}.png", seed_of(name, number))
    assert prepare(tmp_path, tmp_path / "in").manifest.classes == ("bus", "car", "train")


def test_a_prepared_dataset_is_none_of_the_layouts(tmp_path, capsys):
    for name in ("cat", "dog"):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / name / f"{number}.png", seed_of(name, number))
    prepare(tmp_path, tmp_path / "in", out="data")
    error = refused(tmp_path, capsys, tmp_path / "data")
    assert "is a prepared dataset already; train on it, or merge it" in error


def test_people_below_classes_are_kept_together_when_asked_and_told_when_not(tmp_path, capsys):
    for place, name in enumerate(("angry", "calm")):
        for person in range(12):
            for number in range(4):
                seed = 1000 * place + 10 * person + number
                put(tmp_path / "in" / name / f"s{person}" / f"{number}.png", seed)
    prepare(tmp_path, tmp_path / "in", out="loose")
    assert "values of 'folder' have pictures in train and in val" in capsys.readouterr().err
    dataset = prepare(tmp_path, tmp_path / "in", "--together", "folder")
    person = dataset.columns["folder"]
    assert all(len(set(dataset.splits[person == one].tolist())) == 1 for one in set(person))
    assert "values of 'folder'" not in capsys.readouterr().err


def test_known_classes_are_found_above_the_folders_of_people(tmp_path):
    """Where a sources file names the classes; folders that hold no class are passed over."""
    for place, name in enumerate(("angry", "calm")):
        for number in range(PER_CLASS):
            put(
                tmp_path / "in" / "a" / name / f"s{number % 4}" / f"{number}.png",
                50 * place + number,
            )
    config = tmp_path / "sources.yaml"
    config.write_text(
        f"classes: [calm, angry]\nimage_size: {SIDE}\nsources:\n"
        f"  - {{name: mine, path: {tmp_path / 'in'}}}\n"
    )
    assert main(["folders", "--config", str(config), "--out", str(tmp_path / "out")]) == 0
    dataset = read_dataset(tmp_path / "out")
    assert labels_of(dataset)["mine/angry/s1/1.png"] == "angry"
    assert set(dataset.columns["folder"].tolist()) == {"s0", "s1", "s2", "s3"}


def test_one_class_or_none_is_refused_with_the_ways_to_give_labels(tmp_path, capsys):
    for number in range(3):
        put(tmp_path / "flat" / f"{number}.png", number)
    error = refused(tmp_path, capsys, tmp_path / "flat")
    assert "at least two are needed; give a folder for each class, or a CSV with a row" in error
    assert "docs/datasets.md" in error


# Tables of labels


@pytest.fixture
def flat(tmp_path):
    """48 pictures in a flat folder, of which the first 40 are in no table yet."""
    for number in range(2 * PER_CLASS):
        put(tmp_path / "faces" / "images" / f"f{number:02}.png", number)
    return tmp_path / "faces"


def rows_of(name="f{:02}.png", labels=("happy", "sad")):
    return [(name.format(row), labels[row % len(labels)], f"p{row // 4}") for row in range(48)]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (("image", "emotion", "person"), "f{:02}.png"),
        (("File_Name", "LABEL", "person"), "images/f{:02}.png"),
        (("image_id", "class", "person"), "f{:02}"),
        (("path", "label", "person"), r"C:\data\images\f{:02}.png"),
    ],
)
def test_a_flat_folder_is_labelled_by_the_csv_beside_it(tmp_path, flat, header, name):
    write_csv(flat / "legend.csv", header, rows_of(name))
    dataset = prepare(tmp_path, flat)
    assert dataset.manifest.classes == ("happy", "sad")
    assert labels_of(dataset) == {
        f"faces/f{row:02}.png": ("happy", "sad")[row % 2] for row in range(48)
    }
    assert dataset.columns["person"].tolist() == [f"p{row // 4}" for row in range(48)]


def test_the_table_can_be_given_itself_or_lie_elsewhere(tmp_path, flat):
    write_csv(flat / "legend.csv", ("image", "emotion", "person"), rows_of())
    by_folder = prepare(tmp_path, flat)
    shutil.move(flat / "legend.csv", flat / "Legend.CSV")  # as some programs for Windows write
    by_table = prepare(tmp_path, flat / "Legend.CSV", "--name", "x", out="b")
    shutil.move(flat / "Legend.CSV", tmp_path / "legend.csv")
    apart = prepare(tmp_path, flat, "--labels", tmp_path / "legend.csv", out="c")
    assert apart.manifest.fingerprint == by_folder.manifest.fingerprint
    assert labels_of(by_table)["Legend/f03.png"] == "sad"


def test_a_column_of_splits_is_an_official_split(tmp_path, flat):
    usages = ["Training"] * 32 + ["PublicTest"] * 8 + ["PrivateTest"] * 8
    rows = [(*row[:2], usage) for row, usage in zip(rows_of(), usages, strict=True)]
    write_csv(flat / "legend.csv", ("image", "emotion", "Usage"), rows)
    dataset = prepare(tmp_path, flat)
    assert dataset.manifest.split_method == "given"
    assert dataset.splits.tolist() == ["train"] * 32 + ["val"] * 8 + ["test"] * 8
    dealt = prepare(tmp_path, flat, "--split", "grouped", out="dealt")
    assert dealt.manifest.split_method == "grouped"


def test_an_unknown_split_is_told_and_cannot_be_kept(tmp_path, flat, capsys):
    splits = ["train"] * 30 + ["test"] * 10 + ["extra"] * 8
    rows = [(*row[:2], split) for row, split in zip(rows_of(), splits, strict=True)]
    write_csv(flat / "legend.csv", ("image", "emotion", "split"), rows)
    error = refused(tmp_path, capsys, flat, "--split", "given")
    assert "has 8 pictures in none of train, val and test, such as faces/f40.png" in error
    assert prepare(tmp_path, flat).manifest.split_method == "grouped"
    assert "8 pictures of 'faces' have the split 'extra'" in capsys.readouterr().err


def test_json_lines_in_split_folders_are_read_as_hugging_face_writes_them(tmp_path):
    for split, count in (("train", 40), ("validation", 8), ("test", 8)):
        folder = tmp_path / "hub" / split
        lines = []
        for number in range(count):
            put(folder / f"{number:04}.png", seed_of(split, number))
            label = ("cat", "dog")[number % 2]
            about = {"file_name": f"{number:04}.png", "label": label, "age": 3.0, "box": [1, 2]}
            lines.append(json.dumps(about))
        (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    dataset = prepare(tmp_path, tmp_path / "hub")
    assert {split: sum(of.values()) for split, of in dataset.manifest.counts.items()} == {
        "train": 40, "val": 8, "test": 8,
    }  # fmt: skip
    assert labels_of(dataset)["hub/test/0003.png"] == "dog"
    assert set(dataset.columns["age"].tolist()) == {"3"}
    assert "box" not in dataset.columns


@pytest.mark.parametrize(
    ("separator", "message"),
    [(";", "legend.csv: its columns are separated by semicolons; save it again with commas"),
     ("\t", "legend.csv: its columns are separated by tabs")],
)  # fmt: skip
def test_a_table_that_is_needed_but_cannot_be_read_is_told(
    tmp_path, flat, capsys, separator, message
):
    rows = [separator.join(("image", "label")), *(separator.join(row[:2]) for row in rows_of())]
    (flat / "legend.csv").write_text("\n".join(rows))
    assert message in refused(tmp_path, capsys, flat)
    for row in range(48):  # Class folders need no table.
        put(tmp_path / "pets" / ("cat", "dog")[row % 2] / f"{row}.png", row)
    shutil.copy(flat / "legend.csv", tmp_path / "pets")
    assert prepare(tmp_path, tmp_path / "pets").manifest.label_rule == "class folders"


def test_the_manifest_says_what_gave_the_labels(tmp_path, flat, shards):
    write_csv(flat / "legend.csv", ("image", "label", "person"), rows_of())
    write_npz(tmp_path / "set.npz")
    rules = [
        prepare(tmp_path, path, out=f"out{place}").manifest.label_rule
        for place, path in enumerate((flat, shards, tmp_path / "set.npz"))
    ]
    assert rules == ["a table of labels", "a column of labels", "labels of the set"]


def test_a_file_of_another_kind_is_refused(tmp_path, capsys):
    put(tmp_path / "a.png", 0)
    error = refused(tmp_path, capsys, tmp_path / "a.png")
    assert "a.png: is neither a folder nor an archive (.zip, .tar, " in error
    assert "skip-bad" not in error


def test_captions_are_no_column_and_told(tmp_path, flat, capsys):
    rows = [(*row, "a long story " * (20 if row[0] == "f07.png" else 1)) for row in rows_of()]
    write_csv(flat / "legend.csv", ("image", "emotion", "person", "caption"), rows)
    dataset = prepare(tmp_path, flat)
    assert "person" in dataset.columns
    assert "caption" not in dataset.columns
    assert "texts of more than 200 characters are left out: caption" in capsys.readouterr().err


def test_a_column_with_an_equals_sign_in_its_name_can_be_named(tmp_path):
    rows = [(f"{number}.png", ["cat", "dog"][number % 2]) for number in range(2 * PER_CLASS)]
    for number, (name, _) in enumerate(rows):
        put(tmp_path / "in" / name, number)
    write_csv(tmp_path / "in" / "rows.csv", ("filename", "kind=animal"), rows)
    dataset = prepare(tmp_path, tmp_path / "in", "--columns", "label=kind=animal")
    assert dataset.manifest.classes == ("cat", "dog")


@pytest.mark.parametrize("table", [None, "picture,kind\n0.png,cat\n"])
def test_named_columns_that_no_table_has_are_refused(tmp_path, capsys, table):
    for label in ("cat", "dog"):
        put(tmp_path / "pets" / label / "0.png", 0)
    if table is not None:
        (tmp_path / "pets" / "cat" / "pets.csv").write_text(table)
    error = refused(tmp_path, capsys, tmp_path / "pets", "--columns", "file=photo", "label=breed")
    assert "columns are named (photo, breed), but no table there names its pictures" in error


def test_a_table_without_labels_adds_its_columns_to_class_folders(tmp_path):
    rows = []
    for place, name in enumerate(("cat", "dog")):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / name / "all" / f"{name}{number}.png", 100 * place + number)
            rows.append((f"{name}{number}.png", f"p{number % 5}", f"box {number % 2}"))
    write_csv(tmp_path / "in" / "people.csv", ("filename", "owner", "folder"), rows)
    dataset = prepare(tmp_path, tmp_path / "in")
    assert dataset.manifest.classes == ("cat", "dog")
    assert labels_of(dataset)["in/dog/all/dog7.png"] == "dog"
    assert set(dataset.columns["owner"].tolist()) == {f"p{n}" for n in range(5)}
    assert set(dataset.columns["folder"].tolist()) == {"box 0", "box 1"}, "the table goes first"


def test_a_table_of_test_pictures_without_labels_leaves_them_without(tmp_path, flat):
    """As many competitions come, with train.csv and test.csv beside one folder."""
    write_csv(flat / "train.csv", ("image", "emotion", "person"), rows_of()[:40])
    write_csv(flat / "test.csv", ("image", "person"), [row[::2] for row in rows_of()[40:]])
    dataset = prepare(tmp_path, flat)
    assert dataset.manifest.classes == ("happy", "sad")
    assert len(dataset.labels) == 40
    assert dataset.manifest.split_method == "grouped"
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["has no label"] * 8


def test_tables_of_train_and_test_are_an_official_split(tmp_path, flat):
    write_csv(flat / "train_labels.csv", ("image", "emotion", "person"), rows_of()[:40])
    write_csv(flat / "Test-labels.csv", ("image", "emotion", "person"), rows_of()[40:])
    dataset = prepare(tmp_path, flat)
    assert dataset.manifest.split_method == "given"
    assert np.flatnonzero(dataset.splits == "test").tolist() == list(range(40, 48))


def test_a_table_whose_label_is_not_found_is_told_how_to_be_read(tmp_path, flat, capsys):
    write_csv(flat / "legend.csv", ("image", "dx", "person"), rows_of())
    assert "names, say which one is the label (columns)" in refused(tmp_path, capsys, flat)
    assert prepare(tmp_path, flat, "--columns", "label=dx").manifest.classes == ("happy", "sad")


def test_rows_and_pictures_that_do_not_meet_are_told(tmp_path, flat, capsys):
    rows = [*rows_of()[:40], ("gone.png", "sad", "p9"), ("f01.png", "happy", "p9")]
    write_csv(flat / "legend.csv", ("image", "emotion", "person"), rows)
    error = refused(tmp_path, capsys, flat)
    assert "legend.csv, row 40 (line 42): names 'gone.png', but there is no such picture" in error
    dataset = prepare(tmp_path, flat, "--skip-bad")
    assert len(dataset.labels) == 40
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert "names 'f01.png', which an earlier row names too" in reasons
    assert reasons.count("no row names it") == 8


def test_a_malformed_row_of_a_table_in_the_folder_is_told(tmp_path, flat, capsys):
    write_csv(flat / "legend.csv", ("image", "emotion", "person"), rows_of())
    with (flat / "legend.csv").open("a") as file:
        file.write("f01.png,happy,p1,and more\n")
    (flat / "notes.csv").write_text("a,b\n1,2,3\n")
    error = refused(tmp_path, capsys, flat)
    assert "legend.csv, row 48 (line 50): 4 cells where the header has 3" in error


def test_the_columns_can_be_told(tmp_path, flat, capsys):
    rows = [(row[0], "x", row[1]) for row in rows_of()]
    write_csv(flat / "legend.csv", ("image", "label", "mood"), rows)
    dataset = prepare(tmp_path, flat, "--columns", "label=mood")
    assert dataset.manifest.classes == ("happy", "sad")
    assert set(dataset.columns["their_label"].tolist()) == {"x"}
    for half in ("label=", "label", "=mood", "mood=label"):
        with pytest.raises(SystemExit, match="2"):
            prepare(tmp_path, flat, "--columns", half)
        assert f"{half!r} must be ROLE=NAME with a role of file, label" in capsys.readouterr().err
    options = ("--labels", flat / "legend.csv", "--columns", "label=feeling")
    shutil.rmtree(tmp_path / "out")
    assert "has no column 'feeling' for label, but image, label, mood" in refused(
        tmp_path, capsys, flat, *options
    )


def test_labels_that_differ_in_case_are_told_or_folded(tmp_path, flat, capsys):
    labels = ("Happy", "happy", "happy ", "SAD")
    write_csv(flat / "legend.csv", ("image", "emotion", "p"), rows_of(labels=labels))
    error = refused(tmp_path, capsys, flat)
    assert "12 of 'Happy'" in error
    assert "; 'Happy' and 'happy' and 'happy ' differ only in case or white space, and" in error
    assert "'SAD' and" not in error
    prepare(tmp_path, flat, "--min-per-class", 12, out="apart")
    assert (
        "labels 'Happy' and 'happy' and 'happy ' of source 'faces' differ only "
        "in case" in capsys.readouterr().err
    )
    more = [row for row in rows_of(labels=labels) if row[1] != "Happy"]
    more += [(name, "happy", person) for name, label, person in rows_of(labels=labels)
             if label == "Happy"]  # fmt: skip
    write_csv(flat / "legend.csv", ("image", "emotion", "p"), more)
    dataset = prepare(tmp_path, flat, "--fold-case", "--min-per-class", 12)
    assert dataset.manifest.classes == ("SAD", "happy")
    assert int((dataset.labels == 1).sum()) == 36
    assert "differ only in case" not in capsys.readouterr().err


def test_a_csv_beside_known_class_folders_changes_nothing(tmp_path):
    """A sources file of before, whose folder happens to hold a table."""
    rows = []
    for place, name in enumerate(("cat", "dog")):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / name / f"{name}{number}.png", 100 * place + number)
            rows.append((f"{name}{number}.png", "x"))
    config = tmp_path / "sources.yaml"
    config.write_text(
        f"classes: [dog, cat]\nimage_size: {SIDE}\nsources:\n"
        f"  - {{name: mine, path: {tmp_path / 'in'}}}\n"
    )
    fingerprints = set()
    for out in ("without", "with"):
        arguments = ["folders", "--config", str(config), "--out", str(tmp_path / out)]
        assert main(arguments) == 0
        fingerprints.add(read_dataset(tmp_path / out).manifest.fingerprint)
        write_csv(tmp_path / "in" / "labels.csv", ("image", "label"), rows)
    assert len(fingerprints) == 1


# Parquet


def png(seed):
    content = io.BytesIO()
    Image.fromarray(picture(seed, colour=True)).save(content, "PNG")
    return content.getvalue()


def write_parquet(path, seeds, labels, *, features=None, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = pa.array([{"bytes": png(seed), "path": None} for seed in seeds], kind)
    table = pa.table({"img": cells, "label": labels, **more})
    if features is not None:
        about = json.dumps({"info": {"features": {"img": {"_type": "Image"}, **features}}})
        table = table.replace_schema_metadata({"huggingface": about})
    pq.write_table(table, path)


NAMED = {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}


@pytest.fixture
def shards(tmp_path):
    """Two shards of train and one of test, as Hugging Face names them; a test label is hidden."""
    data = tmp_path / "hub" / "data"
    for shard in range(2):
        seeds = range(100 * shard, 100 * shard + 30)
        labels = [row % 2 for row in range(30)]
        people = {"person": [f"p{seed}" for seed in seeds]}
        write_parquet(data / f"train-{shard:05}-of-00002.parquet", seeds, labels,
                      features=NAMED, **people)  # fmt: skip
    seeds = range(500, 511)
    write_parquet(
        data / "test-00000-of-00001.parquet", seeds, [*[0, 1] * 5, -1], features=NAMED,
        person=[f"p{seed}" for seed in seeds],
    )  # fmt: skip
    return tmp_path / "hub"


def test_parquet_of_several_files_is_read_with_names_and_splits(tmp_path, shards):
    dataset = prepare(tmp_path, shards, "--colour")
    assert dataset.manifest.classes == ("cat", "dog")
    assert dataset.manifest.split_method == "given"
    assert int((dataset.splits == "test").sum()) == 10
    ids = dataset.image_ids.tolist()
    assert ids[:2] == ["hub/test/000000", "hub/test/000001"]
    row = ids.index("hub/train/000031")
    np.testing.assert_array_equal(dataset.pixels[row], picture(101, colour=True))
    assert labels_of(dataset)["hub/train/000031"] == "cat"
    assert dataset.columns["person"][row] == "p101"
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        rows = [(row["image_id"], row["file"], row["row"], row["reason"])
                for row in csv.DictReader(file)]  # fmt: skip
    assert rows == [
        ("hub/test/000010", "test-00000-of-00001.parquet", "10", "has no label"),
    ]


def test_one_parquet_file_without_metadata_is_read_by_usual_names(tmp_path):
    labels = [("no", "yes")[row % 2] for row in range(50)]
    splits = ["train"] * 40 + ["test"] * 10
    write_parquet(tmp_path / "all.parquet", range(50), labels, split=splits)
    dataset = prepare(tmp_path, tmp_path / "all.parquet")
    assert dataset.manifest.classes == ("no", "yes")
    assert int((dataset.splits == "test").sum()) == 10
    assert dataset.manifest.channels == 1


def test_of_several_columns_of_classes_one_must_be_told(tmp_path, capsys):
    features = {"fine": NAMED["label"], "coarse": NAMED["label"]}
    path = tmp_path / "x.parquet"
    columns = {"fine": [row % 2 for row in range(50)], "coarse": [row // 25 for row in range(50)]}
    write_parquet(path, range(50), [None] * 50, features=features, **columns)
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    assert "it is not clear which column is the label (img, fine, coarse;" in refused(
        tmp_path, capsys, path
    )
    dataset = prepare(tmp_path, path, "--columns", "label=coarse")
    assert labels_of(dataset)["x/000049"] == "cat"


def test_several_labels_a_picture_are_refused(tmp_path, capsys):
    write_parquet(tmp_path / "x.parquet", range(4), [[0, 1]] * 4)
    assert "column 'label' holds several labels a picture, which is not supported" in refused(
        tmp_path, capsys, tmp_path / "x.parquet"
    )


def test_a_damaged_picture_in_parquet_is_named_by_its_row(tmp_path, capsys, shards):
    path = shards / "data" / "train-00001-of-00002.parquet"
    table = pq.read_table(path)
    cells = table["img"].to_pylist()
    cells[7] = {"bytes": b"no picture", "path": None}
    broken = pa.array(cells, table["img"].type)
    pq.write_table(table.set_column(0, "img", broken), path)
    assert "train-00001-of-00002.parquet, row 7 (line 9): no picture" in refused(
        tmp_path, capsys, shards
    )


# npz


def write_npz(path, *, colour=False, sides=(SIDE, SIDE), column=True):
    arrays, start = {}, 0
    for split, count in (("train", 44), ("val", 8), ("test", 8)):
        pictures = [picture(start + row, height=sides[0], width=sides[1], colour=colour)
                    for row in range(count)]  # fmt: skip
        labels = np.arange(count, dtype=np.uint8) % 2 + 9
        arrays[f"{split}_images"] = np.array(pictures)
        arrays[f"{split}_labels"] = labels[:, None] if column else labels
        start += count
    np.savez(path, **arrays)
    return arrays


@pytest.mark.parametrize("colour", [False, True])
def test_npz_as_medmnist_has_it(tmp_path, colour):
    arrays = write_npz(tmp_path / "bloodmnist.npz", colour=colour)
    dataset = prepare(tmp_path, tmp_path / "bloodmnist.npz", *["--colour"][: int(colour)])
    assert dataset.manifest.classes == ("9", "10")
    assert dataset.manifest.split_method == "given"
    for split in ("train", "val", "test"):
        rows = dataset.splits == split
        np.testing.assert_array_equal(dataset.pixels[rows], arrays[f"{split}_images"])
        np.testing.assert_array_equal(dataset.labels[rows] + 9, arrays[f"{split}_labels"][:, 0])
    assert dataset.image_ids[44] == "bloodmnist/val/000000"


def test_npz_of_another_content_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", weights=np.ones(3))
    assert "has the arrays weights; train_images, train_labels" in refused(
        tmp_path, capsys, tmp_path / "a.npz"
    )
    labels = np.zeros((5, 14), dtype=np.uint8)
    np.savez(tmp_path / "b.npz", train_images=np.zeros((5, 8, 8), np.uint8), train_labels=labels)
    assert "several labels each, which is not supported" in refused(
        tmp_path, capsys, tmp_path / "b.npz"
    )
    (tmp_path / "c.npz").write_bytes(b"PK no archive")
    assert "c.npz: cannot be read" in refused(tmp_path, capsys, tmp_path / "c.npz")


def test_lists_of_labels_in_json_lines_are_refused(tmp_path, capsys):
    lines = []
    for number in range(4):
        put(tmp_path / "in" / f"{number}.png", number)
        lines.append(json.dumps({"file_name": f"{number}.png", "labels": ["cat", "dog"]}))
    (tmp_path / "in" / "metadata.jsonl").write_text("\n".join(lines))
    assert "metadata.jsonl, row 0: has several labels a picture, which is not supported" in refused(
        tmp_path, capsys, tmp_path / "in"
    )


# Options


def test_small_and_colourful_pictures_are_told_where_the_dataset_loses_it(tmp_path, capsys):
    for place, name in enumerate(("cat", "dog")):
        for number in range(PER_CLASS):
            put(tmp_path / "in" / name / f"{number}.png", 100 * place + number, colour=True)
    dataset = prepare(tmp_path, tmp_path / "in", size=16)
    assert dataset.pixels.shape == (48, 16, 16)
    error = capsys.readouterr().err
    assert "the pictures of 'in' are made gray; set colour to keep their colours" in error
    assert "are 8×8 pixels and are enlarged to 16×16; image_size 8 keeps them" in error
    colour = prepare(tmp_path, tmp_path / "in", "--colour", out="colour")
    assert colour.pixels.shape == (48, 8, 8, 3)
    assert "warning" not in capsys.readouterr().err


def test_pictures_are_48_pixels_high_and_wide_where_no_size_is_given(tmp_path):
    for place, name in enumerate(("cat", "dog")):
        for number in range(3):
            path = tmp_path / "in" / name / f"{number}.png"
            put(path, 100 * place + number, height=60, width=50)
    words = ["images", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main([*words, "--no-near-duplicates", "--min-per-class", "3"]) == 0
    assert read_dataset(tmp_path / "out").pixels.shape == (6, 48, 48)


def test_a_frame_around_pictures_is_removed_where_the_user_says_so(tmp_path, capsys):
    for place, name in enumerate(("cat", "dog")):
        for number in range(4):
            framed = np.pad(picture(10 * place + number) // 2, 4, constant_values=255)
            path = tmp_path / "in" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(framed).save(path)
    whole = prepare(tmp_path, tmp_path / "in", "--min-per-class", 4)
    assert "set trim_margin: true (images: --trim-margin)" in capsys.readouterr().err
    options = ("--min-per-class", 4, "--trim-margin")
    trimmed = prepare(tmp_path, tmp_path / "in", *options, out="trimmed")
    assert (whole.pixels[:, 0] == 255).all()
    assert trimmed.pixels.max() <= 127
    assert "margin" not in capsys.readouterr().err


def test_min_per_class_takes_the_place_of_twenty(tmp_path, capsys):
    for place, (name, count) in enumerate((("many", 30), ("few", 6))):
        for number in range(count):
            put(tmp_path / "in" / name / f"{number}.png", 100 * place + number)
    error = refused(tmp_path, capsys, tmp_path / "in")
    assert "at least 20 pictures to be split, but there are 6 of 'few'" in error
    dataset = prepare(tmp_path, tmp_path / "in", "--min-per-class", 6)
    assert sum(dataset.manifest.counts["train"].values()) == 25
    shutil.rmtree(tmp_path / "out")
    options = ("--min-per-class", 6, "--split", "random")
    assert "split random needs at least 20" in refused(tmp_path, capsys, tmp_path / "in", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--image-size", 4), "--image-size: must be greater than or equal to 8, but got 4"),
        (("--image-size", 1025), "--image-size: must be less than or equal to 1024, but got 1025"),
        (("--min-per-class", 0), "--min-per-class: must be greater than or equal to 1, but got 0"),
    ],
)
def test_an_option_out_of_range_is_refused_in_a_line(tmp_path, capsys, options, message):
    error = refused(tmp_path, capsys, tmp_path, *options)
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.long
def test_cifar10_keeps_its_official_test_split(tmp_path, fer_data):
    archive = fer_data / "cifar10.tar.gz"
    if not archive.is_file():
        pytest.skip(f"{archive} is absent")
    dataset = prepare(tmp_path, archive, "--colour", size=32)
    assert dataset.pixels.shape == (60_000, 32, 32, 3)
    assert dataset.manifest.split_method == "given"
    is_test = np.array(["/test/" in one for one in dataset.image_ids.tolist()])
    np.testing.assert_array_equal(dataset.splits == "test", is_test)
    counts = dataset.manifest.counts
    assert set(counts["test"].values()) == {1000}
    assert set(counts["val"].values()) == {882}
