"""Ledgers as tests look at them: each line as the plain object that stands in the file."""

import json
from pathlib import Path

from tune.run.directory import LEDGER_FILE
from tune.run.event_lines import LineReader, to_json


def read_lines(run):
    """The lines of a run's ledger; a half-written last one is left out."""
    *lines, _unfinished = (run / LEDGER_FILE).read_bytes().split(b"\n")
    return [json.loads(line) for line in lines]


def keep_in(lines):
    """What a sweep calls with each event, so that ``lines`` gets it as it reads back from disk."""
    return lambda event: lines.append(json.loads(json.dumps(to_json(event))))


def events_of(lines):
    """The events in the lines of a ledger."""
    reader = LineReader(Path(LEDGER_FILE))
    return [reader.read(json.dumps(line).encode()) for line in lines]
