"""The worker: a process per slot, which trains one bundle after another for Ray Tune."""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import ray.tune
from ray.actor import ActorHandle

from tune.execution.crashes import note_crashes
from tune.execution.executor import (
    AttemptFailedError,
    MakeTraining,
    Training,
    TrainingOverError,
)
from tune.execution.memory import OutOfMemoryError
from tune.execution.node_use import watch_node
from tune.sweep.bundle import Bundle, Fusing


class Worker(ray.tune.Trainable):
    """Adapts a `Training` to Ray Tune: a step is an epoch, a reset is the next bundle.

    The training itself writes checkpoints to the run directory, so trials that Ray starts again on
    any worker continue from the last checkpoint.
    """

    _training: Training | None = None
    _leave: Callable[[], None] | None = None
    _share = 0.0
    """The bundle's share of its card's memory."""
    _reported = _trained = False
    """Whether an epoch was reported, and whether one was trained here. The first report of a
    restored training is of an epoch that was trained earlier, perhaps on another machine."""

    def setup(
        self,
        config: dict[str, Any],
        make_training: MakeTraining,
        gates: ActorHandle | None,
        errors: Path | None = None,
        nodes: Path | None = None,
    ) -> None:
        """Receive the first bundle of this process.

        Args:
            config: Holds the bundle.
            make_training: Opens the bundle's training.
            gates: Admits the bundle to a card's memory; None without GPUs.
            errors: Folder for the stack that is written on a fatal signal.
            nodes: Folder for the use of this node.
        """
        if nodes is not None:
            watch_node(nodes)
        if errors is not None:
            note_crashes(errors, ray.get_runtime_context().get_actor_id())
        self._make_training = make_training
        self._gates = gates
        self._bundle = Bundle.from_json(config["bundle"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Receive the next bundle."""
        self.cleanup()
        self._bundle = Bundle.from_json(new_config["bundle"])
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch, or first time the network, or measure whether to fuse the trials.

        The training is not opened in `setup`, because Ray may give a bundle to an idle worker while
        a new worker still starts for it. The new worker must then have done nothing.
        """
        try:
            return self._step()
        except Exception:
            # Free the GPU before the driver schedules another trial on it.
            with suppress(Exception):
                self.cleanup()
            raise

    def _step(self) -> dict[str, Any]:
        if self._training is None:
            self._enter()
            if self._bundle.times_network:
                latency_ms = self._make_training.latency_ms(self._bundle)
                self._bundle = replace(self._bundle, times_network=False)
                return {"epoch": 0, "latency_ms": latency_ms}
            if self._bundle.probe:
                return {"epoch": 0, "fusing": self._probe()}
        try:
            training = self._training = self._training or self._make_training(self._bundle)
            reports = training.advance()
        except (OutOfMemoryError, AttemptFailedError, TrainingOverError) as error:
            self._training = None
            return {"epoch": 0, "ended": error}
        epoch = reports[0].epoch
        self._trained = self._reported or epoch == 1
        self._reported = True
        worker = {
            "host": socket.gethostname(),
            "device": training.device,
            "parameters": training.parameters,
            "share": self._share,
        }
        # In a list, because Ray keeps statistics of each number directly in a result.
        return {"epoch": epoch, "reports": reports, "worker": [worker], "trained": self._trained}

    def end_trial(self, trial_id: str) -> None:
        """Stop training one trial of the bundle; the others continue."""
        if self._training is not None:
            self._training.end(trial_id)

    def cleanup(self) -> None:
        """Close the bundle; also called when the process ends."""
        try:
            if self._training is not None:
                self._training.close()
                self._training = None
        finally:
            if self._leave is not None:
                self._leave()
                self._leave = None
            self._reported = self._trained = False

    def _probe(self) -> Fusing:
        """Measure whether fusing the trials is faster, and fuse them from now on if it is."""
        fusing = self._make_training.probe(self._bundle)
        self._bundle = replace(self._bundle, probe=False)
        if fusing.fused:
            self._bundle = replace(
                self._bundle, folder=fusing.folder, channels_last=fusing.channels_last
            )
        return fusing

    def _enter(self) -> None:
        """Wait until the gate admits the bundle to its card, unless it already has."""
        gates, key = self._gates, self._bundle.key
        if gates is None or self._leave is not None:
            return
        request = self._make_training.memory_request(self._bundle)
        if request is None:
            return
        self._share = ray.get(gates.enter.remote(key, request, exclusive=self._bundle.exclusive))

        def leave() -> None:
            # Without a trained epoch, the peak would be too low.
            peak = self._make_training.peak_bytes()
            ray.get(gates.leave.remote(key, request.kind, peak if self._trained else 0))

        self._leave = leave
