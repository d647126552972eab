"""The Ray adapter on a real Ray, with trainings that cost nothing."""

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest

from tests.support.ledgers import read_lines
from tests.support.own_training import own_spec, write_code
from tests.support.sweeps import Factory, TrivialTraining, small_spec
from tune.execution.executor import SweepData
from tune.execution.factories import make_factory
from tune.execution.memory import MemoryRequest, OutOfMemoryError
from tune.execution.ray_cluster import ray_session
from tune.execution.ray_executor import drive
from tune.execution.slots import Slots
from tune.run.ledger import Ledger
from tune.run.trial import Status
from tune.session.code import copy_code
from tune.sweep.sweep import Sweep

SLOTS = Slots(cpus=1, gpus=0, count=2)
ONE_SLOT = Slots(cpus=1, gpus=0, count=1)
HALF_A_CARD = Slots(cpus=1, gpus=0.5, count=2)


@pytest.fixture(scope="module", autouse=True)
def session():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 1}')  # Whether there is one or not.
        with ray_session(object_store_bytes=100_000_000):
            yield


def run_sweep(run, *, kind=TrivialTraining, factory=Factory, slots=SLOTS, on_step=None, **changes):
    with Ledger(run) as ledger:
        sweep = Sweep(small_spec(**changes), fingerprint="f", commit=ledger.append)
        sweep.begin()
        make_training = factory(kind=kind, run=run)
        step = (lambda: None) if on_step is None else partial(on_step, sweep)
        drive(sweep, run=run, slots=slots, make_training=make_training, on_step=step)
        sweep.close()
    return sweep


def trained(run):
    lines = (run / "trained.txt").read_text().splitlines()
    return Counter(tuple(line.split()) for line in lines)


@dataclass(kw_only=True)
class Meets(TrivialTraining):
    """Does not begin before another trial has begun beside it."""

    def advance(self):
        (self.run / f"{self.trial_id}.begun").touch()
        until = time.monotonic() + 60
        while len(list(self.run.glob("*.begun"))) < 2:
            assert time.monotonic() < until, "nobody came"
            time.sleep(0.05)  # The other trial is in another process, which tells by a file.
        return super().advance()


def test_a_sweep_with_asha_trains_each_epoch_once_and_stops_what_the_sweep_stops(tmp_path):
    """As many trials run at once as there are slots."""
    sweep = run_sweep(tmp_path, kind=Meets, replicates=2, finalists=2, retries=0)
    assert sweep.finished
    assert {trial.status for trial in sweep.trials.values()} == {
        Status.COMPLETED,
        Status.EARLY_STOPPED,
    }
    measured = {(t.id, str(m.epoch)) for t in sweep.trials.values() for m in t.measurements}
    assert trained(tmp_path) == dict.fromkeys(measured, 1)


@pytest.mark.long
def test_a_paused_trial_goes_on_in_any_worker_and_no_epoch_is_trained_twice(tmp_path):
    sweep = run_sweep(tmp_path, scheduler={"name": "promotion", "reduction_factor": 3})
    assert sweep.finished
    kinds = Counter(event["event"] for event in read_lines(tmp_path))
    assert kinds["trial_taken_up"] >= 1  # How many depends on which trials run side by side.
    assert kinds["attempt_failed"] == 0
    measured = {(t.id, str(m.epoch)) for t in sweep.trials.values() for m in t.measurements}
    assert trained(tmp_path) == dict.fromkeys(measured, 1)


@dataclass(kw_only=True)
class Fails(TrivialTraining):
    """Raises at epoch 3, in every attempt."""

    def advance(self):
        if self._read() == 2:
            raise RuntimeError("no third epoch")
        return super().advance()


def test_a_trial_that_fails_is_retried_from_where_it_was_and_then_given_up(tmp_path):
    sweep = run_sweep(tmp_path, kind=Fails, slots=ONE_SLOT, scheduler={"name": "none"}, retries=1,
                      space={"kernel_size": [3]})  # fmt: skip
    assert sweep.finished
    (trial,) = sweep.trials.values()
    assert trial.status is Status.FAILED
    assert "RuntimeError: no third epoch" in trial.reason
    error = (tmp_path / "errors" / f"{trial.id}.txt").read_text()
    assert error.count("in advance") == 2
    attempts = Counter(e["event"] for e in read_lines(tmp_path))
    assert attempts["attempt_failed"] == 1
    assert set(trained(tmp_path).values()) == {1}


