import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.class_folders import find_pictures, read_class_folders
from data_prep.margins import without_margin
from data_prep.pictures import resize_pixels
from data_prep.places import members
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile

CLASSES = ("neutral", "angry", "focused")
"""Not in sorted order."""
SIDE = 8


def noise(seed, height=8, width=12):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def put(path, pixels=None, *, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed) if pixels is None else pixels).save(path)


def read(path, rejections=None, **source):
    source = Source(name="my-source", path=path, **source)
    file = SourcesFile(classes=CLASSES, image_size=SIDE, sources=(source,))
    return read_class_folders(source, file, rejections or Rejections())


def found_in(path):
    source = Source(name="s", path=path)
    return find_pictures(source, SourcesFile(image_size=SIDE, sources=(source,)), Rejections())


def noted(rejections):
    return [(one.image_id, one.file, one.row, one.reason) for one in rejections._rows]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six pictures that are wider than high, in folders that need a map."""
    root = tmp_path_factory.mktemp("folders") / "my copies"
    for number, name in enumerate(
        ("Train/wut/b.png", "Train/wut/a.png", "Train/ruhe/c.PNG", "Valid/ruhe/a.png",
         "testing/wut/z.png", "Train/froh/a.png")
    ):  # fmt: skip
        put(root / "deep" / name, seed=number)
    for name in ("deep/Train/wut/.hidden.png", "__MACOSX/deep/Train/wut/a.png", ".x/wut/a.png"):
        put(root / name)
    (root / "deep" / "Train" / "wut" / "notes.txt").write_text("no picture")
    return root


MAP = {"wut": "angry", "ruhe": "neutral"}


def test_pictures_come_in_the_order_of_their_paths_with_all_that_belongs_to_them(folders):
    images = read(folders, map=MAP)
    assert images.ids == [
        "my-source/Train/ruhe/c.PNG",
        "my-source/Train/wut/a.png",
        "my-source/Train/wut/b.png",
        "my-source/Valid/ruhe/a.png",
        "my-source/testing/wut/z.png",
    ]
    seeds = (2, 1, 0, 3, 4)
    wanted = [resize_pixels(noise(seed), (SIDE, SIDE)) for seed in seeds]
    np.testing.assert_array_equal(images.pixels, wanted)
    assert [CLASSES[label] for label in images.labels] == [
        "neutral", "angry", "angry", "neutral", "angry",
    ]  # fmt: skip
    assert images.columns.to_pydict() == {
        "subset": ["train", "train", "train", "val", "test"],
        "width": [12] * 5,
        "height": [8] * 5,
    }
    assert images.soft_labels is None
    assert (images.bad, images.with_margin) == (0, 0)


def test_what_lies_there_is_counted_by_class_and_subset(folders):
    assert read(folders, map=MAP).found == Counter(
        {
            ("wut", "train"): 2, ("wut", "test"): 1, ("ruhe", "train"): 1, ("ruhe", "val"): 1,
            ("froh", "train"): 1,
        }
    )  # fmt: skip


def test_what_is_mapped_to_nothing_is_left_out_by_name(folders):
    rejections = Rejections()
    read(folders, rejections, map=MAP)
    assert noted(rejections) == [
        (
            "my-source/Train/froh/a.png", "my copies/deep/Train/froh/a.png", None,
            "'froh' is not mapped to a class",
        ),
        (
            "", "my copies/deep/Train/wut/notes.txt", None,
            "its name does not end like that of a known kind of picture",
        ),
    ]  # fmt: skip


def test_without_a_map_their_names_are_ours(tmp_path):
    for name in ("angry/a.png", "neutral/b.png", "Focused/c.png"):
        put(tmp_path / name)
    images = read(tmp_path)
    assert [CLASSES[label] for label in images.labels] == ["angry", "neutral"]


def test_pictures_without_a_class_folder_are_taken_where_the_map_names_them(tmp_path):
    for name in ("a.png", "b.png", "froh/c.png"):
        put(tmp_path / name)
    images = read(tmp_path, map={".": "angry"})
    assert images.ids == ["my-source/a.png", "my-source/b.png"]


def test_an_archive_is_gone_through_once(tmp_path, folders, monkeypatch):
    shutil.copytree(folders, tmp_path / "copy")
    (tmp_path / "copy" / "notes.csv").write_text("file,remark\na.png,nice\n")
    archive = shutil.make_archive(str(tmp_path / "copy"), "gztar", tmp_path / "copy")
    walks = []

    def counted(*words):
        walks.append(words)
        return members(*words)

    monkeypatch.setattr("data_prep.trees.members", counted)
    assert len(read(Path(archive), map=MAP).ids) == 5
    assert len(walks) == 1


@pytest.mark.parametrize(
    ("folder", "theirs", "subset", "inner"),
    [
        ("angry/train", "angry", "train", "angry/train"),
        ("validation/angry", "angry", "val", "validation/angry"),
        ("a/TEST/angry", "angry", "test", "TEST/angry"),
        ("a/angry/Training", "angry", "train", "angry/Training"),
        ("train/a/angry", "angry", "", "angry"),  # too far above to divide the source
    ],
)
def test_subsets_lie_right_above_or_below_the_class_folders(
    tmp_path, folder, theirs, subset, inner
):
    put(tmp_path / "top" / folder / "x.png")
    images = read(tmp_path)
    assert images.found == Counter({(theirs, subset): 1})
    assert images.columns["subset"].to_pylist() == [subset or None]
    assert images.ids == [f"my-source/{inner}/x.png"]


def test_ids_are_those_of_any_copy_however_deep_it_lies(tmp_path):
    """The root is the deepest folder that holds all class folders, not the first one's."""
    for top in ("", "a/b"):
        put(tmp_path / "copy" / top / "one" / "angry" / "x.png")
        put(tmp_path / "copy" / top / "two" / "neutral" / "x.png")
        images = read(tmp_path / "copy" / top)
        assert images.ids == ["my-source/one/angry/x.png", "my-source/two/neutral/x.png"]
        images = read(tmp_path / "copy") if top == "a/b" else images
    with zipfile.ZipFile(tmp_path / "copy.zip", "w") as archive:
        for name in ("two/neutral/x.png", "one/angry/x.png"):  # in no order
            archive.write(tmp_path / "copy" / "a/b" / name, f"deep/{name}")
    assert read(tmp_path / "copy.zip").ids == [
        "my-source/one/angry/x.png",
        "my-source/two/neutral/x.png",
    ]


