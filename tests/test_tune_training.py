"""Trainings inside a run directory, without Ray."""

import shutil

import pytest

from models.checkpoint import load
from models.config import TrainConfig
from tests.picture_factory import make_dataset
from tune.bundle import Bundle
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
    training = factory(one(trial_id, config))
    told = [training.advance() for _ in range(epochs or config.epochs)]
    return training, [{name: values[name] for name in MEASURED} for ((_, _, values),) in told]


def one(trial_id, config):
    return Bundle(trials={trial_id: config.to_dict()}, folder=trial_id)


def files(factory, trial_id="a"):
    return {path.name for path in (factory.run / "checkpoints" / trial_id).iterdir()}


def test_every_figure_of_the_schema_is_measured(factory):
    training = factory(one("a", TrainConfig.create(CONFIG)))
    ((trial_id, epoch, values),) = training.advance()
    assert (trial_id, epoch) == ("a", 1)
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
    again = factory(one("parted", TrainConfig.create(CONFIG)))
    ((_, second, repeated),), ((_, third, values),) = again.advance(), again.advance()
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
    ((_, epoch, _),) = factory(one("a", TrainConfig.create(CONFIG))).advance()
    assert epoch == 1


def bundle(*seeds):
    trials = {f"seed {s}": TrainConfig.create({**CONFIG, "seed": s}).to_dict() for s in seeds}
    return Bundle(trials=trials, folder="bundle-seed 0")


def figures_of(told):
    return [
        (trial_id, epoch, {name: values[name] for name in MEASURED})
        for trial_id, epoch, values in told
    ]


def test_several_trials_as_one_leave_the_files_that_each_alone_does(factory):
    training = factory(bundle(0, 1))
    told = [training.advance() for _ in range(3)]
    assert [[(trial_id, epoch) for trial_id, epoch, _ in epochs] for epochs in told] == [
        [("seed 0", epoch), ("seed 1", epoch)] for epoch in (1, 2, 3)
    ]
    for seed in (0, 1):
        _, alone = train(factory, f"alone {seed}", seed=seed)
        ours = told[-1][seed][2]
        # Sums run in another order.
        assert ours["val_loss"] == pytest.approx(alone[-1]["val_loss"], rel=1e-3)
        assert files(factory, f"seed {seed}") == {"best.pt"}
        table = read_predictions(factory.run, f"seed {seed}")
        assert table.num_rows == read_predictions(factory.run, f"alone {seed}").num_rows
    assert files(factory, "bundle-seed 0") == {"last.pt"}


def test_several_trials_as_one_go_on_together_to_the_same_end(factory):
    whole = [figures_of(told) for told in _all_epochs(factory(bundle(0, 1)))]
    shutil.rmtree(factory.run / "checkpoints")
    (factory.run / STOP_FILE).touch()
    training = factory(bundle(0, 1))
    before = [figures_of(training.advance()) for _ in range(2)]
    training.close()
    (factory.run / STOP_FILE).unlink()
    again = factory(bundle(0, 1))
    repeated, after = figures_of(again.advance()), figures_of(again.advance())
    assert repeated == before[-1]
    assert [*before, after] == whole


def test_a_trial_that_ends_before_its_mates_leaves_its_files_and_is_told_of_no_more(factory):
    training = factory(bundle(0, 1, 2))
    first = training.advance()
    training.end("seed 1")
    assert [trial_id for trial_id, _, _ in first] == ["seed 0", "seed 1", "seed 2"]
    assert [trial_id for trial_id, _, _ in training.advance()] == ["seed 0", "seed 2"]
    assert files(factory, "seed 1") == {"best.pt"}
    assert load(factory.run / "checkpoints" / "seed 1" / "best.pt")["epoch"] == 1
    training.advance()
    # A retry without it goes on with the others.
    left = factory(bundle(0, 2))
    assert [(trial_id, epoch) for trial_id, epoch, _ in left.advance()] == [
        ("seed 0", 3), ("seed 2", 3),
    ]  # fmt: skip


def _all_epochs(training):
    return [training.advance() for _ in range(3)]
