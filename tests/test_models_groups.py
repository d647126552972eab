import numpy as np
import pytest

from models.config import TrainConfig
from models.groups import check_groups

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
        ({"oversample": "age=child:2,age=child:3"}, r"must name each group once"),
        ({"oversample": 4}, r"oversample must be column=value:N"),
        ({"sample_weights": "age=child:-1"}, r"a number from 0 to 1000 .* got age=child:-1"),
        ({"sample_weights": "age=child:nan"}, r"got age=child:nan"),
        ({"balance": "age,age"}, r"balance must be a column, or several"),
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
    ],
)
def test_a_group_that_no_picture_has_is_refused_with_the_nearest(values, message):
    with pytest.raises(ValueError, match=message):
        check_groups(TrainConfig.create(values), COLUMNS)
    check_groups(TrainConfig(oversample="age=child:4", balance="age,label"), COLUMNS)
