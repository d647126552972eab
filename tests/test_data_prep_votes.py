import io

import numpy as np
import pytest
from scipy.stats import multinomial

from data_prep.rejections import Rejections
from data_prep.votes import CLASSES, VOTE_NAMES, label, read_votes, soft_labels


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


def test_votes_of_nine_taggers_are_accepted():
    header = ",".join(("Usage", "Image name", *VOTE_NAMES))
    table = read_votes(
        io.BytesIO(f"{header}\nTraining,a.png,9,0,0,0,0,0,0,0,0,0\n".encode()), "v", Rejections()
    )
    assert table.sound.tolist() == [True]
    assert table.votes.sum() == 9
