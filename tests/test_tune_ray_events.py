"""What the Ray adapter makes of Ray's events, called as Ray calls it but without a Ray."""

import copy
import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import ray.exceptions

from tests.support.bundles import WHOLE, decided, searched
from tests.support.sweeps import figures, new_sweep, small_spec
from tune.execution import ray_executor as module
from tune.execution.executor import EpochReport
from tune.execution.ray_executor import _Bridge, _Decisions, _Events, _Proposals
from tune.execution.slots import Slots
from tune.execution.watchdog import Watchdog
from tune.run.trial import Status

CARD = Slots(cpus=1, gpus=0.25, count=2)


class Remote:
    """An actor that notes the calls of its methods."""

    def __init__(self, notes, answers=()):
        self.notes, self.answers = notes, dict(answers)

    def __getattr__(self, name):
        def call(*words):
            self.notes.append((name, *words))
            return self.answers.get(name)

        return SimpleNamespace(remote=call)


@pytest.fixture
def clock():
    return SimpleNamespace(now=100.0)


@pytest.fixture
def stage(tmp_path, monkeypatch, clock):
    """Makes a bridge of a sweep; ``notes`` has what Ray, its workers and the gates are asked."""
    notes = []
    nodes = SimpleNamespace(look=lambda: ([], []), lost_under=lambda _actor: None, there=[])
    nodes.note = lambda actor: f"id of {actor.notes is notes}"

    def get(reference, timeout=None):  # noqa: ARG001
        return reference

    monkeypatch.setattr(
        module,
        "ray",
        SimpleNamespace(
            get=get, kill=lambda _actor: notes.append("kill"), exceptions=ray.exceptions
        ),
    )
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def make(sweep, *, slots=CARD, waits=False):
        bridge = _Bridge(
            sweep=sweep, slots=slots, run=tmp_path, on_step=lambda: None, nodes=nodes,
            gates=Remote(notes, {"waits": waits}), watchdog=Watchdog(lambda: clock.now),
        )  # fmt: skip
        return SimpleNamespace(
            bridge=bridge, notes=notes, nodes=nodes, proposals=_Proposals(bridge),
            decisions=_Decisions(bridge), events=_Events(bridge),
        )  # fmt: skip

    return make


def begin(stage):
    """Let Ray ask for a bundle and start it; return Ray's trial."""
    config = stage.proposals.suggest("of Ray")
    state = SimpleNamespace(ray_actor=Remote(stage.notes))
    trial = SimpleNamespace(config=config, temporary_state=state)
    stage.events.on_trial_start(trial=trial)
    return trial


def report(stage, trial, epoch, trial_ids, *, share=0.0, trained=True, **changes):
    reports = [EpochReport(one, epoch, figures(one, epoch, **changes)) for one in trial_ids]
    worker = {"host": "n7", "device": "a card", "parameters": 7, "share": share}
    result = {"epoch": epoch, "reports": reports, "worker": [worker], "trained": trained}
    return stage.decisions.on_trial_result(None, trial, result)


def fail(stage, trial, *, text="ray::train\nValueError: no"):
    module_text = f"Failure # 1 (occurred now)\nthe one before\nFailure # 2 (occurred now)\n{text}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "error_text", lambda _trial: module_text)
        stage.events.on_trial_error(trial=trial)


def fused():
    """A sweep whose next bundle has three replicates, after its probe, and its ledger."""
    return searched(space={"kernel_size": [3]})


def test_the_worker_of_a_paused_trial_closes_it_and_another_takes_it_up(stage):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "promotion", "reduction_factor": 2}))
    made = stage(sweep)
    first, second = begin(made), begin(made)
    for trial, accuracy in ((first, 0.9), (second, 0.1)):
        assert report(made, trial, 1, [trial.config["key"]], val_accuracy=accuracy) == "STOP"
        made.events.on_trial_complete(trial=trial)
    assert made.notes.count(("cleanup",)) == 2
    again = begin(made)
    assert again.config["key"] == first.config["key"]
    assert report(made, again, 1, [first.config["key"]]) == "CONTINUE", "of its checkpoint"


