"""Own networks in `models`: built, identified, and checked by one step of training."""

import re

import numpy as np
import pytest
import torch

from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from fairsweep.own_code.failures import OwnCodeError
from fairsweep.own_code.files import find_code
from fairsweep.own_code.provided import provide
from fairsweep.own_code.reference import Reference
from models.build import build_model, count_parameters
from models.checkpoint import save
from models.classifier import Classifier, classifier_state
from models.config import TrainConfig
from models.data import DeviceDataset
from models.families.layers import StridedPointwiseConv2d
from models.first_step import take_first_step
from models.fit import fit
from models.own_network import misfits_explained
from tests.support.in_process import few_pictures_fixture  # noqa: F401 - used by name
from tests.support.picture_factory import make_dataset

LINEAR = """
import numpy as np
import torch
from torch import nn

class MyNet(nn.Module):
    def __init__(self, classes, at: int = 0):
        super().__init__()
        self.head = nn.LazyLinear(classes)
        self.layer = nn.Conv2d(2, 2, 3)
        self.steps = 0

    def forward(self, x):
        LINES
"""


@pytest.fixture(name="dataset", scope="module")
def dataset_fixture(few_pictures):
    return read_dataset(few_pictures)


def config_of(folder, text, **values):
    (folder / "mine.py").write_text(text)
    code = find_code(Reference.parse("mine:MyNet"), [folder])
    provide(code)
    return TrainConfig.create({"family": "mine:MyNet", "code": code.hash, **values})


def linear(folder, *lines, **values):
    """Return the configuration of a network with these lines in its forward pass, from line 14."""
    return config_of(folder, LINEAR.replace("LINES", "\n        ".join(lines)), **values)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return None"], "line 13: the shape of head.weight is still unknown"),
        (["x.shap"], "line 14, in forward: AttributeError: .*shap"),
        (
            ["self.head(x.flatten(1))", "return x.flatten(1)"],
            r"line 13: .* shape \(8, 4\), but got \(8, 2304\)",
        ),
        (["self.head(x.flatten(1))"], r"line 13: .* shape \(8, 4\), but got NoneType"),
        (["return self.layer(x)"], "line 14, in forward: RuntimeError: Given groups=1"),
        (["return self.head(x.flatten(1)).squeeze()"], r"shape \(1, 4\), but got \(4,\)"),
        (["return self.head(x.flatten(1)) / 0"], "line 13: the loss of the first step is nan"),
        (
            [
                "large = 3e38 * torch.tensor([1.0, 0, 0, 0])",
                "return self.head(x.flatten(1)) + large",
            ],
            "line 13: the loss of the first step is inf",
        ),
        (["if self.training: x.shap", "return self.head(x.flatten(1))"], "line 14, .* .*shap"),
        (["if len(x) == 1: x.shap", "return self.head(x.flatten(1))"], "line 14, .* .*shap"),
        (["return self.head(x.flatten(1)).detach()"], "line 13: the logits depend on no parameter"),
        (["return self.at"], "AttributeError: .* has no attribute 'at'"),
    ],
)
def test_a_network_that_cannot_be_trained_is_told_with_file_and_line(
    tmp_path, dataset, lines, words
):
    with pytest.raises(UserError, match=f"mine:MyNet: .*{words}"):
        take_first_step(linear(tmp_path, *lines), dataset)


@pytest.mark.parametrize(
    ("lines", "words", "channels_last"),
    [
        (["return self.head(x.flatten(1))"], "layer.weight and 1 more parameters get no gr", True),
        (["x = nn.functional.conv2d(x, torch.ones(4, 1, 3, 3))", "n = len(x)",
          "return self.head(x.view(n, -1))"], "line 16, in forward: .*view.* alone", False),
        (["c = 2.0 if self.layer.weight.is_contiguous() else 1.0",
          "return self.head(c * x.flatten(1))"],
         "line 13: the gradient of head.* is another one for channels-last", False),
        (["me = type(self)", "me.calls = getattr(me, 'calls', 0) + 1",
          "return self.head(x.flatten(1)) * me.calls"],
         "line 13: two steps with the same seed give different gradients", False),
        (["x = nn.functional.dropout(x, 0.5, self.training)",
          "return self.head(x.flatten(1)) * np.random.rand()"], "no gradient", True),
    ],
)  # fmt: skip
def test_the_layout_is_one_that_trains_as_the_plain_one(
    tmp_path, dataset, lines, words, channels_last
):
    step = take_first_step(linear(tmp_path, *lines), dataset)
    assert step.channels_last is channels_last
    assert re.search(words, "\n".join(step.notes))
    assert "layer.weight and 1 more parameters get no gradient" in step.notes[0]
    assert all(note.startswith("mine:MyNet: ") for note in step.notes)


