"""Networks of torchvision: from RGB weights to gray pictures, frozen stages, two learning rates."""

from copy import deepcopy
from dataclasses import replace
from email.message import Message
from io import BytesIO
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import BatchNorm2d
from torchvision import models

from models.build import build_model, check_network, count_parameters
from models.checkpoint import load, save
from models.config import TrainConfig
from models.cost import training_cost
from models.data import DeviceDataset
from models.families.torchvision_models import _to_imagenet, _transforms, stages
from models.fit import fit
from models.loop import Loop
from models.optim import make_optimizer, set_learning_rate
from models.pretrained import PretrainedError
from tests.support.picture_factory import make_dataset

SHAPE = (48, 48)
RGB_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
RGB_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def config(**changes):
    values = {"family": "torchvision", "architecture": "mobilenet_v3_small", "batch_size": 8}
    return TrainConfig.create({**values, **changes})


@pytest.fixture(scope="module")
def rgb_networks():
    """Networks as torchvision builds them, with batch norms that have seen pictures."""
    torch.manual_seed(0)
    networks = {name: models.get_model(name) for name in ("resnet18", "mobilenet_v3_small")}
    for network in networks.values():
        for module in network.modules():
            if isinstance(module, BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        network.eval()
    return networks


@pytest.fixture(scope="module")
def files(rgb_networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for name, network in rgb_networks.items():
        torch.save(network.state_dict(), folder / f"{name}.pth")
    return folder


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_gray_picture_gets_the_answer_that_its_rgb_copy_got(rgb_networks, files, name):
    rgb, mean, std = rgb_networks[name], 0.47, 0.22
    start = config(architecture=name, pretrained=str(files / f"{name}.pth"))
    gray = build_model(start, classes=1000, image_shape=SHAPE).eval()
    gray.load_pretrained(mean=mean, std=std)
    last = [module for module in rgb.modules() if isinstance(module, torch.nn.Linear)][-1]
    gray.head.load_state_dict(last.state_dict())
    picture = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        expected = rgb((picture.expand(-1, 3, -1, -1) - RGB_MEAN) / RGB_STD)
        found = gray((picture - mean) / std)
    # Sums in another order, over twenty layers and more.
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    stem = next(module for module in gray.modules() if isinstance(module, torch.nn.Conv2d))
    assert stem.in_channels == 1


def test_the_head_is_a_new_one_for_our_classes(files):
    start = config(architecture="resnet18", pretrained=str(files / "resnet18.pth"))
    model = build_model(start, classes=4, image_shape=SHAPE)
    before = model.head.weight.clone()
    model.load_pretrained(mean=0.5, std=0.25)
    assert model.head.weight.shape == (4, 512)
    assert torch.equal(model.head.weight, before)


# Two that are built unlike the rest (RegNet reads numbers back, Inception has further outputs), and
# one without strided stages.
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 5),
        ("mobilenet_v3_small", 5),
        ("efficientnet_b0", 5),
        ("regnet_y_400mf", 5),
        ("inception_v3", 5),
        ("vit_b_32", 1),
    ],
)
def test_any_architecture_is_counted_and_has_stages(name, count):
    cost = training_cost(config(architecture=name), classes=4, image_shape=SHAPE)
    assert cost.flop_per_picture > 0
    with torch.device("meta"):
        network = build_model(config(architecture=name), classes=4, image_shape=SHAPE)
    assert len(stages(network.network)) == count
    assert len(network.head.weight) == 4
    trainable = [
        count_parameters(
            config(architecture=name, frozen_stages=frozen), classes=4, image_shape=SHAPE
        )
        for frozen in range(count + 1)
    ]
    assert trainable[0] == sum(p.numel() for p in network.parameters())
    assert trainable == sorted(set(trainable), reverse=True)
    assert trainable[-1] == sum(p.numel() for p in network.head.parameters())


def test_stages_of_a_residual_network_are_its_stem_and_its_four_layers():
    with torch.device("meta"):
        network = models.resnet18()
    firsts = [stage[0] for stage in stages(network)]
    assert firsts[0] is network.conv1
    assert firsts[2:] == [network.layer2[0], network.layer3[0], network.layer4[0]]


def test_frozen_layers_cost_less_memory_and_smaller_checkpoints():
    free, some, all_but_head = (
        training_cost(config(frozen_stages=count, batch_size=64), classes=4, image_shape=SHAPE)
        for count in (0, 3, 5)
    )
    # More than weights, gradients and moments: what a batch leaves for the backward pass.
    assert free.memory_bytes - some.memory_bytes > 16 * free.parameters
    assert some.memory_bytes - all_but_head.memory_bytes > 16 * free.parameters
    assert all_but_head.checkpoint_bytes < some.checkpoint_bytes < free.checkpoint_bytes
    # Twice the weights, in last.pt and best.pt, whatever is frozen.
    assert all_but_head.checkpoint_bytes > 8 * free.parameters
    assert free.flop_per_picture == all_but_head.flop_per_picture


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Results are equal to the last digit on one CPU thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    return DeviceDataset.create(make_dataset(train=17, val=4))


