"""The live page: what is new in a run, who may ask, and how it looks in a real browser.

Tests `tune.session.live`, `tune.session.following` and `tune.session.standing`.
"""

import http.client
import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.big_run import write_big_run
from tests.support.browser import PROGRAM, Browser
from tests.support.run_factory import Factory
from tests.support.sweeps import new_sweep, play, small_spec
from tune.__main__ import main
from tune.commands.serve import _server
from tune.execution.node_use import read_gpus, write_use
from tune.run.directory import ERRORS_DIR, LEDGER_FILE, NODES_DIR, RETRY_FILE, STOP_FILE
from tune.run.lease import hold
from tune.run.trial import Status
from tune.session import following
from tune.session.following import Follower, _config_words
from tune.session.live import LiveServer
from tune.session.standing import nodes_of, rungs_of
from tune.session.status import RunWatch, read_sweep

EVIL = "<script>document.title = 'owned'</script>"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    return Factory(configurations=3, replicates=1, early_stopping=False).write(
        place / "run", place / "data"
    )


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "runs" / "one")


@pytest.fixture
def server(run):
    with LiveServer(run.parent) as opened:
        thread = threading.Thread(target=opened.serve_forever, args=(0.02,))
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def ask(server, place, *, token=None, method="GET", host=None):
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    headers = {"Host": host} if host else {}
    line.request(method, f"/{server.token if token is None else token}/{place}", headers=headers)
    answer = line.getresponse()
    body = answer.read()
    line.close()
    return answer.status, body


def news(server, since=0):
    status, body = ask(server, f"run/one?since={since}")
    assert status == 200, body
    return json.loads(body)


def test_only_trials_that_have_changed_are_sent_and_half_a_line_is_left_for_later(server, run):
    ledger = run / LEDGER_FILE
    lines = ledger.read_bytes().splitlines(keepends=True)
    cut = len(lines) // 2
    ledger.write_bytes(b"".join(lines[:cut]) + lines[cut][:9])
    first = news(server)
    assert first["trials"]
    assert not news(server, first["version"])["trials"]
    with ledger.open("ab") as end:
        end.write(lines[cut][9:] + b"".join(lines[cut + 1 :]))
    then = news(server, first["version"])
    assert then["follower"] == first["follower"]
    assert then["trials"]
    whole = {trial["id"]: trial for trial in [*first["trials"], *then["trials"]]}
    with LiveServer(run.parent) as fresh:
        assert list(whole.values()) == fresh.news("one", 0)["trials"]


def cut_in_a_training(run):
    """End the ledger where a trial has two epochs, so that it is running; return its id."""
    ledger = run / LEDGER_FILE
    lines = ledger.read_bytes().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if json.loads(line).get("epoch") == 2)
    ledger.write_bytes(b"".join(lines[: last + 1]))
    return json.loads(lines[last])["trial"]


def test_a_trial_runs_as_long_as_its_driver(run):
    running = cut_in_a_training(run)
    follower = Follower(run)
    with hold(run):
        first = follower.news(0)
    then = follower.news(first["version"])
    for found, status in ((first, "RUNNING"), (then, "INTERRUPTED")):
        (row,) = [trial for trial in found["trials"] if trial["id"] == running]
        assert (row["status"], row["epoch"], row["epochs"]) == (status, 2, 12)


def test_curves_are_those_of_the_best_and_of_the_running_trials(run, monkeypatch):
    monkeypatch.setattr(following, "_CURVES", 1)
    running = cut_in_a_training(run)
    with hold(run):
        found = Follower(run).news(0)
    best, other = found["curves"]
    assert (best["best"], other["best"], other["id"]) == (True, False, running)
    ended = {t["id"]: t["value"] for t in found["trials"] if t["value"] and t["id"] != running}
    assert best["id"] == max(ended, key=ended.__getitem__)
    assert [epoch for epoch, _ in other["points"]] == [1, 2]
    assert max(value for _, value in best["points"]) == ended[best["id"]]
    assert (found["metric"], found["sign"]) == ("val_accuracy", 1)
    assert [curve["id"] for curve in Follower(run).news(0)["curves"]] == [best["id"]]


