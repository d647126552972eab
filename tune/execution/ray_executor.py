"""The Ray executor: runs a `Sweep` with Ray Tune's `Tuner`."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
import ray.tune
from ray.actor import ActorHandle
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher as RaySearcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from data_prep.reader import ImageDataset
from tune.execution.crashes import Crash, forget_crashes, read_crash
from tune.execution.executor import MakeTraining, SweepData, hear_end
from tune.execution.factories import make_factory
from tune.execution.memory import Gates
from tune.execution.nodes import Nodes, name
from tune.execution.ray_cluster import ray_session, share
from tune.execution.ray_private import (
    error_text,
    keep_one_more_worker_warm,
    loggers_not_counted,
    messages_kept_in,
    worker_of,
)
from tune.execution.ray_watch import run_while_ray_lives
from tune.execution.slots import Slots, find_slots
from tune.execution.watchdog import Watchdog
from tune.execution.worker import Worker
from tune.run.directory import ERRORS_DIR, NODES_DIR, RAY_DIR
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.sweep import Sweep

_ANSWER_SECONDS = 10.0
"""Most seconds to wait for an answer of the gates."""


class RayExecutor:
    """Trains on Ray workers: those of the cluster at ``RAY_ADDRESS``, or of a local Ray."""

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """See `Executor.execute`."""
        shared = _shared(sweep, data)
        store_bytes = max(200_000_000, 3 * shared.pixels.nbytes if shared else 0)
        with ray_session(object_store_bytes=store_bytes):
            slots = find_slots(sweep.spec)
            factory = make_factory(
                sweep,
                run,
                data,
                threads=max(1, int(slots.cpus)),
                gpus=slots.gpus,
                load_dataset=data.read_copy or (share(shared) if shared else None),
            )
            lost = run_while_ray_lives(
                functools.partial(
                    drive, sweep, run=run, slots=slots, make_training=factory, on_step=on_step
                )
            )
            if lost:
                sweep.stop(lost)


def _shared(sweep: Sweep, data: SweepData) -> ImageDataset | None:
    """Return the dataset that workers get through Ray; None if they read their own copy."""
    return None if data.read_copy or sweep.spec.train is not None else data.dataset


def drive(
    sweep: Sweep,
    *,
    run: Path,
    slots: Slots,
    make_training: MakeTraining,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Run a sweep on the connected Ray until it is finished or stopping.

    Args:
        sweep: Decides what is trained.
        run: The run directory; Ray's own files are written below it.
        slots: Number and resources of the workers; counted again when nodes join or die.
        make_training: Opens a bundle's training in a worker.
        on_step: Called many times per second, between events.
    """
    gates = _open_gates() if slots.gpus else None
    bridge = _Bridge(sweep=sweep, slots=slots, run=run, on_step=on_step, gates=gates)
    errors = run / ERRORS_DIR
    trainable = ray.tune.with_parameters(
        Worker,
        make_training=make_training,
        gates=gates,
        errors=errors,
        nodes=run / NODES_DIR,
    )
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(trainable, {"cpu": slots.cpus, "gpu": slots.gpus}),
        tune_config=ray.tune.TuneConfig(
            search_alg=_Proposals(bridge),
            scheduler=_Decisions(bridge),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_key,
            trial_dirname_creator=_key,
        ),
        run_config=ray.tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=str(run / RAY_DIR),
            checkpoint_config=ray.tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[_Events(bridge)],
            verbose=0,
        ),
    )
    try:
        with messages_kept_in(errors / "ray.txt"), loggers_not_counted():
            tuner.fit()
    finally:
        forget_crashes(errors)


