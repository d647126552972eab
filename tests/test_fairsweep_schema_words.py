"""What a JSON schema allows, in words."""

import pytest

from fairsweep.schema_words import allowed


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"minimum": 0, "maximum": 1}, "a number of at least 0 and at most 1"),
        ({"exclusiveMinimum": 0, "maximum": 10}, "a number above 0 and at most 10"),
        ({"minimum": 0, "exclusiveMaximum": 1}, "a number of at least 0 and below 1"),
    ],
)
def test_both_ends_of_a_range_are_told_as_open_or_closed(schema, told):
    assert allowed({"type": "number", **schema}) == told


WHOLE = {"type": "integer", "minimum": 1, "maximum": 8}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (WHOLE, "a whole number from 1 to 8"),
        ({"type": "integer", "minimum": 2}, "a whole number of at least 2"),
        ({"type": "integer", "exclusiveMinimum": 2}, "a whole number above 2"),
        ({"type": "integer"}, "a whole number"),
        ({"type": "number", "exclusiveMaximum": 0.5}, "a number below 0.5"),
        ({"type": "boolean"}, "true or false"),
        ({"type": "string"}, "text"),
        ({"const": "auto"}, "'auto'"),
        ({"const": "auto", "type": "string"}, "'auto'"),
        ({"enum": ["b", "a"], "type": "string"}, "one of b, a"),
        ({"type": "array", "items": WHOLE}, "a list, each a whole number from 1 to 8"),
        ({"type": "object"}, "a mapping"),
        ({"$ref": "#/$defs/Resources"}, "a mapping"),
        ({"anyOf": [WHOLE, {"type": "null"}, {"type": "string"}]},
         "a whole number from 1 to 8 or text"),
    ],
)  # fmt: skip
def test_each_kind_has_its_words_and_null_has_none(schema, told):
    assert allowed(schema) == told


def test_a_kind_without_words_is_a_fault():
    with pytest.raises(NotImplementedError, match="no words for"):
        allowed({"type": "null", "title": "x"} | {"type": "tuple"})
