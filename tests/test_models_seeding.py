"""Global generators of random numbers are seeded inside a context and restored after it."""

import random

import numpy as np
import pytest
import torch

from models.seeding import seeded

CPU = torch.device("cpu")


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_equal_seeds_draw_the_same_from_each_generator_and_other_seeds_do_not():
    drawn = []
    for seed in (3, 3, 4, 2**63 - 1):
        with seeded(seed, CPU):
            drawn.append(draws())
    assert drawn[0] == drawn[1]
    for other in drawn[2:]:
        assert all(a != b for a, b in zip(drawn[0], other, strict=True))


@pytest.mark.parametrize("fails", [False, True])
def test_each_generator_goes_on_as_if_nothing_had_been_drawn(fails):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    try:
        with seeded(7, CPU):
            draws()
            if fails:
                raise ValueError
    except ValueError:
        pass
    assert draws() == expected


@pytest.mark.parametrize("seed", [7, 2**32 - 1, 2**63 - 1])
def test_draws_of_a_seed_stay_what_they_are_from_version_to_version(seed):
    """Frozen: own networks are trained with them."""
    with seeded(seed, CPU):
        found = draws()
    generator = torch.Generator().manual_seed(seed)
    assert found == (
        random.Random(seed).random(),
        np.random.RandomState(seed % 2**32).rand(),
        float(torch.rand((), generator=generator)),
    )
