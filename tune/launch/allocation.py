"""Runs a sweep inside a Slurm allocation: looks at the nodes, starts Ray, leaves in good time."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tune.launch.deadline import Deadline
from tune.launch.errors import LaunchError
from tune.launch.job import SlurmJob
from tune.launch.node import TEMPORARY
from tune.launch.preflight import NodeFacts, complaints, look
from tune.run.directory import LEDGER_FILE, RUNS
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events

_PORTS = range(12_000, 32_000, 2)
"""Below those that Linux gives out by itself, from which Ray takes all but two of its own."""
_LOOK_SECONDS = 120.0
_JOIN_SECONDS = 300.0
_STOP_SECONDS = 30.0
_cancelled = threading.Event()
"""Whether Slurm has told this job to end, while it trains or while it leaves."""
_TUNE = (sys.executable, "-m", "tune")


def run_in_allocation(name: str, words: Sequence[str]) -> int:
    """Run or resume a sweep on the nodes of this Slurm job; queue the job again if time is up.

    Args:
        name: Name of the run.
        words: The spec and the options of `tune run`.

    Returns:
        The exit code of the sweep.

    Raises:
        LaunchError: A node is not fit, or Ray does not start on it; the message names it. Or the
            allocation is too short for an epoch.
    """
    job = SlurmJob.here()
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    RUNS.mkdir(exist_ok=True)
    _preflight(job)
    before = _epochs_trained(RUNS / name)
    with _ray(job, Path(f"{name}-{job.id}")) as address:
        code, left = _drive(job, address, RUNS / name, words)
    if left and not _cancelled.is_set():
        if _epochs_trained(RUNS / name) == before:
            raise LaunchError(
                "no trial has trained a whole epoch in this allocation, so another like it is in "
                f"vain; launch with a longer --time, and {name} goes on where it stands"
            )
        print(f"{name}: the allocation ends; queued again as job {job.id}", flush=True)
        job.queue_again()
    return code


def _epochs_trained(run: Path) -> int:
    """Count the epochs of all trials that the ledger has."""
    if not (run / LEDGER_FILE).exists():
        return 0
    return sum(isinstance(event, MeasurementTaken) for event in read_events(run))


def _preflight(job: SlurmJob) -> None:
    """Refuse the allocation if a node of it is not fit for the sweep."""
    begin = RUNS / f".{job.id}-"
    mark = Path(f"{begin}driver")
    try:
        expected = look(mark, gpus=False)
        command = [*_TUNE, "launch", "check", "--mark", str(begin)]
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
    """Run a command on all nodes; return what each wrote to stdout and stderr."""
    step = job.on_each_node(command, "--label", "--kill-on-bad-exit=0")
    try:
        done = subprocess.run(
            step, capture_output=True, text=True, check=False, timeout=_LOOK_SECONDS
        )
        streams = [done.stdout, done.stderr]
    except subprocess.TimeoutExpired as error:
        streams = [(one or b"").decode() for one in (error.stdout, error.stderr)]
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


@contextmanager
def _ray(job: SlurmJob, log: Path) -> Iterator[str]:
    """Start Ray on all nodes and stop exactly that; the value is its address."""
    # Not before: Ray reads its token when it is imported.
    from tune.execution.ray_cluster import own_address

    address = f"{own_address()}:{_free_port(int(job.id))}"
    command = [*_TUNE, "launch", "node", "--address", address, "--gpus", str(job.gpus)]
    options = ("--no-kill", "--kill-on-bad-exit=0", "--wait=0", f"--output={log}-%n.log")
    # Slurm says of a step that is ended on purpose that it failed; that is for no one to read.
    step = subprocess.Popen(job.on_each_node(command, *options), stderr=subprocess.PIPE, text=True)
    try:
        _wait_for_nodes(job, address, step, log)
        yield address
    finally:
        step.terminate()
        try:
            step.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            step.kill()
            step.communicate()
    # After a fault Ray's own logs stay there to be read.
    clean = ["rm", "-rf", TEMPORARY.format(job=job.id)]
    subprocess.run(job.on_each_node(clean), check=False, timeout=_STOP_SECONDS)
    for place in range(len(job.nodes)):
        _log_of(log, place).unlink(missing_ok=True)


def _free_port(job: int) -> int:
    """Return the first of two ports that are the job's own; other jobs may share the node."""
    own = job % len(_PORTS)
    port: int
    for port in (*_PORTS[own:], *_PORTS[:own]):
        if _is_free(port) and _is_free(port + 1):
            return port
    raise LaunchError(f"no two ports from {_PORTS.start} to {_PORTS.stop - 1} are free")


def _is_free(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind(("", port))
        except OSError:
            return False
    return True


def _wait_for_nodes(job: SlurmJob, address: str, step: subprocess.Popen[str], log: Path) -> None:
    until = time.monotonic() + _JOIN_SECONDS
    missing = set(job.nodes)
    while missing and step.poll() is None and time.monotonic() < until:
        time.sleep(0.5)
        missing -= _joined(address)
    if missing:
        silent = f"Ray did not start within {_JOIN_SECONDS:.0f} seconds"
        if step.poll() is not None and step.stderr is not None:
            silent = " ".join(step.stderr.read().split())
        raise LaunchError(
            "; ".join(
                f"{node}: {_last_line(_log_of(log, place)) or silent}"
                for place, node in enumerate(job.nodes)
                if node in missing
            )
        )


def _log_of(log: Path, place: int) -> Path:
    """Return where Ray on a node of the allocation writes what it says."""
    return Path(f"{log}-{place}.log")


def _joined(address: str) -> set[str]:
    """Return the names of the nodes that Ray has."""
    from tune.execution.ray_cluster import node_names

    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return node_names(address)
    except OSError:  # Ray's own ConnectionError is one of these.
        return set()


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"{said[-1]} (all of it in {path})" if said else ""


def _drive(job: SlurmJob, address: str, run: Path, words: Sequence[str]) -> tuple[int, bool]:
    """Run the sweep; return its exit code, and whether it was stopped because time is up."""
    deadline = Deadline(job.end, run)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: deadline.signal())
    signal.signal(signal.SIGTERM, lambda _number, _frame: _cancelled.set())
    environment = os.environ | {"RAY_ADDRESS": address}
    driver = subprocess.Popen([*_TUNE, "launch", "sweep", *words], env=environment)
    told = left = False
    while driver.poll() is None:
        left = left or (not _cancelled.is_set() and deadline.leave())
        if (left or _cancelled.is_set()) and not told:
            driver.terminate()
            told = True
        if deadline.over():
            driver.kill()  # Only what was trained since the last checkpoint is lost.
        time.sleep(0.2)
    return driver.returncode, left and driver.returncode != 0
