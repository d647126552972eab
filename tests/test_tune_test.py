"""The test split, opened for one trial on request alone."""

import re
from collections import Counter

import numpy as np
import pytest

from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from models.checkpoint import load, save
from tests.support.in_process import few_pictures_fixture, finished_run_fixture, run_fixture  # noqa: F401 - fixtures, used by name
from tests.support.ledgers import read_lines
from tune.commands.test import open_test
from tune.execution.predictions import predict_ensemble, predict_from_best
from tune.run.directory import ENSEMBLE, RunError, best_weights, predictions_file
from tune.run.ledger import read_events
from tune.run.tables import ensemble_members, read_predictions
from tune.session.run_directory import read_spec
from tune.sweep.sweep import Sweep


def sweep_of(run):
    return Sweep(read_spec(run), fingerprint="", events=read_events(run))


def right_of(table, split):
    """Which pictures of a split were told right, by their ids, and the labels that were noted."""
    rows = [row for row in table.to_pylist() if row["split"] == split]
    right = [int(np.argmax(row["probabilities"])) == row["label"] for row in rows]
    return [row["image_id"] for row in rows], right, [row["label"] for row in rows]


def test_the_line_tells_the_accuracy_on_the_test_pictures_and_how_often_they_were_opened(
    run, few_pictures
):
    dataset = read_dataset(few_pictures)
    test = np.flatnonzero(dataset.splits == "test")
    incumbent = sweep_of(run).incumbent
    before = read_predictions(run, incumbent.id)
    line = open_test(run)
    ids, right, labels = right_of(read_predictions(run, incumbent.id), "test")
    assert ids == dataset.image_ids[test].tolist()
    assert labels == dataset.labels[test].tolist()
    assert line == (
        f"{incumbent.name} (trial {incumbent.id}): test accuracy {np.mean(right):.4f} on "
        f"{len(test)} pictures; this run has opened the test split once"
    )
    assert right_of(read_predictions(run, incumbent.id), "val") == right_of(before, "val")

    (other,) = (one for one in sweep_of(run).trials if one != incumbent.id)
    assert re.search(rf"\(trial {other}\): .* has opened the test split 2 times$",
                     open_test(run, trial_id=other))  # fmt: skip
    number = str(sweep_of(run).trials[incumbent.id].number)
    assert "opened the test split 3 times" in open_test(run, trial_id=number)
    opened = [e["trial"] for e in read_lines(run) if e["event"] == "test_opened"]
    assert opened == [incumbent.id, other, incumbent.id]
    again = read_predictions(run, incumbent.id)
    assert right_of(again, "test")[0] == ids, "a second opening replaces the first"
    assert again.num_rows == before.num_rows + len(test)


def test_an_opening_is_noted_before_anybody_looks(run, monkeypatch):
    noted = []

    def look(run, *_):
        noted.append(read_lines(run)[-1]["event"])
        raise OSError("the disk is gone")

    monkeypatch.setattr("tune.execution.predictions.predict_from_best", look)
    with pytest.raises(OSError, match="the disk is gone"):
        open_test(run)
    assert noted == ["test_opened"]


def test_what_cannot_be_opened_is_refused_and_not_noted(run):
    before = read_lines(run)
    incumbent = sweep_of(run).incumbent.id
    with pytest.raises(RunError, match="has no trial nobody; `python -m analysis table"):
        open_test(run, trial_id="nobody")
    best_weights(run, incumbent).unlink()
    with pytest.raises(RunError, match=f"best weights of trial {incumbent} are not kept"):
        open_test(run)
    assert read_lines(run) == before


def test_predictions_made_again_are_those_of_the_best_weights_on_their_own_split(run, few_pictures):
    dataset, trial = read_dataset(few_pictures), sweep_of(run).incumbent
    before = read_predictions(run, trial.id)
    predictions_file(run, trial.id).unlink()
    accuracy = predict_from_best(run, trial.id, dataset, "val")
    after = read_predictions(run, trial.id)
    assert after["image_id"].equals(before["image_id"])
    assert after["label"].equals(before["label"])
    for ours, theirs in zip(after["probabilities"], before["probabilities"], strict=True):
        np.testing.assert_allclose(ours.as_py(), theirs.as_py(), atol=1e-5)
    assert accuracy == pytest.approx(trial.best().values["val_accuracy"], abs=1e-9)
    assert after.schema.metadata == before.schema.metadata
    assert after.schema.metadata[b"epoch"] == b"1"


