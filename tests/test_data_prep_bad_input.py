import csv
import io
import json
import resource
import shutil
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_prep.__main__ import main
from tests.support.fer_factory import (
    RAW_IMAGES,
    change_cell,
    huge_png,
    read_rows,
    write_rows,
    write_small_csv,
    write_small_pngs,
)

PIXELS_COLUMN, USAGE_COLUMN, NEUTRAL_VOTES_COLUMN = 1, 2, 2


@pytest.fixture(scope="module")
def sound_folders(tmp_path_factory):
    """The same small set as CSV and as PNGs; tests spoil copies."""
    folder = tmp_path_factory.mktemp("sound")
    write_small_csv(folder / "csv")
    write_small_pngs(folder / "png")
    return folder


@pytest.fixture
def kaggle(tmp_path, sound_folders):
    raw = shutil.copytree(sound_folders / "csv", tmp_path / "raw")
    return raw / "fer2013.csv", raw / "fer2013new.csv"


@pytest.fixture
def pngs(tmp_path, sound_folders):
    return shutil.copytree(sound_folders / "png", tmp_path / "raw" / "fer2013plus")


def prepare(out: Path, images: Path, *more: str | Path) -> int:
    fixed = ["fer2013", "--images", images, "--out", out, "--no-near-duplicates"]
    return main([str(argument) for argument in [*fixed, *more]])


def assert_refused(tmp_path, capsys, images, *more, names: tuple[str, ...]) -> None:
    """Exit code 2, one line that names all of ``names``, and nothing left behind."""
    before = sorted(tmp_path.rglob("*"))
    assert prepare(tmp_path / "out", images, *more) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    for name in names:
        assert name in captured.err
    assert captured.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def assert_skipped(tmp_path, images, *more, row: int | None, reason: str, count: int = 1) -> None:
    """With --skip-bad the rest becomes a dataset and rejected.csv lists what is missing."""
    out = tmp_path / "out"
    assert prepare(out, images, *more, "--skip-bad") == 0
    with (out / "rejected.csv").open(newline="") as file:
        rejected = [line for line in csv.DictReader(file) if reason in line["reason"]]
    assert len(rejected) == count
    if row is not None:
        assert rejected[0]["row"] == str(row)
        assert rejected[0]["image_id"] == f"fer2013/{row:05d}"
    steps = json.loads((out / "manifest.json").read_text())["steps"]
    removed = 0 if row is None else count
    assert steps[0] == {"step": "bad input", "removed": removed, "left": RAW_IMAGES - removed}


def first_value(value: str):
    return lambda pixels: " ".join([value, *pixels.split()[1:]])


BAD_PICTURE_ROWS = {
    "short": (PIXELS_COLUMN, lambda pixels: pixels[: pixels.rindex(" ")], "2,303 pixels"),
    "long": (PIXELS_COLUMN, lambda pixels: pixels + " 0", "2,305 pixels"),
    "empty": (PIXELS_COLUMN, lambda _: "", "0 pixels"),
    "over 255": (PIXELS_COLUMN, first_value("256"), "'256' is not a whole number"),
    "negative": (PIXELS_COLUMN, first_value("-1"), "'-1' is not a whole number"),
    "fraction": (PIXELS_COLUMN, first_value("1.5"), "'1.5' is not a whole number"),
    "no number": (PIXELS_COLUMN, first_value("x"), "'x' is not a whole number"),
    "unknown Usage": (USAGE_COLUMN, lambda _: "Trainig", "'Trainig'"),
    "other Usage": (USAGE_COLUMN, lambda _: "PrivateTest", "Usage is Training"),
}


@pytest.mark.parametrize("case", BAD_PICTURE_ROWS)
def test_a_bad_picture_row_is_named_or_skipped(tmp_path, capsys, kaggle, case):
    pictures, votes = kaggle
    column, change, reason = BAD_PICTURE_ROWS[case]
    change_cell(pictures, 7, column, change)
    names = ("fer2013.csv", "row 7 (line 9)", reason, "--skip-bad")
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, names=names)
    assert_skipped(tmp_path, pictures, "--votes", votes, row=7, reason=reason)


