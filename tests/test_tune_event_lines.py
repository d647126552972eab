"""What a line of a ledger must be; each refusal names the file, the line and the way out."""

import json
import shutil

import pytest

from fairsweep.errors import UserError
from tests.support.ledgers import events_of, read_lines
from tests.support.old_runs import NAMES, unpack
from tests.support.sweeps import new_sweep, play, small_spec
from tune.run.directory import LEDGER_FILE
from tune.run.event_lines import to_json
from tune.run.events import LEDGER_VERSION
from tune.run.ledger import Ledger, read_events
from tune.session.status import list_runs
from tune.sweep.sweep import Sweep


def write(run, lines, start=0):
    run.mkdir(parents=True, exist_ok=True)
    with Ledger(run) as ledger:
        for event in events_of(lines)[start:]:
            ledger.append(event)
    return run / LEDGER_FILE


@pytest.fixture(scope="module")
def whole():
    """The ledger of a whole sweep."""
    sweep, events = new_sweep(small_spec(replicates=2, finalists=1))
    play(sweep, slots=2)
    sweep.close()
    return events


def test_the_first_line_carries_the_version_and_no_other(tmp_path, whole):
    path = write(tmp_path, whole[:2])
    write(tmp_path, whole[:4], start=2)
    first, *others = map(json.loads, path.read_text().splitlines())
    assert first["ledger"] == LEDGER_VERSION
    assert not any("ledger" in event for event in others)
    assert read_lines(tmp_path)[1:] == whole[1:4]


def test_every_event_of_a_sweep_has_the_shape_that_is_checked(tmp_path, whole):
    write(tmp_path, whole)
    events = read_events(tmp_path)
    assert len(events) == len(whole)
    assert Sweep(small_spec(replicates=2, finalists=1), fingerprint="f", events=events).finished


@pytest.mark.parametrize("name", NAMES)
def test_ledgers_of_earlier_versions_are_read_and_would_be_written_the_same(tmp_path, name):
    run = unpack(name, tmp_path)
    assert "ledger" not in read_lines(run)[0]
    lines = (run / LEDGER_FILE).read_text().splitlines()
    assert [json.dumps(to_json(event), ensure_ascii=False) for event in read_events(run)] == lines


BAD = {
    "null": "must be an event, but is null",
    "[]": "must be an event, but is \\[\\]",
    "17": "must be an event, but is 17",
    '{"event": "measur': "is damaged: ",
    '{"time": 1.0}': "has an unknown event null",
    '{"event": "trial_paused", "time": 1.0}': 'has an unknown event "trial_paused"',
    '{"event": ["a"], "time": 1.0}': "has an unknown event",
    '{"event": "sweep_stopped", "time": 1.0}': "lacks reason of sweep_stopped",
    '{"event": "sweep_stopped", "reason": "a"}': "lacks time of sweep_stopped",
    '{"event": "sweep_stopped", "reason": null, "time": 1.0}':
        "must give reason of sweep_stopped as text, but gives null",
    '{"event": "sweep_stopped", "reason": "a", "time": "now"}':
        'must give time of sweep_stopped as a number, but gives "now"',
    '{"event": "trial_started", "trial": "nobody", "devices": 1, "time": 1.0}':
        "names trial nobody, which was not proposed before",
    '{"event": "trial_ended", "trial": "TRIAL", "status": "GOOD", "reason": "", "time": 1.0}':
        "must give status of trial_ended as one of COMPLETED, EARLY_STOPPED, .*, but gives",
    '{"event": "measurement", "trial": "TRIAL", "epoch": 1.5, "values": {}, "time": 1.0}':
        "must give epoch of measurement as a whole number, but gives 1.5",
    '{"event": "measurement", "trial": "TRIAL", "epoch": 1, "values": {"val_loss": 1}, "time": 1}':
        "must give values of measurement as a number or null for each figure",
    '{"event": "measurement", "trial": "TRIAL", "epoch": 1, "values": {"f1": "a", "seconds": 1},'
    ' "time": 1}': "must give values of measurement as a number or null for each figure",
    '{"event": "measurement", "trial": "TRIAL", "epoch": 1, "values": {"a b": 1, "seconds": 1},'
    ' "time": 1}': "must give values of measurement as a number or null for each figure",
    '{"event": "finalists_chosen", "trials": [1], "time": 1.0}':
        "must give trials of finalists_chosen as a list of texts",
}  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_a_line_of_a_wrong_shape_is_refused_with_its_number(tmp_path, whole, line):
    path = write(tmp_path / "my run", whole[:5])
    trial = next(event["trial"] for event in whole if event["event"] == "trial_proposed")
    lines = [*path.read_text().splitlines(), line.replace("TRIAL", trial), ""]
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=rf"my run/{LEDGER_FILE}, line 6 {BAD[line]}") as refused:
        read_events(tmp_path / "my run")
    assert "\n" not in str(refused.value)
    assert "restore a copy of this file, or delete this line and all lines after it" in str(
        refused.value
    )


