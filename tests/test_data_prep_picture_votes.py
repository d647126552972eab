"""A CSV of several annotators' labels gives vote columns and soft labels for any layout."""

import csv
import gzip
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from data_prep.__main__ import main
from data_prep.folders import prepare_folders
from data_prep.picture_votes import with_votes
from data_prep.reader import read_dataset
from data_prep.records import Found, Record
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile

SIDE = 8
PER_CLASS = 6
CLASSES = ("cat", "dog")


def put(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def folders(tmp_path):
    """Return a folder of two class folders, ``pets``."""
    for place, name in enumerate(CLASSES):
        for number in range(PER_CLASS):
            put(tmp_path / "pets" / name / f"{number}.png", 100 * place + number)
    return tmp_path / "pets"


@pytest.fixture
def flat(tmp_path):
    """Return a folder of twelve pictures without labels, ``0.png`` and so on."""
    for number in range(2 * PER_CLASS):
        put(tmp_path / "pets" / f"{number}.png", number)
    return tmp_path / "pets"


def run(path, votes, *options):
    out = path.parent / "out"
    words = ["images", path, "--votes", votes, "--out", out, "--image-size", SIDE, *options]
    words += ["--no-near-duplicates", "--min-per-class", 3]
    return main(list(map(str, words))), out


def prepare(path, votes, *options):
    code, out = run(path, votes, *options)
    assert code == 0
    return Prepared(out)


class Prepared:
    """A prepared dataset, by the names of its pictures."""

    def __init__(self, out):
        dataset = read_dataset(out)
        self.classes = dataset.manifest.classes
        self.notes = " ".join(dataset.manifest.details["notes"])
        table = pq.read_table(out / "images.parquet")
        ids = [name.partition("/")[2] for name in table["image_id"].to_pylist()]
        self.labels = dict(zip(ids, table["label"].to_pylist(), strict=True))
        self.soft = dict(zip(ids, dataset.soft_labels.tolist(), strict=True))
        columns = [table[f"votes_{name}"].to_pylist() for name in self.classes]
        self.votes = dict(zip(ids, zip(*columns, strict=True), strict=True))
        with (out / "rejected.csv").open() as file:
            self.rejected = [row["reason"] for row in csv.DictReader(file)]


def refused(capsys, path, votes, *options):
    code, out = run(path, votes, *options)
    assert code == 2
    assert not out.exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("name", ["votes.csv", "votes.csv.gz", "pets/votes.csv"])
def test_counts_give_votes_and_soft_labels_and_the_folders_keep_the_label(folders, name):
    rows = [
        ("cat/0.png", 1, 3, "x"),
        ("elsewhere/pets/dog/1.png", 0, 5, ""),
        ("pets/cat/2", 2, "", ""),
    ]
    votes = write(folders.parent / name, ("image", "cat", "dog", "remark"), rows)
    found = prepare(folders, votes)
    assert found.classes == CLASSES
    assert found.labels["cat/0.png"] == "cat"  # although most votes are for dog
    assert found.votes["cat/0.png"] == (1, 3)
    assert found.soft["cat/0.png"] == [0.25, 0.75]
    assert found.soft["dog/1.png"] == [0, 1]
    assert found.votes["cat/2.png"] == (2, 0)
    assert found.votes["dog/0.png"] == (None, None)
    assert found.soft["dog/0.png"] == [0, 1]  # certain of its label
    assert "3 pictures of 'pets' have 11 votes" in found.notes
    assert "in 66.7% of them; 9 have no votes, so their label counts as certain" in found.notes
    assert found.rejected == []


def test_a_row_for_each_vote_gives_the_same_as_counts(folders):
    votes = [("cat/0.png", "ann", "cat"), ("cat/0.png", "bob", "dog"), ("dog/0.png", "ann", "dog")]
    found = prepare(
        folders, write(folders.parent / "votes.csv", ("picture", "annotator", "label"), votes)
    )
    assert found.votes["cat/0.png"] == (1, 1)
    assert found.soft["cat/0.png"] == [0.5, 0.5]
    assert found.votes["dog/0.png"] == (0, 1)


def test_an_annotator_votes_once_for_a_picture_and_without_names_rows_are_all_counted(
    folders, capsys
):
    votes = folders.parent / "votes.csv"
    write(votes, ("file", "rater", "label"), [("cat/0.png", "ann", "cat")] * 2)
    assert "votes.csv, row 1 (line 3): has votes for 'cat/0.png' again, by 'ann'" in refused(
        capsys, folders, votes
    )
    write(votes, ("file", "label"), [("cat/0.png", "cat")] * 2)
    assert prepare(folders, votes).votes["cat/0.png"] == (2, 0)


def test_votes_are_for_one_picture_however_much_of_its_path_a_row_names(tmp_path):
    header, names = ("file", "annotator", "label"), ["cat/1.png"]
    (record,) = voted(
        tmp_path, names, header, [("1.png", "ann", "cat"), ("cat/1.png", "bob", "dog")]
    )
    assert dict(record.votes) == {"cat": 1, "dog": 1}
    with pytest.raises(BadInputError, match=r"has votes for 'cat/1\.png' again, by 'ann'"):
        voted(tmp_path, names, header, [("1.png", "ann", "cat"), ("cat/1.png", "ann", "dog")])


def test_counts_beside_a_column_of_labels_are_read_as_counts(folders):
    rows = [("cat/0.png", "cat", 4, 1), ("dog/0.png", "dog", 0, 3)]
    votes = write(folders.parent / "votes.csv", ("file", "label", "cat", "dog"), rows)
    assert prepare(folders, votes).votes["cat/0.png"] == (4, 1)


def test_without_other_labels_the_majority_labels_and_ties_are_left_out(flat):
    rows = [(f"{number}.png", *(5, 1)[:: 1 if number % 2 else -1]) for number in range(9)]
    rows += [("9.png", 3, 3), ("10.png", 3, 3), ("12.png", 1, 0)]
    votes = write(flat.parent / "votes.csv", ("file", "cat", "dog"), rows)
    found = prepare(flat, votes)
    assert found.labels["1.png"] == "cat"
    assert found.labels["2.png"] == "dog"
    assert len(found.labels) == 9
    assert sorted(found.rejected) == [
        "has no votes",
        *["its votes tie: cat and dog have 3 each"] * 2,
        "names '12.png', but there is no such picture",
    ]
    assert "1 rows of votes name no picture of 'pets', such as '12.png'" in found.notes
    assert "2 pictures whose votes tie and 1 without votes are left out" in found.notes


def test_a_table_that_cannot_be_read_is_no_error_where_votes_give_the_labels(flat):
    (flat / "notes.csv").write_text("image;label\n0.png;cat\n")
    rows = [(f"{number}.png", number % 2, 1 - number % 2) for number in range(10)]
    found = prepare(flat, write(flat.parent / "votes.csv", ("file", "cat", "dog"), rows))
    assert found.labels["1.png"] == "cat"
    assert len(found.labels) == 10


def test_rows_of_no_picture_are_listed(folders):
    votes = folders.parent / "votes.csv"
    # A picture of this name is there, but in another folder.
    rows = [("bird/0.png", 1, 0), ("cat/0.png", 1, 0), ("bird/0.png", 1, 0)]
    write(votes, ("file", "cat", "dog"), rows)
    found = prepare(folders, votes)
    assert found.rejected == ["names 'bird/0.png', but there is no such picture"] * 2
    assert "2 rows of votes name no picture of 'pets', such as 'bird/0.png'" in found.notes
    assert sum(counts != (None, None) for counts in found.votes.values()) == 1


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (("file", "cat", "dog"), ("cat/0.png", "many", 1), "has 'many' in column 'cat'"),
        (("file", "cat", "dog"), ("cat/0.png", -1, 1), "has '-1' in column 'cat'"),
        (("file", "cat", "dog"), ("cat/0.png", 2**31, 1), "has '2147483648' in column 'cat'"),
        (("file", "cat", "dog"), ("cat/0.png", 1, "nan"), "has 'nan' in column 'dog'"),
        (("file", "cat", "dog"), ("cat/0.png", 1.5, 1), "has '1.5' in column 'cat'"),
        (("file", "cat", "dog"), ("0.png", 1, 1), "but 2 pictures have this name"),
        (("file", "label"), ("cat/0.png", ""), "has no label"),
        (("who", "cat", "dog"), ("cat/0.png", 1, 1), "no column names pictures"),
        (("file", "a", "b"), ("cat/0.png", 1, 1), "has votes for a, b, but the classes of"),
        (("file", "cat", "dog"), ("bird/0.png", 1, 1), "none of its rows names a picture"),
    ],
)
def test_what_is_wrong_with_votes_is_told(folders, capsys, header, row, message):
    votes = write(folders.parent / "votes.csv", header, [row])
    assert message in refused(capsys, folders, votes)


