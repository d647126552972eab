"""From which seeds and starting points searchers draw, so that a ledger of old goes on the same."""

from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats.qmc import Sobol

from fairsweep.errors import UserError
from tests.support.sweeps import small_spec
from tune.sweep.schedulers.registry import SCHEDULERS
from tune.sweep.searchers import cma, sampled, study
from tune.sweep.searchers.registry import SEARCHERS, make_searcher
from tune.sweep.searchers.sampled import seed_of
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.searchers.unit import share_of, value_at
from tune.sweep.space import Choice, Range
from tune.sweep.spec import SpecError

RANGES = {"dropout": {"low": 0.0, "high": 0.5}, "weight_decay": {"low": 0.0, "high": 1.0}}


def searcher_of(name, space=None, *, samples=9, seed=5, **changes):
    searcher = {"name": name, "samples": samples, "population": changes.pop("population", None)}
    space = RANGES if space is None else space
    return make_searcher(small_spec(searcher=searcher, space=space, seed=seed, **changes))


@pytest.fixture
def optimizers(monkeypatch):
    """The options of each CMA-ES optimizer that is made."""
    made = []
    real = cma.cmaes.CMA

    def make(**options):
        made.append(options)
        return real(**options)

    monkeypatch.setattr(cma.cmaes, "CMA", make)
    return made


def test_cmaes_begins_in_the_middle_of_the_space_with_a_sixth_of_it(optimizers):
    searcher_of("cmaes", population=4)
    (options,) = optimizers
    assert options["mean"].tolist() == [0.5, 0.5]
    assert options["sigma"] == pytest.approx(1 / 6)
    assert options["cov"].tolist() == np.eye(2).tolist()
    assert options["bounds"].tolist() == [[0.0, 1.0]] * 2
    assert (options["n_max_resampling"], options["population_size"]) == (20, 4)


def tell(searcher, dropouts, stop=False):
    """Let a population end; its points differ in one hyperparameter alone."""
    told = []
    searcher._optimizer = SimpleNamespace(
        population_size=len(dropouts), tell=told.append, should_stop=lambda: stop
    )
    for number, dropout in enumerate(dropouts):
        searcher.hear_proposed(str(number), {"dropout": dropout, "weight_decay": 0.25})
        searcher.hear_ended(str(number), [0.5], None)
    return told


def test_cmaes_begins_again_elsewhere_each_time_that_it_has_converged(optimizers):
    searcher = searcher_of("cmaes", seed=5)
    assert len(tell(searcher, [0.1, 0.10051])) == 1, "a thousandth of the space is not too narrow"
    assert len(optimizers) == 1
    assert tell(searcher, [0.1, 0.10049]) == []
    assert len(tell(searcher, [0.1, 0.4], stop=True)) == 1
    _, *restarts = optimizers
    assert [options["mean"].tolist() for options in restarts] == [
        np.random.default_rng([5, number]).random(2).tolist() for number in (1, 2)
    ]
    assert {options["sigma"] for options in restarts} == {1 / 6}


@pytest.mark.parametrize("name", ["cmaes", "tpe"])
def test_each_attempt_at_a_proposal_has_a_seed_of_its_own(name, monkeypatch):
    searcher = searcher_of(name, seed=5)
    seeds = []
    if name == "cmaes":
        real = searcher._optimizer.reseed_rng
        monkeypatch.setattr(
            searcher._optimizer, "reseed_rng", lambda seed: seeds.append(seed) or real(seed)
        )
    else:
        real = searcher._sampler
        monkeypatch.setattr(searcher, "_sampler", lambda seed: seeds.append(seed) or real(seed))
    monkeypatch.setattr("tune.sweep.searchers.sampled.key_of", lambda _point: f"{len(seeds)}")
    searcher._seen = {"1", "2"}
    searcher.propose(7)
    assert seeds == [seed_of(5, 7, attempt) for attempt in range(3)]


