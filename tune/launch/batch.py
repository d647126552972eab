"""Writes the job script that runs a sweep on one node of PBS or LSF, and submits a chain of jobs.

Options of PBS Professional: manual page of qsub. Options of LSF 10.1: command reference of bsub.
"""

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jinja2

from tune.launch.errors import LaunchError
from tune.launch.slurm import limit_seconds, margin_seconds, python_words, setup_lines
from tune.run.directory import RUNS

Kind = Literal["pbs", "lsf"]
TITLES: dict[Kind, str] = {"pbs": "PBS", "lsf": "LSF"}
ENDS: dict[Kind, str] = {"pbs": "qdel", "lsf": "bkill"}
"""Command that ends jobs."""
_TEMPLATE = Path(__file__).with_name("batch.sh.j2")
_MEMORY = re.compile(r"\d+[KMGT]B")
_PLAIN = re.compile(r"[\w.@:/+-]+")
_LSF_JOB = re.compile(r"Job <(\d+)>")


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """What the jobs request from PBS or LSF."""

    kind: Kind
    name: str
    """Name of the run."""
    words: tuple[str, ...]
    """The spec, and the options of `tune run`."""
    cpus_per_node: int | None
    time: str | None
    """Time limit of a job, as `limit_seconds` reads it."""
    gpus_per_node: int = 0
    jobs: int = 1
    """Length of the chain."""
    mem: str | None = None
    """Memory, such as ``32GB``."""
    queue: str | None = None
    account: str | None = None
    """Account of PBS, or project of LSF."""
    setup: tuple[str, ...] = ()
    """Shell commands, or paths of files with them, to run before Python."""
    python: str | None = None
    """Command that runs Python; None: this Python."""

    def __post_init__(self) -> None:
        if self.cpus_per_node is None or self.time is None:
            raise LaunchError("--cpus-per-node and --time are needed, such as 8 and 4:00:00")
        for option, least in (("cpus_per_node", 1), ("gpus_per_node", 0), ("jobs", 1)):
            if getattr(self, option) < least:
                raise LaunchError(
                    f"--{option.replace('_', '-')} must be {least} or more, "
                    f"but got {getattr(self, option)}"
                )
        if limit_seconds(self.time) < 60:
            raise LaunchError(f"--time must be a minute or more, but got {self.time}")
        if self.mem is not None and not _MEMORY.fullmatch(self.mem.upper()):
            raise LaunchError(f"--mem must be written like 32GB, but got {self.mem!r}")
        for option in ("queue", "account"):
            value = getattr(self, option)
            if value is not None and not _PLAIN.fullmatch(value):
                raise LaunchError(f"--{option} must be a name without spaces, but got {value!r}")

    def script(self) -> str:
        """Return the job script."""
        run, limit = shlex.quote(str(RUNS / self.name)), self._seconds
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
            kind=self.kind,
            title=TITLES[self.kind],
            directives=list(self._pbs() if self.kind == "pbs" else self._lsf()),
            setup=[setup_lines(step) for step in self.setup],
            folder=shlex.quote(str(Path.cwd())),
            python=shlex.join(python_words(self.python)),
            run=run,
            since=int(time.time()),
            stopped=shlex.quote(
                f"{self.name}: `tune stop` has ended it; launch it again to continue"
            ),
            gpus=self.gpus_per_node,
            cpus=self.cpus_per_node,
            seconds=limit - margin_seconds(limit),
            words=shlex.join(self.words),
        )

    @property
    def _seconds(self) -> int:
        return limit_seconds(str(self.time))

    def _pbs(self) -> Iterator[str]:
        gpus = f":ngpus={self.gpus_per_node}" if self.gpus_per_node else ""
        memory = f":mem={self.mem.lower()}" if self.mem else ""
        minutes, seconds = divmod(self._seconds, 60)
        yield f"#PBS -N {self.name}"
        yield f"#PBS -l select=1:ncpus={self.cpus_per_node}{gpus}{memory}"
        yield f"#PBS -l walltime={minutes // 60}:{minutes % 60:02}:{seconds:02}"
        yield "#PBS -j oe"
        if self.queue:
            yield f"#PBS -q {self.queue}"
        if self.account:
            yield f"#PBS -A {self.account}"

    def _lsf(self) -> Iterator[str]:
        minutes = self._seconds // 60
        yield f"#BSUB -J {self.name}"
        yield f"#BSUB -n {self.cpus_per_node}"
        yield '#BSUB -R "span[hosts=1]"'
        yield f"#BSUB -W {minutes // 60}:{minutes % 60:02}"
        yield f"#BSUB -o {self.name}-%J.log"
        if self.gpus_per_node:
            yield f'#BSUB -gpu "num={self.gpus_per_node}:j_exclusive=yes"'
        if self.mem:
            yield f'#BSUB -R "rusage[mem={self.mem.upper()}]"'
        if self.queue:
            yield f"#BSUB -q {self.queue}"
        if self.account:
            yield f"#BSUB -P {self.account}"


def submit_chain(kind: Kind, script: Path, *, jobs: int) -> list[str]:
    """Submit jobs of one script, each of which starts when the one before has ended in any way.

    Returns:
        The ids of the jobs.

    Raises:
        LaunchError: The scheduler is not installed here, or refuses a job; the message names the
            jobs that were submitted before.
    """
    submitted: list[str] = []
    for _ in range(jobs):
        try:
            submitted.append(_submit(kind, script, submitted[-1] if submitted else None))
        except FileNotFoundError as error:
            command = "qsub" if kind == "pbs" else "bsub"
            raise LaunchError(
                f"there is no {command} here; run this on a login node of the cluster"
            ) from error
        except subprocess.CalledProcessError as error:
            before = f"; submitted before it: {' '.join(submitted)}" if submitted else ""
            reason = " ".join((error.stderr or error.stdout).split())
            raise LaunchError(f"{TITLES[kind]} refuses {script}: {reason}{before}") from error
    return submitted


def _submit(kind: Kind, script: Path, after: str | None) -> str:
    """Submit one job and return its id."""
    if kind == "pbs":
        wait = [] if after is None else ["-W", f"depend=afterany:{after}"]
        return _output(["qsub", *wait, str(script)], "").strip()
    wait = [] if after is None else ["-w", f"ended({after})"]
    # bsub reads the options in a script only from its standard input.
    answer = _output(["bsub", *wait], script.read_text(encoding="utf-8"))
    found = _LSF_JOB.search(answer)
    if found is None:
        raise LaunchError(f"bsub answers {answer.strip()!r}, in which there is no job")
    return found[1]


def _output(command: list[str], text: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
