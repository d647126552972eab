"""What is told of how sources were read."""

from collections import Counter

import numpy as np
import pyarrow as pa

from data_prep.collecting import SourceImages
from data_prep.sources_file import Source, SourcesFile
from data_prep.telling import how_read, pictures_found

FILE = SourcesFile(
    classes=("joy", "anger"),
    sources=(Source(name="one", path="one", map={"happy": "joy", "mad": "anger", "odd": None}),),
)


def part(count=4, **facts):
    sides = pa.array([48] * (count - 1) + [60] if count > 1 else [48])
    return SourceImages(
        **{
            "ids": [f"one/{n}" for n in range(count)],
            "pixels": np.zeros((count, 48, 48), np.uint8),
            "labels": np.zeros(count, np.int64),
            "columns": pa.table({"width": sides, "height": sides}),
            "found": Counter({("happy", ""): count}),
            **facts,
        }
    )


def told(file=FILE, **facts):
    return list(how_read(file, [part(**facts)]))


def test_nothing_is_told_of_a_source_that_is_read_as_it_is():
    assert told() == []


def test_margins_are_told_if_more_than_half_of_the_pictures_have_one():
    assert told(with_margin=2) == []
    (line,) = told(with_margin=3)
    assert line.startswith("3 of the 4 pictures of 'one' have a margin of one colour")
    trimmed = FILE.sources[0].model_copy(update={"trim_margin": True})
    assert told(FILE.model_copy(update={"sources": (trimmed,)}), with_margin=4) == []


def test_pictures_that_are_enlarged_are_told_only_if_all_have_one_smaller_size():
    small = pa.table({"width": [32, 32], "height": [32, 32]})
    (line,) = told(count=2, columns=small)
    assert line == (
        "all pictures of 'one' are 32×32 pixels and are enlarged to 48×48; image_size 32 keeps "
        "them as they are"
    )
    for sides in ([32, 40], [48, 48], [64, 64]):
        assert told(count=2, columns=pa.table({"width": sides, "height": sides})) == []
    oblong = pa.table({"width": [32, 32], "height": [30, 30]})
    assert told(count=2, columns=oblong) == []


def test_files_bits_frames_columns_and_splits_are_told_with_their_numbers():
    lines = told(
        passed_over=Counter({".txt": 2}),
        of_bits=Counter({12: 3, 10: 1}),
        with_frames=1,
        long_columns=("caption",),
        odd_subsets=Counter({"extra": 5}),
        in_colour=True,
    )
    starts = [
        "'one': 2 files are not pictures of a known kind and not read: 2 .txt",
        "1 of the 4 pictures of 'one' use 10 bits of their files' 16",
        "3 of the 4 pictures of 'one' use 12 bits of their files' 16",
        "1 pictures of 'one' have several frames; only the first is read",
        "the pictures of 'one' are made gray",
        "columns of 'one' with texts of more than 200 characters are left out: caption",
        "5 pictures of 'one' have the split 'extra'",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


def test_pictures_are_counted_by_folder_and_subset_with_the_class_that_they_become():
    found = Counter({("mad", "train"): 2, ("happy", "train"): 3, ("odd", ""): 1, ("", ""): 4})
    assert list(pictures_found(FILE, [part(found=found)])) == [
        {"source": "one", "folder": "no label", "subset": "", "class": None, "pictures": 4},
        {"source": "one", "folder": "happy", "subset": "train", "class": "joy", "pictures": 3},
        {"source": "one", "folder": "mad", "subset": "train", "class": "anger", "pictures": 2},
        {"source": "one", "folder": "odd", "subset": "", "class": None, "pictures": 1},
    ]


def test_without_a_map_folders_that_are_no_class_become_none():
    plain = FILE.sources[0].model_copy(update={"map": None})
    found = Counter({("joy", ""): 3, ("other", ""): 1})
    lines = pictures_found(FILE.model_copy(update={"sources": (plain,)}), [part(found=found)])
    assert [(line["folder"], line["class"]) for line in lines] == [("joy", "joy"), ("other", None)]
