"""Wraps every command: turns exceptions into one line on stderr and an exit code."""

import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import NoReturn

from fairsweep.disk_space import NO_SPACE
from fairsweep.errors import UserError

OUR_FAULT = 1
USER_ERROR = 2
NOTHING_SUCCEEDED = 3
INTERRUPTED = 130

_EXTRA_OF = {
    "ray": "sweep",
    "torch": "sweep",
    "torchvision": "sweep",
    "optuna": "sweep",
    "cmaes": "sweep",
    "psutil": "sweep",
    "pandas": "analysis",
    "statsmodels": "analysis",
    "matplotlib": "analysis",
    "tensorboard": "loggers",
    "mlflow": "mlflow",
    "wandb": "wandb",
}
"""Import name → the extra of the distribution that installs it."""


_end_at_once = threading.Event()


def shell_path(path: Path) -> str:
    """Return a path as a command in a message has to name it."""
    return quote(str(path))


def end_at_once_after_command() -> None:
    """Let `end` skip the clean-up of libraries, because one would wait for a lost connection."""
    _end_at_once.set()


def end(code: int) -> NoReturn:
    """Exit the process with ``code``."""
    if _end_at_once.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run_command(program: str, command: Callable[[], int]) -> int:
    """Call ``command`` and return its exit code, or the exit code of the exception it raised.

    Args:
        program: Name of the package, used in the name of the traceback file.
        command: Returns its own exit code.
    """
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        message = _file_error(error)
        return _fail(message, USER_ERROR) if message else _report_fault(program)
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").split(".")[0])
        if extra is None:
            return _report_fault(program)
        message = f"this command needs {error.name}, which is not installed; install it with"
        return _fail(f"{message}: pip install 'fairsweep[{extra}]'", USER_ERROR)
    except Exception:
        return _report_fault(program)
    return code


def _file_error(error: OSError) -> str | None:
    """Return what the user can do about a file error, or None if it names no file."""
    if error.errno in NO_SPACE:
        at = f"{error.filename}: " if error.filename else ""
        return f"{at}{os.strerror(error.errno)}; free some space or write to another disk"
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path"
    return None


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _report_fault(program: str) -> int:
    """Write the traceback of the current exception to a file and print the file's name."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{program}-fault-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return _fail(f"a fault of this program; the traceback is in {file.name}", OUR_FAULT)
