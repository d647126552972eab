"""The live page's server: what is new in a run, and who may ask.

Tests `tune.session.live` and `tune.session.following`.
"""

import http.client
import json
import shutil
import threading

import pytest

from tests.support.browser import PROGRAM, Browser
from tests.support.run_factory import Factory
from tune.run.directory import LEDGER_FILE, STOP_FILE
from tune.run.lease import hold
from tune.session import following
from tune.session.following import Follower
from tune.session.live import LiveServer

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
        thread = threading.Thread(target=opened.serve_forever)
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
    assert ask(server, place, host=f"evil.example:{server.server_port}")[0] == 403


@pytest.mark.parametrize("name", ["..", "../one", "%2e%2e%2fruns%2fone", "%2Fetc", "one/.."])
def test_no_path_outside_the_folder_is_read(server, name):
    assert ask(server, f"run/{name}")[0] == 404


def test_a_sweep_is_stopped_by_a_post_only_and_only_while_it_runs(server, run):
    assert ask(server, "stop/one", method="POST")[0] == 409
    with hold(run):
        assert ask(server, "stop/one")[0] == 404
        assert ask(server, "stop/one", method="POST", token="x")[0] == 403
        assert not (run / STOP_FILE).exists()
        assert ask(server, "stop/one", method="POST")[0] == 200
    assert (run / STOP_FILE).exists()


@pytest.mark.long
@pytest.mark.skipif(not PROGRAM, reason="no Chromium here; apt-get install chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_shows_a_run_and_runs_no_script_of_it(server, run, tmp_path, width, scheme):
    text = (run / LEDGER_FILE).read_text("utf-8")
    assert '"reason": "' in text
    (run / LEDGER_FILE).write_text(text.replace('"reason": "', f'"reason": "{EVIL}'), "utf-8")
    with Browser(tmp_path / "profile") as browser:
        browser.look(width=width, scheme=scheme)
        browser.send("Page.navigate", url=server.address)
        browser.wait("!!document.body && document.body.dataset.version > 0")
        assert browser.run("document.title") == "one"
        assert EVIL in browser.run("document.getElementById('rows').textContent")
        assert browser.run("document.querySelectorAll('polyline').length") > 0
        assert browser.run("document.documentElement.scrollWidth") <= width
        shown = browser.run("document.querySelectorAll('#rows tr').length")
        assert shown == len(news(server)["trials"])
        browser.screenshot(tmp_path / "page.png", whole=True)
        browser.run("document.getElementById('filter').focus()")
        browser.send("Input.insertText", text="no such trial")
        browser.wait("document.querySelectorAll('#rows tr').length === 0")
        assert [c for c in browser.complaints if "favicon" not in c] == []
