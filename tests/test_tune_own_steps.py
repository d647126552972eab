"""What is kept of each epoch of own training code, and which of its ends are failures."""

import math
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fairsweep.errors import UserError
from fairsweep.training import Epoch, Predictions
from tune.execution.executor import AttemptFailedError, TrainingOverError
from tune.execution.memory import OutOfMemoryError
from tune.execution.own_epochs import read_epoch, read_metrics, read_predictions_of
from tune.execution.own_factory import OwnFactory, _seed_all
from tune.execution.own_failures import failures_kept
from tune.execution.own_state import load_state, save_state
from tune.execution.own_training import OwnTraining, OwnTrial
from tune.run.directory import STOP_FILE
from tune.run.tables import read_predictions
from tune.sweep.bundle import Bundle
from tune.sweep.spec import ObjectiveSpec

LOSS = ObjectiveSpec(metric="val_loss")


def own(run, given, *, objective=LOSS, epochs=None, ends_with_epochs=False):
    """A training by code that yields what is given."""
    trial = OwnTrial(
        id="t", what="mine:train", start=lambda _state: (each for each in given),
        epochs=epochs or len(given), ends_with_epochs=ends_with_epochs, device="cpu",
    )  # fmt: skip
    return OwnTraining(
        run=run, trial=trial, objective=objective, needed=[objective.metric], classes=()
    )


def epochs_of(values, metric="val_loss"):
    """An epoch for each value, whose predictions and state name it, from 1."""
    return [
        Epoch(
            metrics={metric: value},
            state=epoch,
            predictions=Predictions(
                image_ids=["a"], labels=[0], probabilities=[[epoch / 10, 1 - epoch / 10]]
            ),
        )
        for epoch, value in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("objective", "values", "best"),
    [
        (LOSS, [0.6, 0.2, 0.2, 0.3], 2),
        (LOSS, [0.0, -0.5, 0.0], 2),
        (LOSS, [0.5, math.nan], 1),
        (ObjectiveSpec(metric="val_loss", at="last"), [0.1, 0.6, math.nan], 2),
        (ObjectiveSpec(), [0.2, 0.7, 0.7, 0.6], 2),
        (ObjectiveSpec(), [-0.3, -0.2, -0.4], 2),
    ],
)
def test_predictions_are_those_of_the_first_best_epoch_or_of_the_last(
    tmp_path, objective, values, best
):
    training = own(tmp_path, epochs_of(values, objective.metric), objective=objective)
    for epoch in range(1, len(values) + 1):
        ((trial, told, figures),) = training.advance()
        assert (trial, told) == ("t", epoch)
        assert figures.keys() == {objective.metric, "seconds"}
    table = read_predictions(tmp_path, "t")
    assert table.schema.metadata[b"epoch"] == str(best).encode()
    assert table["probabilities"][0].as_py()[0] == pytest.approx(best / 10)


def state(run):
    saved = load_state(run / "checkpoints" / "t" / "last.pt")
    return saved and (saved["epoch"], saved["best"], saved["state"])


def test_a_state_is_written_when_it_is_due_and_after_the_last_epoch_if_it_can_go_on(
    tmp_path, monkeypatch
):
    own_last, own_whole = tmp_path / "a", tmp_path / "b"
    for run, ends in ((own_last, False), (own_whole, True)):
        run.mkdir()
        monkeypatch.setattr(OwnTraining, "_due", lambda _self: False)
        training = own(run, epochs_of([0.5, 0.25, 0.4]), ends_with_epochs=ends)
        for _ in range(2):
            training.advance()
        assert state(run) is None
        training.advance()
        training.close()
    assert state(own_last) == (3, 0.25, 3)
    assert state(own_whole) is None, "code that gets the epochs has no more of them"
    (own_whole / STOP_FILE).touch()
    training = own(own_whole, epochs_of([0.5, 0.25, 0.4]), ends_with_epochs=True)
    training.advance()
    assert state(own_whole) == (1, 0.5, 1)


def test_a_stop_lets_a_training_write_its_state_when_it_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(OwnTraining, "_due", lambda _self: False)
    training = own(tmp_path, epochs_of([0.5, 0.25, 0.4]))
    training.advance()
    training.close()
    assert state(tmp_path) is None
    (tmp_path / STOP_FILE).touch()
    training.close()
    assert state(tmp_path) == (1, 0.5, 1)