def trained(start, data, **options):
    """Train two epochs; return the states after each and the values of the last."""
    states = []
    for result in fit(start, data, **options):
        states.append(deepcopy(result.state()))
    return states, result.values


def test_frozen_stages_and_their_batch_norms_stay_as_they_were_loaded(data, files):
    path = files / "mobilenet_v3_small.pth"
    start = config(pretrained=str(path), frozen_stages=2, epochs=1)
    loaded = torch.load(path, weights_only=True)
    state = trained(start, data)[0][-1]["model"]
    frozen = [f"features.{layer}." for layer in (0, 1)]
    same = {
        name
        for name, values in loaded.items()
        if values.dtype == torch.float32
        and f"network.{name}" in state
        and values.shape == state[f"network.{name}"].shape
        and torch.equal(values, state[f"network.{name}"])
    }
    expected = {
        name
        for name, values in loaded.items()
        if name.startswith(tuple(frozen)) and values.dtype == torch.float32
    } - {"features.0.0.weight"}  # The stem, which is another's sum.
    assert expected <= same
    assert not {name for name in same if name.endswith("running_mean")} - expected


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_with_two_rates_goes_on_exactly_from_its_checkpoint(
    data, files, tmp_path, optimizer
):
    start = config(
        pretrained=str(files / "mobilenet_v3_small.pth"),
        frozen_stages=3,
        epochs=2,
        learning_rate=1e-3,
        head_learning_rate=1e-2,
        lr_schedule="cosine",
        optimizer=optimizer,
    )
    whole, values = trained(start, data)
    save(tmp_path / "last.pt", whole[0])
    later, again = trained(start, data, state=load(tmp_path / "last.pt"))
    assert [group["lr"] for group in later[-1]["optimizer"]["param_groups"]] == [
        pytest.approx(values["learning_rate"]),
        pytest.approx(10 * values["learning_rate"]),
    ]
    assert again["val_loss"] == values["val_loss"]
    assert all(torch.equal(t, later[-1]["model"][n]) for n, t in whole[-1]["model"].items())


def test_the_optimiser_gets_what_is_not_frozen_and_the_head_apart():
    start = config(frozen_stages=5, head_learning_rate=0.01, learning_rate=0.001)
    model = build_model(start, classes=4, image_shape=SHAPE)
    optimizer = make_optimizer(start, model)
    body, head = (group["params"] for group in optimizer.param_groups)
    assert (len(body), len(head)) == (0, 2)
    set_learning_rate(optimizer, start, 0.0005)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0005, pytest.approx(0.005)]
    model(torch.rand(2, 1, *SHAPE)).sum().backward()
    optimizer.step()


def test_any_family_with_a_head_takes_two_rates(data):
    start = TrainConfig(family="plain", channels=2, head_learning_rate=1e-9, epochs=1)
    model = build_model(start, classes=3, image_shape=data.image_shape)
    body, head = (group["params"] for group in make_optimizer(start, model).param_groups)
    assert {id(p) for p in head} == {id(p) for p in model.head.parameters()}
    assert len(body) + len(head) == len(list(model.parameters()))


def test_a_file_is_known_by_its_content(files, tmp_path):
    original = files / "resnet18.pth"
    copy, other = tmp_path / "copy.pth", tmp_path / "other.pth"
    copy.write_bytes(original.read_bytes())
    other.write_bytes(original.read_bytes() + b" ")
    one, same, another = (config(pretrained=str(path)) for path in (original, copy, other))
    assert one.configuration_id == same.configuration_id != another.configuration_id
    assert one.trial_id("f") == same.trial_id("f") != another.trial_id("f")
    assert (one.name, same.name) == ("mobilenet_v3_small_resnet18", "mobilenet_v3_small_copy")
    copy.unlink()
    assert TrainConfig.create(same.to_dict()) == same


def test_weights_that_cannot_be_used_are_refused_in_one_line(files, tmp_path):
    def refusal(**changes):
        start = config(**changes)
        with pytest.raises(PretrainedError) as refused:
            check_network(start, classes=4, image_shape=SHAPE)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    assert "does not hold the weights of mobilenet_v3_small" in refusal(
        pretrained=str(files / "resnet18.pth")
    )
    text = tmp_path / "notes.pth"
    text.write_text("nothing")
    assert "damaged or not a weights file" in refusal(pretrained=str(text))
    wrapped = tmp_path / "wrapped.pth"
    torch.save({"epoch": 3, "weights": {}}, wrapped)
    assert "does not hold a state dict" in refusal(pretrained=str(wrapped))
    pinned = config(pretrained=str(wrapped))
    wrapped.write_bytes(b"other")
    with pytest.raises(PretrainedError, match="has changed since"):
        check_network(pinned, classes=4, image_shape=SHAPE)
    wrapped.unlink()
    with pytest.raises(PretrainedError, match="is missing; restore the file"):
        check_network(pinned, classes=4, image_shape=SHAPE)


