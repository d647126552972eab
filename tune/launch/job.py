"""The Slurm job that this process belongs to: its nodes, its end, commands on all of them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote, split
from typing import Self

from fairsweep.command_line import shell_path
from tune.launch.errors import LaunchError
from tune.run.lease import describe, holder_of

PYTHON = "TUNE_PYTHON"
"""Environment variable with the command that runs Python on a node, if it is not this Python."""
NEEDS_GPUS = "TUNE_NEEDS_GPUS"
"""Environment variable that is set if the job requested GPUs."""
BATCH_PROCESS = "TUNE_BATCH_PROCESS"
"""Environment variable with the number of the job's process on its first node."""
_CARD = re.compile(r"\d|GPU-|MIG-")
"""How the name of a GPU begins in ``CUDA_VISIBLE_DEVICES``; Slurm also writes ``NoDevFiles``."""
_LIVING = ("RUNNING", "SUSPENDED", "PENDING", "PREEMPTED")
"""States of a job that was not cancelled."""
_SAME_SECONDS = 1.0
"""Times that are not further apart are the same; Slurm tells whole seconds."""
_ANSWER_SECONDS = 10.0
"""How long to wait for an answer of Slurm's controller, which gives none while it restarts."""


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """The Slurm job that this process belongs to."""

    id: str
    nodes: tuple[str, ...]
    """Names of the nodes; the batch script is on the first."""
    gpus: int
    """GPUs that the job has on each node, however they were asked for."""
    cpus: str | None
    """Cores that the job has on each node; None if it has whole nodes."""

    @classmethod
    def here(cls) -> Self:
        """Return the job that this process belongs to.

        Raises:
            LaunchError: It does not belong to a job, the job has no GPUs although it requested
                some, or Slurm's commands are not there.
        """
        number = os.environ.get("SLURM_JOB_ID")
        if number is None:
            raise LaunchError(
                "this process is not in a Slurm job; write a script for one with "
                "`python -m tune launch slurm`"
            )
        gpus = _gpus_per_node()
        if gpus == 0 and NEEDS_GPUS in os.environ:
            raise LaunchError(
                "this job has no GPUs, although it requested some; look at its line in `scontrol "
                f"show job {number}`, or launch without GPUs"
            )
        hosts = ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]
        try:
            nodes = tuple(_output(hosts).split())
        except FileNotFoundError as error:
            raise LaunchError(
                "Slurm's commands, such as scontrol, are not on the PATH of this job; add them by "
                "--setup, or bind them into the container (docs/slurm.md)"
            ) from error
        return cls(
            id=number,
            nodes=nodes,
            gpus=gpus,
            cpus=os.environ.get("SLURM_CPUS_PER_TASK"),
        )

    def end(self) -> float | None:
        """Return when Slurm will end the job, in seconds since 1970; None if unknown."""
        try:
            text = _output(["squeue", "--noheader", "--job", self.id, "--format", "%e"])
            return datetime.fromisoformat(text.strip()).timestamp()
        except (OSError, subprocess.SubprocessError, ValueError):
            return None

    def goes_on(self) -> bool:
        """Return whether the job was not cancelled: it runs, is preempted, or its time is up.

        False if Slurm gives no answer.
        """
        return _goes_on(self._facts())

    def is_cancelled(self) -> bool:
        """Return whether the job was cancelled; False if Slurm gives no answer."""
        facts = self._facts()
        return bool(facts) and not _goes_on(facts)

    def is_out_of_time(self) -> bool:
        """Return whether Slurm has ended the job at its time limit."""
        return _is_out_of_time(self._facts())

    def was_told_to_leave(self) -> bool:
        """Return whether a preemption has begun; Slurm then moves the end of the job."""
        return _time(self._facts(), "PreemptTime") is not None

    def _facts(self) -> Mapping[str, str]:
        """Return what Slurm says of the job, by the names that it uses; empty without an answer."""
        try:
            text = _output(["scontrol", "--oneliner", "show", "job", self.id])
        except (OSError, subprocess.SubprocessError):
            return {}
        return {name: value for name, _, value in (word.partition("=") for word in text.split())}

    def nodes_left(self) -> tuple[str, ...]:
        """Return the nodes that are still alive; none if Slurm does not answer."""
        try:
            names = _output(["squeue", "--noheader", "--job", self.id, "--format", "%N"]).strip()
            return tuple(_output(["scontrol", "show", "hostnames", names]).split())
        except (OSError, subprocess.SubprocessError):
            return ()

    def on_each_node(self, command: Sequence[str], *options: str) -> list[str]:
        """Return the command line that runs one of our commands once on every node."""
        python = split(os.environ.get(PYTHON, quote(sys.executable)))
        # A step inherits neither the cores (since Slurm 22.05) nor the --export of its job.
        cores = [] if self.cpus is None else [f"--cpus-per-task={self.cpus}"]
        return [
            *("srun", "--nodes", str(len(self.nodes)), "--ntasks-per-node=1", "--export=ALL"),
            *(*cores, *options, *python, "-m", "tune", *command),
        ]

    def queue_again(self) -> None:
        """Put the job back into the queue, if Slurm has not; Slurm then ends this process.

        Raises:
            LaunchError: Slurm refuses, for example because the job is just being cancelled.
        """
        facts = self._facts()
        if _was_requeued(facts):
            return
        # With Incomplete, Slurm leaves a job alone that it has ended: one that is cancelled
        # meanwhile, but also one whose time is up.
        ended = facts.get("JobState") == "COMPLETING" and _goes_on(facts)
        words = ["scontrol", "requeue", *([] if ended else ["Incomplete"]), self.id]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LaunchError(
                f"Slurm does not requeue job {self.id}: {' '.join(done.stderr.split())}; "
                "submit its script again to continue the sweep"
            )


