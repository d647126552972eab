"""Which models an ensemble is made of."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fairsweep.errors import UserError
from tests.support.candidates import of_two_classes
from tune.run.directory import LATENCY_FILE, predictions_file
from tune.run.ensemble import choose, chosen_on_all, read_candidates
from tune.run.incumbent import Training
from tune.run.latency import read_latencies
from tune.run.tables import predictions_table, write_table
from tune.run.trial import Status


def test_models_that_mend_each_others_errors_are_averaged():
    # The two first ones are alike; the third is the worst alone, and right where they are wrong.
    found = of_two_classes([[0.2, 0.2, 0.2, -0.1], [0.2, 0.2, 0.2, -0.1], [-0.1, -0.1, 0.1, 0.3]])
    assert chosen_on_all(found) == {"m0": 1, "m2": 1}


def test_a_model_may_be_taken_several_times():
    # Only with a weight of two does the first outvote the error of the second on the first picture.
    found = of_two_classes([[0.2, 0.2, -0.1], [-0.3, 0.1, 0.3]])
    assert chosen_on_all(found) == {"m0": 2, "m1": 1}


@pytest.mark.parametrize(("needed", "chosen"), [(9, {"m0": 9, "m1": 1}), (10, {"m0": 1})])
def test_an_ensemble_has_at_most_ten_members(needed, chosen):
    # The second model mends the last picture, and the first one must count `needed` times beside
    # it so that the first picture stays right.
    outvoted = -(needed - 0.5) / 25
    found = of_two_classes([[0.04, 0.04, -0.01], [outvoted, 0.1, 0.4]])
    assert chosen_on_all(found) == chosen


def test_where_no_model_is_right_the_first_one_stays_alone():
    assert chosen_on_all(of_two_classes([[-0.1, -0.1], [-0.2, -0.1]])) == {"m0": 1}


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


def test_what_is_among_the_best_of_one_draw_is_not_added_in_another():
    margins = np.full((12, 25), 0.1)
    margins[:, 20:24] = -0.1
    margins[11, :20], margins[11, 20:24] = -0.05, 0.3  # It helps each of the others.
    margins[:, 24] = [0.5, *[-0.1] * 10, -0.05]
    last = np.repeat([0, 1, 9], [20, 4, 1])
    first, second = choose(of_two_classes(margins), np.array([last, np.ones(25, int)]))
    assert np.flatnonzero(first).tolist() == [0, 11]
    assert np.flatnonzero(second).tolist() == [0]


PICTURES = ["a", "b", "c"]


@pytest.fixture
def predicted(tmp_path):
    """A function that writes the predictions of a trial and returns the facts about it."""

    def predict(number, score, *, pictures=PICTURES, split="val", **changes):
        trial = Training(
            trial_id=f"t{number}", configuration_id=f"c{number}", number=number, phase="search",
            status=Status.COMPLETED, score=score, fold=None,
        )  # fmt: skip
        if pictures:
            shares = [[0.1 * number + 0.01 * ord(name), 0.5] for name in pictures]
            table = predictions_table(
                image_ids=pictures, labels=[ord(name) % 2 for name in pictures], split=split,
                probabilities=np.array(shares, np.float32), epoch=1, classes=["yes", "no"],
            )  # fmt: skip
            write_table(table, predictions_file(tmp_path, trial.trial_id))
        return replace(trial, **changes)

    return predict


def test_candidates_are_the_completed_trials_best_first_with_their_pictures_in_order(
    predicted, tmp_path
):
    trials = [
        predicted(0, 0.5, pictures=PICTURES[::-1]),
        predicted(1, 0.9, status=Status.EARLY_STOPPED),
        predicted(2, math.nan),
        predicted(3, 0.7),
        predicted(4, 0.8, pictures=()),
        predicted(5, 0.6, pictures=["a", "b", "d"]),
        predicted(6, 0.4, split="test"),
        predicted(7, 0.5),
    ]
    found = read_candidates(tmp_path, trials, "val_accuracy")
    assert found.trial_ids == ("t3", "t0", "t7"), "of equal ones the earlier comes first"
    assert (found.image_ids, found.missing) == (("a", "b", "c"), 3)
    assert found.labels.tolist() == [1, 0, 1]
    first = [1.27, 1.28, 1.29], [0.97, 0.98, 0.99], [1.67, 1.68, 1.69]
    np.testing.assert_allclose(found.probabilities[..., 0], first, rtol=1e-6)
    assert (found.probabilities[..., 1] == 0.5).all()


def test_the_fifty_best_trials_are_read(predicted, tmp_path):
    trials = [predicted(number, number / 100, pictures=["a"]) for number in range(52)]
    found = read_candidates(tmp_path, trials, "val_accuracy")
    assert found.trial_ids == tuple(f"t{number}" for number in range(51, 1, -1))
    assert found.missing == 0


def test_what_no_ensemble_can_be_chosen_from_is_refused(predicted, tmp_path):
    one = predicted(0, 0.5)
    with pytest.raises(UserError, match="but the objective is val_loss"):
        read_candidates(tmp_path, [one, predicted(1, 0.4)], "val_loss")
    folds = [replace(one, fold=0), predicted(1, 0.4, fold=1)]
    with pytest.raises(UserError, match="but trials have folds"):
        read_candidates(tmp_path, folds, "val_accuracy")
    for trials, words in (
        ([one, predicted(1, 0.4, pictures=())], "but 1 of 2 has them"),
        ([predicted(1, 0.4, pictures=(), status=Status.FAILED)], "but none of 0 have them"),
    ):
        predictions_file(tmp_path, "t1").unlink(missing_ok=True)
        with pytest.raises(UserError, match=words):
            read_candidates(tmp_path, trials, "val_accuracy")


def test_a_picture_is_right_by_the_mean_of_the_members_as_often_as_each_counts():
    found = of_two_classes([[0.2, 0.2, -0.1], [-0.3, 0.1, 0.3]])
    assert found.right(np.array([1, 0])).tolist() == [True, True, False]
    assert found.right(np.array([1, 1])).tolist() == [False, True, True]
    assert found.right(np.array([2, 1])).tolist() == [True, True, True]


def test_latencies_are_read_as_written_and_a_damaged_file_is_told(tmp_path):
    assert read_latencies(tmp_path) is None
    (tmp_path / LATENCY_FILE).write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"latency\.parquet is damaged; `python -m tune latency"):
        read_latencies(tmp_path)


def test_members_stand_in_the_order_of_how_often_each_counts():
    # As above: the better model outvotes the other one only with a weight of two.
    better, other = [0.2, 0.2, -0.1, 0.2], [-0.3, 0.1, 0.3, -0.3]
    found = of_two_classes([other, better])
    assert list(chosen_on_all(found).items()) == [("m1", 2), ("m0", 1)]
    found = of_two_classes([better, other])
    assert list(chosen_on_all(found).items()) == [("m0", 2), ("m1", 1)]