def test_a_refused_download_names_the_file_and_the_way_out(monkeypatch, tmp_path):
    def refuse(*_arguments, **_options):
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(PretrainedError) as refused:
        check_network(config(pretrained="imagenet"), classes=4, image_shape=SHAPE)
    assert "cannot download the weights of mobilenet_v3_small (<urlopen error no route>)" in str(
        refused.value
    )
    assert "mobilenet_v3_small-" in str(refused.value)
    assert "set `pretrained` to that file" in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"architecture": "resnet81"},
            r"architecture must be .* 'resnet81'; the nearest is 'resnet18'",
        ),
        ({"architecture": "Resnet-18"}, r"architecture must be the name .* got 'Resnet-18'"),
        ({"architecture": "resnet18-50"}, r"architecture must be the name .* got 'resnet18-50'"),
        ({"architecture": "raft_small"}, r"architecture must be one of .* got 'raft_small'"),
        ({"frozen_stages": 6}, r"frozen_stages must be at most 5, the number of stages of"),
        ({"pretrained": "none/such.pth"}, r"pretrained must be none, imagenet or the path"),
    ],
)
def test_a_wrong_value_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        check_network(config(**values), classes=4, image_shape=SHAPE)


def test_a_rate_of_the_head_needs_a_head():
    start = replace(TrainConfig(), head_learning_rate=0.1)
    with pytest.raises(ValueError, match="family resnet has no part named head; leave out"):
        make_optimizer(start, torch.nn.Linear(2, 2))


def test_inception_networks_know_gray_values_from_minus_one_to_one():
    scale, shift = _to_imagenet("googlenet", mean=0.4, std=0.25)
    for gray in (0.0, 0.3, 1.0):
        found = scale * (gray - 0.4) / 0.25 + shift
        assert torch.allclose(found, torch.full((3, 1, 1), 2 * gray - 1))


def test_other_networks_know_gray_values_by_the_means_of_imagenet():
    scale, shift = _to_imagenet("resnet18", mean=0.4, std=0.25)
    found = scale * (0.3 - 0.4) / 0.25 + shift
    assert torch.allclose(found, (0.3 - RGB_MEAN) / RGB_STD)


@pytest.mark.parametrize(("name", "side"), [("resnet18", 224), ("efficientnet_b1", 240)])
def test_pictures_are_brought_to_the_size_of_the_architecture(name, side):
    with torch.device("meta"):
        model = build_model(config(architecture=name), classes=4, image_shape=(300, 20))
    seen = []
    model.network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape))
    with torch.device("meta"):
        assert model.eval()(torch.empty(2, 1, 300, 20)).shape == (2, 4)
    assert seen == [(2, 1, side, side)]


def test_pictures_are_averaged_where_they_get_smaller():
    with torch.device("meta"):
        model = build_model(config(architecture="resnet18"), classes=4, image_shape=(672, 672))
    model.network = torch.nn.Identity()
    stripes = torch.arange(672).remainder(2).float().expand(1, 1, 672, 672)
    # Every third pixel alone would be a stripe again.
    assert (model(stripes) - 0.5).abs().max() < 0.2


def test_a_first_convolution_keeps_its_bias():
    count = count_parameters(config(architecture="alexnet"), classes=4, image_shape=SHAPE)
    # Torchvision tells 61,100,840 parameters, with a head of 1,000 classes and an RGB stem of
    # 64 filters of 11×11.
    assert count == 61_100_840 - 4097 * 996 - 2 * 64 * 11 * 11


def test_a_damaged_download_is_refused(monkeypatch, tmp_path):
    class Response(BytesIO):
        def info(self):
            return Message()

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *_arguments, **_options: Response(b"damaged"))
    with pytest.raises(PretrainedError, match=r"mobilenet_v3_small \(invalid hash value"):
        check_network(config(pretrained="imagenet"), classes=4, image_shape=SHAPE)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def on_meta(**changes):
    with torch.device("meta"):
        return build_model(config(**changes), classes=4, image_shape=SHAPE)


def test_the_head_may_be_a_convolution_as_in_squeezenet():
    assert on_meta(architecture="squeezenet1_0").head.weight.shape == (4, 512, 1, 1)


