"""The real votes and pictures must give the counts that the study published."""

import csv
import tarfile
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.duplicates import content_hashes
from data_prep.fer2013 import prepare_fer2013
from data_prep.fer_png import picture_key, read_png
from data_prep.places import members
from data_prep.rejections import Rejections
from data_prep.votes import CLASSES, label, read_votes
from tests.fer_factory import write_small_csv, write_small_pngs

PUBLISHED = {"angry": 3954, "bored": 3960, "focused": 4553, "neutral": 3789}
TABLE = {"angry": 3049, "bored": 3962, "focused": 4553, "neutral": 3818}


@pytest.fixture(scope="session")
def real_votes_file(fer_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("votes") / "fer2013new.csv"
    with tarfile.open(fer_data / "fer2013plus.tar.gz") as archive:
        path.write_bytes(archive.extractfile("fer2013plus/fer2013new.csv").read())
    return path


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
def from_pngs(fer_data, tmp_path_factory):
    """The dataset made from the archive: its manifest and its directory."""
    out = tmp_path_factory.mktemp("data") / "from-pngs"
    return prepare_fer2013(images=fer_data / "fer2013plus.tar.gz", out=out), out


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
    steps = [(step["removed"], step["left"]) for step in from_pngs[0].steps]
    assert steps == [(0, 35887), (349, 35538), (79, 35459), (35459 - 16256, 16256)]
    assert from_pngs[0].details["nf_votes"] == {
        "0": 35538, "1": 167, "2": 4, "4": 2, "10": 176,
    }  # fmt: skip
    assert from_pngs[0].details["unknown_votes_where_nf_is_0"] == {
        "0": 23738, "1": 8220, "2": 2526, "3": 751, "4": 224, "5": 55, "6": 18, "7": 3, "8": 3,
    }  # fmt: skip


def test_the_published_rule_gives_the_published_counts(from_pngs):
    assert class_counts(from_pngs[0]) == PUBLISHED
    assert from_pngs[0].images == 16256


def test_the_rule_of_the_table_gives_its_counts(real_votes_file):
    with real_votes_file.open("rb") as stream:
        votes = read_votes(stream, "votes", Rejections()).votes
    clean = votes[(votes[:, 9] == 0) & (votes[:, 8] < 5)]
    labels = label(clean, "table")
    assert dict(zip(CLASSES, np.bincount(labels[labels >= 0]).tolist(), strict=True)) == TABLE


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


def test_csv_and_pngs_of_real_rows_give_one_fingerprint(fer_data, real_votes_file, tmp_path):
    """One row in 30, each row without a picture among the first 3,000, each name in two rows."""
    rows = [
        row
        for number, row in enumerate(read_votes_rows(real_votes_file))
        if number % 30 == 0
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
    for member in members(fer_data / "fer2013plus.tar.gz", Rejections()):
        if (key := picture_key(member)) in wanted:
            pictures[key] = read_png(member).pixels
            path = tmp_path / "pngs" / member.path.parent.name / member.path.name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.frombytes("L", (48, 48), pictures[key].tobytes()).save(path)
    write_kaggle_csv(tmp_path / "icml_face_data.csv", rows, pictures)
    from_csv, from_pngs = (
        prepare_fer2013(images=tmp_path / images, votes=votes, out=tmp_path / f"from-{images}")
        for images in ("icml_face_data.csv", "pngs")
    )
    assert from_csv.images > 500
    assert from_csv.fingerprint == from_pngs.fingerprint


@pytest.mark.long
def test_csv_and_pngs_give_one_fingerprint(from_pngs, real_csv, real_votes_file, tmp_path):
    manifest = prepare_fer2013(images=real_csv, votes=real_votes_file, out=tmp_path / "from-csv")
    assert manifest.fingerprint == from_pngs[0].fingerprint


def test_grouped_leaves_no_copy_on_two_sides(from_pngs):
    assert from_pngs[0].duplicates["across_splits"] == 0
    assert from_pngs[0].duplicates["groups"] > 900  # 458 of byte-identical pictures alone
    counts = from_pngs[0].counts
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        for name, total in PUBLISHED.items():
            assert counts[split][name] == pytest.approx(share * total, abs=1)


def test_real_pictures_that_are_byte_identical_have_one_hash_and_one_group(from_pngs):
    _, out = from_pngs
    table = pq.read_table(out / "images.parquet", columns=["content_hash", "duplicate_group"])
    copies = table.to_pandas().groupby("content_hash")["duplicate_group"].agg(["size", "nunique"])
    assert (copies["nunique"] == 1).all()
    assert ((copies["size"] > 1).sum(), (copies["size"] - 1).sum()) == (458, 559)


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
def test_surplus_copies_among_all_pictures(real_pictures):
    hashes = content_hashes(np.stack(list(real_pictures.values())))
    assert len(hashes) == 35710
    assert len(hashes) - len(set(hashes)) == 1840


def test_no_group_of_real_pictures_runs_away(from_pngs):
    """The largest heap of real copies has 21; a chain of chance likenesses would be larger."""
    _, out = from_pngs
    groups = pq.read_table(out / "images.parquet", columns=["duplicate_group"])
    assert np.bincount(groups["duplicate_group"].to_numpy()).max() <= 30


def test_every_row_left_out_is_listed(from_pngs):
    _, out = from_pngs
    with (out / "rejected.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    kept = pq.read_table(out / "images.parquet", columns=["image_id"])["image_id"].to_pylist()
    assert len(rejected) + len(kept) == 35887
    assert not {row["image_id"] for row in rejected} & set(kept)
    assert kept[:2] == ["fer2013/00000", "fer2013/00003"]


@pytest.mark.parametrize("layout", ["folder", "zip of csv", "tar of csv", "tar.gz of pngs"])
def test_every_layout_gives_one_fingerprint(tmp_path, layout):
    pictures, votes = write_small_csv(tmp_path / "csv")
    pngs = write_small_pngs(tmp_path / "png")
    expected = prepare_fer2013(images=pictures, votes=votes, out=tmp_path / "expected")
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
    found = prepare_fer2013(images=images, out=tmp_path / "out")
    assert found.fingerprint == expected.fingerprint


def test_a_link_that_stays_inside_a_tar_is_followed(tmp_path):
    pngs = write_small_pngs(tmp_path / "png")
    expected = prepare_fer2013(images=pngs, out=tmp_path / "expected")
    picture = pngs / "FER2013Train/fer0000003.png"
    picture.rename(pngs / "original.png")
    picture.symlink_to("../original.png")
    with tarfile.open(tmp_path / "fer.tar", "w") as archive:
        archive.add(pngs, "fer")
    found = prepare_fer2013(images=tmp_path / "fer.tar", out=tmp_path / "out")
    assert found.fingerprint == expected.fingerprint
