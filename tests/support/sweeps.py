"""Small sweeps for tests: a spec, and trainings that do no work but behave like real ones."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from fairsweep.own_code.signature import Signature
from tests.support.ledgers import events_of, keep_in
from tune.execution.executor import EpochReport
from tune.run.trial import MEASURED, TIMINGS
from tune.sweep.bundle import Fusing
from tune.sweep.networks import OwnNetwork
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep

SPEC = {
    "name": "small",
    "data": "data/none",
    "fixed": {"family": "resnet", "pool_size": 4, "fc_width": 16, "epochs": 9},
    "space": {"kernel_size": [3, 5, 7], "blocks": [1, 2], "channels": [4, 8]},
    "searcher": {"name": "grid"},
    "scheduler": {"name": "asha", "grace_period": 1, "reduction_factor": 3},
    "seed": 3,
}


def small_spec(**changes):
    return parse_spec({**SPEC, **changes})


def own_network(**hyperparameters):
    """A network of a user's with these hyperparameters, whose code is nowhere."""
    signature = Signature(hyperparameters=hyperparameters)
    return OwnNetwork(hash="0" * 32, signature=signature.to_dict())


def searched_epochs(*epochs):
    """The part of a spec that searches numbers of epochs, on which its schedule depends."""
    fixed = {**SPEC["fixed"], "lr_schedule": "cosine"}
    del fixed["epochs"]
    return {"fixed": fixed, "space": {"epochs": list(epochs)}}


def curve(trial_id, epoch):
    """A trial's accuracy after an epoch; it rises towards a limit that depends on the id."""
    height = int(hashlib.sha256(trial_id.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return 0.25 + 0.5 * height * (1 - 0.7**epoch)


def figures(trial_id, epoch, **changes):
    values = dict.fromkeys((*MEASURED, *TIMINGS), 0.5)
    accuracy = curve(trial_id, epoch)
    return values | {"val_accuracy": accuracy, "val_loss": 1 - accuracy, **changes}


@dataclass(kw_only=True)
class TrivialTraining:
    """Keeps its epoch in a file, so that it can resume, and logs each epoch that it trains."""

    run: Path
    trial_id: str
    epochs: int
    sleep_seconds: float = 0.0
    parameters: int = 1
    device: str = "cpu"

    def advance(self):
        epoch = self._read() + 1
        time.sleep(self.sleep_seconds)
        with (self.run / "trained.txt").open("a") as log:
            log.write(f"{self.trial_id} {epoch}\n")
        self._file.write_text(str(epoch))
        return [EpochReport(self.trial_id, epoch, figures(self.trial_id, epoch))]

    def end(self, _trial_id):
        pass

    def close(self):
        pass

    @property
    def _file(self):
        return self.run / f"{self.trial_id}.epoch"

    def _read(self):
        return int(self._file.read_text()) if self._file.exists() else 0


@dataclass(frozen=True, kw_only=True)
class Factory:
    """Opens trivial trainings of one class; requests no memory."""

    kind: type
    run: Path

    def __call__(self, bundle):
        ((trial_id, config),) = bundle.trials.items()
        return self.kind(run=self.run, trial_id=trial_id, epochs=config["epochs"])

    def probe(self, bundle):
        return Fusing(trials=tuple(bundle.trials), fused=False, gain=0.5)

    def memory_request(self, _bundle):
        return None

    def peak_bytes(self):
        return 0


def play(sweep, *, slots=1, steps=10**9, on_step=lambda: None, parameters=lambda _trial: 7):
    """Drive a sweep without Ray; slots report an epoch in turn, until ``steps`` epochs are done."""
    live = []
    while steps > 0:
        while len(live) < slots and (trial := sweep.next_trial()) is not None:
            sweep.start(trial.id, 1.0)
            live.append(trial)
        if not live:
            return
        for trial in list(live):
            epoch = len(trial.measurements) + 1
            worker = {"host": "here", "device": "cpu", "parameters": parameters(trial)}
            if sweep.report(trial.id, epoch, figures(trial.id, epoch), worker):
                live.remove(trial)
            steps -= 1
            on_step()


WORKER = {"host": "here", "device": "cpu", "parameters": 7}
ONE_EPOCH = {"fixed": {**small_spec().fixed, "epochs": 1}}
TWO_EPOCHS = {"fixed": {**small_spec().fixed, "epochs": 2}}
LOSS = {"objective": {"metric": "val_loss", "mode": "min"}}


def new_sweep(spec, events=()):
    ledger = list(events)
    sweep = Sweep(spec, fingerprint="f", commit=keep_in(ledger), events=events_of(events))
    sweep.begin()
    return sweep, ledger


def train(sweep, *accuracies, **changes):
    """Hand out the next trial, report an epoch for each accuracy, and return the trial."""
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    for epoch, accuracy in enumerate(accuracies, start=1):
        values = figures(trial.id, epoch, val_accuracy=accuracy, val_loss=1 - accuracy, **changes)
        sweep.report(trial.id, epoch, values, WORKER)
    return trial


class Clock:
    """Stands in for the `time` module, so that a test sets the times in the ledger."""

    def __init__(self, now=1000.0):
        self.now = now
        """Moves on as time does."""
        self.step = 0.0
        """How far the wall clock was set, forwards or back."""

    def time(self):
        return self.now + self.step

    def monotonic(self):
        return self.now