def test_a_table_elsewhere_labels_pictures_whatever_their_folders_are_called(tmp_path):
    """They are read although no folder has the name of a class."""
    for name in ("x.png", "neutral/y.png", "z.png"):
        put(tmp_path / "set" / name)
    labels = tmp_path / "my labels.csv"
    labels.write_text("file,label,age\nx.png,focused,7\nneutral/y.png,angry,\n")
    rejections = Rejections()
    images = read(tmp_path / "set", rejections, labels=labels)
    found = dict(zip(images.ids, [CLASSES[label] for label in images.labels], strict=True))
    assert found == {"my-source/neutral/y.png": "angry", "my-source/x.png": "focused"}
    assert images.columns["age"].to_pylist() == [None, "7"]
    assert noted(rejections) == [("my-source/z.png", "set/z.png", None, "no row names it")]


def test_a_split_is_that_of_the_row_then_of_the_folders_then_of_the_name_of_the_table(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/val/3.png", "b/4.png"):
        put(tmp_path / name)
    (tmp_path / "Test-set.csv").write_text(
        "file,label,split\na/1.png,x,train\na/2.png,y,later\nb/val/3.png,x,\nb/4.png,y,\n"
    )
    found = found_in(tmp_path)
    assert [(one.name, one.subset) for one in found.records] == [
        ("a/1.png", "train"), ("a/2.png", ""), ("b/4.png", "test"), ("b/val/3.png", "val"),
    ]  # fmt: skip
    assert found.odd_subsets == Counter({"later": 1})


def test_a_table_without_labels_adds_its_columns_to_those_of_the_folders(tmp_path):
    for name in ("dog/ann/1.png", "cat/2.png", "cat/3.png"):
        put(tmp_path / name)
    (tmp_path / "people.csv").write_text("file,age\n1.png,7\n2.png,8\n")
    found = found_in(tmp_path)
    assert [(one.name, one.label, one.columns) for one in found.records] == [
        ("cat/2.png", "cat", {"age": "8"}),
        ("cat/3.png", "cat", {}),
        ("dog/ann/1.png", "dog", {"folder": "ann", "age": "7"}),
    ]


def test_a_table_whose_labels_are_all_empty_labels_no_picture(tmp_path):
    for name in ("dog/1.png", "dog/2.png", "cat/3.png"):
        put(tmp_path / name)
    (tmp_path / "test.csv").write_text("file,label\ndog/1.png,\ndog/2.png,\n")
    found = found_in(tmp_path)
    assert [(one.name, one.label, one.why_unlabelled) for one in found.records] == [
        ("cat/3.png", "", "no row names it"),
        ("1.png", "", "has no label"),
        ("2.png", "", "has no label"),
    ]


def test_folders_below_a_class_are_a_column_where_there_are_any(tmp_path):
    for name in ("dog/ann/1.png", "dog/2.png", "cat/bob/new/3.png"):
        put(tmp_path / name)
    found = found_in(tmp_path)
    assert [(one.name, one.label, one.columns) for one in found.records] == [
        ("cat/bob/new/3.png", "cat", {"folder": "bob/new"}),
        ("dog/2.png", "dog", {}),
        ("dog/ann/1.png", "dog", {"folder": "ann"}),
    ]


def test_persons_below_some_of_the_named_classes_are_a_column_too(tmp_path):
    for name in ("dog/ann/1.png", "dog/bob/2.png", "cat/bob/3.png"):
        put(tmp_path / name)
    source = Source(name="s", path=tmp_path)
    file = SourcesFile(classes=("dog", "cat"), image_size=SIDE, sources=(source,))
    found = find_pictures(source, file, Rejections())
    assert [(one.label, one.columns) for one in found.records] == [
        ("cat", {"folder": "bob"}), ("dog", {"folder": "ann"}), ("dog", {"folder": "bob"}),
    ]  # fmt: skip


def test_a_bad_picture_is_refused_or_counted(tmp_path):
    put(tmp_path / "set" / "angry" / "a.png")
    (tmp_path / "set" / "angry" / "b c.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match=r"^set/angry/b c.png: no picture of .*; repair or"):
        read(tmp_path / "set")
    rejections = Rejections(skip_bad=True)
    images = read(tmp_path / "set", rejections)
    assert (len(images.ids), images.bad) == (1, 1)
    assert images.found == Counter({("angry", ""): 2})
    assert noted(rejections)[0][1] == "set/angry/b c.png"


def test_a_margin_is_counted_and_trimmed_only_where_asked(tmp_path):
    inner = noise(5, 10, 20) // 2
    put(tmp_path / "angry" / "a.png", np.pad(inner, 3, constant_values=255))
    put(tmp_path / "neutral" / "b.png", inner)
    whole = np.pad(inner, 3, constant_values=255)
    for trim, first in ((True, inner), (False, whole)):
        images = read(tmp_path, trim_margin=trim)
        assert images.with_margin == 1
        assert images.columns["width"].to_pylist() == [26, 20]  # as in the file
        assert images.columns["height"].to_pylist() == [16, 10]
        wanted = [resize_pixels(one, (SIDE, SIDE)) for one in (first, inner)]
        np.testing.assert_array_equal(images.pixels, wanted)


def framed(sides, *, inside=100, edge=200):
    """A picture of 20 × 30 in a margin of the given widths: top, bottom, left, right."""
    top, bottom, left, right = sides
    picture = np.full((20, 30), inside, dtype=np.uint8)
    return np.pad(picture, ((top, bottom), (left, right)), constant_values=edge)


@pytest.mark.parametrize(
    ("sides", "shape"),
    [
        ((4, 4, 4, 4), (20, 30)),
        ((4, 5, 6, 4), (20, 30)),  # two pixels more on a side are still margin
        ((4, 9, 4, 4), (23, 30)),  # what is wider than that belongs to the picture
        ((4, 4, 4, 7), (20, 31)),
        ((0, 4, 4, 4), (24, 38)),  # a margin is on all four sides
        ((4, 4, 0, 4), (28, 34)),
    ],
)
def test_a_margin_is_on_all_sides_and_about_as_wide_on_each(sides, shape):
    trimmed = without_margin(framed(sides))
    assert trimmed.shape == shape


def test_what_is_trimmed_is_the_margin_on_its_own_side():
    """Top 1 and left 2 are trimmed; the picture's first pixel is marked."""
    gray = framed((1, 2, 2, 3))
    gray[1, 2] = 7
    trimmed = without_margin(gray)
    assert trimmed.shape == (20, 30)
    assert trimmed[0, 0] == 7


@pytest.mark.parametrize(("inside", "shape"), [(192, (28, 38)), (191, (20, 30)), (209, (20, 30))])
def test_gray_levels_of_a_margin_may_differ_by_eight(inside, shape):
    assert without_margin(framed((4, 4, 4, 4), inside=inside)).shape == shape


@pytest.mark.parametrize(("edge", "shape"), [(208, (20, 30)), (209, (28, 38))])
def test_the_edge_of_a_margin_may_differ_by_eight_too(edge, shape):
    gray = framed((4, 4, 4, 4))
    gray[0, 20] = edge
    assert without_margin(gray).shape == shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"map": {"rage": "angry"}},
            "maps 'rage', but .*deep has froh, ruhe, wut; correct its map",
        ),
        (
            {"map": {"wut": None}},
            "'my-source' gives no pictures: .*deep has froh, ruhe, wut, and none",
        ),
        ({}, "gives no pictures"),
        ({"expect": {"wut": 2}}, "should hold 2 pictures of 'wut', but .* holds 3; complete"),
        ({"expect": {"train/wut": 3}}, "should hold 3 pictures of 'train/wut', but .* holds 2;"),
        ({"expect": {"froh": 1, "cold": 1}}, "should hold 1 pictures of 'cold', but .* holds 0;"),
        ({"expect": {"val/ruhe": 0}}, "should hold 0 pictures of 'val/ruhe', but .* holds 1;"),
    ],
)
def test_a_source_that_is_not_as_the_file_says_is_refused(folders, changes, message):
    with pytest.raises(BadInputError, match=message):
        read(folders / "deep", **({"map": MAP} if "expect" in changes else {}), **changes)


