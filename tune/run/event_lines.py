"""Checks the lines of a ledger against the kinds of event in `tune.run.events`."""

import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from fairsweep.errors import UserError
from tune.run.events import LEDGER_VERSION, Event, MeasurementTaken
from tune.run.trial import MEASURED, TIMINGS, Figures, Status

VERSION_KEY = "ledger"
_WAY_OUT = "put back a copy of this file, or cut it off before this line"


class LineReader:
    """Reads the lines of one ledger in order, and checks each of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self._proposed: set[str] = set()

    def read(self, line: bytes) -> dict[str, Any]:
        """Return the event in the next line of the ledger.

        Raises:
            UserError: The ledger is of a newer version; or the line is no JSON, an unknown event or
                of a wrong shape; or it proposes a trial twice or names one that was not proposed.
                The message names the file and the line.
        """
        self._number += 1
        try:
            event = json.loads(line)
        except ValueError as error:
            raise self._refusal(f"is damaged: {error}; {_WAY_OUT}") from None
        try:
            self._check(event)
        except _ShapeError as error:
            raise self._refusal(f"{error}; {_WAY_OUT}") from None
        checked: dict[str, Any] = event
        return checked

    def _refusal(self, message: str) -> UserError:
        return UserError(f"{self._path}, line {self._number} {message}")

    def _check(self, event: Any) -> None:
        if type(event) is not dict:
            raise _ShapeError(f"must be an event, but is {_short(event)}")
        if self._number == 1:
            self._check_version(event.get(VERSION_KEY, 1))
        name = event.get("event")
        if type(name) is not str or name not in _KINDS:
            raise _ShapeError(f"has an unknown event {_short(name)}")
        for field in _KINDS[name]:
            field.check(name, event)
        self._check_trials(name, event)

    def _check_version(self, version: Any) -> None:
        if type(version) is not int or version < 1:
            raise _ShapeError(f"must give {VERSION_KEY} as a version, but gives {_short(version)}")
        if version > LEDGER_VERSION:
            raise self._refusal(
                f"has version {version} of the ledger, but this program reads up to "
                f"{LEDGER_VERSION}; use the newer program that wrote it"
            )

    def _check_trials(self, name: str, event: Mapping[str, Any]) -> None:
        trial = event.get("trial")
        if name == "trial_proposed":
            if trial in self._proposed:
                raise _ShapeError(f"proposes trial {trial} a second time")
            self._proposed.add(str(trial))
        elif trial is not None and trial not in self._proposed:
            raise _ShapeError(f"names trial {trial}, which was not proposed before")


class _ShapeError(ValueError):
    """What is wrong with a line, to go on with after its number."""


@dataclass(frozen=True, kw_only=True)
class _Field:
    """What a field of an event must be."""

    name: str
    types: tuple[type, ...]
    """What JSON may give."""
    words: str
    holds: Callable[[Any], bool]
    required: bool

    def check(self, event_name: str, event: Mapping[str, Any]) -> None:
        if self.name not in event:
            if self.required:
                raise _ShapeError(f"lacks {self.name} of {event_name}")
            return
        value = event[self.name]
        if type(value) not in self.types or not self.holds(value):
            raise _ShapeError(
                f"must give {self.name} of {event_name} as {self.words}, but gives {_short(value)}"
            )


def _anything(_value: Any) -> bool:
    return True


def _all_of(kind: type) -> Callable[[list[Any]], bool]:
    return lambda values: all(type(value) is kind for value in values)


def _are_figures(values: Mapping[str, Any]) -> bool:
    return all(type(values.get(name, "")) in _NUMBER_OR_NULL for name in _FIGURES)


_FIGURES = (*MEASURED, *TIMINGS)
_NUMBER_OR_NULL = (float, int, type(None))
_RULES: Mapping[Any, tuple[tuple[type, ...], str, Callable[[Any], bool]]] = {
    str: ((str,), "text", _anything),
    bool: ((bool,), "true or false", _anything),
    int: ((int,), "a whole number", _anything),
    float: ((float, int), "a number", math.isfinite),
    Mapping[str, Any]: ((dict,), "an object", _anything),
    tuple[str, ...]: ((list,), "a list of texts", _all_of(str)),
    tuple[Mapping[str, Any], ...]: ((list,), "a list of objects", _all_of(dict)),
    Figures: ((dict,), "a number or null for each figure", _are_figures),
    Status: ((str,), f"one of {', '.join(Status)}", lambda value: value in tuple(Status)),
    Literal["search", "finalist"]: (
        (str,), "search or finalist", lambda value: value in ("search", "finalist"),
    ),
}  # fmt: skip
"""Type of a field → the types that JSON may give, their words, and what the value must hold."""


def _name(event: type[Any]) -> str:
    if event is MeasurementTaken:
        return "measurement"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", event.__name__).lower()


def _fields(event: type[Any]) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(event)
    made = []
    for field in fields(event):
        hint = hints[field.name]
        optional = isinstance(hint, types.UnionType)
        kinds, words, holds = _RULES[typing.get_args(hint)[0] if optional else hint]
        required = field.default is MISSING
        made.append(
            _Field(name=field.name, types=kinds, words=words, holds=holds, required=required)
        )
    return tuple(made)


_KINDS: Mapping[str, tuple[_Field, ...]] = {
    _name(event): _fields(event) for event in typing.get_args(Event)
}
"""Name of an event in the ledger → its fields."""


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"
