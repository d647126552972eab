"""Checks every node of a job before Ray starts there."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tune.launch.errors import LaunchError
from tune.launch.job import SlurmJob
from tune.launch.preflight import NodeFacts, complaints, look
from tune.run.directory import RUNS

_LOOK_SECONDS = 120.0


def check_nodes(job: SlurmJob) -> None:
    """Check that every node of the allocation can run the sweep.

    Raises:
        LaunchError: Some nodes cannot; the message names each of them and the reason.
    """
    begin = RUNS / f".{job.id}-"
    mark = Path(f"{begin}driver")
    try:
        expected = look(mark, gpus=False)
        command = ["launch", "check", "--mark", str(begin)]
        command += ["--gpus"] if job.gpus else []
        answers = _ask_each(job, command)
        wrong = [
            line
            for place, node in enumerate(job.nodes)
            for line in _judge(job, node, answers[place], expected, Path(f"{begin}{place}"))
        ]
    finally:
        for file in RUNS.glob(f"{begin.name}*"):
            file.unlink(missing_ok=True)
    if wrong:
        raise LaunchError("; ".join(wrong))


def _ask_each(job: SlurmJob, command: Sequence[str]) -> list[tuple[str, str]]:
    """Run a command on all nodes; return what each node wrote to stdout and stderr."""
    step = job.on_each_node(command, "--label", "--kill-on-bad-exit=0")
    try:
        done = subprocess.run(
            step, capture_output=True, text=True, check=False, timeout=_LOOK_SECONDS
        )
        streams = [done.stdout, done.stderr]
    except subprocess.TimeoutExpired as error:
        streams = [(stream or b"").decode() for stream in (error.stdout, error.stderr)]
    answers = [["", ""] for _ in job.nodes]
    for number, stream in enumerate(streams):
        for line in stream.splitlines():
            place, colon, text = line.partition(": ")  # As `srun --label` writes it.
            if colon and place.strip().isdigit():
                answers[int(place)][number] += text + "\n"
    return [(out, errors) for out, errors in answers]


def _judge(
    job: SlurmJob, node: str, answer: tuple[str, str], expected: NodeFacts, mark: Path
) -> Iterator[str]:
    out, errors = answer
    try:
        facts = NodeFacts.from_json(out.splitlines()[-1])
    except (IndexError, ValueError):
        cause = (errors.splitlines() or [f"no answer within {_LOOK_SECONDS:.0f} seconds"])[-1]
        yield f"{node} cannot run this program: {cause}"
    else:
        yield from complaints(node, facts, expected=expected, gpus=job.gpus, mark=mark)
