"""Simulated searches: the same each time, and counted by what each side knew when."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import search
from benchmarks.rounds import INTERVALS
from benchmarks.search_curves import Curve, SurrogateTask
from benchmarks.search_regret import GRID, compare, mean_time
from benchmarks.search_sides import ours
from fairsweep.errors import UserError
from tests.support.ledgers import keep_in
from tune.execution.in_process import InProcessExecutor
from tune.sweep.clock import SimulatedClock
from tune.sweep.sweep import Sweep

LOG = {"log": True}
WHOLE = {"integer": True}
SPACE = {
    "batch_size": {"low": 16, "high": 512, **LOG, **WHOLE},
    "learning_rate": {"low": 1e-4, "high": 1e-1, **LOG},
    "momentum": {"low": 0.1, "high": 0.99},
    "weight_decay": {"low": 1e-5, "high": 1e-1},
    "num_layers": {"low": 1, "high": 5, **WHOLE},
    "max_units": {"low": 64, "high": 1024, **LOG, **WHOLE},
    "max_dropout": {"low": 0.0, "high": 1.0},
}
EPOCHS = 27


def curve(config):
    """Best at a learning rate of 0.01 without dropout; larger networks take longer."""
    height = 0.9 - 0.1 * abs(np.log10(config["learning_rate"]) + 2) - 0.2 * config["max_dropout"]
    reached = height * (1 - 0.8 ** np.arange(1, EPOCHS + 1))
    seconds = np.full(EPOCHS, 1.0 + config["max_units"] / 1024)
    return Curve(seconds=seconds, validation=reached, test=reached - 0.01)


def draw(rng):
    return {
        name: rng.uniform(about["low"], about["high"]) if "log" not in about
        else float(np.exp(rng.uniform(*np.log([about["low"], about["high"]]))))
        for name, about in SPACE.items()
    }  # fmt: skip


TASK = SimpleNamespace(
    name="made up", space=SPACE, epochs=EPOCHS, mean_seconds=8.0, best=0.89, curve=curve,
    random=draw, carriers=SurrogateTask.carriers, samples=SurrogateTask.samples,
)  # fmt: skip


QUICK = [name for name in search.OTHERS if name.split()[-1] not in ("MOBSTER", "HyperTune")]


@pytest.mark.parametrize(
    "method", ["tpe + asha", "bohb + asha", "tpe + promotion", *QUICK, "oracle"]
)
def test_a_simulated_search_is_the_same_each_time(method):
    if "Syne" in method and method not in search.installed():
        pytest.skip("needs Syne Tune 0.13")
    first, again, other = (
        search.run_side(TASK, method, workers=4, seed=seed).epochs for seed in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_train_side_by_side_up_to_the_horizon(workers):
    watched = search.run_side(TASK, "random + asha", workers=workers, seed=0)
    ends = [seconds for seconds, _, _ in watched.epochs]
    assert ends == sorted(ends)
    horizon = GRID[-1] * TASK.mean_seconds / workers
    # Each worker may end the epoch that it is in, which takes two seconds at most.
    assert horizon <= ends[-1] <= horizon + 2
    trained = len(ends) * 1.5
    assert trained == pytest.approx(horizon * workers, rel=0.2)


def test_the_times_in_the_ledger_are_simulated_and_a_search_is_repeated_to_the_byte():
    ledgers = []
    for _ in range(2):
        events, clock = [], SimulatedClock()
        spec = ours(TASK, seed=0, searcher="tpe", name="asha").spec
        sweep = Sweep(spec, fingerprint="made up", commit=keep_in(events), clock=clock)
        sweep.begin()
        executor = InProcessExecutor(
            workers=3, make_training=search.Trainings(task=TASK, names=TASK.carriers), clock=clock
        )

        def stop(sweep=sweep, clock=clock):
            if clock.seconds > 30:
                sweep.stop("enough")

        executor.execute(sweep, Path(), None, on_step=stop)
        ledgers.append([{k: v for k, v in event.items() if k != "host"} for event in events])
    times = [event["time"] for event in ledgers[0]]
    assert ledgers[0] == ledgers[1]
    assert times == sorted(times)
    assert times[0] == 0 < 30 < times[-1] < 33


def test_the_choice_is_by_validation_and_its_regret_on_test():
    epochs = [(2.0, 0.5, 0.6), (4.0, 0.7, 0.4), (6.0, 0.6, 0.9)]
    watched = SimpleNamespace(epochs=epochs)
    regret = search._regret(TASK, watched, 2)
    assert regret[0] == pytest.approx(0.89 - 0.4), "before the first epoch, the worst"
    for trainings, test in {0.6: 0.6, 1.1: 0.4, 10: 0.4}.items():
        # Two workers for two seconds are half a training of eight.
        assert regret[np.searchsorted(GRID, trainings)] == pytest.approx(0.89 - test)


def test_methods_are_compared_by_the_time_to_the_best_regret_of_the_others():
    falls = np.linspace(1.0, 0.2, len(GRID))
    slower = np.maximum(np.linspace(1.2, 0.3, len(GRID)), 0.25)
    regrets = {("a", "mine"): [falls], ("a", "other"): [slower], ("a", "bad"): [0 * falls + 1]}
    compared = compare(regrets, ["mine", "other", "bad"], ["other", "bad"])
    assert compared.goal == pytest.approx([0.3])
    assert compared.needed["other"] == pytest.approx([GRID[-1]])
    first = GRID[np.flatnonzero(falls <= 0.3)[0]]
    assert 0.95 * first <= compared.needed["mine"][0] <= first
    assert np.isinf(compared.needed["bad"]).all()
    assert mean_time(compared.needed["bad"]) == pytest.approx(GRID[-1])


def test_there_is_an_interval_over_tasks_but_not_over_one():
    falls, slower = np.linspace(1.0, 0.2, len(GRID)), np.linspace(1.2, 0.3, len(GRID))
    regrets = {
        (task, name): [line] for task in "ab" for name, line in (("m", falls), ("o", slower))
    }
    both = search._result(compare(regrets, ["m", "o"], ["o"]), 4, 1).details
    assert set(both[INTERVALS]) == {"m", "o"}
    alone = {key: lines for key, lines in regrets.items() if key[0] == "a"}
    assert not search._result(compare(alone, ["m", "o"], ["o"]), 4, 1).details[INTERVALS]


def test_missing_curves_and_unknown_tasks_are_refused(tmp_path):
    with pytest.raises(UserError, match="give --lcbench FILE"):
        list(search.run(tmp_path / "none.onnx"))
    (tmp_path / "curves.onnx").touch()
    (tmp_path / "curves.json").write_text(json.dumps({"tasks": {"1": 0}, "space": SPACE}))
    pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match="task must be one of 1, but got '2'"):
        SurrogateTask(tmp_path / "curves.onnx", "2")


def test_without_any_curves_a_search_says_what_to_give(monkeypatch, tmp_path):
    monkeypatch.setattr(search, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="there are no curves here; give --lcbench FILE"):
        list(search.run())
    with pytest.raises(UserError, match="without --lcbench, task must be one of"):
        list(search.run(tasks=["x"]))
