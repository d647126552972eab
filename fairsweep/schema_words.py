"""Describes in words what a JSON schema allows, for messages and the reference of keys."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def is_null(schema: Schema) -> bool:
    """Return whether a schema allows nothing but null."""
    return schema.get("type") == "null"


def options_of(schema: Schema) -> list[Schema]:
    """Return the types that a schema allows, without null."""
    return [option for option in schema.get("anyOf", [schema]) if not is_null(option)]


def allowed(schema: Schema) -> str:
    """Describe what a schema allows, in words such as "a whole number from 1 to 8"."""
    return " or ".join(map(_words, options_of(schema)))


def _words(schema: Schema) -> str:
    match schema:
        case {"const": word}:
            return repr(word)
        case {"enum": words}:
            return f"one of {', '.join(words)}"
        case {"type": "integer"}:
            return f"a whole number{_bounds(schema)}"
        case {"type": "number"}:
            return f"a number{_bounds(schema)}"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "string"}:
            return "text"
        case {"type": "array", "items": items}:
            return f"a list, each {allowed(items)}"
        case {"type": "object"} | {"$ref": _}:
            return "a mapping"
    raise NotImplementedError(f"no words for {schema}")


def _bounds(schema: Schema) -> str:
    if schema["type"] == "integer" and {"minimum", "maximum"} <= schema.keys():
        return f" from {schema['minimum']} to {schema['maximum']}"
    limits = [f"{words} {schema[key]:g}" for key, words in _LIMITS.items() if key in schema]
    return f" {' and '.join(limits)}" if limits else ""


_LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
