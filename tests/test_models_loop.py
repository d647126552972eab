"""An epoch is what a few lines of plain torch do, for whatever a configuration asks."""

import math
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from models import capture, loop
from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import EpochPlan, seed_of
from models.fit import fit, fit_together
from models.seeding import seeded
from tests.support.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

# 96 pictures in steps of 28, 28, 28 and 12, so that a sum over steps is not one over pictures.
BASE = {
    "family": "plain", "channels": 2, "stages": 1, "fc_width": 8, "dropout": 0.0,
    "optimizer": "sgd", "lr_schedule": "cosine", "learning_rate": 0.02, "weight_decay": 0.01,
    "batch_size": 28, "epochs": 2, "augmentation": "flip", "seed": 5,
}  # fmt: skip
STEPS = 4
AGES = np.where(np.arange(128) % 5 == 0, "child", np.where(np.arange(128) < 70, "adult", ""))


@pytest.fixture(scope="module")
def data():
    votes = np.random.default_rng(1).dirichlet(np.ones(3), 128).astype(np.float32)
    return DeviceDataset.create(replace(make_dataset(soft_labels=votes), columns={"age": AGES}))


def normalised(data, rows):
    source = data.source
    pixels = torch.from_numpy(source.pixels[rows].astype(np.float32))[:, None] / 255
    return (pixels - source.manifest.mean) / source.manifest.std


def box_mask(box):
    """Return which pixels have their centre in a box of shares."""
    left, top, right, bottom = box.tolist()
    (height, width), mask = SHAPE, torch.zeros(SHAPE, dtype=torch.bool)
    for y in range(height):
        for x in range(width):
            mask[y, x] = left <= (x + 0.5) / width < right and top <= (y + 0.5) / height < bottom
    return mask


CLIPPED = 0.3
"""Below the norm of most gradients, and above that of some."""


def train_by_hand(config, data, targets, weights=None, mixed=False):
    """Train in plain torch; return the averaged network, and loss and accuracy of each epoch."""
    torch.manual_seed(seed_of(config, 0))
    model = build_model(config, classes=3, image_shape=SHAPE)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    labels = torch.from_numpy(data.source.labels)
    weights = torch.ones(128) if weights is None else weights
    measured, step = [], 0
    average = deepcopy(model)
    for epoch in range(1, config.epochs + 1):
        losses, hits = [], []
        plan = EpochPlan.draw(config, epoch, torch.arange(96), SHAPE)
        for batch in plan.batches():
            rows = batch.rows[0]
            pictures = normalised(data, rows.numpy())
            flipped = batch.transforms[:, 0, 0] < 0
            pictures = torch.where(flipped[:, None, None, None], pictures.flip(3), pictures)
            aims, weigh = targets[rows], weights[rows]
            if config.erase:
                outside = torch.stack([~box_mask(box) for box in batch.erased])
                pictures = pictures * outside[:, None]
            if config.cutmix:
                box = box_mask(batch.cuts[0])
                pictures = torch.where(box, pictures.flip(0), pictures)
                share = 1 - box.double().mean().item()
                aims = share * aims + (1 - share) * aims.flip(0)
            if mixed:
                share = float(batch.mix)
                pictures = share * pictures + (1 - share) * pictures.flip(0)
                aims = share * aims + (1 - share) * aims.flip(0)
            logits = model(pictures)
            known = logits.log_softmax(dim=1)
            loss = weigh * -(aims * (1 - known.exp()) ** config.focal_gamma * known).sum(dim=1)
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * (1 + math.cos(math.pi * step / (2 * STEPS))) / 2
                if step < config.warmup_epochs * STEPS:
                    group["lr"] *= (step + 1) / (config.warmup_epochs * STEPS)
            optimizer.zero_grad()
            loss.mean().backward()
            if config.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            decay = min(config.ema_decay, (1 + step) / (10 + step))
            with torch.no_grad():
                for name, value in average.state_dict().items():
                    now = model.state_dict()[name]
                    value.copy_(decay * value + (1 - decay) * now if value.ndim else now)
            step += 1
            losses += loss.tolist()
            hits += (logits.argmax(dim=1) == labels[rows]).tolist()
        measured.append((np.mean(losses), np.mean(hits)))
    return average, measured


