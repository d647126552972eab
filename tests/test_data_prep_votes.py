import io

import numpy as np
import pytest
from scipy.stats import multinomial

from data_prep.rejections import BadInputError, Rejections
from data_prep.votes import (
    CLASSES,
    REDRAWS,
    RULES,
    VOTE_NAMES,
    _redraw,
    label,
    read_votes,
    soft_labels,
)


def votes_of(**named: int) -> np.ndarray:
    return np.array([named.get(name, 0) for name in VOTE_NAMES], dtype=np.int8)


def class_of(rule: str = "published", **named: int) -> str | None:
    place = int(label(votes_of(**named), rule))
    return CLASSES[place] if place >= 0 else None


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({"anger": 3, "happiness": 7}, "angry"),  # more than two
        ({"anger": 2, "neutral": 1, "sadness": 1, "contempt": 6}, "angry"),  # contempt is ignored
        ({"anger": 2, "neutral": 2, "happiness": 6}, None),
        ({"neutral": 6, "happiness": 4}, "focused"),
        ({"neutral": 5, "happiness": 5}, None),  # "more than" is strict
        ({"neutral": 7, "sadness": 3}, "neutral"),
        ({"neutral": 6, "anger": 2, "sadness": 2}, None),  # six are not more than six
        ({"neutral": 6, "sadness": 4}, "bored"),
        ({"neutral": 1, "sadness": 9}, "bored"),
        ({"neutral": 2, "sadness": 6, "anger": 2}, "bored"),
        ({"neutral": 4, "sadness": 4, "anger": 2}, None),  # anger + 2 must stay below sadness
        ({"sadness": 10}, None),  # bored needs a vote for neutral
        ({"neutral": 3, "sadness": 6, "fear": 1}, None),
        ({"neutral": 3, "sadness": 6, "happiness": 1}, None),
        ({"anger": 2, "neutral": 1, "sadness": 1, "unknown": 3, "NF": 3}, "angry"),  # ignored too
        ({"anger": 3, "neutral": 7}, "angry"),  # angry comes before neutral
        ({"neutral": 10}, "focused"),  # and focused too
        ({"neutral": 9, "anger": 1}, "neutral"),  # a vote for anger is not focused
        ({"anger": 2, "neutral": 1, "surprise": 2, "contempt": 5}, None),
        ({"anger": 2, "neutral": 1, "disgust": 2, "contempt": 5}, None),
        ({"neutral": 3, "sadness": 4, "disgust": 3}, "bored"),  # disgust does not forbid it
    ],
)
def test_the_published_rule(votes, expected):
    assert class_of(**votes) == expected


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({"anger": 4, "neutral": 6}, None),  # more than two but not more than all others
        ({"anger": 3, "neutral": 7}, "neutral"),
        ({"anger": 2, "neutral": 1, "contempt": 7}, None),  # the other way round
        ({"anger": 6, "neutral": 4}, "angry"),
    ],
)
def test_the_rule_of_the_table_wants_both_for_angry(votes, expected):
    assert class_of("table", **votes) == expected


def test_soft_labels_are_shares_of_redraws():
    votes = np.stack([votes_of(neutral=7, sadness=3), votes_of(anger=10)])
    soft = soft_labels(votes, label(votes, "published"), "published")
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert soft[1].tolist() == [1, 0, 0, 0]

    # All redraws of ten votes from 7 neutral and 3 sadness, with their exact probability.
    exact = np.zeros(4)
    for sadness in range(11):
        place = int(label(votes_of(neutral=10 - sadness, sadness=sadness), "published"))
        if place >= 0:
            exact[place] += multinomial.pmf([10 - sadness, sadness], 10, [0.7, 0.3])
    exact /= exact.sum()
    # Four standard errors of a share among 64 redraws.
    assert np.abs(soft[0] - exact).max() < 4 * np.sqrt(0.25 / 64)


def test_a_soft_label_depends_on_the_pictures_own_votes_alone():
    generator = np.random.default_rng(0)
    votes = generator.multinomial(10, np.full(10, 0.1), 300).astype(np.int8)
    votes[::7] = votes_of(neutral=8, sadness=1)  # nine taggers
    labels = label(votes, "published")
    votes, labels = votes[labels >= 0], labels[labels >= 0]
    together = soft_labels(votes, labels, "published")
    alone = [soft_labels(votes[i : i + 1], labels[i : i + 1], "published")[0] for i in range(20)]
    np.testing.assert_array_equal(together[:20], alone)


def test_the_hard_label_stands_where_no_redraw_gets_a_class():
    votes = votes_of(happiness=10)[None]  # gets no class, so no redraw does
    assert soft_labels(votes, np.array([2], dtype=np.int8), "published").tolist() == [[0, 0, 1, 0]]


