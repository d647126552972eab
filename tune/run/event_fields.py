"""The fields of each kind of event: their types in a ledger line, and how they are read."""

import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from tune.run.events import Event, MeasurementTaken
from tune.run.trial import (
    FINISHED,
    MEASURED,
    TIMINGS,
    Figures,
    Phase,
    Status,
    is_metric_name,
)


@dataclass(frozen=True, kw_only=True)
class FieldType:
    """How values of one type are represented in a ledger line."""

    types: tuple[type, ...]
    """Accepted types of the JSON value."""
    words: str
    """Description of the required value, for messages."""
    holds: Callable[[Any], bool] = lambda _value: True
    """Checks a value of these types."""
    read: Callable[[Any], Any] | None = None
    """Converts the JSON value to the field's value; None if they are equal."""


@dataclass(frozen=True, kw_only=True)
class EventField:
    """One field of a kind of event."""

    name: str
    type: FieldType
    required: bool


@dataclass(frozen=True, kw_only=True)
class EventKind:
    """A kind of event in the ledger."""

    name: str
    """Value of ``event`` in a line."""
    make: type[Any]
    fields: tuple[EventField, ...]
    """In the order of a line, with the time last."""


def _all_of(kind: type) -> Callable[[list[Any]], bool]:
    return lambda values: all(type(value) is kind for value in values)


_FIGURES = frozenset((*MEASURED, *TIMINGS))
_NUMBER_OR_NULL = (float, int, type(None))
_ENDS = [status for status in Status if status in FINISHED]


def _are_figures(values: Mapping[str, Any]) -> bool:
    if any(type(value) not in _NUMBER_OR_NULL for value in values.values()):
        return False
    # Only our training loop has pictures per second.
    if "images_per_second" in values or "seconds" not in values:
        return values.keys() >= _FIGURES
    return all(name == "seconds" or is_metric_name(name) for name in values)


def _read_figures(values: Mapping[str, float | None]) -> Figures:
    return Figures({k: math.nan if value is None else value for k, value in values.items()})


_TYPES: Mapping[Any, FieldType] = {
    str: FieldType(types=(str,), words="text"),
    bool: FieldType(types=(bool,), words="true or false"),
    int: FieldType(types=(int,), words="a whole number"),
    float: FieldType(types=(float, int), words="a number", holds=math.isfinite),
    Mapping[str, Any]: FieldType(types=(dict,), words="an object"),
    tuple[str, ...]: FieldType(
        types=(list,), words="a list of texts", holds=_all_of(str), read=tuple
    ),
    tuple[Mapping[str, Any], ...]: FieldType(
        types=(list,), words="a list of objects", holds=_all_of(dict), read=tuple
    ),
    Figures: FieldType(
        types=(dict,),
        words="a number or null for each figure",
        holds=_are_figures,
        read=_read_figures,
    ),
    Status: FieldType(
        types=(str,), words=f"one of {', '.join(_ENDS)}", holds=_ENDS.__contains__, read=Status
    ),
    Phase: FieldType(
        types=(str,),
        words=" or ".join(typing.get_args(Phase)),
        holds=typing.get_args(Phase).__contains__,
    ),
}
"""Type of a field → how its values are represented in a line."""


def _name(event: type[Any]) -> str:
    if event is MeasurementTaken:
        return "measurement"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", event.__name__).lower()


def _fields(event: type[Any]) -> tuple[EventField, ...]:
    hints = typing.get_type_hints(event)
    time, *others = fields(event)
    made = []
    for field in (*others, time):
        hint = hints[field.name]
        optional = isinstance(hint, types.UnionType)
        made.append(
            EventField(
                name=field.name,
                type=_TYPES[typing.get_args(hint)[0] if optional else hint],
                required=field.default is MISSING,
            )
        )
    return tuple(made)


KINDS: Mapping[str, EventKind] = {
    _name(event): EventKind(name=_name(event), make=event, fields=_fields(event))
    for event in typing.get_args(Event)
}
"""Name of an event in the ledger → its kind."""
KIND_OF: Mapping[type[Any], EventKind] = {kind.make: kind for kind in KINDS.values()}
"""Class of an event → its kind."""
