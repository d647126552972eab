import json

import pytest

from tune.run.directory import LEDGER_FILE
from tune.run.event_lines import to_json
from tune.run.events import NodeJoined, NodeLost
from tune.run.ledger import Ledger, read_events, write_ledger

FIRST = NodeLost(time=1.5, node="knöten 1")
SECOND = NodeJoined(time=2.0, node="n2")
LINE = json.dumps(to_json(SECOND)) + "\n"


def test_an_event_is_on_disk_when_append_returns(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.append(FIRST)
        assert read_events(tmp_path) == [FIRST]
        ledger.append(SECOND)
        assert (tmp_path / LEDGER_FILE).read_text("utf-8").splitlines() == [
            '{"ledger": 1, "event": "node_lost", "node": "knöten 1", "time": 1.5}',
            LINE.rstrip(),
        ]


def test_a_ledger_that_is_written_at_once_has_the_lines_of_one_that_grew(tmp_path):
    for events in ([FIRST], [FIRST, SECOND]):
        grown, whole = (tmp_path / f"{kind}-{len(events)}" for kind in ("grown", "whole"))
        for run in (grown, whole):
            run.mkdir()
        with Ledger(grown) as ledger:
            for event in events:
                ledger.append(event)
        write_ledger(whole, events)
        assert (whole / LEDGER_FILE).read_bytes() == (grown / LEDGER_FILE).read_bytes()


def test_a_ledger_that_is_opened_again_is_written_on(tmp_path):
    for event in (FIRST, SECOND):
        with Ledger(tmp_path) as ledger:
            ledger.append(event)
    assert read_events(tmp_path) == [FIRST, SECOND]


@pytest.mark.parametrize("rest", ["{", '{"event": "node_lost"}', "\xff"])
def test_a_half_written_last_line_is_cut_off_and_never_read(tmp_path, rest):
    path = tmp_path / LEDGER_FILE
    path.write_bytes(LINE.encode() + rest.encode("latin-1"))
    assert read_events(tmp_path) == [SECOND]
    with Ledger(tmp_path) as ledger:
        assert path.read_text() == LINE
        ledger.append(FIRST)
    assert read_events(tmp_path) == [SECOND, FIRST]


def test_a_damaged_line_is_named_by_its_number_from_one(tmp_path):
    (tmp_path / LEDGER_FILE).write_text(f"{LINE}no JSON\n{LINE}")
    with pytest.raises(ValueError, match=r"events\.jsonl, line 2 is damaged: "):
        read_events(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"is not a run directory \(no events\.jsonl\)"):
        read_events(tmp_path / "elsewhere")


def test_a_ledger_and_each_event_of_it_are_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("tune.run.ledger.sync_folder", flushed.append)
    monkeypatch.setattr(
        "tune.run.ledger.os.fdatasync",
        lambda _file: flushed.append((tmp_path / LEDGER_FILE).read_text().count("\n")),
    )
    with Ledger(tmp_path) as ledger:
        assert flushed == [tmp_path], "the name of a new file is an entry of its folder"
        ledger.append(FIRST)
        ledger.append(SECOND)
    assert flushed == [tmp_path, 1, 2]


def test_a_ledger_that_is_written_at_once_replaces_none_and_is_flushed_to_the_disk(
    tmp_path, monkeypatch
):
    flushed = []
    monkeypatch.setattr(
        "tune.run.ledger.os.fsync", lambda _file: flushed.append(read_events(tmp_path))
    )
    write_ledger(tmp_path, [FIRST, SECOND])
    assert flushed == [[FIRST, SECOND]]
    with pytest.raises(FileExistsError):
        write_ledger(tmp_path, [SECOND])
    assert read_events(tmp_path) == [FIRST, SECOND]


def test_a_ledger_is_closed_at_the_end_of_its_block_even_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), Ledger(tmp_path) as ledger:
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="closed file"):
        ledger.append(FIRST)