def test_parts_of_a_seed_do_not_run_together():
    assert seed_of(1, 11) != seed_of(11, 1) != seed_of(111)


def test_a_point_of_sobols_sequence_that_is_known_is_replaced_by_one_samples_further():
    searcher = searcher_of("sobol", samples=8, seed=5)
    expected = Sobol(2, rng=np.random.default_rng(5)).random(32)
    searcher.hear_skipped(searcher.propose(3))
    searcher.hear_skipped(searcher.propose(3))
    point = searcher.propose(3)
    assert point["dropout"] == pytest.approx(0.5 * expected[3 + 2 * 8][0])
    assert point["weight_decay"] == pytest.approx(expected[3 + 2 * 8][1])


def test_where_no_draw_is_new_a_random_point_is_drawn_by_seed_and_number(monkeypatch):
    monkeypatch.setattr(sampled.SampledSearcher, "tries", 0)
    searcher = searcher_of("random", seed=5)
    rng = np.random.default_rng([5, 3])
    assert searcher.propose(3) == {"dropout": 0.5 * rng.random(), "weight_decay": rng.random()}


@pytest.mark.parametrize(
    ("domain", "distribution"),
    [
        (Choice(values=(3, 5)), CategoricalDistribution((3, 5))),
        (Range(low=1, high=9), IntDistribution(1, 9)),
        (Range(low=1, high=9, step=4), IntDistribution(1, 9, step=4)),
        (Range(low=1, high=9, log=True), IntDistribution(1, 9, log=True)),
        (Range(low=0.5, high=2), FloatDistribution(0.5, 2.0)),
        (Range(low=0.5, high=2.0, step=0.5), FloatDistribution(0.5, 2.0, step=0.5)),
        (Range(low=0.5, high=2.0, log=True), FloatDistribution(0.5, 2.0, log=True)),
    ],
)
def test_optuna_draws_from_the_same_values_on_the_same_scale(domain, distribution):
    assert study._distribution(domain) == distribution
    trial = optuna.create_study().ask()
    study.suggest(trial, "name", domain)
    assert trial.distributions == {"name": distribution}


@pytest.mark.parametrize("costs", [["val_accuracy", "parameters"], ["val_accuracy"]])
def test_nsga2_counts_a_trial_to_its_generation_when_it_begins(costs):
    none = {"name": "none"}
    searcher = searcher_of("nsga2", population=2, objective=costs, scheduler=none)
    for number in range(3):
        point = searcher.propose(number)
        searcher.hear_proposed(str(number), point)
        searcher.hear_ended(str(number), [0.5], [0.5, -number][: len(costs)])
    generations = [
        value
        for trial in searcher._study.trials
        for key, value in trial.system_attrs.items()
        if key.endswith("generation") and trial.params and trial.values
    ]
    assert generations == [0, 0, 1]


@pytest.mark.parametrize("log", [False, True])
def test_the_ends_of_a_range_are_never_left_by_a_rounding_error(log):
    for low, high in ((1e-4, 1e-1), (0.1, 0.3), (1e-3, 0.7)):
        domain = Range(low=low, high=high, log=log)
        assert low <= value_at(domain, 0.0) <= value_at(domain, 1.0) <= high


def test_a_refusal_offers_only_searchers_that_support_the_feature():
    space = {"family": {"resnet": {"channels": [4]}, "plain": {"stages": [2]}}}
    with pytest.raises(SpecError) as refused:
        searcher_of("sobol", space, fixed={"epochs": 1})
    assert str(refused.value) == (
        "searcher 'sobol' cannot be used with a space in which a choice opens hyperparameters of "
        "its own: its sequence has a fixed number of dimensions; change that, or use one of grid, "
        "random, tpe, bohb, mobster; docs/sweeps.md has the table of all"
    )