def test_a_bad_row_can_be_skipped(folders):
    rows = [("cat/0.png", "many", 1), ("cat/1.png", 2, 1), ("cat/1.png", 9, 9)]
    votes = write(folders.parent / "votes.csv", ("file", "cat", "dog"), rows)
    found = prepare(folders, votes, "--skip-bad")
    assert found.votes["cat/0.png"] == (None, None)
    assert found.votes["cat/1.png"] == (2, 1)
    assert len(found.rejected) == 2


def test_a_damaged_or_missing_file_is_told(folders, capsys):
    votes = folders.parent / "votes.csv.gz"
    assert "does not exist; give votes a CSV file" in refused(capsys, folders, votes)
    votes.write_bytes(b"no gzip")
    assert "cannot be read" in refused(capsys, folders, votes)


def test_a_map_joins_classes_and_other_votes_are_not_counted(flat):
    header = ("file", "happy", "glad", "sad", "unclear")
    rows = [(f"{number}.png", 2, 2, 3, 9) for number in range(6)]
    rows += [(f"{number}.png", 0, 0, 4, 0) for number in range(6, 12)]
    votes = write(flat.parent / "votes.csv", header, rows)
    config = flat.parent / "sources.yaml"
    source = {
        "name": "a", "path": str(flat), "votes": str(votes),
        "map": {"happy": "good", "glad": "good", "sad": "bad"},
    }  # fmt: skip
    file = {"classes": ["good", "bad"], "image_size": SIDE, "min_per_class": 3, "sources": [source]}
    config.write_text(yaml.safe_dump(file))
    prepare_folders(config=config, out=flat.parent / "out", near_duplicates=False)
    found = Prepared(flat.parent / "out")
    assert found.labels["0.png"] == "good"  # 4 votes of 7, although "sad" has most of one name
    assert found.votes["0.png"] == (4, 3)
    assert found.soft["0.png"] == pytest.approx([4 / 7, 3 / 7])
    assert found.labels["6.png"] == "bad"
    assert "54 votes of 'a' are not for a class of the dataset: unclear" in found.notes


