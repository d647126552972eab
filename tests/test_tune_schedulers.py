import itertools
import math

import numpy as np
import pytest
import ray.tune.schedulers
from ray.tune.schedulers.trial_scheduler import TrialScheduler

from tests.support.sweeps import searched_epochs, small_spec
from tune.sweep.schedulers.asha import Asha
from tune.sweep.schedulers.hyperband import Hyperband
from tune.sweep.schedulers.median import MedianStopping
from tune.sweep.schedulers.promotion import Promotion
from tune.sweep.schedulers.registry import SCHEDULERS, make_scheduler
from tune.sweep.schedulers.scheduler import NoScheduler
from tune.sweep.spec import SchedulerSpec, SpecError


def test_rungs_are_powers_of_the_reduction_factor_below_the_last_epoch():
    assert Asha(grace_period=1, reduction_factor=3, epochs=27).rungs == (1, 3, 9)
    assert Asha(grace_period=5, reduction_factor=2, epochs=5).rungs == ()


def test_a_trial_is_stopped_below_the_cut_of_its_rung_and_told_why():
    asha = Asha(grace_period=1, reduction_factor=2, epochs=4)
    assert asha.hear("a", 1, 0.5) is None
    assert asha.hear("b", 1, 0.7) is None
    cut = asha.hear("c", 1, 0.4)
    assert cut is not None
    assert (cut.epoch, cut.value, cut.needed) == (1, 0.4, 0.5)
    assert cut.rule == "the threshold of the best 1/2 of the 3 trials there so far"


def test_the_first_trials_at_a_rung_all_go_on():
    asha = Asha(grace_period=1, reduction_factor=3, epochs=4)
    cuts = [asha.hear(trial, 1, value) for trial, value in (("a", 0.9), ("b", 0.1), ("c", 0.2))]
    assert [cut is None for cut in cuts] == [True, True, False]


def test_epochs_between_rungs_are_not_compared():
    asha = Asha(grace_period=2, reduction_factor=2, epochs=8)
    assert all(asha.hear(trial, epoch, 0.1) is None for trial in "abc" for epoch in (1, 3, 5, 6, 7))


def test_a_value_that_is_not_a_number_falls_below_every_cut():
    for accuracy_or_loss in (0.1, -0.1):
        asha = Asha(grace_period=1, reduction_factor=2, epochs=4)
        assert asha.hear("a", 1, accuracy_or_loss) is None
        assert asha.hear("b", 1, math.nan) is not None


class _RayTrial:
    def __init__(self, trial_id):
        self.trial_id = trial_id


def test_asha_decides_as_ray_does_when_the_trial_itself_counts():
    """Ray compares with the trials before; so give Ray each trial's value first, as another's."""
    random = np.random.default_rng(0)
    ours = Asha(grace_period=1, reduction_factor=3, epochs=30)
    rays = ray.tune.schedulers.AsyncHyperBandScheduler(
        time_attr="epoch", metric="v", mode="max", max_t=30, grace_period=1, reduction_factor=3
    )
    alive = [str(number) for number in range(40)]
    for trial in [*alive, *(f"{one} too" for one in alive)]:
        rays.on_trial_add(None, _RayTrial(trial))
    for rung in ours.rungs:
        # The first three at a rung all go on with ours.
        for trial in "abc":
            ours.hear(trial, rung, -1.0)
            for twice in (trial, f"{trial} too"):
                rays.on_trial_add(None, _RayTrial(twice))
                rays.on_trial_result(None, _RayTrial(twice), {"epoch": rung, "v": -1.0})
    for epoch in range(1, 28):
        for trial in list(alive):
            result = {"epoch": epoch, "v": random.random()}
            rays.on_trial_result(None, _RayTrial(f"{trial} too"), result)
            decision = rays.on_trial_result(None, _RayTrial(trial), result)
            # Ray has each value once more than ours by now, which moves no quantile far.
            cut = ours.hear(trial, epoch, result["v"])
            assert (decision == TrialScheduler.STOP) == (cut is not None)
            if cut is not None:
                alive.remove(trial)
    assert 0 < len(alive) < 40


def test_a_trial_below_the_median_of_the_others_averages_is_stopped_and_told_why():
    median = MedianStopping(grace_period=2, min_trials=3, epochs=9)
    for trial, values in {"a": (0.1, 0.3), "b": (0.3, 0.5), "c": (0.5, 0.9)}.items():
        assert [median.hear(trial, epoch, value) for epoch, value in enumerate(values, 1)] == [
            None,
            None,
        ]
    assert median.hear("d", 1, 0.0) is None
    cut = median.hear("d", 2, 0.39)
    assert cut is not None
    assert (cut.epoch, cut.value, cut.needed) == (2, 0.39, 0.4)
    assert cut.rule == "the median of the averages of 3 other trials up to then"
    assert median.hear("e", 1, 0.4) is None
    assert median.hear("e", 2, 0.0) is None, "its best so far equals the median"


