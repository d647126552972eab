"""The real votes and pictures must give the counts that the study published."""

import csv
import shutil
import subprocess
import tarfile
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep import writer
from data_prep.fer2013 import prepare_fer2013
from data_prep.fer_png import picture_key, read_png
from data_prep.fingerprint import content_hashes
from data_prep.manifest import DatasetManifest
from data_prep.places import members
from data_prep.reader import read_dataset
from data_prep.rejections import Rejections
from data_prep.splits import split_dataset
from data_prep.votes import CLASSES, VOTE_NAMES, label, read_votes, soft_labels
from tests.support.fer_factory import read_rows, write_rows, write_small_csv, write_small_pngs

PUBLISHED = {"angry": 3954, "bored": 3960, "focused": 4553, "neutral": 3789}
TABLE = {"angry": 3049, "bored": 3962, "focused": 4553, "neutral": 3818}
PART = ("0.png", "5.png")
"""How the names of a fifth of the pictures end."""


@pytest.fixture(scope="session")
def real_part(fer_data, made_once):
    """All votes, and the pictures of ``PART`` and those whose names are in two rows."""

    def make(folder):
        wanted = [
            *(f"*/{name}" for name in NAMES_IN_TWO_ROWS),
            *(f"*{end}" for end in PART),
            "*.csv",
        ]
        command = ["tar", "-xzf", fer_data / "fer2013plus.tar.gz", "-C", folder, "--wildcards"]
        subprocess.run([*command, *wanted], check=True)

    return made_once("fer2013-part", make) / "fer2013plus"


@pytest.fixture(scope="session")
def real_votes_file(real_part):
    return real_part / "fer2013new.csv"


@pytest.fixture(scope="session")
def real_pictures(fer_data):
    """Every picture of the archive: (Usage, name) → 2,304 gray values."""
    found = {}
    for member in members(fer_data / "fer2013plus.tar.gz", Rejections()):
        key = picture_key(member)
        if key is not None:
            found[key] = read_png(member).pixels
    return found


@pytest.fixture(scope="session")
def real_csv(real_votes_file, real_pictures, tmp_path_factory):
    path = tmp_path_factory.mktemp("kaggle") / "icml_face_data.csv"
    write_kaggle_csv(path, read_votes_rows(real_votes_file), real_pictures)
    return path


@pytest.fixture(scope="session")
def all_from_pngs(fer2013_dataset):
    """The dataset made from the archive: its manifest and its directory."""
    return DatasetManifest.read(fer2013_dataset), fer2013_dataset


@pytest.fixture(scope="session")
def part_from_pngs(real_part, real_votes_file, made_once):
    """The same of the part's pictures and of each row without one among the first 3,000."""

    def make(folder):
        header, *rows = read_rows(real_votes_file)
        part = [
            row
            for number, row in enumerate(rows)
            if row[1].endswith(PART)
            or row[1] in NAMES_IN_TWO_ROWS
            or (number < 3000 and not row[1])
        ]
        write_rows(folder / "votes.csv", [header, *part])
        prepare_fer2013(images=real_part, votes=folder / "votes.csv", out=folder / "data")

    out = made_once("fer2013-part-from-pngs", make) / "data"
    return DatasetManifest.read(out), out


@pytest.fixture(scope="session", params=["part", pytest.param("all", marks=pytest.mark.long)])
def from_pngs(request):
    """Manifest and directory of a fifth of the real pictures or of all, and what is known."""
    return *request.getfixturevalue(f"{request.param}_from_pngs"), FACTS[request.param]


FACTS = {
    "part": {
        "steps": [(0, 7166), (62, 7104), (17, 7087), (3796, 3291)],
        "nf_votes": {"0": 7104, "1": 44, "2": 2, "4": 1, "10": 15},
        "unknown_votes": {
            "0": 4730, "1": 1668, "2": 520, "3": 123, "4": 46, "5": 13, "6": 4,
        },
        "classes": {"angry": 808, "bored": 761, "focused": 959, "neutral": 763},
        "least_groups": 100,
        "copies": (25, 28),
        "largest_group": 8,
        "first": ["fer2013/00000", "fer2013/00002"],
    },
    "all": {
        "steps": [(0, 35887), (349, 35538), (79, 35459), (35459 - 16256, 16256)],
        "nf_votes": {"0": 35538, "1": 167, "2": 4, "4": 2, "10": 176},
        "unknown_votes": {
            "0": 23738, "1": 8220, "2": 2526, "3": 751, "4": 224, "5": 55, "6": 18, "7": 3, "8": 3,
        },
        "classes": PUBLISHED,
        "least_groups": 900,  # 458 of byte-identical pictures alone
        "copies": (458, 559),
        "largest_group": 30,  # The largest heap of real copies has 21.
        "first": ["fer2013/00000", "fer2013/00003"],
    },
}  # fmt: skip


