"""Limits of a spec: what is over them is recorded and never trained."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.run.objectives import objective_values, objectives_of
from analysis.run.run_data import read_run
from data_prep.manifest import DatasetManifest
from models.build import count_parameters
from tests.support.in_process import EXECUTOR, FIXED, resume, start, tiny_spec
from tests.support.in_process import few_pictures_fixture as few_pictures_fixture
from tests.support.ledgers import events_of, keep_in, read_lines
from tests.support.sweeps import WORKER, figures, play, small_spec
from tune.__main__ import main
from tune.execution.factory import TrainingFactory
from tune.run.trial import Status
from tune.session.limits import known_costs
from tune.sweep.limits import excess, network_key
from tune.sweep.spec import LimitsSpec, SpecError, parse_spec
from tune.sweep.sweep import Sweep

WHOLE = {"scheduler": {"name": "none"}}
SPACE = {"channels": [2, 8], "learning_rate": [0.001, 0.01]}
TIMED = {**WHOLE, "space": SPACE, "limits": {"latency_ms": 5}}


def size(config):
    """Stands in for the parameters of a network."""
    return {"parameters": 100 * config["channels"]}


def sweep_of(spec, ledger, costs=size):
    return Sweep(
        spec, fingerprint="f", commit=keep_in(ledger), events=events_of(ledger), costs=costs
    )


def statuses(sweep):
    return [(trial.config["channels"], trial.status) for trial in sweep.trials.values()]


def latencies(ledger):
    return [line["latency_ms"] for line in ledger if line["event"] == "latency_measured"]


# What a spec may say.


def test_a_spec_without_limits_is_written_as_before_there_were_any():
    assert "limits" not in small_spec().to_yaml()
    assert small_spec(limits={"parameters": 1e6}).limits.parameters == 1_000_000


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "limits: must hold parameters, mflop or latency_ms"),
        ({"parameters": 0}, "limits.parameters: .*greater than or equal to 1, but got 0"),
        ({"parameters": 1.5}, "limits.parameters: .*valid integer, but got 1.5"),
        ({"latency": 5}, "'latency' is not a key of limits; the nearest one is 'latency_ms'"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(limits, words):
    with pytest.raises(SpecError, match=words):
        small_spec(limits=limits)


def test_the_latency_can_be_a_further_objective_but_not_the_first():
    spec = small_spec(**WHOLE, objective=["val_accuracy", "latency_ms"])
    assert spec.times_networks
    assert spec.objectives[1].mode == "min"
    with pytest.raises(SpecError, match="must begin with a measured metric, but got latency_ms"):
        small_spec(objective="latency_ms")


# What is over a limit.


def test_the_first_limit_that_is_exceeded_is_told_with_both_figures():
    limits = LimitsSpec(parameters=1000, mflop=2.5, latency_ms=5.0)
    assert excess(limits, {"parameters": 1000, "mflop": 2.5, "latency_ms": 5.0}) is None
    assert excess(limits, {}) is None
    told = {
        "parameters": (1304, "over the limit: 1,304 parameters, at most 1,000 allowed"),
        "mflop": (2.75, "over the limit: 2.75 MFLOP/picture, at most 2.5 allowed"),
        "latency_ms": (5.001, "over the limit: 5.001 ms latency, at most 5 allowed"),
    }
    for name, (value, words) in told.items():
        assert excess(limits, {name: value}) == words


def test_a_number_of_parameters_is_told_in_full():
    words = "over the limit: 12,345,678 parameters, at most 10,000,001 allowed"
    assert excess(LimitsSpec(parameters=10_000_001), {"parameters": 12_345_678}) == words


def test_networks_are_told_apart_by_what_decides_their_latency():
    values = {"family": "resnet", "channels": 4}
    known = network_key(values)
    assert known == network_key({"channels": 4, "family": "resnet"})
    for equal in ({"learning_rate": 1}, {"seed": 2}, {"fold": 3}, {"epochs": 9}, {"code": "a1"}):
        assert known == network_key({**values, **equal})
    others = [
        {"channels": 8}, {"family": "plain"}, {"precision": "bf16"}, {"image_size": 32},
        {"test_time_flip": True}, {"architecture": "resnet18"}, {"mine": 3},
    ]  # fmt: skip
    keys = [network_key({**values, **other}) for other in others]
    assert len({known, *keys}) == 1 + len(others)


def test_a_configuration_over_the_limit_is_recorded_and_never_handed_out():
    spec, ledger = small_spec(**WHOLE, space=SPACE, limits={"parameters": 500}), []
    sweep = sweep_of(spec, ledger)
    sweep.begin()
    trained = []
    play(sweep, on_step=lambda: trained.extend(t.id for t in sweep.trials.values() if t.last))
    assert sweep.finished
    assert statuses(sweep) == [(2, Status.COMPLETED)] * 2 + [(8, Status.OVER_LIMIT)] * 2
    over = [trial for trial in sweep.trials.values() if trial.status is Status.OVER_LIMIT]
    assert {trial.reason for trial in over} == {
        "over the limit: 800 parameters, at most 500 allowed"
    }
    assert not {trial.id for trial in over} & set(trained)
    assert not any(event.get("trial") == over[0].id for event in ledger[:5])
    again = sweep_of(spec, ledger, costs=lambda _config: pytest.fail("it is in the ledger"))
    assert statuses(again) == statuses(sweep)


def test_a_kill_between_proposal_and_verdict_trains_nothing_over_the_limit():
    spec, ledger = small_spec(**WHOLE, space=SPACE, limits={"parameters": 500}), []
    sweep = sweep_of(spec, ledger)
    sweep.begin()
    play(sweep)
    verdict = next(n for n, e in enumerate(ledger) if e.get("status") == "OVER_LIMIT")
    cut = ledger[:verdict]
    assert cut[-1]["event"] == "trial_proposed"
    again = sweep_of(spec, cut)
    again.begin()
    play(again)
    assert statuses(again) == statuses(sweep)


def test_where_everything_is_over_the_limit_the_sweep_ends_without_an_incumbent():
    spec = small_spec(**WHOLE, space=SPACE, replicates=3, limits={"parameters": 1})
    sweep = sweep_of(spec, [])
    play(sweep)
    assert sweep.finished
    assert sweep.incumbent is None
    assert len(sweep.trials) == 4


def test_a_searcher_is_told_what_is_over_the_limit_and_avoids_it():
    """Of the widths 1 to 64, those above 16 are over the limit: three in four at random."""
    space = {
        "channels": {"low": 1, "high": 64},
        "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
    }
    shares = {}
    for name in ("random", "tpe"):
        spec = small_spec(
            **WHOLE, space=space, searcher={"name": name, "samples": 60},
            limits={"parameters": 1600},
        )  # fmt: skip
        sweep, ledger = sweep_of(spec, kept := []), kept
        sweep.begin()
        play(sweep)
        late = list(sweep.trials.values())[30:]
        shares[name] = sum(trial.status is Status.OVER_LIMIT for trial in late) / len(late)
        again = sweep_of(spec, ledger[: len(ledger) * 2 // 3])
        play(again)
        assert list(again.trials) == list(sweep.trials), "a resume proposes the same"
    assert shares["random"] > 0.6
    assert shares["tpe"] < 0.4


@pytest.mark.parametrize("name", ["bohb", "mobster", "gp", "cmaes", "nsga2", "sobol", "tpe"])
def test_every_searcher_goes_on_after_a_trial_over_the_limit(name):
    space = {"channels": {"low": 1, "high": 64}, "blocks": {"low": 1, "high": 4}}
    spec = small_spec(
        **WHOLE, space=space, searcher={"name": name, "samples": 5}, limits={"parameters": 1600},
        objective=["val_accuracy", "parameters"] if name in ("tpe", "nsga2") else "val_accuracy",
    )  # fmt: skip
    sweep = sweep_of(spec, [])
    play(sweep)
    assert sweep.finished
    assert Status.OVER_LIMIT in {trial.status for trial in sweep.trials.values()}


# Latency.


def test_each_network_is_timed_once_and_all_its_trials_are_judged_alike():
    spec, ledger = small_spec(**TIMED), []
    sweep = sweep_of(spec, ledger)
    sweep.begin()
    timed = []
    while (bundle := sweep.next_bundle(1)) is not None:
        (trial_id,) = bundle.trials
        sweep.start(trial_id, 1.0)
        wide = sweep.trials[trial_id].config["channels"] == 8
        if bundle.times_network:
            timed.append(sweep.trials[trial_id].config["channels"])
            if not sweep.hear_latency(bundle.trials, 7.25 if wide else 3.5):
                continue
        for epoch in range(1, 10):
            sweep.report(trial_id, epoch, figures(trial_id, epoch), WORKER)
    assert timed == [2, 8]
    assert latencies(ledger) == [3.5, 7.25]
    assert statuses(sweep) == [(2, Status.COMPLETED)] * 2 + [(8, Status.OVER_LIMIT)] * 2
    for whole in (sweep, sweep_of(spec, ledger)):
        assert [trial.latency_ms for trial in whole.trials.values()] == [3.5, 3.5, 7.25, 7.25]
    assert sweep.incumbent.config["channels"] == 2


def test_of_two_measurements_at_the_same_time_the_first_counts():
    spec, ledger = small_spec(**TIMED), []
    sweep = sweep_of(spec, ledger)
    first, second = sweep.next_bundle(2), sweep.next_bundle(2)
    assert first.times_network
    assert second.times_network
    assert sweep.hear_latency(first.trials, 4.9)
    assert sweep.hear_latency(second.trials, 5.1)
    assert latencies(ledger) == [4.9]
    assert [trial.latency_ms for trial in sweep.trials.values()] == [4.9, 4.9]


def test_all_trials_of_a_bundle_end_where_their_network_is_too_slow():
    changes = {"space": {"channels": [2]}, "limits": {"latency_ms": 5}}
    sweep = sweep_of(small_spec(**WHOLE, **changes, folds=3), [])
    sweep.begin()
    bundle = sweep.next_bundle(1)
    assert len(bundle.trials) == 3
    assert not sweep.hear_latency(bundle.trials, 7.25)
    assert [trial.status for trial in sweep.trials.values()] == [Status.OVER_LIMIT] * 3


def test_a_trial_that_was_timed_and_killed_is_not_timed_again():
    spec, ledger = small_spec(**TIMED), []
    sweep = sweep_of(spec, ledger)
    sweep.begin()
    bundle = sweep.next_bundle(1)
    sweep.start(bundle.key, 1.0)
    sweep.hear_latency(bundle.trials, 4.0)
    again = sweep_of(spec, ledger)
    again.begin()
    bundle = again.next_bundle(1)
    assert (bundle.key, bundle.times_network) == (next(iter(sweep.trials)), False)


def test_a_sweep_without_a_limit_of_latency_times_nothing():
    spec = small_spec(**WHOLE, space=SPACE, limits={"parameters": 500})
    assert not sweep_of(spec, []).next_bundle(1).times_network


def test_operations_are_limited_in_millions_and_each_network_is_counted_once(
    few_pictures, monkeypatch
):
    manifest = DatasetManifest.read(few_pictures)
    counted = []

    def cost(config, **task):
        counted.append(config.channels)
        assert task == manifest.task
        return SimpleNamespace(parameters=77, flop_per_picture=2_500_000)

    monkeypatch.setattr("models.cost.training_cost", cost)
    spec = limited_spec(few_pictures, limits={"mflop": 2.4})
    costs = known_costs(spec, manifest)
    config = {**spec.fixed, "channels": 4, "learning_rate": 0.1}
    assert costs(config) == {"parameters": 77, "mflop": 2.5}
    costs({**config, "learning_rate": 0.2})
    costs({**config, "channels": 8})
    assert counted == [4, 8]
    timed = limited_spec(few_pictures, limits={"latency_ms": 5})
    assert known_costs(timed, manifest)(config) == {}
    assert known_costs(spec, None)(config) == {}


# Real trainings.


def limited_spec(data, **changes):
    fixed = {name: value for name, value in FIXED.items() if name != "channels"}
    return parse_spec(
        {**tiny_spec(data).model_dump(), "fixed": fixed, "space": {"channels": [2, 64]}, **changes}
    )


@pytest.fixture(name="limited", scope="module")
def limited_fixture(tmp_path_factory, few_pictures):
    spec = limited_spec(
        few_pictures, name="limited", limits={"parameters": 1000, "latency_ms": 10_000}
    )
    return start(spec, tmp_path_factory.mktemp("limited"))


def test_a_real_sweep_trains_within_the_limits_and_shows_the_rest(limited, few_pictures, capsys):
    run, sweep = limited
    manifest = DatasetManifest.read(few_pictures)
    small, large = sweep.trials.values()
    expected = count_parameters(sweep.spec.read_config(large.config), **manifest.task)
    assert large.reason == f"over the limit: {expected:,} parameters, at most 1,000 allowed"
    table = pd.read_parquet(run / "trials.parquet").set_index("trial_id")
    assert table.loc[large.id, "status"] == "OVER_LIMIT"
    assert table.loc[large.id, "reason"] == large.reason
    assert table.loc[small.id, "latency_ms"] == small.latency_ms > 0
    assert main(["status", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["trials"]
    assert (told["COMPLETED"], told["OVER_LIMIT"]) == (1, 1)
    before = read_lines(run)
    assert resume(run).finished
    assert read_lines(run) == before, "nothing is measured again"


def test_a_network_that_is_too_slow_is_never_trained(tmp_path, few_pictures, monkeypatch):
    spec = limited_spec(few_pictures, limits={"latency_ms": 1e-6}, replicates=2, fuse="always")
    opened = []
    monkeypatch.setattr(TrainingFactory, "__call__", lambda _self, bundle: opened.append(bundle))
    _, sweep = start(spec, tmp_path, executor=EXECUTOR)
    assert opened == []
    assert {trial.status for trial in sweep.trials.values()} == {Status.OVER_LIMIT}
    for trial in sweep.trials.values():
        assert trial.reason == (
            f"over the limit: {trial.latency_ms:,.6g} ms latency, at most 1e-06 allowed"
        )


def test_a_plan_shows_what_is_over_the_limit_and_leaves_it_out_of_the_sums(
    few_pictures, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    spec = limited_spec(few_pictures, limits={"parameters": 1000, "latency_ms": 5})
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    assert main(["plan", str(tmp_path / "spec.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("limits")
    assert "over the limit" not in lines[1]
    assert lines[2].endswith("over the limit")
    assert lines[3] == "1 of 2 are over the limit and not trained"
    assert lines[4].startswith("1 trials of 1 configurations, about 1 epochs")
    assert "latency of each network is measured" in lines[5]


@pytest.mark.parametrize("limit", ["parameters", "mflop"])
def test_a_plan_of_which_nothing_is_trained_says_so(
    few_pictures, tmp_path, capsys, monkeypatch, limit
):
    monkeypatch.setenv("COLUMNS", "200")
    spec = limited_spec(few_pictures, limits={limit: 1 if limit == "parameters" else 1e-6})
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    assert main(["plan", str(tmp_path / "spec.yaml")]) == 0
    told = capsys.readouterr().out
    assert "2 of 2 are over the limit and not trained" in told
    assert "\n0 trials of 0 configurations, about 0 epochs" in told


def test_own_training_code_has_no_limits_and_may_call_a_metric_latency_ms(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def train(size: int):\n    yield {'latency_ms': 1.0}\n")
    monkeypatch.chdir(tmp_path)
    values = {"name": "own", "train": "mine:train", "space": {"size": [1, 2]}}
    values["fixed"] = {"epochs": 2}
    spec = parse_spec({**values, "objective": "latency_ms"})
    assert (spec.objective.mode, spec.times_networks) == ("min", False)
    for limit in ("parameters", "mflop", "latency_ms"):
        with pytest.raises(SpecError, match="own training code are not known before it runs"):
            parse_spec({**values, "objective": "latency_ms", "limits": {limit: 5}})


def test_the_latency_is_an_objective_for_tables_and_pareto_front(few_pictures, tmp_path):
    spec = limited_spec(
        few_pictures, name="quick", objective=["val_accuracy", "latency_ms"], fuse="never"
    )
    run, sweep = start(spec, tmp_path)
    slow, fast = sorted(sweep.trials.values(), key=lambda trial: -trial.latency_ms)
    assert slow.latency_ms > fast.latency_ms > 0
    assert sweep.values(fast)["latency_ms"] == fast.latency_ms
    assert fast in sweep.front, "nothing is as fast"
    data = read_run(run)
    told = objective_values(data, objectives_of(data)).set_index(data.trials["trial_id"])
    assert told["latency_ms"].to_dict() == {t.id: t.latency_ms for t in (slow, fast)}


def test_a_trial_that_has_ended_is_not_ended_again_by_its_latency():
    sweep = sweep_of(small_spec(**TIMED), ledger := [])
    sweep.begin()
    bundle = sweep.next_bundle(1)
    sweep.start(bundle.key, 1.0)
    sweep.give_up(bundle.key, Status.INFEASIBLE, "too large")
    sweep.hear_latency(bundle.trials, 9.0)
    (ended,) = (event for event in ledger if event["event"] == "trial_ended")
    assert ended["reason"] == sweep.trials[bundle.key].reason == "too large"