def test_the_last_twelve_whole_lines_are_sent_and_no_number_that_json_lacks(run):
    ledger = run / LEDGER_FILE
    lines = ledger.read_text("utf-8").splitlines()
    with ledger.open("a", encoding="utf-8") as file:
        file.write('{"half')
    assert Follower(run).news(0)["lines"] == lines[-12:]
    assert following._finite({"a": [float("nan"), float("-inf"), 1.5, True, "x"]}) == {
        "a": [None, None, 1.5, True, "x"]
    }


def test_a_run_that_was_replaced_is_read_again_and_a_removed_one_is_told(server, run):
    first = news(server)
    ledger = run / LEDGER_FILE
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[: len(lines) // 2]))
    again = news(server, first["version"])
    assert again["follower"] != first["follower"]
    assert again["trials"]
    shutil.rmtree(run)
    assert ask(server, "run/one")[0] == 404
    assert ask(server, "runs") == (200, b"[]")


@pytest.mark.parametrize("place", ["", "live.js", "runs", "run/one"])
def test_a_wrong_token_or_host_name_gets_nothing(server, place):
    assert ask(server, place)[0] == 200
    assert ask(server, place, token="")[0] == 403
    assert ask(server, place, token="x" * len(server.token))[0] == 403
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        assert ask(server, place, host=f"{host}:{server.server_port}")[0] == 403
    for host in ("127.0.0.1", "localhost"):
        assert ask(server, place, host=f"{host}:{server.server_port}")[0] == 200


def test_only_this_machine_is_answered(server):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", server.server_port), timeout=5)


def test_every_answer_forbids_foreign_scripts_and_copies(server):
    kinds = {"": "text/html", "live.js": "text/javascript", "runs": "application/json"}
    for place, kind in {**kinds, "nowhere": "application/json"}.items():
        line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        line.request("GET", f"/{server.token}/{place}")
        answer = line.getresponse()
        answer.read()
        line.close()
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert answer.headers["Referrer-Policy"] == "no-referrer", "the address has the token"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("place", ["", "live.js", "runs", "run/one", "errors/one?trial=0"])
def test_what_is_only_read_cannot_be_posted(server, place):
    assert ask(server, place, method="POST")[0] == 404


@pytest.mark.parametrize("name", ["..", "../one", "%2e%2e%2fruns%2fone", "%2Fetc", "one/.."])
def test_no_path_outside_the_folder_is_read(server, name):
    assert ask(server, f"run/{name}")[0] == 404


def test_a_page_that_is_closed_before_its_answer_comes_leaves_no_message(server, capfd):
    try:
        raise BrokenPipeError
    except BrokenPipeError:
        server.handle_error(None, ("127.0.0.1", 1))
    assert capfd.readouterr().err == ""
    try:
        raise KeyError("mistake")
    except KeyError:
        server.handle_error(None, ("127.0.0.1", 1))
    assert "mistake" in capfd.readouterr().err


def test_a_disk_that_cannot_be_read_is_told_and_the_page_goes_on(server, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Follower, "news", fail)
        status, body = ask(server, "run/one")
    assert (status, json.loads(body)) == (409, {"error": "[Errno 5] Input/output error"})
    assert news(server)["trials"]


def statuses(server, since=0):
    return {trial["id"]: trial["status"] for trial in news(server, since)["trials"]}


@pytest.fixture
def failed(run):
    """A trial of ``run`` that failed on its third attempt, in a session that goes on."""
    lines = (run / LEDGER_FILE).read_text("utf-8").splitlines(keepends=True)
    lines = [line for line in lines if '"sweep_finished"' not in line]
    trial = json.loads(next(line for line in lines if '"trial_ended"' in line))["trial"]
    (end,) = (i for i, text in enumerate(lines) if "trial_ended" in text and trial in text)
    ended = json.loads(lines[end]) | {"status": "FAILED", "reason": f"{EVIL} (all of it in errors/"}
    ended["reason"] += "fused-with.txt)"
    lines[end] = json.dumps(ended) + "\n"
    (run / LEDGER_FILE).write_text("".join(lines), "utf-8")
    (run / ERRORS_DIR).mkdir(exist_ok=True)
    (run / ERRORS_DIR / "fused-with.txt").write_text("x" * 30_000 + f"\nValueError: {EVIL}\n")
    return trial


def test_the_end_of_the_traceback_that_a_reason_names_is_shown(server, failed):
    status, body = ask(server, f"errors/one?trial={failed}")
    text = json.loads(body)["text"]
    assert status == 200
    assert text.endswith(f"x\nValueError: {EVIL}\n")
    assert 20_000 <= len(text) < 20_100
    other = next(one for one in statuses(server) if one != failed)
    assert json.loads(ask(server, f"errors/one?trial={other}")[1]) == {"text": ""}
    assert ask(server, "errors/one?trial=unknown")[0] == 409
    assert ask(server, "errors/one")[0] == 404


def test_failed_trials_are_asked_to_be_trained_again_only_while_a_driver_hears_it(
    server, run, failed
):
    assert news(server)["retry"] == f"python -m tune resume {run} --retry-failed"
    status, body = ask(server, f"retry/one?trial={failed}", method="POST")
    assert status == 409
    assert "--retry-failed" in json.loads(body)["error"]
    with hold(run):
        other = next(one for one in statuses(server) if one != failed)
        assert ask(server, f"retry/one?trial={other}", method="POST")[0] == 409
        assert ask(server, f"retry/one?trial={failed}")[0] == 404
        assert ask(server, f"retry/one?trial={failed}", method="POST")[0] == 200
        assert ask(server, "retry/one", method="POST")[0] == 200
        assert news(server)["asked"] == [RETRY_FILE, f"{RETRY_FILE}-{failed}"]


def test_the_command_for_failed_trials_can_be_pasted_where_the_page_was_started(run, monkeypatch):
    moved = run.rename(run.with_name("my run"))
    monkeypatch.chdir(run.parents[1])
    told = Follower(moved).news(0)["retry"]
    assert told == "python -m tune resume 'runs/my run' --retry-failed"


def test_one_trial_is_asked_to_stop(server, run):
    ledger = run / LEDGER_FILE
    lines = ledger.read_text("utf-8").splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if '"measurement"' in line)
    ledger.write_text("".join(lines[: first + 1]))
    with hold(run):
        (running,) = (one for one, status in statuses(server).items() if status == "RUNNING")
        assert ask(server, f"stop/one?trial={running}", method="POST")[0] == 200
        assert news(server)["asked"] == [f"{STOP_FILE}-{running}"]


