"""Ids, short names and parameter counts stay what earlier versions made them.

`tests/fixtures/ids.json` was written by the version of 26 November 2026: for each family its
defaults, each hyperparameter away from its default, and all of them together. Each line holds the
values, the configuration id, the trial id on a dataset with the fingerprint "fingerprint", the
short name, and, where the values shape the network, its parameters for 4 classes of 48×40 pictures.
"""

import json
from pathlib import Path

import pytest

from models.build import count_parameters
from models.config import TrainConfig
from models.registry import FAMILIES

PINNED = json.loads((Path(__file__).parent / "fixtures" / "ids.json").read_text())


def test_every_hyperparameter_of_every_family_is_pinned():
    pinned = {(values["family"], name) for values, *_ in PINNED for name in values}
    for family, known in FAMILIES.items():
        assert {(family, name) for name in (*known.defaults, "learning_rate", "fold")} <= pinned


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
