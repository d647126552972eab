"""First weights from a file: what is read of it, and what is refused."""

import pytest
import torch
from torchvision import models

from models.build import check_network
from models.config import TrainConfig
from models.pretrained import PretrainedError, read_weights
from models.rules import content_hash


def saved(path, values):
    torch.save(values, path)
    return f"{path}#{content_hash(path)}"


def test_the_names_of_old_densenet_files_become_those_of_today(tmp_path):
    names = [
        "features.denseblock1.denselayer2.norm.1.weight",
        "features.denseblock4.denselayer16.relu.2.bias",
        "features.denseblock1.denselayer1.conv.2.weight",
        "features.denseblock1.denselayer1.conv2.bias",
        "features.conv.1.weight",
    ]
    values = {name: torch.full((2,), float(place)) for place, name in enumerate(names)}
    found = read_weights("densenet121", saved(tmp_path / "old file.pth", values))
    assert list(found) == [
        "features.denseblock1.denselayer2.norm1.weight",
        "features.denseblock4.denselayer16.relu2.bias",
        "features.denseblock1.denselayer1.conv2.weight",
        "features.denseblock1.denselayer1.conv2.bias",
        "features.conv.1.weight",
    ]
    assert [value[0].item() for value in found.values()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("values", [{}, {"epoch": 3}, [torch.ones(2)], torch.ones(2)], ids=str)
def test_a_file_of_something_else_holds_no_state_dict(tmp_path, values):
    pretrained = saved(tmp_path / "weights#1.pth", values)
    with pytest.raises(PretrainedError, match=r"weights#1\.pth holds no state dict; save"):
        read_weights("resnet18", pretrained)


def test_a_file_that_could_run_code_is_refused(tmp_path):
    pretrained = saved(tmp_path / "weights.pth", {"code": print})
    with pytest.raises(PretrainedError, match=r"weights\.pth is damaged or no weights file"):
        read_weights("resnet18", pretrained)


def empty_file(path, **changes):
    """Write a file of GoogLeNet's weights that takes next to no room, for all are one zero."""
    with torch.device("meta"):
        network = models.googlenet(init_weights=False)
    values = {
        name: torch.zeros((), dtype=value.dtype).expand(value.shape)
        for name, value in network.state_dict().items()
    }
    return saved(path, values | changes)


def check(pretrained):
    config = TrainConfig(family="torchvision", architecture="googlenet", pretrained=pretrained)
    check_network(config, classes=4, image_shape=(8, 6))


def test_outputs_for_long_trainings_are_left_out_and_nothing_else_may_be_too_much(tmp_path):
    path = empty_file(tmp_path / "google net.pth")
    assert any(name.startswith("aux1.") for name in torch.load(path.partition("#")[0]))
    check(path)
    with pytest.raises(PretrainedError, match=r"net\.pth does not hold .* \(further is missing,"):
        check(empty_file(tmp_path / "google net.pth", further=torch.zeros(2)))