@dataclass(kw_only=True)
class _Bridge:
    """State shared by the searcher, the scheduler and the callback."""

    sweep: Sweep
    slots: Slots
    run: Path
    on_step: Callable[[], None]
    gates: ActorHandle | None
    """The `Gates` of a sweep on GPUs."""
    live: dict[str, RayTrial | None] = field(default_factory=dict)
    """Ray's trial for each bundle by key; None until Ray has started it."""
    bundles: dict[str, Bundle] = field(default_factory=dict)
    """The bundles in ``live``."""
    watchdog: Watchdog = field(default_factory=Watchdog)
    nodes: Nodes = field(default_factory=Nodes)
    actors: dict[str, str] = field(default_factory=dict)
    """Id of the worker in which each live bundle was last started."""
    killed: dict[str, str] = field(default_factory=dict)
    """Reason for each killed worker whose death Ray has not reported yet."""
    stopped_at: float | None = None
    """When the sweep began to stop."""

    def end(self, key: str) -> Bundle:
        """Free the bundle's slot and return the bundle."""
        self.live.pop(key, None)
        self.actors.pop(key, None)
        self.killed.pop(key, None)
        self.watchdog.end(key)
        return self.bundles.pop(key)

    def start(self, key: str, trial: RayTrial) -> None:
        """Record that Ray has started a bundle in a worker."""
        self.live[key] = trial
        self.watchdog.begin(key)
        if (actor := worker_of(trial)) is not None:
            self.actors[key] = self.nodes.note(actor)
        trials = self.bundles[key].trials
        for trial_id in trials:
            self.sweep.start(trial_id, self.slots.devices / len(trials))

    def look(self) -> None:
        """Do the regular checks between events."""
        self.look_at_nodes()
        self.kill_stuck()
        self.on_step()

    def look_at_nodes(self) -> None:
        """Tell the sweep which nodes joined or died, and count the slots again."""
        joined, lost = self.nodes.look()
        for node in lost:
            self.sweep.lose_node(name(node))
        for node in joined:
            self.sweep.join_node(name(node))
        if joined or lost:
            self.slots = self.slots.on(self.nodes.there)

    def kill_stuck(self) -> None:
        """Kill workers that make no progress, and workers that do not stop with the sweep."""
        for key in self.watchdog.stuck():
            if self._waits_for_memory(key):
                self.watchdog.begin(key)
            else:
                self._kill(key, "its worker made no progress for {:.0f} s and was killed")
        if self.sweep.stopping is None:
            return
        self.stopped_at = self.stopped_at or time.monotonic()
        for key in self.watchdog.late_to_stop(time.monotonic() - self.stopped_at):
            self._kill(key, "its worker did not stop in time and was killed")

    def _kill(self, key: str, reason: str) -> None:
        self.killed[key] = reason.format(self.watchdog.killed(key))
        trial = self.live[key]
        if trial is not None and (actor := worker_of(trial)) is not None:
            ray.kill(actor)

    def _waits_for_memory(self, key: str) -> bool:
        if self.gates is None:
            return False
        try:
            return bool(ray.get(self.gates.waits.remote(key), timeout=_ANSWER_SECONDS))
        except ray.exceptions.GetTimeoutError:
            return False

    def __deepcopy__(self, _memo: Any) -> "_Bridge":
        return self  # Ray copies searchers and callbacks, but the sweep must not be copied.

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # Ray pickles them for its own restore, which we never use.


class _Proposals(RaySearcher):
    """Hands the sweep's next bundle to Ray when a slot is free, but not earlier.

    A trial proposed earlier would not consider the results of the running trials.
    """

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__(metric="epoch", mode="max")
        self._bridge = bridge

    def suggest(self, _trial_id: str) -> Any:
        sweep, live = self._bridge.sweep, self._bridge.live
        if not live:
            self._bridge.look()  # Ray ends no step while it waits for a first trial.
        if len(live) >= self._bridge.slots.count and sweep.stopping is None:
            return None
        bundle = sweep.next_bundle(self._bridge.slots.places)
        if bundle is None:
            over = sweep.finished or sweep.stopping is not None
            return RaySearcher.FINISHED if over else None
        live[bundle.key] = None
        self._bridge.bundles[bundle.key] = bundle
        return {"key": bundle.key, "bundle": bundle.to_json()}

    def on_trial_complete(self, trial_id: str, *_: Any, **__: Any) -> None:
        pass  # The sweep already has each measurement.

    def save(self, checkpoint_path: str) -> None:
        pass  # Everything is in the ledger.

    def restore(self, checkpoint_path: str) -> None:
        pass


