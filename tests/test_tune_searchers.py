import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy.stats.qmc import Sobol

from tests.support.sweeps import small_spec
from tune.sweep.searchers import cma, sampled, study
from tune.sweep.searchers.registry import SEARCHERS, make_searcher
from tune.sweep.searchers.sampled import key_of, seed_of
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.searchers.unit import share_of, value_at
from tune.sweep.space import Choice, Range
from tune.sweep.spec import SpecError

RANGES = {
    "blocks": {"low": 1, "high": 6},
    "dropout": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
}
LISTS = {"kernel_size": [3, 5, 7], **RANGES}
CONDITIONAL = {
    "family": {"resnet": {"kernel_size": [3, 5, 7]}, "plain": {"stages": [2, 3, 4]}},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
}
FINITE = {"kernel_size": [3, 5, 7], "blocks": [1, 2], "channels": [4, 8]}
COST = [{"metric": "val_accuracy"}, {"metric": "parameters", "mode": "min"}]
NONE = {"name": "none"}
SIMPLE = {"space": RANGES, "objective": {}, "scheduler": NONE, "whole": True}
CASES = {
    "grid": {"space": FINITE},
    "random": {"space": CONDITIONAL, "samples": 20},
    "sobol": {"space": LISTS, "samples": 20},
    "tpe": {"space": CONDITIONAL, "samples": 24},
    "bohb": {"space": CONDITIONAL, "samples": 24},
    "mobster": {"space": CONDITIONAL, "samples": 24},
    "gp": {"space": LISTS, "samples": 15, "scheduler": NONE},
    "cmaes": {"space": RANGES, "samples": 30, "population": 4},
    "nsga2": {"space": LISTS, "samples": 30, "population": 4, "scheduler": NONE, "objective": COST},
}

LEARNERS = ["tpe", "bohb", "mobster", pytest.param("gp", marks=pytest.mark.long), "cmaes", "nsga2"]
"""Searchers that learn from results; Gaussian processes take their time over it."""


def spec_of(name, **changes):
    case = {**CASES[name], **changes}
    searcher = {"name": name, **{k: case.pop(k, None) for k in ("samples", "population")}}
    fixed = {"epochs": 9} if "family" in case["space"] else small_spec().fixed
    return small_spec(searcher=searcher, fixed=fixed, **case)


def searcher_of(name, **changes):
    return make_searcher(spec_of(name, **changes))


def quality(point):
    """How good a point is; the best learning rate is 0.01, the best dropout 0.2."""
    rate = abs(math.log10(point.get("learning_rate", 0.01)) + 2)
    return 1 - rate / 3 - abs(point.get("dropout", 0.2) - 0.2)


def tell(searcher, log, method, *words):
    log.append((method, words))
    getattr(searcher, method)(*words)


def play(name, *, known=(), whole=False, slots=3, **changes):
    """Train trials side by side, which end in an order of their own; return all that was heard.

    Every fifth fails and every third is stopped early, unless all of them are trained ``whole``.
    """
    spec = spec_of(name, **changes)
    searcher, order = make_searcher(spec), np.random.default_rng(0)
    whole = whole or "early stopping" in SEARCHERS[name].refuses
    log, live, number = [], {}, 0
    tell(searcher, log, "hear_known", known)
    while True:
        point = searcher.propose(number) if len(live) < slots else None
        if point is not None:
            number += 1
            live[str(number)] = point
            tell(searcher, log, "hear_proposed", str(number), point)
        elif not live:
            return log
        else:
            trial_id = order.choice(sorted(live))
            curve, values = result(live.pop(trial_id), 0 if whole else int(trial_id))
            values = values and values[: len(spec.objectives)]
            for epoch, value in enumerate(curve, start=1):
                tell(searcher, log, "hear_epoch", trial_id, epoch, value)
            tell(searcher, log, "hear_ended", trial_id, curve, values)


def result(point, number):
    value = quality(point)
    if number and number % 5 == 0:
        return [], None
    if number and number % 3 == 0:
        return [value / 2], None
    return [value / 2, value], [value, -float(point.get("blocks", 1))]


