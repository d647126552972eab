"""Small conventions of imports: what is a metric, what was searched, and how it was chosen."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.trial import create_trial

from analysis.imports import writing
from analysis.imports.choices import Choices, mode_of
from analysis.imports.csv_file import read_csv
from analysis.imports.found import Found, FoundTrial
from analysis.imports.optuna_study import _found
from analysis.imports.ray_results import read_ray
from analysis.imports.trials import replicated, trials_of
from analysis.run.run_data import read_run
from tests.support.found_trials import write_found
from tune.run.directory import TRIALS_FILE
from tune.run.trial import Status


def trial(label, loss=0.5, *, facts=None, **values):
    return FoundTrial(
        label=label,
        values=values,
        measurements={1: {"loss": loss}},
        status=Status.COMPLETED,
        facts=facts or {},
    )


def found_of(*trials):
    return Found(tool="a test", source="nowhere", trials=trials)


def test_a_column_of_a_csv_is_json_only_as_a_whole_and_a_metric_before_a_name(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("config,width,loss\nplain,1,0.5\n{},2,0.4\n")
    assert [dict(t.values)["config"] for t in read_csv(path).trials] == ["plain", "{}"]
    path.write_text("id,width\n0.5,8\n")
    (read,) = read_csv(path, metric="id").trials
    assert (read.label, read.measurements) == ("row 2", {1: {"id": 0.5}})


def write_ray(folder, results, text=None):
    place = folder / "trial_a"
    place.mkdir(parents=True)
    (place / "params.json").write_text(json.dumps({"width": 8}))
    if text is not None:
        (place / "progress.csv").write_text(text)
    else:
        lines = "".join(json.dumps(line) + "\n" for line in results)
        (place / "result.json").write_text(lines)
    return folder


OF_RAY = (
    *("timestamp", "checkpoint_dir_name", "trial_id", "date", "time_this_iter_s", "pid"),
    *("time_total_s", "hostname", "node_ip", "should_checkpoint", "time_since_restore"),
    *("iterations_since_restore", "experiment_tag", "warmup_time", "timesteps_since_restore"),
    *("timesteps_total", "episodes_total"),
)


def test_what_ray_itself_measures_is_no_metric(tmp_path):
    lines = [{**dict.fromkeys(OF_RAY, 7), "training_iteration": 3, "loss": 0.5}]
    assert read_ray(write_ray(tmp_path, lines)).trials[0].measurements == {3: {"loss": 0.5}}


def test_results_of_ray_are_numbers_that_are_not_of_ray_itself(tmp_path):
    lines = [{"loss": 0.5, "done": False, "flag": True, "config": {"lr": 0.1}}, {"loss": 0.25}]
    (read,) = read_ray(write_ray(tmp_path / "lines", lines)).trials
    assert read.measurements == {1: {"loss": 0.5}, 2: {"loss": 0.25}}
    assert read.label == "trial_a"
    text = "training_iteration,loss,date\n2,0.5,today\n4,0.25,today\n"
    (read,) = read_ray(write_ray(tmp_path / "table", [], text)).trials
    assert read.measurements == {2: {"loss": 0.5}, 4: {"loss": 0.25}}


@pytest.mark.parametrize(("asked", "freely"), [({"width": 8}, True), ({}, False)])
def test_a_sweep_of_ray_is_random_only_where_its_space_is_known(tmp_path, asked, freely):
    write_ray(tmp_path, [{"loss": 0.5}])
    (tmp_path / "basic-variant-state-1.json").write_text("{}")
    state = {"trial_data": [[json.dumps({"trial_id": "a", "evaluated_params": asked}), "{}"]]}
    (tmp_path / "experiment_state-1.json").write_text(json.dumps(state))
    assert read_ray(tmp_path).chosen_freely == freely


@pytest.mark.parametrize(("ours", "hours"), [(True, 0), (False, 9)])
def test_times_of_optuna_are_local_and_those_of_our_exports_utc(monkeypatch, ours, hours):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        study = optuna.create_study(study_name="s")
        if ours:
            study.set_user_attr("objective", {"metric": "value", "mode": "min", "at": "last"})
            study.set_user_attr("sampling", "drawn")
        done = create_trial(value=0.5)
        done.datetime_start = datetime(2026, 1, 1, 12)
        done.datetime_complete = datetime(2026, 1, 1, 13)
        study.add_trial(done)
        (read,) = _found(study, "x.db").trials
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read.started == datetime(2026, 1, 1, 12 - hours, tzinfo=UTC).timestamp()
    assert read.facts["seconds"] == 3_600


def test_equal_values_with_other_seeds_are_replicates_and_are_counted_by_configuration():
    trials = (
        trial("a", facts={"seed": 1}, width=8),
        trial("b", facts={"seed": 2}, width=8),
        trial("c", facts={"seed": 3}, width=8),
        trial("d", facts={"seed": 1}, width=16),
    )
    made, left_out = trials_of(found_of(*trials), "loss", Choices())
    assert left_out == []
    assert [each.trial.replicate for each in made] == [0, 1, 2, 0]
    assert replicated(made) == 1


def test_the_loss_of_something_that_is_to_be_large_is_to_be_small():
    assert mode_of(found_of(), "accuracy_loss", None) == "min"
    assert mode_of(found_of(), "accuracy_loss", "max") == "max"


@pytest.mark.parametrize(
    ("points", "searcher"),
    [
        ([(1, 8), (1, 16), (2, 8), (2, 16)], "grid"),
        ([(1, 8), (1, 16), (2, 8)], "unknown"),
        ([(1, 8)], "unknown"),
    ],
)
def test_a_grid_has_every_combination(tmp_path, points, searcher):
    trials = tuple(
        trial(f"{n}", 0.5 + n, depth=depth, width=width, seed=n)
        for n, (depth, width) in enumerate(points)
    )
    info = read_run(write_found(tmp_path / "run", trials)).info
    assert info.searcher == searcher
    assert info.scheduler == "none"
    assert "seed" not in info.searched


@pytest.mark.parametrize(
    ("freely", "told"), [(True, ("drawn", "random")), (False, ("adaptive", "unknown"))]
)
def test_results_that_are_no_grid_are_random_only_where_they_were_chosen_freely(
    tmp_path, freely, told
):
    trials = tuple(trial(f"{n}", n, depth=n, width=8 * n) for n in (1, 2, 3))
    info = read_run(write_found(tmp_path / "run", trials, chosen_freely=freely)).info
    assert (info.sampling, info.searcher) == told


def test_what_the_tool_says_of_its_searcher_stands_before_what_the_values_look_like(tmp_path):
    trials = tuple(trial(f"{n}", n, width=n) for n in (1, 2))
    told = {"sampling": "adaptive", "searcher": "tpe", "searcher_words": "a tree"}
    for words, given in (("a tree", told), ("tpe", {**told, "searcher_words": None})):
        info = read_run(write_found(tmp_path / words, trials, **given)).info
        assert (info.sampling, info.searcher, info.searcher_words) == ("adaptive", "tpe", words)
    scheduler = {"scheduler": "asha", "scheduler_words": "halving"}
    info = read_run(write_found(tmp_path / "run", trials, **scheduler)).info
    assert (info.searcher, info.scheduler, info.scheduler_words) == ("grid", "asha", "halving")


def test_types_and_ties_are_those_of_the_values(tmp_path):
    trials = (
        trial("a", 0.5, rate=1, width=8, on=True, wide=3, fixed=1),
        trial("b", 0.6, rate=0.5, width=16, on=False, wide=6, fixed=1),
    )
    path = write_found(tmp_path / "run", trials, tied={"wide": "width", "fixed": "width"})
    schema = pq.read_schema(path / TRIALS_FILE)
    kinds = [str(schema.field(name).type) for name in ("rate", "width", "on")]
    assert kinds == ["double", "int64", "bool"]
    assert read_run(path).info.tied == {"wide": "width"}
    alone = tuple(trial(f"{n}", n, width=n, wide=2 * n) for n in (1, 2))
    other = write_found(tmp_path / "other", alone, tied={"wide": "width"})
    assert read_run(other).info.tied == {"wide": "width"}


def test_an_import_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(writing, "write_files", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_found(tmp_path / "run", (trial("a", width=8),))
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_was_stopped_makes_a_scheduler_that_is_not_known(tmp_path):
    stopped = replace(trial("b", 0.6, width=16), status=Status.EARLY_STOPPED)
    run = read_run(write_found(tmp_path / "run", (trial("a", width=8), stopped)))
    assert (run.info.scheduler, run.info.scheduler_words) == ("unknown", "early stopping")
