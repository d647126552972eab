"""Sweeps whose truth is known: how often the verdicts and the intervals are right.

A picture has a difficulty that all models share, each configuration its own taste in pictures, and
each training a skill of its own, all on the logit scale; a picture is told right with the
probability that they add up to. The truth is the accuracy over all pictures and seeds.
"""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from analysis.comparisons.against import compare_configurations
from analysis.comparisons.best import Standing, with_the_best
from analysis.comparisons.pairwise import pairs_of_trainings
from analysis.effects.design import MATTERS
from analysis.effects.statistics import effects
from analysis.runs.picked import Candidates, picked_difference
from analysis.statistics.bootstrap import mean_intervals
from analysis.statistics.pairs import compare_models
from analysis.statistics.trainings import Trainings, difference
from analysis.statistics.verdicts import Verdict
from benchmarks.simulated_sweeps import drawn, finalists, folds

CONFIGURATIONS, REPLICATES, PICTURES = 12, 5, 5_000
TRUTH, BETTER = 0.62, 0.67
SHOWN = {Verdict.BETTER, Verdict.WORSE}


@dataclass(frozen=True, kw_only=True)
class World:
    """Standard deviations on the logit scale; trainings differ by 0.8 points with the defaults."""

    difficulty: float = 1.5
    taste: float = 0.5
    seed: float = 0.04
    unsteady: float = 1.0
    """Factor of ``seed`` for the last three configurations."""

    def sweep(self, rng, accuracies, pictures=PICTURES):
        shape = (len(accuracies), REPLICATES, pictures)
        steady = np.r_[np.ones(len(accuracies) - 3), np.full(3, self.unsteady)]
        spread = np.sqrt(self.difficulty**2 + self.taste**2 + self.seed**2)
        skill = np.array([skill_of(accuracy, spread) for accuracy in accuracies])
        seeds = rng.normal(0, self.seed, shape[:2]) * steady[:, None]
        logit = rng.normal(0, self.difficulty, pictures)
        logit = logit + rng.normal(0, self.taste, (shape[0], 1, pictures))
        logit = logit + (skill[:, None] + seeds)[:, :, None]
        right = (rng.random(shape) < expit(logit)).reshape(-1, pictures)
        names = [f"c{number}" for number in range(shape[0])]
        trials = [f"{name}-{seed}" for name in names for seed in range(REPLICATES)]
        correct = pd.DataFrame(right, index=trials)
        configuration = pd.Series(np.repeat(names, REPLICATES), index=trials)
        return Trainings(
            configuration=configuration, accuracy=correct.mean(axis=1), correct=correct
        )


