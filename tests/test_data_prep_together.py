"""Pictures of one person stay on one side of splits and folds; where they do not, it is told."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.__main__ import main
from data_prep.fingerprint import check_content
from data_prep.folders import prepare_folders
from data_prep.manifest import DatasetManifest
from data_prep.reader import folds_of, read_dataset
from data_prep.together import joined_groups, leaks, numbered, values_together
from fairsweep.errors import UserError
from tests.support.dataset_factory import labelled_images, write_labelled
from tests.support.fer_factory import write_small_csv

COUNT = 600
PEOPLE = 40


def people(**changes):
    """600 pictures of 40 people, a tenth of them of nobody known, in three classes."""
    generator = np.random.default_rng(1)
    names = [f"p{number}" for number in generator.integers(0, PEOPLE, COUNT)]
    cells = [None if row % 10 == 0 else name for row, name in enumerate(names)]
    return labelled_images(
        image_ids=[str(row) for row in range(COUNT)],
        sources=["one"] * COUNT,
        pixels=generator.integers(0, 256, (COUNT, 6, 9), dtype=np.uint8),
        labels=generator.integers(0, 3, COUNT),
        soft_labels=None,
        columns={"person": pa.array(cells, pa.string())},
        **changes,
    )


def write(tmp_path, images=None, groups=None, details=None, **recipe):
    return write_labelled(
        tmp_path / "out",
        people() if images is None else images,
        recipe=recipe,
        groups=np.arange(COUNT) if groups is None else groups,
        details=details or {},
    )


def sides(values, of):
    """How many different sides the pictures of each value lie on, at most."""
    return max(len(set(of[values == value].tolist())) for value in set(values.tolist()) - {""})


def test_a_person_stays_on_one_side_of_splits_and_folds_of_any_number(tmp_path):
    manifest = write(tmp_path, together="person")
    dataset = read_dataset(tmp_path / "out")
    person, inside = dataset.columns["person"], dataset.folds >= 0
    assert sides(person, dataset.splits) == 1
    assert sides(person[inside], dataset.folds[inside]) == 1
    assert sides(person[inside], folds_of(dataset, 4, 1)[inside]) == 1
    shares = [sum(manifest.counts[split].values()) / COUNT for split in ("train", "val", "test")]
    np.testing.assert_allclose(shares, (0.70, 0.15, 0.15), atol=0.02)
    assert manifest.details["together"] == "person"
    assert "leaking_columns" not in manifest.details


def test_copies_of_pictures_of_two_people_join_them(tmp_path):
    groups = np.arange(COUNT)
    names = np.array([name or "" for name in people().columns["person"].to_pylist()])
    for one, other in (("p0", "p1"), ("p1", "p2")):
        groups[np.flatnonzero(names == other)[-1]] = np.flatnonzero(names == one)[0]
    groups = np.unique(groups, return_inverse=True)[1]
    write(tmp_path, groups=groups, together="person")
    dataset = read_dataset(tmp_path / "out")
    three = np.isin(dataset.columns["person"], ["p0", "p1", "p2"])
    assert len(set(dataset.split_groups[three].tolist())) == 1
    assert len(set(dataset.splits[three].tolist())) == 1
    alone = dataset.columns["person"] == ""
    assert len(set(dataset.split_groups[alone].tolist())) == alone.sum()
    assert len(set(dataset.duplicate_groups.tolist())) == COUNT - 2


def test_the_column_of_what_is_together_is_written_only_where_it_is_asked_for(tmp_path):
    write(tmp_path)
    assert "split_group" not in pq.read_schema(tmp_path / "out" / "images.parquet").names
    assert read_dataset(tmp_path / "out").split_groups is None


def test_what_is_together_is_part_of_the_fingerprint(tmp_path):
    """Folds of another number are dealt by it, though splits and ten folds be the same."""
    write(tmp_path, together="person")
    dataset = read_dataset(tmp_path / "out")
    check_content(dataset)
    path = tmp_path / "out" / "images.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("split_group")
    swapped = pa.array(dataset.split_groups[::-1])
    pq.write_table(table.set_column(place, "split_group", swapped), path)
    with pytest.raises(UserError, match="does not hold the pictures"):
        check_content(read_dataset(tmp_path / "out"))


def test_a_person_on_both_sides_is_told_where_nobody_asked(tmp_path, capsys):
    manifest = write(tmp_path, details={"warnings": ["a margin"]})
    dataset = read_dataset(tmp_path / "out")
    person, train = dataset.columns["person"], dataset.splits == "train"
    both = set(person[train].tolist()) & set(person[~train].tolist()) - {""}
    pictures = int(np.isin(person[~train], list(both)).sum())
    assert len(both) > PEOPLE / 2
    assert manifest.details["leaking_columns"] == {
        "person": {"values": PEOPLE, "on_both_sides": len(both), "pictures": pictures}
    }
    sentence = (
        f"{len(both)} of the 40 values of 'person' have pictures in train and in validation or "
        f"test, where {pictures} pictures have such a value; together: person keeps them on one "
        "side"
    )
    assert manifest.details["warnings"] == ["a margin", sentence], "after those of the sources"
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert sentence in " ".join(capsys.readouterr().out.split())


def test_an_official_split_that_parts_people_stays_and_is_told(tmp_path):
    given = np.array(["train", "test"])[(np.arange(COUNT) % 5 == 0).astype(int)]
    manifest = write(tmp_path, people(given=given), split="given", together="person")
    dataset = read_dataset(tmp_path / "out")
    np.testing.assert_array_equal(dataset.splits == "test", given == "test")
    inside = dataset.splits != "test"
    assert sides(dataset.columns["person"][inside], dataset.splits[inside]) == 1
    assert manifest.details["leaking_columns"]["person"]["on_both_sides"] > 20
    assert manifest.details["warnings"][-1].endswith(
        "; split grouped with together: person keeps them on one side, which split given does not"
    )


@pytest.mark.parametrize(
    ("name", "values", "each", "told"),
    [
        ("Patient ID", 5, 4, True),
        ("subjects", 5, 4, True),
        ("scene_id", 5, 1, False),  # nothing is shared
        ("gender", 5, 4, False),
        ("tube", 60, 3, True),
        ("tube", 50, 3, True),
        ("tube", 49, 3, False),  # too few values for a name that says nothing
        ("subjects", 5, 2, True),
        ("age", 60, 3, False),
        ("subset", 60, 3, False),
        ("folder", 1, 40, False),  # one value parts nothing
    ],
)
def test_a_column_looks_like_people_by_its_name_or_its_many_values(name, values, each, told):
    cells = pa.array([f"v{row % values}" for row in range(values * each)])
    splits = np.array(["train", "test"])[(np.arange(values * each) % 7 == 0).astype(int)]
    found = leaks({name: cells}, ["one"] * len(cells), splits, None)
    assert bool(found) is told


def test_a_column_in_which_most_values_are_single_is_no_grouping():
    """Nine pictures of five values: fewer than two each."""
    cells = pa.array(["a", "a", "b", "b", "c", "c", "d", "d", "e"])
    splits = np.array(["train", "test"] * 4 + ["train"])
    assert leaks({"subject": cells}, ["one"] * 9, splits, None) == {}
    ten = pa.array([*cells.to_pylist(), "e"])
    (found,) = leaks({"subject": ten}, ["one"] * 10, np.append(splits, "val"), None).values()
    assert found == {"values": 5, "on_both_sides": 5, "pictures": 5}


def test_of_columns_without_text_only_the_one_that_stays_together_is_checked():
    cells = pa.array([7, 7, 8, 8, 9], pa.int32())
    splits = np.array(["train", "val", "train", "train", "test"])
    assert leaks({"person": cells}, ["one"] * 5, splits, None) == {}
    assert leaks({"person": cells}, ["one"] * 5, splits, "person") == {
        "person": {"values": 3, "on_both_sides": 1, "pictures": 1}
    }


def test_values_are_numbered_from_0_and_one_value_is_not_none():
    assert values_together("who", {"who": pa.array(["x", None])}, ["a", "a"]).tolist() == [0, -1]
    with pytest.raises(UserError, match="together: column 'who' is empty; name another"):
        values_together("who", {"who": pa.array(["", None])}, ["a", "a"])


def test_equal_names_in_two_sources_are_two_people():
    values = numbered(pa.array(["1", "2", "1", None]), ["a", "a", "b", "b"])
    assert len(set(values.tolist())) == 4
    assert values[3] == -1


def test_groups_are_joined_through_both_kinds_of_links():
    groups = joined_groups(np.array([0, 1, 1, 2, 3, 4]), np.array([0, 0, 1, 1, -1, -1]))
    assert len(set(groups[:4].tolist())) == 1
    assert len(set(groups.tolist())) == 3


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"together": "face"}, "there is no column 'face'; the pictures have person"),
        ({"together": "person", "split": "random"}, "which split random does not; use split"),
    ],
)
def test_what_cannot_be_kept_together_is_refused(tmp_path, recipe, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path, **recipe)


def test_too_few_people_for_three_splits_are_refused(tmp_path):
    cells = pa.array(["a", "b"] * (COUNT // 2))
    with pytest.raises(UserError, match="'person' has only 2 values, so"):
        write(tmp_path, labelled_images_of(cells), together="person")
    assert not (tmp_path / "out").exists()


def labelled_images_of(cells):
    images = people()
    return labelled_images(
        **{name: getattr(images, name) for name in ("image_ids", "sources", "pixels", "labels")},
        soft_labels=None,
        columns={"person": cells},
    )


def test_the_option_reaches_fer2013_with_a_csv_of_people(tmp_path):
    pictures, votes = write_small_csv(tmp_path / "small")
    groups = tmp_path / "people.csv"
    rows = "".join(f"fer2013/{row:05d},p{row % 20}\n" for row in range(300))
    groups.write_text(f"image_id,person\n{rows}")
    out = tmp_path / "out"
    arguments = ["fer2013", "--images", str(pictures), "--votes", str(votes), "--out", str(out)]
    options = ["--groups", str(groups), "--together", "person", "--no-near-duplicates"]
    assert main([*arguments, *options]) == 0
    dataset = read_dataset(out)
    assert sides(dataset.columns["person"], dataset.splits) == 1
    assert DatasetManifest.read(out).details["together"] == "person"


def test_the_sources_file_can_name_the_column(tmp_path):
    write(tmp_path)
    config = tmp_path / "sources.yaml"
    config.write_text(
        "classes: [neutral, angry, focused]\nimage_size: 8\ntogether: person\n"
        f"sources: [{{name: old, dataset: {tmp_path / 'out'}}}]\n"
    )
    prepare_folders(config=config, out=tmp_path / "again", near_duplicates=False)
    dataset = read_dataset(tmp_path / "again")
    assert sides(dataset.columns["person"], dataset.splits) == 1
    with pytest.raises(UserError, match="there is no column 'scene'"):  # the option goes before
        prepare_folders(config=config, out=tmp_path / "b", near_duplicates=False, together="scene")
