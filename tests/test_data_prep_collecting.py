"""Records of a source become arrays: which pictures are taken, and what is kept of each."""

from collections import Counter
from unicodedata import normalize

import numpy as np
import pytest

from data_prep.collecting import MAX_TEXT, collect, free_name
from data_prep.pictures import PictureError
from data_prep.records import Found, ReadPicture, Record
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile


def picture(value=0, shape=(60, 50), **facts):
    return ReadPicture(pixels=np.full((8, 8), value, np.uint8), shape=shape, **facts)


def record(name, label, what=None, **facts):
    shown = f"folder/{name}"
    return Record(name=name, shown=shown, label=label, picture=what or picture(), **facts)


def collected(records, *, skip_bad=True, expect=None, label_map=None):
    source = Source(name="one", path="one", map=label_map, expect=expect or {})
    file = SourcesFile(classes=("sad", "joy"), image_size=8, sources=(source,))
    rejections = Rejections(skip_bad=skip_bad)
    found = Found(
        records=records,
        passed_over=[("folder/notes.doc", ".doc")],
        in_colour=True,
        odd_subsets=Counter({"later": 2}),
    )
    return collect(found, source, file, rejections), rejections.rows


def test_pictures_keep_their_order_and_labels_are_places_in_our_classes():
    images, _ = collected(
        [
            record("b.png", "joy", picture(5), subset="test"),
            record("a.png", "sad", picture(6, has_margin=True, bits=12)),
            record("c.png", "joy", picture(7, has_frames=True), subset="val"),
        ]
    )
    assert images.ids == ["one/b.png", "one/a.png", "one/c.png"]
    assert images.labels.tolist() == [1, 0, 1]
    assert images.pixels[:, 0, 0].tolist() == [5, 6, 7]
    assert images.given.tolist() == ["test", "", "val"]
    assert images.columns["subset"].to_pylist() == ["test", None, "val"]
    assert images.columns["height"].to_pylist() == [60] * 3
    assert images.columns["width"].to_pylist() == [50] * 3
    assert (images.with_margin, images.with_frames, dict(images.of_bits)) == (1, 1, {12: 1})
    assert dict(images.passed_over) == {".doc": 1}
    assert images.in_colour
    assert dict(images.odd_subsets) == {"later": 2}
    assert images.is_official


def test_what_is_left_out_is_listed_with_its_reason_and_bad_pictures_are_counted():
    records = [
        record("a.png", "joy"),
        record("b.png", "odd"),
        record("c.png", "", why_unlabelled="no row names it"),
        record("d.png", "."),
        record("e.png", "joy", PictureError("is cut short"), row=3),
    ]
    images, rows = collected(records)
    assert images.ids == ["one/a.png"]
    assert images.bad == 1
    assert dict(images.found) == {
        (each, ""): n for each, n in zip(("joy", "odd", "", "."), (2, 1, 1, 1), strict=True)
    }
    assert [(row.image_id, row.file, row.row, row.reason) for row in rows] == [
        ("", "folder/e.png", 3, "is cut short"),
        ("one/b.png", "folder/b.png", None, "'odd' is not mapped to a class"),
        ("one/c.png", "folder/c.png", None, "no row names it"),
        ("one/d.png", "folder/d.png", None, "is not in a class folder"),
        (
            "",
            "folder/notes.doc",
            None,
            "its name does not end like that of a known kind of picture",
        ),
    ]
    with pytest.raises(BadInputError, match=r"row 3 .*: is cut short; repair or remove it"):
        collected(records, skip_bad=False)


def test_columns_keep_their_texts_up_to_a_length_and_reserved_names_are_changed():
    images, _ = collected(
        [
            record("a.png", "joy", columns={"age": "7", "split": "x", "note": "n" * MAX_TEXT}),
            record("b.png", "sad", columns={"caption": "n" * (MAX_TEXT + 1), "age": ""}),
        ]
    )
    assert images.columns["age"].to_pylist() == ["7", None]
    assert images.columns["their_split"].to_pylist() == ["x", None]
    assert "note" in images.columns.column_names
    assert "caption" not in images.columns.column_names
    assert images.long_columns == ("caption",)
    names = ("age", "label", "votes_joy", "width", "subset")
    assert [free_name(name) for name in names] == [
        *("age", "their_label", "their_votes_joy", "their_width", "their_subset"),
    ]


def test_a_map_and_expected_counts_must_fit_what_is_found():
    records = [record("a.png", "happy", subset="train"), record("b.png", "happy", subset="test")]
    images, _ = collected(
        records, label_map={"happy": "joy"}, expect={"happy": 2, "train/happy": 1}
    )
    assert images.labels.tolist() == [1, 1]
    with pytest.raises(BadInputError, match=r"should hold 2 pictures of 'test/happy', .* holds 1;"):
        collected(records, label_map={"happy": "joy"}, expect={"test/happy": 2})
    with pytest.raises(BadInputError, match=r"should hold 1 pictures? of 'happy', .* holds 2;"):
        collected(records, label_map={"happy": "joy"}, expect={"happy": 1})
    with pytest.raises(BadInputError, match="maps 'glad', but one has happy"):
        collected(records, label_map={"happy": "joy", "glad": "joy"})
    unknown = dict.fromkeys(("z", "c", "y", "a", "x", "b"), "joy")
    with pytest.raises(BadInputError, match="maps 'z', but"):  # the first one of the map
        collected(records, label_map={"happy": "joy", **unknown})
    with pytest.raises(BadInputError, match="gives no pictures: one has happy"):
        collected(records)
    with pytest.raises(BadInputError, match="has no pictures in class folders"):
        collected([])


def test_a_name_in_the_sources_file_may_be_written_in_either_form_of_unicode():
    composed, apart = (normalize(form, "gaîté") for form in ("NFC", "NFD"))
    for theirs, ours in ((composed, apart), (apart, composed)):
        records = [record("a.png", theirs, subset="val")]
        images, _ = collected(records, label_map={ours: "joy"}, expect={f"val/{ours}": 1})
        assert images.labels.tolist() == [1]


def test_a_long_text_of_a_picture_that_is_left_out_removes_no_column():
    records = [
        record("a.png", "joy", columns={"note": "short"}),
        record("b.png", "other", columns={"note": "n" * (MAX_TEXT + 1)}),
    ]
    images, _ = collected(records)
    assert images.columns["note"].to_pylist() == ["short"]
    assert images.long_columns == ()