def test_no_more_bundles_are_handed_out_than_there_are_slots(stage):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    made = stage(sweep)
    first, second = begin(made), begin(made)
    assert first.config["key"] != second.config["key"]
    assert made.proposals.suggest("of Ray") is None
    made.events.on_trial_complete(trial=first)
    assert begin(made).config["key"] not in (first.config["key"], second.config["key"])
    sweep.stop("enough")
    assert made.proposals.suggest("of Ray") == "FINISHED"


def test_replicates_are_spread_over_cards_and_not_over_slots(stage):
    sweep, _ = fused()
    made = stage(sweep, slots=Slots(cpus=1, gpus=0.5, count=4))
    trial = begin(made)
    assert len(made.bridge.bundles[trial.config["key"]].trials) == 2, "three on two cards"


@pytest.mark.parametrize(("share", "devices"), [(0.1, 0.25), (0.9, 0.9)])
def test_each_trial_of_a_bundle_holds_its_part_of_the_slot_or_of_the_memory(stage, share, devices):
    sweep, ledger = fused()
    made = stage(sweep)
    trial = begin(made)
    members = list(made.bridge.bundles[trial.config["key"]].trials)
    started = [event["devices"] for event in ledger if event["event"] == "trial_started"]
    assert started[-3:] == [pytest.approx(0.25 / 3)] * 3
    assert report(made, trial, 1, members, share=share) == "CONTINUE"
    assert [sweep.trials[one].devices for one in members] == [pytest.approx(devices / 3)] * 3


def test_the_watchdog_hears_of_epochs_that_were_trained_here_and_how_long_they_took(stage):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    made = stage(sweep)
    trial = begin(made)
    heard = []
    made.bridge.watchdog.hear = lambda *words: heard.append(words)
    key = trial.config["key"]
    report(made, trial, 1, [key], trained=False, seconds=7.0)
    report(made, trial, 2, [key], seconds=8.0)
    assert heard == [(key, 8.0)]


def test_a_trial_that_ends_leaves_its_bundle_and_the_last_one_closes_it(stage):
    sweep, _ = fused()
    made = stage(sweep)
    trial = begin(made)
    first, *others = made.bridge.bundles[trial.config["key"]].trials
    sweep.stop_trial(first, "by hand")
    assert report(made, trial, 1, [first, *others]) == "CONTINUE"
    assert made.notes == [("end_trial", first)]
    assert report(made, trial, 9, others) == "STOP"
    assert made.notes[1:] == [("cleanup",)]
    assert made.bridge.watchdog.late_to_stop(1e9) == [trial.config["key"]]
    made.bridge.end(trial.config["key"])
    assert made.bridge.watchdog.late_to_stop(1e9) == [], "nobody waits for it any more"


@pytest.mark.parametrize(
    ("is_fused", "stopping", "answer"),
    [(True, False, "CONTINUE"), (False, False, "STOP"), (True, True, "STOP")],
)
def test_a_probed_bundle_goes_on_if_it_is_fused_and_the_sweep_does_not_stop(
    stage, is_fused, stopping, answer
):
    sweep, _ = fused()
    made = stage(sweep)
    trial = begin(made)
    key = trial.config["key"]
    assert made.bridge.bundles[key].probe
    if stopping:
        sweep.stop("enough")
    fusing = decided(made.bridge.bundles[key], fused=is_fused)
    assert made.decisions.on_trial_result(None, trial, {"epoch": 0, "fusing": fusing}) == answer
    assert not made.bridge.bundles[key].probe
    assert sweep.fusings == [fusing]
    assert made.notes == ([] if answer == "CONTINUE" else [("cleanup",)])


