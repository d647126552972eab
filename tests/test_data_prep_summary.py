import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from data_prep.inspection import Copies, Inspection
from data_prep.manifest import DatasetManifest
from data_prep.summary import print_inspection, print_summary, summary

MANIFEST = DatasetManifest(
    name="my set",
    classes=("neutral", "angry"),
    image_shape=(6, 9),
    mean=0.25,
    std=0.125,
    counts={
        "train": {"neutral": 1200, "angry": 34},
        "val": {"neutral": 500, "angry": 7},
        "test": {"neutral": 60, "angry": 8},
    },
    steps=(
        {"step": "look", "removed": 2001, "left": 4000},
        {"step": "smell", "removed": 2191, "left": 1809},
    ),
    label_rule="by hand",
    split_method="grouped",
    split_seed=13,
    duplicates={"groups": 1111, "surplus": 2222, "across_splits": 3333},
    details={"note": 1},
    versions={"python": "3.11"},
    fingerprint="abc123",
)
"""Every number is another one."""
FOUND = {
    "found": [
        {"source": "z", "folder": "wut", "subset": "test", "class": "angry", "pictures": 1501},
        {"source": "z", "folder": "wut", "subset": "train", "class": "angry", "pictures": 1502},
        {"source": "a", "folder": "ruhe", "subset": "", "class": None, "pictures": 1503},
    ],
    "repeated": 4444,
    "repeated_with_another_label": 5555,
    "sources": {
        "z": {
            "neutral": {"train": 71, "val": 72, "test": 1073},
            "angry": {"train": 81, "val": 82, "test": 83},
        },
        "a": {"neutral": {"train": 91, "val": 92, "test": 93}},
    },
}


