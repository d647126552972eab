import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.sweeps import figures
from tune.run.tables import (
    TRIAL_COLUMNS,
    TableInfo,
    measurements_table,
    predictions_table,
    read_predictions,
    read_table_info,
    trials_table,
    write_table,
)
from tune.run.trial import (
    FINISHED,
    MEASURED,
    METRICS,
    TIMINGS,
    Ending,
    Figures,
    Measurement,
    Status,
    Trial,
)


def trial_of(**changes):
    values = {
        "id": "t", "configuration_id": "c", "number": 4, "name": "n", "phase": "search",
        "replicate": 0, "config": {"seed": 5, "fold": None}, "epochs": 9,
    }  # fmt: skip
    return Trial(**{**values, **changes})


def measured(**columns):
    """A trial with one measurement for each place of the columns."""
    count = len(next(iter(columns.values())))
    rows = [{name: column[place] for name, column in columns.items()} for place in range(count)]
    return trial_of(
        measurements=[
            Measurement(epoch=epoch, values=figures("t", epoch, **row))
            for epoch, row in enumerate(rows, start=1)
        ]
    )


def test_of_equal_best_epochs_the_earliest_counts():
    trial = measured(
        val_accuracy=[0.2, 0.6, 0.6, 0.5, math.nan], val_loss=[0.5, 0.4, 0.3, 0.3, -math.inf]
    )
    assert trial.best().epoch == 2
    assert trial.best("val_loss", "min").epoch == 3
    assert trial.best("val_loss", "max").epoch == 1
    assert trial.last.epoch == 5
    assert measured(val_accuracy=[math.nan, math.inf]).best() is None
    assert (trial_of().best(), trial_of().last) == (None, None)


