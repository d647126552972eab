import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from data_prep.near_duplicates.candidates import MIN_SIMILARITY, NEIGHBOURS, candidate_pairs
from data_prep.near_duplicates.threads import in_threads


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


def pictures_with_copies(count):
    """Return vectors of ``count`` pictures, in crowds, followed by those of a copy of each."""
    generator = np.random.default_rng(4)
    middles = generator.normal(size=(count // 50, 16)).repeat(50, axis=0)
    originals = middles + 0.7 * generator.normal(size=(count, 16))
    copies = originals + 0.1 * generator.normal(size=originals.shape)
    return unit(np.concatenate([originals, copies]))


@pytest.fixture
def cells(monkeypatch):
    """Let 800 pictures be a large dataset, in 50 cells."""
    sizes = {"MOST_COMPARED": 0, "CELL": 16, "CELLS_BLOCK": 90, "TILE": 13, "PROBES": 12}
    for name, size in sizes.items():
        monkeypatch.setattr(f"data_prep.near_duplicates.candidates.{name}", size)


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("crowd", [0, 1 << 16])
def test_copies_in_a_large_dataset_are_found_in_the_nearest_cells(monkeypatch, crowd):
    monkeypatch.setattr("data_prep.near_duplicates.candidates.CROWD", crowd)
    vectors = pictures_with_copies(400)
    pairs = candidate_pairs(vectors)
    found = {tuple(pair) for pair in pairs.tolist()}
    assert sum((row, row + 400) in found for row in range(400)) >= 398
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert np.einsum("ij,ij->i", *vectors[pairs.T]).min() > MIN_SIMILARITY
    assert len(found) == len(pairs) <= NEIGHBOURS * len(vectors)


@pytest.mark.usefixtures("cells")
def test_candidates_from_all_cells_are_those_of_all_pairs(monkeypatch):
    monkeypatch.setattr("data_prep.near_duplicates.candidates.PROBES", 50)
    vectors = pictures_with_copies(400)
    assert [tuple(pair) for pair in candidate_pairs(vectors).tolist()] == plainly(vectors)


@pytest.mark.usefixtures("cells")
def test_candidates_in_cells_are_those_of_earlier_releases(monkeypatch):
    """Frozen: taken from the program once. The groups of large datasets depend on the cells."""
    monkeypatch.setattr("data_prep.near_duplicates.candidates.PROBES", 1)
    pairs = candidate_pairs(pictures_with_copies(400))
    assert len(pairs) == pytest.approx(3746, abs=4)  # rounding may move a picture
    assert pairs.sum() == pytest.approx(3_035_290, rel=0.002)


@pytest.mark.usefixtures("cells")
def test_pictures_that_are_all_alike_are_compared_in_cells_too():
    pairs = candidate_pairs(unit(np.ones((100, 3))))
    assert set(pairs.ravel().tolist()) == set(range(100))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_pictures_have_few_candidates(count):
    pairs = candidate_pairs(unit(np.ones((count, 3))))
    assert pairs.tolist() == [[a, b] for a in range(count) for b in range(a + 1, count)]


@pytest.mark.parametrize("cores", [1, 3, None])
def test_parts_are_worked_on_in_order_by_one_thread_each(monkeypatch, cores):
    """Numpy rounds otherwise with several threads, so results would depend on the machine."""

    def threads(part):
        of_numpy = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
        return part, set(of_numpy)

    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert in_threads(threads, range(5)) == [(part, {1}) for part in range(5)]
