"""Converts events to lines of a ledger and back, and checks every line that is read."""

import json
import math
from pathlib import Path
from typing import Any

from fairsweep.errors import UserError
from tune.run.event_fields import KIND_OF, KINDS, EventField
from tune.run.events import LEDGER_VERSION, Event, TrialProposed
from tune.run.trial import Figures

VERSION_KEY = "ledger"
_WAY_OUT = "restore a copy of this file, or delete this line and all lines after it"


def to_json(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event.

    Fields that are None are left out, and numbers that are not finite become null.
    """
    kind = KIND_OF[type(event)]
    line: dict[str, Any] = {"event": kind.name}
    for field in kind.fields:
        value = getattr(event, field.name)
        if type(value) is Figures:
            value = {k: number if math.isfinite(number) else None for k, number in value.items()}
        if value is not None:
            line[field.name] = value
    return line


class LineReader:
    """Reads the lines of one ledger in order, and checks each of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self._proposed: set[str] = set()

    def read(self, line: bytes) -> Event:
        """Return the event in the next line of the ledger.

        Raises:
            UserError: The ledger has a newer version; the line is not JSON, an unknown event or has
                a wrong shape; or it proposes a trial twice, or names a trial that was not proposed.
                The message names the file and the line.
        """
        self._number += 1
        try:
            values = json.loads(line)
        except ValueError as error:
            raise self._refusal(f"is damaged: {error}; {_WAY_OUT}") from None
        try:
            return self._event(values)
        except _ShapeError as error:
            raise self._refusal(f"{error}; {_WAY_OUT}") from None

    def _refusal(self, message: str) -> UserError:
        return UserError(f"{self._path}, line {self._number} {message}")

    def _event(self, values: Any) -> Event:
        if type(values) is not dict:
            raise _ShapeError(f"must be an event, but is {_short(values)}")
        if self._number == 1:
            self._check_version(values.get(VERSION_KEY, 1))
        name = values.get("event")
        if type(name) is not str or name not in KINDS:
            raise _ShapeError(f"has an unknown event {_short(name)}")
        kind = KINDS[name]
        found = {
            field.name: _read(name, field, values)
            for field in kind.fields
            if field.required or field.name in values
        }
        event: Event = kind.make(**found)
        self._check_trials(event, found.get("trial"))
        return event

    def _check_version(self, version: Any) -> None:
        if type(version) is not int or version < 1:
            raise _ShapeError(f"must have a version as {VERSION_KEY}, but has {_short(version)}")
        if version > LEDGER_VERSION:
            raise self._refusal(
                f"has version {version} of the ledger, but this program reads up to "
                f"{LEDGER_VERSION}; use the newer program that wrote it"
            )

    def _check_trials(self, event: Event, trial: str | None) -> None:
        if isinstance(event, TrialProposed):
            if trial in self._proposed:
                raise _ShapeError(f"proposes trial {trial} a second time")
            self._proposed.add(event.trial)
        elif trial is not None and trial not in self._proposed:
            raise _ShapeError(f"names trial {trial}, which was not proposed before")


class _ShapeError(ValueError):
    """A defect of a line; the message follows the line number in a sentence."""


def _read(event_name: str, field: EventField, values: dict[str, Any]) -> Any:
    if field.name not in values:
        raise _ShapeError(f"lacks {field.name} of {event_name}")
    value, kind = values[field.name], field.type
    if type(value) not in kind.types or not kind.holds(value):
        raise _ShapeError(
            f"must give {field.name} of {event_name} as {kind.words}, but gives {_short(value)}"
        )
    return value if kind.read is None else kind.read(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"
