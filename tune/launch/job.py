"""The Slurm job that this process belongs to: its nodes, its end, commands on all of them."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from tune.launch.errors import LaunchError


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """The Slurm job that this process belongs to."""

    id: str
    nodes: tuple[str, ...]
    """Names of the nodes; the batch script is on the first."""
    gpus: int
    """GPUs that the job has on each node, however they were asked for."""
    cpus: str | None
    """Cores that were asked for on each node; None where the nodes are ours as a whole."""

    @classmethod
    def here(cls) -> Self:
        """Return the job that this process belongs to.

        Raises:
            LaunchError: It belongs to none.
        """
        number = os.environ.get("SLURM_JOB_ID")
        if number is None:
            raise LaunchError(
                "this is not inside a Slurm job; write one with `python -m tune launch slurm`"
            )
        hosts = ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]
        return cls(
            id=number,
            nodes=tuple(_output(hosts).split()),
            gpus=_gpus_per_node(),
            cpus=os.environ.get("SLURM_CPUS_PER_TASK"),
        )

    def end(self) -> float | None:
        """Return when Slurm will end the job, in seconds since 1970; None if it does not say."""
        try:
            text = _output(["squeue", "--noheader", "--job", self.id, "--format", "%e"])
            return datetime.fromisoformat(text.strip()).timestamp()
        except (OSError, subprocess.CalledProcessError, ValueError):
            return None

    def nodes_left(self) -> tuple[str, ...]:
        """Return the nodes that have not died since; none where nobody says."""
        try:
            names = _output(["squeue", "--noheader", "--job", self.id, "--format", "%N"]).strip()
            return tuple(_output(["scontrol", "show", "hostnames", names]).split())
        except (OSError, subprocess.CalledProcessError):
            return ()

    def on_each_node(self, command: Sequence[str], *options: str) -> list[str]:
        """Return the words that run a command once on every node."""
        # A step inherits neither from its job: cores since Slurm 22.05, and a user's --export.
        cores = [] if self.cpus is None else [f"--cpus-per-task={self.cpus}"]
        return [
            *("srun", "--nodes", str(len(self.nodes)), "--ntasks-per-node=1", "--export=ALL"),
            *(*cores, *options, *command),
        ]

    def queue_again(self) -> None:
        """Put the job back into the queue; Slurm ends this process for it.

        Raises:
            LaunchError: Slurm refuses.
        """
        done = subprocess.run(
            ["scontrol", "requeue", self.id], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise LaunchError(
                f"Slurm does not queue job {self.id} again: {' '.join(done.stderr.split())}; "
                "submit its script once more, and the sweep goes on"
            )


def _gpus_per_node() -> int:
    """Return the GPUs that the job has on the batch script's node, as Slurm tells of them.

    ``--gpus-per-node`` sets the first variable, which may name a kind, as in ``a100:4``. ``--gres``
    and ``--gpus`` set only the others: a number, and the cards' places (sbatch, OUTPUT ENVIRONMENT
    VARIABLES).
    """
    if asked := os.environ.get("SLURM_GPUS_PER_NODE"):
        return int(asked.rpartition(":")[2])
    if on_node := os.environ.get("SLURM_GPUS_ON_NODE"):
        return int(on_node.rpartition(":")[2])
    if "SLURM_JOB_GPUS" in os.environ:
        return sum(map(_cards, filter(None, os.environ["SLURM_JOB_GPUS"].split(","))))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return len([card for card in visible.split(",") if card and not card.startswith("-")])


def _cards(places: str) -> int:
    """Count the cards of ``3`` or of ``0-3``."""
    first, _, last = places.partition("-")
    return int(last or first) - int(first) + 1


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
