"""Starts a local Ray, always with a token, or joins a cluster and ships our code to it."""

import functools
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import ray

from fairsweep.command_line import end_at_once_after_command
from fairsweep.disk_space import enough_space
from fairsweep.errors import UserError, one_line
from tune.execution.ray_private import (
    forget_shutdown_at_exit,
    keep_signal_handlers,
    read_environment_again,
    silence_error_messages,
    use_token_of_user,
)
from tune.execution.ray_server import local_ray, require_local_ray
from tune.execution.ray_settings import RAY_SETTINGS
from tune.execution.ray_watch import connected_servers

T = TypeVar("T")
_CODE = Path(__file__).parents[2]
_ANSWER_SECONDS = 10.0
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of Ray sends first: the preface of HTTP/2, and settings without a value."""
_SETTINGS_TYPE = b"\x04"
"""Fourth byte of what a server answers (RFC 9113, sections 3.4, 4.1 and 6.5)."""
_PACKAGES = ("fairsweep", "data_prep", "models", "tune")
"""Packages that a worker imports."""
_SETTINGS = RAY_SETTINGS | {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""Turns off Ray's loggers, progress, snapshots and signal handling, which duplicate ours and cost
more than a trivial trial. Also lifts Ray's limit on pending trials, with which it would start one
worker after another, taking seconds each."""


@contextmanager
def ray_session(*, object_store_bytes: int) -> Iterator[None]:
    """Connect to the cluster at ``RAY_ADDRESS``, or start a local Ray and stop it at the end.

    Raises:
        UserError: The cluster does not answer or refuses our token. Or the token cannot be stored,
            the local Ray does not start, or the disk of its folder is full.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    address = _cluster_address()
    with _settings():
        if address is not None:
            connect(address)
            with _connected():
                yield
        else:
            require_token()
            with local_ray(object_store_bytes=object_store_bytes) as own:
                space = enough_space("Ray's logs", "set RAY_TMPDIR to a folder on a larger disk")
                with space, keep_signal_handlers():
                    ray.init(own, log_to_driver=False, logging_level=logging.ERROR)
                with _connected():
                    yield


def require_ray() -> None:
    """Check that `ray_session` will get a Ray, before a run directory is made for it.

    Joins the cluster at ``RAY_ADDRESS`` for a moment. A local Ray is not started; only its token,
    its folder and the open files that it needs are checked.

    Raises:
        UserError: As `ray_session`.
    """
    address = _cluster_address()
    if address is None:
        require_token()
        require_local_ray()
    else:
        with _settings():
            connect(address)
            with _connected():
                pass


def _cluster_address() -> str | None:
    """Return the value of ``RAY_ADDRESS``; None if a local Ray is to be started."""
    address = os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


@contextmanager
def _settings() -> Iterator[None]:
    """Set `_SETTINGS`, and remove them at the end: a notebook may use Ray Tune by itself later."""
    ours = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _connected() -> Iterator[None]:
    """Disconnect at the end, except from a Ray that is gone, which would take a minute."""
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
    """Join a running Ray cluster as a driver, and ship our code to its nodes.

    Args:
        address: ``HOST:PORT``, or ``auto`` for a cluster on this machine.

    Raises:
        UserError: The cluster does not answer or refuses our token.
    """
    try:
        use_token_of_user()
        read_environment_again()
        _reach(address)
        with keep_signal_handlers():
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                # For nodes that lack our code.
                runtime_env={"py_modules": [str(_CODE / name) for name in _PACKAGES]},
            )
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        reason = one_line(error)
        raise UserError(
            f"cannot connect to Ray at {address} ({reason}); start it there, and store its token "
            f"on this machine in {token_file()} or RAY_AUTH_TOKEN, or unset RAY_ADDRESS to train "
            "on this machine; docs/clusters.md explains tokens"
        ) from error


def _reach(address: str) -> None:
    """Greet the server at ``HOST:PORT``, because Ray tries for 14 minutes if none answers.

    Raises:
        ConnectionError: None answers within `_ANSWER_SECONDS`, or not as Ray does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return  # Ray finds ``auto`` by itself, and refuses what is no address.
    answer = bytes(3) + _SETTINGS_TYPE
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS) as server:
            if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
                server.sendall(_HELLO)
                answer = server.recv(4)
    except OSError as error:
        raise ConnectionError(f"nobody answers: {error.strerror or error}") from error
    if answer[3:] != _SETTINGS_TYPE:
        raise ConnectionError("the server there is not Ray")


def own_address() -> str:
    """Return the IP address at which other nodes reach this node."""
    address: str = ray.util.get_node_ip_address()
    return address


def node_names(address: str) -> set[str]:
    """Return the names of the living nodes of the cluster at ``HOST:PORT``.

    Raises:
        ConnectionError: The cluster does not answer.
    """
    with keep_signal_handlers():
        ray.init(address, log_to_driver=False, logging_level="ERROR")
        try:
            return {node["NodeName"] for node in ray.nodes() if node["Alive"]}
        finally:
            ray.shutdown()


def share(value: T) -> Callable[[], T]:
    """Put a value into Ray's object store; return a function that gets it in any worker."""
    return functools.partial(ray.get, ray.put(value))


def require_token() -> None:
    """Make every Ray that this process starts refuse clients without the token.

    The token is the one in ``RAY_AUTH_TOKEN`` or in `token_file`, which is created if necessary.

    Raises:
        UserError: The file cannot be made readable for its owner only.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    if not os.environ.get("RAY_AUTH_TOKEN"):
        path = token_file()
        try:
            _keep_token(path)
        except OSError as error:
            raise UserError(
                f"Ray's token cannot be stored in {path}, readable only for you: "
                f"{error.strerror}; set RAY_AUTH_TOKEN_PATH to a file of your own"
            ) from error
    read_environment_again()


def token_file() -> Path:
    """Return the path of the token, where Ray's own commands look for it too."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def _keep_token(path: Path) -> None:
    """Create a token unless there is one. Ray would create it readable for everyone."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Atomically, because another process may create one at the same time.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
