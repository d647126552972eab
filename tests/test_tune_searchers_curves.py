"""Searchers that learn from the curves of all trials, stopped ones too: BOHB and MOBSTER."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from tests.support.ledgers import events_of, keep_in
from tests.support.sweeps import figures, small_spec
from tune.execution.executor import EpochReport
from tune.execution.in_process import InProcessExecutor
from tune.sweep.searchers import bohb, mobster
from tune.sweep.searchers.curves import CurveSearcher
from tune.sweep.searchers.features import Features
from tune.sweep.searchers.registry import make_searcher
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.sweep import Sweep

RANGES = {
    "dropout": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
}
BOTH = ["bohb", "mobster"]


def spec_of(name, **changes):
    searcher = {"name": name, "samples": changes.pop("samples", 60)}
    return small_spec(**{"searcher": searcher, "space": RANGES, **changes})


def searcher_of(name, **changes):
    return make_searcher(spec_of(name, **changes))


def quality(point):
    """How good a point is; the best learning rate is 0.01, the best dropout 0.2."""
    rate = abs(math.log10(point["learning_rate"]) + 2)
    return 1 - rate / 3 - abs(point["dropout"] - 0.2)


def train(searcher, number, values, point=None):
    """Train a trial at a point, by default the proposed one; ``values`` gives its curve."""
    point = point or searcher.propose(number)
    searcher.hear_proposed(str(number), point)
    curve = values(point)
    for epoch, value in enumerate(curve, start=1):
        searcher.hear_epoch(str(number), epoch, value)
    searcher.hear_ended(str(number), curve, None)
    return point


def misleading(epochs):
    """Curves that order points the wrong way at first, and the right way from epoch 2 on."""
    return lambda point: [1 - quality(point), *[quality(point)] * (epochs - 1)]


@pytest.mark.parametrize("name", BOTH)
def test_late_epochs_of_some_trials_count_more_than_the_first_of_many(name):
    searcher = searcher_of(name, samples=80)
    at_random = searcher_of("random")
    for number in range(60):
        values = misleading(3 if number % 3 == 0 else 1)
        train(searcher, number, values, at_random.propose(number))
    found = [quality(train(searcher, number, misleading(3))) for number in range(60, 70)]
    usual = np.mean([quality(at_random.propose(number)) for number in range(60)])
    assert np.median(found) > usual + 0.1


def test_bohb_learns_from_the_highest_epoch_that_ten_trials_have_reached():
    searcher = searcher_of("bohb")
    assert searcher.epoch() == 1
    for number in range(20):
        train(searcher, number, misleading(3 if number < 9 else 1))
    assert searcher.epoch() == 1
    train(searcher, 20, misleading(9))
    assert searcher.epoch() == 3


def test_ten_trials_are_enough_for_bohb_and_those_that_ended_before_their_epoch_are_left_out(
    monkeypatch,
):
    searcher = searcher_of("bohb")
    for number in range(10):
        train(searcher, number, misleading(3))
    assert searcher.epoch() == 3
    train(searcher, 10, misleading(1))
    searcher.hear_proposed("running", searcher.propose(11))
    searcher.hear_epoch("running", 1, 0.5)
    studies, create = [], bohb.optuna.create_study
    monkeypatch.setattr(
        bohb.optuna, "create_study", lambda **words: studies.append(create(**words)) or studies[-1]
    )
    searcher.propose(12)
    states = [trial.state.name for trial in studies[0].trials]
    assert states == ["COMPLETE"] * 10 + ["RUNNING"] * 2, "the last is the one that is asked for"


def test_mobster_tells_values_without_order_and_spaces_of_a_choice_apart():
    space = {"family": {"resnet": {"optimizer": ["sgd", "adamw"]}, "plain": {"stages": [2, 3, 4]}}}
    features = Features(small_spec(space=space, fixed={"epochs": 9}).search_space)
    sgd, adamw, plain, deeper = features.matrix(
        [
            {"family": "resnet", "family=resnet.optimizer": "sgd"},
            {"family": "resnet", "family=resnet.optimizer": "adamw"},
            {"family": "plain", "family=plain.stages": 2},
            {"family": "plain", "family=plain.stages": 4},
        ]
    )
    assert np.linalg.norm(sgd - adamw) == pytest.approx(1)
    assert np.linalg.norm(plain - deeper) == pytest.approx(2 / 3)
    assert np.linalg.norm(sgd - plain) > 1


def test_a_hyperparameter_that_a_point_lacks_is_in_the_middle():
    parts = {
        "resnet": {"dropout": RANGES["dropout"], "learning_rate": RANGES["learning_rate"]},
        "plain": {"stages": [4, 2, 3], "optimizer": ["sgd", "adamw"]},
    }
    features = Features(small_spec(space={"family": parts}, fixed={"epochs": 9}).search_space)
    resnet = {
        "family": "resnet",
        "family=resnet.dropout": 0.1,
        "family=resnet.learning_rate": 1e-3,
    }
    plain = {"family": "plain", "family=plain.stages": 4, "family=plain.optimizer": "adamw"}
    apart = math.sqrt(0.5)
    assert features.matrix([resnet, plain]) == pytest.approx(
        np.array(
            [
                [apart, 0, 0.2, 1 / 3, 0.5, 0, 0],
                [0, apart, 0.5, 0.5, 5 / 6, 0, apart],
            ]
        )
    )


def test_points_near_another_keep_about_half_of_its_choices():
    space = small_spec(space={**RANGES, "optimizer": ["sgd", "adamw"]}).search_space
    point = {"dropout": 0.25, "learning_rate": 0.01, "optimizer": "sgd"}
    rng = np.random.default_rng(0)
    near = [Features(space).near(point, rng, width=0.1) for _ in range(200)]
    assert all(space.holds(other) for other in near)
    kept = [other["dropout"] == 0.25 for other in near]
    assert np.mean(kept) == pytest.approx(0.5, abs=0.18)
    moved = np.array([other["dropout"] for other in near if other["dropout"] != 0.25])
    assert moved.std() == pytest.approx(0.05, rel=0.4)
    assert moved.mean() == pytest.approx(0.25, abs=0.025)
    assert {other["optimizer"] for other in near} == {"sgd", "adamw"}
    changed = [other["optimizer"] == "adamw" for other in near]
    assert np.mean(changed) == pytest.approx(0.1, abs=0.08), "a fifth is drawn again"


def test_mobster_is_random_until_eight_trials_have_a_value():
    first, second = searcher_of("mobster"), searcher_of("mobster")
    for number in range(8):
        train(first, number, misleading(1))
        train(second, number, lambda point: [quality(point)])
    assert first.propose(8) == second.propose(8)
    train(first, 8, misleading(1))
    train(second, 8, lambda point: [quality(point)])
    assert first.propose(9) != second.propose(9)


def test_the_kernel_is_learned_again_when_a_quarter_more_is_known():
    searcher, at_random = searcher_of("mobster"), searcher_of("random")
    learned = []
    for number in range(18):
        before = searcher._snapshot
        train(searcher, number, misleading(1), at_random.propose(number))
        if searcher._snapshot is not before:
            learned.append(number)
    assert learned == [8, 10, 13, 17]


def test_mobster_prefers_what_may_improve_most_on_the_best_trial(monkeypatch):
    """The best trial has 0. A sure 2 improves by 2; a mean of 0 with a deviation of 3 by 1.2."""
    searcher = searcher_of("mobster")
    for number in range(9):
        train(searcher, number, misleading(1))
    sure, open_point = ({"dropout": of, "learning_rate": 0.01} for of in (0.1, 0.4))

    class Process:
        def predict(self, places, return_std=False):
            if not return_std:
                return np.zeros(len(places))
            noise = searcher._kernel.k2.noise_level
            return np.array([0.0, 2.0]), np.sqrt(np.array([9.0, 0.01]) + noise)

    monkeypatch.setattr(searcher, "_fit", lambda _kernel: Process())
    monkeypatch.setattr(searcher, "_candidates", lambda _best, _rng: [open_point, sure])
    assert searcher.propose(9) == sure


def test_a_failed_trial_and_values_that_are_no_numbers_are_left_out():
    searcher = searcher_of("bohb")
    assert isinstance(searcher, CurveSearcher)
    train(searcher, 0, lambda _point: [])
    assert searcher.trials == {}
    searcher.hear_proposed("1", searcher.propose(1))
    searcher.hear_epoch("1", 1, 0.5)
    searcher.hear_epoch("1", 2, math.nan)
    searcher.hear_epoch("1", 3, -math.inf)
    assert searcher.trials["1"].curve == {1: 0.5}
    assert not searcher.trials["1"].ended
    searcher.hear_ended("1", [0.5], None)
    assert searcher.trials["1"].ended
    searcher.hear_proposed("1", searcher.trials["1"].point)
    assert searcher.trials["1"].curve == {1: 0.5}, "it is trained further"
    assert not searcher.trials["1"].ended


def test_curves_of_another_run_are_known():
    searcher = searcher_of("bohb")
    point = {"dropout": 0.1, "learning_rate": 0.01}
    searcher.hear_known(
        [
            KnownTrial(point=point, curve=[0.25, 0.5], values=None),
            KnownTrial(point=point, curve=[], values=None),
        ]
    )
    (trial,) = searcher.trials.values()
    assert (trial.point, trial.curve, trial.ended) == (point, {1: 0.25, 2: 0.5}, True)


class Training:
    """Trains nothing; the value of an epoch follows from the point. Resumes where it stopped."""

    parameters, device = 1, "cpu"

    def __init__(self, trial_id, config, epochs):
        self.trial_id, self._quality, self._epochs = trial_id, quality(config), epochs

    def advance(self):
        epoch = self._epochs[self.trial_id] = self._epochs.get(self.trial_id, 0) + 1
        accuracy = 0.5 + 0.4 * self._quality * (1 - 0.7**epoch)
        values = figures(self.trial_id, epoch, val_accuracy=accuracy, seconds=1.0 + accuracy)
        return [EpochReport(self.trial_id, epoch, values)]

    def end(self, trial_id):
        pass

    def close(self):
        pass


class KilledError(Exception):
    """The process was killed."""


def execute(spec, events, *, last=None):
    """Run a sweep from the ledger ``events`` on; be killed when that has ``last`` events."""
    keep = keep_in(events)

    def commit(event):
        if last is not None and len(events) >= last:
            raise KilledError
        keep(event)

    sweep = Sweep(spec, fingerprint="f", commit=commit, events=events_of(events))
    trained = {trial.id: len(trial.measurements) for trial in sweep.trials.values()}

    def make(bundle):
        ((trial_id, config),) = bundle.trials.items()
        return Training(trial_id, config, trained)

    try:
        sweep.begin()
        executor = InProcessExecutor(make_training=make)
        executor.execute(sweep, None, None, on_step=lambda: None)
    except KilledError:
        pass
    return sweep


@pytest.mark.parametrize("name", BOTH)
def test_a_killed_search_goes_on_with_the_same_trials(name):
    spec, untouched = spec_of(name, samples=18), []
    whole = execute(spec, untouched)
    for part in (0.6, 0.9):
        killed = []
        execute(spec, killed, last=int(part * len(untouched)))
        again = execute(spec, killed)
        trained = [(t.config, len(t.measurements)) for t in again.trials.values()]
        assert trained == [(t.config, len(t.measurements)) for t in whole.trials.values()]
    epochs = {len(trial.measurements) for trial in whole.trials.values()}
    assert {1, 9} <= epochs, "it stops trials"


@pytest.mark.parametrize("name", BOTH)
def test_an_extended_search_remembers_every_curve(name):
    sweep = execute(spec_of(name, samples=14), [])
    before = dict(sweep.search._searcher.trials)
    sweep.extend(spec_of(name, samples=20))
    assert dict(sweep.search._searcher.trials) == before
    assert len(before) == 14


def test_true_and_false_are_values_without_order():
    features = Features(small_spec(space={"test_time_flip": [True, False]}).search_space)
    true, false = features.matrix([{"test_time_flip": True}, {"test_time_flip": False}])
    assert np.linalg.norm(true - false) == pytest.approx(1)


def test_mobster_uses_powers_of_three_and_the_last_epoch_of_a_curve():
    epochs = {1: [1], 2: [1, 2], 3: [1, 3], 11: [1, 3, 9, 11]}
    for last, used in epochs.items():
        trial = mobster.Trained(point={}, curve=dict.fromkeys(range(1, last + 1), 0.5))
        assert mobster._levels(trial) == used
    assert mobster._levels(mobster.Trained(point={}, curve={4: 0.5, 5: 0.5})) == [5]


def test_where_there_are_too_many_rows_mobster_uses_those_of_the_highest_epochs(monkeypatch):
    monkeypatch.setattr(mobster, "_ROWS", 3)
    searcher, at_random = searcher_of("mobster"), searcher_of("random")
    for number, value in enumerate((0.25, 0.5)):
        train(searcher, number, lambda _, v=value: [v, v, v + 0.125], at_random.propose(number))
    assert searcher._rows().values.tolist() == [0.375, 0.625, 0.25]


def test_trials_that_still_run_count_among_those_that_mobster_knows():
    searcher, at_random = searcher_of("mobster"), searcher_of("random")
    for number in range(9):
        assert searcher._snapshot is None
        searcher.hear_proposed(str(number), at_random.propose(number))
        searcher.hear_epoch(str(number), 1, 0.1 * number)
    assert len(searcher._snapshot.values) == 8


def test_mobster_searches_trainings_of_a_single_epoch():
    one_epoch = {"fixed": {**small_spec().fixed, "epochs": 1}}
    searcher, at_random = searcher_of("mobster", **one_epoch), searcher_of("random")
    for number in range(9):
        train(searcher, number, misleading(1), at_random.propose(number))
    space = spec_of("mobster").search_space
    assert space.holds(searcher.propose(9))


def test_mobster_knows_the_number_of_epochs_that_a_spec_leaves_to_its_default():
    fixed = {name: value for name, value in small_spec().fixed.items() if name != "epochs"}
    default = spec_of("mobster", fixed=fixed).most_epochs
    found = []
    for values in (fixed, {**fixed, "epochs": default}):
        searcher, at_random = searcher_of("mobster", fixed=values), searcher_of("random")
        for number in range(9):
            train(searcher, number, misleading(3), at_random.propose(number))
        found.append(searcher.propose(9))
    assert found[0] == found[1]


def test_candidates_of_mobster_were_not_proposed_before_as_long_as_there_are_others():
    space = {"blocks": {"low": 1, "high": 3}}
    searcher = searcher_of("mobster", space=space)
    rng = np.random.default_rng(0)
    for blocks, left in ((1, {2, 3}), (3, {2}), (2, {1, 2, 3})):
        searcher.hear_proposed(str(blocks), {"blocks": blocks})
        found = searcher._candidates([{"blocks": 2}], rng)
        assert {point["blocks"] for point in found} == left


def test_the_logarithm_of_the_expected_improvement_is_right_and_does_not_underflow():
    z = np.array([-3.0, -1.0, 0.0, 2.0])
    exact = np.log(norm.pdf(z) + z * norm.cdf(z))
    assert mobster._log_improvement(z) == pytest.approx(exact)
    low = mobster._log_improvement(np.array([-1e9, -1e4, -40.0]))
    assert np.isfinite(low).all()
    assert low[0] < low[1] < low[2] < exact[0]


def test_mobster_begins_with_the_points_of_random_search():
    searcher, at_random = searcher_of("mobster"), searcher_of("random")
    assert [searcher.propose(n) for n in range(8)] == [at_random.propose(n) for n in range(8)]


def test_the_kernel_is_learned_from_the_same_rows_each_time(monkeypatch):
    monkeypatch.setattr(mobster, "_LEARNED_ROWS", 5)
    rng = np.random.default_rng(0)
    rows = mobster._Rows(places=rng.random((12, 2)), values=rng.random(12))
    first, second = mobster._learn(rows), mobster._learn(rows)
    assert first.theta.tolist() == second.theta.tolist()


def test_mobster_looks_near_the_best_trials(monkeypatch):
    searcher, at_random = searcher_of("mobster"), searcher_of("random")
    for number in range(12):
        train(searcher, number, lambda point: [point["dropout"]], at_random.propose(number))
    near, real = [], searcher._candidates
    monkeypatch.setattr(
        searcher, "_candidates", lambda best, rng: near.extend(best) or real(best, rng)
    )
    searcher.propose(12)
    dropouts = sorted(trial.point["dropout"] for trial in searcher.trials.values())
    assert len(near) == 10
    assert near[0]["dropout"] > dropouts[8]
    assert dropouts[0] not in [point["dropout"] for point in near]
