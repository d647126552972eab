"""What we use of Ray's private names is there; see `tune.execution.ray_private`.

A new Ray that changes one of them fails here, with its name, before any sweep does.
"""

import inspect
import os
import signal
import threading
from contextlib import suppress

import ray._private.state
import ray._private.utils
import ray._private.worker
import ray.tune.registry
import ray.tune.tune
from ray._private.node import Node
from ray._raylet import AuthenticationTokenLoader, Config
from ray.actor import ActorHandle
from ray.air._internal import usage as air_usage
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.utils.object_cache import _ObjectCache

from tune.execution import ray_private

CHANGED = "this Ray has changed it; mend tune/execution/ray_private.py"


def test_a_trial_of_ray_tune_names_its_worker_and_the_file_of_its_errors():
    trial = Trial("worker", stub=True)
    assert hasattr(trial.temporary_state, "ray_actor"), CHANGED
    assert ray_private.worker_of(trial) is None
    trial.temporary_state.ray_actor = "an actor"
    assert ray_private.worker_of(trial) == "an actor"
    assert isinstance(inspect.getattr_static(Trial, "error_file"), property), CHANGED


def test_ray_tune_keeps_idle_workers_in_a_cache_that_can_grow():
    assert "self._actor_cache" in inspect.getsource(TuneController.__init__), CHANGED
    assert list(inspect.signature(_ObjectCache.increase_max).parameters)[:2] == ["self", "key"], (
        CHANGED
    )


def test_a_node_starts_each_of_its_servers_in_a_method_of_its_own():
    source = inspect.getsource(Node)
    for name in ("start_api_server", "start_log_monitor", "start_monitor"):
        assert f"self.{name}(" in source, CHANGED


def test_an_actor_has_an_id_and_ray_knows_the_node_of_an_actor():
    assert isinstance(inspect.getattr_static(ActorHandle, "_actor_id"), property), CHANGED
    assert "actor_id" in inspect.signature(ray._private.state.actors).parameters, CHANGED


def test_ray_reads_its_token_and_settings_again_when_asked(monkeypatch, tmp_path):
    assert callable(Config.initialize), CHANGED
    for name in ("instance", "has_token", "reset_cache"):
        assert hasattr(AuthenticationTokenLoader, name), CHANGED
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    ray_private.read_environment_again()
    ray_private.use_token_of_user()
    assert "RAY_AUTH_MODE" not in os.environ
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for token in ("1" * 64, "0" * 64):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        ray_private.read_environment_again()
        assert AuthenticationTokenLoader.instance().get_raw_token() == token
    monkeypatch.delenv("RAY_AUTH_MODE")
    ray_private.read_environment_again()
    ray_private.use_token_of_user()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray_private.use_token_of_user()
    assert os.environ["RAY_AUTH_MODE"] == "disabled", "what the user says goes before"
    monkeypatch.undo()
    ray_private.read_environment_again()


def test_what_ray_would_print_of_dead_workers_goes_to_a_file(tmp_path, capfd):
    listener = inspect.getsource(ray._private.worker.listen_error_messages)
    assert "print_to_stdstream(" in listener, CHANGED
    real = ray._private.worker.print_to_stdstream
    with ray_private.messages_kept_in(tmp_path / "errors" / "ray.txt"):
        ray._private.worker.print_to_stdstream({"lines": ["a worker died"], "is_err": True})
    assert (tmp_path / "errors" / "ray.txt").read_text() == "a worker died\n"
    assert capfd.readouterr() == ("", "")
    assert ray._private.worker.print_to_stdstream is real


def test_our_signal_handlers_outlast_ray_and_a_stop_meanwhile_is_heard_after():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("ours"))
    rays = ray._private.utils.set_sigterm_handler
    try:
        with ray_private.keep_signal_handlers():
            assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            ray._private.utils.set_sigterm_handler(lambda *_: heard.append("Ray's"))
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # As `ray.shutdown` does.
            assert heard == []
        assert heard == ["ours"]
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert ray._private.utils.set_sigterm_handler is rays
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_ray_of_our_own_has_no_server_for_dashboards_logs_and_clusters_that_grow(monkeypatch):
    names = ("start_api_server", "start_log_monitor", "start_monitor")
    for name in names:
        monkeypatch.setattr(Node, name, lambda *_: "it is started")
    ray_private.start_fewer_servers()
    for name in names:
        assert getattr(Node, name)(None) is None


def test_the_node_of_an_actor_that_ray_does_not_know_is_empty(monkeypatch):
    known = {"a": {"Address": {"NodeID": "n"}}, "b": {"Address": {}}, "c": {}}
    monkeypatch.setattr("ray._private.state.actors", known.__getitem__)
    assert [ray_private.node_id_of(actor) for actor in "abc"] == ["n", "", ""]


def test_messages_of_dead_workers_are_added_to_those_of_before(tmp_path):
    for line in ("first", "second"):
        with ray_private.messages_kept_in(tmp_path / "ray.txt"):
            ray._private.worker.print_to_stdstream({"lines": [line]})
    assert (tmp_path / "ray.txt").read_text() == "first\nsecond\n"


def test_ray_is_not_disconnected_at_exit_where_it_is_gone(monkeypatch):
    forgotten = []
    monkeypatch.setattr(ray_private.atexit, "unregister", forgotten.append)
    ray_private.forget_shutdown_at_exit()
    assert forgotten == [ray._private.worker.shutdown, ray.tune.registry._unregister_all]


def test_ray_tune_does_not_import_loggers_to_count_them_and_others_may_do_so_again(monkeypatch):
    assert "air_usage.tag_callbacks(" in inspect.getsource(ray.tune.tune), CHANGED
    before, asked = air_usage.tag_callbacks, []
    monkeypatch.setattr(air_usage, "_count_callbacks", asked.append)
    with suppress(RuntimeError), ray_private.loggers_not_counted():
        assert air_usage.tag_callbacks(["one"]) is None
        raise RuntimeError("Ray is gone")
    assert air_usage.tag_callbacks is before
    assert asked == []


def test_signal_handlers_are_left_alone_in_another_thread():
    """Only the main thread may set them."""
    done = []

    def work():
        with ray_private.keep_signal_handlers():
            done.append("within")
        done.append("after")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["within", "after"]
