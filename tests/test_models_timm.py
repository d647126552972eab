"""Networks of timm in `models`: arguments, sizes and weights."""

from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch

from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from fairsweep.own_code.signature import Hyperparameter
from models.build import build_model, check_network
from models.config import TrainConfig
from models.first_step import take_first_step
from models.pretrained import PretrainedError
from models.timm_network import installed_code, read_arguments, with_weights
from tests.support.in_process import few_pictures_fixture  # noqa: F401 - used by name
from tests.support.timm_weights import weights_fixture  # noqa: F401 - used by name

timm = pytest.importorskip("timm", reason="timm is not installed: pip install 'fairsweep[timm]'")
SHAPE = {"classes": 4, "image_shape": (48, 48)}


def config_of(family="timm:test_resnet", pretrained=False, **values):
    weights = with_weights({"pretrained": pretrained})
    return TrainConfig.create({"family": family, "code": installed_code(family)} | weights | values)


def test_a_name_that_is_taken_or_given_is_no_hyperparameter_of_a_network():
    free = read_arguments("timm:test_vit", frozenset())
    assert free.given == ("num_classes", "in_chans", "img_size")
    assert {"depth", "drop_rate", "pretrained"} <= free.hyperparameters.keys()
    assert "norm_layer" in free.others
    assert not free.hyperparameters.keys() & set(free.others)
    assert free.hyperparameters["pretrained"] == Hyperparameter(kind="str", default="none")
    # Their defaults depend on the network.
    assert free.hyperparameters["drop_rate"] == Hyperparameter(kind="float")
    taken = read_arguments("timm:test_vit", frozenset({"drop_rate", "norm_layer"}))
    assert free.hyperparameters.keys() - taken.hyperparameters.keys() == {"drop_rate"}
    assert set(free.others) - set(taken.others) == {"norm_layer"}
    for names in (free.hyperparameters, free.others):
        assert not set(names) & set(free.given)


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("timm:resnet81", r"no network 'resnet81'; close matches are resnet\d+, \w+, \w+ \("),
        ("timm:zzzzzz", r"no network 'zzzzzz'; close matches are resnet18 \("),
        ("timm:hf-hub:a/b", "timm has no network 'hf-hub:a/b'"),
        ("timm:resnet18.a/b", "timm has no network 'resnet18.a/b'; close matches are resnet18"),
        ("timm:resnet18.a:b", "timm has no network 'resnet18.a:b'; close matches are resnet18"),
    ],
)
def test_an_unknown_network_is_refused(family, words):
    with pytest.raises(UserError, match=words):
        read_arguments(family, frozenset())
    with pytest.raises(UserError, match=words):
        build_model(config_of(family), **SHAPE)


def test_only_a_network_of_one_size_is_given_that_of_the_pictures():
    assert read_arguments("timm:test_resnet", frozenset()).given == ("num_classes", "in_chans")


def test_without_timm_the_way_out_is_told(monkeypatch):
    monkeypatch.setattr("models.timm_network.version", lambda _: version("no such package"))
    with pytest.raises(
        UserError, match=r"not installed; install it with `pip install 'fairsweep\["
    ):
        installed_code("timm:test_resnet")


def test_what_timm_cannot_build_is_told_in_one_line(monkeypatch):
    def fail(_name):
        raise RuntimeError("no\nway")

    monkeypatch.setattr("models.timm_network.class_arguments", fail)
    with pytest.raises(UserError, match="test_vit: timm cannot build it: RuntimeError: no way"):
        read_arguments("timm:test_vit", frozenset({"another"}))


