"""Votes over the classes of a dataset, and the soft labels that they give."""

import numpy as np
import pytest

from data_prep.records import Record
from data_prep.sources_file import Source, SourcesFile
from data_prep.vote_shares import SHOWN, counted_votes, some

CLASSES = ("sad", "joy", "calm")


def counted(*votes, labels, **source):
    records = [Record(name="x", shown="x", label="", picture=None, votes=each) for each in votes]
    origin = Source(name="one", path="one", **source)
    file = SourcesFile(classes=CLASSES, sources=(origin,))
    return counted_votes(records, np.array(labels), origin, file)


def test_votes_are_counted_by_class_and_one_is_enough_for_a_share():
    found = counted({"joy": 3, "sad": 1}, {"calm": 1}, {}, {"odd": 2}, labels=[1, 0, 2, 0])
    assert found.soft_labels.dtype == np.float32
    assert found.soft_labels.tolist() == [[0.25, 0.75, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert {name: cells.to_pylist() for name, cells in found.columns.items()} == {
        "votes_sad": [1, 0, None, None],
        "votes_joy": [3, 0, None, None],
        "votes_calm": [0, 1, None, None],
    }
    assert found.notes == (
        "2 pictures of 'one' have 5 votes; the label has the most votes in 50.0% of them; 2 have "
        "no votes, so their label counts as certain",
        "2 votes of 'one' are not for a class of the dataset: odd",
    )


def test_a_tie_agrees_with_the_label_and_a_map_joins_votes():
    mapped = {"happy": "joy", "glad": "joy", "sad": "sad", "odd": None}
    found = counted({"happy": 1, "glad": 1, "sad": 2, "odd": 9}, labels=[0], map=mapped)
    assert found.soft_labels.tolist() == [[0.5, 0.5, 0]]
    assert "the label has the most votes in 100.0% of them" in found.notes[0]
    assert found.notes[1] == "9 votes of 'one' are not for a class of the dataset: odd"
    assert found.notes[2] == "no votes of 'one' are for calm"


@pytest.mark.parametrize(
    ("count", "told"), [(2, "a, b"), (5, "a, b, c, d, e"), (7, "a, b, c, d, e and 2 more")]
)
def test_the_first_names_are_listed(count, told):
    assert some(set("gfedcba"[-count:])) == told
    assert SHOWN == 5