def test_median_stopping_waits_for_its_grace_period_for_enough_trials_and_never_at_the_end():
    median = MedianStopping(grace_period=2, min_trials=2, epochs=3)
    assert median.rungs == (2,)
    for trial, value in (("a", 0.9), ("b", 0.8), ("c", 0.1)):
        assert median.hear(trial, 1, value) is None
    assert median.hear("a", 2, 0.9) is None
    assert median.hear("b", 2, 0.8) is None
    assert median.hear("c", 2, 0.1) is not None
    assert all(median.hear(trial, 3, value) is None for trial, value in (("a", 0.9), ("b", 0.1)))


def test_a_value_that_is_not_a_number_falls_below_the_median():
    median = MedianStopping(grace_period=1, min_trials=1, epochs=3)
    assert median.hear("a", 1, 0.1) is None
    assert median.hear("b", 1, math.nan) is not None


class _RayController:
    def get_live_trials(self):
        return []


@pytest.mark.parametrize("mode", ["max", "min"])
def test_median_stopping_decides_as_ray_does(mode):
    random = np.random.default_rng(1)
    ours = MedianStopping(grace_period=1, min_trials=3, epochs=20)
    rays = ray.tune.schedulers.MedianStoppingRule(
        time_attr="epoch", metric="v", mode=mode, grace_period=1, min_samples_required=3
    )
    sign = 1 if mode == "max" else -1
    trials = [_RayTrial(str(number)) for number in range(30)]
    alive, stopped = list(trials), []
    for epoch in range(1, 20):
        for trial in list(alive):
            value = int(trial.trial_id) / 30 + epoch / 10 + random.normal(0, 0.3)
            result = {"epoch": epoch, "v": sign * value}
            decision = rays.on_trial_result(_RayController(), trial, result)
            cut = ours.hear(trial.trial_id, epoch, value)
            assert (decision == TrialScheduler.STOP) == (cut is not None)
            if cut is not None:
                alive.remove(trial)
                stopped.append(trial)
    assert 5 < len(stopped) < 25


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "none"])
def test_no_scheduler_goes_with_several_objectives(name):
    cost = [{"metric": "val_accuracy"}, {"metric": "parameters", "mode": "min"}]
    with pytest.raises(SpecError, match="may be better in another; use scheduler none"):
        make_scheduler(small_spec(objective=cost, scheduler={"name": name}))


def test_no_scheduler_stops_nothing():
    assert NoScheduler().hear("a", 1, math.nan) is None


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_can_be_made_from_a_spec(name):
    spec = SchedulerSpec(name=name, grace_period=2, reduction_factor=2)
    assert SCHEDULERS[name].make(spec, 10).hear("a", 1, 0.5) is None


def test_equal_values_at_a_rung_all_go_on():
    asha = Asha(grace_period=1, reduction_factor=2, epochs=4)
    assert [asha.hear(trial, 1, 0.5) for trial in "abcd"] == [None] * 4
    assert asha.hear("e", 1, 0.49999) is not None


def test_each_rung_compares_those_that_came_to_it_only():
    asha = Asha(grace_period=1, reduction_factor=2, epochs=8)
    assert asha.rungs == (1, 2, 4)
    assert asha.survivors == (0.5, 0.5, 0.5)
    for trial, value in (("a", 0.9), ("b", 0.8)):
        asha.hear(trial, 1, value)
    assert asha.hear("b", 2, 0.1) is None
    assert asha.hear("a", 2, 0.2) is None
    assert asha.hear("c", 2, 0.15) is None, "it is the median of 0.1, 0.15 and 0.2"
    cut = asha.hear("d", 2, 0.11)
    assert (cut.epoch, cut.needed) == (2, pytest.approx((0.11 + 0.15) / 2))
    assert cut.rule.startswith("the threshold of the best 1/2 of the 4 trials")