def test_soft_labels_follow_the_order_of_the_classes_and_the_rule():
    """Four votes for anger and six for neutral: angry as published, hardly ever by the table."""
    votes = np.stack([votes_of(anger=4, neutral=6), votes_of(sadness=7, neutral=3)])
    published, table = (soft_labels(votes, label(votes, "published"), rule) for rule in RULES)
    assert RULES == ("published", "table")
    assert published[0].argmax() == CLASSES.index("angry") == 0
    assert published[0, 0] > 0.7  # more than two of ten draws: 0.83
    assert table[0, 0] < published[0, 0]
    assert published[1].argmax() == CLASSES.index("bored")


def test_soft_labels_are_those_of_earlier_releases():
    """Frozen: the redraws' seed and number decide; 13 redraws of the second got no class."""
    votes = np.stack([votes_of(neutral=7, sadness=3), votes_of(neutral=5, sadness=3, anger=1)])
    found = soft_labels(votes, label(votes, "published"), "published")
    wanted = [np.array([0, 22, 1, 41]) / 64, np.array([4, 30, 0, 17]) / 51]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_redraws_of_nine_votes_follow_those_nine():
    """Shares of the drawn votes are within four standard errors of 640 draws."""
    votes = np.stack([votes_of(neutral=8, sadness=1), votes_of(happiness=4, anger=6)])
    drawn = _redraw(votes)
    assert drawn.shape == (2, REDRAWS, len(VOTE_NAMES))
    assert (drawn.sum(axis=2) == 10).all()
    shares = drawn.sum(axis=1) / (REDRAWS * 10)
    np.testing.assert_allclose(shares, votes / votes.sum(axis=1, keepdims=True), atol=0.08)


def rows_of(*rows: str) -> io.BytesIO:
    header = ",".join(("Image name", "Usage", *reversed(VOTE_NAMES)))
    return io.BytesIO("\n".join([header, *rows, ""]).encode())


def test_columns_are_found_by_name_and_cells_are_trimmed():
    """The file's columns stand in another order: NF first and neutral last of the votes."""
    stream = rows_of(" a b.png , PublicTest ,0,0,0,0,0,1,2,3, 4 ,0")
    table = read_votes(stream, "my votes.csv", Rejections())
    assert table.file == "my votes.csv"
    assert (table.usages[0], table.image_names[0]) == ("PublicTest", "a b.png")
    names = ("happiness", "surprise", "sadness", "anger")
    assert {name: int(table.votes[0, VOTE_NAMES.index(name)]) for name in names} == {
        "happiness": 4, "surprise": 3, "sadness": 2, "anger": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,Training,0,0,0,0,0,0,0,0,0,8", "the votes add up to neither 9 nor 10"),
        ("a,Training,0,0,0,0,0,0,0,0,1,10", "the votes add up to neither 9 nor 10"),
        ("a,Training,0,0,0,0,0,0,0,0,0,11", "a vote is not a whole number from 0 to 10"),
        ("a,Training,0,0,0,0,0,0,0,,0,10", "a vote is not a whole number from 0 to 10"),
        ("a,Train,0,0,0,0,0,0,0,0,0,x", "a vote is not a whole number from 0 to 10"),
        ("a,Train,0,0,0,0,0,0,0,0,0,8", "the votes add up to neither 9 nor 10"),
        ("a,,0,0,0,0,0,0,0,0,0,9", "Usage is none of Training, PublicTest, PrivateTest"),
        ("a,Training,0", "3 cells where the header has 12"),
    ],
)
def test_a_bad_row_is_noted_once_and_the_others_are_sound(row, reason):
    sound = "b,PrivateTest,0,0,0,0,0,0,0,0,0,10"
    rejections = Rejections(skip_bad=True)
    table = read_votes(rows_of(sound, row, sound), "votes.csv", rejections)
    assert table.sound.tolist() == [True, False, True]
    assert table.votes[2, 0] == 10
    assert [(one.image_id, one.file, one.row, one.reason) for one in rejections._rows] == [
        ("fer2013/00001", "votes.csv", 1, reason)
    ]


def test_a_file_without_rows_holds_no_votes():
    with pytest.raises(BadInputError, match=r"^v.csv: holds no votes"):
        read_votes(rows_of(), "v.csv", Rejections(skip_bad=True))


def test_votes_of_nine_taggers_are_accepted():
    header = ",".join(("Usage", "Image name", *VOTE_NAMES))
    table = read_votes(
        io.BytesIO(f"{header}\nTraining,a.png,9,0,0,0,0,0,0,0,0,0\n".encode()), "v", Rejections()
    )
    assert table.sound.tolist() == [True]
    assert table.votes.sum() == 9
