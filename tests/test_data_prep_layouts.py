"""Which reader a place of pictures gets, and the name of its source."""

import tarfile
from pathlib import Path

import pytest

from data_prep import layouts
from data_prep.images import _name
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile

READERS = ("find_in_npz", "find_in_parquet", "find_in_batches", "find_in_idx", "find_pictures")
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


@pytest.fixture
def reader_of(monkeypatch, tmp_path):
    """A function that returns which reader a path below the folder gets."""
    for name in READERS:
        monkeypatch.setattr(layouts, name, lambda *_, name=name: name)

    def reader(path="."):
        source = Source(name="a", path=tmp_path / path)
        return layouts.find_source(source, SourcesFile(sources=(source,)), None)

    return reader


@pytest.mark.parametrize(
    ("files", "path", "reader"),
    [
        (("set.NPZ",), "set.NPZ", "find_in_npz"),
        (("a.Parquet",), "a.Parquet", "find_in_parquet"),
        (("data/a.parquet", "README.md"), ".", "find_in_parquet"),
        (("data/a.parquet", "more/x.PNG"), ".", "find_pictures"),
        (("x.png", "a.parquet"), ".", "find_pictures"),
        (("joy/x.png", "labels.csv"), ".", "find_pictures"),
        (IDX, ".", "find_in_idx"),
        (("pictures.zip",), "pictures.zip", "find_pictures"),
        ((), "gone", "find_pictures"),
    ],
)
def test_a_place_is_read_by_what_it_holds(reader_of, tmp_path, files, path, reader):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert reader_of(path) == reader


def test_a_tar_of_any_name_is_an_archive_and_another_file_is_none(reader_of, tmp_path):
    (tmp_path / "x.png").touch()
    with tarfile.open(tmp_path / "pictures.data", "w") as archive:
        archive.add(tmp_path / "x.png", "joy/x.png")
    assert reader_of("pictures.data") == "find_pictures"
    with pytest.raises(BadInputError, match=r"x\.png: is neither a folder nor an archive"):
        reader_of("x.png")


def test_a_source_has_the_name_of_its_place_without_suffixes(tmp_path, monkeypatch):
    (tmp_path / "my faces").mkdir()
    monkeypatch.chdir(tmp_path / "my faces")
    assert _name(Path()) == "my-faces"
    assert _name(Path("set.tar.gz")) == "set"
    assert _name(Path("/data/FER 2013 (new)")) == "FER-2013-new"
    assert _name(Path("/data/été")) == "été"
    assert _name(Path("/data/()")) == "images"
