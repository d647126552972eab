"""The in-process executor: what it trains, in which order, and what it makes of failures."""

from dataclasses import dataclass

import pytest

from tests.support.bundles import decided, searched
from tests.support.ledgers import keep_in
from tests.support.sweeps import Factory, TrivialTraining, figures, small_spec
from tune.execution.executor import EpochReport, NodeLostError
from tune.execution.in_process import InProcessExecutor, _deliver, _Slot
from tune.execution.memory import OutOfMemoryError
from tune.run.trial import Status
from tune.sweep.bundle import Bundle
from tune.sweep.sweep import Sweep

GRID = {"scheduler": {"name": "none"}}


def execute(run, kind=TrivialTraining, *, workers=1, **changes):
    events = []
    sweep = Sweep(small_spec(**changes), fingerprint="f", commit=keep_in(events))
    sweep.begin()
    steps = []
    executor = InProcessExecutor(workers=workers, make_training=Factory(kind=kind, run=run))
    executor.execute(sweep, run, None, on_step=lambda: steps.append(len(events)))
    return sweep, events, steps


@pytest.mark.parametrize("workers", [1, 4])
def test_a_sweep_with_early_stopping_is_trained_to_its_end(tmp_path, workers):
    sweep, events, steps = execute(tmp_path, workers=workers)
    assert sweep.finished
    statuses = {trial.status for trial in sweep.trials.values()}
    assert statuses == {Status.COMPLETED, Status.EARLY_STOPPED}
    measured = [event for event in events if event["event"] == "measurement"]
    assert {(trial.parameters, trial.device) for trial in sweep.trials.values()} == {(1, "cpu")}
    assert len(measured) == len(steps) == len((tmp_path / "trained.txt").read_text().split()) / 2


@dataclass(kw_only=True)
class Slow(TrivialTraining):
    """An epoch takes longer the more channels its network has."""

    channels: int = 0

    def advance(self):
        (report,) = super().advance()
        seconds = 10.0 if report.trial_id in SLOW else 1.0
        return [report._replace(values=figures(report.trial_id, report.epoch, seconds=seconds))]


SLOW = set()


def test_of_several_workers_the_one_whose_epoch_ends_first_reports_next(tmp_path):
    space = {"kernel_size": [3, 5, 7]}
    first = next(iter(execute(tmp_path, space=space, **GRID)[0].trials))
    SLOW.clear()
    SLOW.add(first)
    run = tmp_path / "two"
    run.mkdir()
    _, events, _ = execute(run, Slow, workers=2, space=space, **GRID)
    ends = [event["trial"] for event in events if event["event"] == "trial_ended"]
    assert ends[-1] == first, "two trials of 9 seconds each end before one of 90"
    measured = [event["trial"] for event in events if event["event"] == "measurement"]
    assert first not in measured[:9], "nothing is known of an epoch before it ends"