def test_votes_leave_all_else_of_a_dataset_as_it_is(folders):
    votes = write(folders.parent / "votes.csv", ("file", "cat", "dog"), [("cat/0.png", 2, 0)])
    prepare(folders, votes)
    plain = folders.parent / "plain"
    words = ["images", folders, "--out", plain, "--image-size", SIDE, "--no-near-duplicates"]
    assert main([*map(str, words), "--min-per-class", "3"]) == 0
    with_votes, without = (
        pq.read_table(place / "images.parquet") for place in (folders.parent / "out", plain)
    )
    assert set(with_votes.column_names) - set(without.column_names) == {
        "votes_cat", "votes_dog", "soft_label",
    }  # fmt: skip
    assert with_votes.select(without.column_names).equals(without)
    assert json.loads((plain / "manifest.json").read_text())["details"]["notes"] == []


def voted(tmp_path, names, header, rows, *, labels=(), classes=CLASSES, **about):
    """Return the records of pictures, which have no ``labels`` by default, after the votes."""
    votes = write(tmp_path / "votes.csv", header, rows)
    labels = labels or [""] * len(names)
    records = [
        Record(name=name, shown=name, label=label, picture=None)
        for name, label in zip(names, labels, strict=True)
    ]
    source = Source(name="pets", path=tmp_path, votes=votes, **about)
    file = SourcesFile(sources=(source,), **({"classes": classes} if classes else {}))
    found, _ = with_votes(Found(records=records), source, file, Rejections(may_skip=False))
    return found.records


def test_votes_are_for_the_picture_that_shares_most_folders_with_the_row(tmp_path):
    rows = [("old/new/1.png", 3, 0), ("1.png", 0, 2)]
    records = voted(tmp_path, ["new/1.png", "1.png"], ("file", "cat", "dog"), rows)
    assert [record.votes["cat"] for record in records] == [3, 0]
    with pytest.raises(BadInputError, match="but 2 pictures have this name"):
        voted(tmp_path, ["a/new/1.png", "new/1.png"], ("file", "cat", "dog"), [("1.png", 3, 0)])


def test_a_column_with_the_name_of_a_label_does_not_make_rows_of_votes_counts(tmp_path):
    rows = [("1.png", "cat", "x"), ("1.png", "dog", "y"), ("1.png", "cat", "z")]
    (record,) = voted(tmp_path, ["1.png"], ("file", "label", "cat"), rows)
    assert dict(record.votes) == {"cat": 2, "dog": 1}
    assert record.label == "cat"


