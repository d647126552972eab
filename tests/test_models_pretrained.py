"""First weights from a file: what is read of it, and what is refused."""

from http.client import IncompleteRead

import pytest
import torch
from torchvision import models

from models.build import check_network
from models.config import TrainConfig
from models.families.torchvision_models import TorchvisionNet
from models.file_hash import content_hash
from models.pretrained import PretrainedError, read_weights


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


@pytest.mark.parametrize(
    "values",
    [{}, {"epoch": 3}, {"a": torch.ones(1), "epoch": 3}, [torch.ones(2)], torch.ones(2)],
    ids=str,
)
def test_a_file_of_something_else_holds_no_state_dict(tmp_path, values):
    pretrained = saved(tmp_path / "weights#1.pth", values)
    with pytest.raises(PretrainedError, match=r"weights#1\.pth does not hold a state dict; save"):
        read_weights("resnet18", pretrained)


def test_a_file_that_could_run_code_is_refused(tmp_path):
    pretrained = saved(tmp_path / "weights.pth", {"code": print})
    with pytest.raises(PretrainedError, match=r"weights\.pth is damaged or not a weights file"):
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


@pytest.mark.parametrize("newer", [True, False])
def test_a_file_that_is_cut_short_anywhere_is_told_in_one_line(tmp_path, newer):
    path = tmp_path / "my weights.pth"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=newer)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 31 if newer else 9):
        path.write_bytes(whole[:size])
        with pytest.raises(PretrainedError) as refused:
            read_weights("resnet18", f"{path}#{content_hash(path)}")
        told = str(refused.value)
        assert told.startswith(
            f"pretrained: {path} is damaged or not a weights file; download it again"
        )
        assert "\n" not in told
        assert not told.endswith(": ")  # Some errors have no words of their own.


def test_a_file_that_changed_is_told_with_the_hash_that_it_had(tmp_path):
    pretrained = saved(tmp_path / "w.pth", {"a": torch.ones(1)})
    saved(tmp_path / "w.pth", {"a": torch.zeros(30)})
    with pytest.raises(PretrainedError, match=f"with hash {pretrained[-16:]}, or start"):
        read_weights("resnet18", pretrained)


def test_a_download_that_is_there_already_is_read_from_torch_s_cache(tmp_path, monkeypatch):
    """Of resnet50 there are two; torchvision's best are those of 2021."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"a": torch.tensor([3.0])}, folder / "resnet50-11ad3fa6.pth")
    assert read_weights("resnet50", "imagenet") == {"a": torch.tensor([3.0])}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(), "(TimeoutError)"),
        (IncompleteRead(b""), "(IncompleteRead(0 bytes read))"),
        (OSError("no   route\nto the host"), "(no route)"),
    ],
    ids=repr,
)
def test_a_download_that_fails_is_told_in_one_line(tmp_path, monkeypatch, error, told):
    def refuse(*_arguments, **_options):
        raise error

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(PretrainedError) as refused:
        read_weights("resnet18", "imagenet")
    assert str(refused.value) == (
        f"cannot download the weights of resnet18 {told}; download "
        "https://download.pytorch.org/models/resnet18-f37072fd.pth on a machine with internet "
        "access and set `pretrained` to that file"
    )


def test_further_outputs_of_inception_are_left_out_too(tmp_path):
    path = saved(
        tmp_path / "w.pth", {"AuxLogits.fc.weight": torch.ones(2), "fc.bias": torch.ones(2)}
    )
    model = TorchvisionNet.__new__(TorchvisionNet)
    torch.nn.Module.__init__(model)
    model.network, model._head, model._stem = torch.nn.Module(), "fc", "none"
    model.network.fc = torch.nn.Linear(2, 2, bias=True)
    model.architecture, model.pretrained = "inception_v3", path
    assert model.pretrained_weights(mean=0.5, std=0.5).keys() == {"fc.weight", "fc.bias"}