def test_a_spec_gives_its_scheduler_its_own_settings_and_the_longest_training():
    changes = {"fixed": {**small_spec().fixed, "epochs": 9}}
    asha = make_scheduler(
        small_spec(**changes, scheduler={"name": "asha", "grace_period": 2, "reduction_factor": 4})
    )
    assert (asha.rungs, asha.survivors) == ((2, 8), (0.25, 0.25))
    searched = make_scheduler(
        small_spec(**searched_epochs(3, 9, 5), scheduler={"name": "median", "grace_period": 7})
    )
    assert searched.rungs == (7, 8)
    assert searched.survivors == (1.0, 1.0)
    patient = make_scheduler(
        small_spec(scheduler={"name": "median", "grace_period": 1, "min_trials": 2})
    )
    assert patient.hear("a", 1, 0.9) is None
    assert patient.hear("b", 1, 0.8) is None
    assert patient.hear("c", 1, 0.7) is not None


def test_where_no_trial_has_a_number_none_is_stopped():
    asha = Asha(grace_period=1, reduction_factor=2, epochs=4)
    assert [asha.hear(trial, 1, math.nan) for trial in "abc"] == [None] * 3


def test_a_trial_without_a_number_does_not_stop_the_others_by_the_median():
    median = MedianStopping(grace_period=1, min_trials=2, epochs=4)
    for trial, value in (("a", math.nan), ("b", 0.4), ("c", 0.6)):
        median.hear(trial, 1, value)
    assert median.hear("d", 1, 0.4) is None, "the median of nothing, 0.4 and 0.6 is 0.4"
    assert median.hear("e", 1, 0.39) is not None


def test_the_median_rule_tells_the_best_value_of_a_trial_and_not_its_last():
    median = MedianStopping(grace_period=2, min_trials=1, epochs=4)
    for epoch in (1, 2):
        median.hear("a", epoch, 0.9)
    median.hear("b", 1, 0.5)
    cut = median.hear("b", 2, 0.25)
    assert (cut.value, cut.needed) == (0.5, 0.9)


def ids_of(hyperband, bracket, count):
    """The first ``count`` of the trials 0, 1, 2, … that are in a bracket."""
    inside = (str(n) for n in itertools.count() if hyperband.bracket(str(n)) == bracket)
    return list(itertools.islice(inside, count))


def test_brackets_first_compare_at_growing_epochs_and_the_last_stops_nothing():
    hyperband = Hyperband(grace_period=2, reduction_factor=3, epochs=20)
    assert hyperband.rungs == (2, 6, 18)
    assert len(hyperband.shares) == 4
    for bracket in range(4):
        good, fair, poor = ids_of(hyperband, bracket, 3)
        stops = []
        for epoch in range(1, 21):
            for trial, value in ((good, 0.9), (fair, 0.8)):
                assert hyperband.hear(trial, epoch, value) is None or trial == fair
            if hyperband.hear(poor, epoch, 0.1) is not None:
                stops.append(epoch)
        assert stops == list(hyperband.rungs[bracket:])


def test_a_bracket_compares_its_own_trials_only_and_as_asha_does():
    hyperband = Hyperband(grace_period=1, reduction_factor=2, epochs=8)
    alike = [Asha(grace_period=grace, reduction_factor=2, epochs=8) for grace in (1, 2, 4, 8)]
    random = np.random.default_rng(0)
    cuts = 0
    for epoch in (1, 2, 4, 8):
        for number in range(60):
            trial, value = str(number), float(random.random())
            cut = hyperband.hear(trial, epoch, value)
            assert cut == alike[hyperband.bracket(trial)].hear(trial, epoch, value)
            cuts += cut is not None
    assert cuts > 20


def test_brackets_get_the_shares_of_synchronous_hyperband():
    hyperband = Hyperband(grace_period=1, reduction_factor=3, epochs=27)
    # Algorithm 1 of Li et al., "Hyperband", JMLR 2018 begins with so many configurations.
    assert hyperband.shares == pytest.approx(np.array([27, 12, 6, 4]) / 49)
    counts = np.bincount([hyperband.bracket(str(n)) for n in range(5_000)])
    assert counts / 5_000 == pytest.approx(hyperband.shares, abs=0.02)


def test_one_bracket_is_asha():
    hyperband = Hyperband(grace_period=1, reduction_factor=3, epochs=9, brackets=1)
    assert hyperband.shares == (1.0,)
    assert hyperband.survivors == pytest.approx((1 / 3, 1 / 3))
    for trial, value in (("a", 0.9), ("b", 0.8)):
        assert hyperband.hear(trial, 1, value) is None
    assert hyperband.hear("c", 1, 0.1) is not None


def test_the_expected_survivors_of_a_rung_are_those_of_all_brackets_together():
    hyperband = Hyperband(grace_period=1, reduction_factor=3, epochs=9)
    first, second, whole = hyperband.shares
    assert (first, second, whole) == pytest.approx((6 / 11, 3 / 11, 2 / 11))
    assert hyperband.survivors[0] == pytest.approx(first / 3 + second + whole)
    before, after = first / 3 + second + whole, first / 9 + second / 3 + whole
    assert hyperband.survivors[1] == pytest.approx(after / before)