def refuse_if_running(run: Path, *, but: str | None = None) -> None:
    """Refuse a run that another driver is working on.

    Args:
        run: The run directory; it need not exist.
        but: The job that asks. It may continue after its own last driver has died, and may wait for
            a driver outside Slurm.

    Raises:
        LaunchError: A driver works on the run; the message names its job and process.
    """
    holder = holder_of(run)
    other = None if holder is None else holder.get("job")
    if holder is None or (but is not None and other in (None, but)):
        return
    if other is not None and not _has_state(other, "RUNNING,SUSPENDED"):
        return  # Its node has died, so its lease expires within a minute.
    way_out = f"python -m tune stop {shell_path(run)}" if other is None else f"scancel {other}"
    raise LaunchError(
        f"{run} is running already, in {describe(holder)}; wait for it, or end it with `{way_out}`"
    )


def _has_state(job: str, states: str) -> bool:
    """Return whether a job has one of these states, as far as Slurm knows."""
    words = ["squeue", "--noheader", "--job", job, f"--states={states}", "--format=%T"]
    try:
        return bool(_output(words).strip())
    except (OSError, subprocess.SubprocessError):
        return False


def _gpus_per_node() -> int:
    """Return the GPUs that the job has on the batch script's node, from Slurm's variables.

    ``--gpus-per-node`` sets the first variable, which may name types: ``a100:4,v100:2``. ``--gres``
    and ``--gpus`` set only the others: a number, and the indices of the cards (sbatch, OUTPUT
    ENVIRONMENT VARIABLES).
    """
    for name in ("SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE"):
        if counts := os.environ.get(name):
            return sum(int(kind.rpartition(":")[2]) for kind in counts.split(","))
    if "SLURM_JOB_GPUS" in os.environ:
        return sum(map(_cards, filter(None, os.environ["SLURM_JOB_GPUS"].split(","))))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return sum(bool(_CARD.match(card)) for card in visible.split(","))


def _cards(places: str) -> int:
    """Count the cards of ``3`` or of ``0-3``."""
    first, _, last = places.partition("-")
    return int(last or first) - int(first) + 1


def _goes_on(facts: Mapping[str, str]) -> bool:
    """Return whether a job runs, or has ended but was not cancelled, by what Slurm says of it.

    A job with a grace time is RUNNING when its processes get SIGTERM. After every other end its
    state is COMPLETING until they have ended. Then its time limit has passed, or Slurm has requeued
    it, or the grace time is over and Slurm has moved the time of the preemption to the end of the
    job, or it was cancelled.
    """
    if facts.get("JobState") in _LIVING or _was_requeued(facts) or _is_out_of_time(facts):
        return True
    begun, end = _time(facts, "PreemptTime"), _time(facts, "EndTime")
    return begun is not None and end is not None and abs(end - begun) <= _SAME_SECONDS


def _is_out_of_time(facts: Mapping[str, str]) -> bool:
    return facts.get("Reason") == "TimeLimit"


def _was_requeued(facts: Mapping[str, str]) -> bool:
    """Return whether Slurm has put the job back into the queue since this process began."""
    state, restarts = facts.get("JobState"), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    more = int(facts.get("Restarts", "0")) > restarts
    return state == "PENDING" or (state != "RUNNING" and more)


def _time(facts: Mapping[str, str], name: str) -> float | None:
    """Return a time that Slurm tells of a job, in seconds since 1970; None if there is none."""
    try:
        return datetime.fromisoformat(facts.get(name, "")).timestamp()
    except ValueError:
        return None


def _output(command: Sequence[str]) -> str:
    # The user may have configured another form of times.
    environment = os.environ | {"SLURM_TIME_FORMAT": "standard"}
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=_ANSWER_SECONDS,
    ).stdout
