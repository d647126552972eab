"""Which trials a sweep hands out as one, without Ray; and what Ray's workers make of them."""

from dataclasses import dataclass, replace

import pytest

from tests.support.bundles import WHOLE, decided, next_report, play_one, searched
from tests.support.ledgers import events_of, read_lines
from tests.support.sweeps import WORKER, Factory, figures, play, small_spec
from tune.execution.executor import EpochReport
from tune.execution.ray_cluster import ray_session
from tune.execution.ray_executor import drive
from tune.execution.slots import Slots
from tune.run.directory import STOP_FILE
from tune.run.ledger import Ledger
from tune.run.trial import Status
from tune.session.progress import explain
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.sweep import Sweep


def kinds(sweep, bundle):
    trials = [sweep.trials[one] for one in bundle.trials]
    return [(trial.config["kernel_size"], trial.replicate) for trial in trials]


def test_the_search_trains_each_configuration_apart_and_then_replicates_are_probed_as_one():
    sweep, _ = searched()
    first, second = sweep.next_bundle(2), sweep.next_bundle(2)
    sizes = sorted(len(bundle.trials) for bundle in (first, second))
    assert sizes == [3, 3]
    assert first.probe
    assert second.probe
    assert {kernel for kernel, _ in kinds(sweep, first)} != {
        kernel for kernel, _ in kinds(sweep, second)
    }
    assert [replicate for _, replicate in kinds(sweep, first)] == [1, 2, 3]
    assert sweep.next_bundle(2) is None


def test_without_early_stops_no_slot_waits_for_the_last_trial_of_the_search():
    sweep = Sweep(small_spec(**WHOLE, fuse="never"), fingerprint="f")
    sweep.begin()
    first, slow = sweep.next_bundle(2), sweep.next_bundle(2)
    sweep.start(slow.key, 1.0)
    assert sweep.next_bundle(2) is None
    play_one(sweep, first)
    replicate = sweep.next_bundle(2)
    assert kinds(sweep, replicate) == [(kinds(sweep, first)[0][0], 1)]
    assert not sweep.finished
    assert sweep.expected == 8
    for bundle in (replicate, sweep.next_bundle(2), sweep.next_bundle(2), slow):
        play_one(sweep, bundle)
    assert not sweep.finished
    while (bundle := sweep.next_bundle(2)) is not None:
        play_one(sweep, bundle)
    assert sweep.finished
    assert len(sweep.trials) == 8


def test_the_longest_trials_that_wait_are_handed_out_first():
    sweep = Sweep(small_spec(**WHOLE, fuse="never"), fingerprint="f")
    sweep.begin()
    first, second = sweep.next_bundle(2), sweep.next_bundle(2)
    sweep.start(second.key, 1.0)
    for trial_id, seconds in ((first.key, 1.0), (second.key, 7.0)):
        while not sweep.report(trial_id, *next_report(sweep, trial_id, seconds=seconds), WORKER):
            pass
    kernel = kinds(sweep, second)[0][0]
    assert [kinds(sweep, sweep.next_bundle(2))[0][0] for _ in range(3)] == [kernel] * 3


def test_trials_that_had_better_be_apart_are_handed_out_apart_in_their_order():
    sweep, _ = searched()
    bundle = sweep.next_bundle(2)
    sweep.decide_fusing(decided(bundle, fused=False, gain=0.7))
    apart = [sweep.next_bundle(2) for _ in bundle.trials]
    assert [one.key for one in apart] == list(bundle.trials)
    assert all(len(one.trials) == 1 and not one.probe for one in apart)
    assert all(one.folder == one.key for one in apart)


def test_what_was_measured_of_a_configuration_is_not_measured_again():
    sweep, events = searched(replicates=5)
    bundle = sweep.next_bundle(4)
    assert len(bundle.trials) == 2
    sweep.decide_fusing(decided(bundle))
    rest = sweep.next_bundle(4), sweep.next_bundle(4)
    mine = next(one for one in rest if kinds(sweep, one)[0][0] == kinds(sweep, bundle)[0][0])
    assert len(mine.trials) == 2
    assert not mine.probe
    assert mine.channels_last is False
    assert mine.folder == f"bundle-{mine.key}"
    assert [replicate for _, replicate in kinds(sweep, mine)] == [3, 4]
    decisions = [event for event in events if event["event"] == "fusing_decided"]
    assert [tuple(one["trials"]) for one in decisions] == [
        tuple(bundle.trials),
        tuple(mine.trials),
    ]


