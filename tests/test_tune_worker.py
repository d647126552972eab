"""What a worker does for Ray Tune, called as Ray calls it but in this process."""

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.sweeps import figures
from tune.execution.executor import EpochReport
from tune.execution.memory import MemoryRequest, OutOfMemoryError
from tune.execution.worker import Worker
from tune.sweep.bundle import Bundle, Fusing


class Training:
    """Tells epochs from the first one that it is given; notes what it is asked."""

    parameters = 7
    device = "a card"

    def __init__(self, bundle, notes, first=1, fails=None):
        self.left, self.notes, self.epoch, self.fails = list(bundle.trials), notes, first, fails

    def advance(self):
        if self.fails is not None:
            raise self.fails
        self.epoch += 1
        epoch = self.epoch - 1
        return [EpochReport(one, epoch, figures(one, epoch)) for one in self.left]

    def end(self, trial_id):
        self.notes.append(("end", trial_id))
        self.left.remove(trial_id)

    def close(self):
        self.notes.append("close")


class Make:
    """Opens trainings; ``first`` is the epoch that they tell first, ``fails`` what they raise."""

    def __init__(self, **options):
        self.notes, self.options, self.fused = [], options, True
        self.request = None

    def __call__(self, bundle):
        self.notes.append(("open", bundle.folder, bundle.channels_last, bundle.probe))
        return Training(bundle, self.notes, **self.options)

    def latency_ms(self, bundle):
        self.notes.append(("timed", bundle.folder))
        return 4.5

    def probe(self, bundle):
        trials = tuple(bundle.trials)
        return Fusing(trials=trials, fused=self.fused, gain=1.5, channels_last=False)

    def memory_request(self, _bundle):
        return self.request

    def peak_bytes(self):
        return 99


def worker_of(make, gates=None, **changes):
    worker = Worker.__new__(Worker)
    bundle = Bundle(**{"trials": {"a": {}, "b": {}}, "folder": "a", **changes})
    worker.setup({"bundle": bundle.to_json()}, make, gates)
    return worker


def test_a_step_tells_each_trial_of_the_bundle_and_where_it_runs(monkeypatch):
    monkeypatch.setattr("tune.execution.worker.socket.gethostname", lambda: "n7")
    make = Make()
    worker = worker_of(make)
    assert make.notes == [], "nothing is opened before the first step"
    result = worker.step()
    assert (result["epoch"], result["trained"]) == (1, True)
    report, (where,) = result["reports"], result["worker"]
    assert [(trial, epoch) for trial, epoch, _ in report] == [("a", 1), ("b", 1)]
    assert report[1][2] == figures("b", 1)
    assert where == {"host": "n7", "device": "a card", "parameters": 7, "share": 0.0}
    worker.end_trial("a")
    assert [trial for trial, _, _ in worker.step()["reports"]] == ["b"]
    assert make.notes == [("open", "a", True, False), ("end", "a")]


def test_a_worker_watches_its_node_and_notes_crashes_where_it_is_told_to(monkeypatch):
    done = []
    here = SimpleNamespace(get_actor_id=lambda: "a1")
    monkeypatch.setattr("tune.execution.worker.ray.get_runtime_context", lambda: here)
    monkeypatch.setattr("tune.execution.worker.watch_node", lambda *words: done.append(words))
    monkeypatch.setattr("tune.execution.worker.note_crashes", lambda *words: done.append(words))
    config = {"bundle": Bundle(trials={"a": {}}, folder="a").to_json()}
    Worker.__new__(Worker).setup(config, Make(), None)
    assert done == []
    Worker.__new__(Worker).setup(config, Make(), None, errors=Path("errors"))
    assert done == [(Path("errors"), "a1")]
    Worker.__new__(Worker).setup(config, Make(), None, nodes=Path("nodes"))
    assert done == [(Path("errors"), "a1"), (Path("nodes"),)]


def test_the_epoch_that_a_restored_training_tells_first_was_not_trained_here():
    worker = worker_of(Make(first=4))
    assert [worker.step()["trained"] for _ in range(3)] == [False, True, True]
    worker.cleanup()
    assert worker.step()["trained"] is False