def test_the_chosen_trial_comes_with_its_curve_and_what_was_searched(server):
    worst = min(news(server)["trials"], key=lambda trial: trial["value"] or 0)
    status, body = ask(server, f"run/one?since=0&trial={worst['id']}")
    assert status == 200
    found = json.loads(body)
    assert found["chosen"]["id"] == worst["id"]
    assert set(found["chosen"]["searched"]) >= {"kernel_size", "blocks", "channels"}
    (curve,) = (curve for curve in found["curves"] if curve["id"] == worst["id"])
    assert len(curve["points"]) == worst["epoch"]
    assert news(server)["chosen"] is None


def test_a_row_tells_what_was_searched_in_short(server, run):
    sweep = read_sweep(run)
    for row in news(server)["trials"]:
        told = dict(word.split(" ") for word in row["config"].split(", "))
        config = sweep.trials[row["id"]].config
        names = ("kernel_size", "blocks", "channels", "conv_depth", "fc_layers")
        assert told == {name: str(config[name]) for name in names}
    sweep, _ = new_sweep(small_spec(space={"kernel_size": [3], "learning_rate": [0.000123456]}))
    trial = sweep.next_trial()
    words = _config_words(trial, ("kernel_size", "learning_rate", "momentum"))
    assert words == "learning_rate 0.0001235, kernel_size 3"
    of_a_fold = SimpleNamespace(config={"fold": 2, "kernel_size": 3})
    assert _config_words(of_a_fold, ("kernel_size", "fold")) == "kernel_size 3", "the draw tells it"


