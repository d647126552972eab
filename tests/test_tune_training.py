"""Trainings inside a run directory, without Ray."""

import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.checkpoint import load
from models.config import TrainConfig
from models.latency import Latency, MeasuredNetwork
from models.probe import Probe
from tests.support.picture_factory import make_dataset
from tests.support.sweeps import figures
from tune.execution.factory import TrainingFactory
from tune.execution.memory import OutOfMemoryError
from tune.run.directory import STOP_FILE
from tune.run.tables import read_predictions
from tune.run.trial import MEASURED, TIMINGS, Measurement
from tune.sweep.bundle import Bundle
from tune.sweep.spec import ObjectiveSpec

CONFIG = {
    "family": "resnet", "channels": 4, "blocks": 1, "conv_depth": 1, "fc_width": 8, "pool_size": 2,
    "epochs": 3, "batch_size": 16,
}  # fmt: skip


CLASSES = ("neutral", "angry", "bored")


def narrow_pictures():
    """Pictures of 16 × 12 pixels whose classes stand in no order of the alphabet."""
    made = make_dataset(classes=CLASSES, shape=(16, 12))
    return replace(made, manifest=replace(made.manifest, name="narrow"))


@pytest.fixture
def factory(tmp_path):
    dataset = narrow_pictures()
    run = tmp_path / "my run"
    run.mkdir()
    return TrainingFactory(
        run=run, fingerprint="narrow", objective=ObjectiveSpec(), threads=1,
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


def test_a_trial_stopped_early_leaves_weights_and_predictions_but_no_state(factory, monkeypatch):
    monkeypatch.setattr("tune.execution.training.CHECKPOINT_SHARE", 0.0)
    training, _ = train(factory, epochs=1)
    assert not (factory.run / "checkpoints" / "a").exists()
    training.close()
    assert files(factory) == {"best.pt"}
    assert read_predictions(factory.run, "a") is not None


def test_a_trial_that_may_pause_has_its_state_on_disk_when_it_reports(factory, monkeypatch):
    monkeypatch.setattr("tune.execution.training.CHECKPOINT_SHARE", 0.0)
    bundle = replace(one("a", TrainConfig.create(CONFIG)), pauses_after=(2,))
    training = factory(bundle)
    training.advance()
    assert not (factory.run / "checkpoints" / "a").exists()
    training.advance()
    assert load(factory.run / "checkpoints" / "a" / "last.pt")["loop"]["epoch"] == 2
    other = factory(bundle)
    assert [other.advance()[0].epoch for _ in range(2)] == [2, 3]
    written = {path: path.stat().st_mtime_ns for path in factory.run.rglob("*") if path.is_file()}
    training.close()
    assert written == {path: path.stat().st_mtime_ns for path in written}, "the other one counts"


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


def test_predictions_are_of_the_validation_pictures_in_their_order(factory):
    train(factory, seed=4)
    table = read_predictions(factory.run, "a")
    data = narrow_pictures()
    val = data.splits == "val"
    assert table["image_id"].to_pylist() == data.image_ids[val].tolist()
    assert table["label"].to_pylist() == data.labels[val].tolist()
    assert table.schema.metadata[b"classes"] == b'["neutral", "angry", "bored"]'
    kept = load(factory.run / "checkpoints" / "a" / "best.pt")
    assert tuple(kept["dataset"]["classes"]) == CLASSES
    assert (kept["config"]["seed"], kept["config"]["channels"]) == (4, 4)


def test_a_trial_of_a_fold_is_judged_on_the_pictures_of_that_fold(factory):
    train(factory, epochs=1, fold=1)[0].close()
    data = narrow_pictures()
    ids = read_predictions(factory.run, "a")["image_id"].to_pylist()
    assert ids == data.image_ids[data.folds == 1].tolist()


class Scripted:
    """Stands in for the training loop: tells figures that are given, an epoch each."""

    def __init__(self, monkeypatch, factory, **columns):
        self.count = len(next(iter(columns.values())))
        self.columns = columns
        self.asked = []
        self.pictures = int((narrow_pictures().splits == "val").sum())
        monkeypatch.setattr("tune.execution.training.fit_together", self.fit)
        self.factory = factory

    def fit(self, configs, _data, **options):
        self.asked.append(options)
        states = options["states"]
        for place in range(0 if states is None else states[0]["epoch"], self.count):
            yield [self.result(place, member) for member in range(len(configs))]

    def result(self, place, member):
        epoch = place + 1
        values = figures("a", epoch, **{k: column[place] for k, column in self.columns.items()})
        losses = values["train_loss"], values["val_loss"]
        probabilities = np.full((self.pictures, 3), epoch / 100, np.float32)
        return SimpleNamespace(
            epoch=epoch, member=member, values=values, probabilities=probabilities,
            diverged=not all(map(math.isfinite, losses)),
            weights=lambda: {"weight": torch.tensor([float(epoch)])},
            state=lambda: {"epoch": epoch},
        )  # fmt: skip

    def train(self, *, epochs=None, objective=None, close=True, **changes):
        factory = self.factory
        if objective is not None:
            factory = replace(factory, objective=objective)
        config = TrainConfig.create({**CONFIG, "epochs": self.count, **changes})
        training = factory(one("a", config))
        for _ in range(epochs or self.count):
            training.advance()
        if close:
            training.close()
        return training

    def kept(self):
        """The epoch of the best weights; the weights and the predictions are of it too."""
        best = load(self.factory.run / "checkpoints" / "a" / "best.pt")
        table = read_predictions(self.factory.run, "a")
        assert best["weights"]["weight"].item() == best["epoch"]
        assert int(table.schema.metadata[b"epoch"]) == best["epoch"]
        first = table["probabilities"][0].as_py()[0]
        assert first == pytest.approx(best["epoch"] / 100)
        return best["epoch"]


@pytest.mark.parametrize(
    ("objective", "column", "epoch"),
    [
        (ObjectiveSpec(metric="val_macro_f1"), [0.2, 0.6, 0.6, 0.5], 2),
        (ObjectiveSpec(metric="val_macro_f1"), [0.6, 0.6, 0.6, 0.6], 1),
        (ObjectiveSpec(metric="val_macro_f1"), [math.nan, 0.1, math.nan, 0.05], 2),
        (ObjectiveSpec(metric="val_loss"), [0.6, 0.2, 0.2, 0.3], 2),
        (ObjectiveSpec(metric="val_macro_f1", at="last"), [0.9, 0.6, 0.6, 0.5], 4),
        (ObjectiveSpec(metric="val_loss", at="last"), [0.1, 0.6, 0.6, math.nan], 3),
    ],
)
@pytest.mark.parametrize("often", [True, False], ids=["each epoch", "at the end"])
def test_of_equal_best_epochs_the_weights_of_the_earliest_are_kept(
    factory, monkeypatch, objective, column, epoch, often
):
    monkeypatch.setattr("tune.execution.training.CHECKPOINT_SHARE", math.inf if often else 0.0)
    columns = {objective.metric: column, "val_accuracy": [0.1, 0.2, 0.3, 0.4]}
    scripted = Scripted(monkeypatch, factory, **columns)
    scripted.train(objective=objective)
    assert scripted.kept() == epoch


@pytest.mark.parametrize("often", [True, False], ids=["each epoch", "at the end"])
def test_a_trial_that_diverges_leaves_its_best_weights_and_no_state(factory, monkeypatch, often):
    monkeypatch.setattr("tune.execution.training.CHECKPOINT_SHARE", 0.0 if not often else 0.05)
    scripted = Scripted(monkeypatch, factory, val_accuracy=[0.5, 0.9], train_loss=[0.5, math.nan])
    training = scripted.train(epochs=2, close=False)
    assert scripted.kept() == 2
    assert ("last.pt" in files(factory)) is False or (
        load(factory.run / "checkpoints" / "a" / "last.pt")["loop"]["epoch"] == 1
    )
    training.close()


def test_a_state_on_disk_never_knows_of_weights_that_are_not_there(factory, monkeypatch):
    from tune.execution import training

    written = []

    def note(name, real):
        def write(*words, **options):
            path = words[0]
            is_state = path.name == "last.pt"
            if is_state:
                folder = path.parent
                assert load(folder / "best.pt")["epoch"] == words[1]["best"]["epoch"]
                assert read_predictions(factory.run, "a") is not None
            written.append(path.name if name == "save" else "predictions")
            real(*words, **options)

        return write

    monkeypatch.setattr(training, "save", note("save", training.save))
    monkeypatch.setattr(
        training, "write_predictions", note("predictions", training.write_predictions)
    )
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", math.inf)
    Scripted(monkeypatch, factory, val_accuracy=[0.2, 0.5, 0.4]).train()
    assert written == [
        "predictions", "best.pt", "last.pt", "predictions", "best.pt", "last.pt", "last.pt",
    ]  # fmt: skip


def test_checkpoints_take_no_more_than_a_twentieth_of_the_time(factory, monkeypatch):
    now = 100.0
    monkeypatch.setattr("tune.execution.training.time", SimpleNamespace(monotonic=lambda: now))
    scripted = Scripted(monkeypatch, factory, val_accuracy=[0.2, 0.5, 0.4, 0.3, 0.2])
    config = TrainConfig.create({**CONFIG, "epochs": 5})
    training = factory(one("a", config))
    # 16 bytes for each parameter, at 200 MB a second, twenty times over.
    patience = 20 * 16 * training.parameters / 200e6
    now += 0.9 * patience
    training.advance()
    assert not (factory.run / "checkpoints" / "a").exists()
    now += 0.2 * patience
    training.advance()
    assert files(factory) == {"best.pt", "last.pt"}
    assert scripted.kept() == 2
    state = factory.run / "checkpoints" / "a" / "last.pt"
    assert load(state)["loop"] == {"epoch": 2}
    assert load(state)["best"] == {"epoch": 2, "value": 0.5}


def test_a_restored_trial_remembers_its_best_epoch_and_starts_from_no_other_weights(
    factory, monkeypatch
):
    scripted = Scripted(monkeypatch, factory, val_accuracy=[0.5, 0.7, 0.6, 0.7])
    (factory.run / STOP_FILE).touch()
    scripted.train(epochs=2)
    (factory.run / STOP_FILE).unlink()
    assert scripted.kept() == 2
    scripted.train(epochs=3)
    assert scripted.kept() == 2
    assert [one["states"] for one in scripted.asked] == [None, [{"epoch": 2}]]
    assert scripted.asked[1]["initial"] is None


@pytest.mark.parametrize(
    ("error", "raised", "told"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory.\n  Tried 3 GiB"),
            OutOfMemoryError,
            r"^CUDA out of memory\. Tried 3 GiB$",
        ),
        (RuntimeError("CUDA error: an illegal access"), RuntimeError, "^CUDA error"),
    ],
)
def test_a_lack_of_memory_is_told_in_one_line_and_nothing_else_is_one(
    factory, monkeypatch, error, raised, told
):
    def fit(*_words, **_options):
        raise error
        yield

    monkeypatch.setattr("tune.execution.training.fit_together", fit)
    training = factory(one("a", TrainConfig.create(CONFIG)))
    with pytest.raises(raised, match=told) as caught:
        training.advance()
    assert isinstance(caught.value, OutOfMemoryError) == (raised is OutOfMemoryError)