def smoothed(targets, share):
    return (1 - share) * targets + share / 3


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"label_smoothing": 0.3},
        {"soft_labels": True},
        {"mixup": 0.5, "label_smoothing": 0.3},
        {"clip_norm": CLIPPED, "warmup_epochs": 0.75},
        {"ema_decay": 0.4},
        {"focal_gamma": 2.0, "label_smoothing": 0.3},
        {"focal_gamma": 0.5, "sample_weights": "age=child:4", "label_smoothing": 0.3},
        {"cutmix": 1.0, "erase": 0.5, "label_smoothing": 0.3},
        {"cutmix": 1.0, "mixup": 0.4},
        {"sample_weights": "age=child:4", "label_smoothing": 0.3},
    ],
    ids=str,
)
def test_an_epoch_is_one_of_plain_torch(data, values):
    config = TrainConfig.create(BASE | values)
    one_label = functional.one_hot(torch.from_numpy(data.source.labels), 3).float()
    targets = torch.from_numpy(data.source.soft_labels) if config.soft_labels else one_label
    weights = None
    if config.sample_weights:
        weights = torch.from_numpy(np.where(AGES == "child", 4.0, 1.0)).float()
        weights /= weights[:96].mean()
    model, expected = train_by_hand(
        config, data, smoothed(targets, config.label_smoothing), weights, config.mixup > 0
    )
    for epoch, result in enumerate(fit(config, data)):
        found = (result.values["train_loss"], result.values["train_accuracy"])
        # Sums in another order, made larger by each step.
        assert found == pytest.approx(expected[epoch], rel=1e-4)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(result.weights()[name], value, rtol=1e-3, atol=1e-4)
    model.eval()
    with torch.inference_mode():
        logits = model(normalised(data, range(96, 128)))
    np.testing.assert_allclose(result.probabilities, logits.softmax(dim=1), atol=1e-4)
    # The loss on validation pictures is the one of their labels, whatever training aims at.
    loss = -(one_label[96:] * logits.log_softmax(dim=1)).sum(dim=1).mean().item()
    assert result.values["val_loss"] == pytest.approx(loss, rel=1e-3)


def test_an_epoch_tells_the_learning_rate_of_its_last_step(data):
    rates = [result.values["learning_rate"] for result in fit(TrainConfig.create(BASE), data)]
    last_steps = [3, 7]
    expected = [0.01 * (1 + math.cos(math.pi * step / 8)) for step in last_steps]
    assert rates == pytest.approx(expected)


def test_images_per_second_are_those_of_the_training_part(data):
    values = next(fit(TrainConfig.create(BASE | {"oversample": "age=child:4"}), data)).values
    shown = 96 + 3 * np.count_nonzero(AGES[:96] == "child")
    # The whole epoch has the validation too, so that fewer pictures come on a second of it.
    assert values["images_per_second"] > shown / values["seconds"]
    assert values["images_per_second"] < 1000 * shown / values["seconds"]


def test_bf16_rounds_the_training_too(data):
    # Validation comes after it, and its loss alone would differ.
    exact, rounded = (
        next(fit(TrainConfig.create(BASE | {"precision": precision}), data)).values["train_loss"]
        for precision in ("float32", "bf16")
    )
    assert exact != rounded
    assert exact == pytest.approx(rounded, rel=0.05)


@pytest.mark.parametrize("fold", [1, 3, 6])
def test_a_fold_is_one_of_as_many_as_the_configuration_says(data, fold):
    config = TrainConfig.create(BASE | {"fold": fold, "folds": 4, "batch_size": 48})
    result = next(fit(config, data))
    of_val = data.source.rows("val", fold, 4)
    of_train = data.source.rows("train", fold, 4)
    labels = data.source.labels[of_val]
    hits = result.probabilities.argmax(axis=1) == labels
    assert 28 <= len(hits) == 128 - len(of_train) <= 36
    assert result.values["val_accuracy"] == pytest.approx(hits.mean())