def proposed(log):
    return [words[1] for method, words in log if method == "hear_proposed"]


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_that_only_heard_proposes_what_the_one_that_proposed_did(name):
    log = play(name)
    points = proposed(log)
    assert len(points) == searcher_of(name).size
    for number in range(0, len(points), 4 if name != "gp" else 7):
        listener, heard = searcher_of(name), 0
        for method, words in log:
            if method == "hear_proposed":
                if heard == number:
                    break
                heard += 1
            getattr(listener, method)(*words)
        assert listener.propose(number) == points[number]


@pytest.mark.parametrize("name", SEARCHERS)
def test_every_point_is_one_of_the_space(name):
    space = spec_of(name).search_space
    points = proposed(play(name))
    assert all(space.holds(point) for point in points)


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "grid"])
def test_another_seed_gives_other_points(name):
    first, second = (searcher_of(name, seed=seed).propose(0) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name not in ("grid", "cmaes")])
def test_a_finite_space_is_used_up_without_a_point_twice(name):
    points = proposed(play(name, space=FINITE, samples=50))
    assert len(points) == len({repr(sorted(point.items())) for point in points}) == 12


def test_cmaes_uses_up_a_space_of_whole_numbers():
    space = {"blocks": {"low": 1, "high": 3}, "channels": {"low": 2, "high": 8, "step": 2}}
    points = proposed(play("cmaes", space=space, samples=50))
    assert len(points) == len({tuple(point.values()) for point in points}) == 12


@pytest.mark.parametrize("name", LEARNERS)
def test_a_searcher_that_learns_ends_where_the_best_points_are(name):
    samples = 25 if name == "gp" else 60
    values = [quality(point) for point in proposed(play(name, samples=samples, **SIMPLE))]
    at_random = searcher_of("random", space=RANGES, samples=300)
    usual = np.mean([quality(at_random.propose(number)) for number in range(300)])
    assert np.mean(values[-10:]) > usual + 0.1


@pytest.mark.parametrize("name", LEARNERS)
def test_a_searcher_that_heard_another_run_begins_where_its_best_points_are(name):
    at_random = searcher_of("random", space=RANGES, samples=40)
    points = [at_random.propose(number) for number in range(40)]
    known = [KnownTrial(point=p, curve=[quality(p)], values=[quality(p)]) for p in points]
    values = [quality(p) for p in proposed(play(name, known=known, samples=10, **SIMPLE))]
    assert np.mean(values) > np.mean([one.values[0] for one in known]) + 0.1


@pytest.mark.parametrize("name", ["tpe", "bohb", "mobster", "cmaes"])
def test_a_searcher_learns_from_trials_that_were_stopped(name):
    told, untold = (searcher_of(name, space=RANGES, samples=60) for _ in range(2))
    for number in range(20):
        point = told.propose(number)
        for searcher, curve in ((told, [quality(point)]), (untold, [])):
            searcher.hear_proposed(str(number), point)
            for value in curve:
                searcher.hear_epoch(str(number), 1, value)
            searcher.hear_ended(str(number), curve, None)
    assert told.propose(20) != untold.propose(20)


def test_cmaes_that_has_converged_begins_again_elsewhere():
    searcher = searcher_of("cmaes", space=RANGES, samples=900)
    rates = []
    for number in range(900):
        point = searcher.propose(number)
        rates.append(math.log10(point["learning_rate"]))
        searcher.hear_proposed(str(number), point)
        searcher.hear_ended(str(number), [quality(point)], [quality(point)])
    spread = [np.ptp(rates[start : start + 20]) for start in range(0, 900, 20)]
    narrowest = int(np.argmin(spread))
    assert spread[narrowest] < 0.01, "it converged"
    assert max(spread[narrowest:]) > 1, "and looked further"


