import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.reader import read_dataset
from models.build import build_model
from models.checkpoint import load, save
from models.config import TrainConfig
from models.data import DeviceDataset
from models.fit import fit
from models.predict import predict_probabilities
from tests.support.picture_factory import make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

TIMINGS = ("seconds", "images_per_second")
PLAIN = TrainConfig(family="plain", channels=4, batch_size=16, epochs=3, learning_rate=0.01)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return DeviceDataset.create(
        make_dataset(soft_labels=rng.dirichlet(np.ones(3), 128).astype(np.float32))
    )


def _measured(results):
    return [
        {name: value for name, value in result.values.items() if name not in TIMINGS}
        for result in results
    ]


def _run(config, data, state=None):
    results = list(fit(config, data, state=state))
    return _measured(results), results[-1].probabilities


def test_training_learns(data):
    config = replace(PLAIN, epochs=12, augmentation="none", dropout=0.0)
    measured, _ = _run(config, data)
    assert measured[-1]["val_accuracy"] > 0.9
    assert measured[-1]["train_loss"] < measured[0]["train_loss"] / 2


@pytest.mark.parametrize(
    "values",
    [
        {"family": "resnet", "blocks": 1, "channels": 4, "pool_size": 4, "fc_width": 8},
        {"family": "plain", "channels": 4, "mixup": 0.4, "label_smoothing": 0.1},
        {"family": "staged", "channels": 4, "dropout": 0.2, "soft_labels": True},
        {"family": "plain", "channels": 4, "precision": "bf16", "optimizer": "adamw"},
    ],
)
def test_equal_trials_are_equal_to_the_last_digit_whatever_ran_before(data, values):
    config = TrainConfig.create({"epochs": 2, "batch_size": 16} | values)
    first, first_probabilities = _run(config, data)
    torch.rand(7)
    _run(replace(PLAIN, epochs=1), data)
    again, again_probabilities = _run(config, data)
    assert first == again
    assert np.array_equal(first_probabilities, again_probabilities)
    assert _run(replace(config, seed=1), data)[0] != first


def test_trials_that_take_turns_do_not_disturb_each_other(data):
    alone = [_run(replace(PLAIN, seed=seed), data)[0] for seed in (0, 1)]
    turns = zip(*(fit(replace(PLAIN, seed=seed), data) for seed in (0, 1)), strict=True)
    together = [_measured(results) for results in zip(*turns, strict=True)]
    assert together == alone


def test_training_leaves_torch_s_random_numbers_alone(data):
    before = torch.get_rng_state()
    _run(replace(PLAIN, epochs=1), data)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_a_training_goes_on_from_a_checkpoint_as_if_never_interrupted(
    data, tmp_path, optimizer, schedule
):
    config = replace(PLAIN, epochs=4, optimizer=optimizer, lr_schedule=schedule, mixup=0.2)
    whole, whole_probabilities = _run(config, data)
    results = fit(config, data)
    for _ in range(2):
        result = next(results)
    save(tmp_path / "last.pt", result.state())
    rest, rest_probabilities = _run(config, data, load(tmp_path / "last.pt"))
    assert rest == whole[2:]
    assert np.array_equal(rest_probabilities, whole_probabilities)


RECIPES = [
    {"cutmix": 1.0, "mixup": 0.4, "erase": 0.5},
    {"ema_decay": 0.9, "lr_schedule": "one_cycle"},
    {"warmup_epochs": 1.5, "clip_norm": 0.5, "optimizer": "sgd"},
]


@pytest.mark.parametrize("values", RECIPES, ids=str)
def test_a_recipe_goes_on_from_a_checkpoint_as_if_never_interrupted(data, tmp_path, values):
    config = replace(PLAIN, epochs=3, **values)
    whole, whole_probabilities = _run(config, data)
    save(tmp_path / "last.pt", next(fit(config, data)).state())
    rest, rest_probabilities = _run(config, data, load(tmp_path / "last.pt"))
    assert rest == whole[1:]
    assert np.array_equal(rest_probabilities, whole_probabilities)