BAD_VOTE_ROWS = {
    "sum too high": (NEUTRAL_VOTES_COLUMN, lambda votes: str((int(votes) + 5) % 11), "add up to"),
    "no number": (NEUTRAL_VOTES_COLUMN, lambda _: "many", "a vote is not a whole number"),
    "negative": (NEUTRAL_VOTES_COLUMN, lambda _: "-1", "a vote is not a whole number"),
    "unknown Usage": (0, lambda _: "Validation", "Usage is none of"),
}


@pytest.mark.parametrize("case", BAD_VOTE_ROWS)
def test_a_bad_votes_row_is_named_or_skipped(tmp_path, capsys, kaggle, case):
    pictures, votes = kaggle
    column, change, reason = BAD_VOTE_ROWS[case]
    change_cell(votes, 11, column, change)
    names = ("fer2013new.csv", "row 11 (line 13)", reason, "--skip-bad")
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, names=names)
    assert_skipped(tmp_path, pictures, "--votes", votes, row=11, reason=reason)


@pytest.mark.parametrize("which", ["pictures", "votes"])
def test_a_row_with_too_few_cells_is_named_or_skipped(tmp_path, capsys, kaggle, which):
    path = kaggle[which == "votes"]
    rows = read_rows(path)
    del rows[5 + 1][1]
    write_rows(path, rows)
    arguments = (kaggle[0], "--votes", kaggle[1])
    names = (path.name, "row 5 (line 7)", "cells where the header has")
    assert_refused(tmp_path, capsys, *arguments, names=names)
    assert_skipped(tmp_path, *arguments, row=5, reason="cells where the header has")


def test_a_whole_block_of_malformed_rows_can_be_skipped(tmp_path, kaggle, monkeypatch):
    monkeypatch.setattr("data_prep.csv_rows.BLOCK_BYTES", 1 << 14)
    pictures, votes = kaggle
    rows = read_rows(pictures)
    write_rows(pictures, [*rows[:-5], *(row[1:] for row in rows[-5:])])
    reason = "cells where the header has"
    row = RAW_IMAGES - 5
    assert_skipped(tmp_path, pictures, "--votes", votes, row=row, reason=reason, count=5)


@pytest.mark.parametrize(("which", "column"), [(0, "pixels"), (0, "Usage"), (1, "NF")])
@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
def test_a_missing_column_is_named(tmp_path, capsys, kaggle, which, column, more):
    path = kaggle[which]
    path.write_text(path.read_text().replace(column, "other", 1))
    names = (path.name, f"column {column} is missing")
    assert_refused(tmp_path, capsys, kaggle[0], "--votes", kaggle[1], *more, names=names)


def test_a_truncated_csv_is_named_and_its_whole_rows_can_be_used(tmp_path, capsys, kaggle):
    pictures, votes = kaggle
    lines = pictures.read_bytes().splitlines(keepends=True)
    pictures.write_bytes(b"".join(lines[:201]) + lines[201][:500])
    names = ("fer2013.csv, row 200 (line 202)", "cells where the header has 3")
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, names=names)
    assert_skipped(
        tmp_path, pictures, "--votes", votes,
        row=200, reason="no picture; fer2013.csv has 200 rows", count=RAW_IMAGES - 200,
    )  # fmt: skip


@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
def test_votes_for_other_rows_are_refused(tmp_path, capsys, kaggle, more):
    pictures, votes = kaggle
    header, *rows = read_rows(votes)
    write_rows(votes, [header, *rows[50:], *rows[:50]])
    names = ("fer2013new.csv", "its votes are not for the rows of fer2013.csv", "first in row")
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, *more, names=names)


@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
def test_a_lost_row_is_not_taken_for_a_truncated_file(tmp_path, capsys, kaggle, more):
    pictures, votes = kaggle
    rows = read_rows(pictures)
    write_rows(pictures, rows[:100] + rows[101:])
    names = ("its votes are not for the rows", "300 and 299 rows")
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, *more, names=names)


def test_missing_votes_are_asked_for(tmp_path, capsys, kaggle):
    assert_refused(tmp_path, capsys, kaggle[0], names=("fer2013.csv", "--votes"))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"emotion,pixels,Usage\n"])
