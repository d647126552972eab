"""Checks values against the types and bounds that a data class declares, with one-line errors.

pydantic checks the values. Its messages lack the other bound and the fix, so our messages are made
from the JSON schema of the declaration.
"""

from collections.abc import Mapping
from functools import cache
from numbers import Integral, Real
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from fairsweep.errors import UserError, nearest
from fairsweep.schema_words import allowed, options_of


def check_values(declaration: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` converted to the types of the fields of ``declaration``.

    Whole numbers become floats where the type is float. NaN and infinity are refused. If a field's
    own validator raises `UserError`, the field's name is put before its message.

    Args:
        declaration: A class whose annotations give each field's type and bounds.
        values: A value for each field.

    Raises:
        UserError: A value breaks its rule; the message names the value, the rule and the fix.
    """
    model = _model(declaration)
    known = {name: _python_number(value) for name, value in values.items()}
    try:
        return dict(vars(model.model_validate(known)))
    except ValidationError as error:
        raise UserError(_explain(model, error)) from None


def _python_number(value: Any) -> Any:
    """Convert a number of another library, such as NumPy, to a Python number."""
    if value is None or type(value) in (int, float, bool, str):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


@cache
def _model(declaration: type) -> type[BaseModel]:
    hints = get_type_hints(declaration, include_extras=True)
    fields: dict[str, Any] = {name: (hint, ...) for name, hint in hints.items()}
    # Strict: text, 3.0 and True are not whole numbers.
    config = ConfigDict(strict=True, allow_inf_nan=False)
    return create_model(declaration.__name__, __config__=config, **fields)


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Describe the first error in one line."""
    first = error.errors(include_url=False)[0]
    name, value = str(first["loc"][0]), first["input"]
    if first["type"] == "value_error":
        return f"{name} {first['ctx']['error']}"
    schema = model.model_json_schema()["properties"][name]
    hint = _hint(options_of(schema)[0], value)
    return f"{name} must be {allowed(schema)}, but got {value!r}{hint}"


def _hint(schema: Mapping[str, Any], value: Any) -> str:
    """Suggest what the user may have meant."""
    if "enum" in schema:
        return f"; the nearest is {nearest(str(value), schema['enum'])!r}"
    if schema.get("type") == "number" and isinstance(value, str):
        return "; YAML reads 1e-3 as text, write 1.0e-3"
    return ""