def test_a_row_tells_where_and_how_long_a_trial_was_trained_and_why_it_ended(run, failed):
    rows = {row["id"]: row for row in Follower(run).news(0)["trials"]}
    for trial in read_sweep(run).trials.values():
        row = rows[trial.id]
        assert [row[name] for name in ("trial", "where", "seconds", "reason")] == [
            f"{trial.name} {trial.draw}",
            f"{trial.host} {trial.device}".strip(),
            round(trial.seconds, 1),
            trial.reason,
        ]
    assert rows[failed]["reason"].startswith(EVIL)
    assert rows[failed]["seconds"] > 1
    assert rows[failed]["where"].endswith(" cpu")


def test_news_of_a_ledger_that_has_not_grown_are_not_worked_out_again(run, monkeypatch):
    follower = Follower(run)
    asked = []
    real = RunWatch.status
    monkeypatch.setattr(RunWatch, "status", lambda self: asked.append(1) or real(self))
    first = follower.news(0)
    (run / STOP_FILE).touch()
    then = follower.news(first["version"])
    assert (len(asked), then["trials"], then["asked"]) == (1, [], [STOP_FILE])
    follower.news(0, first["trials"][0]["id"])
    with (run / LEDGER_FILE).open("a") as ledger:
        ledger.write(json.dumps({"event": "node_lost", "node": "n7", "time": 1.0}) + "\n")
    assert follower.news(0)["status"]["lost_nodes"] == ["n7"]
    assert len(asked) == 3


def test_the_list_says_which_runs_have_a_driver_and_one_run_is_shown_alone(server, run):
    shutil.copytree(run, run.parent / "a first one")
    (run.parent / "no run").mkdir()
    with hold(run):
        listed = json.loads(ask(server, "runs")[1])
    first = {"name": "a first one", "running": False}
    assert listed == [first, {"name": "one", "running": True}]
    with LiveServer(run.parent, only="one") as alone:
        assert alone.names() == ["one"]


def test_what_was_worked_out_of_a_run_is_kept_for_three_seconds(run, monkeypatch):
    now, looks = [100.0], []
    monkeypatch.setattr(following, "time", SimpleNamespace(monotonic=lambda: now[0]))
    real = Follower._look
    monkeypatch.setattr(Follower, "_look", lambda *words: looks.append(1) or real(*words))
    follower = Follower(run)
    for seconds, count in ((0.0, 1), (2.9, 1), (3.1, 2), (6.0, 2), (6.2, 3)):
        now[0] = 100.0 + seconds
        follower.news(0)
        assert len(looks) == count


def test_a_ledger_that_has_grown_and_is_then_cut_is_read_again(run):
    follower = Follower(run)
    ledger = run / LEDGER_FILE
    size = ledger.stat().st_size
    with ledger.open("a") as file:
        file.write(json.dumps({"event": "node_lost", "node": "n7", "time": 1.0}) + "\n")
    assert not follower.outdated
    os.truncate(ledger, size)
    assert follower.outdated
    shutil.copy(ledger, run / "copy")
    assert not follower.outdated
    (run / "copy").rename(ledger)
    assert follower.outdated, "it is another file"
    ledger.unlink()
    assert follower.outdated


def test_the_page_is_served_until_the_user_ends_it(run, monkeypatch, capsys):
    def end(_server):
        raise KeyboardInterrupt

    monkeypatch.setattr(LiveServer, "serve_forever", end)
    assert main(["serve", str(run)]) == 0
    told, after, rest = capsys.readouterr().out.split("\n")
    assert told.startswith("open http://127.0.0.1:")
    assert told.endswith(" (Ctrl-C ends the page, not the sweep)")
    assert (after, rest) == ("", "")