@pytest.mark.parametrize(
    ("latency_ms", "stopping", "answer"),
    [(4.5, False, "CONTINUE"), (5.5, False, "STOP"), (4.5, True, "STOP")],
)
def test_a_timed_bundle_goes_on_if_it_is_within_the_limit_and_the_sweep_does_not_stop(
    stage, latency_ms, stopping, answer
):
    changes = {"scheduler": {"name": "none"}, "limits": {"latency_ms": 5}}
    sweep, ledger = new_sweep(small_spec(**changes))
    made = stage(sweep)
    trial = begin(made)
    key = trial.config["key"]
    assert made.bridge.bundles[key].times_network
    if stopping:
        sweep.stop("enough")
    result = {"epoch": 0, "latency_ms": latency_ms}
    assert made.decisions.on_trial_result(None, trial, result) == answer
    assert (sweep.trials[key].status is Status.OVER_LIMIT) == (latency_ms > 5)
    assert [e["latency_ms"] for e in ledger if e["event"] == "latency_measured"] == [latency_ms]
    assert made.notes == ([] if answer == "CONTINUE" else [("cleanup",)])


def test_a_bundle_that_fails_returns_in_its_order_with_the_last_line_of_its_error(stage, tmp_path):
    sweep, ledger = fused()
    made = stage(sweep)
    trial = begin(made)
    key = trial.config["key"]
    bundle = made.bridge.bundles[key]
    made.decisions.on_trial_result(None, trial, {"epoch": 0, "fusing": decided(bundle)})
    fail(made, trial)
    assert sweep.queue.waiting == list(bundle.trials)
    errors = [event["error"] for event in ledger if event["event"] == "attempt_failed"]
    assert errors == [f"ValueError: no (all of it in errors/{key}.txt)"] * 3
    assert made.notes == [("leave", key)], "a worker that died has not left its card"
    assert made.bridge.live == made.bridge.bundles == made.bridge.actors == {}
    assert begin(made).config["key"] == key
    fail(made, trial)
    text = (tmp_path / "errors" / f"{key}.txt").read_text()
    assert text.count("Failure # 2") == 2, "what was written before stays"


def test_a_bundle_whose_node_is_lost_returns_in_its_order_without_a_failure(stage):
    sweep, ledger = fused()
    made = stage(sweep)
    trial = begin(made)
    bundle = made.bridge.bundles[trial.config["key"]]
    made.nodes.lost_under = lambda actor: actor and "n7"
    fail(made, trial, text="The actor died unexpectedly")
    assert [e["node"] for e in ledger if e["event"] == "attempt_lost"] == ["n7"] * 3
    assert sweep.queue.waiting == list(bundle.trials)
    assert sweep.fusings == [], "a probe on a lost node says nothing of the trials"


def test_a_probe_that_fails_is_no_failure_of_its_trials(stage):
    sweep, ledger = fused()
    made = stage(sweep)
    trial = begin(made)
    fail(made, trial)
    (fusing,) = sweep.fusings
    key = trial.config["key"]
    assert not fusing.fused
    assert fusing.reason == f"ValueError: no (all of it in errors/{key}.txt)"
    assert "attempt_failed" not in {event["event"] for event in ledger}


def test_a_trial_that_fails_while_the_sweep_stops_has_failed_and_one_that_was_killed_has_not(stage):
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}))
    made = stage(sweep)
    failed, killed = begin(made), begin(made)
    sweep.stop("enough")
    fail(made, failed)
    made.bridge.killed[killed.config["key"]] = "its worker did not stop in time and was killed"
    fail(made, killed, text="The actor died")
    noted = [event["trial"] for event in ledger if event["event"] == "attempt_failed"]
    assert noted == [failed.config["key"]]
    assert sweep.trials[killed.config["key"]].status is Status.RUNNING


def test_a_trial_that_waits_for_memory_is_not_stuck(stage, clock):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    made = stage(sweep, waits=True)
    key = begin(made).config["key"]
    made.bridge.watchdog.stuck = lambda: [key]
    made.bridge.kill_stuck()
    assert made.notes == [("waits", key)]
    made.bridge.gates.answers["waits"] = False
    clock.now += 50.0
    made.bridge.kill_stuck()
    assert made.notes[1:] == [("waits", key), "kill"]
    assert made.bridge.killed == {key: "its worker made no progress for 50 s and was killed"}


