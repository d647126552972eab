"""Ids of configurations of own training code: what decides them, and what does not."""

import pytest

from fairsweep.errors import UserError
from fairsweep.own_code.signature import Signature
from tune.sweep.own_config import OwnConfig, TrainingCode


def config(code_hash="a1", epochs=3, given=(), **values):
    signature = Signature(hyperparameters={}, free=True, given=given)
    code = TrainingCode(reference="mine:train", hash=code_hash, signature=signature)
    return OwnConfig.create(code, {"width": 4, "epochs": epochs, "seed": 1, **values})


def ids(one):
    return one.configuration_id, one.trial_id("data")


def test_changed_code_is_another_configuration():
    assert ids(config()) == ids(config())
    assert not set(ids(config())) & set(ids(config(code_hash="b2")))


@pytest.mark.parametrize(("given", "differ"), [((), False), (("epochs",), True)])
def test_the_number_of_epochs_decides_only_where_the_code_gets_it(given, differ):
    few, many = ids(config(epochs=3, given=given)), ids(config(epochs=5, given=given))
    assert (few != many) is differ


def test_a_name_has_the_values_that_are_no_defaults_in_at_most_80_letters():
    assert config(of="a b/c").name == "train_width=4_of=a-b-c"
    assert config(of=3.0, rate=1 / 3).name == "train_width=4_of=3_rate=0.333333"
    assert config(of="y" * 200).name == "train_width=4_of=" + "y" * 63


def test_without_a_seed_it_is_0():
    code = config().code
    assert OwnConfig.create(code, {"epochs": 3}).seed == 0
    assert OwnConfig.create(code, {"epochs": 3, "seed": 4}).seed == 4


@pytest.mark.parametrize(
    ("good", "wrong"),
    [
        ({"fold": 0}, {"fold": -1}), ({"fold": 99_999}, {"fold": 100_000}),
        ({"folds": 2}, {"folds": 1}), ({"folds": 1000}, {"folds": 1001}),
        ({"seed": 0}, {"seed": -1}), ({"seed": 2**63 - 1}, {"seed": 2**63}),
        ({"epochs": 1}, {"epochs": 0}), ({"epochs": 1_000_000}, {"epochs": 1_000_001}),
    ],
)  # fmt: skip
def test_seed_fold_and_epochs_have_their_bounds(good, wrong):
    ((name, value),) = good.items()
    assert config(**good).to_dict()[name] == value
    with pytest.raises(UserError, match=f"^{name} must be a whole number"):
        config(**wrong)