def test_a_single_parameter_without_a_gradient_is_told_alone(tmp_path, dataset):
    config = linear(tmp_path, "return self.head(x.flatten(1)) + self.layer.bias.sum()")
    assert take_first_step(config, dataset).notes == (
        "mine:MyNet: layer.weight gets no gradient, so nothing is learned there",
    )


def test_a_frozen_parameter_is_not_told_to_learn_nothing(tmp_path, dataset):
    config = linear(tmp_path, "self.layer.requires_grad_(False)", "return self.head(x.flatten(1))")
    assert take_first_step(config, dataset).notes == ()


def test_the_first_step_takes_the_first_training_pictures_of_its_fold(tmp_path):
    source = make_dataset()
    lines = ["if self.training: raise ValueError(len(x), round(float(x.double().sum()), 4))"]
    config = linear(tmp_path, *lines, "return self.head(x.flatten(1))", fold=7, folds=4)
    rows = source.rows("train", 7, 4)[:8]
    data = DeviceDataset.create(source)
    total = data.normalise(data.pictures(torch.from_numpy(rows))).double().sum().item()
    with pytest.raises(UserError, match=rf"ValueError: \(8, {re.escape(f'{total:.4f}'[:-2])}"):
        take_first_step(config, source)


def test_own_hyperparameters_and_the_hash_of_the_code_are_part_of_the_id(tmp_path):
    values = {"at": 1, "channels": "few", "learning_rate": 0.01}
    config = linear(tmp_path, "return x", **values)
    assert config.network == {"at": 1, "channels": "few"}
    assert TrainConfig.create(config.to_dict()) == config
    others = [
        linear(tmp_path, "return x", **values | {"at": 2}),
        linear(tmp_path, "return x", **values | {"channels": "many"}),
        linear(tmp_path, "return 2 * x", **values),
    ]
    ids = {other.configuration_id for other in (config, *others)}
    assert len(ids) == 4
    assert len({other.trial_id("f") for other in (config, *others)}) == 4


def test_a_configuration_of_own_code_without_its_hash_is_refused():
    with pytest.raises(UserError, match="only a sweep spec checks"):
        TrainConfig.create({"family": "mine:MyNet"})


def test_code_that_this_process_has_not_found_is_told():
    config = TrainConfig.create({"family": "mine:MyNet", "code": "0" * 32})
    with pytest.raises(UserError, match="is not available"):
        build_model(config, classes=4, image_shape=(8, 8))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("num_classes, in_channels, image_size", (4, 3, 6)),
        ("image_shape, in_chans, classes", ((6, 6), 3, 4)),
    ],
)
def test_a_network_gets_the_arguments_that_it_names_in_the_size_of_its_pictures(
    tmp_path, names, expected
):
    text = f"""
from torch import nn

def MyNet({names}):
    network = nn.Identity()
    network.got = ({names})
    return network
"""
    config = config_of(tmp_path, text, image_size=6)
    model = build_model(config, classes=4, image_shape=(8, 8), image_channels=3)
    assert model.got == expected


def test_shapes_are_found_out_from_a_picture_in_colour_where_pictures_are(tmp_path):
    text = """
from torch import nn

def MyNet(classes):
    return nn.Sequential(nn.LazyConv2d(classes, 2), nn.Flatten(), nn.LazyLinear(classes))
"""
    model = build_model(config_of(tmp_path, text), classes=4, image_shape=(8, 8), image_channels=3)
    assert model[0].in_channels == 3


