"""An epoch is what a few lines of plain torch do, for whatever a configuration asks."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import EpochPlan, seed_of
from models.fit import fit, fit_together
from tests.picture_factory import SHAPE, make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

# 96 pictures in steps of 28, 28, 28 and 12, so that a sum over steps is not one over pictures.
BASE = {
    "family": "plain", "channels": 2, "conv_depth": 1, "fc_width": 8, "dropout": 0.0,
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


def train_by_hand(config, data, targets, weights=None, mixed=False):
    """Train ``config`` in plain torch; return its network, and loss and accuracy of each epoch."""
    torch.manual_seed(seed_of(config, 0))
    model = build_model(config, classes=3, image_shape=SHAPE)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    labels = torch.from_numpy(data.source.labels)
    weights = torch.ones(128) if weights is None else weights
    measured, step = [], 0
    for epoch in range(1, config.epochs + 1):
        losses, hits = [], []
        plan = EpochPlan.draw(config, epoch, torch.arange(96), SHAPE)
        for batch in plan.batches():
            rows = batch.rows[0]
            pictures = normalised(data, rows.numpy())
            flipped = batch.transforms[:, 0, 0] < 0
            pictures = torch.where(flipped[:, None, None, None], pictures.flip(3), pictures)
            aims, weigh = targets[rows], weights[rows]
            if mixed:
                share = float(batch.mix)
                pictures = share * pictures + (1 - share) * pictures.flip(0)
                aims = share * aims + (1 - share) * aims.flip(0)
            logits = model(pictures)
            loss = weigh * -(aims * logits.log_softmax(dim=1)).sum(dim=1)
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * (1 + math.cos(math.pi * step / (2 * STEPS))) / 2
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            step += 1
            losses += loss.tolist()
            hits += (logits.argmax(dim=1) == labels[rows]).tolist()
        measured.append((np.mean(losses), np.mean(hits)))
    return model, measured


def smoothed(targets, share):
    return (1 - share) * targets + share / 3


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"label_smoothing": 0.3},
        {"soft_labels": True},
        {"mixup": 0.5, "label_smoothing": 0.3},
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