def test_without_pretrained_weights_a_network_stays_as_it_is():
    model = build_model(config_of(), **SHAPE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_pretrained(mean=0.5, std=0.25)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_hyperparameter_reaches_the_network():
    model = build_model(config_of(stem_width=16, drop_rate=0.3), **SHAPE)
    assert model.network.drop_rate == 0.3
    assert model.network.conv1[0].in_channels == 1
    assert model.network.conv1[0].out_channels == 16
    assert model.head.out_features == 4


def test_pictures_that_a_network_cannot_take_are_told_by_its_first_step(few_pictures):
    # Its patches of 16 pixels do not divide 40 pixels.
    config = config_of("timm:test_vit", image_size=40)
    with pytest.raises(UserError, match=r"timm:test_vit: .*40.* divisible by patch size") as told:
        take_first_step(config, read_dataset(few_pictures))
    assert "\n" not in str(told.value)


def test_networks_with_a_fixed_size_are_built_for_that_of_the_pictures(few_pictures):
    take_first_step(config_of("timm:test_vit", image_size=32), read_dataset(few_pictures))
    model = build_model(config_of("timm:test_vit"), classes=4, image_shape=(32, 48))
    assert model.eval()(torch.rand(2, 1, 32, 48)).shape == (2, 4)
    assert model.network.patch_embed.img_size == (32, 48)


@pytest.mark.parametrize(
    ("named", "expected"),
    [("fc", ("network.fc.",)), (("head", "head_dist"), ("network.head.", "network.head_dist."))],
)
def test_every_head_that_timm_names_is_new(named, expected):
    model = build_model(config_of(), **SHAPE)
    assert model._heads(SimpleNamespace(pretrained_cfg={"classifier": named})) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_pretrained_weights_answer_as_in_their_training(weights, channels):
    path, rgb = weights
    model = build_model(config_of(pretrained=str(path)), **SHAPE, image_channels=channels).eval()
    mean, std = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)) if channels == 3 else (0.47, 0.22)
    head = model.head.weight.clone()
    model.load_pretrained(mean=mean, std=std)
    assert torch.equal(model.head.weight, head), "the head is new"
    pictures = torch.rand(2, channels, 48, 48)
    known = rgb.pretrained_cfg

    def normalised(x, mean, std):
        mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (mean, std))
        return (x - mean) / std

    with torch.inference_mode():
        found = model.network.forward_features(
            normalised(pictures, mean, std) * model.scale + model.shift
        )
        theirs = normalised(pictures.expand(-1, 3, -1, -1), known["mean"], known["std"])
        expected = rgb.forward_features(theirs)
        # One product and one sum instead of two normalisations.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        features = model.network.forward_head(expected)
        torch.testing.assert_close(
            model(normalised(pictures, mean, std)), features, rtol=1e-4, atol=1e-5
        )


def test_loading_weights_leaves_the_random_numbers_of_the_training(weights):
    model = build_model(config_of(pretrained=str(weights[0])), **SHAPE)
    before = torch.random.get_rng_state()
    model.load_pretrained(mean=0.5, std=0.25)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_download_that_fails_is_told_with_the_way_out(monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError("no route\nto the host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", refuse)
    with pytest.raises(PretrainedError) as refused:
        check_network(config_of(pretrained=True), **SHAPE)
    assert str(refused.value) == (
        "cannot load the weights of timm's test_resnet (OSError: no route to the host); download "
        "timm/test_resnet.r160_in1k on a machine with internet access and set `pretrained` to its "
        "file"
    )


def test_another_or_a_changed_file_of_weights_is_refused(tmp_path):
    file = tmp_path / "a.pth"
    torch.save({"a": torch.ones(1)}, file)
    config = config_of(pretrained=str(file))
    with pytest.raises(PretrainedError, match=r"a\.pth does not hold the weights of timm's test_"):
        check_network(config, **SHAPE)
    torch.save({"a": torch.ones(2)}, file)
    with pytest.raises(PretrainedError, match=r"a\.pth has changed since the sweep began"):
        check_network(config, **SHAPE)


def test_a_network_of_another_version_is_refused(monkeypatch):
    config, now = config_of(), f"timm=={version('timm')}"
    for other in ("0.9.9", "99.0.0"):
        monkeypatch.setattr("models.timm_network.version", lambda _, other=other: other)
        with pytest.raises(UserError, match=rf"but timm {other} is inst.* `pip install {now}`"):
            build_model(config, **SHAPE)


@pytest.mark.parametrize(
    ("known", "way"),
    [
        ({"hf_hub_id": "timm/a", "url": "https://a/b"}, "download timm/a on a machine with int"),
        ({"hf_hub_id": None, "url": "https://a/b"}, "download https://a/b on a machine with int"),
        ({"hf_hub_id": None, "url": ""}, "timm offers none; leave `pretrained` out or give a file"),
        (None, "timm offers none; leave `pretrained` out or give a file"),
    ],
)
def test_where_weights_are_is_told_if_timm_knows(monkeypatch, known, way):
    model = build_model(config_of(), **SHAPE)
    found = known and SimpleNamespace(**known)
    monkeypatch.setattr("timm.get_pretrained_cfg", lambda _name: found)
    message = model._unavailable(KeyError("a"), None)
    start = "cannot load the weights of timm's test_resnet (KeyError: 'a'); "
    assert message.startswith(start + way)