@pytest.mark.parametrize(("shape", "told"), [((8, 6), "8×6"), ((6, 8), "6×8")])
def test_the_side_of_a_picture_that_is_not_square_is_refused(tmp_path, shape, told):
    config = config_of(tmp_path, "def MyNet(image_size): pass")
    with pytest.raises(UserError, match=f"mine:MyNet: it takes image_size.* have {told} pixels"):
        build_model(config, classes=4, image_shape=shape)


def test_the_first_step_tells_a_network_height_and_width_in_this_order(tmp_path):
    text = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, classes, image_shape):
        super().__init__()
        self.across = nn.Linear(image_shape[1], classes)

    def forward(self, x):
        return self.across(x.mean((1, 2)))
"""
    assert take_first_step(config_of(tmp_path, text), make_dataset()).notes == ()


def test_an_own_network_that_needs_real_memory_is_counted(tmp_path):
    text = """
from torch import nn
import torch

def MyNet(classes):
    rates = torch.linspace(0, 1, 3).tolist()
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.Dropout(rates[1]))
"""
    config = config_of(tmp_path, text)
    assert count_parameters(config, classes=4, image_shape=(8, 8)) == 260


def test_random_numbers_of_numpy_and_python_are_seeded_in_each_epoch(tmp_path, dataset):
    lines = ["import random", "noise = np.random.rand() + random.random() if self.training else 1"]
    config = linear(tmp_path, *lines, "return self.head(x.flatten(1)) * noise", epochs=1)
    data = DeviceDataset.create(dataset)
    found = []
    for seed in (1, 2):
        np.random.seed(seed)
        (result,) = fit(config, data)
        found.append(result.values["train_loss"])
        assert np.random.rand() == np.random.RandomState(seed).rand()
    assert found[0] == found[1]
    assert not torch.isnan(torch.tensor(found[0]))


NORMED = """
import torch
from torch import nn

class MyNet(nn.Sequential):
    def __init__(self, classes):
        super().__init__(
            nn.BatchNorm2d(1), nn.Flatten(), nn.BatchNorm1d(36), nn.LazyLinear(classes)
        )
"""


def test_finding_out_shapes_changes_no_statistics_of_batch_norm(tmp_path):
    """Batch norm of one picture's features would fail in training mode."""
    model = build_model(config_of(tmp_path, NORMED), classes=3, image_shape=(6, 6))
    assert all(module.training for module in model.modules())
    for norm in (model[0], model[2]):
        assert int(norm.num_batches_tracked) == 0
        assert norm.running_mean.tolist() == [0.0] * norm.num_features


def test_what_a_network_says_to_users_itself_stays_as_it_is():
    for family in ("timm:test_vit", "mine:MyNet"):
        with pytest.raises(UserError, match=r"^make it wider$"), misfits_explained(family):
            raise UserError("make it wider")
    told = r"^timm:test_vit: KeyError: 3$"
    with pytest.raises(OwnCodeError, match=told), misfits_explained("timm:test_vit"):
        raise KeyError(3)


def test_a_faulty_convolution_of_an_own_network_is_replaced_too(tmp_path):
    text = "from torch import nn\n\ndef MyNet():\n    return nn.Sequential(nn.Conv2d(1, 2, 1, 2))"
    model = build_model(config_of(tmp_path, text), classes=3, image_shape=(6, 6))
    assert type(model[0]) is StridedPointwiseConv2d


def test_a_name_of_another_form_is_no_own_network():
    for family in ("mine:MyNet:more", "mine.py:MyNet()", ":MyNet"):
        with pytest.raises(UserError, match=r"family own code is named package\.module:name"):
            TrainConfig.create({"family": family, "code": "0" * 32})


def test_a_classifier_of_an_own_network_is_in_the_plain_layout(tmp_path):
    lines = ["x = nn.functional.conv2d(x, torch.ones(4, 1, 3, 3))", "n = len(x)"]
    config = linear(tmp_path, *lines, "return self.head(x.view(n, -1))")
    manifest = make_dataset().manifest
    network = build_model(config, **manifest.task)
    state = classifier_state(config, manifest, epoch=1, weights=network.state_dict())
    save(tmp_path / "best.pt", state)
    found = Classifier.read(tmp_path / "best.pt")
    assert found.model.layer.weight.is_contiguous()
    assert found.probabilities(make_dataset().pixels[:2]).shape == (2, 3)
