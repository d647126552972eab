"""The options of sbatch that a user or a site gives, checked and written for a batch script."""

import re
from collections.abc import Iterable, Mapping

from tune.launch.errors import LaunchError

NAMED = ("partition", "account", "qos", "constraint", "mem", "gres")
"""Options of sbatch that are options of `tune launch slurm` too."""
_GPUS = ("gpus", "gpus-per-task", "gpus-per-socket", "gres")
_OURS = {
    "job-name": "use --name",
    "nodes": "use --nodes",
    "cpus-per-task": "use --cpus-per-node",
    "gpus-per-node": "use --gpus-per-node",
    "time": "use --time",
    "array": "a sweep is one job that requeues itself, so leave it out",
    **dict.fromkeys(
        (
            *("ntasks", "ntasks-per-node", "output", "open-mode", "requeue", "no-requeue"),
            *("no-kill", "signal", "chdir", "wrap", "parsable", "test-only", "wait"),
        ),
        "the script sets it itself, so leave it out",
    ),
}
"""Options that a user cannot give, because a sweep depends on them, and what to do instead."""
_KEY = re.compile(r"[a-z][a-z0-9-]*")
_MEMORY = re.compile(r"\d+[KMGT]?")
_TYPED = re.compile(r"(?:[A-Za-z][\w.-]*:)?\d+")


def merged_options(
    named: Mapping[str, str | None], further: Mapping[str, str], *, where: str
) -> dict[str, str]:
    """Return the options of sbatch from one source, after checks.

    Args:
        named: Value of each option in `NAMED`; None if it is not given.
        further: Other options of sbatch, by their long name; an empty value for a flag.
        where: How messages begin.

    Raises:
        LaunchError: An option is unknown, is given twice, or its value cannot be written.
    """
    options = {name: value for name, value in named.items() if value is not None}
    for key, value in further.items():
        if not _KEY.fullmatch(key):
            raise LaunchError(
                f"{where}an option of sbatch has a long name like mail-type, but got {key!r}"
            )
        if key in _OURS:
            raise LaunchError(f"{where}sbatch option {key} cannot be given; {_OURS[key]}")
        if key in options:
            raise LaunchError(f"{where}{key} is given twice; keep one of them")
        options[key] = value
    for key, value in options.items():
        _check_value(key, value, where)
    return options


def check_gpus(text: str) -> str:
    """Return a number of GPUs of a node if it is written like ``4`` or ``v100l:4``.

    Raises:
        LaunchError: It is not.
    """
    if not _TYPED.fullmatch(text):
        raise LaunchError(
            f"--gpus-per-node must be a number or TYPE:NUMBER, such as 4 or v100l:4, but got {text}"
        )
    return text


def requests_gpus(gpus_per_node: str, options: Mapping[str, str]) -> bool:
    """Return whether a job requests GPUs by any option."""
    if int(gpus_per_node.rpartition(":")[2]):
        return True
    return any("gpu" in options[key] or key != "gres" for key in _GPUS if key in options)


def lines(options: Mapping[str, str]) -> Iterable[str]:
    """Yield the options as they stand in a batch script after ``#SBATCH --``."""
    for key, value in options.items():
        quoted = f'"{value}"' if " " in value else value
        yield f"{key}={quoted}" if value else key


def _check_value(key: str, value: str, where: str) -> None:
    option = f"{where or '--'}{key}"
    # sbatch reads quotes, backslashes and # in a script's options in its own way.
    if not value.isprintable() or set(value) & set("\"'\\#"):
        raise LaunchError(
            f"{option} must be one line without quotes, backslashes and #, but got {value!r}"
        )
    if key == "mem" and not _MEMORY.fullmatch(value):
        raise LaunchError(f"{option} must be written like 64G, but got {value!r}")
    if key in NAMED and not value:
        raise LaunchError(f"{option} has no value; give one or leave it out")
