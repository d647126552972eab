"""The worker: one warm process per slot that trains one bundle after another for Ray Tune."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import ray
import ray.tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune.bundle import Bundle, Fusing
from tune.memory import ALONE, Gate, MemoryRequest, OutOfMemoryError

GATE_PREFIX = "memory of "
"""Names of the actors that hold a `Gate`, one for each card."""


class Training(Protocol):
    """The training of a bundle's trials, epoch by epoch."""

    parameters: int
    """Trainable parameters of one network."""
    device: str
    """Name of the device that it runs on."""

    def advance(self) -> list[tuple[str, int, Mapping[str, float]]]:
        """Train one epoch; return each trial's id, its epoch (from 1) and its figures."""
        ...

    def end(self, trial_id: str) -> None:
        """Train one of several trials no longer, and leave its files."""
        ...

    def close(self) -> None:
        """Leave on disk what trials that stop here must leave."""
        ...


class MakeTraining(Protocol):
    """Opens trainings in the worker; goes there once, with the worker."""

    def __call__(self, bundle: Bundle) -> Training:
        """Open the training of these trials."""
        ...

    def probe(self, bundle: Bundle) -> Fusing:
        """Measure whether these trials had better be trained as one."""
        ...

    def memory_request(self, bundle: Bundle) -> MemoryRequest | None:
        """Say what memory they will take of their card; None where they need not ask."""
        ...

    def peak_bytes(self) -> int:
        """Return the most card memory that the last trials have taken."""
        ...


class Worker(ray.tune.Trainable):
    """Adapts a `Training` to Ray Tune: a step is an epoch, a reset is the next bundle.

    Checkpoints are the training's own business, in the run directory, so that trials which Ray
    starts again on any worker go on where the last checkpoint stands.
    """

    _training: Training | None = None
    _leave: Callable[[], None] | None = None

    def setup(self, config: dict[str, Any], make_training: MakeTraining) -> None:
        """Begin the first bundle of this process."""
        self._make_training = make_training
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """End the bundle before, which was stopped from outside, and begin another."""
        self.cleanup()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; or, once, measure how to train."""
        if self._bundle.probe and self._training is None:
            fusing = self._make_training.probe(self._bundle)
            if fusing.fused:
                bound = replace(
                    self._bundle, folder=fusing.folder, channels_last=fusing.channels_last
                )
                self._training = self._make_training(bound)
            return {"epoch": 0, "fusing": fusing}
        training = self._training
        assert training is not None, "Ray asked for a step between two bundles"
        try:
            told = training.advance()
        except OutOfMemoryError as error:
            self._training = None
            return {"epoch": 0, "out_of_memory": str(error)}
        worker = {
            "host": socket.gethostname(),
            "device": training.device,
            "parameters": training.parameters,
        }
        report = [(trial_id, epoch, dict(values)) for trial_id, epoch, values in told]
        # Ray would keep statistics of each number in a result; a list it takes as it is.
        return {"epoch": told[0][1], "report": [report, worker]}

    def end_trial(self, trial_id: str) -> None:
        """Train one trial of the bundle no longer; the others go on."""
        if self._training is not None:
            self._training.end(trial_id)

    def cleanup(self) -> None:
        """Close the bundle; also called when the process ends."""
        if self._training is not None:
            self._training.close()
            self._training = None
        if self._leave is not None:
            self._leave()
            self._leave = None

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._bundle = bundle = Bundle.from_json(config["bundle"])
        request = self._make_training.memory_request(bundle)
        if request is not None:
            self._leave = self._enter(request)
        if not bundle.probe:
            self._training = self._make_training(bundle)

    def _enter(self, request: MemoryRequest) -> Callable[[], None]:
        """Wait until the card has room; return what gives the room back."""
        # Beside its card, so that no other node takes it along when it dies.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        gate = (
            ray.remote(Gate)
            .options(
                name=GATE_PREFIX + request.card,
                get_if_exists=True,
                num_cpus=0,
                scheduling_strategy=here,
            )
            .remote(request.card_bytes)
        )
        key, kind = self._bundle.key, request.kind
        estimate = ALONE if self._bundle.alone else request.estimate
        ray.get(gate.enter.remote(key, kind, estimate))
        return lambda: ray.get(gate.leave.remote(key, kind, self._make_training.peak_bytes()))