@dataclass(kw_only=True)
class FailsOnceUntilMended(TrivialTraining):
    """The first trial raises at epoch 3 until its machine is mended; the second waits for that."""

    def advance(self):
        mended, first = self.run / "mended", self.run / "first"
        with suppress(FileExistsError), first.open("x") as file:
            file.write(self.trial_id)
        is_first = self.trial_id == first.read_text()
        if is_first and self._read() == 2 and not mended.exists():
            raise RuntimeError("no third epoch")
        until = time.monotonic() + 60
        while not is_first and self._read() == 1 and not mended.exists():
            assert time.monotonic() < until, "nobody mended it"
            time.sleep(0.05)
        return super().advance()


def test_a_failed_trial_is_trained_on_while_another_runs_if_that_is_asked(tmp_path):
    def mend(sweep):
        if Status.FAILED in {trial.status for trial in sweep.trials.values()}:
            (tmp_path / "mended").touch()
            assert sweep.retry_failed() == 1

    sweep = run_sweep(tmp_path, kind=FailsOnceUntilMended, on_step=mend, retries=0,
                      scheduler={"name": "none"}, space={"kernel_size": [3, 5]})  # fmt: skip
    assert sweep.finished
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert [e["event"] for e in read_lines(tmp_path)].count("failed_retried") == 1
    assert set(trained(tmp_path).values()) == {1}


@dataclass(kw_only=True)
class Dies(TrivialTraining):
    """Its process is killed once, after epoch 2 is on disk."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.killed"
        if self._read() == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().advance()


def test_a_trial_whose_worker_is_killed_goes_on_in_another(tmp_path):
    sweep = run_sweep(tmp_path, kind=Dies, slots=ONE_SLOT, scheduler={"name": "none"},
                      space={"kernel_size": [3]})  # fmt: skip
    (trial,) = sweep.trials.values()
    assert trial.status is Status.COMPLETED
    assert set(trained(tmp_path).values()) == {1}
    (death,) = [e["error"] for e in read_lines(tmp_path) if e["event"] == "attempt_failed"]
    assert "died without a message, as after SIGKILL" in death
    assert "Worker exit detail" in (tmp_path / "errors" / f"{trial.id}.txt").read_text()


@dataclass(kw_only=True)
class Crashes(TrivialTraining):
    """A library of its fails in the second epoch, in every attempt."""

    def advance(self):
        if self._read() == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().advance()


def test_a_crash_is_told_by_its_signal_and_not_tried_a_third_time(tmp_path, capfd):
    sweep = run_sweep(tmp_path, kind=Crashes, slots=ONE_SLOT, scheduler={"name": "none"},
                      retries=5, space={"kernel_size": [3]})  # fmt: skip
    (trial,) = sweep.trials.values()
    assert trial.status is Status.FAILED
    assert trial.reason.startswith(
        "its worker crashed with SIGSEGV; usually a library fails on this processor"
    )
    assert trial.reason.endswith("this happened twice in the same epoch, so it is not retried")
    assert Counter(e["event"] for e in read_lines(tmp_path))["attempt_failed"] == 1
    text = (tmp_path / "errors" / f"{trial.id}.txt").read_text()
    assert text.count("Worker exit detail") == text.count("Segmentation fault") == 2
    assert "in advance" in text
    assert "raylet" not in "".join(capfd.readouterr())
    assert not list((tmp_path / "errors").glob(".worker*"))


@dataclass(kw_only=True)
class Freezes(TrivialTraining):
    """Its process is stopped in its first epoch, once."""

    def advance(self):
        mark = self.run / "frozen"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().advance()


@pytest.mark.long
def test_a_worker_that_freezes_in_its_first_epoch_is_killed_and_its_trial_goes_on(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tune.execution.watchdog.FIRST_SECONDS", 5.0)
    sweep = run_sweep(tmp_path, kind=Freezes, scheduler={"name": "none"},
                      space={"kernel_size": [3]})  # fmt: skip
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    (error,) = [e["error"] for e in read_lines(tmp_path) if e["event"] == "attempt_failed"]
    assert error.startswith("its worker made no progress for 5 s and was killed")


@pytest.mark.long
def test_a_stop_ends_a_sweep_whose_worker_is_frozen(tmp_path, monkeypatch):
    monkeypatch.setattr("tune.execution.watchdog.STOP_SECONDS", 2.0)
    with Ledger(tmp_path) as ledger:
        sweep = Sweep(small_spec(), fingerprint="f", commit=ledger.append)
        sweep.begin()
        drive(
            sweep, run=tmp_path, slots=ONE_SLOT,
            make_training=Factory(kind=Freezes, run=tmp_path),
            on_step=lambda: (tmp_path / "frozen").exists() and sweep.stop("enough"),
        )  # fmt: skip
        sweep.close()
    (trial,) = sweep.trials.values()
    assert (trial.status, trial.reason) == (Status.INTERRUPTED, "enough")
    assert "attempt_failed" not in {e["event"] for e in read_lines(tmp_path)}


@pytest.mark.long
def test_a_trial_whose_node_is_lost_goes_on_though_it_may_not_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tune.execution.ray_executor.Nodes.lost_under", lambda _nodes, actor: actor and "node 7"
    )
    sweep = run_sweep(tmp_path, kind=Dies, scheduler={"name": "none"}, retries=0,
                      space={"kernel_size": [3, 5]})  # fmt: skip
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert set(trained(tmp_path).values()) == {1}
    losses = [e["node"] for e in read_lines(tmp_path) if e["event"] == "attempt_lost"]
    assert losses == ["node 7"] * 2
    assert [trial.nodes_lost for trial in sweep.trials.values()] == [1, 1]


@dataclass(kw_only=True)
class Hangs(TrivialTraining):
    """Stands still once, after epoch 2."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.hung"
        if self._read() == 2 and not mark.exists():
            mark.touch()
            time.sleep(3600)
        return super().advance()