@pytest.mark.parametrize("line", [b'{"event": "caf\xe9"}', b"\xff\xfe", b"\x00\x00\x00"])
def test_a_line_that_is_no_text_is_refused_with_its_number(tmp_path, whole, line):
    path = write(tmp_path, whole[:5])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(UserError, match=r"line 6 is damaged: .*; restore a copy of this file, or"):
        read_events(tmp_path)


def test_a_trial_is_proposed_once(tmp_path, whole):
    proposed = next(event for event in whole if event["event"] == "trial_proposed")
    path = write(tmp_path, whole[:5])
    with path.open("a") as ledger:
        ledger.write(json.dumps(proposed) + "\n")
    with pytest.raises(UserError, match=rf"line 6 proposes trial {proposed['trial']} a second"):
        read_events(tmp_path)


@pytest.mark.parametrize(
    ("version", "words"),
    [(LEDGER_VERSION + 1, "reads up to 1; use the newer program"),
     (0, "must have a version as ledger, but has 0"),
     (True, "must have a version as ledger, but has true"),
     ("2", 'must have a version as ledger, but has "2"')],
)  # fmt: skip
def test_a_ledger_of_another_version_is_refused(tmp_path, whole, version, words):
    path = write(tmp_path, whole)
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {"ledger": version}), *others, ""]))
    with pytest.raises(UserError, match=f"line 1 .*{words}"):
        read_events(tmp_path)


def test_one_bad_ledger_does_not_hide_the_other_runs(tmp_path):
    name = NAMES[0]
    good = unpack(name, tmp_path / "runs")
    bad = good.with_name("a bad one")
    shutil.copytree(good, bad)
    with (bad / LEDGER_FILE).open("a") as ledger:
        ledger.write("17\n")
    found = {status["name"]: status for status in list_runs(good.parent)}
    assert "must be an event, but is 17" in found["a bad one"]["damage"]
    assert len([status for status in found.values() if "damage" not in status]) == 1


STRICT = {
    '{"event": "sweep_stopped", "reason": "a", "time": Infinity}':
        "must give time of sweep_stopped as a number, but gives Infinity",
    '{"event": "sweep_stopped", "reason": "a", "time": true}':
        "must give time of sweep_stopped as a number, but gives true",
    '{"event": "warm_started", "run": "a", "trials": [], "unfit": true, "time": 1}':
        "must give unfit of warm_started as a whole number, but gives true",
    '{"event": "trial_ended", "trial": "TRIAL", "status": "RUNNING", "reason": "", "time": 1}':
        "must give status of trial_ended as one of COMPLETED, EARLY_STOPPED, DIVERGED, "
        'INFEASIBLE, OVER_LIMIT, FAILED, but gives "RUNNING"',
    '{"event": "sweep_stopped", "reason": ["a reason in a list, which is not text"], "time": 1}':
        'must give reason of sweep_stopped as text, but gives ["a reason in a list, which is not te'
        "…",
}  # fmt: skip


@pytest.mark.parametrize("line", STRICT)
def test_a_value_is_not_taken_for_one_of_another_type(tmp_path, whole, line):
    path = write(tmp_path, whole[:5])
    trial = next(event["trial"] for event in whole if event["event"] == "trial_proposed")
    with path.open("a") as ledger:
        ledger.write(line.replace("TRIAL", trial) + "\n")
    with pytest.raises(UserError) as refused:
        read_events(tmp_path)
    assert f"line 6 {STRICT[line]}; restore a copy" in str(refused.value)


def test_a_number_without_a_point_is_a_number_too():
    (event,) = events_of([{"event": "sweep_stopped", "reason": "a", "time": 7}])
    assert event.time == 7


def test_the_time_stands_last_in_a_line():
    (event,) = events_of([{"time": 7.5, "event": "node_lost", "node": "n7"}])
    assert list(to_json(event)) == ["event", "node", "time"]
