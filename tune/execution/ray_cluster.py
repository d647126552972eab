"""Ray, started here or joined: never without a token where we start it, and with our code on it."""

import functools
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import ray

from fairsweep.command_line import end_at_once_after_command
from fairsweep.errors import UserError
from tune.execution.ray_private import (
    forget_shutdown_at_exit,
    keep_signal_handlers,
    read_environment_again,
    silence_error_messages,
    use_token_of_user,
)
from tune.execution.ray_server import local_ray
from tune.execution.ray_watch import connected_servers

T = TypeVar("T")
_CODE = Path(__file__).parents[2]
_PACKAGES = ("fairsweep", "data_prep", "models", "tune")
"""What a worker imports."""
_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Ray's own loggers, progress, snapshots and signal handling would stand beside ours, and cost more
than a trivial trial. And it would start one worker after the other, seconds each; how many trials
there may be is our own business."""


@contextmanager
def ray_session(*, object_store_bytes: int) -> Iterator[None]:
    """Connect to the cluster at ``RAY_ADDRESS``, or start a Ray of our own and stop it after.

    Raises:
        UserError: No cluster answers there, or it refuses our token; or the token cannot be kept,
            or Ray does not start here.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "local":
        connect(address)
        with _connected():
            yield
    else:
        require_token()
        with local_ray(object_store_bytes=object_store_bytes) as own:
            with keep_signal_handlers():
                ray.init(own, log_to_driver=False, logging_level=logging.ERROR)
            with _connected():
                yield


@contextmanager
def _connected() -> Iterator[None]:
    """Disconnect at the end; a Ray that is gone would make that wait for a minute."""
    silence_error_messages()
    servers = connected_servers()
    try:
        yield
    finally:
        if any(server.is_gone() for server in servers):
            forget_shutdown_at_exit()
            end_at_once_after_command()
        else:
            with keep_signal_handlers():
                ray.shutdown()


def connect(address: str) -> None:
    """Join a Ray that runs already, as its driver; our code goes to its nodes.

    Args:
        address: ``HOST:PORT``, or ``auto`` for one on this machine.

    Raises:
        UserError: Nothing answers there, or it refuses our token.
    """
    try:
        use_token_of_user()
        read_environment_again()
        with keep_signal_handlers():
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                # For nodes that lack our code.
                runtime_env={"py_modules": [str(_CODE / name) for name in _PACKAGES]},
            )
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"no Ray at {address} that takes us in ({reason}); start it there, and give this "
            f"machine its token in {token_file()} or RAY_AUTH_TOKEN"
        ) from error


def own_address() -> str:
    """Return the IP address by which other nodes reach this one."""
    address: str = ray.util.get_node_ip_address()
    return address


def node_names(address: str) -> set[str]:
    """Return the names of the nodes of the cluster at ``HOST:PORT`` that are alive.

    Raises:
        ConnectionError: No Ray answers there.
    """
    with keep_signal_handlers():
        ray.init(address, log_to_driver=False, logging_level="ERROR")
        try:
            return {node["NodeName"] for node in ray.nodes() if node["Alive"]}
        finally:
            ray.shutdown()


def share(value: T) -> Callable[[], T]:
    """Put a value into Ray once; return what gets it in any worker."""
    return functools.partial(ray.get, ray.put(value))


def require_token() -> None:
    """Let every Ray that this process starts refuse clients without the token.

    It is the one in ``RAY_AUTH_TOKEN``, or that of `token_file`, which is made if need be.

    Raises:
        UserError: The file cannot be made readable by its owner alone.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    if not os.environ.get("RAY_AUTH_TOKEN"):
        path = token_file()
        try:
            _keep_token(path)
        except OSError as error:
            raise UserError(
                f"Ray's token cannot be kept in {path} for you alone: {error.strerror}; name a "
                "file of your own in RAY_AUTH_TOKEN_PATH"
            ) from error
    read_environment_again()


def token_file() -> Path:
    """Return where Ray's own commands look for the token too."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def _keep_token(path: Path) -> None:
    """Make a token unless there is one; Ray would leave it for all to read."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whole or not there, for another process may make one at this moment.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