@pytest.mark.parametrize("with_torch", [True, False])
def test_a_state_of_any_objects_comes_back(tmp_path, monkeypatch, with_torch):
    path = tmp_path / "checkpoints" / "t" / "last.pt"
    values = {"state": SimpleNamespace(steps=[1, 2]), "best": None}
    with monkeypatch.context() as process:
        if not with_torch:
            process.delitem(sys.modules, "torch")
        save_state(path, values)
    assert path.read_bytes().startswith(b"PK") is with_torch
    assert load_state(path) == values
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("with_torch", [True, False])
@pytest.mark.parametrize("make", [lambda: lambda: 0, lambda: (each for each in "ab")])
def test_a_state_that_cannot_be_kept_is_told_and_leaves_the_one_before(
    tmp_path, monkeypatch, make, with_torch
):
    path = tmp_path / "last.pt"
    save_state(path, {"epoch": 1})
    with monkeypatch.context() as process:
        if not with_torch:
            process.delitem(sys.modules, "torch")
        with pytest.raises(UserError, match="yielded a state that cannot be pickled"):
            save_state(path, {"epoch": 2, "state": make()})
    assert load_state(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x05cgone\n", b"P"])
def test_a_state_that_is_damaged_or_missing_is_none(tmp_path, content):
    path = tmp_path / "last.pt"
    assert load_state(path) is None
    path.write_bytes(content)
    assert load_state(path) is None


def test_a_state_is_read_where_there_is_no_card(tmp_path, monkeypatch):
    places = []
    real = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *words, **options: places.append(options) or real(*words, **options)
    )
    save_state(tmp_path / "last.pt", {"state": torch.ones(2)})
    assert load_state(tmp_path / "last.pt")["state"].tolist() == [1.0, 1.0]
    assert [options["map_location"] for options in places] == ["cpu"]


def test_states_take_no_more_than_a_fiftieth_of_the_time(tmp_path, monkeypatch):
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now)
    monkeypatch.setattr("tune.execution.own_training.time", clock)

    def save(_path, values):
        nonlocal now
        now += 2.0
        saved.append(values["epoch"])

    saved = []
    monkeypatch.setattr("tune.execution.own_training.save_state", save)
    training = own(tmp_path, epochs_of([0.5] * 9))
    for seconds, expected in ((0.9, []), (0.2, [2]), (99.0, [2]), (2.0, [2, 4]), (90.0, [2, 4])):
        now += seconds
        training.advance()
        assert saved == expected


def test_an_epoch_is_reported_with_the_seconds_that_it_took(tmp_path, monkeypatch):
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now, perf_counter=lambda: now)
    monkeypatch.setattr("tune.execution.own_training.time", clock)

    def given():
        nonlocal now
        for seconds in (1.5, 0.25):
            now += seconds
            yield {"val_loss": 0.5}

    training = own(tmp_path, given(), epochs=2)
    for number, expected in ((1, 1.5), (2, 0.25)):
        ((_, epoch, figures),) = training.advance()
        assert (epoch, figures["seconds"]) == (number, expected)


@pytest.mark.parametrize("trained", [1, 2])
def test_a_training_that_returns_early_is_told_with_its_last_epoch(tmp_path, trained):
    training = own(tmp_path, epochs_of([0.5] * trained), epochs=3)
    for _ in range(trained):
        training.advance()
    with pytest.raises(TrainingOverError, match=f"train returned after epoch {trained} of 3"):
        training.advance()


def test_a_restored_training_reports_its_epoch_again_and_knows_its_best(tmp_path):
    (tmp_path / STOP_FILE).touch()
    first = own(tmp_path, epochs_of([0.5, 0.25, 0.4]), epochs=9)
    for _ in range(2):
        first.advance()
    again = own(tmp_path, epochs_of([0.3, 0.2]), epochs=9)
    ((_, epoch, figures),) = again.advance()
    assert (epoch, figures["val_loss"]) == (2, 0.25)
    ((_, epoch, figures),) = again.advance()
    assert (epoch, figures["val_loss"]) == (3, 0.3)
    metadata = read_predictions(tmp_path, "t").schema.metadata
    assert metadata[b"epoch"] == b"2", "0.3 is no better"
    again.advance()
    assert read_predictions(tmp_path, "t").schema.metadata[b"epoch"] == b"4"


