import numpy as np
import pytest

from data_prep.near_duplicates.candidates import MIN_SIMILARITY, NEIGHBOURS, candidate_pairs


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def plainly(vectors):
    """Go through all pairs, one picture after the other."""
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -1)
    found = set()
    for row, line in enumerate(similar):
        best = np.argsort(-line, kind="stable")[:NEIGHBOURS]
        found |= {(min(row, one), max(row, one)) for one in best if line[one] > MIN_SIMILARITY}
    return sorted((int(first), int(second)) for first, second in found)


@pytest.mark.parametrize("sizes", [(512, 4096, 1 << 16), (7, 11, 1 << 16), (7, 16, 0)])
def test_candidates_are_the_nearest_few_however_many_are_compared_at_once(monkeypatch, sizes):
    """In crowds of 20, of which each picture proposes 8."""
    generator = np.random.default_rng(2)
    middles = generator.normal(size=(6, 12)).repeat(20, axis=0)
    vectors = unit(np.concatenate([middles, np.zeros((30, 12))]) + generator.normal(size=(150, 12)))
    wanted = plainly(vectors)
    assert len(wanted) > 200
    for name, size in zip(("BLOCK", "TILE", "CROWD"), sizes, strict=True):
        monkeypatch.setattr(f"data_prep.near_duplicates.candidates.{name}", size)
    assert [tuple(pair) for pair in candidate_pairs(vectors).tolist()] == wanted


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_pictures_have_few_candidates(count):
    pairs = candidate_pairs(unit(np.ones((count, 3))))
    assert pairs.tolist() == [[a, b] for a in range(count) for b in range(a + 1, count)]
