import csv
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from data_prep.__main__ import main
from data_prep.class_folders import without_margin
from data_prep.folders import prepare_folders
from data_prep.reader import read_dataset
from data_prep.sources_file import read_sources

CLASSES = ["angry", "bored", "focused", "neutral"]
MODES = {"png": "RGBA", "jpg": "CMYK", "bmp": "RGB", "webp": "L"}
PER_CLASS = 30


def framed(pixels, *, scale=4, margin=16):
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
    manifest = prepare_folders(
        config=config, out=tmp_path / out, skip_bad=skip_bad, near_duplicates=near_duplicates
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
    rows = rejected(out)
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


def test_folder_and_archive_give_the_same_dataset(tmp_path, copies):
    archive = tmp_path / "copies.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(copies, arcname="some/where/copies")
    fingerprints = set()
    for number, path in enumerate((copies, archive)):
        manifest, out = prepare(tmp_path, {"name": "study", "path": str(path)}, out=f"out{number}")
        fingerprints.add(manifest.fingerprint)
    assert len(fingerprints) == 1
    table = pq.read_table(out / "images.parquet")
    ids = table["image_id"].to_pylist()
    assert all(one.startswith(("study/train/", "study/test/")) for one in ids)
    assert table["subset"].to_pylist() == [one.split("/")[1] for one in ids]
    assert set(table["width"].to_pylist()) == set(table["height"].to_pylist()) == {224}
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
    assert "Merged" in printed


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
    assert len(rejected(out)) == step["removed"]
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
    assert main(arguments) == 0
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
    "limit below 0": (
        {"sources": [{"name": "a", "path": "x", "limit": {"angry": -5}}]},
        "sources.0.limit.angry: Input should be greater than or equal to 0",
    ),
    "expect below 0": (
        {"sources": [{"name": "a", "path": "x", "expect": {"angry": -5}}]},
        "sources.0.expect.angry: Input should be greater than or equal to 0",
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
    assert main(["folders", "--config", str(config), "--out", str(out)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": {"angri": "angry"}}, "has angry, bored, focused, neutral"),
        ({"map": {"angry": None}}, "gives nothing"),
        ({"expect": {"train/angry": 20, "angry": 31}}, "31 pictures of 'angry'"),
    ],
)
def test_a_copy_that_is_not_as_the_file_says_is_refused(tmp_path, copies, changes, message):
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path, {"name": "study", "path": str(copies), **changes})
    assert not (tmp_path / "out").exists()


def test_a_complete_copy_is_taken(tmp_path, copies):
    expect = {"angry": 30, "train/angry": 20, "test/angry": 10}
    manifest, _ = prepare(tmp_path, {"name": "study", "path": str(copies), "expect": expect})
    assert manifest.images == 4 * PER_CLASS


def test_a_picture_in_no_class_folder_is_left_out_and_told(tmp_path, copies):
    shutil.copytree(copies, tmp_path / "mine")
    Image.new("L", (48, 48)).save(tmp_path / "mine" / "stray.png")
    manifest, out = prepare(tmp_path, {"name": "study", "path": str(tmp_path / "mine")})
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
    manifest, out = prepare(tmp_path, source, skip_bad=True)
    assert manifest.images == 4 * PER_CLASS - 1
    assert manifest.steps[0] == {"step": "bad input", "removed": 1, "left": 119}
    assert rejected(out)[0]["file"].endswith(bad.name)


def test_the_second_study_s_merge_is_shipped():
    file = read_sources(Path(__file__).parents[1] / "data_prep" / "sources" / "study_b.yaml")
    raf, engagement, oahega = file.sources
    assert raf.map == {"4": "happy", "6": "angry", "7": "neutral"}
    assert sum(raf.expect.values()) == 15_339
    assert sum(engagement.expect.values()) == 2_002
    assert sum(oahega.expect.values()) == 14_248


@pytest.mark.long
def test_the_real_class_folders_are_found_in_fer2013(tmp_path, fer_data):
    votes = tmp_path / "fer2013"
    images = fer_data / "fer2013plus.tar.gz"
    assert main(["fer2013", "--images", str(images), "--out", str(votes)]) == 0
    archive = fer_data / "class_folders.tar.gz"
    manifest, _ = prepare(
        tmp_path,
        {"name": "fer2013", "dataset": str(votes)},
        {"name": "study", "path": str(archive), "trim_margin": True},
    )
    assert manifest.details["repeated"] >= 0.99 * 2710
    assert 0 < manifest.details["repeated_with_another_label"] < 30
    assert manifest.duplicates["across_splits"] == 0
