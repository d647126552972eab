"""The process that starts a local Ray, and ends all of it when the driver is gone.

It has a session of its own, so that Ctrl-C and signals to the driver's process group do not reach
Ray: trials then have time for a checkpoint. It ends when its standard input does, however the
driver ends, and leaves no process of its session behind.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import ray

from fairsweep.errors import UserError
from tune.execution.own_folder import ray_folder
from tune.execution.ray_private import keep_signal_handlers

_SHUTDOWN_SECONDS = 2.0
_LOG = "server.log"


@contextmanager
def local_ray(*, object_store_bytes: int) -> Iterator[str]:
    """Start a Ray on this machine and stop it after; the value is its address.

    Raises:
        UserError: It does not start, or the folder for its sockets cannot be private.
    """
    with ray_folder() as folder:
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
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield _address(process.stdout.readline(), folder / _LOG)
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def _address(line: str, log: Path) -> str:
    if not line:
        said = [one.strip() for one in log.read_text("utf-8", "replace").splitlines()]
        cause = next((one for one in reversed(said) if one), "it said nothing")
        raise UserError(f"Ray does not start on this machine: {cause}")
    address: str = json.loads(line)["address"]
    return address


def serve(folder: Path, object_store_bytes: int) -> None:
    """Start Ray, print its address, and end it when standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A function rather than SIG_IGN, which Ray's processes would inherit.
        signal.signal(number, lambda _number, _frame: None)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with keep_signal_handlers():
        context = ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=object_store_bytes,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    print(json.dumps({"address": context.address_info["gcs_address"]}), flush=True)
    while True:
        signal.pause()


def _end_with_driver() -> None:
    """Wait for the end of standard input, then end every process of this session."""
    sys.stdin.read()
    threading.Thread(target=ray.shutdown, daemon=True).start()
    until = time.monotonic() + _SHUTDOWN_SECONDS
    while (left := _others_of_session()) and time.monotonic() < until:
        time.sleep(0.05)
    while left:
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=1)
        left = _others_of_session()
    os._exit(0)


def _others_of_session() -> list[psutil.Process]:
    """Return the living processes of this session but this one."""
    return [process for process in psutil.process_iter() if _is_other_of_session(process)]


def _is_other_of_session(process: psutil.Process) -> bool:
    me = os.getpid()
    try:
        return (
            process.pid != me
            and os.getsid(process.pid) == me
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (OSError, psutil.Error):
        return False


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
