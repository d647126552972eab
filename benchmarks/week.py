"""A week's sweep through slots of four hours, on a real Slurm with a fast clock.

A minute stands for an hour, so a slot has four minutes, and an epoch of a second stands for a
minute. Of three slots, one ends by its time limit, one by a preemption with notice, and one by a
preemption that sends SIGKILL a second after SIGTERM. Programs start and stop in real time, which
takes a large part of such a short slot.
Needs root and Debian's slurmctld, slurmd and munge.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks import week_training
from benchmarks.harness import Result
from benchmarks.week_count import intervals, read_notes, repeats, times_trained
from fairsweep.errors import UserError
from tests.support.slurm import NOTICE, OVER, REQUEUE, SmallSlurm, missing, wait_until
from tune.run.directory import CHECKPOINTS_DIR, LEDGER_FILE
from tune.run.events import MeasurementTaken, TrialEnded, TrialProposed
from tune.run.ledger import read_events
from tune.run.trial import Status

WEEK_SLOTS = 42
SLOT_MINUTES = "4"
TRIALS = 12
EPOCHS_A_SLOT = 80
"""How many epochs of all trials two nodes train in a slot, roughly."""
KINDS = ("killed", "notice", "limit")
"""How the slots end, again and again."""
TRAINED_SECONDS = 15.0
"""How long a slot trains at least before its preemption."""
SLOT_SECONDS = 600.0
"""Longest wait for the next slot, or for the end of one."""
RUN = Path("runs/week")
SPEC = {
    "name": "week",
    "train": "week.training:train",
    "objective": "val_accuracy",
    "space": {"place": list(range(1, TRIALS + 1))},
    "resources": {"cpus": 1},
}


class _Checkpoints(threading.Thread):
    """Notes when each checkpoint of a run is written."""

    def __init__(self, run: Path) -> None:
        super().__init__(daemon=True)
        self._run = run
        self.written: dict[str, list[float]] = defaultdict(list)
        """By the trial's id."""
        self.over = threading.Event()

    def run(self) -> None:
        """Look until `over` is set, several times in an epoch."""
        while not self.over.wait(week_training.EPOCH_SECONDS / 10):
            for file in self._run.glob(f"{CHECKPOINTS_DIR}/*/last.pt"):
                try:
                    written, times = file.stat().st_mtime, self.written[file.parent.name]
                except FileNotFoundError:
                    continue  # The trial has just ended.
                if not times or written > times[-1]:
                    times.append(written)


class _Chain:
    """The job of a sweep, from slot to slot."""

    def __init__(self, slurm: SmallSlurm, job: str, folder: Path) -> None:
        self._slurm, self._job, self._folder = slurm, job, folder
        self._ledger = folder / RUN / LEDGER_FILE
        self.ends: Counter[str] = Counter()
        """How many slots ended in which way."""

    def follow(self) -> str:
        """End the slots as `KINDS` says until the job is over; return its last state."""
        for number in count(1):
            kind, known, slot = KINDS[(number - 1) % len(KINDS)], self._measured(), self._slot()
            trains = self._wait(lambda known=known: self._measured() > known)
            if trains and kind != "limit":
                # Each preemption comes at another moment between two checkpoints.
                time.sleep(TRAINED_SECONDS + number % 7)
                self._preempt(killed=kind == "killed")
            if not self._wait(lambda slot=slot: self._slot() > slot):
                if self._measured() > known or self._state() not in ("FAILED", "TIMEOUT"):
                    break
                # Starting took all the time, as it never does in four hours.
                kind = "nothing trained"
                self._job = self._slurm.ask(
                    "sbatch", "--parsable", f"--chdir={self._folder}", self._folder / "week.sbatch"
                ).strip()
            self.ends[kind] += 1
            print(f"slot {number}: {kind}", flush=True)
        self.ends["finished"] += 1
        return self._state()

    def log(self) -> str:
        """Return the log of the job."""
        return (self._folder / f"week-{self._job}.log").read_text(encoding="utf-8")

    def _preempt(self, *, killed: bool) -> None:
        """Let a more urgent job take the nodes until the sweep has left them."""
        slurm = self._slurm
        urgent = slurm.submit_urgent(REQUEUE if killed else NOTICE)
        wait_until(lambda: slurm.look(urgent)["JobState"] == "RUNNING", SLOT_SECONDS)
        slurm.ask("scancel", urgent)

    def _wait(self, condition: Any) -> bool:
        """Wait for a condition; return False if the job is over."""
        wait_until(lambda: condition() or self._state() in OVER, SLOT_SECONDS)
        return bool(condition())

    def _measured(self) -> int:
        return self._ledger.read_bytes().count(b'"measurement"') if self._ledger.exists() else 0

    def _slot(self) -> int:
        return int(self._slurm.look(self._job)["Restarts"])

    def _state(self) -> str:
        return str(self._slurm.look(self._job)["JobState"])


