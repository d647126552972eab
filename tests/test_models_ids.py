"""Ids, short names and parameter counts stay what earlier versions made them.

`tests/fixtures/ids.json` was written by the version of 26 November 2026: for each family its
defaults, each hyperparameter away from its default, and all of them together; hyperparameters of
later versions were added at the end. Each line holds the
values, the configuration id, the trial id on a dataset with the fingerprint "fingerprint", the
short name, and, where the values shape the network, its parameters for 4 classes of 48×40 pictures.
"""

import json
from pathlib import Path

import pytest

from fairsweep.errors import UserError
from models.build import count_parameters
from models.config import FIELDS, TrainConfig
from models.hyperparameters import NETWORK
from models.registry import FAMILIES

PINNED = json.loads((Path(__file__).parent / "fixtures" / "ids.json").read_text())


def test_every_hyperparameter_of_every_family_is_pinned():
    pinned = {(values["family"], name) for values, *_ in PINNED for name in values}
    for family, known in FAMILIES.items():
        earlier = {current: name for name, current in known.earlier_names.items()}
        names = {earlier.get(name, name) for name in known.defaults} | {*FIELDS} - {*NETWORK}
        assert {(family, name) for name in names} <= pinned


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_and_names_stay_what_they_are_from_version_to_version(family):
    for values, configuration_id, trial_id, name, *_ in PINNED:
        if values["family"] == family:
            config = TrainConfig.create(values)
            found = (config.configuration_id, config.trial_id("fingerprint"), config.name)
            assert found == (configuration_id, trial_id, name), values
            assert TrainConfig.create(config.to_dict()).trial_id("fingerprint") == trial_id, values


@pytest.mark.parametrize("family", FAMILIES)
def test_networks_keep_their_parameter_counts(family):
    counted = [(values, rest[0]) for values, _, _, _, *rest in PINNED if rest]
    for values, parameters in counted:
        if values["family"] == family:
            config = TrainConfig.create(values)
            assert count_parameters(config, classes=4, image_shape=(48, 40)) == parameters, values


@pytest.mark.parametrize("family", ["plain", "staged"])
def test_stages_are_read_under_their_earlier_name_and_give_the_same_ids(family):
    earlier = TrainConfig.create({"family": family, "conv_depth": 2})
    assert earlier == TrainConfig.create({"family": family, "stages": 2})
    assert (earlier.stages, earlier.conv_depth) == (2, None)
    assert "conv_depth" not in earlier.to_dict()
    assert earlier.by_every_name["conv_depth"] == earlier.by_every_name["stages"] == 2
    with pytest.raises(UserError, match=r"conv_depth is the earlier name of stages.*give only sta"):
        TrainConfig(family=family, conv_depth=2, stages=3)
    with pytest.raises(UserError, match="stages must be a whole number from 1 to 8, but got 9"):
        TrainConfig(family=family, conv_depth=9)
    with pytest.raises(UserError, match="stages must be a whole number from 1 to 8, but got 0"):
        TrainConfig(family=family, conv_depth=0)
    with pytest.raises(UserError, match="but got both: conv_depth 0 and stages 0; give only"):
        TrainConfig(family=family, conv_depth=0, stages=0)


def test_a_resnet_has_a_convolution_depth_and_no_stages():
    with pytest.raises(UserError, match="family resnet does not use stages, but got 2"):
        TrainConfig(stages=2)
    assert TrainConfig(conv_depth=1).conv_depth == 1
