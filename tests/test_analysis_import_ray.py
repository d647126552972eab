"""What is read of a folder of Ray Tune: states, errors, epochs and times."""

import json

import pytest

from analysis.imports.ray_results import read_ray
from fairsweep.errors import MissingFileError, UserError
from tune.run.trial import Status


def write_trial(folder, name, results, **params):
    place = folder / name
    place.mkdir(parents=True)
    (place / "params.json").write_text(json.dumps(params))
    (place / "result.json").write_text("".join(json.dumps(line) + "\n" for line in results))
    return place


def write_state(folder, name, **statuses):
    trials = [[json.dumps({"trial_id": i, "status": s}), "{}"] for i, s in statuses.items()]
    state = {"trial_data": trials, "runner_data": {"_metric": "loss"}}
    (folder / f"experiment_state-{name}.json").write_text(json.dumps(state))


def result(trial, epoch, loss, **facts):
    return {"trial_id": trial, "training_iteration": epoch, "loss": loss, **facts}


def test_the_newest_state_tells_how_trials_ended(tmp_path):
    write_trial(tmp_path, "b", [result("t2", 1, 0.5)], net={"width": 8})
    failed = write_trial(tmp_path, "c", [result("t3", 1, 0.4)])
    (failed / "error.txt").write_text("Traceback\n  x\nValueError: no\n")
    times = {"time_this_iter_s": 1.5, "timestamp": 100}
    write_trial(tmp_path, "a", [result("t1", 2, 0.7, **times), result("t1", 4, 0.6)])
    write_state(tmp_path, "2026-01-01", t1="RUNNING", t2="TERMINATED", t3="TERMINATED")
    write_state(tmp_path, "2026-01-02", t1="TERMINATED", t2="PAUSED", t3="TERMINATED")
    found = read_ray(tmp_path)
    assert (found.tool, found.metric, found.names_stops) == ("Ray Tune", "loss", False)
    assert [(t.label, t.status, t.reason) for t in found.trials] == [
        ("t1", Status.COMPLETED, ""),
        ("t2", Status.RUNNING, ""),
        ("t3", Status.FAILED, "ValueError: no"),
    ]
    first, second, _ = found.trials
    assert dict(first.measurements) == {2: {"loss": 0.7}, 4: {"loss": 0.6}}
    assert (dict(first.seconds), dict(first.times)) == ({2: 1.5}, {2: 100})
    assert dict(second.values) == {"net.width": 8}


def test_a_folder_without_trials_or_with_a_damaged_line_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="is not a folder"):
        read_ray(tmp_path / "gone")
    with pytest.raises(UserError, match="holds no trial of Ray Tune"):
        read_ray(tmp_path)
    place = write_trial(tmp_path, "a", [result("t1", 1, 0.5)])
    with (place / "result.json").open("a") as file:
        file.write("{half")
    with pytest.raises(UserError, match=r"result\.json, line 2 is damaged"):
        read_ray(tmp_path)
    write_trial(tmp_path / "other", "a", [result("t1", 1, 0.5)])
    for damaged in ("{half", ""):
        (tmp_path / "other" / "a" / "params.json").write_text(damaged)
        with pytest.raises(UserError, match=r"params\.json is damaged"):
            read_ray(tmp_path / "other")


def test_a_trial_without_results_has_the_state_that_names_its_folder(tmp_path):
    write_trial(tmp_path, "train_t9_width=8", [])
    write_state(tmp_path, "2026-01-01", t9="PENDING")
    (read,) = read_ray(tmp_path).trials
    assert (read.label, read.status) == ("train_t9_width=8", Status.PENDING)


def test_results_of_a_folder_without_states_are_of_complete_trials_with_their_nested_metrics(
    tmp_path,
):
    write_trial(tmp_path, "a", [{"training_iteration": 1, "eval": {"loss": 0.5}}])
    place = write_trial(tmp_path, "b", [])  # an empty file of results, beside a table
    (place / "progress.csv").write_text("training_iteration,loss,not_measured\n2,0.25,\n")
    first, second = read_ray(tmp_path).trials
    assert [first.status, second.status] == [Status.COMPLETED] * 2
    assert dict(first.measurements) == {1: {"eval.loss": 0.5}}
    assert dict(second.measurements) == {2: {"loss": 0.25}}


def test_an_error_that_is_not_utf_8_is_the_reason_as_far_as_it_can_be_read(tmp_path):
    place = write_trial(tmp_path, "a", [result("t1", 1, 0.5)])
    (place / "error.txt").write_bytes(b"ValueError: \xff no\n\n")
    (read,) = read_ray(tmp_path).trials
    assert (read.status, read.reason) == (Status.FAILED, "ValueError: \ufffd no")
