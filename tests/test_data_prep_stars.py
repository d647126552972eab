import numpy as np

from data_prep.near_duplicates.stars import star_groups


def groups(count, pairs, truth=()):
    """Deal into stars, and answer from ``truth`` whether further pairs are near-duplicates."""
    known = {frozenset(pair) for pair in truth}

    def confirm(further):
        return np.array([frozenset(pair) in known for pair in further.tolist()], dtype=bool)

    return star_groups(count, np.array(pairs, dtype=np.int64).reshape(-1, 2), confirm).tolist()


def test_pictures_without_a_partner_are_groups_of_their_own():
    assert groups(3, []) == [0, 1, 2]


def test_the_most_linked_picture_takes_its_partners():
    assert groups(5, [(0, 1), (1, 2), (1, 4)]) == [1, 1, 1, 3, 1]


def test_a_chain_is_parted_into_stars():
    chain = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert groups(6, chain) == [1, 1, 1, 4, 4, 4]


def test_each_picture_is_in_one_star_alone():
    """3 has most partners; 0 is left with 1, and 2 is taken already."""
    pairs = [(0, 1), (0, 2), (2, 3), (3, 4), (3, 5)]
    assert groups(6, pairs) == [0, 0, 3, 3, 3, 3]


def test_of_equally_linked_pictures_the_first_takes_its_partners():
    """1 and 3 have two partners each, and 3 occurs in an earlier pair."""
    assert groups(4, [(0, 3), (1, 2), (1, 3)]) == [0, 1, 1, 1]


def test_a_large_group_is_whole_although_few_pairs_were_proposed():
    """Each proposes its two neighbours of a ring, and all ten are near-duplicates."""
    ring = [(one, (one + 1) % 10) for one in range(10)]
    everyone = [(one, other) for one in range(10) for other in range(one)]
    assert groups(10, ring, everyone) == [0] * 10
    assert len(set(groups(10, ring))) == 4


def test_pairs_that_are_refused_do_not_join():
    """A chain of four: the most linked one is asked about the other end."""
    chain = [(0, 1), (1, 2), (2, 3)]
    assert groups(4, chain) == [1, 1, 1, 3]
    assert groups(4, chain, [(1, 3)]) == [1, 1, 1, 1]