@pytest.mark.long
def test_a_trial_that_stands_still_is_killed_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("tune.execution.watchdog.LEAST_SECONDS", 6.0)
    monkeypatch.setattr("tune.execution.watchdog.PATIENCE", 3)
    sweep = run_sweep(
        tmp_path, kind=Hangs, scheduler={"name": "none"}, space={"kernel_size": [3, 5]}
    )
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert sum(e["event"] == "attempt_failed" for e in read_lines(tmp_path)) == 2
    assert set(trained(tmp_path).values()) == {1}


@dataclass(frozen=True, kw_only=True)
class OneCard(Factory):
    """All trials on a card of 10 bytes, of which kernel size 3 takes 4 and 5 takes 9."""

    def memory_request(self, bundle):
        config = bundle.trials[bundle.key]
        need = 4 if config["kernel_size"] == 3 else 9
        name = f"{config['kernel_size']} {config['blocks']}"
        return MemoryRequest(card="card", card_bytes=10, kind=name, estimate=need)


@dataclass(kw_only=True)
class NotesWhen(TrivialTraining):
    """Writes down when it begins and ends, and takes a moment between."""

    sleep_seconds: float = 0.2

    def __post_init__(self):
        self._note("begin")

    def close(self):
        self._note("end")

    def _note(self, word):
        with (self.run / "when.txt").open("a") as file:
            file.write(f"{word} {self.trial_id}\n")


@pytest.mark.long
def test_trials_share_a_card_as_far_as_its_memory_goes(tmp_path):
    sweep = run_sweep(
        tmp_path, kind=NotesWhen, factory=OneCard, slots=HALF_A_CARD, scheduler={"name": "none"},
        space={"blocks": [1, 2], "kernel_size": [3, 5]},
        fixed={**small_spec().fixed, "epochs": 2},
    )  # fmt: skip
    need = {one: 4 if t.config["kernel_size"] == 3 else 9 for one, t in sweep.trials.items()}
    lines = (tmp_path / "when.txt").read_text().splitlines()
    inside, most = set(), 0
    for line in lines:
        word, trial = line.split()
        (inside.add if word == "begin" else inside.discard)(trial)
        most = max(most, sum(need[one] for one in inside))
    assert sweep.finished
    assert most <= 10
    shares = {t.config["kernel_size"]: t.devices for t in sweep.trials.values()}
    assert shares == {3: 0.5, 5: 0.9}  # By its slot, and by its memory.
    # Ray gives a trial to a warm worker while a new one starts for it: only one may open it.
    assert sorted(lines) == sorted(f"{word} {one}" for one in need for word in ("begin", "end"))