@pytest.mark.parametrize("name", ["train_loss", "val_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_a_divergence_and_no_other_figure_is(name, value):
    assert Measurement(epoch=1, values=figures("t", 1, **{name: value})).diverged
    assert not Measurement(epoch=1, values=figures("t", 1, val_macro_f1=value)).diverged


def test_a_draw_names_the_seed_and_the_fold_that_tell_trials_apart():
    assert trial_of().draw == "seed 5"
    assert trial_of(config={"seed": 5, "fold": 0}).draw == "seed 5 fold 0"


def test_a_status_follows_from_what_happened_to_the_trial():
    trial = trial_of()
    assert (trial.status, trial.reason, trial.ended) == (Status.PENDING, "", False)
    trial.has_worker = True
    assert trial.status is Status.RUNNING
    trial.interruption = "stopped by hand"
    assert (trial.status, trial.reason) == (Status.INTERRUPTED, "stopped by hand")
    assert not trial.ended
    for status in FINISHED:
        trial.ending = Ending(status=status, reason="why")
        assert (trial.status, trial.reason, trial.ended) == (status, "why", True)
    with pytest.raises(AttributeError):
        trial.status = Status.PENDING


def test_device_seconds_are_seconds_times_devices():
    assert trial_of(seconds=6.0, devices=0.25).device_seconds == 1.5
    assert trial_of(seconds=6.0).device_seconds == 6.0


def test_figures_keep_each_number_under_its_name():
    values = {name: place / 7 for place, name in enumerate((*TIMINGS, *reversed(MEASURED)))}
    kept = Figures(values)
    assert dict(kept) == values
    assert len(kept) == len(values) == 13
    assert kept["val_loss"] == values["val_loss"]


def test_figures_of_own_training_keep_their_names_and_share_them():
    first, second = Figures({"f1": 0.5, "seconds": 2.0}), Figures({"f1": 0.25, "seconds": 1.0})
    assert (dict(first), dict(second)) == (
        {"f1": 0.5, "seconds": 2.0}, {"f1": 0.25, "seconds": 1.0},
    )  # fmt: skip
    assert first._places is second._places
    assert Measurement(epoch=1, values=Figures({"loss": math.inf, "seconds": 1.0})).diverged
    assert not Measurement(epoch=1, values=Figures({"glossy": math.inf, "seconds": 1.0})).diverged


INFO = TableInfo(
    hyperparameters=("seed", "fold"), searched=("blocks", "fc_layers"),
    tied={"fc_layers": "blocks"}, objective={"metric": "val_loss", "mode": "min", "at": "last"},
    classes=("neutral", "angry"), searcher="tpe", searcher_words="TPE", sampling="adaptive",
    scheduler="asha", scheduler_words="early stopping", rungs=(1, 3),
)  # fmt: skip


def test_tables_have_the_metrics_that_occur_and_null_where_a_trial_lacks_one():
    metrics = ("auc", "f1")
    trials = trials_table([{"trial_id": "t", "best_auc": 0.5}], INFO, {}, metrics)
    assert [name for name in trials.column_names if name.startswith(("best_", "last_"))] == [
        "best_epoch", "best_auc", "best_f1", "last_auc", "last_f1",
    ]  # fmt: skip
    both = [Measurement(epoch=1, values=Figures({name: 0.5, "seconds": 1.0})) for name in metrics]
    assert measurements_table([trial_of(measurements=both)], (*metrics, "seconds")).to_pydict() == {
        "trial_id": ["t", "t"], "epoch": [1, 1], "auc": [0.5, None], "f1": [None, 0.5],
        "seconds": [1.0, 1.0],
    }  # fmt: skip


def test_the_trials_table_says_what_its_columns_mean_and_keeps_their_order(tmp_path):
    row = {"trial_id": "t", "status": Status.DIVERGED, "seed": 5, "replicate": 2, "number": 4}
    table = trials_table([row], INFO, {"seed": pa.int64(), "fold": pa.int64()})
    assert table.column_names == [
        "trial_id", "configuration_id", "number", "name", "phase", "replicate", "seed", "fold",
        "status", "reason", "epochs_trained", "best_epoch",
        *(f"best_{name}" for name in METRICS), *(f"last_{name}" for name in METRICS),
        "parameters", "seconds", "device_seconds", "host", "device", "nodes_lost",
    ]  # fmt: skip
    assert len(TRIAL_COLUMNS) == table.num_columns - 2 - 2 * len(METRICS)
    write_table(table, tmp_path / "new folder" / "trials.parquet")
    again = pq.read_table(tmp_path / "new folder" / "trials.parquet")
    assert read_table_info(again) == INFO
    assert again.to_pylist()[0] == {**dict.fromkeys(table.column_names), **row}
    assert json.loads(again.schema.metadata[b"sweep"])["schema_version"] == 1
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["trials.parquet"]


@pytest.mark.parametrize(
    ("searcher", "sampling"),
    [("grid", "every"), ("random", "drawn"), ("sobol", "drawn"), ("tpe", "adaptive")],
)
def test_a_table_of_an_earlier_version_tells_how_its_searcher_sampled(searcher, sampling):
    info = {**vars(INFO), "schema_version": 1, "searcher": searcher, "scheduler": "none"}
    for name in ("searcher_words", "sampling", "scheduler_words"):
        del info[name]
    table = trials_table([], INFO, {"seed": pa.int64(), "fold": pa.int64()})
    earlier = table.replace_schema_metadata({b"sweep": json.dumps(info).encode()})
    found = read_table_info(earlier)
    assert (found.sampling, found.searcher_words) == (sampling, f"searcher {searcher}")
    assert found.scheduler_words == "no early stopping"


def test_the_measurements_table_has_a_row_for_each_epoch_of_each_trial():
    first, second = measured(seconds=[1.0, 2.0]), measured(seconds=[4.0])
    second.id = "u"
    rows = measurements_table([second, first]).to_pylist()
    assert [(row["trial_id"], row["epoch"], row["seconds"]) for row in rows] == [
        ("u", 1, 4.0), ("t", 1, 1.0), ("t", 2, 2.0),
    ]  # fmt: skip
    assert list(rows[0]) == ["trial_id", "epoch", *MEASURED, *TIMINGS]


def test_predictions_have_a_row_for_each_picture_in_the_given_order(tmp_path):
    probabilities = np.array([[0.25, 0.5, 0.25], [0.75, 0.125, 0.125]], np.float32)
    table = predictions_table(
        image_ids=["b/2", "a/1"], labels=[2, 0], probabilities=probabilities, split="val",
        epoch=7, classes=("neutral", "angry", "bored"),
    )  # fmt: skip
    write_table(table, tmp_path / "predictions" / "t.parquet")
    again = read_predictions(tmp_path, "t")
    assert again.to_pylist() == [
        {"image_id": "b/2", "split": "val", "label": 2, "probabilities": [0.25, 0.5, 0.25]},
        {"image_id": "a/1", "split": "val", "label": 0, "probabilities": [0.75, 0.125, 0.125]},
    ]
    assert json.loads(again.schema.metadata[b"classes"]) == ["neutral", "angry", "bored"]
    assert again.schema.metadata[b"epoch"] == b"7"
    assert read_predictions(tmp_path, "u") is None


def test_a_table_that_is_cut_off_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "trials.parquet"
    write_table(pa.table({"a": [1]}), path)

    def break_off(_table, place):
        place.write_bytes(b"PAR1")
        raise OSError("disk full")

    monkeypatch.setattr("tune.run.tables.pq.write_table", break_off)
    with pytest.raises(OSError, match="disk full"):
        write_table(pa.table({"a": [2]}), path)
    assert pq.read_table(path)["a"].to_pylist() == [1]
    assert [each.name for each in tmp_path.iterdir()] == ["trials.parquet"]


def test_labels_of_many_classes_have_room(tmp_path):
    table = predictions_table(
        image_ids=["a"], labels=[999], probabilities=np.zeros((1, 1000), np.float32), split="test",
        epoch=1, classes=map(str, range(1000)),
    )  # fmt: skip
    write_table(table, tmp_path / "predictions" / "t.parquet")
    assert read_predictions(tmp_path, "t")["label"].to_pylist() == [999]


def test_a_table_keeps_its_own_words_and_an_earlier_one_names_its_scheduler():
    table = trials_table([], INFO, {"seed": pa.int64(), "fold": pa.int64()})
    own = read_table_info(table)
    assert (own.searcher_words, own.scheduler_words) == ("TPE", "early stopping")
    info = {**vars(INFO), "schema_version": 1}
    del info["scheduler_words"]
    earlier = table.replace_schema_metadata({b"sweep": json.dumps(info).encode()})
    assert read_table_info(earlier).scheduler_words == "scheduler asha"