@dataclass(kw_only=True)
class Breaks(TrivialTraining):
    """Raises at its third epoch, once."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.broken"
        if self._read() == 2 and not mark.exists():
            mark.touch()
            raise RuntimeError("a bad moment")
        return super().advance()


def test_a_training_that_raises_goes_on_as_often_as_the_spec_allows(tmp_path):
    sweep, events, _ = execute(tmp_path, Breaks, space={"kernel_size": [3]}, **GRID)
    failed = [event["error"] for event in events if event["event"] == "attempt_failed"]
    assert failed == ["RuntimeError: a bad moment"]
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    run = tmp_path / "no retries"
    run.mkdir()
    sweep, _, _ = execute(run, Breaks, space={"kernel_size": [3]}, retries=0, **GRID)
    (trial,) = sweep.trials.values()
    assert (trial.status, trial.reason) == (Status.FAILED, "RuntimeError: a bad moment")


@dataclass(kw_only=True)
class Lost(TrivialTraining):
    """Its node dies at its third epoch, once."""

    def advance(self):
        mark = self.run / f"{self.trial_id}.lost"
        if self._read() == 2 and not mark.exists():
            mark.touch()
            raise NodeLostError("node-7")
        return super().advance()


def test_a_training_whose_node_dies_goes_on_without_using_up_a_retry(tmp_path):
    sweep, events, _ = execute(tmp_path, Lost, space={"kernel_size": [3]}, retries=0, **GRID)
    lost = [event["node"] for event in events if event["event"] == "attempt_lost"]
    assert lost == ["node-7"]
    (trial,) = sweep.trials.values()
    assert (trial.status, trial.nodes_lost) == (Status.COMPLETED, 1)


@dataclass(kw_only=True)
class Large(TrivialTraining):
    """Does not fit into memory."""

    def advance(self):
        raise OutOfMemoryError("3 GiB too much")


def test_a_training_that_does_not_fit_is_tried_once_more_and_given_up(tmp_path):
    sweep, events, _ = execute(tmp_path, Large, space={"kernel_size": [3]}, **GRID)
    (trial,) = sweep.trials.values()
    assert (trial.status, trial.reason) == (Status.INFEASIBLE, "3 GiB too much")
    assert sum(event["event"] == "out_of_memory" for event in events) == 1


def test_the_members_of_a_bundle_that_end_are_closed_one_by_one(tmp_path):
    notes = []

    class Two(TrivialTraining):
        def advance(self):
            self.epochs += 1
            return [EpochReport(one, self.epochs, figures(one, self.epochs)) for one in members]

        def end(self, trial_id):
            notes.append(("end", trial_id))
            members.remove(trial_id)

        def close(self):
            notes.append("close")

    sweep = Sweep(small_spec(space={"kernel_size": [3, 5]}, **GRID), fingerprint="f")
    sweep.begin()
    first, second = sweep.next_trial(), sweep.next_trial()
    members = [first.id, second.id]
    first.epochs = 1
    bundle = Bundle(trials={one: {} for one in members}, folder="both")
    training = Two(run=tmp_path, trial_id="", epochs=0)
    slot = _Slot(bundle=bundle, training=training, ends=0.0, number=0)
    slot.train()
    assert _deliver(sweep, slot)
    assert notes == [("end", first.id)]
    second.epochs = 2
    slot.train()
    assert not _deliver(sweep, slot)
    assert notes[-1] == "close"


@dataclass(kw_only=True)
class Uneven(TrivialTraining):
    """Trials by number: an epoch of the first takes a second, of the others three."""

    def advance(self):
        (report,) = super().advance()
        seconds = 1.0 if report.trial_id in SLOW else 3.0
        return [report._replace(values=figures(report.trial_id, report.epoch, seconds=seconds))]


def test_a_worker_that_had_nothing_to_do_begins_no_trial_before_it_was_proposed(tmp_path):
    """Replicates wait for the end of the search, which the slower of two workers reaches."""
    changes = {
        "space": {"kernel_size": [3, 5]}, "replicates": 2, "finalists": 2,
        "fixed": {**small_spec().fixed, "epochs": 2},
        "scheduler": {"name": "median", "min_trials": 9},
    }  # fmt: skip
    SLOW.clear()
    sweep = execute(tmp_path, **changes)[0]
    best = sweep.trials[sweep.finalists[0]].configuration_id
    SLOW.update(one.id for one in sweep.trials.values() if one.configuration_id != best)
    run = tmp_path / "two"
    run.mkdir()
    again, events, _ = execute(run, Uneven, workers=2, **changes)
    measured = [event["trial"] for event in events if event["event"] == "measurement"]
    # The search ends after 2 and 6 seconds. Then both begin: the epochs of the quick one end at 7
    # and 8, those of the slow one at 9 and 12.
    assert [again.trials[one].phase for one in measured[4:]] == ["finalist"] * 4
    assert [one in SLOW for one in measured[4:]] == [True, True, False, False]


class Together:
    """Trains all trials of a bundle at once; each epoch of the second takes twice as long."""

    parameters, device = 7, "cpu"

    def __init__(self, trials, fails=False):
        self.trials, self.epoch, self.fails = list(trials), 0, fails

    def advance(self):
        if self.fails:
            raise RuntimeError("no")
        self.epoch += 1
        return [
            EpochReport(one, self.epoch, figures(one, self.epoch, seconds=place + 1.0))
            for place, one in enumerate(self.trials)
        ]

    def end(self, trial_id):
        self.trials.remove(trial_id)

    def close(self):
        pass


def test_trials_of_a_bundle_share_its_worker_and_its_time():
    sweep, events = searched(space={"kernel_size": [3]})
    bundle = sweep.next_bundle(1)
    slot = _Slot(bundle=bundle, training=Together(bundle.trials), ends=10.0, number=0)
    slot.train()
    assert slot.ends == 10.0 + 3.0, "the slowest of them decides"
    assert _deliver(sweep, slot)
    assert [sweep.trials[one].devices for one in bundle.trials] == [1 / 3] * 3
    training = Together(bundle.trials, fails=True)
    broken = _Slot(bundle=bundle, training=training, ends=0.0, number=0)
    broken.train()
    assert not _deliver(sweep, broken)
    assert sweep.queue.waiting == list(bundle.trials), "they wait in their order"
    assert [event["event"] for event in events].count("attempt_failed") == 3


def test_a_bundle_is_started_with_the_part_of_a_worker_that_each_trial_has():
    sweep, events = searched(space={"kernel_size": [3]})
    kinds = []

    class Make(Factory):
        def __call__(self, bundle):
            kinds.append((len(bundle.trials), bundle.folder, bundle.channels_last))
            return Together(bundle.trials)

        def probe(self, bundle):
            return decided(bundle)

    executor = InProcessExecutor(make_training=Make(kind=Together, run=None))
    executor.execute(sweep, None, None, on_step=lambda: None)
    first = list(sweep.trials)[1]
    assert kinds == [(3, f"bundle-{first}", False)]
    started = [event["devices"] for event in events if event["event"] == "trial_started"]
    assert started[-3:] == [1 / 3] * 3
    assert sweep.finished


def test_a_worker_begins_its_next_trial_when_the_one_before_has_ended(tmp_path):
    changes = {
        **GRID, "space": {"kernel_size": [3, 5, 7]}, "fixed": {**small_spec().fixed, "epochs": 2},
    }  # fmt: skip
    SLOW.clear()
    first, second, third = execute(tmp_path, **changes)[0].trials
    SLOW.update((first, third))  # Their epochs take one second, those of the second trial three.
    run = tmp_path / "two"
    run.mkdir()
    events, at = [], []
    sweep = Sweep(small_spec(**changes), fingerprint="f", commit=keep_in(events))
    sweep.begin()
    executor = InProcessExecutor(workers=2, make_training=Factory(kind=Uneven, run=run))
    executor.execute(sweep, run, None, on_step=lambda: at.append(executor.clock.seconds))
    measured = [event["trial"] for event in events if event["event"] == "measurement"]
    assert measured == [first, first, second, third, third, second]
    assert at == [1.0, 2.0, 3.0, 3.0, 4.0, 6.0]