@dataclass(kw_only=True)
class FailsOnce(NotesWhen):
    """Breaks before its first epoch ends, the first time."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.failed"
        if not mark.exists():
            mark.touch()
            raise RuntimeError("broke")
        return super().advance()


@dataclass(frozen=True, kw_only=True)
class LittleTaken(OneCard):
    """Measures less than was estimated."""

    def peak_bytes(self):
        return 1


@pytest.mark.long  # test_tune_worker.py shows it of the worker alone.
def test_what_an_attempt_took_that_broke_does_not_count_as_measured(tmp_path):
    run_sweep(
        tmp_path, kind=FailsOnce, factory=LittleTaken, slots=HALF_A_CARD,
        scheduler={"name": "none"}, space={"blocks": [1, 2], "kernel_size": [5]},
        fixed={**small_spec().fixed, "epochs": 2},
    )  # fmt: skip
    lines = (tmp_path / "when.txt").read_text().splitlines()
    begun = [line.split()[1] for line in lines if line.startswith("begin")]
    ended = [line.split()[1] for line in lines if line.startswith("end")]
    assert len(begun) == 4  # Two trials, twice each.
    # Each takes nearly the whole card, so they come and go one after another.
    assert [line.split()[0] for line in lines] == ["begin", "end"] * 4
    assert begun == ended


def test_a_sweep_that_waits_for_nodes_can_be_stopped(tmp_path):
    with Ledger(tmp_path) as ledger:
        sweep = Sweep(small_spec(), fingerprint="f", commit=ledger.append)
        sweep.begin()
        drive(
            sweep, run=tmp_path, slots=Slots(cpus=1, gpus=0, count=0),
            make_training=Factory(kind=TrivialTraining, run=tmp_path),
            on_step=lambda: sweep.stop("enough"),
        )  # fmt: skip
    assert sweep.stopping == "enough"
    assert not sweep.trials


@dataclass(kw_only=True)
class TooBig(TrivialTraining):
    """Kernel size 5 never fits, 3 only the second time."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.tried"
        if not mark.exists() or (self.run / f"{self.trial_id}.big").exists():
            mark.touch()
            raise OutOfMemoryError("tried to take 3 GiB more of 80 GiB")
        return super().advance()


@dataclass(frozen=True, kw_only=True)
class BigKernels(Factory):
    """Marks the trials with kernel size 5 as too big."""

    def __call__(self, bundle):
        if bundle.trials[bundle.key]["kernel_size"] == 5:
            (self.run / f"{bundle.key}.big").touch()
        return super().__call__(bundle)


def test_out_of_memory_is_tried_once_more_alone_and_then_infeasible(tmp_path):
    sweep = run_sweep(
        tmp_path, kind=TooBig, factory=BigKernels, slots=ONE_SLOT, scheduler={"name": "none"},
        space={"kernel_size": [3, 5]},
    )  # fmt: skip
    status = {trial.config["kernel_size"]: trial.status for trial in sweep.trials.values()}
    assert status == {3: Status.COMPLETED, 5: Status.INFEASIBLE}
    big = next(t for t in sweep.trials.values() if t.status is Status.INFEASIBLE)
    assert big.reason == "tried to take 3 GiB more of 80 GiB"


OWN = """
import os

def train(*, rate: float, data: str, device: str):
    name = f"{data}/{device} {os.environ['CUDA_VISIBLE_DEVICES']} {rate}"
    again = os.path.exists(name)
    open(name, "w").close()
    if rate == 0.2:
        raise ValueError("no such rate")
    yield {"val_f1": rate}
    if rate == 0.4 and not again:
        raise MemoryError
    yield {"val_f1": rate}
"""


def test_own_training_code_gets_a_share_of_a_gpu_and_its_exceptions_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    write_code(tmp_path, OWN)
    spec = own_spec(fixed={"epochs": 2}, space={"rate": [0.1, 0.2, 0.4]}, retries=0)
    copy_code(tmp_path, spec)
    with Ledger(tmp_path) as ledger:
        sweep = Sweep(spec, fingerprint="f", commit=ledger.append)
        sweep.begin()
        data = SweepData(dataset=None, find=lambda: str(tmp_path))
        factory = make_factory(sweep, tmp_path, data, threads=1, gpus=0.5)
        drive(sweep, run=tmp_path, slots=HALF_A_CARD, make_training=factory)
        sweep.close()
    whole, failed, exclusive = sweep.trials.values()
    assert sorted(path.name for path in tmp_path.glob("cuda*")) == [
        "cuda 0 0.1", "cuda 0 0.2", "cuda 0 0.4",
    ]  # fmt: skip
    assert (whole.status, exclusive.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (whole.devices, exclusive.devices) == (0.5, 1.0)
    assert failed.reason == (
        "mine.training:train: mine/training.py, line 9, in train: ValueError: no such rate "
        f"(all of it in errors/{failed.id}.txt)"
    )
    told = (tmp_path / "errors" / f"{failed.id}.txt").read_text()
    assert told.count("ValueError: no such rate\n") == 2  # Told and traced.
    assert "ray::" not in told