def test_a_state_counts_before_first_weights(data):
    config = TrainConfig.create(BASE)
    whole = list(fit(config, data))
    results = fit(config, data)
    state = next(results).state()
    other = {name: torch.zeros_like(value) for name, value in state["model"].items()}
    (rest,) = fit(config, data, state=state, initial=other)
    assert rest.epoch == 2
    assert rest.values["train_loss"] == whole[1].values["train_loss"]


def test_first_weights_are_those_of_every_member(data):
    members = [TrainConfig.create(BASE | {"seed": seed, "epochs": 1}) for seed in (3, 4)]
    initial = next(fit(TrainConfig.create(BASE), data)).weights()
    (together,) = fit_together(members, data, initial=initial)
    for config, ours in zip(members, together, strict=True):
        (alone,) = fit(config, data, initial=initial)
        assert ours.values["train_loss"] == pytest.approx(alone.values["train_loss"], rel=1e-4)
        (fresh,) = fit(config, data)
        assert ours.values["train_loss"] != pytest.approx(fresh.values["train_loss"], rel=1e-3)


def test_a_member_s_weights_are_its_own(data):
    members = [TrainConfig.create(BASE | {"seed": seed, "epochs": 1}) for seed in (3, 4)]
    for result in next(fit_together(members, data)):
        model = build_model(members[0], classes=3, image_shape=SHAPE).eval()
        model.load_state_dict(result.weights())
        with torch.inference_mode():
            again = model(normalised(data, range(96, 128))).softmax(dim=1)
        np.testing.assert_allclose(again, result.probabilities, atol=1e-4)


@pytest.mark.parametrize(
    ("train_loss", "val_loss", "diverged"),
    [(0.5, 0.5, False), (math.inf, 0.5, True), (0.5, math.nan, True), (math.nan, 0.5, True)],
)
def test_a_loss_that_is_not_finite_is_a_divergence(data, train_loss, val_loss, diverged):
    result = next(fit(TrainConfig.create(BASE), data))
    result.values.update(train_loss=train_loss, val_loss=val_loss)
    assert result.diverged is diverged


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("batch_size", "pictures"), [(28, 28), (96, 96), (500, 96)])
def test_a_step_is_captured_with_its_own_number_of_pictures(
    data, monkeypatch, members, batch_size, pictures
):
    seen = []

    def capture(model, sample, precision):
        seen.append((model, sample.shape, precision))
        return model

    monkeypatch.setattr(loop, "captured", capture)
    values = BASE | {"batch_size": batch_size, "precision": "bf16"}
    made = loop.Loop([TrainConfig.create(values | {"seed": s}) for s in range(members)], data)
    assert seen == [(made.model, (pictures, members, *SHAPE), "bf16")]
    assert made.model.training


@pytest.mark.parametrize("start", ["new", "state", "initial"])
def test_weights_that_others_trained_are_the_first_ones_of_a_new_training_alone(
    data, monkeypatch, start
):
    config = TrainConfig.create(BASE)
    first = next(fit(config, data))
    given = {"state": first.state(), "initial": first.weights()}
    calls = []
    monkeypatch.setattr(loop.Loop, "load_pretrained", lambda self: calls.append(self.epoch))
    next(fit(config, data, **{name: given[name] for name in given if name == start}))
    assert calls == ([0] if start == "new" else [])


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("members", [1, 2])
def test_weights_lie_in_memory_as_was_asked(data, members, channels_last):
    configs = [TrainConfig.create(BASE | {"seed": seed, "stages": 2}) for seed in range(members)]
    trained = loop.Loop(configs, data, channels_last=channels_last).model
    weights = [
        weight for weight in trained.parameters() if weight.ndim == 4 and weight.shape[1] > 1
    ]
    assert weights
    for weight in weights:
        assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last
        assert weight.is_contiguous() is not channels_last