def test_a_worker_that_does_not_stop_is_killed_a_minute_after_the_sweep_began_to_stop(stage, clock):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    made = stage(sweep)
    key = begin(made).config["key"]
    made.bridge.kill_stuck()
    sweep.stop("enough")
    for seconds, notes in ((0.0, []), (59.0, []), (2.0, ["kill"])):
        clock.now += seconds
        made.bridge.kill_stuck()
        assert made.notes == notes
    assert made.bridge.killed == {key: "its worker did not stop in time and was killed"}


@pytest.mark.parametrize("change", ["joined", "lost"])
def test_slots_are_counted_again_when_a_node_joins_or_dies(stage, change):
    sweep, ledger = new_sweep(small_spec(**WHOLE))
    made = stage(sweep, slots=Slots(cpus=1, gpus=0, count=2))
    node = {"NodeName": "n7", "Resources": {"CPU": 3.0}}
    made.nodes.there.append(node)
    made.bridge.look()
    assert made.bridge.slots.count == 2
    made.nodes.look = lambda: ([node], []) if change == "joined" else ([], [node])
    made.bridge.look()
    assert made.bridge.slots.count == 3
    assert (ledger[-1]["event"], ledger[-1]["node"]) == (f"node_{change}", "n7")


def test_gates_that_do_not_answer_let_a_stuck_worker_be_killed(stage, monkeypatch):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    made = stage(sweep)
    key = begin(made).config["key"]

    def get(_reference, timeout):
        assert timeout == 10.0
        raise ray.exceptions.GetTimeoutError

    monkeypatch.setattr(module.ray, "get", get)
    made.bridge.watchdog.stuck = lambda: [key]
    made.bridge.kill_stuck()
    assert made.notes[-1] == "kill"


@pytest.fixture
def tuned(monkeypatch):
    """What Ray Tune is asked, by the names of its settings; ``fault`` is raised in its run."""
    asked = SimpleNamespace(fault=None, gates=0, forgotten=[])

    class Tuner:
        def __init__(self, trainable, *, tune_config, run_config):
            asked.trainable, asked.resources = trainable
            asked.tune, asked.run = tune_config, run_config

        def fit(self):
            if asked.fault is not None:
                raise asked.fault

    def open_gates():
        asked.gates += 1
        return "gates"

    tune = SimpleNamespace(
        Tuner=Tuner, TuneConfig=dict, RunConfig=dict, CheckpointConfig=dict,
        with_parameters=lambda kind, **options: (kind, options),
        with_resources=lambda trainable, resources: (trainable, resources),
    )  # fmt: skip
    monkeypatch.setattr(module, "ray", SimpleNamespace(tune=tune))
    monkeypatch.setattr(module, "_open_gates", open_gates)
    monkeypatch.setattr("tune.execution.nodes.ray", SimpleNamespace(nodes=list))
    monkeypatch.setattr(module, "forget_crashes", asked.forgotten.append)
    return asked


@pytest.mark.parametrize(("gpus", "gates"), [(0, None), (0.5, "gates")])
def test_ray_tune_is_asked_for_workers_of_one_size_that_it_uses_again(tuned, tmp_path, gpus, gates):
    sweep, _ = new_sweep(small_spec())
    module.drive(sweep, run=tmp_path, slots=Slots(cpus=2, gpus=gpus, count=3), make_training="make")
    errors = tmp_path / "errors"
    kind, options = tuned.trainable
    assert kind is module.Worker
    folders = {"errors": errors, "nodes": tmp_path / "nodes"}
    assert options == {"make_training": "make", "gates": gates, **folders}
    assert tuned.resources == {"cpu": 2, "gpu": gpus}
    assert (tuned.tune["num_samples"], tuned.tune["reuse_actors"]) == (-1, True)
    trial = SimpleNamespace(config={"key": "t7"})
    names = ("trial_name_creator", "trial_dirname_creator")
    assert [tuned.tune[name](trial) for name in names] == ["t7", "t7"]
    assert tuned.run["storage_path"] == str(tmp_path / "ray")
    assert tuned.run["checkpoint_config"] == {"checkpoint_at_end": False}
    assert tuned.run["verbose"] == 0
    assert tuned.forgotten == [errors]


