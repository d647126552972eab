"""The worker: one warm process per slot that trains one bundle after another for Ray Tune."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import ray
import ray.tune
from ray.actor import ActorHandle

from tune.execution.memory import MemoryRequest, OutOfMemoryError
from tune.sweep.bundle import Bundle, Fusing


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
    _share = 0.0
    """What the bundle takes of its card's memory."""
    _told = _trained = False
    """Whether a first epoch was told, and whether one was trained here: what a restored training
    tells first was trained before, maybe on another machine."""

    def setup(
        self, config: dict[str, Any], make_training: MakeTraining, gates: ActorHandle | None
    ) -> None:
        """Take the first bundle of this process; with ``gates`` ask for a card's memory."""
        self._make_training = make_training
        self._gates = gates
        self._bundle = Bundle.from_json(config["bundle"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another bundle."""
        self.cleanup()
        self._bundle = Bundle.from_json(new_config["bundle"])
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch; or, once, measure how to train.

        The training is opened here and not in `setup`: Ray may give a bundle to a warm worker
        while a new one still starts for it, and the new one must then have done nothing.
        """
        try:
            return self._step()
        except Exception:
            # Before the driver hears of it and lets others onto the card.
            with suppress(Exception):
                self.cleanup()
            raise

    def _step(self) -> dict[str, Any]:
        if self._training is None:
            self._enter()
            if self._bundle.probe:
                return {"epoch": 0, "fusing": self._probe()}
            self._training = self._make_training(self._bundle)
        training = self._training
        try:
            told = training.advance()
        except OutOfMemoryError as error:
            self._training = None
            return {"epoch": 0, "out_of_memory": str(error)}
        self._trained = self._told or told[0][1] == 1
        self._told = True
        worker = {
            "host": socket.gethostname(),
            "device": training.device,
            "parameters": training.parameters,
            "share": self._share,
        }
        report = [(trial_id, epoch, dict(values)) for trial_id, epoch, values in told]
        # Ray would keep statistics of each number in a result; a list it takes as it is.
        return {"epoch": told[0][1], "report": [report, worker], "trained": self._trained}

    def end_trial(self, trial_id: str) -> None:
        """Train one trial of the bundle no longer; the others go on."""
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
            self._told = self._trained = False

    def _probe(self) -> Fusing:
        """Measure whether to train as one, and train so from now on if it pays."""
        fusing = self._make_training.probe(self._bundle)
        self._bundle = replace(self._bundle, probe=False)
        if fusing.fused:
            self._bundle = replace(
                self._bundle, folder=fusing.folder, channels_last=fusing.channels_last
            )
        return fusing

    def _enter(self) -> None:
        """Wait until the card has room for the bundle, unless it has let it in already."""
        gates, key = self._gates, self._bundle.key
        if gates is None or self._leave is not None:
            return
        request = self._make_training.memory_request(self._bundle)
        if request is None:
            return
        self._share = ray.get(gates.enter.remote(key, request, alone=self._bundle.alone))

        def leave() -> None:
            # Of a training that did not get as far, the peak says too little.
            peak = self._make_training.peak_bytes()
            ray.get(gates.leave.remote(key, request.kind, peak if self._trained else 0))

        self._leave = leave