def test_without_a_rung_there_is_one_bracket_which_stops_nothing():
    hyperband = Hyperband(grace_period=9, reduction_factor=3, epochs=9)
    assert (hyperband.rungs, hyperband.survivors, hyperband.shares) == ((), (), (1.0,))
    assert all(hyperband.hear(trial, 9, 0.1) is None for trial in "abcd")


def test_more_brackets_than_rungs_allow_are_refused_with_their_number():
    spec = {"name": "hyperband", "grace_period": 2, "brackets": 4}
    with pytest.raises(SpecError, match="brackets can be at most 3 with 9 epochs, grace_period 2"):
        make_scheduler(small_spec(scheduler=spec))
    assert make_scheduler(small_spec(scheduler={**spec, "brackets": 3})).rungs == (2, 6)
    with pytest.raises(
        SpecError, match="brackets goes with name: hyperband only, but got name: as"
    ):
        small_spec(scheduler={"name": "asha", "brackets": 2})


def promotion_at_the_first_rung(*values):
    """Rungs 1, 2 and 4; the trials a, b, c, … have reached the first one."""
    promotion = Promotion(grace_period=1, reduction_factor=2, epochs=8)
    cuts = [
        promotion.hear(trial, 1, value) for trial, value in zip("abcdefgh", values, strict=False)
    ]
    return promotion, cuts


def test_trials_pause_at_a_rung_unless_they_are_among_the_best_of_it_so_far():
    promotion, cuts = promotion_at_the_first_rung(0.5, 0.4, 0.6, 0.7, math.nan)
    assert [cut is None for cut in cuts] == [False, False, True, True, False]
    assert all(cut.pauses for cut in cuts if cut is not None)
    assert (cuts[1].epoch, cuts[1].value, cuts[1].needed) == (1, 0.4, 0.5)
    assert cuts[1].rule == "the threshold of the best 1/2 of the 2 trials there"
    assert promotion.hear("a", 3, 0.1) is None, "epoch 3 is no rung"


def test_the_best_paused_trial_of_the_highest_rung_is_promoted():
    promotion, _ = promotion_at_the_first_rung(0.9, 0.8, 0.2, 0.1)
    assert promotion.take_up(["c", "d"], last=False) is None
    assert promotion.take_up(["d", "b", "a"], last=False) == "a"
    assert promotion.take_up(["d", "b"], last=False) == "b"
    promotion.hear("a", 2, 0.3)
    assert promotion.take_up(["b", "a"], last=False) == "b", "one trial at a rung says nothing"
    promotion.hear("b", 2, 0.4)
    promotion.hear("e", 1, 0.95)
    assert promotion.take_up(["e", "b", "a"], last=False) == "b"
    cut = promotion.why_paused("a")
    assert (cut.epoch, cut.value, cut.needed) == (2, 0.3, 0.4)


def test_at_the_end_of_the_search_the_best_trial_of_a_rung_goes_on_however_few_there_are():
    promotion, _ = promotion_at_the_first_rung(0.9, 0.8)
    promotion.hear("a", 2, 0.3)
    assert promotion.take_up(["a", "b"], last=False) is None
    assert promotion.take_up(["a", "b"], last=True) == "a"
    assert promotion.take_up(["b"], last=True) is None


def test_the_foremost_paused_trial_is_the_best_at_the_highest_rung():
    promotion, _ = promotion_at_the_first_rung(0.9, 0.8, 0.8, 0.95)
    assert promotion.foremost(["c", "b"]) == "c", "of equal ones, the first that paused"
    promotion.hear("b", 2, 0.1)
    assert promotion.foremost(["d", "b"]) == "b"
    promotion.hear("a", 2, 0.2)
    assert promotion.foremost(["d", "b", "a"]) == "a"


def test_equal_values_are_all_promoted():
    promotion, cuts = promotion_at_the_first_rung(0.5, 0.5, 0.5, 0.5)
    assert [cut is None for cut in cuts] == [False, True, True, True]
    assert promotion.take_up(["a"], last=False) == "a"


def test_the_bracket_of_a_trial_is_the_same_in_every_version():
    """Frozen: a resumed run has its trials in the brackets in which they were compared."""
    hyperband = Hyperband(grace_period=1, reduction_factor=3, epochs=27)
    assert [hyperband.bracket(str(number)) for number in range(12)] == [
        0, 3, 0, 1, 0, 0, 0, 2, 1, 1, 3, 2,
    ]  # fmt: skip
