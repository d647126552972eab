"""The hyperparameters of own code: keyword arguments with their types and defaults."""

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin

from fairsweep.errors import UserError, nearest
from fairsweep.own_code.failures import told

Scalar = bool | int | float | str
Kind = Literal["bool", "int", "float", "str"]
_KINDS: dict[type, Kind] = {bool: "bool", int: "int", float: "float", str: "str"}
_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
_Kinds = inspect.Parameter


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """A keyword argument that a spec can set."""

    kind: Kind
    values: tuple[Scalar, ...] = ()
    """The values of a ``Literal``; empty: every value of its kind."""
    required: bool = False
    """Whether it has no default."""
    default: Scalar | None = None

    def check(self, value: Any) -> Scalar:
        """Return ``value`` in the type of this hyperparameter.

        Raises:
            UserError: It has another type. The caller puts the name before the message.
        """
        value = _python_number(value)
        if self.values:
            same = [v for v in self.values if v == value and type(v) is type(value)]
            if not same:
                options = [str(known) for known in self.values]
                raise UserError(
                    f"must be one of {', '.join(options)}, but got {value!r}; the nearest is "
                    f"{nearest(str(value), options)!r}"
                )
            return same[0]
        if self.kind == "float" and type(value) is int:
            value = float(value)
        if _KINDS.get(type(value)) != self.kind or value in (math.inf, -math.inf) or value != value:
            hint = (
                "; YAML reads 1e-3 as text, write 1.0e-3"
                if self.kind == "float" and isinstance(value, str)
                else ""
            )
            raise UserError(f"must be {_WORDS[self.kind]}, but got {value!r}{hint}")
        checked: Scalar = value
        return checked


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a spec can set of own code, and what the code gets from us."""

    hyperparameters: Mapping[str, Hyperparameter]
    given: tuple[str, ...] = ()
    """The arguments that this program passes, of those that it offers."""
    others: tuple[str, ...] = ()
    """Arguments of other types, which keep their defaults."""
    free: bool = False
    """Whether it takes any further keyword arguments."""

    def complete(self, what: str, values: Mapping[str, Any]) -> dict[str, Scalar]:
        """Check the hyperparameters in ``values`` and return all, with defaults; None is left out.

        Args:
            what: The reference of the code, for messages.
            values: Values from a spec.

        Raises:
            UserError: A name is unknown, a value breaks its rule, or a value is missing.
        """
        found = dict(values)
        for name in values:
            if name not in self.hyperparameters and not self.free:
                raise UserError(self._unknown(what, name))
        complete: dict[str, Scalar] = {}
        for name, known in self.hyperparameters.items():
            value = found.pop(name, None)
            if value is None and known.required:
                raise UserError(f"{what} needs a value of {name}, which has no default; give it")
            if value is None and name in values and known.default is not None:
                raise UserError(f"{name} must not be null; leave it out for {known.default!r}")
            value = known.default if value is None else value
            if value is not None:
                complete[name] = _named(name, known, value)
        kinds = {name: _kind_of(value) for name, value in found.items() if value is not None}
        return complete | {
            name: _named(name, Hyperparameter(kind=kind), found[name])
            for name, kind in kinds.items()
        }

    def _unknown(self, what: str, name: str) -> str:
        if name in self.others:
            return (
                f"{name} of {what} cannot be set in a spec, which sets numbers, words, true and "
                "false; give it one of these types"
            )
        known = self.hyperparameters
        hint = f"; the nearest is {nearest(name, known)!r} (all: {', '.join(known)})"
        return f"{name!r} is not a hyperparameter of {what}{hint if known else ', which has none'}"

    def to_dict(self) -> dict[str, Any]:
        """Return the signature for YAML, from which `from_dict` reads it."""
        return {
            "hyperparameters": {
                name: {
                    "kind": known.kind,
                    **({"values": list(known.values)} if known.values else {}),
                    **({} if known.required else {"default": known.default}),
                }
                for name, known in self.hyperparameters.items()
            },
            "given": list(self.given),
            "others": list(self.others),
            "free": self.free,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        return cls(
            hyperparameters={
                name: Hyperparameter(
                    kind=entry["kind"],
                    values=tuple(entry.get("values", ())),
                    required="default" not in entry,
                    default=entry.get("default"),
                )
                for name, entry in values["hyperparameters"].items()
            },
            given=tuple(values["given"]),
            others=tuple(values["others"]),
            free=values["free"],
        )


def read_signature(what: str, target: Callable[..., Any], offered: Collection[str]) -> Signature:
    """Return the hyperparameters of a class or function.

    Args:
        what: Its reference, for messages.
        target: The class or function.
        offered: Names of the arguments that this program can pass; they are no hyperparameters.

    Raises:
        UserError: An argument can only be passed by position, or a required argument is neither
            offered nor of a type that a spec can set.
    """
    try:
        parameters = inspect.signature(target, eval_str=True).parameters
    except Exception as error:
        raise UserError(
            f"{what}: the types of its arguments cannot be read: {told(error)}"
        ) from error
    known: dict[str, Hyperparameter] = {}
    others = []
    for name, parameter in parameters.items():
        if parameter.kind in (_Kinds.POSITIONAL_ONLY, _Kinds.VAR_POSITIONAL):
            star = "*" if parameter.kind is _Kinds.VAR_POSITIONAL else ""
            raise UserError(
                f"{what} takes {star}{name} by position, but all arguments are passed by name; "
                "make it a keyword argument"
            )
        if name in offered or parameter.kind is _Kinds.VAR_KEYWORD:
            continue
        found = hyperparameter_of(parameter)
        if found is not None:
            known[name] = _with_default(what, name, found)
        elif parameter.default is parameter.empty:
            raise UserError(
                f"{what} needs {name}, whose type a spec cannot set; give it a type (int, float, "
                "bool, str or a Literal of them) or a default"
            )
        else:
            others.append(name)
    return Signature(
        hyperparameters=known,
        given=tuple(name for name in parameters if name in offered),
        others=tuple(others),
        free=any(p.kind is _Kinds.VAR_KEYWORD for p in parameters.values()),
    )


def hyperparameter_of(parameter: inspect.Parameter) -> Hyperparameter | None:
    """Return the argument as a hyperparameter; None if it has another type."""
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    hint = parameter.annotation
    if hint is parameter.empty:
        hint = type(default)
    if get_origin(hint) in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not NoneType]
        hint = options[0] if len(options) == 1 else None
    if get_origin(hint) is Literal:
        values = tuple(value for value in get_args(hint) if value is not None)
        kinds = {_KINDS.get(type(value)) for value in values}
        if None in kinds or not values:
            return None
        kind = kinds.pop() if len(kinds) == 1 else "str"
        return Hyperparameter(kind=kind or "str", values=values, required=required, default=default)
    known = _KINDS.get(hint) if isinstance(hint, type) else None
    return known and Hyperparameter(kind=known, required=required, default=default)


def _with_default(what: str, name: str, known: Hyperparameter) -> Hyperparameter:
    if not known.required and known.default is not None:
        try:
            known.check(known.default)
        except UserError as error:
            raise UserError(f"{what}: the default of {name} {error}") from None
    return known


def _named(name: str, known: Hyperparameter, value: Any) -> Scalar:
    try:
        return known.check(value)
    except UserError as error:
        raise UserError(f"{name} {error}") from None


def _kind_of(value: Any) -> Kind:
    kind = _KINDS.get(type(_python_number(value)))
    if kind is None:
        raise UserError(f"a hyperparameter is a number, a word, true or false, but got {value!r}")
    return kind


def _python_number(value: Any) -> Any:
    """Convert a number of another library, such as NumPy, to a Python number."""
    if value is None or type(value) in _KINDS:
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value
