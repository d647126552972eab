"""What the columns and rows of a Parquet file with pictures mean."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.parquet_pictures import find_in_parquet
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile
from fairsweep.errors import UserError


def png(value):
    content = io.BytesIO()
    Image.new("L", (8, 8), value).save(content, "PNG")
    return content.getvalue()


def found_in(path, cells, *, named=None, **options):
    """Write a column ``image`` and further ``cells``, and read the file."""
    rows = len(next(iter(cells.values())))
    table = pa.table({"image": pa.array([png(row) for row in range(rows)]), **cells})
    if named:
        features = {name: {"names": names} for name, names in named.items()}
        about = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": about})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    source = Source(name="hub", path=path, **options)
    return find_in_parquet(source, SourcesFile(sources=(source,), image_size=8))


def test_a_split_in_a_column_counts_and_that_of_the_file_only_where_the_cell_is_empty(tmp_path):
    split = ["test", "", None, "PublicTest", "later"]
    found = found_in(tmp_path / "train-0.parquet", {"label": list("abcde"), "split": split})
    assert [record.subset for record in found.records] == ["test", "train", "train", "val", ""]
    assert not any(record.columns for record in found.records)
    assert found.odd_subsets == {"later": 1}
    assert set(found.odd_subsets) == {"later"}  # no other split is told of


def test_pictures_are_numbered_from_0_in_each_split_and_rows_in_the_file(tmp_path):
    split = ["train", "test", "train", "test", "train"]
    found = found_in(tmp_path / "all.parquet", {"label": list("abcde"), "split": split})
    assert [(record.name, record.row) for record in found.records] == [
        ("train/000000", 0), ("test/000000", 1), ("train/000001", 2), ("test/000001", 3),
        ("train/000002", 4),
    ]  # fmt: skip


def test_a_number_without_a_name_is_no_label(tmp_path):
    found = found_in(
        tmp_path / "x.parquet", {"label": [1, 0, -1, 2]}, named={"label": ["dog", "cat"]}
    )
    assert [record.label for record in found.records] == ["cat", "dog", "", ""]


def test_of_two_columns_of_classes_none_is_guessed_to_be_the_label(tmp_path):
    columns = {"kind": [0, 1], "shade": [1, 0]}
    both = {"kind": ["dog", "cat"], "shade": ["dark", "light"]}
    with pytest.raises(BadInputError, match="it is not clear which column is the label"):
        found_in(tmp_path / "x.parquet", columns, named=both)
    one = found_in(tmp_path / "x.parquet", columns, named={"shade": both["shade"]})
    assert [record.label for record in one.records] == ["light", "dark"]
    assert [dict(record.columns) for record in one.records] == [{"kind": "0"}, {"kind": "1"}]
    named = found_in(tmp_path / "x.parquet", columns, named=both, columns={"label": "kind"})
    assert [record.label for record in named.records] == ["dog", "cat"]


def test_bytes_and_lists_are_no_columns_of_a_picture(tmp_path):
    columns = {"label": ["a", "b"], "raw": [b"1", b"2"], "box": [[1], [2]], "who": ["p", "q"]}
    source_columns = {"file": "image"}
    found = found_in(tmp_path / "x.parquet", columns, columns=source_columns)
    assert [dict(record.columns) for record in found.records] == [{"who": "p"}, {"who": "q"}]


def test_bytes_with_long_offsets_hold_pictures_and_are_no_further_column(tmp_path):
    pictures = pa.array([png(5), png(6)], pa.large_binary())
    table = pa.table({"scan": pictures, "label": ["a", "b"], "who": ["p", "q"]})
    pq.write_table(table, tmp_path / "x.parquet")
    source = Source(name="hub", path=tmp_path / "x.parquet")
    file = SourcesFile(sources=(source,), image_size=8)
    found = find_in_parquet(source, file)
    assert [int(record.picture.pixels[0, 0]) for record in found.records] == [5, 6]
    raw = pa.array([b"1", b"2"], pa.large_binary())
    pq.write_table(table.append_column("raw", raw), tmp_path / "x.parquet")
    with pytest.raises(BadInputError, match=r"2 columns hold pictures \(scan, raw\); .* --columns"):
        find_in_parquet(source, file)
    named = source.model_copy(update={"columns": {"file": "scan"}})
    found = find_in_parquet(named, file)
    assert [dict(record.columns) for record in found.records] == [{"who": "p"}, {"who": "q"}]


def test_a_file_of_several_row_groups_is_read_once_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.parquet_pictures.ROWS_AT_ONCE", 2)
    plain = pq.write_table

    def in_groups(table, path):
        plain(table, path, row_group_size=3)

    monkeypatch.setattr(pq, "write_table", in_groups)
    found = found_in(tmp_path / "x.parquet", {"label": list("abcdefgh")})
    assert [record.label for record in found.records] == list("abcdefgh")
    assert [record.row for record in found.records] == list(range(8))
    assert [int(record.picture.pixels[0, 0]) for record in found.records] == list(range(8))


def test_files_of_a_folder_have_the_splits_of_their_names_or_folders(tmp_path):
    """Folders above the source do not count; rows are numbered through all files of a split."""
    top = tmp_path / "test" / "set"
    for name in ("b.parquet", "val/a.parquet", "val/train-0-of-2.parquet", "z/validation.PARQUET"):
        found_in(top / name, {"label": ["x", "y"]})
    (top / "notes.txt").write_text("not read")
    source = Source(name="hub", path=top)
    found = find_in_parquet(source, SourcesFile(sources=(source,), image_size=8))
    assert [(record.name, record.shown) for record in found.records] == [
        ("000000", "b.parquet"), ("000001", "b.parquet"),
        ("val/000000", "a.parquet"), ("val/000001", "a.parquet"),
        ("train/000000", "train-0-of-2.parquet"), ("train/000001", "train-0-of-2.parquet"),
        ("val/000002", "validation.PARQUET"), ("val/000003", "validation.PARQUET"),
    ]  # fmt: skip
    alone = found_in(top / "test.parquet", {"label": ["x"]})
    assert [record.subset for record in alone.records] == ["test"]


def test_labels_without_names_and_texts_stand_as_they_are(tmp_path):
    plain = found_in(tmp_path / "a.parquet", {"label": [10, 9, None]})
    assert [record.label for record in plain.records] == ["10", "9", ""]
    texts = found_in(tmp_path / "b.parquet", {"label": ["1", "dog"]}, named={"label": ["cat"]})
    assert [record.label for record in texts.records] == ["1", "dog"]


@pytest.mark.parametrize(
    "about", [{"info": {"features": None}}, {"info": None}, {"info": {}}, {}, None]
)
def test_metadata_without_features_name_no_classes(tmp_path, about):
    table = pa.table({"image": pa.array([png(1), png(2)]), "label": [1, 0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, tmp_path / "x.parquet")
    source = Source(name="hub", path=tmp_path / "x.parquet")
    found = find_in_parquet(source, SourcesFile(sources=(source,), image_size=8))
    assert [record.label for record in found.records] == ["1", "0"]


@pytest.mark.parametrize(
    "cells", [["a.png", None], [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": None}]]
)
def test_a_cell_with_a_path_in_place_of_the_picture_is_bad(tmp_path, cells):
    pq.write_table(pa.table({"image": cells, "label": ["x", "y"]}), tmp_path / "x.parquet")
    source = Source(name="hub", path=tmp_path / "x.parquet", columns={"file": "image"})
    found = find_in_parquet(source, SourcesFile(sources=(source,), image_size=8))
    assert [str(record.picture) for record in found.records] == [
        "has no picture in it, only a path or nothing"
    ] * 2


def test_a_missing_or_damaged_file_is_told(tmp_path):
    for path, message in (
        (tmp_path / "gone.parquet", r"gone\.parquet does not exist; check the path"),
        (tmp_path / "bad.parquet", r"bad\.parquet: cannot be read \(.+\); download it again"),
    ):
        (tmp_path / "bad.parquet").write_bytes(b"PAR1 no more")
        source = Source(name="hub", path=path)
        with pytest.raises(UserError, match=message):
            find_in_parquet(source, SourcesFile(sources=(source,), image_size=8))
