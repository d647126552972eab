import csv
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from data_prep.__main__ import main
from data_prep.folders import prepare_folders
from data_prep.margins import without_margin
from data_prep.pictures import resize_pixels
from data_prep.reader import read_dataset
from data_prep.sources_file import read_sources
from data_prep.splits import split_dataset
from tests.support.dataset_factory import CLASSES as DATASET_CLASSES
from tests.support.dataset_factory import labelled_images, write_labelled

CLASSES = ["angry", "bored", "focused", "neutral"]
MODES = {"png": "RGBA", "jpg": "CMYK", "bmp": "RGB", "webp": "L"}
PER_CLASS = 30


def framed(pixels, *, scale=2, margin=8):
    """A gray picture enlarged without smoothing, inside a white frame."""
    large = np.kron(pixels, np.ones((scale, scale), dtype=np.uint8))
    return np.pad(large, margin, constant_values=255)


@pytest.fixture(scope="module")
def faces(synthetic_dataset):
    return read_dataset(synthetic_dataset)


@pytest.fixture(scope="module")
def copies(faces, tmp_path_factory):
    """Framed copies of the dataset's pictures in class folders, of several kinds and modes."""
    root = tmp_path_factory.mktemp("copies") / "copies"
    for label, name in enumerate(faces.manifest.classes):
        rows = np.flatnonzero(faces.labels == label)[:PER_CLASS]
        for number, row in enumerate(rows.tolist()):
            suffix = list(MODES)[number % len(MODES)]
            folder = root / ("test" if number % 3 == 0 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(framed(faces.pixels[row])).convert(MODES[suffix])
            picture.save(folder / f"{row}.{suffix}")
    (root / "LICENSE").write_text("free")
    return root


def write_sources(path, *sources, **changes):
    values = {"name": "merged", "classes": CLASSES, "sources": list(sources), **changes}
    path.write_text(yaml.safe_dump(values))
    return path


def prepare(tmp_path, *sources, out="out", skip_bad=False, near_duplicates=True, **changes):
    config = write_sources(tmp_path / "sources.yaml", *sources, **changes)
    options = {"skip_bad": True} if skip_bad else {}  # by default, bad pictures are refused
    manifest = prepare_folders(
        config=config, out=tmp_path / out, near_duplicates=near_duplicates, **options
    )
    return manifest, tmp_path / out


def rejected(directory):
    with (directory / "rejected.csv").open() as file:
        return list(csv.DictReader(file))


def test_pictures_that_an_earlier_source_has_are_left_out_and_told(
    tmp_path, synthetic_dataset, faces, copies
):
    mine = tmp_path / "copies"
    shutil.copytree(copies, mine)
    first = next((mine / "train" / "angry").iterdir())
    first.rename(mine / "train" / "bored" / f"moved{first.suffix}")
    manifest, out = prepare(
        tmp_path,
        {"name": "faces", "dataset": str(synthetic_dataset)},
        {"name": "study", "path": str(mine), "trim_margin": True},
    )
    assert manifest.details["repeated"] == 4 * PER_CLASS
    assert manifest.details["repeated_with_another_label"] == 1
    assert manifest.images == len(faces.pixels)
    assert manifest.duplicates["across_splits"] == 0
    rows = [row for row in rejected(out) if row["image_id"]]
    originals = {row["image_id"]: row["reason"].split()[3].rstrip(",") for row in rows}
    right = [
        original == faces.image_ids[int(Path(copy).stem)]
        for copy, original in originals.items()
        if "moved" not in copy
    ]
    assert len(rows) == 4 * PER_CLASS
    assert np.mean(right) > 0.95  # The faces have planted copies of their own, as like as they.
    told = [row["reason"] for row in rows if "labelled" in row["reason"]]
    assert len(told) == 1
    assert "labelled 'angry' there and 'bored' here" in told[0]


def test_the_version_of_the_search_comes_from_the_command_or_the_sources_file(tmp_path):
    write_labelled(tmp_path / "set", labelled_images(columns={}))
    config = write_sources(
        tmp_path / "sources.yaml",
        {"name": "a", "dataset": str(tmp_path / "set")},
        classes=list(DATASET_CLASSES), image_size=8, duplicates="v1",
    )  # fmt: skip
    found = [
        prepare_folders(config=config, out=tmp_path / str(given), duplicates=given)
        for given in (None, "v2")
    ]
    assert [manifest.details["duplicate_search"] for manifest in found] == ["v1", "v2"]
    assert found[0].details["kept_with_another_label"] == []


def test_folder_and_archive_give_the_same_dataset(tmp_path, copies):
    archive = tmp_path / "copies.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(copies, arcname="some/where/copies")
    fingerprints = set()
    for number, path in enumerate((copies, archive)):
        source, out = {"name": "study", "path": str(path)}, f"out{number}"
        manifest, out = prepare(tmp_path, source, out=out, near_duplicates=False)
        fingerprints.add(manifest.fingerprint)
    assert len(fingerprints) == 1
    table = pq.read_table(out / "images.parquet")
    ids = table["image_id"].to_pylist()
    assert all(one.startswith(("study/train/", "study/test/")) for one in ids)
    assert table["subset"].to_pylist() == [one.split("/")[1] for one in ids]
    assert set(table["width"].to_pylist()) == set(table["height"].to_pylist()) == {112}
    with (out / "labels.csv").open() as file:
        labels = {row["image_id"]: row["label"] for row in csv.DictReader(file)}
    assert labels == dict(zip(ids, table["label"].to_pylist(), strict=True))


def test_counts_stand_before_and_after_in_the_manifest_and_on_the_screen(tmp_path, copies, capsys):
    config = write_sources(
        tmp_path / "sources.yaml",
        {"name": "study", "path": str(copies), "limit": {"bored": 22}, "trim_margin": True},
    )
    arguments = ["folders", "--config", str(config), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--no-near-duplicates"]) == 0
    assert main(["inspect", str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr().out
    about = json.loads(printed[printed.index("\n{") :])
    found = {(one["folder"], one["subset"]): one["pictures"] for one in about["details"]["found"]}
    assert found["angry", "train"] == 20
    assert found["angry", "test"] == 10
    assert sum(found.values()) == 4 * PER_CLASS
    assert about["classes"] == {"angry": 30, "bored": 22, "focused": 30, "neutral": 30}
    assert sum(about["details"]["sources"]["study"]["bored"].values()) == 22
    assert {"step": "over the limit of its class", "removed": 8, "left": 112} in about["steps"]
    assert "Found" in printed
    assert "Merged" not in printed, "of one source it would say what the classes say"


def test_classes_are_mapped_and_votes_come_along(tmp_path, synthetic_dataset, faces, copies):
    manifest, out = prepare(
        tmp_path,
        {
            "name": "faces",
            "dataset": str(synthetic_dataset),
            "map": {"angry": "upset", "bored": "calm", "neutral": "calm", "focused": None},
        },
        {"name": "study", "path": str(copies), "map": {"angry": "upset"}},
        classes=["calm", "upset"],
        image_size=24,
        near_duplicates=False,
    )
    merged = read_dataset(out)
    assert merged.pixels.shape[1:] == (24, 24)
    focused = int((faces.labels == 2).sum())
    step = {"step": "mapped to no class", "removed": focused + 3 * PER_CLASS}
    assert step.items() <= manifest.steps[1].items()
    assert len(rejected(out)) == step["removed"] + 1  # and a LICENSE
    assert manifest.details["warnings"][1:] == [
        "'study': 1 file is not a picture of a known kind and not read: 1 without an ending; "
        "rejected.csv lists each",
        "source 'study' has an official split, but source 'faces' has no official split, "
        "so all pictures are split again and official test pictures may be used for training",
    ]
    of = dict(zip(merged.image_ids.tolist(), merged.soft_labels, strict=True))
    row = int(np.flatnonzero(faces.labels == 0)[0])
    angry, bored, focused, neutral = faces.soft_labels[row]
    wanted = np.array([bored + neutral, angry]) / (1 - focused)
    assert np.allclose(of[faces.image_ids[row]], wanted, atol=1e-6)
    certain = [soft for name, soft in of.items() if name.startswith("study/")]
    assert np.array_equal(certain, np.tile([0, 1], (PER_CLASS, 1)))
    assert "votes_anger" in pq.read_schema(out / "images.parquet").names


def test_margins_that_nobody_asked_to_trim_are_warned_of(tmp_path, copies, capsys):
    config = write_sources(tmp_path / "sources.yaml", {"name": "study", "path": str(copies)})
    arguments = ["folders", "--config", str(config), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--no-near-duplicates"]) == 0
    assert "120 of the 120 pictures of 'study' have a margin" in capsys.readouterr().err


def test_a_margin_is_trimmed_without_the_white_in_the_picture():
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 250, (40, 40), dtype=np.uint8)
    assert np.array_equal(without_margin(np.pad(picture, 3, constant_values=255)), picture)
    assert np.array_equal(without_margin(picture), picture)
    assert without_margin(np.zeros((8, 8), dtype=np.uint8)).shape == (8, 8)
    picture[:15] = 255
    assert without_margin(np.pad(picture, 3, constant_values=255)).shape[0] >= 38


BAD = {
    "unknown key": (
        {"sources": [{"name": "a", "path": "x", "trim_margins": True}]},
        "'trim_margin'",
    ),
    "no place": ({"sources": [{"name": "a"}]}, "either dataset"),
    "class unknown": (
        {"sources": [{"name": "a", "path": "x", "map": {"6": "cross"}}]},
        "names the class 'cross'",
    ),
    "twice": ({"sources": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]}, "twice"),
    "too large": ({"image_size": 9999}, "image_size"),
    "no boolean": ({"colour": "yes please"}, "colour: must be true or false, but got 'yes please'"),
    "limit below 0": (
        {"sources": [{"name": "a", "path": "x", "limit": {"angry": -5}}]},
        "sources.0.limit.angry: must be greater than or equal to 0, but got '-5'",
    ),
    "expect below 0": (
        {"sources": [{"name": "a", "path": "x", "expect": {"angry": -5}}]},
        "sources.0.expect.angry: must be greater than or equal to 0, but got '-5'",
    ),
    "no pictures": ({"classes": [*CLASSES, "happy"]}, "0 of 'happy'; give more pictures"),
    "no folder": ({"sources": [{"name": "a", "path": "nowhere"}]}, "nowhere does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_sources_file_is_refused_in_a_line(tmp_path, copies, capsys, case):
    changes, message = BAD[case]
    base = {"sources": [{"name": "a", "path": str(copies)}]}
    config = tmp_path / "sources.yaml"
    config.write_text(yaml.safe_dump({"classes": CLASSES, **base, **changes}))
    out = tmp_path / "out"
    arguments = ["folders", "--config", str(config), "--out", str(out), "--no-near-duplicates"]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": {"angri": "angry"}}, "has angry, bored, focused, neutral"),
        ({"map": {"angry": None}}, "gives no pictures"),
        ({"expect": {"train/angry": 20, "angry": 31}}, "31 pictures of 'angry'"),
    ],
)
def test_a_copy_that_is_not_as_the_file_says_is_refused(tmp_path, copies, changes, message):
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, {"name": "study", "path": str(copies), **changes})
    assert not (tmp_path / "out").exists()


def test_a_complete_copy_is_taken(tmp_path, copies):
    expect = {"angry": 30, "train/angry": 20, "test/angry": 10}
    source = {"name": "study", "path": str(copies), "expect": expect}
    manifest, _ = prepare(tmp_path, source, near_duplicates=False)
    assert manifest.images == 4 * PER_CLASS


def test_a_picture_in_no_class_folder_is_left_out_and_told(tmp_path, copies):
    shutil.copytree(copies, tmp_path / "mine")
    Image.new("L", (48, 48)).save(tmp_path / "mine" / "stray.png")
    source = {"name": "study", "path": str(tmp_path / "mine")}
    manifest, out = prepare(tmp_path, source, near_duplicates=False)
    assert manifest.images == 4 * PER_CLASS
    assert rejected(out)[0]["image_id"] == "study/stray.png"
    assert manifest.details["found"][0]["folder"] == "."


def test_a_damaged_picture_is_refused_or_skipped(tmp_path, copies):
    shutil.copytree(copies, tmp_path / "mine")
    bad = next((tmp_path / "mine" / "train" / "bored").glob("*.png"))
    bad.write_bytes(bad.read_bytes()[:100])
    source = {"name": "study", "path": str(tmp_path / "mine")}
    with pytest.raises(ValueError, match=rf"{bad.name}: damaged .* --skip-bad"):
        prepare(tmp_path, source)
    manifest, out = prepare(tmp_path, source, skip_bad=True, near_duplicates=False)
    assert manifest.images == 4 * PER_CLASS - 1
    assert manifest.steps[0] == {"step": "bad input", "removed": 1, "left": 119}
    assert rejected(out)[0]["file"].endswith(bad.name)


def test_the_second_study_s_merge_is_shipped():
    file = read_sources(Path(__file__).parents[1] / "data_prep" / "sources" / "study_b.yaml")
    raf, engagement, oahega = file.sources
    assert (file.name, file.image_size) == ("study-b", 48)
    assert file.classes == ("happy", "angry", "neutral", "engaged")
    assert [source.name for source in file.sources] == ["raf-db", "engagement", "oahega"]
    assert engagement.map == {"amenability": "engaged", "concentration": "engaged"}
    assert oahega.map == {"anger": "angry", "happiness": "happy", "neutral": "neutral"}
    assert not any(source.trim_margin or source.limit for source in file.sources)
    assert raf.map == {"4": "happy", "6": "angry", "7": "neutral"}
    assert sum(raf.expect.values()) == 15_339
    trained = {key: count for key, count in raf.expect.items() if key.startswith("train/")}
    assert sum(trained.values()) == 12_271
    assert sum(engagement.expect.values()) == 2_002
    assert sum(oahega.expect.values()) == 14_248


OURS = ("focused", "neutral", "angry")
"""Neither sorted nor in the order of the prepared dataset."""


@pytest.fixture(scope="module")
def two_sources(tmp_path_factory):
    """A prepared dataset and class folders that share three pictures, in paths with spaces.

    Of the 90 noise pictures in three class folders, three are those of rows 0, 1 and 2 of the
    dataset (the last one under another label), and two are the same.
    """
    root = tmp_path_factory.mktemp("two sources")
    write_labelled(root / "my set")
    theirs = labelled_images()
    pixels = np.random.default_rng(7).integers(0, 256, (94, 8, 8), dtype=np.uint8)
    for row in (0, 1, 2):
        pixels[row] = resize_pixels(theirs.pixels[row], (8, 8))
    pixels[40] = pixels[41]
    names = ["angry"] * 30 + ["neutral"] * 30 + ["focused"] * 30 + ["extra"] * 4
    for row in (0, 1):
        names[row] = DATASET_CLASSES[theirs.labels[row]]
    names[2] = next(name for name in OURS if name != DATASET_CLASSES[theirs.labels[2]])
    for row, (name, picture) in enumerate(zip(names, pixels, strict=True)):
        (root / "my folders" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(root / "my folders" / name / f"{row:02d}.png")
    (root / "my folders" / "angry" / "bad.png").write_bytes(b"no picture")
    return root, names


def merge_two(two_sources, out, **more):
    root, _ = two_sources
    config = write_sources(
        root / "sources.yaml",
        {"name": "zwei", "dataset": str(root / "my set"), "map": {name: name for name in OURS[:2]}},
        {"name": "drei", "path": str(root / "my folders"), "limit": {"neutral": 25}},
        classes=list(OURS),
        image_size=8,
    )
    return prepare_folders(
        config=config, out=out, **{"skip_bad": True, "near_duplicates": False, **more}
    )


@pytest.fixture(scope="module")
def merged(two_sources, tmp_path_factory):
    out = tmp_path_factory.mktemp("merged") / "my merge"
    groups = out.parent / "my groups.csv"
    groups.write_text("image_id,age\ndrei/angry/29.png,old\nnobody,old\n")
    return merge_two(two_sources, out, seed=4, split="random", groups=groups), out


def kept_of_first():
    """Rows of the dataset whose class is mapped."""
    theirs = labelled_images()
    return [row for row in range(95) if DATASET_CLASSES[theirs.labels[row]] in OURS[:2]]


def test_a_merge_counts_what_each_step_removes(two_sources, merged):
    """Angry pictures of the dataset are not mapped, so a copy of one of them is no copy."""
    manifest, _ = merged
    _, names = two_sources
    copies = [row for row in (0, 1, 2) if row in kept_of_first()]
    first = len(kept_of_first())
    neutral = sum(name == "neutral" for row, name in enumerate(names) if row not in copies)
    left = np.cumsum([95 + 95, -1, -(95 - first) - 4, -len(copies), -(neutral - 25)]).tolist()
    assert len(copies) > 0
    assert neutral > 25
    steps = ["bad input", "mapped to no class", "already in an earlier source"]
    assert manifest.steps == tuple(
        {"step": step, "removed": before - after, "left": after}
        for step, before, after in zip(
            [*steps, "over the limit of its class"], left[:-1], left[1:], strict=True
        )
    )
    assert manifest.images == left[-1]
    assert manifest.details["repeated"] == len(copies)
    assert manifest.details["repeated_with_another_label"] == (2 in copies)
    assert manifest.details["group_columns"] == {
        "unknown_ids": 1, "pictures_without": left[-1] - 1, "empty_cells": {},
    }  # fmt: skip


def test_a_merge_says_what_it_found_of_each_source_by_folder(two_sources, merged):
    _, names = two_sources
    counts = {name: names.count(name) for name in set(names)}
    counts["angry"] += 1  # the bad one lies there too
    theirs = labelled_images().labels.tolist()
    assert merged[0].details["found"] == [
        *(
            {
                "source": "zwei", "folder": name, "subset": "",
                "class": None if name == "angry" else name,
                "pictures": theirs.count(DATASET_CLASSES.index(name)),
            }
            for name in sorted(DATASET_CLASSES)
        ),
        *(
            {
                "source": "drei", "folder": name, "subset": "",
                "class": None if name == "extra" else name, "pictures": counts[name],
            }
            for name in sorted(counts)
        ),
    ]  # fmt: skip


def test_merged_pictures_are_those_of_the_sources_in_their_order(two_sources, merged):
    """What a limit takes is drawn with the seed; copies inside one source stay, in one group."""
    _, names = two_sources
    theirs = labelled_images()
    dataset = read_dataset(merged[1])
    first = [theirs.image_ids[row] for row in kept_of_first()]
    files = sorted(
        (f"drei/{name}/{row:02d}.png", name)
        for row, name in enumerate(names)
        if name != "extra" and not (row in (0, 1, 2) and row in kept_of_first())
    )
    places = [len(first) + place for place, (_, name) in enumerate(files) if name == "neutral"]
    neutral = [row for row, label in enumerate(theirs.labels) if label == 0]
    assert len(neutral) == 24  # the dataset has as many, which have no limit
    out = set(np.random.default_rng(4).permutation(places)[25:].tolist())
    wanted = [
        one for place, one in enumerate([*first, *(name for name, _ in files)]) if place not in out
    ]
    assert dataset.image_ids.tolist() == wanted
    labels = dict(files) | {
        theirs.image_ids[row]: DATASET_CLASSES[theirs.labels[row]] for row in range(95)
    }
    assert [OURS[label] for label in dataset.labels] == [labels[one] for one in wanted]
    assert dataset.manifest.classes == OURS
    of = dict(zip(wanted, dataset.duplicate_groups.tolist(), strict=True))
    same = [one for one in wanted if one.endswith(("/40.png", "/41.png"))]
    assert len({of[one] for one in same}) == 1
    ages = dict(zip(wanted, dataset.columns["age"].tolist(), strict=True))
    assert ages["drei/angry/29.png"] == "old"


def test_what_a_merge_leaves_out_is_listed_in_the_order_of_the_steps(merged):
    rows = rejected(merged[1])
    reasons = [row["reason"] for row in rows]
    kinds = [
        "not mapped to a class",
        "no picture of",
        "not mapped to a class",
        "a copy of",
        "over the",
    ]
    places = []
    for kind in kinds:
        start = places[-1] if places else 0
        places.append(next(n for n in range(start, len(reasons)) if kind in reasons[n]))
    assert places == sorted(places)
    assert len(rows) == 95 + 95 - merged[0].images
    over = [row for row in rows if row["reason"] == "over the limit of its class"]
    kept = set(read_dataset(merged[1]).image_ids.tolist())
    assert all(row["image_id"].startswith("drei/neutral/") for row in over)
    assert not {row["image_id"] for row in rows} & kept


def test_what_the_user_decides_reaches_the_merge(two_sources, merged, tmp_path):
    manifest, out = merged
    dataset = read_dataset(out)
    assert (manifest.split_method, manifest.split_seed) == ("random", 4)
    assert (manifest.name, manifest.label_rule) == ("merged", "class folders")
    assert manifest.details["near_duplicates"] is False
    splits, folds = split_dataset(
        dataset.labels, dataset.duplicate_groups, classes=OURS, method="random", seed=4
    )
    np.testing.assert_array_equal(dataset.splits, splits)
    np.testing.assert_array_equal(dataset.folds, folds)
    assert merge_two(two_sources, tmp_path / "a", name="other").name == "other"
    config = two_sources[0] / "sources.yaml"
    config.write_text(config.read_text().replace("name: merged\n", ""))
    (tmp_path / "of another disk").mkdir()
    (tmp_path / "b c").symlink_to(tmp_path / "of another disk")
    bare = prepare_folders(config=config, out=tmp_path / "b c", skip_bad=True)
    assert bare.name == "b c", "as the user calls it"
    assert bare.details["near_duplicates"] is True
    assert (bare.split_method, bare.split_seed) == ("grouped", 0)
    assert bare.details["group_columns"] == {}


def test_two_versions_of_one_dataset_merge_as_long_as_their_pictures_are_the_same(tmp_path):
    """Ids are compared after copies are left out."""
    write_labelled(tmp_path / "a")
    images = labelled_images()
    write_labelled(tmp_path / "b", images.take(np.arange(94)), groups=np.arange(94))
    pixels = images.pixels.copy()
    pixels[7] = 255 - pixels[8]
    write_labelled(tmp_path / "c", replace(images, pixels=pixels))
    source = {"name": "first", "dataset": str(tmp_path / "a")}
    more = {"classes": list(OURS), "image_size": 9, "near_duplicates": False}
    same = {"name": "again", "dataset": str(tmp_path / "b")}
    manifest, _ = prepare(tmp_path, source, same, **more)
    assert manifest.details["repeated"] == 94
    assert manifest.images == 95
    other = {"name": "other", "dataset": str(tmp_path / "c")}
    with pytest.raises(
        ValueError, match=f"two different pictures have the id '{images.image_ids[7]}'"
    ):
        prepare(tmp_path, source, other, out="again", **more)
    assert not (tmp_path / "again").exists()


def test_an_output_folder_in_use_is_told_of_before_anything_is_read(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="already holds something else"):
        prepare_folders(config=tmp_path / "nowhere.yaml", out=tmp_path)


@pytest.mark.parametrize(
    ("framed_ones", "trim", "warned"), [(11, False, 1), (10, False, 0), (11, True, 0)]
)
def test_margins_are_warned_of_where_most_pictures_have_one(tmp_path, framed_ones, trim, warned):
    """Of twenty pictures; the classes come from another source."""
    write_labelled(tmp_path / "my set")
    generator = np.random.default_rng(3)
    for number in range(20):
        picture = generator.integers(0, 200, (8, 8), dtype=np.uint8)
        picture = np.pad(picture, 2, constant_values=255) if number < framed_ones else picture
        (tmp_path / "folders" / "angry").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "folders" / "angry" / f"{number}.png")
    manifest, _ = prepare(
        tmp_path,
        {"name": "faces", "dataset": str(tmp_path / "my set")},
        {"name": "study", "path": str(tmp_path / "folders"), "trim_margin": trim},
        classes=list(OURS),
        image_size=8,
        near_duplicates=False,
    )
    assert len(manifest.details["warnings"]) == warned
    if warned:
        assert manifest.details["warnings"][0] == (
            "11 of the 20 pictures of 'study' have a margin of one colour, which hides their "
            "copies in other sources and makes different pictures alike; set trim_margin: true "
            "(images: --trim-margin)"
        )


@pytest.mark.long
def test_the_real_class_folders_are_found_in_fer2013(tmp_path, fer_data, fer2013_dataset):
    archive = fer_data / "class_folders.tar.gz"
    manifest, _ = prepare(
        tmp_path,
        {"name": "fer2013", "dataset": str(fer2013_dataset)},
        {"name": "study", "path": str(archive), "trim_margin": True},
    )
    assert manifest.details["repeated"] >= 0.99 * 2710
    assert 0 < manifest.details["repeated_with_another_label"] < 30
    assert manifest.duplicates["across_splits"] == 0