def test_each_page_is_served_on_a_port_that_is_free(run, monkeypatch, capsys):
    ports = []

    def serve(server):
        ports.append(server.server_port)
        if len(ports) < 3:
            assert main(["serve", str(run)]) == 0
        raise KeyboardInterrupt

    monkeypatch.setattr(LiveServer, "serve_forever", serve)
    assert main(["serve", str(run)]) == 0
    assert len(set(ports)) == 3
    assert capsys.readouterr().err == ""


def test_rungs_tell_how_many_reached_them_and_how_many_ended_there(tmp_path):
    sweep = read_sweep(Factory().write(tmp_path / "run"))
    search = [trial for trial in sweep.trials.values() if trial.phase == "search"]
    rows = rungs_of(sweep)
    assert [(row["first"], row["last"]) for row in rows] == [(3, 3), (6, 6)]
    for row in rows:
        reached = [trial for trial in search if len(trial.measurements) >= row["first"]]
        words = f"at epoch {row['first']} did not reach"
        assert row["reached"] == len(reached) < len(search)
        assert row["stopped"] == sum(words in trial.reason for trial in search) > 0


def test_rungs_at_every_epoch_are_joined():
    median = {"name": "median", "grace_period": 5}
    fixed = {**small_spec().fixed, "epochs": 30}
    sweep, _ = new_sweep(small_spec(scheduler=median, fixed=fixed))
    play(sweep)
    rows = rungs_of(sweep)
    assert [(row["first"], row["last"]) for row in rows[:2]] == [(5, 7), (8, 10)]
    assert rows[-1]["last"] == 29
    assert rows[0]["reached"] == 12
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    assert sum(row["stopped"] for row in rows) == len(stopped) > 0
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    assert rungs_of(sweep) == []


def test_nodes_tell_what_the_ledger_and_their_files_know_and_no_more(run):
    sweep = read_sweep(run)
    (host,) = {trial.host for trial in sweep.trials.values() if trial.host}
    some = [trial for trial in sweep.trials.values() if trial.host][:2]
    assert nodes_of(run, sweep, some) == [{"name": host, "devices": {"cpu": 2}, "use": None}]
    write_use(run / NODES_DIR)
    (run / NODES_DIR / "torn.json").write_text('{"node": "to')
    (run / NODES_DIR / "odd.json").write_text("[1]")
    fast = {"node": "fast", "time": time.time() + 90, "cpu_percent": 3.0, "gpus": []}
    (run / NODES_DIR / "fast.json").write_text(json.dumps(fast))
    (ahead,) = [node for node in nodes_of(run, sweep, []) if node["name"] == "fast"]
    assert ahead["use"]["age"] == 0.0
    (run / NODES_DIR / "fast.json").unlink()
    idle = {"node": "other", "time": time.time() - 90, "cpu_percent": 3.0, "gpus": []}
    (run / NODES_DIR / "other.json").write_text(json.dumps(idle))
    other, here = sorted(nodes_of(run, sweep, []), key=lambda node: node["name"] == host)
    assert (here["name"], here["devices"], here["use"]["gpus"]) == (host, {"cpu": 0}, read_gpus())
    used, total = here["use"]["memory"]
    assert 0 < used < total
    assert here["use"]["age"] < 60
    assert (other["name"], other["devices"]) == ("other", {})
    assert 90 <= other["use"]["age"] < 150


def test_a_sweep_is_stopped_by_a_post_only_and_only_while_it_runs(server, run):
    assert ask(server, "stop/one", method="POST")[0] == 409
    with hold(run):
        assert ask(server, "stop/one")[0] == 404
        assert ask(server, "stop/one", method="POST", token="x")[0] == 403
        assert not (run / STOP_FILE).exists()
        assert ask(server, "stop/one", method="POST")[0] == 200
    assert (run / STOP_FILE).exists()


def in_browser(test):
    """A test that needs Chromium."""
    missing = pytest.mark.skipif(not PROGRAM, reason="no Chromium here; apt-get install chromium")
    return pytest.mark.long(missing(test))


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as opened:
        yield opened


