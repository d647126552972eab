from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from models import predict
from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fused import fuse
from models.predict import (
    CPU_BATCH_SIZE,
    evaluate,
    forward,
    predict_logits,
    predict_probabilities,
)
from tests.support.picture_factory import make_dataset


@pytest.fixture
def data():
    return DeviceDataset.create(make_dataset(train=2 * CPU_BATCH_SIZE, val=8))


CONFIG = TrainConfig(family="plain", channels=2)


@pytest.fixture
def model(data):
    return build_model(CONFIG, classes=data.classes, image_shape=data.image_shape)


def test_probabilities_do_not_depend_on_the_pictures_beside(model, data):
    rows = data.rows("train")
    together = predict_probabilities(model, data, rows, CONFIG)
    apart = torch.cat(
        [predict_probabilities(model, data, row, CONFIG) for row in rows[:3].split(1)]
    )
    assert together.shape == (2 * CPU_BATCH_SIZE, 3)
    assert torch.allclose(together.sum(dim=1), torch.ones(2 * CPU_BATCH_SIZE))
    # Matrix products of other sizes may sum in another order.
    assert torch.allclose(together[:3], apart, atol=1e-6)


def test_predicting_changes_nothing_in_the_model(model, data):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predict_logits(model, data, data.rows("val"), CONFIG)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_bf16_predicts_the_same_within_its_precision(model, data):
    rows = data.rows("val")
    exact, coarse = (
        predict_probabilities(model, data, rows, replace(CONFIG, precision=precision))
        for precision in ("float32", "bf16")
    )
    assert coarse.dtype == torch.float32
    assert not torch.equal(exact, coarse)
    # bfloat16 keeps 8 bits: 0.4 % a value, over six layers.
    assert torch.allclose(exact, coarse, atol=0.03)


def test_a_flip_predicts_the_mean_of_picture_and_mirror_image(model, data):
    pictures = data.normalise(data.pictures(data.rows("val")))
    model.eval()
    with torch.inference_mode():
        plain, mirrored = (forward(model, p, flip=False) for p in (pictures, pictures.flip(3)))
        both = forward(model, pictures, flip=True)
    mean = (plain.softmax(dim=1) + mirrored.softmax(dim=1)) / 2
    assert torch.allclose(both.softmax(dim=1), mean, atol=1e-6)
    assert not torch.allclose(both.softmax(dim=1), plain.softmax(dim=1), atol=1e-4)


def test_evaluation_is_cross_entropy_and_metrics():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    measured = evaluate(logits, labels)
    assert measured["loss"] == pytest.approx(functional.cross_entropy(logits, labels).item())
    assert measured["accuracy"] == pytest.approx(2 / 3)


def test_a_picture_s_answer_stands_in_its_row_s_place(model, data):
    rows = data.rows("train").flip(0)
    model.eval()
    with torch.inference_mode():
        expected = model(data.normalise(data.pictures(rows)))
    # A batch and a third, so that the last is not full.
    rows, expected = rows[: CPU_BATCH_SIZE * 4 // 3], expected[: CPU_BATCH_SIZE * 4 // 3]
    torch.testing.assert_close(predict_logits(model, data, rows, CONFIG), expected)


def test_members_predict_rows_of_their_own(data):
    members = [build_model(CONFIG, classes=3, image_shape=data.image_shape) for _ in range(3)]
    rows = torch.stack([data.rows("train")[start : start + 30] for start in (0, 40, 80)])
    logits = predict_logits(fuse(members), data, rows, CONFIG)
    assert logits.shape == (3, 30, 3)
    for member, own, found in zip(members, rows, logits, strict=True):
        torch.testing.assert_close(found, predict_logits(member, data, own, CONFIG))


@pytest.mark.parametrize("flip", [False, True])
def test_a_mirror_image_is_looked_at_where_the_configuration_says(model, data, flip):
    rows = data.rows("val")
    pictures = data.normalise(data.pictures(rows))
    found = predict_probabilities(model, data, rows, replace(CONFIG, test_time_flip=flip))
    with torch.inference_mode():
        plain = model.eval()(pictures).softmax(dim=1)
        mirrored = model(pictures[:, :, :, torch.arange(15, -1, -1)]).softmax(dim=1)
    expected = (plain + mirrored) / 2 if flip else plain
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_model_in_evaluation_mode_stays_in_it(model, data):
    model.eval()
    predict_logits(model, data, data.rows("val"), CONFIG)
    assert not model.training


def sizes_of(model, *arguments):
    """Predict; return how many pictures each pass through the network had."""
    sizes = []
    with model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0]))):
        predict_logits(model, *arguments)
    return sizes


def test_a_cpu_predicts_sixty_four_pictures_at_a_time(model, data):
    assert sizes_of(model, data, data.rows("train")[:70], CONFIG) == [64, 6]


def test_members_share_the_pictures_of_a_pass(data, monkeypatch):
    members = fuse([build_model(CONFIG, classes=3, image_shape=data.image_shape) for _ in range(3)])
    rows = torch.stack([data.rows("train")[:30]] * 3)
    assert sizes_of(members, data, rows, CONFIG) == [21, 9]
    monkeypatch.setattr(predict, "CPU_BATCH_SIZE", 2)
    assert sizes_of(members, data, rows[:, :3], CONFIG) == [1, 1, 1]


def test_members_have_mirror_images_of_their_own(data):
    config = replace(CONFIG, test_time_flip=True)
    members = [build_model(CONFIG, classes=3, image_shape=data.image_shape) for _ in range(2)]
    rows = torch.stack([data.rows("train")[start : start + 9] for start in (0, 40)])
    logits = predict_logits(fuse(members), data, rows, config)
    for member, own, found in zip(members, rows, logits, strict=True):
        torch.testing.assert_close(found, predict_logits(member, data, own, config))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_network_computes_in_bf16_where_it_is_asked_to(precision):
    context = predict.autocast(torch.device("cpu"), precision)
    linear = torch.nn.Linear(2, 2)
    with context:
        kind = linear(torch.ones(1, 2)).dtype
    assert kind == {"float32": torch.float32, "bf16": torch.bfloat16}[precision]


def test_evaluation_names_every_metric():
    measured = evaluate(torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([0, 1]))
    assert measured["macro_recall"] == 0.5  # Of both classes that there are; the third has no part.
    assert measured["macro_precision"] == 0.25
    assert measured["macro_f1"] == pytest.approx(1 / 3)


def test_a_class_without_a_picture_may_be_predicted():
    measured = evaluate(torch.tensor([[0.0, 0.0, 9.0], [9.0, 0.0, 0.0]]), torch.tensor([1, 0]))
    assert measured["accuracy"] == 0.5
    # One of three classes is right: the second is never predicted, and the third never a label.
    assert measured["macro_recall"] == measured["macro_precision"] == pytest.approx(1 / 3)


def test_a_picture_and_its_mirror_image_are_averaged_in_float32():
    def coarse(pictures):
        return pictures.flatten(1)[:, :3].bfloat16()

    pictures = torch.randn(4, 1, 3, 5)
    each = (coarse(side).float().softmax(dim=1) for side in (pictures, pictures.flip(3)))
    found = forward(coarse, pictures, flip=True)
    torch.testing.assert_close(found.softmax(dim=1), sum(each) / 2)
