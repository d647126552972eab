"""The process that starts a local Ray, and ends all its processes when the driver is gone.

It has its own process session, so that Ctrl-C and signals to the driver's process group do not
reach Ray, and trials have time to write a checkpoint. When its standard input closes, however the
driver ended, it kills every process of its session and exits.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from fairsweep.errors import UserError
from tune.execution.local_needs import allow_files
from tune.execution.own_folder import ray_folder
from tune.execution.process_session import end_session
from tune.execution.ray_private import start_fewer_servers

_LOG = "server.log"
_TIMED_OUT = "timed out during startup"
"""Part of Ray's message if its processes did not start in time."""


@contextmanager
def local_ray(*, object_store_bytes: int) -> Iterator[str]:
    """Start a Ray on this machine, yield its address, and stop it at the end.

    Raises:
        UserError: As `require_local_ray`, or Ray does not start.
    """
    allow_files(os.cpu_count() or 1)
    with ray_folder(object_store_bytes=object_store_bytes) as folder:
        log = folder / _LOG
        process, line = _start(folder, object_store_bytes)
        if not line and _TIMED_OUT in log.read_text("utf-8", "replace"):
            # Ray waits for its own processes for 30 s, which can take longer on a busy machine.
            _end(process)
            end_session(process.pid)
            process, line = _start(folder, object_store_bytes)
        try:
            yield _address(line, log)
        finally:
            _end(process)


def require_local_ray() -> None:
    """Check what `local_ray` needs, without starting a Ray.

    Raises:
        UserError: Too few open files are allowed, or Ray's folder is too full or has too long a
            path for sockets.
    """
    allow_files(os.cpu_count() or 1)
    with ray_folder():
        pass


def _start(folder: Path, object_store_bytes: int) -> tuple["subprocess.Popen[str]", str]:
    """Start the server; return its process and the line that it prints, empty if it fails."""
    command = [sys.executable, "-m", __name__, str(folder), str(object_store_bytes)]
    with (folder / _LOG).open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert process.stdout is not None
    return process, process.stdout.readline()


def _end(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait()
    process.stdout.close()


def _address(line: str, log: Path) -> str:
    if not line:
        logged = [entry.strip() for entry in log.read_text("utf-8", "replace").splitlines()]
        cause = next((entry for entry in reversed(logged) if entry), "it wrote no message")
        raise UserError(f"Ray does not start on this machine: {cause}")
    address: str = json.loads(line)["address"]
    return address


def serve(folder: Path, object_store_bytes: int) -> None:
    """Start Ray, print its address, and end it when standard input closes."""
    # Ray's processes inherit this mask. When a whole container or service is stopped, workers can
    # then end their epoch, and Ray does not abort the driver.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    threading.Thread(target=_end_with_driver, daemon=True).start()
    start_fewer_servers()
    context = ray.init(
        "local",
        # Otherwise Ray counts Apple's GPU, on which we do not train.
        num_gpus=0 if sys.platform == "darwin" else None,
        include_dashboard=False,
        object_store_memory=object_store_bytes,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(folder),
    )
    print(json.dumps({"address": context.address_info["gcs_address"]}), flush=True)
    threading.Event().wait()


def _end_with_driver() -> None:
    """Wait until standard input closes, then kill every process of this session."""
    sys.stdin.read()
    end_session(os.getpid())  # The driver has disconnected, or is dead.
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