def read_votes_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_kaggle_csv(path, votes, pictures):
    """Write ``pictures`` in Kaggle's format, with zeros where a row has none."""
    texts, none = np.arange(256).astype(str), np.zeros(2304, dtype=np.uint8)
    with path.open("w") as file:
        file.write("emotion, Usage, pixels\n")
        for row in votes:
            pixels = pictures.get((row["Usage"], row["Image name"]), none)
            file.write(f"0,{row['Usage']},{' '.join(texts[pixels].tolist())}\n")


def class_counts(manifest):
    return {
        name: sum(counts[name] for counts in manifest.counts.values()) for name in manifest.classes
    }


def test_the_cleaning_steps_remove_what_the_study_removed(from_pngs):
    manifest, _, facts = from_pngs
    assert [(step["removed"], step["left"]) for step in manifest.steps] == facts["steps"]
    assert manifest.details["nf_votes"] == facts["nf_votes"]
    assert manifest.details["unknown_votes_where_nf_is_0"] == facts["unknown_votes"]


def test_the_published_rule_gives_the_published_counts(from_pngs):
    manifest, _, facts = from_pngs
    assert class_counts(manifest) == facts["classes"]
    assert manifest.images == sum(facts["classes"].values())


@pytest.mark.parametrize(("rule", "counts"), [("published", PUBLISHED), ("table", TABLE)])
def test_a_rule_gives_the_counts_of_the_study(real_votes_file, rule, counts):
    with real_votes_file.open("rb") as stream:
        votes = read_votes(stream, "votes", Rejections()).votes
    clean = votes[(votes[:, 9] == 0) & (votes[:, 8] < 5)]
    labels = label(clean, rule)
    assert dict(zip(CLASSES, np.bincount(labels[labels >= 0]).tolist(), strict=True)) == counts


def test_the_votes_file_is_what_it_is_said_to_be(real_votes_file):
    with real_votes_file.open("rb") as stream:
        table = read_votes(stream, "votes", Rejections())
    assert len(table.votes) == 35887
    assert np.bincount(table.votes.sum(axis=1)).tolist() == [0] * 9 + [1, 35886]
    unnamed = table.image_names == ""
    assert unnamed.sum() == 173
    assert (table.votes[unnamed, 9] == 10).all()
    names, counts = np.unique(table.image_names[~unnamed], return_counts=True)
    assert set(names[counts == 2]) == NAMES_IN_TWO_ROWS


NAMES_IN_TWO_ROWS = {"fer0006953.png", "fer0008403.png", "fer0011785.png", "fer0033120.png"}


def test_csv_and_pngs_of_real_rows_give_one_fingerprint(real_part, real_votes_file, tmp_path):
    """A row in 30, each row without a picture among the first 3,000, each name in two rows."""
    rows = [
        row
        for number, row in enumerate(read_votes_rows(real_votes_file))
        if (number % 6 == 0 and row["Image name"].endswith(PART))
        or (number < 3000 and not row["Image name"])
        or row["Image name"] in NAMES_IN_TWO_ROWS
    ]
    votes = tmp_path / "fer2013new.csv"
    with votes.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    wanted = {(row["Usage"], row["Image name"]) for row in rows}
    pictures = {}
    for member in members(real_part, Rejections()):
        if (key := picture_key(member)) in wanted:
            pictures[key] = read_png(member).pixels
            path = tmp_path / "pngs" / member.path
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(real_part / member.path, path)
    write_kaggle_csv(tmp_path / "icml_face_data.csv", rows, pictures)
    from_csv, from_pngs = (
        prepare_fer2013(images=tmp_path / images, votes=votes, out=tmp_path / f"from-{images}")
        for images in ("icml_face_data.csv", "pngs")
    )
    assert from_csv.images > 500
    assert from_csv.fingerprint == from_pngs.fingerprint