def test_each_searcher_is_called_by_its_name_and_refuses_what_it_does_not_support():
    """Frozen: reports and refusals are written with these."""
    nothing = {"warm start", "generations"}
    assert {name: (kind.words, set(kind.refuses)) for name, kind in SEARCHERS.items()} == {
        "grid": ("grid search", {"continuous range", *nothing}),
        "random": ("random search", nothing),
        "sobol": ("Sobol search", {"conditional space", *nothing}),
        "tpe": ("TPE (Bayesian) search", {"generations"}),
        "mobster": ("MOBSTER (Bayesian) search", {"several objectives", "generations"}),
        "bohb": ("BOHB (Bayesian) search", {"several objectives", "generations"}),
        "gp": (
            "Gaussian process (Bayesian) search",
            {"conditional space", "early stopping", "generations"},
        ),
        "cmaes": ("CMA-ES", {"conditional space", "list of values", "several objectives"}),
        "nsga2": ("NSGA-II", {"conditional space", "early stopping"}),
    }
    assert {name: kind.words for name, kind in SCHEDULERS.items()} == {
        "none": "no early stopping",
        "asha": "early stopping by ASHA",
        "hyperband": "early stopping by HyperBand",
        "promotion": "pauses and promotions by ASHA",
        "median": "early stopping by the median rule",
    }


def test_a_study_knows_the_whole_curves_of_another_run():
    searcher = searcher_of("tpe")
    point = {"dropout": 0.25, "weight_decay": 0.5}
    known = [([0.1, 0.5], None), ([0.2, 0.4], [0.4]), ([], None)]
    searcher.hear_known(
        [KnownTrial(point=point, curve=curve, values=values) for curve, values in known]
    )
    stopped, whole, failed = searcher._study.trials
    assert (stopped.state.name, stopped.intermediate_values) == ("PRUNED", {1: 0.1, 2: 0.5})
    assert (whole.state.name, whole.value, whole.intermediate_values) == (
        "COMPLETE", 0.4, {1: 0.2, 2: 0.4},
    )  # fmt: skip
    assert failed.state.name == "FAIL"
    assert whole.params == point


@pytest.mark.parametrize("name", sorted(SEARCHERS.keys() - {"grid"}))
def test_a_searcher_is_told_how_many_configurations_to_propose(name):
    spec = small_spec(searcher={"name": name}, space=RANGES)
    with pytest.raises(UserError, match=f"searcher '{name}' needs to know how many"):
        SEARCHERS[name].make(spec)


def test_a_value_of_a_range_has_the_middle_of_its_part_and_a_number_its_place():
    whole = Range(low=1, high=4)
    assert [share_of(whole, value) for value in (1, 2, 4)] == [0.125, 0.375, 0.875]
    assert share_of(Range(low=0.0, high=1.0, step=0.5), 0.52) == 0.5
    assert share_of(Range(low=1.0, high=5.0), 2.0) == 0.25
    assert share_of(Range(low=1e-4, high=1e-2, log=True), 1e-3) == pytest.approx(0.5)


def test_nsga2_has_twenty_configurations_a_generation_unless_the_spec_says_otherwise():
    none = {"name": "none"}
    for population, size in ((None, 20), (7, 7)):
        searcher = searcher_of("nsga2", population=population, scheduler=none)
        assert searcher._sampler(0).population_size == size


def test_a_range_with_steps_is_a_grid():
    space = {"dropout": {"low": 0.0, "high": 0.5, "step": 0.25}, "blocks": {"low": 1, "high": 2}}
    assert make_searcher(small_spec(space=space)).size == 6


def test_a_point_that_was_only_asked_for_is_no_trial_for_the_sampler():
    searcher = searcher_of("tpe")
    point = searcher.propose(0)
    assert [trial.state.name for trial in searcher._study.trials] == ["FAIL"]
    searcher.hear_proposed("t", point)
    assert [trial.state.name for trial in searcher._study.trials] == ["FAIL", "RUNNING"]