@pytest.mark.parametrize("members", [1, 2])
def test_seconds_are_those_of_the_whole_epoch_and_pictures_those_of_a_second_s_training(
    data, monkeypatch, members
):
    # Begun; trained; measured on validation, once for each member.
    clock = iter([100.0, 104.0, *[110.0] * members])
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(clock))
    configs = [TrainConfig.create(BASE | {"seed": seed}) for seed in range(members)]
    for result in loop.Loop(configs, data).train_epoch():
        assert result.values["seconds"] == 10
        assert result.values["images_per_second"] == 96 / 4, "each member's own pictures"


def test_a_training_is_deaf_to_seeds_outside_and_leaves_them_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(7, torch.device("cpu")):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(inside, torch.rand(3, generator=torch.Generator().manual_seed(7)))


def test_metrics_of_a_result_are_those_of_validation_with_its_name(data):
    values = next(fit(TrainConfig.create(BASE), data)).values
    metrics = {f"{a}_{m}" for a in ("macro", "micro") for m in ("precision", "recall", "f1")}
    assert values.keys() == {
        "train_loss", "train_accuracy", "learning_rate", "images_per_second", "seconds",
        *(f"val_{name}" for name in metrics | {"loss", "accuracy"}),
    }  # fmt: skip


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Stand in for CUDA where a graph is captured; return what was asked of it."""
    asked = SimpleNamespace(error=None, autocast=None, options=None, seeded=None)

    def make(model, _arguments, **options):
        asked.options = options
        model.running_mean += 1  # As the capture's own steps would.
        if asked.error:
            raise asked.error
        model.forward = lambda pictures: pictures * 100

    def fork(devices):
        asked.seeded = devices
        return nullcontext()

    def autocast(*arguments, **options):
        asked.autocast = (arguments, options)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", make)
    monkeypatch.setattr(torch.random, "fork_rng", fork)
    monkeypatch.setattr(torch, "autocast", autocast)
    return asked


SAMPLE = SimpleNamespace(device=torch.device("cuda"), shape=torch.Size((4, 2)))


@pytest.mark.usefixtures("on_a_gpu")
def test_a_graph_is_replayed_for_pictures_of_the_captured_shape_alone():
    model = torch.nn.BatchNorm1d(2)
    forward = capture.captured(model, SAMPLE, "float32")
    assert model.running_mean.tolist() == [0, 0]
    assert "forward" not in vars(model)
    pictures = torch.randn(4, 2)
    assert torch.equal(forward(pictures), pictures * 100)
    assert forward(torch.ones(3, 2)).abs().max() < 1
    assert model.running_mean.tolist() == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_graph_computes_with_the_precision_of_the_training(on_a_gpu, precision):
    capture.captured(torch.nn.BatchNorm1d(2), SAMPLE, precision)
    assert on_a_gpu.autocast == (
        ("cuda", torch.bfloat16, precision == "bf16"),
        {"cache_enabled": False},
    )
    # The capture draws dropout's masks, and networks may have weights without a use.
    assert on_a_gpu.seeded == [SAMPLE.device]
    assert on_a_gpu.options == {"allow_unused_input": True}


def test_a_network_that_cannot_be_captured_is_trained_all_the_same(on_a_gpu):
    model = torch.nn.BatchNorm1d(2)
    on_a_gpu.error = RuntimeError("looks at a value")
    with pytest.warns(
        UserWarning, match="cannot make a CUDA graph of BatchNorm1d: looks at a value"
    ):
        assert capture.captured(model, SAMPLE, "float32") is model
    assert model.running_mean.tolist() == [0, 0]
    on_a_gpu.error = torch.OutOfMemoryError("no room")
    with pytest.raises(torch.OutOfMemoryError):
        capture.captured(model, SAMPLE, "float32")
