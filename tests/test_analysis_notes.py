"""Notes and captions that depend on the run: metric, epoch, predictions, early stopping, tests."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.comparisons.best_table import best
from analysis.comparisons.replicates_table import replicates
from analysis.comparisons.statistics import Comparisons, against_incumbent
from analysis.comparisons.table import basis_note, comparisons
from analysis.cost import figure as cost_figure
from analysis.cost.latency_table import latency_table, with_latency
from analysis.curves.figure import model_curves, n_words, overview, prepare, shown_metrics
from analysis.curves.incomplete_table import incomplete
from analysis.curves.progress_figure import spent_column, spent_label
from analysis.effects.by_table import by_hyperparameter
from analysis.effects.figure import compared_words, effects
from analysis.effects.pairs_figure import cell_intervals
from analysis.effects.table import effects_table, levels_table
from analysis.ensembles.statistics import Ensemble
from analysis.ensembles.table import ensemble_table
from analysis.run.run_data import UNKNOWN
from analysis.selection.statistics import CorrectedAccuracy
from analysis.statistics.estimate import NotKnownError
from analysis.trials.table import WILSON, models
from tests.support.hand_made import hand_made
from tune.run.latency import NetworkLatency, write_latencies

LOSS = {"metric": "rmse", "mode": "min"}


def notes_of(table):
    return " ".join(table.notes)


def curves_of(run, epochs=2, **metrics):
    """Return the run with a measurement of each trial after each epoch."""
    rows = [
        {"trial_id": trial_id, "epoch": epoch, **{n: v[k][epoch - 1] for n, v in metrics.items()}}
        for k, trial_id in enumerate(run.trials["trial_id"])
        for epoch in range(1, epochs + 1)
    ]
    return replace(run, measurements=type(run.trials)(rows))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"best_val_accuracy": [0.6, 0.5], "n": 100}, "same pictures, so these accuracies are a "),
        ({"best_val_accuracy": [0.6, 0.5]}, "same data, so these accuracies are a little too high"),
        ({"best_rmse": [2.0, 3.0], **LOSS}, "same data, so these values are a little too low"),
    ],
)
def test_the_best_epoch_is_told_to_flatter_in_the_direction_of_the_metric(settings, told):
    assert f"picked on the {told}" in notes_of(models(hand_made(**settings)))
    at_last = notes_of(models(hand_made(**settings, at="last")))
    assert "picked on the" not in at_last
    assert "at the last epoch." in at_last


def test_models_tell_wilson_only_of_accuracies_on_pictures():
    known = hand_made(best_val_accuracy=[0.6, 0.5], n=100)
    assert WILSON in models(known).notes
    assert WILSON not in models(hand_made(best_val_accuracy=[0.6, 0.5])).notes
    assert WILSON not in models(hand_made(best_rmse=[2.0, 3.0], n=100, **LOSS)).notes


def test_models_have_the_hyperparameters_that_any_trial_has_and_count_those_that_completed():
    run = hand_made(
        best_val_accuracy=[0.6, 0.5, 0.7],
        status=["COMPLETED", "EARLY_STOPPED", "COMPLETED"],
        depth=[2.0, None, None],
        width=[None, None, None],
        replicate=[0, 0, 1],
        info={"hyperparameters": ("depth", "width"), "searched": ("depth",)},
    )
    table = models(run)
    assert "depth" in table.frame
    assert "width" not in table.frame
    assert "Trials: 3, of which 2 completed." in table.notes
    headings = [column.heading for column in table.views[0].columns]
    assert "replicate" in headings
    assert "accuracy, last epoch" in headings
    single = models(hand_made(best_val_accuracy=[0.6, 0.5], at="last"))
    shown = {column.heading: column.key for column in single.views[0].columns}
    assert "replicate" not in shown
    assert shown["accuracy, best epoch"] == "best_accuracy"


@pytest.mark.parametrize(
    ("basis", "on_pictures", "n", "told"),
    [
        ("folds", False, 9, "over folds by the corrected resampled t-test"),
        ("models", True, 9, "with another seed they may be reversed"),
        ("configurations", True, 9, "for other seeds and other pictures."),
        (
            "configurations",
            False,
            9,
            "only for these pictures, because predictions of the compared",
        ),
        ("configurations", False, None, "validation data, because there are no predictions on"),
    ],
)
def test_what_is_compared_is_told(basis, on_pictures, n, told):
    run = hand_made(best_val_accuracy=[0.6, 0.5], **({} if n is None else {"n": n}))
    found = Comparisons(
        basis=basis,
        incumbent_id="c0",
        reference="c0",
        frame=None,
        means=None,
        on_pictures=on_pictures,
        candidates=2,
        pairs=None,
    )
    assert told in basis_note(run, found)


def test_trials_of_an_ensemble_are_named_with_how_often_they_are_in_it(monkeypatch):
    frame = pd.DataFrame([{"estimate": "as chosen", "accuracy": 0.6, "n": 9, "openings": 0}])
    frame = frame.assign(accuracy_low=0.5, accuracy_high=0.7, models=3)
    known = Ensemble(
        members={"t1": 2, "t0": 1},
        frame=frame,
        gain=CorrectedAccuracy(0.1234, -0.002, 0.3),
        missing=2,
        stale=False,
    )

    def table_of(ensemble, **changes):
        monkeypatch.setattr("analysis.ensembles.table.ensemble", lambda _: ensemble)
        return ensemble_table(hand_made(best_val_accuracy=[0.6, 0.5], n=9, **changes))

    table = table_of(known)
    assert table.views[0].title == "What to expect of an ensemble of 2 models"
    assert table.views[0].shown(table.frame)["n"].tolist() == ["9"], "pictures, not models"
    notes = notes_of(table)
    assert "Members: net 1 (trial 1) 2 times, net 0 (trial 0). The ensemble's" in notes
    assert (
        "it is +12.3 percentage points from the best single model (95 % interval -0.2 to +30.0)"
        in notes
    )
    assert "2 of the best completed trials have no predictions of these pictures and are" in notes
    assert "The test split was not opened for it" in notes
    grown = notes_of(table_of(replace(known, stale=True, gain=None, missing=1)))
    assert "opened for an ensemble of other members, before the run grew." in grown
    assert "percentage points" not in grown
    assert "1 of the best completed trials has no predictions of these pictures and is" in grown
    tested = pd.concat([frame, frame.assign(estimate="test", openings=3)], ignore_index=True)
    alone = table_of(replace(known, members={"t0": 1}, frame=tested, missing=0))
    assert alone.views[0].title == "What to expect of an ensemble of 1 model"
    assert alone.frame["name"].tolist() == ["validation, as chosen", "test"]
    assert alone.notes[-1] == "The test split was opened 3 times."
    imported = replace(hand_made(best_val_accuracy=[0.6]), provenance={"imported": {"tool": "x"}})
    assert "test split" not in notes_of(ensemble_table(imported)), "it has none that we could open"
    assert "no predictions" not in notes_of(alone)


def test_costs_are_of_completed_and_stopped_trials_in_percent_or_as_measured():
    status = ["COMPLETED", "EARLY_STOPPED", "FAILED"]
    run = hand_made(
        best_val_accuracy=[0.6, 0.5, 0.9],
        last_val_accuracy=[0.4, 0.3, 0.9],
        status=status,
        parameters=[5, 6, 7],
        n=1_200,
    )
    data = cost_figure.prepare(run)
    assert data["accuracy"].tolist() == pytest.approx([60, 50])
    assert data["completed"].tolist() == [True, False]
    (drawing,) = cost_figure.cost(run)
    assert "accuracy at the best epoch, n = 1,200 pictures; each" in drawing.caption
    assert "less time and a lower accuracy than" in drawing.caption
    assert [panel.x.label for panel in drawing.chart.panels] == ["trainable parameters"]
    assert drawing.chart.panels[0].y.label == "validation accuracy at the best epoch, %"
    loss = hand_made(best_rmse=[2.0, 3.0], seconds=[1.0, 2.0], **LOSS)
    (drawing,) = cost_figure.cost(loss)
    assert "a higher rmse than" in drawing.caption
    assert "n = " not in drawing.caption
    front, *_ = drawing.chart.panels[0].layers
    assert (front.x.tolist(), front.y.tolist()) == ([1.0], [2.0])
    assert list(cost_figure.cost(hand_made(best_rmse=[2.0, 3.0], **LOSS))) == []


def latency(configuration, **changes):
    return NetworkLatency(
        **{
            "configuration_id": configuration,
            "name": f"net {configuration}",
            "parameters": 1_500,
            "weights_bytes": 2_500_000,
            "p50_1": 1.0,
            "p95_1": 2.0,
            "p50_64": 3.0,
            "p95_64": 4.0,
            "device": "a processor",
            "threads": 2,
            "host": "a host",
            "measured": "2026-01-31 12:00:00",
            **changes,
        }
    )


@pytest.mark.parametrize(("mode", "order"), [("max", ["c1", "c0"]), ("min", ["c0", "c1"])])
def test_sizes_and_latencies_stand_best_first_with_the_mean_of_the_trainings(tmp_path, mode, order):
    values = [2.0, 4.0, 5.0]
    run = hand_made(
        "score",
        mode=mode,
        path=tmp_path,
        configuration_id=["c0", "c0", "c1"],
        best_score=values,
        last_score=values,
        n=[10, 12, 9],
    )
    write_latencies(tmp_path, [latency("c0"), latency("c1", p50_1=0.5)])
    table = latency_table(run)
    assert table.frame["configuration_id"].tolist() == order
    own = table.frame.set_index("configuration_id")
    assert own["accuracy"].to_dict() == {"c0": 3.0, "c1": 5.0}
    assert own["n"].to_dict() == {"c0": 12, "c1": 9}
    cells = table.views[0].shown(table.frame).set_index("name").loc["net c0"].to_dict()
    assert cells["parameters"] == "1,500"
    assert cells["MB"] == "2.5"
    assert [cells[key] for key in cells if "picture" in key] == ["1", "2", "3", "4"]
    assert "a processor of a host (threads: 2), measured 2026-01-31 12:00:00 UTC" in notes_of(table)
    assert [(column.heading, column.key) for column in table.views[0].columns] == [
        ("name", "name"), ("accuracy", "accuracy"), ("parameters", "parameters"),
        ("MB", "weights_bytes"), ("1 picture, ms", "p50_1"),
        ("1 picture, 95th percentile", "p95_1"), ("64 pictures, ms", "p50_64"),
        ("64 pictures, 95th percentile", "p95_64"), ("n", "n"),
    ]  # fmt: skip
    frame, columns = with_latency(run, table.frame[["configuration_id"]])
    assert frame.set_index("configuration_id")["p50_1"].to_dict() == {"c0": 1.0, "c1": 0.5}
    assert [column.key for column in columns] == ["weights_bytes", "p50_1"]
    assert columns[0].text(None) == "–"
    write_latencies(tmp_path, [latency("c1", p50_1=12.3456)])
    single = latency_table(run)
    assert single.frame["configuration_id"].tolist() == ["c1"]
    assert single.views[0].shown(single.frame)["1 picture, ms"].tolist() == ["12.3"]
    assert "a processor of a host" in notes_of(single)
    frame, columns = with_latency(run, table.frame[["configuration_id"]])
    cells = dict(zip(frame["configuration_id"], columns[1].cells(frame), strict=True))
    assert cells == {"c0": "–", "c1": "12.3"}


def test_curves_are_of_every_trial_in_order_of_trials_and_epochs():
    run = hand_made(
        best_val_accuracy=[0.6, 0.5],
        number=[1, 0],
        n=[10, 1_200],
        info={"rungs": (1,)},
    )
    run = curves_of(
        run,
        val_accuracy=[[0.25, 0.5], [0.125, 0.75]],
        val_loss=[[2.0, 1.0], [3.0, 4.0]],
    )
    data = prepare(run)
    assert data["number"].tolist() == [0, 0, 1, 1]
    assert data["epoch"].tolist() == [1, 2, 1, 2]
    assert data["val_accuracy"].tolist() == [12.5, 75, 25, 50]
    assert data["val_loss"].tolist() == [3.0, 4.0, 2.0, 1.0]
    assert [metric.name for metric in shown_metrics(run)] == ["val_loss", "val_accuracy"]
    assert n_words(run) == ", n = 1,200 pictures"
    (drawing,) = overview(run)
    assert "Validation loss and accuracy of 2 trials after each epoch, n = 1,200" in drawing.caption
    assert "Dotted lines: rungs" in drawing.caption
    first, second = drawing.chart.panels
    assert first.y.label == "validation loss (cross-entropy)"
    assert second.y.label == "validation accuracy, %"
    assert first.layers[0].x.tolist() == [1.0]
    assert "rungs" not in next(overview(replace(run, info=replace(run.info, rungs=())))).caption


def test_curves_of_one_model_tell_of_training_only_where_it_was_measured():
    run = hand_made(best_rmse=[2.0], **LOSS)
    plain = curves_of(run, rmse=[[3.0, 2.0]])
    (drawing,) = model_curves(plain)
    assert drawing.caption == "Rmse after each epoch; the dot marks the best epoch."
    assert [panel.y.label for panel in drawing.chart.panels] == ["rmse"]
    assert n_words(plain) == ""
    ours = hand_made(best_val_accuracy=[0.5], n=50)
    curves = {"val_accuracy": [[0.25, 0.5]], "val_loss": [[2.0, 1.0]], "train_loss": [[2.5, 1.5]]}
    (drawing,) = model_curves(curves_of(ours, **curves))
    assert "Validation: n = 50 pictures." in drawing.caption
    assert "Training loss and accuracy are measured during the epoch" in drawing.caption
    loss, accuracy = drawing.chart.panels
    assert [layer.label for layer in loss.layers] == ["training", "validation", "best epoch"]
    assert [layer.label for layer in accuracy.layers] == ["validation", "best epoch"]
    assert accuracy.layers[0].y.tolist() == [25, 50]
    assert (loss.layers[2].x.tolist(), loss.layers[2].y.tolist()) == ([2.0], [1.0])


def test_what_was_spent_are_epochs_where_no_seconds_are_known():
    frame = hand_made(best_val_accuracy=[0.5]).trials
    timed = frame.assign(device_hours=0.5)
    assert (spent_column(timed), spent_label(timed)) == ("device_hours", "device-hours spent")
    untimed = frame.assign(device_hours=0.0)
    assert spent_column(untimed) == "epochs"
    assert spent_label(untimed) == "epochs trained, all trials"


def searched(values, *, widths, mode="max", **changes):
    """A run of configurations of these widths, with curves that end at these values."""
    info = {"hyperparameters": ("width", "depth"), "searched": ("width", "depth")}
    metrics = {f"{at}_score": list(values) for at in ("best", "last")}
    run = hand_made(
        "score",
        mode=mode,
        width=list(widths),
        depth=list(widths),
        info={**info, "tied": {"depth": "width"}},
        **metrics,
        **changes,
    )
    return curves_of(run, score=[[value, value] for value in values])


@pytest.mark.parametrize(("mode", "best"), [("max", [30.0, 50.0]), ("min", [10.0, 40.0])])
def test_the_best_of_a_level_is_that_of_the_metric(mode, best):
    run = searched([10.0, 30.0, 40.0, 50.0, 60.0], widths=[1, 1, 2, 2, 2], mode=mode,
                   status=["COMPLETED"] * 4 + ["FAILED"])  # fmt: skip
    table = by_hyperparameter(run, "width")
    assert table.frame["name"].tolist() == ["1", "2"]
    assert table.frame["best"].tolist() == best
    assert table.frame["accuracy"].tolist() == [20.0, 45.0]
    assert table.frame["other"].tolist() == [0, 1]
    assert table.frame["configurations"].tolist() == [2, 2]
    notes = notes_of(table)
    assert "not known without replicates" in notes
    assert "early stopping" not in notes
    assert "Wilson" not in notes
    known = replace(run, trials=run.trials.assign(n=pd.array([100] * 5, "Int64")))
    assert "Wilson" not in notes_of(by_hyperparameter(known, "width")), "it is of accuracies"
    assert "Tied: width and depth change together" in notes
    assert "Tied: depth and width change together" in notes_of(by_hyperparameter(run, "depth"))


def test_the_interval_of_a_level_has_as_many_digits_as_its_mean():
    run = searched([10.0, 30.0, 40.0, 50.0, 60.0, 61.0], widths=[1, 1, 2, 2, 2, 1])
    table = by_hyperparameter(replace(run, info=replace(run.info, sampling="drawn")), "width")
    shown = table.views[0].shown(table.frame).iloc[0]
    assert shown["mean, completed"] == "33.67"
    assert shown["mean, completed: 95 % interval"] == "2.412 to 64.92"


def test_levels_after_early_stopping_are_compared_by_the_last_epoch_of_all():
    status = ["COMPLETED", "EARLY_STOPPED", "COMPLETED"]
    run = searched([10.0, 30.0, 40.0], widths=[1, 1, 2], status=status)
    table = by_hyperparameter(run, "width")
    assert table.frame["accuracy"].tolist() == [10.0, 40.0]
    assert table.frame["accuracy_at_epoch"].tolist() == [20.0, 40.0]
    assert table.frame["epoch"].tolist() == [2, 2]
    assert table.frame["early_stopped"].tolist() == [1, 0]
    assert table.frame["other"].tolist() == [0, 0]
    assert "epoch 2, the last epoch that all 3 completed" in notes_of(table)
    assert "mean at epoch 2" in [column.heading for column in table.views[0].columns]


def test_hyperparameters_that_always_change_together_have_no_degrees_of_freedom():
    run = searched([10.0, 30.0, 40.0, 20.0], widths=[1, 1, 2, 2])
    untied = replace(run, info=replace(run.info, tied={}))
    told = "0 degrees of freedom: too few configurations to separate it from the others."
    assert effects_table(untied).frame.set_index("name")["df"].to_dict() == {
        "width": 0, "depth": 0, "higher order": 2,
    }  # fmt: skip
    assert told in effects_table(untied).notes
    assert told not in effects_table(run).notes


def test_a_term_without_a_test_leaves_the_others_theirs():
    run = searched([10.0, 31.0, 40.0, 20.0, 45.0, 26.0], widths=[1, 1, 2, 2, 1, 2])
    names = ("width", "depth", "rate")
    info = replace(run.info, searched=names, hyperparameters=names, tied={}, sampling="drawn")
    run = replace(run, info=info, trials=run.trials.assign(rate=[1, 2, 1, 2, 1, 1]))
    table = effects_table(run)
    known = table.frame.set_index("name")["p_value"].notna()
    assert known[["width", "depth", "rate"]].tolist() == [False, False, True]
    assert "Error: differences between configurations beyond these effects" in notes_of(table)
    assert "No verdict: " not in notes_of(table)
    assert "Smallest shown: " in notes_of(table), "it is known of the rate alone"


def test_each_of_twelve_cells_has_the_interval_of_its_own_mean():
    widths, rates = [1, 2, 3, 4, 5, 6] * 4, [1] * 12 + [2] * 12
    values = [10.0 * width + 100 * rate + (k % 12 > 5) for k, (width, rate) in
              enumerate(zip(widths, rates, strict=True))]  # fmt: skip
    run = searched(values, widths=widths)
    names = ("width", "rate")
    info = replace(run.info, searched=names, hyperparameters=names, tied={}, sampling="drawn")
    run = replace(run, info=info, trials=run.trials.assign(rate=rates))
    ends = cell_intervals(run, "width", "rate")
    assert ends.mean(axis=1).to_dict() == pytest.approx(
        {(str(width), str(rate)): 10 * width + 100 * rate + 0.5
         for width in range(1, 7) for rate in (1, 2)}
    )  # fmt: skip


def test_the_epoch_of_the_comparison_is_told_with_the_trials_that_it_leaves_out():
    run = searched([10.0, 30.0, 40.0, 20.0], widths=[1, 1, 2, 2])
    one = replace(run, measurements=run.measurements[run.measurements["epoch"] == 1])
    trials = "All 4 completed and early-stopped trials are compared after"
    assert f"{trials} 2 epochs." in effects_table(run).notes
    assert f"{trials} 1 epoch." in effects_table(one).notes
    stopped = replace(one, trials=one.trials.assign(status=["EARLY_STOPPED"] + ["COMPLETED"] * 3))
    assert f"{trials} 1 epoch, the most that all of them reached." in effects_table(stopped).notes


TWICE = {"configuration_id": ["c0", "c0", "c1", "c1", "c2"], "replicate": [0, 1, 0, 1, 0]}


def test_a_level_without_a_comparable_trial_denies_no_interval_of_the_others():
    run = searched([10.0, 12.0, 30.0, 33.0, 50.0], widths=[1, 1, 2, 2, 3], **TWICE,
                   status=["COMPLETED"] * 4 + ["FAILED"])  # fmt: skip
    table = by_hyperparameter(run, "width")
    assert table.frame["accuracy_low"].notna().tolist() == [True, True, False]
    assert "not known without replicates" not in notes_of(table)


def test_the_level_of_trials_without_a_hyperparameter_is_explained_though_none_is_comparable():
    run = searched([10.0, 30.0, 50.0], widths=[1, 2, None], status=["COMPLETED"] * 2 + ["FAILED"])
    table = by_hyperparameter(run, "width")
    assert table.frame["name"].tolist() == ["1", "2", "–"]
    assert "–: trials in a part of the space without width." in table.notes


def test_trials_that_are_left_out_are_counted_by_what_became_of_them():
    status = ["COMPLETED"] * 2 + ["FAILED", "FAILED", "DIVERGED"]
    run = searched([10.0, 30.0, 40.0, 20.0, 5.0], widths=[1, 2, 1, 2, 2], status=status)
    assert " 3 others failed and are not shown." in compared_words(run)
    assert "Excluded from all means: 1 diverged, 2 failed." in notes_of(effects_table(run))
    limited = run.trials.assign(status=[*status[:4], "OVER_LIMIT"])
    told = compared_words(replace(run, trials=limited))
    assert " 3 others failed or are over a limit and are not shown." in told


def test_a_level_without_a_value_is_no_place_on_the_axis_of_a_hyperparameter():
    run = searched([10.0, 12.0, 30.0, 33.0, 50.0], widths=[1, 1, 2, 2, None])
    (drawing,) = effects(run)
    (panel,) = drawing.chart.panels
    assert panel.x.names == ("1\n(2)", "2\n(2)")
    points, means = panel.layers
    assert points.trials.tolist() == [0, 1, 2, 3]
    assert (means.x.tolist(), means.y.tolist()) == ([0, 1], [11, 31.5])
    assert means.texts == ("mean at 1", "mean at 2")


def test_an_axis_of_equal_values_reaches_to_both_sides_of_them():
    (drawing,) = effects(searched([10.0] * 4, widths=[1, 1, 2, 2]))
    assert drawing.chart.panels[0].y.limits == (9, 11)


def test_broken_trials_without_a_continuous_hyperparameter_are_counted_there():
    widths = [*map(float, range(1, 11)), None, None, 3.0]
    run = searched([10.0] * 10 + [20.0] * 3, widths=widths,
                   status=["COMPLETED"] * 11 + ["FAILED"] * 2)  # fmt: skip
    frame = levels_table(run).frame.set_index("level")
    assert frame["excluded"].to_dict() == {
        "1 to 3": 1, "4 to 5": 0, "6 to 7": 0, "8 to 10": 0, "–": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("mode", "side"), [("max", "below"), ("min", "above")])
def test_what_is_as_good_as_the_best_and_what_is_not_is_explained_where_it_occurs(mode, side):
    values = [10.0, 10.5, 20.0, 20.5, 80.0]
    run = searched(values, widths=[1, 1, 2, 2, 3], mode=mode, **TWICE)
    apart = notes_of(best(run))
    assert "Not the best: another one is shown to be at least as good" in apart
    assert "As good as the best:" not in apart
    close = replace(run, trials=run.trials.head(4), margin=50.0)
    assert f"As good as the best: shown to be less than 50 {side} the best" in notes_of(best(close))
    assert "Not the best:" not in notes_of(best(close))
    told = notes_of(comparisons(run))
    assert "picked by the same values." in told
    assert "Equivalent: shown to differ by less than 0.01 " in told
    assert "McNemar" not in told
    assert "Nothing is called equivalent" in notes_of(comparisons(replace(run, margin=0.0)))


def test_the_best_show_their_size_and_latency_where_these_are_known(tmp_path):
    run = searched([10.0, 12.0, 30.0, 33.0, 50.0], widths=[1, 1, 2, 2, 3], path=tmp_path, **TWICE)
    write_latencies(tmp_path, [latency("c1", p50_1=0.5)])
    table = best(run)
    shown = table.views[0].shown(table.frame).set_index("name")
    assert list(shown.columns[-3:]) == ["MB", "ms per picture", "n"]
    assert shown["MB"].tolist() == ["–", "2.5", "–"]


@pytest.mark.parametrize(("mode", "order"), [("max", ["c1", "c0"]), ("min", ["c0", "c1"])])
def test_replicates_stand_best_first(mode, order):
    run = searched([10.0, 12.0, 30.0, 33.0, 50.0], widths=[1, 1, 2, 2, 3], mode=mode, **TWICE)
    assert replicates(run).frame["configuration_id"].tolist() == order


@pytest.mark.parametrize(
    ("n", "why"), [(40, "no predictions of the compared epoch"), (None, "no predictions on single")]
)
def test_without_replicates_and_predictions_it_is_told_which_predictions_are_missing(n, why):
    known = {} if n is None else {"n": pd.array([20, n], "Int64")}
    run = hand_made(best_val_accuracy=[0.6, 0.5], **known)
    with pytest.raises(NotKnownError, match=f"there are no replicates, and {why}"):
        against_incumbent(run)


def test_replicates_are_compared_on_as_many_pictures_as_they_have():
    answers = {f"t{k}": [*[True] * right, *[False] * (40 - right)] for k, right in enumerate(
        [30, 28, 20, 24])}  # fmt: skip
    run = hand_made(
        best_val_accuracy=[0.75, 0.7, 0.5, 0.6], n=40, answers=answers,
        configuration_id=["c0", "c0", "c1", "c1"], replicate=[0, 1, 0, 1],
    )  # fmt: skip
    found = against_incumbent(run)
    assert (found.basis, found.on_pictures, found.pictures) == ("configurations", True, 40)


def test_curves_of_one_model_run_from_its_first_epoch_whatever_the_order_of_the_rows():
    run = curves_of(hand_made(best_rmse=[2.0], **LOSS), rmse=[[3.0, 2.0]])
    (drawing,) = model_curves(replace(run, measurements=run.measurements.iloc[::-1]))
    assert drawing.chart.panels[0].layers[0].x.tolist() == [1, 2]


@pytest.mark.parametrize("n", [100, None])
def test_wilson_is_told_of_incomplete_trials_where_there_are_pictures(n):
    known = {} if n is None else {"n": n}
    table = incomplete(hand_made(best_val_accuracy=[0.6], status=["EARLY_STOPPED"], **known))
    assert ("95 % interval: Wilson, for one trained model." in table.notes) == (n is not None)


@pytest.mark.parametrize(
    ("searcher", "in_notes", "in_caption"),
    [
        (
            "tpe",
            ("The searcher tpe sampled adaptively, so means", "No verdict: the searcher tpe chose"),
            "because configurations chosen by earlier results are not",
        ),
        (
            UNKNOWN,
            (
                "by earlier results, so means",
                "No verdict: it is not known how configurations",
            ),
            "They have no interval: how configurations were chosen is not known.",
        ),
    ],
)
def test_a_search_that_may_look_at_results_is_named_where_it_is_known(
    searcher, in_notes, in_caption
):
    run = searched([10.0, 12.0, 30.0, 33.0], widths=[1, 1, 2, 2])
    run = replace(run, info=replace(run.info, searcher=searcher, sampling="adaptive"))
    notes = notes_of(effects_table(run))
    for words in in_notes:
        assert words in notes
    (drawing,) = effects(run)
    assert in_caption in drawing.caption


def test_few_drawn_configurations_are_told_to_be_too_few_for_a_verdict():
    run = searched([10.0, 12.0, 30.0, 33.0], widths=[1, 1, 2, 2])
    drawn = replace(run, info=replace(run.info, searcher="random", sampling="random"))
    few = "No verdict: too few configurations to know how much they differ beyond the effects."
    assert few in effects_table(drawn).notes
    assert few not in effects_table(run).notes


def test_trials_that_were_first_measured_after_the_common_epoch_are_counted_as_left_out():
    run = searched([10.0, 12.0, 30.0, 33.0, 20.0], widths=[1, 1, 2, 2, 2],
                   status=["COMPLETED"] * 4 + ["FAILED"])  # fmt: skip
    rows = run.measurements
    early, late = rows["trial_id"] == "t0", rows["trial_id"] == "t3"
    kept = rows[~(early & (rows["epoch"] == 2)) & ~(late & (rows["epoch"] == 1))]
    assert (
        "All 3 completed and early-stopped trials are compared after 1 epoch. 1 others were first "
        "measured later and are left out."
    ) in effects_table(replace(run, measurements=kept)).notes