def test_weights_are_those_that_validation_used(data):
    config = replace(PLAIN, ema_decay=0.9)
    result = list(fit(config, data))[-1]
    model = build_model(config, classes=data.classes, image_shape=data.image_shape)
    model.load_state_dict(result.weights())
    again = predict_probabilities(model, data, data.rows("val"), config)
    assert np.allclose(again.numpy(), result.probabilities, atol=1e-5)
    model.load_state_dict(result.state()["model"])
    raw = predict_probabilities(model, data, data.rows("val"), config)
    assert not np.allclose(raw.numpy(), result.probabilities, atol=1e-3)


def test_a_finished_training_trains_no_epoch_more(data):
    result = list(fit(replace(PLAIN, epochs=1), data))[-1]
    assert list(fit(replace(PLAIN, epochs=1), data, state=result.state())) == []


def test_an_epoch_measures_what_it_should(data):
    result = next(fit(PLAIN, data))
    labels = data.labels[data.rows("val")].numpy()
    hits = result.probabilities.argmax(axis=1) == labels
    assert result.epoch == 1
    assert result.probabilities.dtype == np.float32
    assert result.values["val_accuracy"] == pytest.approx(hits.mean())
    chosen = result.probabilities[np.arange(len(labels)), labels]
    assert result.values["val_loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-5)
    assert result.values["learning_rate"] == PLAIN.learning_rate
    assert all(result.values[name] > 0 for name in TIMINGS)


@pytest.mark.long
def test_bf16_learns_as_well_as_float32_within_the_noise_of_seeds(synthetic_dataset):
    faces = DeviceDataset.create(read_dataset(synthetic_dataset))
    config = replace(
        PLAIN, batch_size=32, epochs=4, learning_rate=0.003, augmentation="none", dropout=0.0
    )

    def reached(precision):
        trainings = (fit(replace(config, precision=precision, seed=s), faces) for s in range(6))
        return np.array([list(results)[-1].values["val_accuracy"] for results in trainings])

    exact, rounded = reached("float32"), reached("bf16")
    assert exact.mean() > 0.4
    assert not np.array_equal(exact, rounded)
    # The mean of six differences is this far from zero in one of a hundred cases (Student's t).
    error = (exact - rounded).std(ddof=1) / 6**0.5
    assert abs((exact - rounded).mean()) <= 4.03 * error


def test_a_fold_trains_on_the_others_and_validates_on_itself(data):
    result = next(fit(replace(PLAIN, fold=1), data))
    assert len(result.probabilities) == 43


def test_weights_are_a_copy_that_predicts_as_the_network_did(data):
    results = fit(PLAIN, data)
    first = next(results)
    weights = first.weights()
    next(results)
    model = build_model(PLAIN, classes=data.classes, image_shape=data.image_shape)
    model.load_state_dict(weights)
    again = predict_probabilities(model, data, data.rows("val"), PLAIN)
    # Channels first here, channels last in training: sums may run in another order.
    assert np.allclose(again.numpy(), first.probabilities, atol=1e-5)


def test_the_state_of_a_past_epoch_is_not_to_be_had(data):
    results = fit(PLAIN, data)
    first = next(results)
    next(results)
    with pytest.raises(RuntimeError, match="epoch 1 is no longer available, because epoch 2"):
        first.state()
    with pytest.raises(RuntimeError, match="epoch 1 is no longer available"):
        first.weights()


def test_a_diverged_training_yields_its_last_measurement_and_ends(data):
    config = replace(PLAIN, optimizer="sgd", learning_rate=10.0, weight_decay=1.0, epochs=50)
    results = list(fit(config, data))
    assert len(results) < 50
    assert not math.isfinite(results[-1].values["train_loss"])
    assert all(math.isfinite(result.values["train_loss"]) for result in results[:-1])
    assert list(fit(config, data, state=results[-1].state())) == []
