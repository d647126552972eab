"""Trainings inside a run directory, without Ray."""

import pytest

from models.checkpoint import load
from models.config import TrainConfig
from tests.picture_factory import make_dataset
from tune.factory import TrainingFactory
from tune.schema import MEASURED, STOP_FILE, TIMINGS, Measurement, read_predictions
from tune.spec import Objective

CONFIG = {
    "family": "resnet", "channels": 4, "blocks": 1, "conv_depth": 1, "fc_width": 8, "pool_size": 2,
    "epochs": 3, "batch_size": 16,
}  # fmt: skip


@pytest.fixture
def factory(tmp_path):
    dataset = make_dataset()
    return TrainingFactory(
        run=tmp_path, fingerprint="f", objective=Objective(), threads=1,
        load_dataset=lambda: dataset,
    )  # fmt: skip


def train(factory, trial_id="a", *, epochs=None, **changes):
    """Train a trial to its end, or for some epochs; return the training and its metrics."""
    config = TrainConfig.create({**CONFIG, **changes})
    training = factory(trial_id, config.to_dict())
    told = [training.advance() for _ in range(epochs or config.epochs)]
    return training, [{name: values[name] for name in MEASURED} for _, values in told]


def files(factory, trial_id="a"):
    return {path.name for path in (factory.run / "checkpoints" / trial_id).iterdir()}


def test_every_figure_of_the_schema_is_measured(factory):
    training = factory("a", TrainConfig.create(CONFIG).to_dict())
    epoch, values = training.advance()
    assert epoch == 1
    assert set(values) == {*MEASURED, *TIMINGS}
    assert not Measurement(epoch=1, values=values).diverged


def test_the_same_trial_first_and_tenth_in_a_worker_gives_equal_metrics(factory):
    _, first = train(factory, "first", seed=1, dropout=0.3)
    for other in range(8):
        train(factory, f"other {other}", seed=other, epochs=1, kernel_size=1 + other)
    _, tenth = train(factory, "tenth", seed=1, dropout=0.3)
    assert tenth == first


def test_a_trial_stopped_with_a_checkpoint_goes_on_to_the_same_end(factory):
    _, whole = train(factory, "whole")
    (factory.run / STOP_FILE).touch()
    training, before = train(factory, "parted", epochs=2)
    training.close()
    (factory.run / STOP_FILE).unlink()
    again = factory("parted", TrainConfig.create(CONFIG).to_dict())
    (second, repeated), (third, values) = again.advance(), again.advance()
    assert (second, third) == (2, 3)
    assert {name: repeated[name] for name in MEASURED} == before[-1]
    assert [*before, {name: values[name] for name in MEASURED}] == whole
    ours, theirs = (read_predictions(factory.run, one) for one in ("parted", "whole"))
    assert ours.equals(theirs)


def test_predictions_are_those_of_the_best_epoch(factory):
    _, told = train(factory)
    best = max(range(3), key=lambda place: (told[place]["val_accuracy"], -place))
    table = read_predictions(factory.run, "a")
    right = [
        max(range(len(row)), key=row.__getitem__) == label
        for row, label in zip(
            table["probabilities"].to_pylist(), table["label"].to_pylist(), strict=True
        )
    ]
    assert sum(right) / len(right) == pytest.approx(told[best]["val_accuracy"], abs=1e-12)
    assert load(factory.run / "checkpoints" / "a" / "best.pt")["epoch"] == best + 1


def test_a_trial_stopped_early_leaves_weights_and_predictions_but_no_state(factory):
    training, _ = train(factory, epochs=1)
    training.close()
    assert "best.pt" in files(factory)
    assert read_predictions(factory.run, "a") is not None


def test_a_whole_trial_keeps_its_state_only_at_a_constant_rate(factory):
    train(factory, "constant")
    train(factory, "cosine", lr_schedule="cosine")
    assert files(factory, "constant") == {"best.pt", "last.pt"}
    assert "last.pt" not in files(factory, "cosine") or (
        load(factory.run / "checkpoints" / "cosine" / "last.pt")["loop"]["epoch"] < 3
    )


def test_a_cut_checkpoint_counts_as_none(factory):
    train(factory)
    state = factory.run / "checkpoints" / "a" / "last.pt"
    state.write_bytes(state.read_bytes()[:200])
    epoch, _ = factory("a", TrainConfig.create(CONFIG).to_dict()).advance()
    assert epoch == 1
