"""Splits that sources come with: kept as they are, completed from train, their leaks told."""

import csv

import numpy as np
import pytest
import yaml
from PIL import Image

from data_prep.__main__ import main
from data_prep.fer2013 import OWN_SPLIT_UNUSED, prepare_fer2013
from data_prep.folders import prepare_folders
from data_prep.given import (
    Choice,
    OwnSplit,
    about_given,
    absent_classes,
    choose_split,
    copies_across,
)
from data_prep.manifest import DatasetManifest
from data_prep.reader import read_dataset
from data_prep.splits import split_dataset
from tests.support.fer_factory import read_rows, write_small_csv

SIDE = 8
CLASSES = ("cat", "dog")


def put(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def official(tmp_path):
    """Two classes with 40 training and 10 test pictures each; three test pictures leak.

    test/cat/0 is train/cat/0, test/cat/1 is train/dog/1, and test/dog/0 is train/dog/0.
    """
    root = tmp_path / "official"
    for place, name in enumerate(CLASSES):
        for number in range(40):
            put(root / "training" / name / f"{number:02}.png", 100 * place + number)
        for number in range(10):
            put(root / "Testing" / name / f"{number:02}.png", 1000 + 100 * place + number)
    for test, train in (("cat/00", "cat/00"), ("cat/01", "dog/01"), ("dog/00", "dog/00")):
        content = (root / "training" / f"{train}.png").read_bytes()
        (root / "Testing" / f"{test}.png").write_bytes(content)
    return root


def prepare(tmp_path, *paths, out="out", **options):
    sources = [{"name": path.name, "path": str(path)} for path in paths]
    values = {"classes": list(CLASSES), "image_size": SIDE, "sources": sources}
    config = tmp_path / "sources.yaml"
    config.write_text(yaml.safe_dump({**values, **options.pop("file", {})}))
    manifest = prepare_folders(config=config, out=tmp_path / out, near_duplicates=False, **options)
    return manifest, tmp_path / out


def test_an_official_split_is_kept_without_a_wish_and_said(tmp_path, official):
    manifest, out = prepare(tmp_path, official)
    dataset = read_dataset(out)
    assert manifest.split_method == "given"
    of_file = ["test" if "/Testing/" in one else "train" for one in dataset.image_ids.tolist()]
    ours = ["test" if split == "test" else "train" for split in dataset.splits.tolist()]
    assert ours == of_file
    assert manifest.details["notes"] == [
        "the source's own train and test are kept (split given); val is drawn from train; "
        "split grouped would split all pictures again"
    ]
    np.testing.assert_array_equal(dataset.folds < 0, dataset.splits == "test")


def test_a_missing_val_is_dealt_from_train_in_the_usual_ratio_and_whole_groups(tmp_path, official):
    for number in range(20, 30):  # Pairs of copies inside train.
        content = (official / "training" / "cat" / f"{number}.png").read_bytes()
        (official / "training" / "cat" / f"{number + 10}.png").write_bytes(content)
    manifest, out = prepare(tmp_path, official)
    assert manifest.counts["val"] == {"cat": 7, "dog": 7}  # 15 of 85 parts of 40
    assert manifest.details["dealt_splits"] == ["val"]
    dataset = read_dataset(out)
    inside = dataset.splits != "test"
    groups = dataset.duplicate_groups[inside]
    pairs = set(zip(groups.tolist(), dataset.splits[inside].tolist(), strict=True))
    assert len(pairs) == len(set(groups.tolist())) == 70
    again, _ = prepare(tmp_path, official, out="again")
    other, _ = prepare(tmp_path, official, out="other", seed=1)
    assert again.fingerprint == manifest.fingerprint != other.fingerprint


def test_a_missing_test_is_dealt_too_and_said(tmp_path, official):
    (official / "Testing").rename(official / "dev")
    manifest, _ = prepare(tmp_path, official)
    assert manifest.counts["val"] == {"cat": 10, "dog": 10}
    assert manifest.counts["test"] == {"cat": 7, "dog": 7}
    assert "test is drawn from train" in manifest.details["notes"][0]


def test_copies_across_the_split_are_counted_and_listed_and_stay(tmp_path, official, capsys):
    manifest, out = prepare(tmp_path, official)
    assert manifest.duplicates == {"groups": 3, "surplus": 3, "across_splits": 3}
    copies = manifest.details["copies_across_splits"]
    assert (copies["groups"], copies["groups_of_several_labels"]) == (3, 1)
    assert copies["pictures"]["test"] == 3
    with (out / "copies_across_splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_group = {}
    for row in rows:
        by_group.setdefault(row["duplicate_group"], set()).add((row["image_id"], row["label"]))
    assert sorted(map(sorted, by_group.values())) == [
        [("official/Testing/cat/00.png", "cat"), ("official/training/cat/00.png", "cat")],
        [("official/Testing/cat/01.png", "cat"), ("official/training/dog/01.png", "dog")],
        [("official/Testing/dog/00.png", "dog"), ("official/training/dog/00.png", "dog")],
    ]
    assert main(["inspect", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 groups of duplicates lie in several of the given splits, 1 of them with" in printed


def test_the_split_of_before_is_there_when_asked_for(tmp_path, official):
    grouped, out = prepare(tmp_path, official, split="grouped")
    dataset = read_dataset(out)
    splits, folds = split_dataset(
        dataset.labels, dataset.duplicate_groups, classes=CLASSES, method="grouped", seed=0
    )
    np.testing.assert_array_equal(dataset.splits, splits)
    np.testing.assert_array_equal(dataset.folds, folds)
    assert grouped.duplicates["across_splits"] == 0
    assert not (out / "copies_across_splits.csv").exists()
    by_file, _ = prepare(tmp_path, official, out="file", file={"split": "grouped"})
    assert by_file.fingerprint == grouped.fingerprint
    flag_wins, _ = prepare(tmp_path, official, out="flag", file={"split": "grouped"}, split="given")
    assert flag_wins.split_method == "given"


def test_a_source_without_a_split_deals_all_anew_and_warns(tmp_path, official):
    for number in range(30):
        put(tmp_path / "more" / "cat" / f"{number}.png", 5000 + number)
    manifest, _ = prepare(tmp_path, official, tmp_path / "more")
    assert manifest.split_method == "grouped"
    assert manifest.details["warnings"] == [
        "source 'official' has an official split, but source 'more' has no splits of its own, "
        "so all pictures are split again and official test pictures may be used for training"
    ]
    with pytest.raises(ValueError, match="'more' has no splits of its own"):
        prepare(tmp_path, official, tmp_path / "more", out="b", split="given")


def own(*given, source="x", is_official=True):
    ids = [f"{source}/{row}" for row in range(len(given))]
    return OwnSplit(source=source, ids=ids, given=np.array(given), is_official=is_official)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (("train", "", "test"), "has 1 pictures in none of train, val and test, such as x/1"),
        (("val", "test"), "has only val and test"),
    ],
)
def test_a_split_that_cannot_be_kept_is_refused_or_dealt_anew(given, fault):
    with pytest.raises(ValueError, match=f"split given: source 'x' {fault}; use split grouped"):
        choose_split("given", [own(*given)])
    choice = choose_split(None, [own(*given)])
    assert choice.method == "grouped"
    assert fault in choice.warnings[0]


def test_train_alone_is_no_split():
    assert choose_split(None, [own("train", "train")]).method == "grouped"
    assert choose_split(None, [own("train", "train")]).warnings == ()
    with pytest.raises(ValueError, match="split given: source 'x' has only train; use split"):
        choose_split("given", [own("train", "train")])


def test_the_split_of_a_prepared_dataset_is_kept_only_if_it_was_official_or_is_asked_for():
    ours = own("train", "val", "test", is_official=False)
    assert choose_split(None, [ours]) == Choice(method="grouped")
    assert choose_split("given", [ours]).method == "given"
    both = choose_split(None, [own("train", "val", "test", source="y"), ours])
    assert both.method == "grouped"
    assert both.warnings[0].startswith(
        "source 'y' has an official split, but source 'x' has no official split, so all pictures"
    )
    theirs = own("train", "val", "test")
    assert choose_split(None, [theirs]).method == "given"
    assert choose_split("random", [theirs]).method == "random"


def test_official_splits_of_several_sources_are_kept_together_and_told_in_one_sentence():
    """Only a split that no source has is drawn from train."""
    choice = choose_split(None, [own("val", "train"), own("test", "train", source="y")])
    assert (choice.method, choice.warnings) == ("given", ())
    assert choice.notes == (
        "the source's own train, val and test are kept (split given); "
        "split grouped would split all pictures again",
    )


def test_a_class_that_a_given_split_lacks_is_told(tmp_path, official):
    for file in (official / "Testing" / "dog").iterdir():
        file.unlink()
    manifest, _ = prepare(tmp_path, official)
    assert "test has no picture of 'dog'" in manifest.details["warnings"]


def test_classes_that_splits_lack_are_told_in_the_order_of_both():
    splits = np.array(["test", "train", "train", "train"])
    told = list(absent_classes(splits, np.array([1, 1, 2, 0]), ("z", "m", "a")))
    assert told == ["val has no picture of 'z', 'm', 'a'", "test has no picture of 'z', 'a'"]


def test_groups_across_splits_are_counted_with_their_labels_and_pictures():
    """Group 0 has two labels, group 1 one, and group 2 lies in train alone."""
    splits = np.array(["train", "val", "test", "train", "train", "train", "train"])
    groups, labels = np.array([0, 0, 1, 1, 1, 2, 2]), np.array([2, 1, 1, 1, 1, 0, 1])
    given = np.where(splits == "val", "train", splits)
    assert about_given(splits, given, groups, labels) == {
        "dealt_splits": ["val"],
        "copies_across_splits": {
            "groups": 2,
            "groups_of_several_labels": 1,
            "pictures": {"train": 3, "val": 1, "test": 1},
        },
    }


def test_copies_between_val_and_test_cross_too():
    splits = np.array(["val", "train", "test", "train", "train"])
    assert copies_across(splits, np.array([1, 0, 1, 2, 0])).tolist() == [0, 2]
    splits = np.array(["train", "val", "test", "train"])
    assert copies_across(splits, np.array([1, 0, 1, 0])).tolist() == [1, 3, 0, 2]


def test_fer2013_takes_usage_for_the_split(tmp_path):
    pictures, votes = write_small_csv(tmp_path / "small")
    out = tmp_path / "out"
    arguments = ["fer2013", "--images", str(pictures), "--votes", str(votes), "--out", str(out)]
    assert main([*arguments, "--split", "given", "--no-near-duplicates"]) == 0
    dataset = read_dataset(out)
    usages = [row[2] for row in read_rows(pictures)[1:]]
    wanted = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    rows = [int(one.removeprefix("fer2013/")) for one in dataset.image_ids.tolist()]
    assert dataset.splits.tolist() == [wanted[usages[row]] for row in rows]
    assert DatasetManifest.read(out).details["dealt_splits"] == []
    assert "notes" not in DatasetManifest.read(out).details
    files = {"images": pictures, "votes": votes, "near_duplicates": False}
    plain = prepare_fer2013(**files, out=tmp_path / "plain")
    assert plain.split_method == "grouped"
    assert plain.details["notes"] == [OWN_SPLIT_UNUSED]
    asked = prepare_fer2013(**files, out=tmp_path / "asked", split="grouped")
    assert "notes" not in asked.details
    assert asked.fingerprint == plain.fingerprint
