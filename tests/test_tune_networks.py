"""Own networks are found wherever a spec names them."""

import pytest

from fairsweep.own_code.signature import Hyperparameter
from models.config import TrainConfig
from tests.support.sweeps import own_network, small_spec
from tune.sweep.networks import names_own_families_alone, own_families

OWN, OTHER, TIMM = "nets:Own", "nets:Other", "timm:resnet18"


@pytest.mark.parametrize(
    ("space", "families"),
    [
        ({"family": [OWN, "resnet", TIMM, OWN]}, [OWN, TIMM]),
        ({"family": {OTHER: {"width": [1, 2]}, "plain": {}}}, [OTHER]),
        ({"family": {"from": "optimizer", "map": {"sgd": OWN, "adamw": "resnet"}}}, [OWN]),
        ({"optimizer": {"sgd": {"family": [OTHER]}, "adamw": {"family": {OWN: {}}}}}, [OTHER, OWN]),
        ({"kernel_size": [3, 5], "dropout": {"low": 0.0, "high": 0.5}}, []),
    ],
)
def test_a_space_names_own_networks_in_lists_choices_maps_and_parts(space, families):
    assert own_families({}, space) == families
    assert own_families({"family": TIMM}, space) == [TIMM, *[f for f in families if f != TIMM]]


def test_own_networks_are_alone_if_no_family_is_ours():
    assert names_own_families_alone({"family": OWN}, {})
    assert names_own_families_alone({}, {"family": [OWN, TIMM]})
    assert not names_own_families_alone({}, {"family": [OWN, "resnet"]})
    assert not names_own_families_alone({"family": "resnet"}, {"family": [OWN]})
    assert not names_own_families_alone({}, {"kernel_size": [3, 5]}), "it is the default family"


def test_a_name_tells_values_that_are_not_the_default_or_have_none():
    known = {
        "width": Hyperparameter(kind="int", required=True),
        "depth": Hyperparameter(kind="int", default=2),
        "stride": Hyperparameter(kind="int", default=1),
    }
    network = own_network(**known)
    values = {"family": OWN, "width": 3, "depth": 2, "stride": 4}
    config = TrainConfig.create(network.complete(OWN, values))
    assert network.name_of(config) == "Own_stride=4_width=3"


def test_each_own_network_of_a_space_has_hyperparameters_of_its_own():
    networks = {
        family: own_network(**{name: Hyperparameter(kind="int")}).model_dump()
        for family, name in ((OWN, "width"), (OTHER, "depth"))
    }
    space = {"family": {OWN: {"width": [2]}, OTHER: {"depth": [3]}}}
    spec = small_spec(fixed={"epochs": 9}, space=space, networks=networks)
    configs = [spec.config(spec.search_space.at(p), seed=0) for p in spec.search_space.grid()]
    assert [config.own for config in configs] == [(("width", 2),), (("depth", 3),)]
