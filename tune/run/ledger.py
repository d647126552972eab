"""The ledger of a run: append-only, one JSON object per line, on disk before the sweep acts."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from fairsweep.durable import sync_folder
from fairsweep.errors import MissingFileError
from tune.run.directory import LEDGER_FILE
from tune.run.event_lines import VERSION_KEY, LineReader, to_json
from tune.run.events import LEDGER_VERSION, Event


class Ledger:
    """Appends events to a run's ledger. One writer at a time.

    An incomplete last line of a killed writer is removed, because the sweep has not acted on it.
    """

    def __init__(self, run: Path) -> None:
        self._file = (run / LEDGER_FILE).open("a+b")
        sync_folder(run)
        self._file.seek(0)
        whole = self._file.read().rfind(b"\n") + 1
        self._file.truncate(whole)
        self._empty = whole == 0

    def append(self, event: Event) -> None:
        """Write one event, and return when it is on disk. The first line has the version."""
        self._file.write(_line(event, first=self._empty))
        self._empty = False
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write_ledger(run: Path, events: Iterable[Event]) -> None:
    """Write the complete ledger of a new run at once, for example of an imported one."""
    with (run / LEDGER_FILE).open("xb") as file:
        for number, event in enumerate(events):
            file.write(_line(event, first=number == 0))
        file.flush()
        os.fsync(file.fileno())


def _line(event: Event, *, first: bool) -> bytes:
    version = {VERSION_KEY: LEDGER_VERSION} if first else {}
    return json.dumps({**version, **to_json(event)}, ensure_ascii=False).encode() + b"\n"


def read_events(run: Path) -> list[Event]:
    """Read the ledger of a run; an incomplete last line is ignored.

    Raises:
        MissingFileError: ``run`` has no ledger.
        UserError: The ledger has a newer version, or a line has a wrong shape.
    """
    path = run / LEDGER_FILE
    if not path.is_file():
        raise MissingFileError(f"{run} is not a run directory (no {LEDGER_FILE})")
    *lines, _unfinished = path.read_bytes().split(b"\n")
    reader = LineReader(path)
    return [reader.read(line) for line in lines]
