import numpy as np
import pytest

from models.config import TrainConfig
from models.groups import GroupFactor, group_factors
from models.known_groups import check_groups

COLUMNS = {"age": np.array(["child", "adult", ""]), "label": np.array(["angry", "bored", "angry"])}


def test_one_choice_is_written_in_one_way():
    one = TrainConfig(oversample="gender=female:2, age=child:4")
    other = TrainConfig(oversample="age = child:4.0,gender=female:2")
    assert one.oversample == other.oversample == "age=child:4,gender=female:2"
    assert one.trial_id("f") == other.trial_id("f") != TrainConfig().trial_id("f")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"oversample": "age"}, r"oversample must be column=value:N, .* got 'age'; for example"),
        ({"oversample": "age=child:2.5"}, r"a whole number from 2 to 1000 .* got age=child:2.5"),
        ({"oversample": "age=child:1"}, r"got age=child:1"),
        ({"oversample": "age=child:4,age=adult:1"}, r"but got age=adult:1$"),
        ({"oversample": "age=child:2,age=child:3"}, r"must name each group once"),
        ({"oversample": 4}, r"oversample must be column=value:N"),
        ({"sample_weights": "age=child:-1"}, r"a number from 0 to 1000 .* got age=child:-1"),
        ({"sample_weights": "age=child:nan"}, r"got age=child:nan"),
        ({"balance": "age,age"}, r"balance must be a column, or several"),
        ({"balance": "age, age"}, r"balance must be a column, or several"),
        ({"balance": "age,"}, r"balance must be a column, or several .* got 'age,'"),
        ({"balance": ["age"]}, r"balance must be a column, or several"),
        ({"oversample": "age=child:1001"}, r"from 2 to 1000 .* got age=child:1001"),
        ({"oversample": "=child:2"}, r"got '=child:2'; for example age=child:4"),
        ({"oversample": "=age=child:2"}, r"got '=age=child:2'; for example age=child:4"),
        ({"sample_weights": "age=child:1000.5"}, r"a number from 0 to 1000 .* got age=child:1000"),
        ({"sample_weights": "age=child:inf"}, r"got age=child:inf"),
        ({"initial": "0123456789ABCDEF"}, r"initial must be the hash of a file"),
        ({"groups": "0" * 17}, r"groups must be the hash of a file"),
        ({"initial": "best.pt"}, r"initial must be the hash of a file"),
    ],
)
def test_what_names_no_groups_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.create(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"oversample": "agee=child:4"},
            r"column .* got 'agee'; the nearest is 'age' \(all: age, la",
        ),
        (
            {"sample_weights": "age=chidl:4"},
            r"group of age, .* nearest is 'child' \(all: adult, ch",
        ),
        ({"balance": "sex"}, r"balance must name a column of the pictures, but got 'sex'"),
        ({"balance": "age,sex"}, r"balance must name a column of the pictures, but got 'sex'"),
        (
            {"oversample": "age=child:4,label=sad:2"},
            r"oversample must name a group of label, .* 'sad",
        ),
        ({"sample_weights": "age=:4"}, r"sample_weights must be column=value:N"),
    ],
)
def test_a_group_that_no_picture_has_is_refused_with_the_nearest(values, message):
    with pytest.raises(ValueError, match=message):
        check_groups(TrainConfig.create(values), COLUMNS)
    check_groups(TrainConfig(oversample="age=child:4", balance="age,label"), COLUMNS)


@pytest.mark.parametrize(
    "values",
    [
        {"oversample": "age=child:2"}, {"oversample": "age=child:1000"},
        {"oversample": "age=adult:2,age=child:3"},
        {"sample_weights": "age=child:0"}, {"sample_weights": "age=child:1000"},
        {"sample_weights": "age=child:0.25"}, {"balance": "age,label"},
        {"oversample": "taken at=10:30 h:3"}, {"groups": "0123456789abcdef"},
    ],
)  # fmt: skip
def test_what_names_groups_is_kept_as_it_is(values):
    assert TrainConfig.create(values).to_dict().items() >= values.items()


def test_columns_stand_in_order():
    assert TrainConfig(balance="label, age").balance == "age,label"


def test_a_group_has_a_column_a_value_and_a_number():
    found = group_factors("age = young child : 4,taken at=10:30 h:0.5")
    assert found == (
        GroupFactor("age", "young child", 4.0),
        GroupFactor("taken at", "10:30 h", 0.5),
    )


def test_pictures_of_which_nothing_is_known_are_no_group_to_name():
    with pytest.raises(ValueError, match=r"\(all: adult, child\)"):
        check_groups(TrainConfig(oversample="age=nobody:2"), COLUMNS)


def test_a_dataset_without_columns_has_none_to_offer():
    with pytest.raises(ValueError, match=r"but got 'age' \(all: none\)"):
        check_groups(TrainConfig(balance="age"), {})


def test_of_many_groups_the_first_twenty_are_told():
    values = np.array([f"g{number:02}" for number in range(30)][::-1])
    with pytest.raises(ValueError, match=r"\(all: g00, g01, .*, g19, …\)"):
        check_groups(TrainConfig(oversample="age=child:2"), {"age": values})
    with pytest.raises(ValueError, match=r"g19\)"):
        check_groups(TrainConfig(oversample="age=child:2"), {"age": values[10:]})