class _Decisions(FIFOScheduler):
    """Reports each epoch to the sweep, and stops the trials that the sweep stops."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge
        self._warm = 0

    def on_trial_add(self, controller: Any, trial: RayTrial) -> None:
        """Let Ray keep an idle worker for each slot.

        By default Ray keeps only one, and starting each of the others again takes seconds.
        """
        while self._warm < self._bridge.slots.count:
            self._warm += 1
            keep_one_more_worker_warm(controller, trial)
        super().on_trial_add(controller, trial)

    def on_trial_result(self, _controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        bridge, key = self._bridge, _key(trial)
        if "ended" in result:
            hear_end(bridge.sweep, key, result["ended"])
            return _stop(trial)
        if "latency_ms" in result:
            within = bridge.sweep.hear_latency(bridge.bundles[key].trials, result["latency_ms"])
            goes_on = within and bridge.sweep.stopping is None
            return str(TrialScheduler.CONTINUE) if goes_on else _stop(trial)
        if "fusing" in result:
            return self._decide(trial, result["fusing"])
        reports, (worker,) = result["reports"], result["worker"]
        # A bundle occupies its share of the card's memory, if that is more than its slot.
        held = max(bridge.slots.devices, worker.pop("share"))
        worker["devices"] = held / len(bridge.bundles[key].trials)
        if result["trained"]:
            bridge.watchdog.hear(key, reports[0].values["seconds"])
        over = [
            report.trial_id
            for report in reports
            if bridge.sweep.report(report.trial_id, report.epoch, report.values, worker)
        ]
        if len(over) == len(reports):
            return _stop(trial)
        for trial_id in over:
            # A worker handles calls in order, so this comes before Ray's call for the next epoch.
            if (actor := worker_of(trial)) is not None:
                actor.end_trial.remote(trial_id)
        return str(TrialScheduler.CONTINUE)

    def _decide(self, trial: RayTrial, fusing: Fusing) -> str:
        """Continue a bundle after its probe if its trials are fused; otherwise stop it."""
        bridge, key = self._bridge, _key(trial)
        bridge.bundles[key] = replace(bridge.bundles[key], probe=False)
        bridge.sweep.decide_fusing(fusing)
        goes_on = fusing.fused and bridge.sweep.stopping is None
        return str(TrialScheduler.CONTINUE) if goes_on else _stop(trial)


class _Events(ray.tune.Callback):
    """Tells the sweep which trials Ray starts, ends or loses, and which nodes join or die."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_step_end(self, **_: Any) -> None:
        self._bridge.look()

    def on_trial_start(self, *, trial: RayTrial, **_: Any) -> None:
        self._bridge.start(_key(trial), trial)

    def on_trial_complete(self, *, trial: RayTrial, **_: Any) -> None:
        self._bridge.end(_key(trial))

    def on_trial_error(self, *, trial: RayTrial, **_: Any) -> None:
        """Report a failed or lost attempt; the sweep decides whether its trials run again."""
        key, bridge = _key(trial), self._bridge
        killed, actor = bridge.killed.get(key), bridge.actors.get(key)
        lines = self._keep_error(trial)
        # A traceback starts with a call and ends with the exception. If the worker died, the first
        # line says so.
        raised = "ray::" in lines[0]
        node = None if raised or killed else bridge.nodes.lost_under(actor)
        bridge.look_at_nodes()
        bundle = bridge.end(key)
        if bridge.gates is not None:
            bridge.gates.leave.remote(key)  # The worker may have died before it left the gate.
        if killed and bridge.sweep.stopping is not None:
            return  # The trials are interrupted, not failed.
        crash = None if raised or killed else self._read_crash(key, actor, lines[0])
        gist = lines[-1] if raised else killed or (crash.reason if crash else lines[0])
        error = f"{gist} (all of it in {ERRORS_DIR}/{key}.txt)"
        if bundle.probe and node is None:
            # The probe failed, not the trials, which are then trained separately.
            failed = Fusing(trials=tuple(bundle.trials), fused=False, gain=0.0, reason=error)
            bridge.sweep.decide_fusing(failed)
            return
        for trial_id in reversed(list(bundle.trials)):
            if node is None:
                bridge.sweep.attempt_failed(trial_id, error, fault=crash.signal if crash else None)
            else:
                bridge.sweep.lose_attempt(trial_id, node)

    def _keep_error(self, trial: RayTrial) -> list[str]:
        """Append the traceback of the last attempt to the run's file; return its lines."""
        text = error_text(trial)
        path = self._bridge.run / ERRORS_DIR / f"{_key(trial)}.txt"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
        attempt = text[text.rindex("Failure #") :].splitlines()[1:]
        return [line.strip() for line in attempt if line.strip()]

    def _read_crash(self, key: str, actor_id: str | None, first: str) -> Crash | None:
        """Return why a worker died if Ray does not know, and keep its stack."""
        if actor_id is None or not first.startswith("The actor died"):
            return None
        crash = read_crash(self._bridge.run / ERRORS_DIR, actor_id)
        with (self._bridge.run / ERRORS_DIR / f"{key}.txt").open("a", encoding="utf-8") as file:
            file.write(crash.stack)
        return crash


def _stop(trial: RayTrial) -> str:
    """Stop a trial, and let its worker close the bundle now; Ray would wait for the next bundle."""
    if (actor := worker_of(trial)) is not None:
        actor.cleanup.remote()
    return str(TrialScheduler.STOP)


def _open_gates() -> ActorHandle:
    """Start the gates to all cards on the driver's node, because it outlives the other nodes."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Gates).options(num_cpus=0, scheduling_strategy=here).remote()


def _key(trial: RayTrial) -> str:
    return str(trial.config["key"])