def test_folds_are_shared_out_evenly_over_cores():
    spec = small_spec(**{**WHOLE, "space": {"kernel_size": [3]}, "replicates": 1, "folds": 10})
    sweep = Sweep(spec, fingerprint="f")
    sweep.begin()
    assert [len(sweep.next_bundle(2).trials) for _ in range(2)] == [5, 5]
    assert len(sweep.trials) == 10
    uneven = Sweep(spec, fingerprint="f")
    uneven.begin()
    assert [len(uneven.next_bundle(3).trials) for _ in range(3)] == [4, 4, 2]
    assert uneven.next_bundle(3) is None


def test_searches_that_a_scheduler_stops_are_never_trained_as_one_but_their_finalists_are():
    asha = {"name": "asha", "grace_period": 1, "reduction_factor": 3}
    sweep = Sweep(small_spec(scheduler=asha, replicates=5, finalists=1), fingerprint="f")
    sweep.begin()
    while len((bundle := sweep.next_bundle(2)).trials) == 1:
        assert sweep.trials[bundle.key].phase == "search"
        play_one(sweep, bundle)
    assert {sweep.trials[one].phase for one in bundle.trials} == {"finalist"}
    assert len(bundle.trials) == 2


def test_never_means_never():
    sweep, _ = searched(fuse="never")
    assert len(sweep.next_bundle(2).trials) == 1


def test_after_a_resume_trials_go_on_as_they_were_bound():
    sweep, events = searched()
    bundle = sweep.next_bundle(2)
    for trial_id in bundle.trials:
        sweep.start(trial_id, 1 / 3)
    sweep.decide_fusing(decided(bundle))
    for trial_id in bundle.trials:
        sweep.report(trial_id, *next_report(sweep, trial_id), WORKER)
    again = Sweep(small_spec(**WHOLE), fingerprint="f", events=events_of(events))
    again.begin()
    first, second = again.next_bundle(2), again.next_bundle(2)
    bound = first if first.folder.startswith("bundle-") else second
    assert list(bound.trials) == list(bundle.trials)
    assert bound.channels_last is False
    assert not bound.probe


def test_trials_that_do_not_fit_into_memory_together_are_parted():
    sweep, _ = searched()
    bundle = sweep.next_bundle(2)
    sweep.decide_fusing(decided(bundle))
    sweep.out_of_memory(bundle.key, "tried to take 3 GiB more")
    apart = [sweep.next_bundle(2) for _ in bundle.trials]
    assert [one.key for one in apart] == list(bundle.trials)
    assert not any(one.exclusive for one in apart)
    assert sweep.fusings[-1].reason == "tried to take 3 GiB more"


def test_a_trial_that_has_ended_is_not_taken_up_again_with_its_mates():
    sweep, events = searched()
    bundle = sweep.next_bundle(2)
    sweep.decide_fusing(decided(bundle, channels_last=True))
    for trial_id in bundle.trials:
        sweep.start(trial_id, 1 / 3)
    first, *others = bundle.trials
    sweep.fail(first, "broke")
    again = Sweep(small_spec(**WHOLE), fingerprint="f", events=events_of(events))
    again.begin()
    both = again.next_bundle(2), again.next_bundle(2)
    (bound,) = [one for one in both if one.folder == f"bundle-{first}"]
    assert list(bound.trials) == others
    assert bound.channels_last is True


def test_a_trial_that_has_trained_an_epoch_joins_no_others():
    sweep, _ = searched(space={"kernel_size": [3]})
    bundle = sweep.next_bundle(1)
    begun, *fresh = bundle.trials
    sweep.start(begun, 1 / 3)
    sweep.report(begun, *next_report(sweep, begun), WORKER)
    for trial_id in bundle.trials:
        sweep.attempt_failed(trial_id, "broke")
    handed_out = [list(sweep.next_bundle(1).trials) for _ in range(2)]
    assert handed_out == [list(reversed(fresh)), [begun]]


def test_a_bundle_is_read_back_as_it_was_written():
    bundle = Bundle(trials={"a": {"channels": 4}}, folder="a", probe=True, pauses_after=(1, 3))
    assert Bundle.from_json(bundle.to_json()) == bundle
    plain = Bundle(trials={"a": {"channels": 4}}, folder="a", channels_last=False)
    assert Bundle.from_json(plain.to_json()) == plain


def test_a_sweep_played_without_workers_that_fuse_ends_alike():
    ends = []
    for fuse in ("auto", "never"):
        sweep = Sweep(small_spec(**WHOLE, fuse=fuse), fingerprint="f")
        sweep.begin()
        play(sweep, slots=2)
        ends.append({one: trial.status for one, trial in sweep.trials.items()})
    assert ends[0] == ends[1]


# On a real Ray.