def printed(manifest):
    """The lines, and the cells of each row of the tables."""
    stream = io.StringIO()
    print_summary(manifest, Console(file=stream, width=300))
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    rows = [
        [cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")]
        for line in lines
        if "│" in line or "┃" in line
    ]
    return lines, rows


def test_a_machine_gets_the_facts_of_the_manifest():
    assert summary(MANIFEST) == {
        "name": "my set",
        "images": 1809,
        "image_shape": [6, 9],
        "channels": 1,
        "classes": {"neutral": 1760, "angry": 49},
        "splits": MANIFEST.counts,
        "duplicates": MANIFEST.duplicates,
        "steps": list(MANIFEST.steps),
        "label_rule": "by hand",
        "split_method": "grouped",
        "split_seed": 13,
        "mean": 0.25,
        "std": 0.125,
        "details": {"note": 1},
        "versions": {"python": "3.11"},
        "fingerprint": "abc123",
    }
    assert list(summary(MANIFEST)["classes"]) == ["neutral", "angry"]


def test_a_person_gets_the_same_in_words_and_tables():
    lines, rows = printed(MANIFEST)
    assert lines[0] == "my set: 1,809 gray pictures of 6×9 pixels, labelled by the rule 'by hand'"
    assert rows == [
        ["cleaning step", "removed", "left"],
        ["look", "2,001", "4,000"],
        ["smell", "2,191", "1,809"],
        ["class", "train", "val", "test", "all"],
        ["neutral", "1,200", "500", "60", "1,760"],
        ["angry", "34", "7", "8", "49"],
        ["all", "1,234", "507", "68", "1,809"],
    ]
    assert (
        "groups of duplicates: 1,111, with 2,222 surplus copies; validation and test pictures with "
        "a copy in train: 3,333 (split 'grouped', seed 13)"
    ) in lines
    assert lines[-1] == "fingerprint abc123"
    assert printed(replace(MANIFEST, channels=3))[0][0].startswith("my set: 1,809 colour pictures")
    assert not any(line.startswith(("group columns", "rows by")) for line in lines)


def test_a_hundred_classes_fit_a_terminal_and_keep_their_brackets():
    classes = tuple(f"class [{number}] :smile:" for number in range(100))
    counts = {split: dict.fromkeys(classes, 1000) for split in ("train", "val", "test")}
    stream = io.StringIO()
    console = Console(file=stream, width=80, markup=False, emoji=False)
    print_summary(replace(MANIFEST, classes=classes, counts=counts), console)
    for name in classes:
        assert re.search(
            rf"{re.escape(name)} +│ +1,000 │ +1,000 │ +1,000 │ +3,000 │", stream.getvalue()
        )


def test_annotated_pictures_are_counted_by_split():
    details = {"annotated": {"train": 326, "val": 88, "test": 86}}
    assert (
        "of your 500 annotated pictures 88 are in validation, 326 in train, 86 in test"
    ) in printed(replace(MANIFEST, details=details))[0]


def test_copies_in_several_given_splits_are_told_where_there_are_any():
    copies = {"groups": 1234, "groups_of_several_labels": 5, "pictures": {}}
    told, _ = printed(replace(MANIFEST, details={"copies_across_splits": copies}))
    assert (
        "1,234 groups of duplicates lie in several of the given splits, 5 of them with several "
        "labels; copies_across_splits.csv lists their pictures"
    ) in told
    none = {"groups": 0, "groups_of_several_labels": 0, "pictures": {}}
    assert printed(replace(MANIFEST, details={"copies_across_splits": none})) == printed(MANIFEST)


def test_a_merge_is_told_as_it_was_found_and_as_it_is_now():
    lines, rows = printed(replace(MANIFEST, details=FOUND))
    assert rows[:3] == [
        ["source", "folder", "class", "train", "test", "pictures"],
        ["z", "wut", "angry", "1,502", "1,501", "0"],
        ["a", "ruhe", "left out", "0", "0", "1,503"],
    ]
    assert rows[-4:] == [
        ["source", "class", "train", "val", "test", "all"],
        ["z", "neutral", "71", "72", "1,073", "1,216"],
        ["z", "angry", "81", "82", "83", "246"],
        ["a", "neutral", "91", "92", "93", "276"],
    ]
    assert (
        "4,444 pictures are in an earlier source too, 5,555 of them under another label; "
        "rejected.csv lists each with its original"
    ) in lines


def test_votes_are_told_by_their_number():
    details = {
        "nf_votes": {"0": 1100, "10": 7},
        "unknown_votes_where_nf_is_0": {"0": 900, "1": 1200},
    }
    lines, _ = printed(replace(MANIFEST, details=details))
    assert lines[1:3] == [
        "rows by number of NF votes: 0: 1,100; 10: 7",
        "rows by number of unknown votes, where NF has none: 0: 900; 1: 1,200",
    ]


@pytest.mark.parametrize(
    ("empty", "told"), [({"age": 1005, "sex": 6}, "1,005 in age, 6 in sex"), ({}, "none")]
)
def test_group_columns_are_told_with_what_does_not_fit(empty, told):
    notes = {"unknown_ids": 1001, "pictures_without": 1002, "empty_cells": empty}
    lines, _ = printed(replace(MANIFEST, details={"group_columns": notes}))
    assert (
        "group columns: 1,001 ids match no picture, 1,002 pictures have no row, "
        f"empty cells: {told}"
    ) in lines


def test_of_many_classes_and_folders_the_sums_by_source_are_told():
    found = [
        {"source": "z", "folder": f"f{n}", "subset": "", "class": "c" if n else None, "pictures": 7}
        for n in range(70)
    ]
    found += [{**one, "subset": "test"} for one in found[:3]]
    of_split = {"train": 10, "val": 2, "test": 1}
    sources = {
        "z": {f"c{n}": of_split for n in range(50)},
        "a": {f"c{n}": of_split for n in range(20)},
    }
    _, rows = printed(replace(MANIFEST, details={**FOUND, "found": found, "sources": sources}))
    assert rows[:2] == [
        ["source", "folders", "pictures", "left-out folders", "their pictures"],
        ["z", "70", "511", "1", "14"],
    ]
    assert rows[-2:] == [
        ["z", "all 50", "500", "100", "50", "650"],
        ["a", "all 20", "200", "40", "20", "260"],
    ]


def test_one_source_is_not_told_twice():
    details = {**FOUND, "sources": {"z": FOUND["sources"]["z"]}}
    lines, rows = printed(replace(MANIFEST, details=details))
    assert ["source", "class", "train", "val", "test", "all"] not in rows
    assert not any("in an earlier source too" in line for line in lines)


def test_sixty_folders_are_listed_one_by_one():
    found = [
        {"source": "z", "folder": f"f{n}", "subset": "", "class": "c", "pictures": 7}
        for n in range(60)
    ]
    _, rows = printed(replace(MANIFEST, details={**FOUND, "found": found}))
    assert rows[1] == ["z", "f0", "c", "7"]
    assert rows[60] == ["z", "f59", "c", "7"]


@pytest.mark.parametrize(
    ("method", "way_out"),
    [
        ("given", "copies_across_splits.csv lists them"),
        ("random", "split 'grouped' avoids it"),
    ],
)
def test_pairs_of_labels_and_the_way_out_of_leaks_are_told(method, way_out):
    told = inspected(7, method)
    assert "in 7 of 7 groups of duplicates labels differ: a0 / b0 1, " in told
    assert "a4 / b4 1, and 2 more" in told
    assert f"accuracy on these is too high; {way_out}" in told
    assert " more" not in inspected(5, method), "five pairs are told one by one"


def inspected(groups, method):
    """What is printed of groups of two pictures with different labels and splits."""
    labels = [name for n in range(groups) for name in (f"a{n}", f"b{n}")]
    copies = Copies(
        image_ids=labels, labels=labels, splits=["train", "test"] * groups,
        groups=np.repeat(np.arange(groups), 2),
    )  # fmt: skip
    stream = io.StringIO()
    found = Inspection(reasons={}, copies=copies)
    print_inspection(replace(MANIFEST, split_method=method), found, Console(file=stream, width=300))
    return stream.getvalue()