def run(slots: int = WEEK_SLOTS) -> Iterator[Result]:
    """Train a sweep through about this many slots.

    Raises:
        UserError: Slurm cannot run here.
        RuntimeError: The sweep did not finish, or trained more again than the time between two
            checkpoints.
    """
    if reason := missing():
        raise UserError(reason)
    epochs = EPOCHS_A_SLOT * slots // TRIALS
    with (
        tempfile.TemporaryDirectory() as name,
        SmallSlurm(_made(name, "slurm"), kill_wait=1) as slurm,
    ):
        folder = _made(name, "week's folder")
        begun = time.perf_counter()
        checkpoints = _Checkpoints(folder / RUN)
        checkpoints.start()
        try:
            chain = _Chain(slurm, _submit(slurm, folder, epochs), folder)
            state = chain.follow()
        finally:
            checkpoints.over.set()
            checkpoints.join()
        if state != "COMPLETED":
            raise RuntimeError(f"the job is {state}: {chain.log()[-2000:]}")
        details = {"slots": chain.ends.total(), "slots by their end": dict(chain.ends)}
        details["minutes"] = round((time.perf_counter() - begun) / 60, 1)
        yield judge(folder, checkpoints.written, epochs, details)


def _submit(slurm: SmallSlurm, folder: Path, epochs: int) -> str:
    """Write the sweep and submit it; return the number of its job."""
    (folder / "week").mkdir()
    shutil.copy(week_training.__file__, folder / "week" / "training.py")
    spec = SPEC | {"fixed": {"epochs": epochs, "folder": str(folder)}}
    (folder / "week.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    place = {"PYTHONPATH": str(Path(__file__).parents[1]), "XDG_CONFIG_HOME": str(folder)}
    words = ["--nodes", "2", "--cpus-per-node", "1", "--time", SLOT_MINUTES, "--submit"]
    words += ["--sbatch", f"export={','.join(place)}"]
    command = [sys.executable, "-m", "tune", "launch", "slurm", "week.yaml", *words]
    environment = slurm.environment | place
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.split()[1]


def judge(
    folder: Path,
    written: dict[str, list[float]],
    epochs: int,
    details: dict[str, Any],
) -> Result:
    """Check the claim by the notes of the training and by the ledger; return the result.

    Args:
        folder: Where the sweep was started.
        written: When the checkpoints of each trial were written.
        epochs: Epochs of each trial.
        details: What else the result tells.

    Raises:
        RuntimeError: A trial or an epoch is missing or was recorded twice, or more was trained
            again than the longest time between two checkpoints.
    """
    events = list(read_events(folder / RUN))
    numbers = {e.trial: e.config["place"] for e in events if isinstance(e, TrialProposed)}
    recorded = Counter(
        (numbers[e.trial], e.epoch) for e in events if isinstance(e, MeasurementTaken)
    )
    ended = Counter(e.status for e in events if isinstance(e, TrialEnded))
    notes = read_notes(folder / week_training.NOTES)
    trained = times_trained(notes)
    whole = {(number, epoch) for number in numbers.values() for epoch in range(1, epochs + 1)}
    if ended != {Status.COMPLETED: TRIALS} or set(recorded.values()) != {1}:
        raise RuntimeError(f"trials are lost, or epochs are recorded twice: {dict(ended)}")
    if not (set(recorded) == set(trained) == whole):
        raise RuntimeError("the epochs of the ledger are not those that were trained")
    between = intervals(notes, {numbers[trial]: times for trial, times in written.items()})
    again = repeats(notes)
    longest = max((repeat.seconds for repeat in again), default=0.0)
    if sum(repeat.epochs for repeat in again) < sum(trained.values()) - len(trained):
        raise RuntimeError("epochs were trained twice without a stop in between")
    if beyond := [repeat for repeat in again if repeat.seconds > max(between)]:
        raise RuntimeError(f"trained again beyond a checkpoint interval: {beyond}")
    return Result(
        name="week",
        unit="epochs trained for each epoch of the trials",
        ours=sum(trained.values()) / len(trained),
        others={},
        smaller_is_better=True,
        details=details
        | {
            "trials completed": ended[Status.COMPLETED],
            "epochs": len(trained),
            "epochs trained again": sum(trained.values()) - len(trained),
            "stops after which a trial lost epochs": len(again),
            "most seconds of a trial that were trained again after a stop": round(longest, 2),
            "longest seconds between two checkpoints": round(max(between), 2),
            "trainings begun or continued": sum(note.what == "begun" for note in notes),
            "checkpoints": sum(map(len, written.values())),
            "median seconds between two checkpoints": round(median(between), 2),
            "seconds of an epoch": week_training.EPOCH_SECONDS,
        },
    )


def _made(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder
