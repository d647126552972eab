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