def test_a_file_that_holds_nothing_is_refused(tmp_path, capsys, kaggle, content):
    pictures, votes = kaggle
    pictures.write_bytes(content)
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, names=("fer2013.csv",))


def test_a_missing_file_is_named(tmp_path, capsys, kaggle):
    missing = tmp_path / "nowhere.zip"
    assert_refused(tmp_path, capsys, missing, "--votes", kaggle[1], names=(str(missing),))


def test_an_empty_folder_is_refused(tmp_path, capsys, kaggle):
    empty = tmp_path / "empty"
    empty.mkdir()
    names = (str(empty), "holds neither fer2013.csv")
    assert_refused(tmp_path, capsys, empty, "--votes", kaggle[1], names=names)


BAD_PICTURES = {
    "text": (b"no picture at all", "unreadable picture (cannot identify image file"),
    "empty": (b"", "unreadable picture"),
    "a million megapixels": (huge_png(1_000_000, 1_000_000), "unreadable picture (Image size"),
    "other size": (huge_png(64, 48), "64×48 pixels instead of 48×48"),
    "broken off": (huge_png(48, 48), "unreadable picture"),
}


@pytest.mark.parametrize("case", BAD_PICTURES)
def test_a_bad_picture_is_named_or_skipped(tmp_path, capsys, pngs, case):
    content, reason = BAD_PICTURES[case]
    (pngs / "FER2013Train/fer0000003.png").write_bytes(content)
    names = ("fer2013plus/FER2013Train/fer0000003.png, row 3", reason, "--skip-bad")
    assert_refused(tmp_path, capsys, pngs, names=names)
    assert_skipped(tmp_path, pngs, row=3, reason=reason)


def test_a_missing_picture_is_named_or_skipped(tmp_path, capsys, pngs):
    (pngs / "FER2013Train/fer0000003.png").unlink()
    assert_refused(tmp_path, capsys, pngs, names=("row 3", "lacks Training fer0000003.png"))
    assert_skipped(tmp_path, pngs, row=3, reason="lacks Training fer0000003.png")


def test_a_picture_without_votes_is_named_or_skipped(tmp_path, capsys, pngs):
    picture = (pngs / "FER2013Train/fer0000003.png").read_bytes()
    (pngs / "FER2013Train/fer0009999.png").write_bytes(picture)
    assert_refused(tmp_path, capsys, pngs, names=("fer0009999.png", "has no votes"))
    assert_skipped(tmp_path, pngs, row=None, reason="has no votes")


def add_file(archive: tarfile.TarFile, name: str, content: bytes = b"x") -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def add_link(archive: tarfile.TarFile, name: str, target: str, kind: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    archive.addfile(info)


TRAPS = {
    "parent": lambda tar: add_file(tar, "../evil.png"),
    "deep parent": lambda tar: add_file(tar, "a/../../evil.png"),
    "absolute": lambda tar: add_file(tar, "/tmp/evil.png"),
    "symlink": lambda tar: add_link(tar, "FER2013Train/evil.png", "../../x", tarfile.SYMTYPE),
    "absolute symlink": lambda tar: add_link(tar, "evil.png", "/etc/passwd", tarfile.SYMTYPE),
    "hard link": lambda tar: add_link(tar, "evil.png", "../x", tarfile.LNKTYPE),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_tar_that_leads_out_of_itself_is_refused(tmp_path, capsys, pngs, trap):
    archive = tmp_path / "fer.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(pngs, "fer2013plus")
        TRAPS[trap](tar)
    names = ("fer.tar.gz:", "evil.png", "leads out of the archive")
    assert_refused(tmp_path, capsys, archive, names=names)
    assert_skipped(tmp_path, archive, row=None, reason="leads out of the archive")


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "..\\evil.png", "C:\\evil.png"])
def test_a_zip_that_leads_out_of_itself_is_refused(tmp_path, capsys, kaggle, name):
    archive = tmp_path / "fer.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(name, b"x")
        for path in kaggle:
            zipped.write(path, path.name)
    names = ("fer.zip:", "evil.png", "leads out of the archive")
    assert_refused(tmp_path, capsys, archive, names=names)
    assert_skipped(tmp_path, archive, row=None, reason="leads out of the archive")