def test_the_last_requested_stop_of_a_whole_trial_leaves_no_state_at_a_falling_rate(
    factory, monkeypatch
):
    scripted = Scripted(monkeypatch, factory, val_accuracy=[0.5, 0.7])
    (factory.run / STOP_FILE).touch()
    scripted.train(lr_schedule="cosine", epochs=1, close=False)
    assert files(factory) == {"best.pt", "last.pt"}
    scripted.train(lr_schedule="cosine", epochs=2)
    assert load(factory.run / "checkpoints" / "a" / "last.pt")["loop"]["epoch"] == 1


# The factory.


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_latency_of_a_network_is_its_median_with_one_picture_and_a_trials_threads(
    factory, monkeypatch, channels_last
):
    asked = []

    def measure(config, _data, **options):
        asked.append((config.kernel_size, torch.get_num_threads(), options))
        latencies = {1: Latency(p50=1.5, p95=2.0), 64: Latency(p50=30.0, p95=40.0)}
        return MeasuredNetwork(parameters=7, weights_bytes=28, latencies=latencies)

    monkeypatch.setattr("models.latency.measure_network", measure)
    before = torch.get_num_threads()
    bundle = replace(one("a", TrainConfig.create(CONFIG)), channels_last=channels_last)
    try:
        assert replace(factory, threads=3).latency_ms(bundle) == 1.5
    finally:
        torch.set_num_threads(before)
    kernel_size = TrainConfig.create(CONFIG).kernel_size
    assert asked == [(kernel_size, 3, {"channels_last": channels_last})]


