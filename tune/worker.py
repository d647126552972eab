"""The worker: one warm process per slot that trains one trial after another for Ray Tune."""

import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ray.tune


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


MakeTraining = Callable[[str, Mapping[str, Any]], Training]
"""Function of a trial's id and hyperparameters, called in the worker."""


class Worker(ray.tune.Trainable):
    """Adapts a `Training` to Ray Tune: a step is an epoch, a reset is the next trial.

    Checkpoints are the training's own business, in the run directory, so that a trial which Ray
    starts again on any worker goes on where the last checkpoint stands.
    """

    _training: Training | None = None

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
        epoch, values = training.advance()
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

    def _begin(self, config: Mapping[str, Any]) -> None:
        self._training = self._make_training(config["trial"], json.loads(config["config"]))