@pytest.mark.long
def test_csv_and_pngs_give_one_fingerprint(all_from_pngs, real_csv, real_votes_file, tmp_path):
    manifest = prepare_fer2013(images=real_csv, votes=real_votes_file, out=tmp_path / "from-csv")
    assert manifest.fingerprint == all_from_pngs[0].fingerprint


def test_grouped_leaves_no_copy_on_two_sides(from_pngs):
    manifest, _, facts = from_pngs
    assert manifest.duplicates["across_splits"] == 0
    assert manifest.duplicates["groups"] > facts["least_groups"]
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        for name, total in facts["classes"].items():
            assert manifest.counts[split][name] == pytest.approx(share * total, abs=1)


def test_real_pictures_that_are_byte_identical_have_one_hash_and_one_group(from_pngs):
    _, out, facts = from_pngs
    table = pq.read_table(out / "images.parquet", columns=["content_hash", "duplicate_group"])
    copies = table.to_pandas().groupby("content_hash")["duplicate_group"].agg(["size", "nunique"])
    assert (copies["nunique"] == 1).all()
    assert ((copies["size"] > 1).sum(), (copies["size"] - 1).sum()) == facts["copies"]


@pytest.mark.long
def test_random_puts_copies_on_both_sides(fer_data, tmp_path):
    manifest = prepare_fer2013(
        images=fer_data / "fer2013plus.tar.gz", out=tmp_path / "random",
        split="random", near_duplicates=False,
    )  # fmt: skip
    byte_identical = {key: manifest.duplicates[key] for key in ("groups", "surplus")}
    assert byte_identical == {"groups": 458, "surplus": 559}
    assert manifest.duplicates["across_splits"] > 100


@pytest.mark.long
def test_datasets_of_the_first_releases_can_be_made_again(fer_data, tmp_path):
    """Ids of trials depend on this fingerprint."""
    manifest = prepare_fer2013(
        images=fer_data / "fer2013plus.tar.gz", out=tmp_path / "v1", duplicates="v1"
    )
    assert manifest.fingerprint == (
        "0e01ac445a190cb8826d814c7bc51c90c61e448c610e8b8b12368619eec10b15"
    )


@pytest.mark.long
def test_surplus_copies_among_all_pictures(real_pictures):
    hashes = content_hashes(np.stack(list(real_pictures.values())))
    assert len(hashes) == 35710
    assert len(hashes) - len(set(hashes)) == 1840


def test_no_group_of_real_pictures_runs_away(from_pngs):
    """A chain of chance likenesses would be larger."""
    _, out, facts = from_pngs
    groups = pq.read_table(out / "images.parquet", columns=["duplicate_group"])
    assert np.bincount(groups["duplicate_group"].to_numpy()).max() <= facts["largest_group"]


