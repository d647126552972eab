"""Kills all processes of a process session, such as those that one Ray started on a machine."""

import os
from contextlib import suppress

import psutil


def end_session(leader: int) -> None:
    """Kill every process of a session except the caller, and return when none is left."""
    while left := [process for process in psutil.process_iter() if _is_other(process, leader)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


def _is_other(process: psutil.Process, leader: int) -> bool:
    try:
        return (
            process.pid != os.getpid()
            and os.getsid(process.pid) == leader
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (OSError, psutil.Error):
        return False
