"""Everything that we use of Ray's private interface: one function for each use.

`tests/test_tune_ray_private.py` fails with the name when a new version of Ray lacks it.
"""

import atexit
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray._private.node
import ray._private.state
import ray._private.utils
import ray._private.worker
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.actor import ActorHandle

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


def worker_of(trial: "Trial") -> ActorHandle | None:
    """Return the worker of a trial; None if it has no worker now."""
    return trial.temporary_state.ray_actor


def error_text(trial: "Trial") -> str:
    """Return the tracebacks of a trial's attempts, as written by Ray Tune."""
    return Path(trial.error_file).read_text(encoding="utf-8")


def keep_one_more_worker_warm(controller: Any, trial: "Trial") -> None:
    """Let Ray Tune keep one more idle worker of the trial's size for later trials."""
    controller._actor_cache.increase_max(trial.placement_group_factory)


def actor_id_of(actor: ActorHandle) -> str:
    """Return the id of an actor."""
    return str(actor._actor_id.hex())


def node_id_of(actor_id: str) -> str:
    """Return the id of the node that an actor runs on; empty if Ray does not know it."""
    found = ray._private.state.actors(actor_id)
    return str(found.get("Address", {}).get("NodeID", ""))


def start_fewer_servers() -> None:
    """Let a Ray that this process starts run without API server, log monitor and autoscaler.

    They serve dashboards, logs and clusters that grow, which a Ray on one machine does not need. A
    Ray without them starts in 3.5 s instead of 5.9 s on two cores.
    """
    node = ray._private.node.Node
    node.start_api_server = _do_nothing
    node.start_log_monitor = _do_nothing
    node.start_monitor = _do_nothing


@contextmanager
def loggers_not_counted() -> Iterator[None]:
    """Keep Ray Tune from importing MLflow, W&B and others, to count which of them are used.

    Where these two are installed, that takes the driver 2 s before its first trial.
    """
    from ray.air._internal import usage  # The process that starts a Ray does without Ray Tune.

    before = usage.tag_callbacks
    usage.tag_callbacks = _do_nothing
    try:
        yield
    finally:
        usage.tag_callbacks = before


def _do_nothing(*_: object, **__: object) -> None: ...


def use_token_of_user() -> None:
    """Turn token authentication on if the user has a token.

    Ray by itself looks for a token only if no address is given.
    """
    if AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


@contextmanager
def messages_kept_in(path: Path) -> Iterator[None]:
    """Write Ray's messages about dead workers to a file instead of the terminal."""
    before = ray._private.worker.print_to_stdstream

    def keep(data: Mapping[str, Any], *_: Any, **__: Any) -> None:
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in data["lines"])

    ray._private.worker.print_to_stdstream = keep
    try:
        yield
    finally:
        ray._private.worker.print_to_stdstream = before


def read_environment_again() -> None:
    """Make Ray read the environment again, which it otherwise reads once, when imported."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def keep_signal_handlers() -> Iterator[None]:
    """Keep our signal handlers during `ray.init` and `ray.shutdown`.

    Ray's handler of `init` would print a page and exit on SIGTERM, and `shutdown` would restore the
    default one (in C++, `UninstallSignalAction`). A SIGTERM meanwhile is handled at the end.
    """
    is_main = threading.current_thread() is threading.main_thread()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    own = signal.getsignal(signal.SIGTERM)
    rays = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda _handler: None
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = rays
        if is_main:
            signal.signal(signal.SIGTERM, own)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def silence_error_messages() -> None:
    """Keep Ray from printing pages about its servers; our own messages say what matters."""
    ray._private.worker.print_to_stdstream = lambda *_words, **_options: None


def forget_shutdown_at_exit() -> None:
    """Keep Ray from disconnecting at exit, because it would wait for servers that are gone."""
    from ray.tune import registry  # The process that starts a Ray does without Ray Tune.

    atexit.unregister(ray._private.worker.shutdown)
    atexit.unregister(registry._unregister_all)