def open_page(browser, server, *, width=1280, scheme="light"):
    browser.look(width=width, scheme=scheme)
    browser.send("Page.navigate", url=server.address)
    browser.wait("!!document.body && document.body.dataset.version > 0")


def press(browser, key, code=0, *, shift=False):
    """Press a key as a keyboard does."""
    text = {"Enter": "\r", " ": " "}.get(key)
    words = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
    down = words | ({"text": text} if text else {})
    browser.send("Input.dispatchKeyEvent", type="keyDown", **down)
    browser.send("Input.dispatchKeyEvent", type="keyUp", **words)


def tab_to(browser, what):
    """Press Tab until the element that has the focus fulfils a condition."""
    for _ in range(60):
        press(browser, "Tab", 9)
        if browser.run(f"(one => {what})(document.activeElement)"):
            return
    raise AssertionError(f"Tab does not reach an element with {what}")


SHOWN = "[...document.querySelectorAll('#rows tr')].map(row => row.cells[{}].textContent)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@in_browser
def test_the_page_shows_a_run_and_runs_no_script_of_it(server, browser, failed, width, scheme):
    open_page(browser, server, width=width, scheme=scheme)
    assert browser.run("document.title") == "one"
    assert EVIL in browser.run("document.getElementById('rows').textContent")
    browser.run("document.querySelector('#failed summary').click()")
    browser.wait(f"document.querySelector('#failed pre').textContent.includes({EVIL!r})")
    assert EVIL in browser.run("document.querySelector('#failed summary').textContent")
    browser.run(f"choose({failed!r})")
    browser.wait("document.querySelectorAll('#chosen dt').length > 2")
    assert EVIL in browser.run("document.querySelector('#chosen').textContent")
    assert browser.run("document.querySelectorAll('polyline').length") > 0
    assert browser.run("document.documentElement.scrollWidth") <= width
    shown = browser.run("document.querySelectorAll('#rows tr').length")
    assert shown == len(news(server)["trials"])
    command = browser.run("document.querySelector('#command code').textContent")
    assert command == news(server)["retry"]
    assert browser.run("document.getElementById('retry').hidden")
    assert [c for c in browser.complaints if "favicon" not in c] == []


@in_browser
def test_keys_alone_sort_filter_choose_and_stop_a_trial(server, run, browser):
    ledger = run / LEDGER_FILE
    lines = ledger.read_text("utf-8").splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if '"measurement"' in line)
    ledger.write_text("".join(lines[: first + 1]))
    with hold(run):
        open_page(browser, server)
        browser.run("window.confirm = text => { window.said = text; return true; }")
        tab_to(browser, "one.dataset.status === 'RUNNING'")
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle === 'solid'"), (
            "one sees where the keyboard is"
        )
        press(browser, " ", 32)
        assert browser.run(SHOWN.format(1)) == ["running"]
        assert browser.run("document.activeElement.ariaPressed") == "true"
        tab_to(browser, "one.tagName === 'INPUT'")
        browser.send("Input.insertText", text="no such trial")
        assert browser.run(SHOWN.format(1)) == []
        browser.run("document.activeElement.value = ''")
        browser.send("Input.insertText", text="RUNNING seed")
        assert browser.run(SHOWN.format(1)) == ["running"]
        tab_to(browser, "one.textContent === 'epoch'")
        press(browser, "Enter", 13)
        assert browser.run("document.activeElement.parentElement.ariaSort") == "descending"
        press(browser, "Enter", 13)
        assert browser.run("document.activeElement.parentElement.ariaSort") == "ascending"
        assert browser.run("document.querySelectorAll('[aria-sort]').length") == 1
        tab_to(browser, "!!one.dataset.trial")
        press(browser, "Enter", 13)
        browser.wait("!!document.querySelector('polyline.chosen')")
        assert browser.run("!!document.activeElement.closest('tr[aria-current=true]')")
        trial = browser.run("document.activeElement.dataset.trial")
        for _ in range(60):
            press(browser, "Tab", 9, shift=True)
            if browser.run(f"document.activeElement.id === 'stop-{trial}'"):
                break
        press(browser, "Enter", 13)
        browser.wait(f"document.getElementById('stop-{trial}').disabled")
        assert "not trained further" in browser.run("window.said")
        assert (run / f"{STOP_FILE}-{trial}").exists()


