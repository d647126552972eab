"""The token and the settings of a Ray, before one is started or joined."""

import errno
import os
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from fairsweep.errors import UserError
from tune.execution import ray_cluster as module
from tune.execution.ray_cluster import connect, ray_session, require_token, token_file
from tune.execution.ray_private import read_environment_again


@pytest.fixture
def own(tmp_path):
    """An environment without a token; settings that a test makes are undone."""
    kept = dict(os.environ)
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "RAY_ADDRESS"):
        os.environ.pop(name, None)
    path = tmp_path / "my own" / "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    yield path
    os.environ.clear()
    os.environ.update(kept)
    read_environment_again()


def test_a_token_is_made_once_for_its_owner_alone(own):
    require_token()
    token = own.read_text()
    assert len(bytes.fromhex(token)) == 32
    assert own.stat().st_mode & 0o777 == 0o600
    assert own.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in own.parent.iterdir()] == ["token"]
    require_token()
    assert own.read_text() == token
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_an_empty_token_in_the_environment_is_none(own):
    os.environ["RAY_AUTH_TOKEN"] = ""
    require_token()
    assert own.exists()


def test_a_token_in_the_environment_needs_no_file(own):
    os.environ["RAY_AUTH_TOKEN"] = "secret"
    require_token()
    assert not own.exists()
    assert os.environ["RAY_AUTH_TOKEN"] == "secret"


def test_a_token_that_cannot_be_kept_is_told_with_a_way_out(own):
    own.parent.write_text("a file is here")
    with pytest.raises(
        ValueError, match=rf"cannot be stored in {own}, readable only for you: .*; set RAY"
    ):
        require_token()


def test_the_token_lies_at_home_unless_another_place_is_named(own):
    assert token_file() == own
    del os.environ["RAY_AUTH_TOKEN_PATH"]
    assert token_file() == Path.home() / ".ray" / "auth_token"


class Called(list):
    """What Ray was asked; ``servers`` are those that it is looked for."""


@pytest.fixture
def called(own, monkeypatch):  # noqa: ARG001
    """What Ray was asked, in order."""
    called = Called()
    stand_in = SimpleNamespace(
        init=lambda *words, **options: called.append(("init", *words, options)),
        shutdown=lambda: called.append("shutdown"),
        exceptions=ray.exceptions,
    )

    @contextmanager
    def local_ray(*, object_store_bytes):
        called.append(("start", object_store_bytes))
        yield "10.0.0.1:99"
        called.append("stop")

    monkeypatch.setattr(module, "_reach", lambda _address: None)
    monkeypatch.setattr(module, "local_ray", local_ray)
    monkeypatch.setattr(module, "connected_servers", lambda: servers)
    servers = called.servers = []
    monkeypatch.setattr(module, "ray", stand_in)
    return called


@pytest.mark.parametrize("address", [None, "", "local"])
def test_a_ray_of_our_own_is_started_and_stopped_also_after_a_fault(called, address):
    if address is not None:
        os.environ["RAY_ADDRESS"] = address
    os.environ["RAY_AIR_NEW_OUTPUT"] = "7"
    with suppress(KeyError), ray_session(object_store_bytes=12):
        assert called[0] == ("start", 12)
        assert called[1][:2] == ("init", "10.0.0.1:99")
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        raise KeyError("a fault")
    assert called[2:] == ["shutdown"]
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert os.environ["RAY_AIR_NEW_OUTPUT"] == "7", "what the user has set stays"


def test_a_full_folder_of_ray_is_told(called, monkeypatch):
    def init(*_words, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.ray, "init", init)
    with pytest.raises(
        UserError, match=r"no space left for Ray's logs .*; free some or set RAY_TMP"
    ):
        ray_session(object_store_bytes=12).__enter__()
    assert called == [("start", 12)]


@pytest.mark.usefixtures("called")
def test_a_local_ray_leaves_our_signal_handlers_in_place(monkeypatch):
    def ours(*_):
        pytest.fail("nobody sends a signal")

    def init(*_words, **_options):  # As Ray does it.
        ray._private.utils.set_sigterm_handler(lambda *_: None)

    monkeypatch.setattr(module.ray, "init", init)
    before = signal.signal(signal.SIGTERM, ours)
    try:
        with ray_session(object_store_bytes=12):
            assert signal.getsignal(signal.SIGTERM) is ours
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_ray_that_is_gone_is_not_waited_for(called, monkeypatch):
    ended = []
    monkeypatch.setattr(module, "end_at_once_after_command", lambda: ended.append(1))
    monkeypatch.setattr(module, "forget_shutdown_at_exit", lambda: ended.append(2))
    with ray_session(object_store_bytes=12):
        called.servers.append(SimpleNamespace(is_gone=lambda: True))
    assert "shutdown" not in called
    assert sorted(ended) == [1, 2]


@pytest.fixture
def home(own):
    """Where the token lies at home; there is none yet."""
    os.environ["HOME"] = str(own.parent.parent)
    del os.environ["RAY_AUTH_TOKEN_PATH"]
    return own.parent.parent / ".ray" / "auth_token"


