"""The files of an imported run: the ledger in order, values as text; and event files."""

import json
import math
from datetime import UTC, date, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.imports.found import FoundTrial
from analysis.imports.tensorboard_events import read_tensorboard
from fairsweep.yaml_text import load_yaml
from tests.support.found_trials import write_found
from tune.run.directory import MEASUREMENTS_FILE, PROVENANCE_FILE, SPEC_FILE, TRIALS_FILE
from tune.run.events import MeasurementTaken, TrialProposed
from tune.run.ledger import read_events
from tune.run.trial import Status


def trial(label, curve, **facts):
    """A training with one hyperparameter, its name, and a loss per epoch."""
    return FoundTrial(
        **{
            "label": label,
            "values": {"width": label},
            "measurements": {epoch: {"loss": loss} for epoch, loss in curve.items()},
            "status": Status.COMPLETED,
            **facts,
        }
    )


def told(run):
    """Return the events of the ledger: their kind, the hyperparameter of the trial, the time."""
    names, events = {}, []
    for event in read_events(run):
        if hasattr(event, "config"):
            names[event.trial] = event.config["width"]
        events.append((type(event).__name__, names.get(getattr(event, "trial", None)), event.time))
    return events


def test_the_ledger_has_the_events_of_all_trials_in_the_order_of_their_times(tmp_path):
    run = write_found(
        tmp_path / "run",
        (
            trial("late", {1: 0.5, 2: 0.4}, times={1: 100.0, 2: 200.0}, ended=150.0),
            trial("early", {1: 0.5}, started=50.0, times={1: 60.0}, ended=70.0),
        ),
    )
    assert told(run) == [
        ("SweepStarted", None, 50.0),
        ("TrialProposed", "early", 50.0),
        ("TrialStarted", "early", 50.0),
        ("MeasurementTaken", "early", 60.0),
        ("TrialEnded", "early", 70.0),
        ("TrialProposed", "late", 100.0),
        ("TrialStarted", "late", 100.0),
        ("MeasurementTaken", "late", 100.0),
        ("MeasurementTaken", "late", 200.0),
        ("TrialEnded", "late", 200.0),
        ("SweepFinished", None, 200.0),
    ]


def test_a_trial_that_waits_is_proposed_and_one_that_runs_has_no_end(tmp_path):
    run = write_found(
        tmp_path / "run",
        (
            trial("done", {1: 0.5}),
            trial("waits", {}, status=Status.PENDING),
            trial("runs", {1: 0.7}, status=Status.RUNNING),
        ),
    )
    kinds = {name: [kind for kind, of, _ in told(run) if of == name] for name in ("waits", "runs")}
    assert kinds["waits"] == ["TrialProposed"]
    assert kinds["runs"] == ["TrialProposed", "TrialStarted", "MeasurementTaken"]


def test_values_that_are_no_numbers_are_written_as_json_or_as_they_are(tmp_path):
    values = ([8, 16], {"a": 1}, 3, "x", None)
    run = write_found(
        tmp_path / "run",
        tuple(
            trial(f"{n}", {1: 0.5 + n}, values={"width": f"{n}", "net": value})
            for n, value in enumerate(values)
        ),
    )
    read = pq.read_table(run / TRIALS_FILE)["net"].to_pylist()
    assert read == ["[8, 16]", '{"a": 1}', "3", "x", None]
    seeded = tuple(
        trial(f"{n}", {1: 0.5 + n}, values={"width": 8, "seed": seed})
        for n, seed in enumerate(["first", None])
    )
    other = write_found(tmp_path / "seeds", seeded)
    assert pq.read_table(other / TRIALS_FILE)["seed"].to_pylist() == ["first", None]


def test_a_last_value_is_the_last_known_one_and_the_best_the_smallest_loss(tmp_path):
    curve = {1: {"loss": 0.5, "acc": 0.7}, 3: {"loss": 0.3}, 10: {"loss": 0.4}}
    run = write_found(
        tmp_path / "run", (trial("a", {}, measurements=curve),), metric="loss", mode="min"
    )
    [row] = pq.read_table(run / TRIALS_FILE).to_pylist()
    assert (row["best_epoch"], row["best_loss"], row["last_loss"]) == (3, 0.3, 0.4)
    assert row["last_acc"] == 0.7
    assert row["epochs_trained"] == 10


def test_seconds_are_written_if_any_trial_has_some(tmp_path):
    trials = (
        trial("timed", {1: 0.5, 2: 0.4}, seconds={1: 2.0, 2: 3.0}),
        trial("told", {1: 0.6}, facts={"seconds": 7.0, "parameters": 12}),
        trial("neither", {1: 0.7}),
    )
    run = write_found(tmp_path / "run", trials)
    table = pq.read_table(run / TRIALS_FILE)
    assert table["seconds"].to_pylist() == [5.0, 7.0, None]
    assert table["parameters"].to_pylist() == [None, 12, None]
    assert pq.read_table(run / MEASUREMENTS_FILE)["seconds"].to_pylist()[:2] == [2.0, 3.0]
    plain = write_found(tmp_path / "plain", trials[1:])
    assert "seconds" not in pq.read_table(plain / MEASUREMENTS_FILE).column_names