def test_the_dataset_is_loaded_once_and_each_trial_has_its_threads(factory):
    loads = []

    def load_dataset():
        loads.append(1)
        return narrow_pictures()

    before = torch.get_num_threads()
    other = replace(factory, fingerprint="loaded once", load_dataset=load_dataset, threads=3)
    try:
        for trial in ("a", "b"):
            other(one(trial, TrainConfig.create(CONFIG)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert loads == [1]
    factory(one("c", TrainConfig.create(CONFIG)))
    other(one("d", TrainConfig.create(CONFIG)))
    torch.set_num_threads(before)
    assert loads == [1, 1], "a process keeps one dataset"


@pytest.mark.parametrize(
    ("gain", "reason", "always", "fused"),
    [(1.23456, "", False, True), (0.9, "", False, False), (0.9, "", True, True),
     (0.0, "no layer", True, False)],
)  # fmt: skip
def test_a_probe_says_whether_it_pays_or_is_asked_for_and_can_be(
    factory, monkeypatch, gain, reason, always, fused
):
    asked = []

    def probe(configs, _data, *, always):
        asked.append(([config.seed for config in configs], always))
        return Probe(gain=gain, channels_last=False, reason=reason)

    monkeypatch.setattr("models.probe.probe", probe)
    found = replace(factory, always_fuse=always).probe(bundle(4, 2))
    assert asked == [([4, 2], always)]
    assert (found.fused, found.reason, found.channels_last) == (fused, reason, False)
    assert found.gain == round(gain, 3)
    assert found.trials == ("seed 4", "seed 2")


def test_a_bundle_asks_for_the_memory_of_all_its_members(factory, monkeypatch):
    from models.cost import training_cost

    assert factory.memory_request(bundle(4, 2)) is None
    factory(one("a", TrainConfig.create(CONFIG)))
    card = SimpleNamespace(uuid="GPU-7", total_memory=80 * 10**9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _device: card)
    config = TrainConfig.create({**CONFIG, "seed": 4})
    cost = training_cost(config, classes=3, image_shape=(16, 12))
    request = factory.memory_request(bundle(4, 2))
    assert (request.card, request.card_bytes) == ("GPU-7", 80 * 10**9)
    assert request.kind == f"{config.configuration_id} × 2"
    assert request.estimate == 2 * cost.memory_bytes + 800_000_000


def test_a_trial_for_which_a_gpu_is_booked_does_not_train_on_cores(factory, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("tune.execution.factory._on_device", {})
    with pytest.raises(ValueError, match=r"has given this trial 0\.5 GPUs, .* sees none"):
        replace(factory, gpus=0.5)._data()
    assert replace(factory, gpus=0)._data().device.type == "cpu"


def test_a_probe_has_as_many_threads_as_a_trial(factory, monkeypatch):
    threads = []

    def probe(_configs, _data, *, always):  # noqa: ARG001
        threads.append(torch.get_num_threads())
        return Probe(gain=1.0, channels_last=True, reason="")

    monkeypatch.setattr("models.probe.probe", probe)
    before = torch.get_num_threads()
    try:
        replace(factory, threads=3).probe(bundle(4, 2))
    finally:
        torch.set_num_threads(before)
    assert threads == [3]


def test_a_peak_is_read_before_it_is_reset_and_has_room_for_the_context(factory, monkeypatch):
    asked = []

    def card(name, value=None):
        return lambda: asked.append(name) or value

    monkeypatch.setattr("torch.cuda.max_memory_reserved", card("peak", 5 * 10**9))
    monkeypatch.setattr("torch.cuda.empty_cache", card("empty"))
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", card("reset"))
    assert factory.peak_bytes() == 5_800_000_000
    # What is still reserved would count as the peak of the next trial.
    assert asked == ["peak", "empty", "reset"]


def test_a_state_that_lacks_one_of_its_trials_counts_as_none(factory):
    (factory.run / STOP_FILE).touch()
    training = factory(bundle(0, 1))
    training.advance()
    training.close()
    (factory.run / STOP_FILE).unlink()
    assert [epoch for _, epoch, _ in factory(bundle(0, 1)).advance()] == [1, 1]
    again = factory(bundle(0, 1, 2))
    assert [epoch for _, epoch, _ in again.advance()] == [1, 1, 1]
    assert [epoch for _, epoch, _ in again.advance()] == [2, 2, 2], "it was not restored"


def test_a_checkpoint_waits_twenty_times_as_long_as_the_last_one_took(factory, monkeypatch):
    now, saved = 100.0, []

    def save(path, state):
        nonlocal now
        now += 1.0
        if path.name == "last.pt":
            saved.append(state["loop"]["epoch"])

    monkeypatch.setattr("tune.execution.training.time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr("tune.execution.training.save", save)
    Scripted(monkeypatch, factory, val_accuracy=[0.2, 0.1, 0.1, 0.1, 0.1])
    training = factory(one("a", TrainConfig.create({**CONFIG, "epochs": 5})))
    now += 50.0
    training.advance()
    assert saved == [1]
    for seconds, epochs in ((39.0, [1]), (2.0, [1, 3]), (19.0, [1, 3])):
        # Two files took two seconds at first, then one file one second.
        now += seconds
        training.advance() if len(epochs) < 3 else None
        assert saved == epochs


def test_a_first_checkpoint_is_expected_to_take_as_long_as_all_trials_of_a_bundle(
    factory, monkeypatch
):
    now = 100.0
    monkeypatch.setattr("tune.execution.training.time", SimpleNamespace(monotonic=lambda: now))
    Scripted(monkeypatch, factory, val_accuracy=[0.2, 0.5, 0.4])
    training = factory(bundle(0, 1))
    patience = 2 * 20 * 16 * training.parameters / 200e6
    now += 0.9 * patience
    training.advance()
    assert not (factory.run / "checkpoints").exists()
    now += 0.2 * patience
    training.advance()
    assert files(factory, "bundle-seed 0") == {"last.pt"}


def test_a_state_of_several_trials_has_those_alone_that_can_go_on(factory, monkeypatch):
    monkeypatch.setattr("tune.execution.training.CHECKPOINT_SHARE", math.inf)
    scripted = Scripted(monkeypatch, factory, val_accuracy=[0.2, 0.5, 0.4])
    real = scripted.result

    def result(place, member):
        found = real(place, member)
        found.diverged = (place, member) == (1, 1)
        return found

    monkeypatch.setattr(scripted, "result", result)
    training = factory(bundle(0, 1))
    state = factory.run / "checkpoints" / "bundle-seed 0" / "last.pt"
    training.advance()
    assert list(load(state)) == ["seed 0", "seed 1"]
    training.advance()
    assert list(load(state)) == ["seed 0"]
