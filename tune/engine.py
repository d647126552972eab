"""The Ray adapter: lets Ray Tune's `Tuner` drive a `Sweep`."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import ray.tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher as RaySearcher

from tune.nodes import Nodes, name
from tune.schema import ERRORS_DIR, RAY_DIR
from tune.slots import Slots
from tune.sweep import Sweep
from tune.watchdog import Watchdog
from tune.worker import GATE_PREFIX, MakeTraining, Worker


def drive(
    sweep: Sweep,
    *,
    run: Path,
    slots: Slots,
    make_training: MakeTraining,
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Run a sweep on the connected Ray until it is finished or told to stop.

    Args:
        sweep: Decides what is trained.
        run: The run directory; Ray's own files go below it.
        slots: How many trials run at once, and with what; counted anew when nodes come or go.
        make_training: Builds a trial's training in a worker.
        on_step: Called many times a second, between events.
    """
    bridge = _Bridge(sweep=sweep, slots=slots, run=run, on_step=on_step)
    trainable = ray.tune.with_parameters(Worker, make_training=make_training)
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(trainable, {"cpu": slots.cpus, "gpu": slots.gpus}),
        tune_config=ray.tune.TuneConfig(
            search_alg=_Proposals(bridge),
            scheduler=_Decisions(bridge),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=ray.tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=str(run / RAY_DIR),
            checkpoint_config=ray.tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[_Events(bridge)],
            verbose=0,
        ),
    )
    tuner.fit()


@dataclass(kw_only=True)
class _Bridge:
    """What searcher, scheduler and callback share."""

    sweep: Sweep
    slots: Slots
    run: Path
    on_step: Callable[[], None]
    live: dict[str, RayTrial | None] = field(default_factory=dict)
    """Trials that Ray holds at present; None until it has started one."""
    watchdog: Watchdog = field(default_factory=Watchdog)
    nodes: Nodes = field(default_factory=Nodes)
    actors: dict[str, str] = field(default_factory=dict)
    """The worker that each live trial was last seen in."""

    def end(self, trial_id: str) -> None:
        """Give the trial's slot to the next one."""
        self.live.pop(trial_id, None)
        self.actors.pop(trial_id, None)
        self.watchdog.end(trial_id)

    def start(self, trial_id: str, trial: RayTrial) -> None:
        """Note that Ray has put a trial into a worker."""
        self.live[trial_id] = trial
        if (actor := trial.temporary_state.ray_actor) is not None:
            self.actors[trial_id] = self.nodes.note(actor)

    def look_at_nodes(self) -> None:
        """Let nodes that have joined have trials, and none those that are gone."""
        joined, lost = self.nodes.look()
        for node in lost:
            self.sweep.lose_node(name(node))
        for node in joined:
            self.sweep.join_node(name(node))
        if joined or lost:
            self.slots = self.slots.on(self.nodes.there)

    def kill_stuck(self) -> None:
        """Kill the workers of trials that stand still; Ray starts them again elsewhere."""
        for trial_id in self.watchdog.stuck():
            self.watchdog.end(trial_id)
            trial = self.live[trial_id]
            if trial is not None and trial.temporary_state.ray_actor is not None:
                ray.kill(trial.temporary_state.ray_actor)

    def __deepcopy__(self, _memo: Any) -> "_Bridge":
        return self  # Ray copies searchers and callbacks, but there is only one sweep.

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # Ray pickles them for a restore of its own, which we never use.


class _Proposals(RaySearcher):
    """Hands the sweep's next trial to Ray whenever a slot is free, and never before.

    A proposal made ahead would not know the results of the trials that still run.
    """

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__(metric="epoch", mode="max")
        self._bridge = bridge

    def suggest(self, _trial_id: str) -> Any:
        sweep, live = self._bridge.sweep, self._bridge.live
        if len(live) >= self._bridge.slots.count:
            return None
        trial = sweep.next_trial()
        if trial is None:
            over = sweep.finished or sweep.stopping is not None
            return RaySearcher.FINISHED if over else None
        live[trial.id] = None
        # As one string, because Ray copies and flattens a mapping many times over.
        alone = trial.id in sweep.alone
        return {"trial": trial.id, "config": json.dumps(trial.config), "alone": alone}

    def on_trial_complete(self, trial_id: str, *_: Any, **__: Any) -> None:
        pass  # The sweep has heard each measurement.

    def save(self, checkpoint_path: str) -> None:
        pass  # The ledger holds all there is to know.

    def restore(self, checkpoint_path: str) -> None:
        pass


class _Decisions(FIFOScheduler):
    """Reports each epoch to the sweep and stops the trials that it wants stopped."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_result(self, _controller: Any, trial: RayTrial, result: dict[str, Any]) -> str:
        if "out_of_memory" in result:
            self._bridge.sweep.out_of_memory(_trial_id(trial), result["out_of_memory"])
            return str(TrialScheduler.STOP)
        values, worker = result["report"]
        self._bridge.watchdog.hear(_trial_id(trial), values["seconds"])
        stop = self._bridge.sweep.report(_trial_id(trial), result["epoch"], values, worker)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class _Events(ray.tune.Callback):
    """Tells the sweep when Ray starts, ends or loses a trial, and which nodes come and go."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def on_step_end(self, **_: Any) -> None:
        self._bridge.look_at_nodes()
        self._bridge.kill_stuck()
        self._bridge.on_step()

    def on_trial_start(self, *, trial: RayTrial, **_: Any) -> None:
        self._bridge.start(_trial_id(trial), trial)
        self._bridge.sweep.start(_trial_id(trial), self._bridge.slots.devices)

    def on_trial_complete(self, *, trial: RayTrial, **_: Any) -> None:
        self._bridge.end(_trial_id(trial))

    def on_trial_error(self, *, trial: RayTrial, **_: Any) -> None:
        """Leave it to the sweep whether the trial goes on, as a new one of Ray's."""
        trial_id, bridge = _trial_id(trial), self._bridge
        lines = self._keep_error(trial)
        # A traceback begins with a call and ends with what was raised; of a worker that has died
        # Ray says so first.
        raised = "ray::" in lines[0]
        node = None if raised else bridge.nodes.lost_under(bridge.actors.get(trial_id))
        bridge.look_at_nodes()
        bridge.end(trial_id)
        _give_back_memory(trial_id)
        if node is None:
            gist = lines[-1] if raised else lines[0]
            error = f"{gist} (all of it in {ERRORS_DIR}/{trial_id}.txt)"
            bridge.sweep.attempt_failed(trial_id, error)
        else:
            bridge.sweep.lose_attempt(trial_id, node)

    def _keep_error(self, trial: RayTrial) -> list[str]:
        """Add the traceback of an attempt to those in the run; return its lines."""
        text = Path(trial.error_file).read_text(encoding="utf-8")
        path = self._bridge.run / ERRORS_DIR / f"{_trial_id(trial)}.txt"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
        attempt = text[text.rindex("Failure #") :].splitlines()[1:]
        return [line.strip() for line in attempt if line.strip()]


def _give_back_memory(trial_id: str) -> None:
    """Free what a trial holds of any card: its worker may have died before it could."""
    for gate in ray.util.list_named_actors():
        if gate.startswith(GATE_PREFIX):
            with suppress(ValueError):  # It went with its node just now.
                ray.get_actor(gate).leave.remote(trial_id)


def _trial_id(trial: RayTrial) -> str:
    return str(trial.config["trial"])