def test_spec_and_provenance_say_where_the_results_are_from(tmp_path):
    run = write_found(tmp_path / "run", (trial("a", {1: 0.5}),), notes=("A note.",))
    spec = load_yaml((run / SPEC_FILE).read_text("utf-8"), SPEC_FILE)
    provenance = json.loads((run / PROVENANCE_FILE).read_text("utf-8"))
    assert spec["name"] == "run"
    assert spec["objective"] == {"metric": "loss", "mode": "min", "at": "best"}
    assert spec["imported"] == provenance["imported"]
    assert provenance["imported"]["tool"] == "a test"
    assert provenance["imported"]["source"] == "nowhere"
    assert provenance["dataset"] == {"path": None, "fingerprint": None}
    assert provenance["notes"] == ["A note."]


def test_the_ledger_has_no_number_where_nothing_was_measured_and_the_numbers_of_replicates(
    tmp_path,
):
    trials = tuple(
        trial("a", {}, measurements=curve, values={"width": 8, "seed": seed})
        for seed, curve in enumerate([{1: {"loss": 0.5, "acc": 0.7}}, {1: {"loss": 0.4}}])
    )
    events = read_events(write_found(tmp_path / "run", trials, metric="loss"))
    measured = [event.values["acc"] for event in events if isinstance(event, MeasurementTaken)]
    assert measured == [0.7, pytest.approx(math.nan, nan_ok=True)]
    proposed = [event for event in events if isinstance(event, TrialProposed)]
    assert [event.replicate for event in proposed] == [0, 1]


def test_an_import_is_of_its_day_and_device_seconds_are_those_that_the_tool_knows(tmp_path):
    first = datetime.now(UTC).date()
    facts = {"seconds": 7.0, "device_seconds": 28.0}
    run = write_found(tmp_path / "new" / "run", (trial("a", {1: 0.5}, facts=facts),))
    provenance = json.loads((run / PROVENANCE_FILE).read_text("utf-8"))
    day = date.fromisoformat(provenance["imported"]["date"])
    assert first <= day <= datetime.now(UTC).date()
    assert pq.read_table(run / TRIALS_FILE)["device_seconds"].to_pylist() == [28.0]


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory):
    """Folders of event files: one with its hyperparameters, one with two sets, one with none."""
    from torch.utils.tensorboard import SummaryWriter

    logs = tmp_path_factory.mktemp("logs")
    with SummaryWriter(str(logs / "one")) as writer:
        for step in range(1, 13):
            writer.add_scalar("loss", 1 / step, step)
        writer.add_hparams({"width": 8, "rate": 0.5}, {"loss": 9.0, "acc": 0.75}, run_name="own")
    with SummaryWriter(str(logs / "two")) as writer:
        writer.add_scalar("loss", 0.5, 3, new_style=True)
        writer.add_text("words", "no number", 3)
        writer.add_pr_curve("curve", np.array([0, 1]), np.array([0.25, 0.75]), 3)  # many numbers
        for name in ("a", "b"):
            writer.add_hparams({"width": 4, "limit": math.inf}, {"acc": 0.25}, run_name=name)
    with SummaryWriter(str(logs / "x" / "three")) as writer:
        writer.add_scalar("loss", 0.25, 2)
    return {each.label: each for each in read_tensorboard(logs).trials}


def test_hyperparameters_of_an_inner_folder_and_the_curve_of_the_outer_are_one_trial(tensorboard):
    one = tensorboard["one"]
    assert one.values == {"width": 8, "rate": 0.5}
    assert isinstance(one.values["width"], int)
    assert list(one.measurements) == list(range(1, 13))
    assert [one.measurements[step]["loss"] for step in (1, 2, 4)] == [1.0, 0.5, 0.25]
    assert "acc" not in one.measurements[1]
    # The last epoch keeps its own loss, and has what only the inner folder tells.
    assert one.measurements[12] == pytest.approx({"loss": 1 / 12, "acc": 0.75})


def test_several_inner_folders_are_trials_of_their_own(tensorboard):
    assert list(tensorboard) == ["one", "two", "two/a", "two/b", "x/three"]
    assert tensorboard["two"].measurements == {3: {"loss": 0.5}}
    assert tensorboard["two"].values == {}
    assert tensorboard["two/a"].measurements == {0: {"acc": 0.25}}
    assert tensorboard["two/a"].values == {"width": 4, "limit": math.inf}
    assert tensorboard["x/three"].measurements == {2: {"loss": 0.25}}
    assert {each.status for each in tensorboard.values()} == {Status.COMPLETED}
