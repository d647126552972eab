"""Writes the batch script that runs a sweep on Slurm, and submits it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from tune.launch.errors import LaunchError
from tune.launch.sbatch_options import check_gpus, lines, requests_gpus
from tune.run.directory import RUNS

_TEMPLATE = Path(__file__).with_name("slurm.sh.j2")
_MARGIN_SHARE = 0.05
_LEAST_MARGIN_SECONDS, _MOST_MARGIN_SECONDS = 20, 900
_TIME = re.compile(r"(?:(?P<d>\d+)-)?(?P<a>\d+)(?::(?P<b>\d+))?(?::(?P<c>\d+))?")


@dataclass(frozen=True, kw_only=True)
class SlurmRequest:
    """What the batch script requests from Slurm."""

    name: str
    """Name of the run."""
    words: tuple[str, ...]
    """The spec, and the options of `tune run`."""
    nodes: int
    time: str
    """Time limit of one allocation, as Slurm writes it; a sweep uses as many allocations as it
    needs."""
    gpus_per_node: str = "0"
    """A number, or a type and a number, such as ``v100l:4``."""
    cpus_per_node: int | None = None
    """None requests whole nodes."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of sbatch, by their long name; an empty value for a flag."""
    setup: tuple[str, ...] = ()
    """Shell commands, or paths of files with them, to run before Python."""
    python: str | None = None
    """Command that runs Python on every node; None: this Python."""
    stage_data: bool = False

    def __post_init__(self) -> None:
        for option in ("nodes", "cpus_per_node"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise LaunchError(
                    f"--{option.replace('_', '-')} must be 1 or more, but got {value}"
                )
        check_gpus(self.gpus_per_node)
        if limit_seconds(self.time) < 60:
            raise LaunchError(f"--time must be a minute or more, but got {self.time}")

    def script(self) -> str:
        """Return the batch script."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        python = python_words(self.python)
        return template.render(
            options=list(lines(self._options())),
            setup=[setup_lines(step) for step in self.setup],
            words=shlex.join(self.words),
            run=shlex.quote(str(RUNS / self.name)),
            python=shlex.join(python),
            node_python=None if self.python is None else shlex.quote(shlex.join(python)),
            folder=shlex.quote(str(Path.cwd())),
            requests_gpus=requests_gpus(self.gpus_per_node, self.options),
            stage_data=self.stage_data,
        )

    def _options(self) -> dict[str, str]:
        """Return all options of sbatch, the user's last."""
        whole_nodes = self.cpus_per_node is None
        return {
            "job-name": self.name,
            "nodes": str(self.nodes),
            "ntasks-per-node": "1",
            **({"exclusive": ""} if whole_nodes else {"cpus-per-task": str(self.cpus_per_node)}),
            **({} if self.gpus_per_node == "0" else {"gpus-per-node": self.gpus_per_node}),
            "time": self.time,
            "output": f"{self.name}-%j.log",
            "open-mode": "append",
            # The job may be requeued, and continues when one of its nodes dies.
            "requeue": "",
            "no-kill": "",
            # The sweep asks Slurm when the job ends; this signal is for when Slurm is silent.
            "signal": f"B:USR1@{margin_seconds(limit_seconds(self.time))}",
            # The job has the environment of a new login, not that of the submitting shell.
            "export": "NONE",
            **self.options,
        }


def setup_lines(step: str) -> str:
    """Return shell code that runs one step of the setup, and ends the job if it fails.

    Args:
        step: A shell command, or the path of a file with commands.

    Raises:
        LaunchError: The step is not valid shell code, or the path of a file that does not exist.
    """
    path = Path(step).expanduser()
    if path.is_file():
        step = f"source {shlex.quote(str(path.absolute()))}"
    elif len(step.split()) == 1 and ("/" in step or step.endswith(".sh")):
        raise LaunchError(f"--setup {step}: this file does not exist; give an existing path")
    done = subprocess.run(["bash", "-n"], input=step, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not step.strip():
        reason = " ".join(done.stderr.split()) or "it is empty"
        raise LaunchError(f"--setup {step!r} is not valid shell code: {reason}")
    failed = shlex.quote(f"error: the setup failed: {' '.join(step.split())}")
    return f"{{ {step}\n}} || {{ echo {failed} >&2; exit 1; }}"


def python_words(command: str | None) -> list[str]:
    """Return the words of the command that runs Python; None stands for this Python.

    Raises:
        LaunchError: It is empty, or has a quote without its end.
    """
    try:
        words = [sys.executable] if command is None else shlex.split(command)
    except ValueError as error:
        raise LaunchError(f"--python {command!r} is not a command: {error}") from error
    if not words:
        raise LaunchError("--python must be a command that runs Python, but is empty")
    return words


def limit_seconds(time: str) -> int:
    """Return the seconds of a time limit as Slurm writes it.

    ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes`` or ``days-hours:minutes:seconds`` (manual page of sbatch).

    Raises:
        LaunchError: ``time`` has another form.
    """
    found = _TIME.fullmatch(time)
    if found is None:
        raise LaunchError(f"--time must be written like 4:00:00 or 1-12:00:00, but got {time!r}")
    days, *parts = (None if part is None else int(part) for part in found.groups())
    numbers = [part for part in parts if part is not None]
    units = (60, 1) if days is None and len(numbers) < 3 else (3600, 60, 1)
    return 86400 * (days or 0) + sum(
        unit * number for unit, number in zip(units, numbers, strict=False)
    )


def margin_seconds(limit: float) -> int:
    """Return how many seconds before the end a sweep stops, in addition to two epochs."""
    share = round(_MARGIN_SHARE * limit)
    return min(max(_LEAST_MARGIN_SECONDS, share), _MOST_MARGIN_SECONDS)


def submit(script: Path) -> str:
    """Submit a script to Slurm and return the number of the job.

    Raises:
        LaunchError: Slurm is not installed here, or refuses the script.
    """
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=True
        )
    except FileNotFoundError as error:
        raise LaunchError(
            "there is no sbatch here; run this on a login node of the cluster"
        ) from error
    except subprocess.CalledProcessError as error:
        raise LaunchError(
            f"Slurm refuses {script}: {' '.join(error.stderr.split())}; docs/slurm.md lists the "
            "options that a site may ask for"
        ) from error
    return done.stdout.split(";")[0].strip()