def test_the_validation_pictures_of_a_fold_are_those_of_the_trial(run, few_pictures):
    dataset, trial = read_dataset(few_pictures), sweep_of(run).incumbent
    path = best_weights(run, trial.id)
    state = load(path)
    save(path, {**state, "config": {**state["config"], "fold": 3}, "epoch": 5})
    predict_from_best(run, trial.id, dataset, "val")
    after = read_predictions(run, trial.id)
    expected = np.flatnonzero(dataset.folds == 3)
    assert after["image_id"].to_pylist() == dataset.image_ids[expected].tolist()
    assert after["label"].to_pylist() == dataset.labels[expected].tolist()
    assert after.schema.metadata[b"epoch"] == b"5"


def test_an_ensemble_is_opened_once_and_only_its_mean_is_written(run, few_pictures, monkeypatch):
    dataset = read_dataset(few_pictures)
    sweep = sweep_of(run)
    first, second = [trial.id for trial in sweep.ranked(sweep.trials.values())][:2]
    chosen = {first: 2, second: 1}
    monkeypatch.setattr("tune.commands.test.chosen_on_all", lambda _found: chosen)
    before = {trial: read_predictions(run, trial) for trial in sweep.trials}
    line = open_test(run, ensemble=True)
    (opened,) = (e for e in read_lines(run) if e["event"] == "test_opened")
    members = Counter(opened["ensemble"])
    assert opened["trial"] == first
    assert opened["ensemble"] == [first, first, second]
    assert line.startswith(f"ensemble of {len(members)} ({sweep.trials[opened['trial']].name} ×")
    assert sweep_of(run).openings == [ENSEMBLE]

    ids, right, labels = right_of(read_predictions(run, ENSEMBLE), "test")
    test = np.flatnonzero(dataset.splits == "test")
    assert ids == dataset.image_ids[test].tolist()
    assert labels == dataset.labels[test].tolist()
    assert f"test accuracy {np.mean(right):.4f} on {len(test)} pictures; " in line
    assert line.endswith("opened the test split once")
    assert all(read_predictions(run, trial).equals(before[trial]) for trial in sweep.trials)

    total = 0
    for member, times in members.items():
        predict_from_best(run, member, dataset, "test")
        table = read_predictions(run, member)
        rows = [row["probabilities"] for row in table.to_pylist() if row["split"] == "test"]
        total = total + times * np.array(rows)
    ours = np.array(read_predictions(run, ENSEMBLE)["probabilities"].to_pylist())
    np.testing.assert_allclose(ours, total / members.total(), atol=1e-6)


def test_an_ensemble_without_the_weights_of_a_member_is_refused_and_not_noted(run):
    before = read_lines(run)
    for trial in sweep_of(run).trials:
        best_weights(run, trial).unlink()
    with pytest.raises(RunError, match=r"best weights of trial \w+ are not kept"):
        open_test(run, ensemble=True)
    for trial in sweep_of(run).trials:
        predictions_file(run, trial).unlink()
    with pytest.raises(UserError, match="needs two completed trials with validation predictions"):
        open_test(run, ensemble=True)
    assert read_lines(run) == before


def test_a_member_counts_as_often_as_it_was_chosen(run, few_pictures):
    dataset, (first, second) = read_dataset(few_pictures), sweep_of(run).trials
    predict_ensemble(run, {first: 3, second: 1}, dataset, "val")
    parts = [read_predictions(run, trial)["probabilities"] for trial in (first, second, ENSEMBLE)]
    three, one, ours = (np.array(part.to_pylist()) for part in parts)
    np.testing.assert_allclose(ours, (3 * three + one) / 4, atol=1e-5)
    alone, together = (read_predictions(run, trial) for trial in (first, ENSEMBLE))
    assert together.schema.metadata[b"classes"] == alone.schema.metadata[b"classes"]
    assert ensemble_members(together) == {first: 3, second: 1}