def test_joined_classes_get_the_sum_and_the_name_with_most_votes(tmp_path):
    header, row = ("file", "lion", "tiger", "dog"), ("1.png", 2, 3, 4)
    joined = {"lion": "cat", "tiger": "cat", "dog": "dog"}
    (record,) = voted(tmp_path, ["1.png"], header, [row], map=joined)
    assert record.label == "tiger"


TWO = ("1.png", "2.png")
COUNTS = [("1.png", 3, 1), ("2.png", "2.0", 4)]


@pytest.mark.parametrize(
    ("labels", "classes", "about", "wanted"),
    [
        (("all", "all"), (), {}, ["cat", "dog"]),  # a single folder that holds all pictures
        (("all", "all"), CLASSES, {}, ["cat", "dog"]),
        (("dog", "dog"), (), {}, ["dog", "dog"]),  # a single class that has votes
        (("cat", "x"), (), {}, ["cat", "x"]),  # one label with votes is enough
        (("dog", "cat"), CLASSES, {}, ["dog", "cat"]),
        (("Dog", "CAT "), (), {"fold_case": True}, ["Dog", "CAT "]),
        (("Dog", "x"), CLASSES, {"fold_case": True}, ["Dog", "x"]),
        (("x", "y"), (), {"map": {"x": "dog", "cat": "cat", "dog": "dog"}}, ["x", "y"]),
        (
            ("X", "y"),
            (),
            {"map": {"x": "a", "cat": "a", "dog": "b"}, "fold_case": True},
            ["X", "y"],
        ),
    ],
)
def test_labels_of_the_source_stay_if_they_are_classes_that_have_votes(
    tmp_path, labels, classes, about, wanted
):
    header = ("file", "cat", "dog")
    records = voted(tmp_path, TWO, header, COUNTS, labels=labels, classes=classes, **about)
    assert [record.label for record in records] == wanted
    assert [dict(record.votes) for record in records] == [
        {"cat": 3, "dog": 1}, {"cat": 2, "dog": 4},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "classes", "about"),
    [
        (("x", "y"), (), {}),
        (("Cat", "Dog"), (), {}),  # case counts unless it is folded
        (("all", "all"), ("all", "bird"), {}),
        (("all", "all"), ("all", *CLASSES), {}),
        (("all", "all"), (), {"map": {"all": "x", "cat": "y", "dog": "z"}}),
    ],
)
def test_votes_for_other_classes_than_the_labels_are_refused(tmp_path, labels, classes, about):
    with pytest.raises(BadInputError, match=r"has votes for .*, but the classes of source 'pets'"):
        voted(
            tmp_path, TWO, ("file", "cat", "dog"), COUNTS, labels=labels, classes=classes, **about
        )


def test_a_word_among_the_votes_of_a_mapped_class_is_refused_though_no_picture_has_its_label(
    tmp_path,
):
    header, row = ("file", "cat", "bird", "remark"), ("1.png", 3, "many", "blurred")
    mapped = {"cat": "cat", "dog": "dog", "bird": "bird"}
    with pytest.raises(BadInputError, match="has 'many' in column 'bird'"):
        voted(tmp_path, TWO, header, [row], labels=("cat", "dog"), classes=(), map=mapped)


def test_spellings_that_are_one_class_get_the_sum_and_the_most_frequent_one(tmp_path):
    header, row = ("file", "dog", "cat", "Cat"), ("1.png", 4, 2, 3)
    (record,) = voted(tmp_path, ["1.png"], header, [row], classes=(), fold_case=True)
    assert record.label == "Cat"
    (record,) = voted(tmp_path, ["1.png"], header, [row], classes=())
    assert record.label == "dog"


@pytest.mark.parametrize("name", ["votes.jsonl", "votes.jsonl.gz", "votes.JSONL.GZ"])
def test_votes_may_be_lines_of_json_packed_or_not(tmp_path, name):
    lines = [{"file": "1.png", "cat": 3, "dog": 0}, {"file": "2.png", "cat": 0, "dog": 2}]
    content = "\n".join(map(json.dumps, lines)).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if "gz" in name.lower() else content)
    records = [Record(name=each, shown=each, label="", picture=None) for each in TWO]
    source = Source(name="pets", path=tmp_path, votes=tmp_path / name)
    file = SourcesFile(sources=(source,), classes=CLASSES)
    found, _ = with_votes(Found(records=records), source, file, Rejections(may_skip=False))
    assert [record.label for record in found.records] == ["cat", "dog"]