def test_each_session_has_a_folder_of_rays_and_forgets_its_crashes_after_a_fault(
    tuned, tmp_path, monkeypatch
):
    sweep, _ = new_sweep(small_spec())
    moments = iter(["20261127-100000", "20261127-100001"])
    monkeypatch.setattr(module, "time", SimpleNamespace(strftime=lambda _form: next(moments)))
    tuned.fault = KeyError("a fault")
    names = []
    for _ in range(2):
        with pytest.raises(KeyError):
            module.drive(sweep, run=tmp_path, slots=CARD, make_training="make")
        names.append(tuned.run["name"])
    assert names == ["20261127-100000", "20261127-100001"]
    assert len(tuned.forgotten) == 2


def test_ray_keeps_an_idle_worker_for_each_slot(stage, monkeypatch):
    warm = []
    monkeypatch.setattr(module, "keep_one_more_worker_warm", lambda *words: warm.append(words))
    made = stage(new_sweep(small_spec())[0], slots=Slots(cpus=1, gpus=0, count=2))
    for trial in ("a", "b"):
        made.decisions.on_trial_add("controller", trial)
    assert warm == [("controller", "a")] * 2
    made.bridge.slots = Slots(cpus=1, gpus=0, count=3)
    made.decisions.on_trial_add("controller", "c")
    assert warm[2:] == [("controller", "c")]


def test_ray_copies_no_sweep(stage):
    made = stage(new_sweep(small_spec())[0])
    assert copy.deepcopy(made.proposals)._bridge is made.bridge
    assert pickle.loads(pickle.dumps(made.bridge)) is None


def test_a_worker_that_dies_of_a_signal_is_told_by_it_and_leaves_its_stack(stage, tmp_path):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, retries=9))
    made = stage(sweep)
    (tmp_path / "errors").mkdir()
    stack = "torch 2, numpy 2, a processor\nFatal Python error: Bus error\n  in train\n"
    (tmp_path / "errors" / ".worker-id of True").write_text(stack)
    for _ in range(2):
        trial = begin(made)
        fail(made, trial, text="The actor died unexpectedly before finishing this task.")
    key = trial.config["key"]
    died = sweep.trials[key]
    assert died.status is Status.FAILED
    assert died.reason == (
        "its worker crashed with SIGBUS; usually a library fails on this processor (torch 2, numpy "
        f"2, a processor) (all of it in errors/{key}.txt); this happened twice in the same epoch, "
        "so it is not retried"
    )
    assert (tmp_path / "errors" / f"{key}.txt").read_text().count("in train\n") == 2


def test_each_attempt_that_ends_without_an_exception_has_a_reason_of_its_own(stage):
    """The first worker was killed by us, the second by Ray, and the third by somebody."""
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}, retries=9))
    made = stage(sweep)
    made.bridge.killed[begin(made).config["key"]] = "it was stuck"
    for text in ("The actor died.", "Ray killed it to free memory.", "The actor died."):
        (trial,) = made.bridge.live.values()
        fail(made, trial, text=text)
        begin(made)
    reasons = [event["error"] for event in ledger if event["event"] == "attempt_failed"]
    assert [reason.partition(" (all of it")[0][:29] for reason in reasons] == [
        "it was stuck", "Ray killed it to free memory.", "its worker died without a mes",
    ]  # fmt: skip


def test_a_sweep_whose_ray_was_ended_stops_with_the_reason(tmp_path, monkeypatch):
    sweep, _ = new_sweep(small_spec())
    monkeypatch.setattr(module, "ray_session", lambda object_store_bytes: nullcontext())  # noqa: ARG005
    monkeypatch.setattr(module, "find_slots", lambda _spec: CARD)
    dataset = SimpleNamespace(manifest=SimpleNamespace(fingerprint="f"))
    data = SimpleNamespace(read_copy=lambda: dataset, dataset=dataset)
    for lost, reason in (("", None), ("Ray was ended from outside", "Ray was ended from outside")):
        monkeypatch.setattr(module, "run_while_ray_lives", lambda _work, lost=lost: lost)
        module.RayExecutor().execute(sweep, tmp_path, data, on_step=lambda: None)
        assert sweep.stopping == reason
