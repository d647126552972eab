"""The checkpoint that a retrained run begins with is the one that its trials name."""

import pytest
import torch

from fairsweep.errors import MissingFileError, UserError
from models.checkpoint import save
from models.config import TrainConfig
from models.file_hash import content_hash
from tune.execution.initial import read_initial
from tune.run.directory import INITIAL_FILE


def test_weights_are_read_from_the_runs_own_file_if_its_content_is_right(tmp_path):
    assert read_initial(tmp_path, TrainConfig()) is None
    config = TrainConfig.create({"initial": "0" * 16})
    with pytest.raises(MissingFileError, match=f"^{tmp_path / INITIAL_FILE} is missing; restore"):
        read_initial(tmp_path, config)
    save(tmp_path / INITIAL_FILE, {"weights": {"a": torch.ones(2)}, "epoch": 3})
    found = content_hash(tmp_path / INITIAL_FILE)
    with pytest.raises(UserError) as refused:
        read_initial(tmp_path, config)
    assert str(refused.value).startswith(
        f"{tmp_path / INITIAL_FILE} has the hash {found}, but this trial starts from {'0' * 16}; "
    )
    weights = read_initial(tmp_path, TrainConfig.create({"initial": found}))
    assert {name: tensor.tolist() for name, tensor in weights.items()} == {"a": [1.0, 1.0]}