@in_browser
def test_a_failed_trial_or_all_of_them_are_trained_again(server, run, failed, browser):
    with hold(run):
        open_page(browser, server)
        browser.run(f"choose({failed!r})")
        browser.wait(f"!!document.getElementById('retry-{failed}')")
        browser.run(f"document.getElementById('retry-{failed}').click()")
        browser.wait(f"document.getElementById('retry-{failed}').disabled")
        assert (run / f"{RETRY_FILE}-{failed}").exists()
        assert browser.run("document.getElementById('command').hidden")
        browser.run("document.getElementById('retry').click()")
        browser.wait("document.getElementById('retry').disabled")
        assert (run / RETRY_FILE).exists()


@in_browser
def test_of_all_runs_the_page_shows_one_that_is_running_until_another_is_chosen(
    server, run, browser
):
    shutil.copytree(run, run.with_name("a finished one"))
    with hold(run):
        listed = [{"name": "a finished one", "running": False}, {"name": "one", "running": True}]
        assert json.loads(ask(server, "runs")[1]) == listed
        open_page(browser, server)
        assert browser.run("document.title") == "one"
        chosen = "document.getElementById('runs').selectedOptions[0].textContent"
        assert browser.run(chosen) == "one (running)"
        browser.run(
            """(() => {
              const list = document.getElementById("runs");
              list.value = "a finished one";
              list.dispatchEvent(new Event("change"));
            })()"""
        )
        browser.wait("document.title === 'a finished one'")
        assert browser.run(chosen) == "a finished one"
        browser.wait("document.getElementById('said').textContent === ''")
        assert browser.complaints == [c for c in browser.complaints if "favicon" in c]


@in_browser
def test_thousands_of_trials_come_a_page_at_a_time_and_the_rest_is_counted(browser, tmp_path):
    write_big_run(tmp_path / "runs" / "big", trials=300, epochs=12, pictures=40)
    with LiveServer(tmp_path / "runs") as opened:
        thread = threading.Thread(target=opened.serve_forever, args=(0.02,))
        thread.start()
        open_page(browser, opened)
        told = "document.getElementById('shown').textContent"
        assert browser.run(told) == "1 to 50 of 300 trials"
        values = [float(text) for text in browser.run(SHOWN.format(3))]
        assert len(values) == 50
        assert values == sorted(values, reverse=True)
        browser.run("document.getElementById('after').click()")
        assert browser.run(told) == "51 to 100 of 300 trials"
        assert float(browser.run(SHOWN.format(3))[0]) <= values[-1]
        counted = browser.run("document.querySelector('[data-status=COMPLETED]').textContent")
        browser.run("document.querySelector('[data-status=COMPLETED]').click()")
        count = int(counted.rsplit(maxsplit=1)[-1])
        shown = f"1 to {min(50, count)} of {count} trials; {300 - count} others do not match"
        assert browser.run(told) == shown
        opened.shutdown()
        thread.join()


def test_the_page_of_one_run_or_all_is_served_at_the_port_that_is_asked_for(tmp_path, monkeypatch):
    run = tmp_path / "runs" / "one"
    for place in (run, run.with_name("two")):
        place.mkdir(parents=True)
        (place / LEDGER_FILE).touch()
    with LiveServer(tmp_path) as server:
        port = server.server_port
    monkeypatch.chdir(tmp_path)
    for place, names in ((None, ["one", "two"]), (Path("runs/one"), ["one"])):
        with _server(place, port) as server:
            assert (server.server_port, server.names()) == (port, names)
    monkeypatch.chdir(run)
    with _server(Path(), 0) as server:
        assert server.names() == ["one"]