@dataclass(kw_only=True)
class Several:
    """Trains several trials at once, fails once while it does, and notes what it was asked."""

    run: object
    bundle: Bundle
    parameters: int = 1
    device: str = "cpu"
    epoch: int = 0

    def __post_init__(self):
        self.left = list(self.bundle.trials)
        self._note(f"begin {len(self.left)} {self.bundle.folder}")

    def advance(self):
        self.epoch += 1
        failed = self.run / "failed"
        if self.epoch == 2 and len(self.left) == 3:
            if not failed.exists():
                failed.touch()
                raise RuntimeError("once")
            # As `tune stop --trial` would, while the second epoch is trained.
            (self.run / f"{STOP_FILE}-{self.left[1]}").touch()
        return [EpochReport(one, self.epoch, figures(one, self.epoch)) for one in self.left]

    def end(self, trial_id):
        self._note(f"end {trial_id} at {self.epoch}")
        self.left.remove(trial_id)

    def close(self):
        self._note(f"close {len(self.left)}")

    def _note(self, words):
        with (self.run / "notes.txt").open("a") as file:
            file.write(words + "\n")


@dataclass(frozen=True, kw_only=True)
class Fuses(Factory):
    """Holds that kernel size 3 pays as one, 5 does not, and breaks when it probes 7."""

    def __call__(self, bundle):
        return Several(run=self.run, bundle=bundle)

    def probe(self, bundle):
        kernel = bundle.trials[bundle.key]["kernel_size"]
        if kernel == 7:
            raise RuntimeError("no probe of 7")
        return decided(bundle, fused=kernel == 3, gain=2.0 if kernel == 3 else 0.5)


@pytest.mark.long
def test_workers_train_several_as_one_where_it_pays_and_again_as_one_if_they_fail(tmp_path):
    with ray_session(object_store_bytes=100_000_000), Ledger(tmp_path) as ledger:
        fixed = {**small_spec().fixed, "epochs": 4}
        spec = small_spec(**{**WHOLE, "space": {"kernel_size": [3, 5, 7]}, "fixed": fixed})
        sweep = Sweep(spec, fingerprint="f", commit=ledger.append)
        sweep.begin()

        def stop_by_hand():
            for request in tmp_path.glob(f"{STOP_FILE}-*"):
                sweep.stop_trial(request.name.removeprefix(f"{STOP_FILE}-"), "stopped by hand")
                request.unlink()

        drive(
            sweep, run=tmp_path, slots=Slots(cpus=1, gpus=0, count=1),
            make_training=Fuses(kind=Several, run=tmp_path), on_step=stop_by_hand,
        )  # fmt: skip
        sweep.close()
    assert sweep.finished
    notes = (tmp_path / "notes.txt").read_text().splitlines()
    together = [note for note in notes if note.startswith("begin 3")]
    assert len(together) == 2
    assert together[0] == together[1]
    assert together[0].split()[2].startswith("bundle-")
    # Three of the search, then six of kernel 5 and 7 apart.
    assert sum(note.startswith("begin 1") for note in notes) == 9
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    assert [trial.reason for trial in stopped] == ["stopped by hand"]
    assert f"end {stopped[0].id} at {len(stopped[0].measurements)}" in notes
    others = [t for t in sweep.trials.values() if t is not stopped[0]]
    assert {(t.status, len(t.measurements)) for t in others} == {(Status.COMPLETED, 4)}
    decisions = {sweep.trials[one.trials[0]].config["kernel_size"]: one for one in sweep.fusings}
    assert [decisions[kernel].fused for kernel in (3, 5, 7)] == [True, False, False]
    assert "no probe of 7" in decisions[7].reason
    shares = [e["devices"] for e in read_lines(tmp_path) if e["event"] == "trial_started"]
    assert min(shares) == pytest.approx(1 / 3)
    held = {trial.devices for trial in others if trial.config["kernel_size"] == 3}
    assert sorted(held) == [pytest.approx(1 / 3), 1.0]
    assert [e["event"] for e in read_lines(tmp_path)].count("attempt_failed") == 3


def test_the_text_of_a_decision_says_which_way_and_why():
    decision = Fusing(trials=("a", "b"), fused=True, gain=1.77)
    assert explain(decision, "net") == (
        "2 trials of net are fused: fused training is 1.77 times as fast"
    )
    slight = replace(decision, fused=False, gain=1.02)
    assert explain(slight, "net") == (
        "2 trials of net are trained separately: fused training is 1.02 times as fast"
    )
    broken = replace(decision, fused=False, reason="Own is a layer that cannot be fused")
    assert "separately: Own is a layer" in explain(broken, "net")
