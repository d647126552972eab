"""The worker: one warm process per slot that trains one trial after another for Ray Tune."""

import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ray
import ray.tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune.memory import ALONE, Gate, MemoryRequest, OutOfMemoryError

GATE_PREFIX = "memory of "
"""Names of the actors that hold a `Gate`, one for each card."""


class Training(Protocol):
    """One trial's training, epoch by epoch."""

    parameters: int
    """Trainable parameters of the network."""
    device: str
    """Name of the device that it runs on."""

    def advance(self) -> tuple[int, Mapping[str, float]]:
        """Train one epoch; return its number (from 1) and its figures."""
        ...

    def close(self) -> None:
        """Leave on disk what a trial that stops here must leave."""
        ...


class MakeTraining(Protocol):
    """Opens trainings in the worker; goes there once, with the worker."""

    def __call__(self, trial_id: str, config: Mapping[str, Any]) -> Training:
        """Open the training of a trial with these hyperparameters."""
        ...

    def memory_request(self, config: Mapping[str, Any]) -> MemoryRequest | None:
        """Say what memory a trial will take of its card; None where it need not ask."""
        ...

    def peak_bytes(self) -> int:
        """Return the most card memory that the last trial has taken."""
        ...


class Worker(ray.tune.Trainable):
    """Adapts a `Training` to Ray Tune: a step is an epoch, a reset is the next trial.

    Checkpoints are the training's own business, in the run directory, so that a trial which Ray
    starts again on any worker goes on where the last checkpoint stands.
    """

    _training: Training | None = None
    _leave: Callable[[], None] | None = None

    def setup(self, config: dict[str, Any], make_training: MakeTraining) -> None:
        """Begin the first trial of this process."""
        self._make_training = make_training
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """End the trial before, which was stopped from outside, and begin another."""
        self.cleanup()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        training = self._training
        assert training is not None, "Ray asked for a step between two trials"
        try:
            epoch, values = training.advance()
        except OutOfMemoryError as error:
            self._training = None
            return {"epoch": 0, "out_of_memory": str(error)}
        worker = {
            "host": socket.gethostname(),
            "device": training.device,
            "parameters": training.parameters,
        }
        # Ray would keep statistics of each number in a result; a list it takes as it is.
        return {"epoch": epoch, "report": [dict(values), worker]}

    def cleanup(self) -> None:
        """Close the trial; also called when the process ends."""
        if self._training is not None:
            self._training.close()
            self._training = None
        if self._leave is not None:
            self._leave()
            self._leave = None

    def _begin(self, config: Mapping[str, Any]) -> None:
        trial_id, hyperparameters = config["trial"], json.loads(config["config"])
        request = self._make_training.memory_request(hyperparameters)
        if request is not None:
            self._leave = self._enter(trial_id, request, alone=config["alone"])
        self._training = self._make_training(trial_id, hyperparameters)

    def _enter(self, trial_id: str, request: MemoryRequest, *, alone: bool) -> Callable[[], None]:
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
        configuration = request.configuration_id
        estimate = ALONE if alone else request.estimate
        ray.get(gate.enter.remote(trial_id, configuration, estimate))
        return lambda: ray.get(
            gate.leave.remote(trial_id, configuration, self._make_training.peak_bytes())
        )