def test_every_row_left_out_is_listed(from_pngs):
    _, out, facts = from_pngs
    with (out / "rejected.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    kept = pq.read_table(out / "images.parquet", columns=["image_id"])["image_id"].to_pylist()
    assert len(rejected) + len(kept) == facts["steps"][0][1]
    assert not {row["image_id"] for row in rejected} & set(kept)
    assert kept[:2] == facts["first"]


SMALL = 240
"""Rows of a set with votes made by hand; its pictures are noise."""


def small_votes():
    """Every clause and every cleaning step gets rows; Training is two thirds of them."""
    kinds = [
        {"anger": 4, "neutral": 6},  # angry as published, not by the table
        {"anger": 8, "sadness": 2},
        {"sadness": 6, "neutral": 4},
        {"neutral": 9, "happiness": 1},
        {"neutral": 8, "anger": 1, "sadness": 1},
        {"neutral": 6, "unknown": 4},  # focused: four unknown votes are few enough
        {"neutral": 5, "unknown": 5},
        {"neutral": 9, "NF": 1},
        {"unknown": 6, "NF": 4},
        {"happiness": 10},
    ]
    rows = [kinds[row % 10] for row in range(SMALL)]
    return np.array([[row.get(name, 0) for name in VOTE_NAMES] for row in rows])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Pictures and votes; the votes of row 30 add up to 11."""
    folder = tmp_path_factory.mktemp("small") / "my faces"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (SMALL, 2304))
    pixels[50] = pixels[31]  # both are angry
    usages = ["Training" if row % 3 else "PublicTest" for row in range(SMALL)]
    votes = small_votes()
    votes[30, 0] += 1
    rows = [
        (usage, " ".join(map(str, one))) for usage, one in zip(usages, pixels.tolist(), strict=True)
    ]
    write_rows(folder / "fer2013.csv", [("Usage", "pixels"), *rows])
    rows = [(usage, "x.png", *one) for usage, one in zip(usages, votes.tolist(), strict=True)]
    write_rows(folder / "votes.csv", [("Usage", "Image name", *VOTE_NAMES), *rows])
    return folder, pixels.astype(np.uint8)


def prepare_small(small, out, **more):
    folder, _ = small
    return prepare_fer2013(
        images=folder / "fer2013.csv", votes=folder / "votes.csv", out=out,
        skip_bad=True, **{"near_duplicates": False, **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def by_table(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("by table") / "my set"
    groups = out.parent / "my groups.csv"
    groups.write_text("image_id,age\nfer2013/00001,old\nfer2013/00009,old\n")
    return prepare_small(small, out, rule="table", split="random", seed=9, groups=groups), out


def test_each_cleaning_step_counts_what_the_steps_before_have_left(small, by_table, tmp_path):
    """Of 24 rows of each kind; a row with votes for NF and unknown goes for NF."""
    rule = "no class under the rule"
    for manifest, removed in (
        (by_table[0], (1, 48, 24, 47)),
        (prepare_small(small, tmp_path / "out"), (1, 48, 24, 24)),
    ):
        assert [step["step"] for step in manifest.steps] == [
            "bad input", "NF votes > 0", "unknown votes > 4", f"{rule} {manifest.label_rule!r}",
        ]  # fmt: skip
        assert tuple(step["removed"] for step in manifest.steps) == removed
        left = SMALL - np.cumsum(removed)
        assert [step["left"] for step in manifest.steps] == left.tolist()
        assert manifest.images == left[-1]


def test_pictures_labels_and_votes_are_those_of_their_rows(small, by_table):
    dataset = read_dataset(by_table[1])
    rows = np.array([int(one.removeprefix("fer2013/")) for one in dataset.image_ids])
    wanted = [row for row in range(SMALL) if row % 10 in (1, 2, 3, 4, 5)]
    assert rows.tolist() == wanted
    np.testing.assert_array_equal(dataset.pixels.reshape(-1, 2304), small[1][rows])
    names = {1: "angry", 2: "bored", 3: "focused", 4: "neutral", 5: "focused"}
    assert dataset.columns["label"].tolist() == [names[row % 10] for row in wanted]
    assert set(dataset.columns["source"]) == {"fer2013"}
    table = pq.read_table(by_table[1] / "images.parquet")
    for place, name in enumerate(VOTE_NAMES):
        assert table[f"votes_{name}"].to_pylist() == small_votes()[rows, place].tolist()
    labels = label(small_votes()[rows], "table")
    np.testing.assert_array_equal(
        dataset.soft_labels, soft_labels(small_votes()[rows], labels, "table")
    )


def test_what_the_user_decides_reaches_the_dataset(by_table):
    manifest, out = by_table
    dataset = read_dataset(out)
    assert (manifest.name, manifest.label_rule) == ("my set", "table")
    assert (manifest.split_method, manifest.split_seed) == ("random", 9)
    assert manifest.details["near_duplicates"] is False
    splits, folds = split_dataset(
        dataset.labels, dataset.duplicate_groups, classes=CLASSES, method="random", seed=9
    )
    np.testing.assert_array_equal(dataset.splits, splits)
    np.testing.assert_array_equal(dataset.folds, folds)
    assert dataset.columns["age"].tolist() == ["old", *[""] * (len(folds) - 1)]


def test_rows_left_out_are_listed_with_the_step_and_the_row_of_the_votes(by_table):
    with (by_table[1] / "rejected.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    assert rejected[0] == {
        "image_id": "fer2013/00030", "file": "votes.csv", "row": "30",
        "reason": "the votes add up to neither 9 nor 10",
    }  # fmt: skip
    reasons = {
        7: "NF votes > 0", 8: "NF votes > 0", 6: "unknown votes > 4",
        0: "no class under the rule 'table'", 9: "no class under the rule 'table'",
    }  # fmt: skip
    found = {int(one["row"]): (one["image_id"], one["file"], one["reason"]) for one in rejected[1:]}
    assert found == {
        row: (f"fer2013/{row:05d}", "votes.csv", reasons[row % 10])
        for row in range(SMALL)
        if row % 10 in reasons and row != 30
    }


def test_details_count_votes_of_sound_rows_and_labels_of_pictures_kept(by_table):
    details = by_table[0].details
    assert details["rows"] == 239
    assert details["nf_votes"] == {"0": 191, "1": 24, "4": 24}
    assert details["unknown_votes_where_nf_is_0"] == {"0": 143, "4": 24, "5": 24}
    assert details["labels"] == {"angry": 24, "bored": 24, "focused": 48, "neutral": 24}
    assert details["group_columns"] == {
        "unknown_ids": 1, "pictures_without": 119, "empty_cells": {},
    }  # fmt: skip


def test_near_copies_are_looked_for_unless_told_otherwise(small, tmp_path, monkeypatch):
    asked = []
    plain = writer.duplicate_groups

    def note(pixels, _hashes, *, near, version):
        asked.append((near, version))
        return plain(pixels, near=False)

    monkeypatch.setattr(writer, "duplicate_groups", note)
    folder, _ = small
    files = {"images": folder / "fer2013.csv", "votes": folder / "votes.csv", "skip_bad": True}
    manifest = prepare_fer2013(**files, out=tmp_path / "a", name="other name")
    prepare_fer2013(**files, out=tmp_path / "b", near_duplicates=False)
    prepare_fer2013(**files, out=tmp_path / "c", duplicates="v1")
    assert asked == [(True, "v2"), (False, "v2"), (True, "v1")]
    assert manifest.details["duplicate_search"] == "v2"
    assert manifest.name == "other name"
    assert (manifest.label_rule, manifest.split_method, manifest.split_seed) == (
        "published", "grouped", 0,
    )  # fmt: skip


def test_an_output_folder_in_use_is_told_of_before_anything_is_read(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="already holds something else"):
        prepare_fer2013(images=tmp_path / "nowhere.csv", out=tmp_path)


@pytest.fixture(scope="module")
def small_layouts(tmp_path_factory):
    """One set of drawn faces as CSV and as PNGs, and its fingerprint."""
    folder = tmp_path_factory.mktemp("small layouts")
    pictures, votes = write_small_csv(folder / "csv")
    pngs = write_small_pngs(folder / "png")
    manifest = prepare_fer2013(
        images=pictures, votes=votes, out=folder / "out", near_duplicates=False
    )
    return pictures, votes, pngs, manifest.fingerprint


@pytest.mark.parametrize("layout", ["folder", "zip of csv", "tar of csv", "tar.gz of pngs"])
def test_every_layout_gives_one_fingerprint(tmp_path, layout, small_layouts):
    pictures, votes, pngs, fingerprint = small_layouts
    images = pngs
    if layout == "zip of csv":
        images = tmp_path / "kaggle.zip"
        with zipfile.ZipFile(images, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(pictures, "deep/fer2013.csv")
            archive.write(votes, "fer2013new.csv")
    elif layout != "folder":
        images = tmp_path / f"fer.{layout.split()[0]}"
        with tarfile.open(images, "w:gz" if layout.startswith("tar.gz") else "w") as archive:
            archive.add(pngs if "pngs" in layout else pictures.parent, "deep")
    found = prepare_fer2013(images=images, out=tmp_path / "out", near_duplicates=False)
    assert found.fingerprint == fingerprint


def test_a_link_that_stays_inside_a_tar_is_followed(tmp_path, small_layouts):
    *_, pngs, fingerprint = small_layouts
    pngs = shutil.copytree(pngs, tmp_path / "png")
    picture = pngs / "FER2013Train/fer0000003.png"
    picture.rename(pngs / "original.png")
    picture.symlink_to("../original.png")
    with tarfile.open(tmp_path / "fer.tar", "w") as archive:
        archive.add(pngs, "fer")
    found = prepare_fer2013(
        images=tmp_path / "fer.tar", out=tmp_path / "out", near_duplicates=False
    )
    assert found.fingerprint == fingerprint