@cache
def skill_of(accuracy, spread):
    """Return the skill that gives this accuracy over all pictures and seeds."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    weights = weights / weights.sum()
    return brentq(lambda skill: weights @ expit(skill + spread * nodes) - accuracy, -5, 5)


def against_the_best(trainings):
    return compare_configurations(trainings, trainings.configuration[trainings.accuracy.idxmax()])


def rate_of_any(world, sweeps, pictures=PICTURES):
    """How often truly equal configurations get any verdict of better or worse."""
    equal = [TRUTH] * CONFIGURATIONS
    found = [
        against_the_best(world.sweep(np.random.default_rng([number, 1]), equal, pictures))
        for number in range(sweeps)
    ]
    return np.mean([frame["verdict"].isin(SHOWN).any() for frame in found])


def rate_of_all(world, sweeps, pictures=PICTURES):
    """How often a truly better configuration is shown to be better than each other one."""
    accuracies = [TRUTH, BETTER, *[TRUTH] * (CONFIGURATIONS - 2)]
    found = [
        against_the_best(world.sweep(np.random.default_rng([number, 2]), accuracies, pictures))
        for number in range(sweeps)
    ]
    return np.mean([(frame["verdict"] == Verdict.WORSE).all() for frame in found])


def coverage(world, sweeps, pictures=PICTURES):
    """How often the intervals of means, and of one difference, hold the truth."""
    means, differences = [], []
    for number in range(sweeps):
        rng = np.random.default_rng([number, 3])
        trainings = world.sweep(rng, [TRUTH] * CONFIGURATIONS, pictures)
        found = mean_intervals(trainings, draws=500)
        means.append(found["accuracy_low"].le(TRUTH) & found["accuracy_high"].ge(TRUTH))
        low, high = difference(trainings, "c0", "c1").interval()
        differences.append(low <= 0 <= high)
    return np.mean(means), np.mean(differences)


WORLDS = {
    "usual": World(),
    "no taste": World(taste=0.0),
    "strong taste": World(difficulty=0.5, taste=1.5),
    "pictures all alike": World(difficulty=0.0, taste=0.0, seed=0.0),
}


@pytest.mark.long
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_equal_configurations_are_told_apart_in_at_most_6_percent_of_sweeps(world):
    rate = rate_of_any(world, 200)
    print(f"{rate:.1%} of sweeps")
    assert rate <= 0.06


@pytest.mark.long
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_five_points_are_shown_in_at_least_90_percent_of_sweeps(world):
    rate = rate_of_all(world, 200)
    print(f"{rate:.1%} of sweeps")
    assert rate >= 0.9


@pytest.mark.long
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_intervals_hold_the_truth_in_93_to_97_percent(world):
    means, differences = coverage(world, 200)
    print(f"{means:.1%} of means, {differences:.1%} of differences")
    assert 0.93 <= means <= 0.97
    # 200 differences, one a sweep: 95 % give or take three standard errors.
    assert 0.90 <= differences <= 1.0


@pytest.mark.long
def test_unsteady_configurations_do_not_make_up_differences():
    rates = {factor: rate_of_any(World(unsteady=factor), 400) for factor in (2.0, 3.0, 6.0)}
    print(rates)
    # 400 sweeps: a true rate of 5 % is known to 1.1 points.
    assert all(rate <= 0.07 for rate in rates.values())


def test_few_equal_sweeps_show_hardly_any_difference():
    # 20 sweeps: more than 4 have a probability of 0.3 % at a true rate of 5 %.
    assert rate_of_any(World(), 20, pictures=1_000) <= 4 / 20


def test_few_sweeps_show_five_points():
    # 6 sweeps: at a true rate of 99 % all but one show it with 99.9 % probability.
    assert rate_of_all(World(), 6) >= 5 / 6


def from_the_best(accuracies, number, pictures, margin=0.01):
    """Compare simulated configurations with the best: the verdicts in their order."""
    trainings = World().sweep(np.random.default_rng([number, 5]), accuracies, pictures)
    pairs = pairs_of_trainings(trainings, list(trainings.means.index))
    return with_the_best(pairs, margin, pictures=pictures)["verdict"]


def test_few_sweeps_hardly_ever_rule_the_best_out():
    # 20 sweeps: more than 4 have a probability of 0.3 % at a true rate of 5 %. It is hardest where
    # the others are nearly as good.
    accuracies = [TRUTH, TRUTH + 0.002, *[TRUTH] * (CONFIGURATIONS - 2)]
    verdicts = [from_the_best(accuracies, number, 1_000)[1] for number in range(20)]
    assert sum(verdict == Standing.NOT_BEST for verdict in verdicts) <= 4


def test_few_sweeps_show_which_is_the_best_by_five_points():
    accuracies = [TRUTH, BETTER, *[TRUTH] * (CONFIGURATIONS - 2)]
    verdicts = [from_the_best(accuracies, number, 2_400)[1] for number in range(6)]
    assert sum(verdict == Standing.BEST for verdict in verdicts) >= 5


def test_few_sweeps_hardly_ever_call_a_margin_equivalent_but_what_is_equal():
    wrong, right = 0, []
    accuracies = [TRUTH, TRUTH + 0.03] * 3
    for number in range(10):
        trainings = World().sweep(np.random.default_rng([number, 6]), accuracies)
        frame = compare_configurations(trainings, "c1", 0.03).set_index("id")["verdict"]
        wrong += (frame[["c0", "c2", "c4"]] == Verdict.EQUIVALENT).any()
        right += (frame[["c3", "c5"]] == Verdict.EQUIVALENT).tolist()
        verdicts = from_the_best(accuracies, number, PICTURES, 0.03)
        wrong += (verdicts[::2] == Standing.AS_GOOD).any()
    # More than 4 of 20 have a probability of 0.3 % at a true rate of 5 %.
    assert wrong <= 4
    assert np.mean(right) > 0.9


def test_few_pairs_of_runs_hardly_ever_differ_by_the_picking_alone():
    # 40 pairs of runs, 100 equal models against 1: more than 6 have a probability of 0.3 % at a
    # true rate of 5 %; without allowing for the picking about 40 % differ.
    shown, alone = 0, 0
    for number in range(40):
        rng = np.random.default_rng([number, 7])
        logit = rng.normal(0.6, 1.5, 400) + rng.normal(0, 0.7, (101, 400))
        right = rng.random(logit.shape) < expit(logit)
        pair = compare_models(right[right[:100].sum(axis=1).argmax()], right[100])
        found = picked_difference(
            pair.estimate,
            Candidates(first=100, second=1),
            margin=0.01,
            pictures=400,
            p_value=pair.p_value,
            interval=pair.interval,
        )
        shown += found.verdict in SHOWN
        alone += pair.p_value < 0.05
    assert shown <= 6
    assert alone > 10


@pytest.mark.parametrize(
    "make",
    [partial(drawn, rate=0.3), partial(finalists, effect=0.03), folds],
    ids=["drawn", "finalists", "folds"],
)
def test_few_sweeps_hardly_call_an_irrelevant_hyperparameter_one_that_matters(make):
    # 5 sweeps: more than 2 have a probability of 0.1 % at a true rate of 5 %. Where seeds were
    # the error, 27 to 69 % of sweeps were wrong, of folds 40 %.
    wrong = 0
    for number in range(5):
        simulated = make(np.random.default_rng([number, 4]))
        frame = effects(simulated.run)
        wrong += bool(set(frame.loc[frame["verdict"] == MATTERS, "term"]) - simulated.matters)
    assert wrong <= 2