@pytest.mark.parametrize("name", ["tpe", "bohb", "mobster", "gp"])
def test_a_proposal_keeps_away_from_a_running_trial(name):
    spec = spec_of(name, space=RANGES, samples=30, scheduler=NONE)
    searcher, searcher_space = make_searcher(spec), spec.search_space
    for number in range(12):
        point = searcher.propose(number)
        searcher.hear_proposed(str(number), point)
        searcher.hear_epoch(str(number), 1, quality(point))
        searcher.hear_ended(str(number), [quality(point)], [quality(point)])
    alone = searcher.propose(12)
    searcher.hear_proposed("12", {**alone, "dropout": alone["dropout"] * 0.999})
    beside = searcher.propose(12)
    domains = searcher_space.domains(alone)
    apart = [share_of(d, beside[path]) - share_of(d, alone[path]) for path, d in domains.items()]
    assert max(map(abs, apart)) > 0.02


def test_nsga2_moves_towards_the_front():
    points = proposed(play("nsga2", samples=80, population=8))
    gains = [quality(point) - 0.1 * point["blocks"] for point in points]
    assert np.mean(gains[-20:]) > np.mean(gains[:8]) + 0.1


def test_sobol_spreads_its_points_more_evenly_than_chance():
    searcher = searcher_of("sobol", space=RANGES, samples=32)
    points = [searcher.propose(number) for number in range(32)]
    for low in (0.0, 0.125, 0.25, 0.375):
        assert sum(low <= point["dropout"] < low + 0.125 for point in points) == 8


def test_a_skipped_point_is_not_proposed_again():
    for name in CASES:
        searcher = searcher_of(name)
        first = searcher.propose(0)
        searcher.hear_skipped(first)
        assert searcher.propose(0) != first
        assert searcher.propose(1) != first


def test_a_share_of_a_domain_and_back():
    whole = Range(low=1, high=4)
    assert [value_at(whole, share) for share in (0.0, 0.24, 0.26, 0.99, 1.0)] == [1, 1, 2, 4, 4]
    assert value_at(Choice(values=("a", "b")), 0.5) == "b"
    rate = Range(low=1e-4, high=1e-2, log=True)
    assert value_at(rate, 0.5) == pytest.approx(1e-3)
    for domain in (
        whole,
        rate,
        Range(low=1, high=100, log=True),
        Range(low=0.0, high=1.0, step=0.1),
    ):
        for share in (0.05, 0.33, 0.5, 0.95):
            value = value_at(domain, share)
            assert value_at(domain, share_of(domain, value)) == pytest.approx(value)


