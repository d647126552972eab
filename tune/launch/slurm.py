"""Writes the batch script that runs a sweep on Slurm, and submits it."""

import re
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2

from tune.launch.errors import LaunchError
from tune.run.directory import RUNS

_TEMPLATE = Path(__file__).with_name("slurm.sh.j2")
_MARGIN_SHARE = 0.05
_LEAST_MARGIN_SECONDS, _MOST_MARGIN_SECONDS = 20, 900
_WORD = re.compile(r"[\w.,:@%+-]+")
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
    gpus_per_node: int = 0
    cpus_per_node: int | None = None
    """None requests whole nodes."""
    partition: str | None = None
    account: str | None = None
    stage_data: bool = False

    def __post_init__(self) -> None:
        for option in ("nodes", "cpus_per_node"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise LaunchError(
                    f"--{option.replace('_', '-')} must be 1 or more, but got {value}"
                )
        if self.gpus_per_node < 0:
            raise LaunchError(f"--gpus-per-node must be 0 or more, but got {self.gpus_per_node}")
        for option in ("partition", "account"):
            value = getattr(self, option)
            if value is not None and not _WORD.fullmatch(value):
                raise LaunchError(f"--{option} must be a name, but got {value!r}")
        if limit_seconds(self.time) < 60:
            raise LaunchError(f"--time must be a minute or more, but got {self.time}")

    def script(self) -> str:
        """Return the batch script."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        return template.render(
            {
                **asdict(self),
                "words": shlex.join(self.words),
                "run": shlex.quote(str(RUNS / self.name)),
                "python": shlex.quote(sys.executable),
                "folder": shlex.quote(str(Path.cwd())),
                "signal_seconds": margin_seconds(limit_seconds(self.time)),
            }
        )


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
        raise LaunchError(f"Slurm refuses {script}: {' '.join(error.stderr.split())}") from error
    return done.stdout.split(";")[0].strip()
