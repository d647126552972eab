"""What an import decides from names (metric, direction, seed), and the trials that it makes."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from analysis.imports.choices import (
    Choices,
    is_metric_word,
    metric_name,
    metric_of,
    mode_of,
    seed_of,
)
from analysis.imports.found import Found, FoundTrial, flat, from_zero
from analysis.imports.trials import LONGEST_NAME, cleaned, trials_of
from analysis.imports.writing import write_run
from fairsweep.errors import UserError
from tune.run.directory import TRIALS_FILE
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.run.tables import read_table_info
from tune.run.trial import Status


def found_of(*curves, **facts):
    """Return results whose trials have these measurements; ``values`` gives their settings."""
    settings = facts.pop("values", [{}] * len(curves))
    trials = tuple(
        FoundTrial(label=f"trial {n}", values=values, measurements=curve, status=Status.COMPLETED)
        for n, (curve, values) in enumerate(zip(curves, settings, strict=True))
    )
    return Found(**{"tool": "CSV", "source": "results.csv", "trials": trials, **facts})


def test_the_metric_is_the_one_that_is_asked_for_then_that_of_the_tool_then_the_only_one():
    several = found_of({1: {"loss": 1.0}}, {1: {"acc": 0.5, "loss": 0.9}}, metric="acc")
    assert several.metrics() == ["loss", "acc"]
    assert metric_of(several, "loss") == "loss"
    assert metric_of(several, None) == "acc"
    assert metric_of(found_of({1: {"f1": 0.4}}), None) == "f1"
    with pytest.raises(UserError, match=r"several metrics \(loss, acc\)"):
        metric_of(found_of({1: {"loss": 1.0, "acc": 0.5}}), None)
    with pytest.raises(UserError, match="'los'; did you mean loss"):
        metric_of(several, "los")
    with pytest.raises(UserError, match=r"--metric must name .* got 'x'; there is loss, acc"):
        metric_of(several, "x")
    with pytest.raises(UserError, match="no measurement of any metric"):
        metric_of(found_of({}), None)


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("val_loss", "min"),
        ("eval/Error", "min"),
        ("test-rmse", "min"),
        ("Accuracy", "max"),
        ("macro_f1", "max"),
        ("mean_reward", "max"),
        *((name, "min") for name in ("err", "mse", "mae", "perplexity", "nll", "logloss", "wer")),
        *((name, "max") for name in ("acc", "auc", "score", "precision", "recall", "map", "r2")),
    ],
)
def test_the_direction_is_that_of_a_word_in_the_name_unless_it_is_known(metric, mode):
    found, other = found_of(), {"min": "max", "max": "min"}[mode]
    assert mode_of(found, metric, None) == mode
    assert mode_of(found_of(mode=other), metric, None) == other
    assert mode_of(found_of(mode=other), metric, mode) == mode
    assert is_metric_word(metric)


def test_a_word_inside_another_one_tells_nothing():
    for name in ("glossary", "account", "mapping"):
        assert not is_metric_word(name)
        with pytest.raises(UserError, match=f"values of {name} are better is not known"):
            mode_of(found_of(), name, None)


def test_a_seed_is_the_last_word_of_a_nested_name():
    assert seed_of(["lr", "train.Seed", "seed"], None) == "train.Seed"
    assert seed_of(["seed.width", "lr"], None) is None
    assert seed_of(["random_state", "lr"], None) == "random_state"
    assert seed_of(["lr", "random_seed"], None) == "random_seed"
    assert seed_of(["lr", "seed"], "lr") == "lr"
    with pytest.raises(UserError, match="--seed must name a column"):
        seed_of(["lr"], "sed")


def test_a_metric_becomes_a_word():
    assert metric_name("eval/loss") == "eval_loss"
    assert metric_name("  top-5 acc. ") == "top_5_acc"
    assert metric_name("5_shot") == "metric_5_shot"
    assert metric_name("r2") == "r2"


def test_nested_settings_are_joined_by_dots():
    nested = {"net": {"width": 8, "norm": {"kind": "batch"}}, "lr": 0.1}
    assert flat(nested) == {"net.width": 8, "net.norm.kind": "batch", "lr": 0.1}


def test_epochs_that_count_from_0_are_moved_by_one_in_all_trials_and_put_in_order():
    found = found_of({1: {"loss": 0.5}, 0: {"loss": 0.9}}, {2: {"loss": 0.4}})
    assert from_zero(found.trials)
    known = cleaned(found)
    assert [list(trial.measurements) for trial in known.trials] == [[1, 2], [3]]
    assert "counted from 0 there" in known.notes[-1]
    assert not from_zero(cleaned(known).trials)
    assert cleaned(known).notes == known.notes


def test_times_and_seconds_move_with_their_epochs():
    clock = FoundTrial(
        label="a",
        values={},
        measurements={0: {"loss": 0.9}, 1: {"loss": 0.5}},
        status=Status.COMPLETED,
        seconds={0: 2.0, 1: 3.0},
        times={0: 50.0, 1: 60.0},
    )
    (known,) = cleaned(Found(tool="CSV", source="x", trials=(clock,))).trials
    assert (known.seconds, known.times) == ({1: 2.0, 2: 3.0}, {1: 50.0, 2: 60.0})


def test_a_metric_is_asked_for_by_its_own_name_or_by_that_in_the_tables(tmp_path):
    found = found_of({1: {"val/loss": 0.5, "val/acc": 0.25}})
    for place, (asked, metric, mode) in enumerate(
        [("val/loss", "val_loss", "min"), ("val_acc", "val_acc", "max")]
    ):
        written = write_run(found, tmp_path / str(place), Choices(metric=asked))
        assert written.objective == {"metric": metric, "mode": mode, "at": "best"}
    told = replace(found, metric="val/acc", at="last")
    written = write_run(told, tmp_path / "told", Choices())
    assert written.objective == {"metric": "val_acc", "mode": "max", "at": "last"}


def test_equal_values_are_one_training_in_whatever_order_they_are_written():
    curves = {1: {"loss": 0.5, "acc": 0.7}}, {1: {"acc": 0.7, "loss": 0.5}}
    made, left_out = trials_of(found_of(*curves), "loss", Choices())
    assert len(made) == 1
    assert left_out == ["trial 1"]


def test_a_training_that_had_not_ended_was_interrupted_for_its_reason_or_by_the_import():
    running = FoundTrial(
        label="a", values={"width": 1}, measurements={}, status=Status.RUNNING, reason="preempted"
    )
    found = found_of()
    trials = (running, replace(running, values={"width": 2}, reason=""))
    made, _ = trials_of(replace(found, trials=trials), "loss", Choices())
    assert [each.trial.status for each in made] == [Status.INTERRUPTED] * 2
    assert [each.trial.reason for each in made] == [
        "preempted",
        "it had not ended when imported",
    ]


def test_ids_of_imported_trials_stay_the_same():
    """A run that is imported again is the same run to whoever noted an id."""
    found = found_of({1: {"loss": 0.5}}, values=[{"width": 8, "seed": 3}])
    (made,), _ = trials_of(found, "loss", Choices())
    assert (made.trial.id, made.trial.configuration_id) == ("0daf2024ea6a", "6eedbba07b1b")


def test_a_name_tells_what_varies_but_not_the_seed():
    values = [
        {"width": 8, "depth": 2, "seed": 1},
        {"width": 8, "depth": 2, "seed": 2},
        {"width": 16, "depth": 2, "seed": 1},
        {"width": 8, "depth": 2, "seed": 1},
    ]
    found = found_of(*[{1: {"loss": 0.1 * n}} for n in range(4)], values=values)
    made, left_out = trials_of(found, "loss", Choices())
    assert [each.trial.name for each in made] == ["width=8", "width=8", "width=16"]
    assert [each.trial.replicate for each in made] == [0, 1, 0]
    assert [each.trial.number for each in made] == [0, 1, 2]
    assert left_out == ["trial 3"]


def test_a_name_that_would_be_too_long_is_that_of_the_configuration():
    values = [{"net": "x" * (LONGEST_NAME - len("net="))}, {"net": "x" * LONGEST_NAME}]
    found = found_of({1: {"loss": 0.5}}, {1: {"loss": 0.4}}, values=values)
    (fits, long), _ = trials_of(found, "loss", Choices())
    assert fits.trial.name == f"net={values[0]['net']}"
    assert long.trial.name == f"configuration {long.trial.configuration_id[:6]}"


def test_where_a_tool_does_not_tell_stops_a_shorter_training_was_stopped():
    curves = [{epoch: {"loss": 0.5 / epoch + n} for epoch in range(1, 4 - n)} for n in range(2)]
    values = [{"width": 8}, {"width": 16}]
    for names_stops, statuses in (
        (True, [Status.COMPLETED, Status.COMPLETED]),
        (False, [Status.COMPLETED, Status.EARLY_STOPPED]),
    ):
        found = found_of(*curves, values=values, names_stops=names_stops)
        made, _ = trials_of(found, "loss", Choices())
        assert [each.trial.status for each in made] == statuses
        assert [each.trial.epochs for each in made] == [3, 3]
    assert made[1].trial.reason.startswith("it ended after 2 of 3 epochs")


def test_an_imported_run_has_the_epochs_and_figures_of_its_curves(tmp_path):
    nan = float("nan")
    curve = {
        2: {"loss": 0.6, "acc": 0.5},
        5: {"loss": 0.4, "acc": 0.7},
        8: {"loss": 0.5, "acc": nan},
    }
    timed = FoundTrial(
        label="a",
        values={"width": 8},
        measurements=curve,
        status=Status.COMPLETED,
        seconds={2: 1.5, 5: 2.5},
        times={2: 300.0, 5: 100.0},
        started=50.0,
    )
    other = FoundTrial(
        label="b", values={"width": 4}, measurements={1: {"loss": 0.9}}, status=Status.FAILED
    )
    found = Found(tool="CSV", source="x", trials=(timed, other), metric="loss")
    written = write_run(found, tmp_path / "run", Choices())
    assert written.objective == {"metric": "loss", "mode": "min", "at": "best"}
    first, second = pq.read_table(tmp_path / "run" / TRIALS_FILE).to_pylist()
    told = ("epochs_trained", "best_epoch", "best_loss", "last_loss", "best_acc", "last_acc")
    assert [first[name] for name in told] == [8, 5, 0.4, 0.5, 0.7, 0.7]
    assert (first["seconds"], second["seconds"]) == (4.0, None)
    events = read_events(tmp_path / "run")
    assert [event.time for event in events] == sorted(event.time for event in events)
    taken = [event for event in events if isinstance(event, MeasurementTaken)]
    own = [(event.epoch, event.time) for event in taken if event.trial == first["trial_id"]]
    assert own == [(2, 300.0), (5, 300.0), (8, 300.0)], "time does not go back"


def test_a_last_value_that_is_no_number_is_a_divergence_and_none_at_all_a_failure():
    nan = float("nan")
    curves = [
        {1: {"loss": 0.5}, 2: {"loss": nan}},
        {1: {"acc": 0.5}},
        {1: {"loss": nan}, 2: {"loss": 0.4}},
    ]
    found = found_of(*curves, values=[{"width": n} for n in range(3)])
    made, _ = trials_of(found, "loss", Choices())
    assert [each.trial.status for each in made] == [
        Status.DIVERGED,
        Status.FAILED,
        Status.COMPLETED,
    ]


def test_names_of_columns_and_of_metrics_are_left_to_these():
    found = found_of(
        {1: {"time": 3.0, "loss": 0.5}}, values=[{"loss": "ce", "fold": 2, "width": 8}]
    )
    (known,) = cleaned(found).trials
    assert known.measurements == {1: {"metric_time": 3.0, "loss": 0.5}}
    assert known.values == {"config_loss": "ce", "config_fold": 2, "width": 8}


def test_a_configuration_has_a_name_even_where_nothing_varies():
    (made,), _ = trials_of(found_of({1: {"loss": 0.5}}, values=[{"width": 8}]), "loss", Choices())
    assert made.trial.name == f"configuration {made.trial.configuration_id[:6]}"


def test_a_pruned_trial_without_a_value_of_the_metric_failed():
    pruned = FoundTrial(
        label="a", values={}, measurements={1: {"acc": 0.5}}, status=Status.EARLY_STOPPED
    )
    (made,), _ = trials_of(replace(found_of(), trials=(pruned,)), "loss", Choices())
    assert (made.trial.status, made.trial.reason) == (Status.FAILED, "it has no value of loss")


def test_a_seed_on_several_folds_is_a_trial_on_each_and_phases_are_kept(tmp_path):
    facts = [{"fold": 0, "phase": "finalist"}, {"fold": 1}]
    trials = tuple(
        FoundTrial(
            label=f"{n}",
            values={"width": 8, "seed": 3},
            measurements={1: {"loss": 0.5 + n}},
            status=Status.COMPLETED,
            facts=of,
        )
        for n, of in enumerate(facts)
    )
    found = replace(found_of(), trials=trials, at="last")
    made, left_out = trials_of(found, "loss", Choices())
    assert left_out == []
    assert [(m.trial.config["fold"], m.trial.phase) for m in made] == [
        (0, "finalist"),
        (1, "search"),
    ]
    written = write_run(found, tmp_path / "run", Choices(at="best"))
    assert written.objective["at"] == "best", "what is asked for stands before what the tool says"
    info = read_table_info(pq.read_table(tmp_path / "run" / TRIALS_FILE))
    assert "fold" in info.hyperparameters
    assert info.searched == ()