def test_whole_numbers_of_a_log_range_are_all_drawn():
    domain = Range(low=1, high=4, log=True)
    drawn = [value_at(domain, share) for share in np.linspace(0, 1, 101)]
    assert set(drawn) == {1, 2, 3, 4}
    assert all(isinstance(value, int) for value in drawn)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("sobol", {"space": CONDITIONAL}, ["a choice opens", "grid, random, tpe"]),
        ("gp", {"space": CONDITIONAL}, ["at random", "grid, random, tpe"]),
        ("cmaes", {"space": CONDITIONAL}, ["at random", "grid, random, tpe"]),
        ("nsga2", {"space": CONDITIONAL}, ["at random", "grid, random, tpe"]),
        ("cmaes", {"space": LISTS}, ["space.kernel_size", "{low: 1, high: 8}"]),
        ("cmaes", {"objective": COST}, ["several objectives", "one number"]),
        ("gp", {"scheduler": {"name": "asha"}}, ["scheduler 'asha'", "trained to the end"]),
        ("nsga2", {"scheduler": {"name": "median"}, "objective": {}}, ["scheduler 'median'"]),
        ("random", {"warm_start": "runs/a"}, ["warm_start", "gp, cmaes, nsga2"]),
        ("grid", {"warm_start": "runs/a"}, ["warm_start", "learns nothing"]),
        ("grid", {"space": RANGES}, ["continuous range", "space.dropout"]),
        ("tpe", {"population": 5}, ["population", "generations", "cmaes, nsga2"]),
        ("cmaes", {"samples": None}, ["samples: N"]),
    ],
)
def test_a_pair_that_does_not_go_together_is_refused_with_the_reason_and_a_way_out(
    name, changes, words
):
    with pytest.raises(SpecError) as error:
        searcher_of(name, **changes)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_reading_specs_needs_no_search_library():
    code = (
        "import sys, tune.sweep.sweep; print([m for m in ('optuna', 'cmaes', 'scipy', 'torch') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_grid_proposes_the_first_point_that_is_left():
    searcher = searcher_of("grid")
    points = list(spec_of("grid").search_space.grid())
    assert searcher.size == 12
    for number, point in enumerate(points):
        assert searcher.propose(0) == point
        assert searcher.propose(number + 7) == point, "a grid does not count proposals"
        searcher.hear_proposed(str(number), point)
    assert searcher.propose(12) is None


def test_sobol_proposes_the_points_of_scipys_scrambled_sequence():
    searcher = searcher_of("sobol", space=RANGES, samples=16, seed=5)
    expected = Sobol(3, rng=np.random.default_rng(5)).random(16)
    for number, (blocks, dropout, rate) in enumerate(expected):
        point = searcher.propose(number)
        assert point["blocks"] == 1 + int(blocks * 6)
        assert point["dropout"] == pytest.approx(0.5 * dropout)
        assert math.log10(point["learning_rate"]) == pytest.approx(-4 + 3 * rate)


def test_random_points_are_equally_likely_everywhere():
    searcher = searcher_of("random", space=LISTS, samples=600, seed=5)
    points = [searcher.propose(number) for number in range(600)]
    sizes = [sum(point["kernel_size"] == size for point in points) for size in (3, 5, 7)]
    blocks = [sum(point["blocks"] == value for point in points) for value in range(1, 7)]
    rates = [math.log10(point["learning_rate"]) for point in points]
    # Five standard deviations of a count of 600 draws.
    assert sizes == pytest.approx([200] * 3, abs=58)
    assert blocks == pytest.approx([100] * 6, abs=46)
    assert np.mean(rates) == pytest.approx(-2.5, abs=5 * 3 / math.sqrt(12 * 600))
    assert searcher.propose(600) is None


def test_proposals_are_drawn_as_they_always_were():
    """Frozen: a ledger of old must go on with the same points."""
    point = searcher_of("random", space=LISTS, seed=5).propose(3)
    rng = np.random.default_rng([5, 3, 0])
    shares = [rng.random() for _ in range(4)]
    assert point["kernel_size"] == [3, 5, 7][int(3 * shares[0])]
    assert point["blocks"] == 1 + int(6 * shares[1])
    assert point["dropout"] == pytest.approx(0.5 * shares[2])
    assert seed_of(5, 3, 0) == int.from_bytes(
        hashlib.blake2b(b"5/3/0", digest_size=4).digest(), "big"
    )
    assert key_of({"b": 1, "a": 2}) == key_of({"a": 2, "b": 1})


def test_a_searcher_proposes_no_more_than_its_samples():
    for name in ("random", "sobol", "tpe", "cmaes"):
        searcher = searcher_of(name, space=RANGES, samples=3)
        assert searcher.size == 3
        assert searcher.propose(2) is not None
        assert searcher.propose(3) is None


def test_populations_are_those_of_the_spec_or_the_default(monkeypatch):
    asked = []
    real = study.NSGAIISampler

    def sampler(**options):
        asked.append(options["population_size"])
        return real(**options)

    monkeypatch.setattr(study, "NSGAIISampler", sampler)
    searcher_of("nsga2", population=7)
    searcher_of("nsga2", population=None)
    assert set(asked[: len(asked) // 2]) == {7}
    assert set(asked[len(asked) // 2 :]) == {20}
    assert searcher_of("cmaes", population=9)._optimizer.population_size == 9


def test_cmaes_moves_once_a_whole_population_has_ended_with_a_value(monkeypatch):
    searcher = searcher_of("cmaes", space=RANGES, samples=20, population=4)
    told = []
    monkeypatch.setattr(searcher._optimizer, "tell", told.append)
    points = [searcher.propose(number) for number in range(6)]
    for number, point in enumerate(points):
        searcher.hear_proposed(str(number), point)
    for number, curve in ((3, [0.1, 0.4]), (1, []), (0, [0.2]), (4, [0.3])):
        searcher.hear_ended(str(number), curve, None)
    assert told == []
    searcher.hear_ended("2", [0.5, 0.25], [0.25])
    ((generation,),) = (told,)
    assert [value for _, value in generation] == [-0.4, -0.2, -0.3, -0.25], "it minimises"
    place = generation[1][0]
    assert place[1] == pytest.approx(points[0]["dropout"] / 0.5)
    assert place[2] == pytest.approx((math.log10(points[0]["learning_rate"]) + 4) / 3)


def test_a_study_hears_curves_and_ends():
    searcher = searcher_of("tpe", space=RANGES, samples=9)
    ends = (([0.25, 0.5], [0.5]), ([0.25, 0.5], None), ([], None))
    for number, end in enumerate(ends):
        searcher.hear_proposed(str(number), searcher.propose(number))
        searcher.hear_ended(str(number), *end)
    heard = [one for one in searcher._study.trials if one.params and one.state != TrialState.FAIL]
    whole, stopped = heard
    assert (whole.state, whole.value) == (TrialState.COMPLETE, 0.5)
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {1: 0.25, 2: 0.5})
    assert [one.name for one in searcher._study.directions] == ["MAXIMIZE"]


def test_shares_at_the_ends_of_a_domain():
    assert value_at(Range(low=0.2, high=0.6), 0.25) == pytest.approx(0.3)
    assert share_of(Range(low=0.2, high=0.6), 0.3) == pytest.approx(0.25)
    assert share_of(Range(low=1, high=4), 2) == pytest.approx(1.5 / 4)
    assert share_of(Range(low=1e-4, high=1e-2, log=True), 1e-3) == pytest.approx(0.5)
    assert [value_at(Choice(values=("a", "b", "c")), x) for x in (0.0, 0.34, 0.99, 1.0)] == [
        "a", "b", "c", "c",
    ]  # fmt: skip
    whole = Range(low=1, high=100, log=True)
    assert (value_at(whole, 0.0), value_at(whole, 1.0)) == (1, 100)
    middle = math.exp((math.log(0.5) + math.log(100.5)) / 2)
    assert value_at(whole, 0.5) == round(middle)


def test_the_last_points_of_a_space_are_drawn_at_random_too(monkeypatch):
    monkeypatch.setattr(sampled, "_RANDOM_TRIES", 0)
    first = set()
    for seed in range(10):
        searcher = searcher_of("random", space=FINITE, samples=12, seed=seed)
        searcher.tries = 0
        first.add(key_of(searcher.propose(0)))
    assert len(first) > 3


@pytest.mark.parametrize(("count", "share"), [(1, 1.0), (5, 0.2002), (50, 0.1)])
def test_cmaes_begins_around_the_best_tenth_of_known_trials_or_the_best_of_few(
    monkeypatch, count, share
):
    asked = []
    real = cma.cmaes.get_warm_start_mgd

    def start(solutions, *, gamma):
        asked.append((solutions, gamma))
        return real(solutions, gamma=gamma)

    monkeypatch.setattr(cma.cmaes, "get_warm_start_mgd", start)
    searcher = searcher_of("cmaes", space=RANGES, samples=5)
    points = [searcher.propose(number % 5) for number in range(count)]
    searcher.hear_known(
        [KnownTrial(point=point, curve=[0.1, 0.5], values=None) for point in points]
    )
    ((solutions, gamma),) = asked
    assert gamma == pytest.approx(share)
    assert [value for _, value in solutions] == [-0.5] * count, "it minimises the last value"


def test_tpe_models_all_hyperparameters_at_once_and_keeps_trials_apart():
    sampler = study.tpe(3)
    assert (sampler._multivariate, sampler._group, sampler._constant_liar) == (True, True, True)


def test_a_gaussian_process_is_asked_only_twice_for_a_point():
    assert searcher_of("gp", space=RANGES, samples=3).tries == 2
    assert searcher_of("tpe", space=RANGES, samples=3).tries == 20


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_that_learns_from_results_samples_adaptively(name):
    kind = SEARCHERS[name]
    learns = "warm start" not in kind.refuses
    assert (kind.sampling == "adaptive") == learns
    assert kind.words