def test_another_bundle_is_opened_after_the_first_is_closed():
    make = Make()
    worker = worker_of(make)
    worker.step()
    other = Bundle(trials={"c": {}}, folder="c")
    assert worker.reset_config({"bundle": other.to_json()})
    assert make.notes[-1] == "close"
    assert worker.step()["reports"][0][:2] == ("c", 1)
    worker.cleanup()
    worker.cleanup()
    assert make.notes.count("close") == 2


def test_a_training_that_breaks_is_closed_before_the_driver_hears_of_it():
    make = Make(fails=RuntimeError("no"))
    worker = worker_of(make)
    with pytest.raises(RuntimeError, match="no"):
        worker.step()
    assert make.notes[-1] == "close"


def test_a_training_that_ran_out_of_memory_is_told_and_not_closed():
    make = Make(fails=OutOfMemoryError("3 GiB too much"))
    worker = worker_of(make)
    (ended,) = (value for name, value in worker.step().items() if name == "ended")
    assert (type(ended), str(ended)) == (OutOfMemoryError, "3 GiB too much")
    worker.cleanup()
    assert "close" not in make.notes


@pytest.mark.parametrize(
    ("fused", "opened"),
    [(True, ("open", "bundle-a", False, False)), (False, ("open", "a", True, False))],
)
def test_a_probe_decides_how_the_bundle_is_opened(fused, opened):
    make = Make()
    make.fused = fused
    worker = worker_of(make, probe=True)
    told = worker.step()
    assert (told["epoch"], told["fusing"].fused) == (0, fused)
    assert make.notes == []
    assert worker.step()["epoch"] == 1
    assert make.notes == [opened]


def test_a_network_is_timed_before_the_probe_and_before_anything_is_opened():
    make = Make()
    worker = worker_of(make, times_network=True, probe=True)
    assert worker.step() == {"epoch": 0, "latency_ms": 4.5}
    assert worker.step()["fusing"].fused
    assert make.notes == [("timed", "a")]
    assert worker.step()["epoch"] == 1


class Gates:
    """Lets everybody in at once and notes who comes and goes."""

    def __init__(self):
        self.notes = []
        self.enter = SimpleNamespace(remote=self._enter)
        self.leave = SimpleNamespace(remote=lambda *words: self.notes.append(("leave", *words)))

    def _enter(self, key, request, *, exclusive):
        self.notes.append(("enter", key, request.kind, exclusive))
        return 0.4


@pytest.fixture
def gates(monkeypatch):
    monkeypatch.setattr(
        "tune.execution.worker.ray", SimpleNamespace(get=lambda reference: reference)
    )
    return Gates()


REQUEST = MemoryRequest(card="card", card_bytes=10, kind="k", estimate=4)


def test_a_bundle_enters_its_card_once_and_leaves_with_its_peak(gates):
    make = Make()
    make.request = REQUEST
    worker = worker_of(make, gates, exclusive=True)
    assert worker.step()["worker"][0]["share"] == 0.4
    worker.step()
    assert gates.notes == [("enter", "a", "k", True)]
    worker.cleanup()
    worker.cleanup()
    assert gates.notes[1:] == [("leave", "a", "k", 99)]


@pytest.mark.parametrize("options", [{"first": 4}, {"fails": RuntimeError("no")}])
def test_the_peak_of_a_training_that_trained_no_epoch_says_nothing(gates, options):
    make = Make(**options)
    make.request = REQUEST
    worker = worker_of(make, gates)
    with contextlib.suppress(RuntimeError):
        worker.step()
    worker.cleanup()
    assert gates.notes[1:] == [("leave", "a", "k", 0)]


def test_a_probe_and_its_bundle_enter_the_card_once(gates):
    make = Make()
    make.request = REQUEST
    worker = worker_of(make, gates, probe=True)
    worker.step()
    worker.step()
    assert gates.notes == [("enter", "a", "k", False)]


def test_a_bundle_leaves_its_card_although_its_files_cannot_be_written(gates, monkeypatch):
    make = Make()
    make.request = REQUEST
    worker = worker_of(make, gates)
    worker.step()

    def close(_training):
        raise OSError("disk full")

    monkeypatch.setattr(Training, "close", close)
    with pytest.raises(OSError, match="disk full"):
        worker.cleanup()
    assert gates.notes[1:] == [("leave", "a", "k", 99)]
