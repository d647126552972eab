"""The process that starts a local Ray, and what it tells its driver; without a Ray."""

import json
import logging
import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from fairsweep.errors import UserError
from tune.execution import local_needs
from tune.execution import ray_server as module


def test_the_address_is_read_and_a_ray_that_does_not_start_is_told_by_its_last_words(tmp_path):
    log = tmp_path / "server.log"
    assert module._address('{"address": "10.0.0.7:99"}\n', log) == "10.0.0.7:99"
    log.write_bytes(b"Traceback\n  OSError: \xff no port is free \n\n")
    with pytest.raises(UserError, match=r"does not start on this machine: OSError: . no port is"):
        module._address("", log)
    log.write_text("\n")
    with pytest.raises(UserError, match=r"machine: it wrote no message$"):
        module._address("", log)


def test_when_the_driver_is_gone_every_process_of_the_session_ends_and_then_the_server(monkeypatch):
    done = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(read=lambda: done.append("read")))
    monkeypatch.setattr(module, "end_session", lambda leader: done.append(("end", leader)))
    monkeypatch.setattr(module.os, "getpid", lambda: 77)
    monkeypatch.setattr(module.os, "_exit", lambda code: done.append(("exit", code)))
    module._end_with_driver()
    assert done == ["read", ("end", 77), ("exit", 0)]


def test_a_server_blocks_stops_before_it_starts_ray_and_tells_its_address(
    tmp_path, monkeypatch, capsys
):
    done = []

    def init(*words, **options):
        done.append(("init", words, options))
        return SimpleNamespace(address_info={"gcs_address": "10.0.0.7:99"})

    def thread(target, daemon):
        return SimpleNamespace(start=lambda: done.append((target, daemon)))

    forever = SimpleNamespace(wait=lambda: done.append("wait"))
    threading = SimpleNamespace(Thread=thread, Event=lambda: forever)
    monkeypatch.setattr(module, "threading", threading)
    monkeypatch.setattr(module, "ray", SimpleNamespace(init=init))
    monkeypatch.setattr(
        module.signal, "pthread_sigmask", lambda how, kinds: done.append((how, kinds))
    )
    monkeypatch.setattr(module, "start_fewer_servers", lambda: done.append("fewer servers"))
    module.serve(tmp_path, 12)
    stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    options = {
        "num_gpus": 0 if sys.platform == "darwin" else None, "include_dashboard": False,
        "object_store_memory": 12, "log_to_driver": False, "logging_level": logging.ERROR,
        "_temp_dir": str(tmp_path),
    }  # fmt: skip
    assert done == [
        (signal.SIG_BLOCK, stops), (module._end_with_driver, True),
        "fewer servers", ("init", ("local",), options), "wait",
    ]  # fmt: skip
    assert json.loads(capsys.readouterr().out) == {"address": "10.0.0.7:99"}


@pytest.mark.parametrize("fault", [False, True])
def test_a_driver_starts_the_server_in_a_session_of_its_own_and_waits_for_its_end(
    tmp_path, monkeypatch, fault
):
    done = []

    @contextmanager
    def folder(*, object_store_bytes):
        assert object_store_bytes == 12
        yield tmp_path
        done.append("removed")

    def pipe(name, line=""):
        return SimpleNamespace(close=lambda: done.append(f"{name} closed"), readline=lambda: line)

    def start(command, **options):
        done.append((command[1:], options["start_new_session"], options["stdin"]))
        options["stderr"].write("a warning")
        pipes = {"stdin": pipe("input"), "stdout": pipe("output", '{"address": "n7:1"}')}
        return SimpleNamespace(**pipes, wait=lambda: done.append("waited"))

    monkeypatch.setattr(module, "ray_folder", folder)
    monkeypatch.setattr(module.subprocess, "Popen", start)
    try:
        with module.local_ray(object_store_bytes=12) as address:
            assert address == "n7:1"
            if fault:
                raise KeyError
    except KeyError:
        done.append("removed")
    command = ["-m", "tune.execution.ray_server", str(tmp_path), "12"]
    started = (command, True, subprocess.PIPE)
    assert done == [started, "input closed", "waited", "output closed", "removed"]
    assert (tmp_path / "server.log").read_text() == "a warning"


def test_a_ray_that_starts_too_slowly_is_started_once_more(tmp_path, monkeypatch):
    said = iter(["Exception: The current node timed out during startup.", "a warning"])
    lines, ended = iter(["", '{"address": "n7:1"}']), []

    def start(_command, **options):
        options["stderr"].write(next(said))
        line = next(lines)
        pipe = SimpleNamespace(close=lambda: None, readline=lambda: line)
        return SimpleNamespace(stdin=pipe, stdout=pipe, wait=lambda: None, pid=77)

    monkeypatch.setattr(module, "ray_folder", lambda **_needs: nullcontext(tmp_path))
    monkeypatch.setattr(module.subprocess, "Popen", start)
    monkeypatch.setattr(module, "end_session", ended.append)
    with module.local_ray(object_store_bytes=12) as address:
        assert address == "n7:1"
    assert ended == [77], "nothing of the first one stays"


def test_a_ray_that_fails_for_another_reason_is_not_started_again(tmp_path, monkeypatch):
    starts = []

    def start(command, **options):
        starts.append(command)
        options["stderr"].write("Exception: no memory")
        pipe = SimpleNamespace(close=lambda: None, readline=lambda: "")
        return SimpleNamespace(stdin=pipe, stdout=pipe, wait=lambda: None, pid=77)

    monkeypatch.setattr(module, "ray_folder", lambda **_needs: nullcontext(tmp_path))
    monkeypatch.setattr(module.subprocess, "Popen", start)
    with pytest.raises(UserError, match="no memory"), module.local_ray(object_store_bytes=12):
        pass
    assert len(starts) == 1


def test_what_a_local_ray_needs_is_checked_without_starting_one(monkeypatch):
    done = []

    @contextmanager
    def folder():
        done.append("made")
        yield
        done.append("removed")

    monkeypatch.setattr(module, "ray_folder", folder)
    monkeypatch.setattr(module, "_start", lambda *_: pytest.fail("a Ray is started"))
    module.require_local_ray()
    assert done == ["made", "removed"]
    monkeypatch.setattr(local_needs.resource, "getrlimit", lambda _kind: (60, 60))
    monkeypatch.setattr(module.os, "cpu_count", lambda: 3)
    with pytest.raises(UserError, match=r"at least \d+ open files on 3 cores, and 60 are allow"):
        module.require_local_ray()


ALONE = """
import os, subprocess, sys, time
from tune.execution.process_session import end_session
os.setsid()
there, here = os.pipe()
if (other := os.fork()) == 0:
    if os.fork() == 0:
        os._exit(0)  # It stays a zombie of our session, because its parent never waits for it.
    os.setsid()
    os.write(here, b".")
    time.sleep(60)  # Until the last line kills it; it must outlive the other session.
os.read(there, 1)
command = ["sh", "-c", "trap '' TERM; sleep 60 & echo .; wait"]  # They ignore SIGTERM.
ours = subprocess.Popen(command, stdout=here, process_group=0)  # As a shell does with a job.
os.read(there, 1)
end_session(os.getpid())
print(ours.poll() is not None, os.waitpid(other, os.WNOHANG) == (0, 0))
os.kill(other, 9)
"""


def test_all_processes_of_a_session_are_ended_but_not_the_caller_and_no_other_session():
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")