def test_a_zip_with_a_link_to_outside_is_refused(tmp_path, capsys, kaggle):
    archive = tmp_path / "fer.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        link = zipfile.ZipInfo("fer2013.csv")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "/etc/passwd")
    names = ("fer.zip:fer2013.csv", "a link in a zip is not followed")
    assert_refused(tmp_path, capsys, archive, "--votes", kaggle[1], names=names)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_a_truncated_archive_is_named(tmp_path, capsys, kaggle, suffix):
    archive = tmp_path / f"fer{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.write(kaggle[0], kaggle[0].name)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(kaggle[0], kaggle[0].name)
    archive.write_bytes(archive.read_bytes()[:100_000])
    names = (archive.name, "cannot be read to its end")
    assert_refused(tmp_path, capsys, archive, "--votes", kaggle[1], names=names)


@pytest.mark.parametrize("option", ["--votes", "--groups"])
def test_a_folder_in_place_of_a_file_is_named(tmp_path, capsys, kaggle, option):
    more = ("--votes", kaggle[1], option, tmp_path)
    names = (f"{tmp_path}: Is a directory; check the path",)
    assert_refused(tmp_path, capsys, kaggle[0], *more, names=names)


def test_votes_that_leave_no_picture_are_refused(tmp_path, capsys, kaggle):
    pictures, votes = kaggle
    header, *rows = read_rows(votes)
    write_rows(votes, [header, *([*row[:2], *["0"] * 9, "10"] for row in rows)])
    names = ("no picture is left after cleaning",)
    assert_refused(tmp_path, capsys, pictures, "--votes", votes, names=names)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(tmp_path, capsys, kaggle, seed):
    more = ("--votes", kaggle[1], "--seed", str(seed), "--split", "random")
    names = ("--seed must be from 0 to 4,294,967,295", str(seed))
    assert_refused(tmp_path, capsys, kaggle[0], *more, names=names)


@pytest.mark.parametrize("holds", ["something else", "a dataset"])
def test_an_output_folder_that_holds_something_is_left_alone(tmp_path, capsys, kaggle, holds):
    out = tmp_path / "out"
    out.mkdir()
    (out / ("manifest.json" if holds == "a dataset" else "thesis.tex")).write_text("{}")
    names = (str(out), f"already holds {holds}", "choose another --out")
    assert_refused(tmp_path, capsys, kaggle[0], "--votes", kaggle[1], names=names)


def test_a_file_in_place_of_the_output_folder_is_left_alone(tmp_path, capsys, kaggle):
    (tmp_path / "out").write_text("precious")
    assert_refused(tmp_path, capsys, kaggle[0], "--votes", kaggle[1], names=("is a file",))


def test_an_output_folder_below_a_file_is_refused(tmp_path, capsys, kaggle):
    arguments = ("--votes", kaggle[1], "--out", kaggle[1] / "deeper" / "out")
    names = (f"{kaggle[1]} is a file; choose another --out",)
    assert_refused(tmp_path, capsys, kaggle[0], *arguments, names=names)


def test_an_empty_folder_is_filled_where_it_stands(tmp_path, kaggle, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    before = here.stat().st_ino
    monkeypatch.chdir(here)
    assert prepare(Path(), kaggle[0], "--votes", kaggle[1]) == 0
    assert here.stat().st_ino == before
    files = ["images.parquet", "labels.csv", "manifest.json", "rejected.csv"]
    assert sorted(path.name for path in here.iterdir()) == files


@contextmanager
def no_file_over_100_kb():
    """Let the system refuse more, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_behind(tmp_path, capsys, kaggle):
    out = tmp_path / "new" / "out"
    more = ("--votes", kaggle[1], "--out", out)
    with no_file_over_100_kb():
        assert_refused(tmp_path, capsys, kaggle[0], *more, names=(f"no space left for {out}",))


def test_no_space_to_draw_in_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with no_file_over_100_kb():
        assert main(["synthetic", "--images", "300", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: no space left for the drawn pictures in {tmp_path}")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_too_few_pictures_to_split_are_refused(tmp_path, capsys):
    arguments = ["synthetic", "--images", "40", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "every class needs at least 20 pictures" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