@pytest.mark.parametrize("shape", [(48, 48), (40, 300)])
def test_pictures_are_resized_as_pillow_does(shape):
    model = on_meta(architecture="resnet18")
    model.network = torch.nn.Identity()
    picture = torch.rand(1, 1, *shape)
    expected = Image.fromarray(picture[0, 0].numpy()).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(model(picture)[0, 0], np.asarray(expected), atol=1e-4)


def without_room(tensors):
    """Return tensors of the same shapes that take next to no room in a file, all of one zero."""
    return {n: torch.zeros((), dtype=t.dtype).expand(t.shape) for n, t in tensors.items()}


def test_weights_of_a_gray_network_are_taken_as_they_are(tmp_path):
    values = without_room(on_meta().network.state_dict())
    shape = values["features.0.0.weight"].shape
    values["features.0.0.weight"], values["features.0.0.offset"] = torch.randn(2, *shape)
    torch.save(values, tmp_path / "gray.pth")
    found = on_meta(pretrained=str(tmp_path / "gray.pth")).pretrained_weights(mean=0.4, std=0.2)
    for name in ("features.0.0.weight", "features.0.0.offset"):
        assert torch.equal(found[name], values[name])


def test_a_file_that_does_not_fit_is_named_with_the_first_weight_that_does_not(tmp_path):
    values = without_room(models.get_model("mobilenet_v3_small").state_dict())
    path = tmp_path / "my net.pth"
    for wrong in ("features.1.block.0.0.weight", "classifier.0.bias"):
        torch.save({n: t for n, t in values.items() if n != wrong}, path)
        with pytest.raises(PretrainedError) as refused:
            on_meta(pretrained=str(path)).pretrained_weights(mean=0.5, std=0.5)
        assert str(refused.value).startswith(
            f"pretrained: {path} does not hold the weights of mobilenet_v3_small ({wrong} is"
        )
    torch.save(values | {"features.0.1.bias": torch.zeros(3), "fc.bias": torch.zeros(3)}, path)
    with pytest.raises(PretrainedError, match=r"\(features\.0\.1\.bias is missing, unexpected"):
        on_meta(pretrained=str(path)).pretrained_weights(mean=0.5, std=0.5)


def test_a_stage_begins_with_every_kind_of_layer_that_makes_the_picture_smaller():
    def part():
        return torch.nn.Identity()

    conv = torch.nn.Conv2d
    parts = [
        part(), conv(1, 1, 3, stride=2), part(), torch.nn.MaxPool2d(3, stride=1),
        torch.nn.AvgPool2d(3, stride=(1, 1)), torch.nn.MaxPool2d(2), part(),
        torch.nn.AvgPool2d(2), part(), conv(1, 1, 1, stride=(1, 2)), part(),
    ]  # fmt: skip
    network = torch.nn.Module()
    network.first, network.rest = torch.nn.Sequential(*parts[:2]), torch.nn.ModuleList(parts[2:])
    found = stages(network)
    assert [len(stage) for stage in found] == [1, 4, 2, 2, 2]
    assert [layer for stage in found for layer in stage] == parts


def test_dropout_and_the_head_train_on_whatever_is_frozen():
    """A frozen layer without weights is not frozen: what follows trains, and wants its noise."""
    model = on_meta(architecture="alexnet")
    everything = len(stages(model.network))
    model = on_meta(architecture="alexnet", frozen_stages=everything).train()
    assert [m.training for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [True] * 2
    assert model.head.training
    kept = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)][:-1]
    assert not any(m.training for m in kept)
    assert not any(p.requires_grad for m in kept for p in m.parameters())


def test_the_size_is_the_one_of_the_newest_weights():
    assert _transforms("vit_h_14").crop_size == [518]


def test_a_training_normalises_pretrained_weights_by_its_dataset(data, files):
    start = config(pretrained=str(files / "mobilenet_v3_small.pth"))
    loop = Loop([start], data)
    loop.load_pretrained()
    rgb = torch.load(files / "mobilenet_v3_small.pth", weights_only=True)["features.0.0.weight"]
    mean, std = data.source.manifest.mean, data.source.manifest.std
    stem = loop.model.network.features[0][0]
    torch.testing.assert_close(stem.weight, (rgb * (std / RGB_STD)).sum(dim=1, keepdim=True))
    torch.testing.assert_close(
        stem.offset, (rgb * ((mean - RGB_MEAN) / RGB_STD)).sum(dim=1, keepdim=True)
    )


def test_the_optimiser_of_frozen_stages_holds_the_rest_in_order():
    model = on_meta(architecture="resnet18", frozen_stages=4)
    names = {name.split(".")[0] for name, p in model.network.named_parameters() if p.requires_grad}
    assert names == {"layer4", "fc"}
