"""What the declaration of a data class makes of values: its types, or a refusal in one line."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BeforeValidator, Field

from fairsweep.errors import UserError, nearest
from models.validation import check_values


def refuse(_value: Any) -> Any:
    raise UserError("must be left out")


@dataclass
class Declared:
    whole: Annotated[int, Field(ge=1, le=9)] | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    inside: Annotated[float, Field(gt=0, lt=1)] = 0.5
    width: Annotated[int, Field(ge=1, le=9)] | Literal["flat"] | None = None
    choice: Literal["constant", "cosine", "one_cycle"] = "constant"
    flag: bool = False
    own: Annotated[str, BeforeValidator(refuse)] | None = None


def checked(name, value):
    return check_values(Declared, vars(Declared()) | {name: value})[name]


def refusal(name, value):
    with pytest.raises(UserError) as caught:
        checked(name, value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("whole", np.int64(4), 4),
        ("share", np.float32(0.5), 0.5),
        ("share", 1, 1.0),
        ("width", "flat", "flat"),
        ("whole", None, None),
    ],
)
def test_a_value_gets_the_type_that_is_declared(name, value, expected):
    found = checked(name, value)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("value", [True, float("inf"), float("nan"), "0.5", None, [1], 1.01, -0.01])
def test_what_is_no_finite_number_within_bounds_is_refused(value):
    rule = "share must be a number of at least 0 and at most 1, but got"
    assert refusal("share", value).startswith(f"{rule} {value!r}")


@pytest.mark.parametrize("value", [0, 10, 3.0, True, "3", [3]])
def test_a_refused_whole_number_is_told_both_bounds(value):
    assert refusal("whole", value) == f"whole must be a whole number from 1 to 9, but got {value!r}"


def test_open_ends_are_told():
    for value in (0, 1):
        message = f"inside must be a number above 0 and below 1, but got {value}"
        assert refusal("inside", value) == message


def test_a_word_beside_whole_numbers_is_told():
    assert refusal("width", "Flat") == (
        "width must be a whole number from 1 to 9 or 'flat', but got 'Flat'"
    )


def test_only_text_gets_the_hint_on_yaml():
    assert refusal("share", "1e-3").endswith(
        "but got '1e-3'; YAML reads 1e-3 as text, write 1.0e-3"
    )
    assert refusal("share", 2).endswith("but got 2")


@pytest.mark.parametrize(
    ("value", "near"), [("cosin", "cosine"), ("constan", "constant"), (1, "cosine")]
)
def test_a_refused_word_is_told_the_nearest(value, near):
    message = refusal("choice", value)
    assert message.startswith(
        f"choice must be one of constant, cosine, one_cycle, but got {value!r}; the nearest is "
    )
    assert isinstance(value, int) or message.endswith(f"{near!r}")


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_flag_is_true_or_false_and_nothing_like_it(value):
    assert refusal("flag", value) == f"flag must be true or false, but got {value!r}"


def test_the_message_of_a_fields_own_validator_gets_the_name():
    assert refusal("own", 3) == "own must be left out"


def test_the_nearest_is_told_however_far_it_is():
    assert nearest("xyz", ("adam", "sgd")) in ("adam", "sgd")
    assert nearest("kernal", iter(["blocks", "kernel_size", "channels"])) == "kernel_size"


def test_of_several_refused_values_the_first_field_s_is_told():
    with pytest.raises(UserError, match=r"^whole must be a whole number from 1 to 9, but got 0$"):
        check_values(Declared, vars(Declared()) | {"share": 2, "whole": 0, "flag": 1})
