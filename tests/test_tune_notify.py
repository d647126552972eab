"""Messages about a sweep: what they say, when they are sent, and that they cannot harm it."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.support.in_process import few_pictures_fixture, resume, start, tiny_spec  # noqa: F401
from tests.support.sweeps import SPEC, new_sweep, small_spec, train
from tune.execution.in_process import InProcessExecutor
from tune.run.directory import LEDGER_FILE
from tune.session import notify, session
from tune.session.notify import BEST_SECONDS, Notifier, require_notify
from tune.session.run_directory import read_spec
from tune.sweep.spec import SpecError, parse_spec

SECRET = "s3cr3t"


class Server(HTTPServer):
    """A webhook that keeps what is posted to it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.messages, self.status = [], 200


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        kind = {"path": self.path, "type": self.headers["Content-Type"]}
        self.server.messages.append(json.loads(content) | kind)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_words):
        pass


@pytest.fixture
def webhook(monkeypatch):
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("WEBHOOK", f"http://127.0.0.1:{server.server_port}/{SECRET}")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def sweep():
    return new_sweep(small_spec(notify={"url": "$WEBHOOK"}, scheduler={"name": "none"}))[0]


def test_the_end_of_a_sweep_is_posted_and_the_run_holds_no_secret(few_pictures, webhook, tmp_path):
    run, sweep = start(tiny_spec(few_pictures, notify={"url": "$WEBHOOK"}), tmp_path)
    *_, last = webhook.messages
    assert (last["event"], last["run"], last["path"]) == ("finished", run.name, f"/{SECRET}")
    assert last["type"] == "application/json"
    assert last["trials"] == {"COMPLETED": len(sweep.trials)}
    assert last["best"] == sweep.objective(sweep.incumbent)
    assert last["text"].startswith(f"{run.name}: finished; val_accuracy ")
    assert read_spec(run).notify.url == "$WEBHOOK"
    for file in run.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()
    webhook.messages.clear()
    resume(run)
    assert webhook.messages == [], "a finished run has nothing new to tell"


def test_a_better_configuration_is_posted_while_the_sweep_runs(
    few_pictures, webhook, monkeypatch, tmp_path
):
    for pause in ("_LOOK_SECONDS", "_LONGEST_LOOK_SECONDS"):
        monkeypatch.setattr(f"tune.session.chores.{pause}", 0.0)
    start(tiny_spec(few_pictures, notify={"url": "$WEBHOOK"}), tmp_path)
    assert [message["event"] for message in webhook.messages] == ["best", "finished"]


def test_a_failure_of_the_sweep_is_posted_with_its_reason(few_pictures, webhook, tmp_path):
    class Broken(InProcessExecutor):
        def execute(self, *_arguments, **_options):
            raise RuntimeError("the driver\nlost its GPU")

    spec = tiny_spec(few_pictures, notify={"url": "$WEBHOOK"})
    with pytest.raises(RuntimeError, match="lost its GPU"):
        session.start(spec, tmp_path, executor=Broken())
    (told,) = webhook.messages
    assert told["event"] == "failed"
    assert "failed: the driver lost its GPU; no result yet" in told["text"]


def test_a_better_configuration_is_told_at_most_every_ten_minutes(sweep, webhook, tmp_path):
    now = [0.0]
    notifier = Notifier(tmp_path / "run", sweep, now=lambda: now[0])
    train(sweep, 0.4)
    notifier.update()
    train(sweep, 0.5)
    notifier.update()
    now[0] = BEST_SECONDS - 1
    notifier.update()
    now[0] = BEST_SECONDS
    notifier.update()
    train(sweep, 0.3)
    now[0] = 3 * BEST_SECONDS
    notifier.update()
    notifier.close()
    told = [(m["event"], m["best"], m["seconds"]) for m in webhook.messages]
    assert told == [("best", 0.4, 0.0), ("best", 0.5, BEST_SECONDS)]


def test_a_resumed_sweep_tells_only_what_is_better_than_before(sweep, webhook, tmp_path):
    now = [1000.0]
    train(sweep, 0.4)
    notifier = Notifier(tmp_path / "run", sweep, now=lambda: now[0])
    notifier.update()
    train(sweep, 0.3)
    now[0] = 1090.0
    notifier.update()
    train(sweep, 0.5)
    notifier.update()
    notifier.end()
    notifier.close()
    first, last = webhook.messages
    assert (first["event"], first["best"], first["seconds"]) == ("best", 0.5, 90.0)
    assert first["trials"] == {"RUNNING": 3}
    assert first["metric"] == "val_accuracy"
    assert first["best_trial"] == sweep.incumbent.name
    assert "new best: val_accuracy 0.5000 by " in first["text"]
    assert first["text"].endswith("; 1:30")
    assert (last["event"], sweep.finished) == ("stopped", False)
    assert f"{tmp_path.joinpath('run').name}: stopped; val_accuracy 0.5000" in last["text"]