def test_what_is_yielded_is_read_as_metrics_state_and_predictions():
    assert read_epoch({"a": 1}) == Epoch(metrics={"a": 1})
    assert read_epoch(({"a": 1}, "state")) == Epoch(metrics={"a": 1}, state="state")
    whole = Epoch(metrics={"a": 1}, state=2)
    assert read_epoch(whole) is whole
    assert read_metrics({"a": np.float32(0.5), "b": torch.tensor(2), "c": True}, ["b"]) == {
        "a": 0.5, "b": 2.0, "c": 1.0,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"^did not yield a, .*; it yielded no metric$"):
        read_metrics({}, ["a"])
    for name in ("seconds", "epoch", "parameters", "1st", "a b", "", 1):
        with pytest.raises(UserError, match="names of other columns"):
            read_metrics({name: 1.0}, [])


def test_what_else_is_yielded_is_told_up_to_sixty_characters():
    for given, told in (("x" * 58, repr("x" * 58)), ("x" * 59, f"'{'x' * 56}…")):
        with pytest.raises(UserError, match=rf"a fairsweep Epoch, but yielded {told}$"):
            read_epoch(given)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.5], [0.505, 0.504]], None),
        ([[0.5, 0.5], [0.5, 0.52]], r"row 1 is \[0\.5, 0\.5[12]"),
        ([[0.5, 0.5], [1.2, -0.2]], "row 1 is"),
        ([[0.5, 0.5], [math.nan, 0.5]], "row 1 is"),
        ([[0.5, 0.5]], "2 image_ids, labels of shape"),
    ],
)
def test_probabilities_are_positive_and_add_up_to_one(rows, message):
    predictions = Predictions(image_ids=[7, 8], labels=[1, 0], probabilities=rows)
    if message is None:
        table = read_predictions_of(predictions, 3, ["dog", "cat"])
        assert table["image_id"].to_pylist() == ["7", "8"]
        assert table.schema.metadata[b"classes"] == b'["dog", "cat"]'
        numbered = read_predictions_of(predictions, 3, [])
        assert numbered.schema.metadata[b"classes"] == b'["0", "1"]', "as labels number them"
        return
    with pytest.raises(UserError, match=message):
        read_predictions_of(predictions, 3, ["dog", "cat"])


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True), (torch.OutOfMemoryError("CUDA"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 3 GiB"), True),
        (RuntimeError("CUDA out of memory"), True), (RuntimeError("RESOURCE_EXHAUSTED"), True),
        (RuntimeError("no memory of it"), False), (SystemExit(3), False),
    ],
)  # fmt: skip
def test_a_lack_of_memory_is_no_failure_and_a_failure_keeps_its_lines(tmp_path, error, memory):
    path = tmp_path / "errors" / "t.txt"
    for times in (1, 2):
        with (
            pytest.raises(OutOfMemoryError if memory else AttemptFailedError) as raised,
            failures_kept(tmp_path, "t", "mine:train"),
        ):
            raise error
        assert str(raised.value).startswith("mine:train")
        assert path.exists() is not memory
        if not memory:
            assert str(raised.value).endswith(" (all of it in errors/t.txt)")
            assert path.read_text().count("All calls, the last one last:") == times


def test_a_stop_from_the_keyboard_is_no_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), failures_kept(tmp_path, "t", "mine:train"):
        raise KeyboardInterrupt


def factory(run, **changes):
    values = {"code": None, "objectives": (), "classes": (), "find_data": lambda: None}
    return OwnFactory(run=run, threads=1, **{**values, **changes})


@pytest.mark.parametrize(("gpus", "share"), [(0.25, 0.25), (1, 1.0), (2, 1.0)])
def test_own_code_asks_for_the_share_of_the_card_that_ray_gives_it(
    tmp_path, monkeypatch, gpus, share
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr("tune.execution.own_factory.socket.gethostname", lambda: "n7")
    bundle = Bundle(trials={"t": {}}, folder="t")
    request = factory(tmp_path, gpus=gpus).memory_request(bundle)
    assert (request.card, request.kind) == ("n7 3", "t")
    assert request.estimate / request.card_bytes == share
    assert factory(tmp_path).memory_request(bundle) is None
    assert factory(tmp_path).peak_bytes() == 0, "what was asked for stays"
    assert not factory(tmp_path).probe(bundle).fused


def test_every_generator_of_random_numbers_is_seeded():
    def drawn():
        return random.random(), np.random.random(), torch.rand(1).item()

    _seed_all(2**32 + 5)
    first = drawn()
    _seed_all(6)
    other = drawn()
    _seed_all(2**32 + 5)
    assert drawn() == first
    assert all(a != b for a, b in zip(first, other, strict=True))