def test_a_source_that_is_as_the_file_says_is_taken(folders):
    expect = {"wut": 3, "train/wut": 2, "test/wut": 1, "val/ruhe": 1, "froh": 1, "train/cold": 0}
    assert len(read(folders, map=MAP, expect=expect).ids) == 5


def test_a_place_without_pictures_is_refused(tmp_path):
    (tmp_path / "angry").mkdir()
    (tmp_path / "angry" / "x.heic").write_bytes(b"none of ours")
    with pytest.raises(BadInputError, match=r"has no pictures in class folders \(.png, .apng"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(Path("nowhere"))


def test_classes_named_as_subsets_are_not_dropped(tmp_path):
    """As in CIFAR-100, whose 91st class is called train."""
    for number, name in enumerate(("train/train", "train/angry", "test/train", "test/angry")):
        put(tmp_path / name / "1.png", seed=number)
    source = Source(name="s", path=tmp_path)
    file = SourcesFile(classes=("angry", "train"), image_size=SIDE, sources=(source,))
    images = read_class_folders(source, file, Rejections())
    assert images.labels.tolist() == [0, 1, 0, 1]
    assert images.columns["subset"].to_pylist() == ["test", "test", "train", "train"]
    assert images.ids[1] == "s/test/train/1.png"


def test_folders_written_by_a_mac_are_those_of_the_map_and_the_classes(tmp_path):
    put(tmp_path / "m" / "cafe\u0301" / "1.png")
    images = read(tmp_path, map={"caf\u00e9": "angry"}, expect={"caf\u00e9": 1})
    assert [CLASSES[label] for label in images.labels] == ["angry"]
    source = Source(name="s", path=tmp_path)
    assert source.class_of("cafe\u0301", ("x", "caf\u00e9")) == "caf\u00e9"


def test_what_pillow_reads_is_read_and_the_rest_is_counted_and_listed(tmp_path):
    put(tmp_path / "angry" / "a.png")
    for kind in ("tif", "TIFF", "gif", "pgm", "ppm", "jp2"):
        put(tmp_path / "angry" / f"b.{kind}")
    for name in ("c.heic", "d.HEIC", "README"):
        (tmp_path / "angry" / name).touch()
    rejections = Rejections()
    images = read(tmp_path, rejections)
    assert len(images.ids) == 7
    assert images.passed_over == Counter({".heic": 2, "": 1})
    assert [Path(file).name for _, file, _, _ in noted(rejections)] == [
        "README",
        "c.heic",
        "d.HEIC",
    ]


def test_pictures_of_12_bits_and_of_several_frames_are_counted(tmp_path):
    put(tmp_path / "angry" / "a.png", noise(1).astype(np.uint16) * 16)
    put(tmp_path / "angry" / "b.png", noise(2).astype(np.uint16) * 256)
    first, second = (Image.fromarray(noise(seed)) for seed in (3, 4))
    first.save(tmp_path / "angry" / "c.gif", save_all=True, append_images=[second])
    images = read(tmp_path)
    assert images.of_bits == Counter({12: 1})
    assert images.with_frames == 1
    wanted = [resize_pixels(noise(seed), (SIDE, SIDE)) for seed in (1, 2, 3)]
    np.testing.assert_array_equal(images.pixels, wanted)


def test_a_damaged_table_in_an_archive_is_listed_among_the_files_that_are_not_read(tmp_path):
    put(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "angry/a.png")
        archive.writestr("people.csv", "file,age\na.png,7\n")
    damaged = (tmp_path / "set.zip").read_bytes().replace(b"a.png,7", b"a.png,8")
    (tmp_path / "set.zip").write_bytes(damaged)
    rejections = Rejections()
    images = read(tmp_path / "set.zip", rejections)
    assert images.passed_over == Counter({".csv": 1})
    assert [(file, row) for _, file, row, _ in noted(rejections)] == [("set.zip:people.csv", None)]
    assert images.ids == ["my-source/angry/a.png"]


def test_a_picture_that_is_damaged_in_an_archive_is_refused_with_the_reason(tmp_path):
    put(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "angry/a.png")
    packed = (tmp_path / "set.zip").read_bytes()
    (tmp_path / "set.zip").write_bytes(packed.replace(content, content[:-1] + b"?"))
    with pytest.raises(BadInputError, match=r"^set.zip:angry/a.png: .*Bad CRC-32"):
        read(tmp_path / "set.zip")


def test_what_leads_out_of_an_archive_is_refused_or_listed(tmp_path):
    put(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "angry/a.png")
        archive.writestr("../evil.png", b"x")
    with pytest.raises(BadInputError, match="leads out of the archive"):
        read(tmp_path / "set.zip")
    rejections = Rejections(skip_bad=True)
    assert read(tmp_path / "set.zip", rejections).ids == ["my-source/angry/a.png"]
    ((_, file, _, reason),) = noted(rejections)
    assert "evil.png" in file
    assert "leads out of the archive" in reason
