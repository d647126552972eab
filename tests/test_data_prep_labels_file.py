"""Tables of pictures and labels: their columns, rows and values."""

from pathlib import Path, PurePosixPath
from unicodedata import normalize

import pytest

from data_prep.labels_file import find_roles, read_rows, text_of
from data_prep.named_pictures import PictureIndex, ends_with, inside
from data_prep.rejections import BadInputError, Rejections


def rows_of(name, content, **chosen):
    rejections = Rejections(may_skip=False)
    return read_rows(PurePosixPath(name), content.encode(), chosen, rejections, shown=name)


def test_columns_are_found_by_their_usual_names_in_the_order_of_use():
    assert find_roles(["Emotion", "PATH ", "usage"], {}, file="t") == {
        "file": "PATH ",
        "label": "Emotion",
        "split": "usage",
    }
    assert find_roles(["target", "image_id", "label", "file"], {}, file="t") == {
        "file": "file",
        "label": "label",
    }
    assert find_roles(["Label", "label"], {}, file="t") == {"label": "Label"}, "the first one"
    assert find_roles(["label", "mood"], {"label": "mood"}, file="t") == {"label": "mood"}
    with pytest.raises(BadInputError, match="has no column 'mod' for label, but label, mood"):
        find_roles(["label", "mood"], {"label": "mod"}, file="t")


def test_a_row_of_csv_has_its_label_split_and_other_columns():
    rows = rows_of("l.csv", "file,age,label,split\na.png,7,sad,test\nb.png,,joy,\n")
    assert [(r.row, r.file, r.label, r.split, dict(r.columns)) for r in rows] == [
        (0, "a.png", "sad", "test", {"age": "7"}),
        (1, "b.png", "joy", "", {}),
    ]
    unlabelled = rows_of("l.csv", "file,age\na.png,7\n")
    assert [r.label for r in unlabelled] == [None]
    assert rows_of("l.csv", "age,label\n7,sad\n") is None
    (numbered,) = rows_of("l.csv", ",file,label\n5,a.png,sad\n")
    assert dict(numbered.columns) == {}, "a column without a name is not kept"


def test_rows_of_csv_keep_their_numbers_after_one_that_is_left_out():
    rejections = Rejections(skip_bad=True)
    content = b"file,label\na.png,sad\nb.png,sad,more\nc.png,joy\n"
    rows = read_rows(PurePosixPath("l.csv"), content, {}, rejections, shown="l.csv")
    assert [(row.row, row.file) for row in rows] == [(0, "a.png"), (2, "c.png")]
    assert [one.row for one in rejections.rows] == [1]


def test_lines_of_json_are_counted_from_the_first_and_may_lack_values():
    text = '{"file_name": "a.png", "label": 1.0}\n\n{"file_name": "b.png", "label": [1, 2]}\n'
    first, last = rows_of("metadata.jsonl", text + '{"label": 2, "x": null}\n')[0::2]
    assert (first.row, first.label, first.has_several_labels) == (0, "1", False)
    assert (last.row, last.file, last.label, dict(last.columns)) == (3, "", "2", {})
    assert rows_of("metadata.jsonl", text)[1].has_several_labels
    with pytest.raises(BadInputError, match="row 1"):
        rows_of("metadata.jsonl", '{"file_name": "a.png"}\n[1]\n')


def test_a_line_of_json_may_have_what_the_first_one_lacks():
    text = '{"file_name": "a.png"}\n{"file_name": "b.png", "label": "joy", "age": 7}\n'
    rows = rows_of("metadata.jsonl", text)
    assert [(r.file, r.label, dict(r.columns)) for r in rows] == [
        ("a.png", "", {}), ("b.png", "joy", {"age": "7"}),
    ]  # fmt: skip


def test_whole_numbers_are_written_without_a_point():
    values = [1, 1.0, 1.5, "1.0", True, None, [1], {"a": 1}, b"x"]
    assert [text_of(value) for value in values] == ["1", "1", "1.5", "1.0", "True", *[""] * 4]


def test_a_picture_is_found_by_its_path_then_its_last_folders_then_its_name():
    names = ("a/x.png", "b/x.png", "b/c/y.png", "b/d/y.png", "z.png", "b/z.png")
    paths = [PurePosixPath(name) for name in names]
    index, here = PictureIndex(paths), PurePosixPath("b")

    def find(text, folder=here):
        return [str(path) for path in index.find(text, folder)]

    assert find("x.png") == ["b/x.png"], "beside the table"
    assert find("x.png", PurePosixPath("c")) == ["a/x.png", "b/x.png"]
    assert find("a/x.png") == ["a/x.png"]
    assert find("z.png") == ["b/z.png"], "before one at the top"
    assert find("z.png", PurePosixPath("c")) == ["z.png"]
    assert find(" a\\x.png ") == ["a/x.png"], "as Windows writes it"
    assert find("c/y.png", PurePosixPath()) == ["b/c/y.png"]
    assert find("/home/her/y.png") == ["b/c/y.png", "b/d/y.png"], "her folders are not ours"
    assert find("y") == ["b/c/y.png", "b/d/y.png"], "without its ending"
    assert find("", PurePosixPath()) == find("w.png", PurePosixPath()) == []
    assert ends_with(PurePosixPath("a/b/x.png"), PurePosixPath("b/x.png"))
    assert not ends_with(PurePosixPath("a/b/x.png"), PurePosixPath("a/x.png"))


@pytest.mark.parametrize(("theirs", "ours"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("name", ["a/gaîté.png", "gaîté.png", "gaîté"])
def test_a_picture_is_found_by_a_name_in_either_form_of_unicode(theirs, ours, name):
    path = PurePosixPath(normalize(ours, "a/gaîté.png"))
    assert PictureIndex([path]).find(normalize(theirs, name), PurePosixPath()) == [path]


def test_a_table_is_inside_a_source_only_below_its_folder(tmp_path, monkeypatch):
    assert inside(tmp_path / "a" / "l.csv", tmp_path) == PurePosixPath("a/l.csv")
    assert inside(tmp_path / "l.csv", tmp_path / "a") is None
    assert inside(tmp_path / "l.csv", None) is None
    monkeypatch.chdir(tmp_path)
    assert inside(Path("a/l.csv"), tmp_path) == PurePosixPath("a/l.csv")
    (tmp_path / "link").symlink_to(tmp_path)
    assert inside(tmp_path / "link" / "a" / "l.csv", tmp_path / "a") == PurePosixPath("l.csv")