def test_the_last_message_tells_why_a_sweep_stopped(sweep, webhook, tmp_path):
    notifier = Notifier(tmp_path / "run", sweep, now=lambda: 0.0)
    sweep.stop("its budget of 1 hours is spent", as_designed=True)
    notifier.end()
    notifier.close()
    (last,) = webhook.messages
    assert (last["event"], last["best"]) == ("stopped", None)
    assert last["text"] == "run: its budget of 1 hours is spent; no result yet; 0:00"


def test_a_result_of_zero_is_told(sweep, webhook, tmp_path):
    trial = train(sweep, 0.0)
    notifier = Notifier(tmp_path / "run", sweep, now=lambda: 0.0)
    notifier.end()
    notifier.close()
    (last,) = webhook.messages
    assert (last["best"], last["best_trial"]) == (0.0, trial.name)
    assert last["text"] == f"run: stopped; val_accuracy 0.0000 by {trial.name}; 0:00"


def test_a_webhook_that_refuses_is_one_line_and_no_failure(few_pictures, webhook, tmp_path, capsys):
    webhook.status = 500
    _, sweep = start(tiny_spec(few_pictures, notify={"url": "$WEBHOOK"}), tmp_path)
    assert sweep.finished
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("notify: ")]
    assert lines
    assert all("not sent to $WEBHOOK: HTTP Error 500" in line for line in lines)
    assert SECRET not in "".join(lines)


def test_a_webhook_that_does_not_answer_delays_the_end_by_a_limited_time(
    sweep, monkeypatch, tmp_path
):
    monkeypatch.setattr(notify, "_CLOSE_SECONDS", 0.1)
    asked, answered = threading.Event(), threading.Event()
    monkeypatch.setattr(notify, "_post", lambda *_: (asked.set(), answered.wait()))
    monkeypatch.setenv("WEBHOOK", "http://127.0.0.1:9")
    notifier = Notifier(tmp_path / "run", sweep)
    notifier.end()
    assert asked.wait(5)
    notifier.close()
    assert notifier._thread.is_alive()
    answered.set()


def test_a_webhook_that_never_answers_does_not_keep_later_messages(
    sweep, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(notify, "_SEND_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WEBHOOK", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        notifier = Notifier(tmp_path / "run", sweep)
        notifier.end()
        notifier.close()
    assert not notifier._thread.is_alive()
    assert "not sent to $WEBHOOK: timed out" in capsys.readouterr().err


def test_a_command_gets_the_message_on_its_input(few_pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY", f"cat > '{tmp_path}/told'")
    start(tiny_spec(few_pictures, notify={"command": "$NOTIFY"}), tmp_path)
    assert json.loads((tmp_path / "told").read_text())["event"] == "finished"


@pytest.mark.parametrize(
    ("value", "what"), [(None, "an http"), ("", "an http"), ("ftp://x", "an http")]
)
def test_a_variable_without_a_url_is_told_before_a_run_is_made(
    few_pictures, monkeypatch, tmp_path, value, what
):
    monkeypatch.delenv("WEBHOOK", raising=False)
    if value is not None:
        monkeypatch.setenv("WEBHOOK", value)
    with pytest.raises(SpecError, match=f"WEBHOOK, which does not hold {what}"):
        start(tiny_spec(few_pictures, notify={"url": "$WEBHOOK"}), tmp_path)
    assert not list(tmp_path.glob(f"*/{LEDGER_FILE}"))


@pytest.mark.parametrize(
    ("to", "value", "what"),
    [
        ({"url": "$TO"}, "http://hooks.example/a", None),
        ({"url": "$TO"}, "https://hooks.example/a", None),
        ({"url": "$TO"}, "hooks.example/a", r"an http\(s\) URL"),
        ({"command": "$TO"}, "mail me", None),
        ({"command": "$TO"}, "", "a command"),
    ],
)
def test_a_url_begins_with_http_or_https_and_a_command_is_any_text(monkeypatch, to, value, what):
    monkeypatch.setenv("TO", value)
    spec = small_spec(notify=to)
    if what is None:
        require_notify(spec)
    else:
        with pytest.raises(SpecError, match=f"TO, which does not hold {what}; set it with `export"):
            require_notify(spec)


def test_a_command_that_fails_is_told_with_what_it_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NOTIFY", "echo no mail today >&2; exit 7")
    spec = small_spec(notify={"command": "$NOTIFY"})
    notifier = Notifier(tmp_path / "run", new_sweep(spec)[0])
    notifier.end()
    notifier.close()
    line = "notify: a message was not sent to $NOTIFY: exit code 7: no mail today\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://hooks.example/secret"},
        {"command": "rm -r /"},
        {},
        {"url": "$A", "command": "$B"},
    ],
)
def test_a_spec_holds_neither_a_url_nor_a_command(wrong):
    with pytest.raises(SpecError, match="notify"):
        parse_spec({**SPEC, "notify": wrong})


def test_specs_without_messages_look_as_before():
    assert "notify" not in parse_spec(SPEC).to_yaml()
