"""`first:` in a spec: configurations that are tried before the searcher's own."""

import pytest

from analysis.imports.choices import Choices
from analysis.imports.found import FoundTrial
from tests.support.found_trials import write_found
from tests.support.sweeps import new_sweep, play, small_spec
from tune.run.trial import Status
from tune.session.warm_start import read_warm_start
from tune.sweep.spec import SpecError, parse_spec
from tune.sweep.sweep import Sweep

FIRST = [
    {"kernel_size": 7, "blocks": 2, "channels": 8},
    {"kernel_size": 5, "blocks": 1, "channels": 4},
]
RANDOM = {"name": "random", "samples": 4}


def chosen(sweep):
    names = ("kernel_size", "blocks", "channels")
    trials = sorted(sweep.trials.values(), key=lambda trial: trial.number)
    return [{name: trial.config[name] for name in names} for trial in trials]


@pytest.mark.parametrize(
    "searcher",
    [{"name": "grid"}, RANDOM, {"name": "tpe", "samples": 4}, {"name": "sobol", "samples": 4}],
)
def test_they_come_first_and_the_searcher_goes_on_as_without_them(searcher):
    plain, _ = new_sweep(small_spec(searcher=searcher, scheduler={"name": "none"}))
    play(plain)
    sweep, _ = new_sweep(small_spec(searcher=searcher, scheduler={"name": "none"}, first=FIRST))
    expected = sweep.expected
    play(sweep)
    assert chosen(sweep)[:2] == FIRST
    assert [trial.number for trial in sweep.trials.values()] == list(range(len(sweep.trials)))
    assert sweep.expected == len(sweep.trials)
    if searcher["name"] == "grid":
        rest = [config for config in chosen(plain) if config not in FIRST]
        assert chosen(sweep)[2:] == rest
    else:
        assert expected == 6
        assert len(sweep.trials) <= 6
    if searcher["name"] == "random":
        assert [c for c in chosen(plain) if c not in FIRST] == chosen(sweep)[2:]


def test_a_resumed_sweep_does_not_try_them_again():
    spec = small_spec(searcher=RANDOM, first=FIRST)
    whole, ledger = new_sweep(spec)
    play(whole)
    for length in range(1, len(ledger), 7):
        again = replayed(spec, ledger[:length])
        play(again)
        assert chosen(again)[:2] == FIRST
        assert len(again.trials) == len(whole.trials)


def replayed(spec, ledger):
    from tests.support.ledgers import events_of

    events = events_of(ledger)
    sweep = Sweep(spec, fingerprint="f", events=events)
    sweep.begin()
    return sweep


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"kernel_size": 7, "blocks": 2}, "configuration 1 lacks channels"),
        ({**FIRST[0], "kernel_size": 9}, "kernel_size 9 is not in the space"),
        ({**FIRST[0], "kernel": 9}, "kernel is not searched under space; did you mean kernel_size"),
        ({**FIRST[0], "dropout": 0.5}, "dropout is not searched"),
        ({"block": 2, "x": 1, "y": 2}, r"block is not searched under space; did you mean blocks\?"),
    ],
)
def test_a_configuration_that_is_no_point_of_the_space_is_refused(first, message):
    with pytest.raises(SpecError, match=message):
        small_spec(first=[first])


def test_a_tied_hyperparameter_follows_and_may_be_left_out():
    values = small_spec().model_dump()
    space = {"blocks": [1, 2], "fc_layers": {"from": "blocks", "map": {1: 1, 2: 3}}}
    spec = {**values, "objective": "val_accuracy", "space": space}
    parse_spec({**spec, "first": [{"blocks": 2}]})
    parse_spec({**spec, "first": [{"blocks": 2, "fc_layers": 3}]})
    with pytest.raises(SpecError, match="fc_layers is 3 here"):
        parse_spec({**spec, "first": [{"blocks": 2, "fc_layers": 1}]})


def imported(path, configs, metric="val_accuracy", mode="max"):
    trials = tuple(
        FoundTrial(
            label=str(number),
            values=config,
            measurements={e: {metric: 0.5 + 0.01 * e + 0.1 * number} for e in range(1, 4)},
            status=Status.COMPLETED,
        )
        for number, config in enumerate(configs)
    )
    return write_found(path, trials, Choices(metric=metric, mode=mode))


def test_a_searcher_knows_the_trials_of_an_imported_run(tmp_path):
    run = imported(tmp_path / "run", [*FIRST, {**FIRST[0], "kernel_size": 9}])
    spec = small_spec(searcher={"name": "tpe", "samples": 4}, warm_start=str(run))
    warm = read_warm_start(spec, "any")
    assert (len(warm.trials), warm.unfit) == (2, 1)
    assert [known.point for known in warm.trials] == FIRST
    assert warm.trials[1].values == pytest.approx([0.63])
    assert warm.trials[1].curve == pytest.approx([0.61, 0.62, 0.63])


def test_an_imported_run_with_another_objective_is_refused(tmp_path):
    run = imported(tmp_path / "run", FIRST, metric="gain")
    spec = small_spec(searcher={"name": "tpe", "samples": 4}, warm_start=str(run))
    with pytest.raises(SpecError, match="max gain, but this sweep has max val_accuracy"):
        read_warm_start(spec, "any")
    run = imported(tmp_path / "other run", FIRST, metric="val_accuracy", mode="min")
    with pytest.raises(SpecError, match="min val_accuracy, but this sweep has max val_accuracy"):
        read_warm_start(small_spec(warm_start=str(run)), "any")


def test_a_fixed_hyperparameter_of_another_value_makes_no_point_fit(tmp_path):
    run = imported(tmp_path / "run", [{**FIRST[0], "pool_size": 8}])
    spec = small_spec(searcher={"name": "tpe", "samples": 4}, warm_start=str(run))
    assert read_warm_start(spec, "any").trials == ()


def test_a_hyperparameter_of_another_choice_does_not_belong_to_a_configuration():
    inner = {"sgd": {"weight_decay": [0.0, 0.1]}, "adam": {}}
    space = {
        "family": {"resnet": {"blocks": [1, 2], "optimizer": inner}, "plain": {"stages": [2, 3]}}
    }
    known = {"family": "resnet", "blocks": 2, "optimizer": "sgd", "weight_decay": 0.1}
    spec = small_spec(fixed={"epochs": 1}, space=space, first=[known])
    sweep, _ = new_sweep(spec)
    assert known.items() <= sweep.next_trial().config.items()
    for other, name in (({"stages": 3}, "stages"), ({"optimizer": "adam"}, "weight_decay")):
        message = f"configuration 1: {name} does not belong to this part of the space"
        with pytest.raises(SpecError, match=message):
            small_spec(fixed={"epochs": 1}, space=space, first=[{**known, **other}])