def test_a_ray_that_runs_is_joined_with_our_code(called, home):
    os.environ["RAY_ADDRESS"] = "10.0.0.7:12010"
    with ray_session(object_store_bytes=12):
        pass
    name, address, options = called[0]
    assert (name, address) == ("init", "10.0.0.7:12010")
    modules = [Path(one) for one in options["runtime_env"]["py_modules"]]
    assert [one.name for one in modules] == ["fairsweep", "data_prep", "models", "tune"]
    assert all((one / "__init__.py").is_file() for one in modules)
    assert called[1:] == ["shutdown"]
    assert "RAY_AUTH_MODE" not in os.environ
    assert not home.exists(), "a token is made only for a Ray of our own"
    home.parent.mkdir()
    home.write_text("a secret of more than thirty-two characters")
    read_environment_again()
    connect("10.0.0.7:12010")
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.usefixtures("home")
def test_before_a_sweep_the_cluster_is_joined_for_a_moment(called):
    os.environ["RAY_ADDRESS"] = "10.0.0.7:12010"
    module.require_ray()
    assert [one if isinstance(one, str) else one[:2] for one in called] == [
        ("init", "10.0.0.7:12010"),
        "shutdown",
    ]
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


@pytest.mark.parametrize("address", [None, "", "local"])
def test_before_a_sweep_a_local_ray_gets_its_token_but_is_not_started(called, own, address):
    if address is not None:
        os.environ["RAY_ADDRESS"] = address
    module.require_ray()
    assert called == []
    assert own.exists()
    own.unlink()
    own.parent.rmdir()
    own.parent.write_text("a file is here")
    with pytest.raises(UserError, match="cannot be stored in"):
        module.require_ray()


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("error", [ConnectionError("no\n route"), RuntimeError("no\n route")])
def test_a_ray_that_does_not_answer_is_told_in_one_line(home, monkeypatch, error):
    def init(*_words, **_options):
        raise error

    monkeypatch.setattr(module.ray, "init", init)
    with pytest.raises(ValueError, match=r"cannot connect to Ray at n7:1 \(no route\); ") as told:
        connect("n7:1")
    assert "docs/clusters.md" in str(told.value)
    assert str(home) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}"])
def test_a_ray_that_is_not_there_is_told_at_once(monkeypatch, form):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(module.ray, "init", lambda *_, **__: pytest.fail("Ray tries for minutes"))
    with pytest.raises(
        UserError, match=r"\(nobody answers: Connection refused\); .*unset RAY_ADDR"
    ):
        connect(form.format(port))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request", "the server there is not Ray"),
        (b"", "the server there is not Ray"),
        (None, "nobody answers: timed out"),
        (bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]), ""),
    ],
    ids=["web page", "hangs up", "silent", "Ray"],
)
def test_a_server_that_is_not_ray_is_told_at_once(monkeypatch, answer, reason):
    heard = []

    def serve():
        client, _ = server.accept()
        with client:
            heard.append(client.recv(100))
            if answer is None:
                over.wait(10)
            else:
                client.sendall(answer)

    over = threading.Event()
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(module.ray, "init", lambda *_, **__: pytest.fail("Ray tries for minutes"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=serve)
        thread.start()
        if reason:
            with pytest.raises(UserError, match=rf"at {address} \({reason}\); .*unset RAY_ADDR"):
                connect(address)
        else:
            module._reach(address)
        over.set()
        thread.join()
    assert heard[0].startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_a_ray_with_tls_is_only_connected_to(monkeypatch, value):
    monkeypatch.setenv("RAY_USE_TLS", value)
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        module._reach(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("address", ["auto", "nowhere", "10.0.0.1:x"])
def test_what_is_no_address_is_left_to_ray(address):
    module._reach(address)


def test_a_named_token_file_that_is_missing_is_told_in_one_line(called, own):
    with pytest.raises(ValueError, match=r"cannot connect to Ray at n7:1 \(.*\); ") as told:
        connect("n7:1")
    assert str(own) in str(told.value)
    assert "\n" not in str(told.value)
    assert called == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_may_read_is_closed_to_them(own, mode):
    own.parent.mkdir()
    own.write_text("a secret of more than thirty-two characters")
    own.chmod(mode)
    require_token()
    assert own.stat().st_mode & 0o777 == 0o600
    assert own.read_text() == "a secret of more than thirty-two characters"


def test_a_ray_of_our_own_asks_for_the_token_whatever_the_environment_says(own):
    os.environ["RAY_AUTH_MODE"] = "disabled"
    require_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert own.exists()


def test_ray_tune_writes_no_logs_and_snapshots_and_has_no_limit_of_waiting_trials(called):
    for name in module._SETTINGS:
        os.environ.pop(name, None)
    with ray_session(object_store_bytes=12):
        settings = {name: os.environ[name] for name in module._SETTINGS}
    assert called[0] == ("start", 12)
    assert not module._SETTINGS.keys() & os.environ.keys(), "a user's own Ray Tune keeps its own"
    assert settings == {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_prestart_worker_first_driver": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "86400",
        "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    }


@pytest.mark.parametrize("breaks", [False, True])
def test_the_living_nodes_of_a_cluster_are_asked_for_and_it_is_left_again(
    called, monkeypatch, breaks
):
    def nodes():
        if breaks:
            raise ConnectionError("no GCS")
        return [{"NodeName": "n7", "Alive": True}, {"NodeName": "n3", "Alive": False}]

    monkeypatch.setattr(module.ray, "nodes", nodes, raising=False)
    with suppress(ConnectionError):
        assert module.node_names("10.0.0.7:12010") == {"n7"}
    (name, address, _), left = called
    assert (name, address, left) == ("init", "10.0.0.7:12010", "shutdown")
