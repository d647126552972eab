"""Which models an ensemble is made of."""

import numpy as np

from tests.support.candidates import of_two_classes
from tune.run.ensemble import choose, chosen_on_all


def test_models_that_mend_each_others_errors_are_averaged():
    # The two first ones are alike; the third is the worst alone, and right where they are wrong.
    found = of_two_classes([[0.2, 0.2, 0.2, -0.1], [0.2, 0.2, 0.2, -0.1], [-0.1, -0.1, 0.1, 0.3]])
    assert chosen_on_all(found) == {"m0": 1, "m2": 1}


def test_a_model_may_be_taken_several_times():
    # Only with a weight of two does the first outvote the error of the second on the first picture.
    found = of_two_classes([[0.2, 0.2, -0.1], [-0.3, 0.1, 0.3]])
    assert chosen_on_all(found) == {"m0": 2, "m1": 1}


def test_a_model_that_nothing_helps_stays_alone():
    assert chosen_on_all(of_two_classes([[0.1, 0.1, 0.1], [0.1, 0.1, -0.1]])) == {"m0": 1}


def test_of_equally_good_ensembles_the_smallest_is_taken_and_of_models_the_better():
    # Adding the second one, as good, changes no answer.
    found = of_two_classes([[0.2, 0.2, -0.3], [0.2, 0.2, -0.3]])
    assert chosen_on_all(found) == {"m0": 1}
    other = of_two_classes([[0.3, -0.1, -0.1], [0.1, 0.1, -0.1], [0.1, 0.1, -0.1]])
    assert chosen_on_all(other) == {"m1": 1}


def test_each_draw_has_its_own_ensemble():
    found = of_two_classes([[0.2, 0.2, 0.2, -0.1], [-0.1, -0.1, 0.1, 0.3]])
    counts = np.array([[1, 1, 1, 1], [2, 1, 1, 0], [0, 0, 0, 4]])
    assert choose(found, counts).tolist() == [[1, 1], [1, 0], [0, 1]]


def test_only_the_ten_best_of_a_draw_are_added():
    margins = np.full((12, 24), 0.1)
    margins[:, 20:] = -0.1
    margins[11] = np.where(margins[11] > 0, -0.05, 0.3)  # the worst, which would help
    assert chosen_on_all(of_two_classes(margins)) == {"m0": 1}
    assert chosen_on_all(of_two_classes(margins[5:])) == {"m0": 1, "m6": 1}
