"""Which group a picture is in: the dataset's columns, a CSV, and what needs no annotation."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.groups.annotations import _terciles, has_annotated_groups, read_groups
from analysis.run.dataset import DatasetLeftOutError
from analysis.run.run_data import RunData
from tests.support.run_factory import default_info
from tune.run.directory import GROUPS_FILE

COUNT = 21
IDS = [f"p{number:02d}" for number in range(COUNT)]


def images(**columns):
    """A table of pictures of 2 × 3 pixels that get brighter by number; contrast is shuffled."""
    signs = np.array([1, -1, 1, -1, 1, -1])
    pixels = [(80 + 5 * k + signs * (1 + k * 8 % COUNT)).astype(np.uint8) for k in range(COUNT)]
    table = {
        "image_id": IDS,
        "source": ["drawn"] * COUNT,
        "split": ["train", "val", "test"] * 7,
        "label": ["bored", "angry", "bored"] * 7,
        "pixels": pa.array([one.tobytes() for one in pixels], pa.binary(6)),
        "content_hash": [f"h{number}" for number in range(COUNT)],
        **columns,
    }
    return pa.table(table)


def run_on(place: Path, table, name="a run"):
    """A run whose dataset holds ``table``."""
    data, path = place / "the data", place / name
    for folder in (data, path):
        folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, data / "images.parquet")
    (data / "manifest.json").write_text(json.dumps({"fingerprint": "f"}))
    nothing = pd.DataFrame()
    return RunData(
        path=path,
        info=default_info(),
        trials=nothing,
        measurements=nothing,
        provenance={"dataset": {"path": str(data), "fingerprint": "f"}},
        spec="",
    )


def groups_of(columns, name):
    return columns[name].astype(object).where(columns[name].notna(), None).tolist()


def test_brightness_and_contrast_are_cut_into_thirds_of_the_pictures_asked_for(tmp_path):
    table = images()
    found = read_groups(run_on(tmp_path, table), IDS[6:15]).columns
    assert found.index.tolist() == IDS[6:15]
    assert groups_of(found, "brightness") == ["dark"] * 3 + ["medium"] * 3 + ["bright"] * 3
    # Deviations of pixels: 7, 15, 2, 10, 18, 5, 13, 21, 8.
    low, medium, high = "low", "medium", "high"
    expected = [low, high, low, medium, high, low, medium, high, medium]
    assert groups_of(found, "contrast") == expected
    assert found["brightness"].cat.categories.tolist() == ["dark", "medium", "bright"]
    assert found["contrast"].cat.categories.tolist() == ["low", "medium", "high"]
    assert set(found) == {"brightness", "contrast"}


def test_groups_stand_in_the_order_asked_for(tmp_path):
    run = run_on(tmp_path, images(person=[f"{k % 2}" for k in range(COUNT)]))
    found = read_groups(run, ["p05", "p02", "p03"]).columns
    assert found.index.tolist() == ["p05", "p02", "p03"]
    assert groups_of(found, "person") == ["1", "0", "1"]


def test_agreement_is_low_to_a_half_and_high_from_four_fifths_on(tmp_path):
    votes = [(5, 5, 0), (51, 49, 0), (79, 20, 1), (8, 1, 1), (0, 10, 0), (0, 0, 0), (4, 3, 3)]
    votes = votes * 3
    columns = dict(zip(("votes_a", "votes_b", "votes_c"), np.array(votes).T, strict=True))
    found = read_groups(run_on(tmp_path, images(**columns)), IDS)
    expected = ["low", "medium", "medium", "high", "high", None, "low"]
    assert groups_of(found.columns, "tagger agreement")[:7] == expected
    assert "low to 50%, high from 80% on." in found.notes[-1]
    assert not any(name.startswith("votes_") for name in found.columns)


def test_twenty_values_divide_and_twenty_one_do_not(tmp_path):
    twenty = [f"g{min(k, 19)}" for k in range(COUNT)]
    table = images(twenty=twenty, each=IDS, same=["x"] * COUNT, some=["x", None, None] * 7)
    found = read_groups(run_on(tmp_path, table), IDS)
    assert list(found.columns) == ["twenty", "brightness", "contrast"]
    assert any(
        note.startswith("each is left out: 21 values, of at most 20") for note in found.notes
    )


def test_ranges_of_numbers_stand_in_the_order_of_the_numbers(tmp_path):
    ages = ["10 to 19", "5 to 9", "unknown"] * 7
    found = read_groups(run_on(tmp_path, images(age=ages)), IDS).columns
    assert found["age"].cat.categories.tolist() == ["5 to 9", "10 to 19", "unknown"]


def test_a_csv_goes_before_a_column_of_the_dataset_and_says_what_does_not_fit(tmp_path):
    run = run_on(tmp_path, images(age=["child", "adult", "adult"] * 7))
    csv = tmp_path / "my groups.csv"
    rows = ["image_id, age ,hat", " p00 ,old,yes", "p01,young,", "p02, old ,no", "p20,young,no"]
    csv.write_text("\ufeff" + "\n".join([*rows, "nobody,old,no", ""]), "utf-8")
    found = read_groups(run, ["p02", "p01", "p00", "p03", "p04"], csv)
    assert groups_of(found.columns, "age") == ["old", "young", "old", None, None]
    assert groups_of(found.columns, "hat") == ["no", None, "yes", None, None]
    assert found.notes[-1] == (
        "my groups.csv: 1 ids of no picture, 2 judged pictures that it does not name, "
        "empty cells: 1 in hat."
    )


def test_a_retrained_run_carries_its_csv_and_another_one_may_be_given(tmp_path):
    run = run_on(tmp_path, images())
    (run.path / GROUPS_FILE).write_text("image_id,hat\np00,yes\np01,no\n", "utf-8")
    assert groups_of(read_groups(run, IDS[:2]).columns, "hat") == ["yes", "no"]
    other = tmp_path / "other.csv"
    other.write_text("image_id,cap\np00,no\np01,yes\n", "utf-8")
    found = read_groups(run, IDS[:2], other).columns
    assert groups_of(found, "cap") == ["no", "yes"]
    assert "hat" not in found
    assert any("empty cells: none." in note for note in read_groups(run, IDS[:2]).notes)


def test_a_csv_is_enough_where_the_dataset_is_gone(tmp_path):
    run = run_on(tmp_path, images())
    (tmp_path / "the data" / "manifest.json").unlink()
    csv = tmp_path / "groups.csv"
    csv.write_text("image_id,hat\np00,yes\np01,no\nx,no\n", "utf-8")
    found = read_groups(run, IDS[:2], csv)
    assert list(found.columns) == ["hat"]
    assert found.notes[0].startswith("Groups of the dataset are left out: the dataset is no longer")
    with pytest.raises(DatasetLeftOutError):
        read_groups(run, IDS[:2])


def test_a_dataset_that_lacks_a_predicted_picture_is_left_out(tmp_path):
    run = run_on(tmp_path, images())
    with pytest.raises(DatasetLeftOutError, match="lacks 2 of the predicted pictures"):
        read_groups(run, ["p01", "x", "y"])


def test_what_divides_nothing_is_refused(tmp_path):
    table = images().set_column(4, "pixels", pa.array([b"\0" * 6] * COUNT, pa.binary(6)))
    with pytest.raises(ValueError, match="nothing divides the pictures of a run into groups"):
        read_groups(run_on(tmp_path, table), IDS)


def test_groups_are_annotated_by_a_csv_a_column_or_votes(tmp_path):
    assert not has_annotated_groups(run_on(tmp_path, images()))
    assert has_annotated_groups(run_on(tmp_path, images(age=["child", "adult", "adult"] * 7)))
    assert has_annotated_groups(run_on(tmp_path, images(votes_anger=[3] * COUNT)))
    assert not has_annotated_groups(run_on(tmp_path, images(duplicate_group=[3] * COUNT)))
    gone = run_on(tmp_path, images(votes_anger=[3] * COUNT), "other")
    (tmp_path / "the data" / "manifest.json").unlink()
    assert not has_annotated_groups(gone)
    (gone.path / GROUPS_FILE).write_text("image_id,hat\n", "utf-8")
    assert has_annotated_groups(gone)


def test_a_picture_on_the_edge_of_a_third_is_in_the_lower_one():
    # The thirds of 1, 2, 3, 4 end at 2 and at 3.
    names = ("dark", "medium", "bright")
    told = _terciles(np.array([4.0, 2.0, 3.0, 1.0]), names)
    assert told.tolist() == ["bright", "dark", "medium", "dark"]
