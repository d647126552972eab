import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairsweep.own_code.signature import Hyperparameter
from tests.support.sweeps import (
    LOSS,
    WORKER,
    figures,
    new_sweep,
    own_network,
    small_spec,
    train,
)
from tune.run.directory import MEASUREMENTS_FILE, TRIALS_FILE
from tune.run.tables import TRIAL_COLUMNS, is_whole, read_table_info, write_table
from tune.run.trial import METRICS
from tune.session.tables import _column, hyperparameter_types, write_tables

CLASSES = ("neutral", "angry")


def tables(run, sweep):
    write_tables(run, sweep, CLASSES)
    trials = pq.read_table(run / TRIALS_FILE)
    return trials, pq.read_table(run / MEASUREMENTS_FILE)


def test_a_row_tells_the_best_and_the_last_epoch_of_its_trial(tmp_path):
    spec = small_spec(**LOSS, scheduler={"name": "none"})
    sweep, _ = new_sweep(spec)
    trial = train(sweep, 0.3, 0.7, 0.7, 0.6, seconds=1.5, val_macro_f1=0.125)
    sweep.lose_attempt(trial.id, "n7")
    sweep.fail(trial.id, "broke")
    waiting = sweep.next_trial()
    table, measurements = tables(tmp_path, sweep)
    row, pending = table.to_pylist()
    expected = {
        "trial_id": trial.id, "configuration_id": trial.configuration_id, "number": 0,
        "name": trial.name, "phase": "search", "replicate": 0, "status": "FAILED",
        "reason": "broke", "epochs_trained": 4, "best_epoch": 2, "best_val_accuracy": 0.7,
        "last_val_accuracy": 0.6, "last_val_loss": 0.4, "best_val_macro_f1": 0.125,
        "parameters": 7, "seconds": 6.0, "device_seconds": 6.0, "host": "here", "device": "cpu",
        "nodes_lost": 1, "seed": 3, "kernel_size": 3, "blocks": 1, "channels": 4, "fold": None,
        "fc_width": "16", "pool_size": 4, "lr_schedule": "constant",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert (pending["trial_id"], pending["status"], pending["epochs_trained"]) == (
        waiting.id, "PENDING", 0,
    )  # fmt: skip
    assert pending["best_epoch"] is pending["last_val_loss"] is pending["parameters"] is None
    assert measurements["epoch"].to_pylist() == [1, 2, 3, 4]
    assert measurements["val_accuracy"].to_pylist() == [0.3, 0.7, 0.7, 0.6]


def test_a_trial_on_a_part_of_a_device_takes_that_part_of_its_seconds(tmp_path):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    trial = sweep.next_trial()
    sweep.start(trial.id, 0.25)
    sweep.report(trial.id, 1, figures(trial.id, 1, seconds=6.0), WORKER)
    (row,) = tables(tmp_path, sweep)[0].to_pylist()
    assert (row["seconds"], row["device_seconds"]) == (6.0, 1.5)


@pytest.mark.parametrize("limits", [None, {"latency_ms": 5}])
def test_the_latency_is_a_column_where_networks_are_timed(tmp_path, limits):
    sweep, _ = new_sweep(small_spec(limits=limits))
    train(sweep, 0.3)
    assert ("latency_ms" in tables(tmp_path, sweep)[0].column_names) is (limits is not None)


@pytest.mark.parametrize(
    ("searcher", "sampling"),
    [("grid", "every"), ("random", "drawn"), ("sobol", "drawn"), ("tpe", "adaptive")],
)
def test_tables_of_earlier_versions_tell_how_their_searcher_samples(searcher, sampling):
    known = {"hyperparameters": [], "searched": [], "tied": {}, "objective": {}, "classes": []}
    info = {**known, "searcher": searcher, "scheduler": "none", "rungs": [], "schema_version": 1}
    table = pa.table({}).replace_schema_metadata({"sweep": json.dumps(info)})
    assert read_table_info(table).sampling == sampling


def test_the_table_says_what_was_searched_and_keeps_the_classes_in_their_order(tmp_path):
    space = {"blocks": [1, 2], "fc_layers": {"from": "blocks", "map": {1: 2, 2: 1}}}
    sweep, _ = new_sweep(small_spec(**LOSS, space=space))
    train(sweep, 0.3)
    info = read_table_info(tables(tmp_path, sweep)[0])
    assert info.classes == CLASSES
    assert info.searched == ("blocks", "fc_layers")
    assert info.tied == {"fc_layers": "blocks"}
    assert info.objective == {"metric": "val_loss", "mode": "min", "at": "best"}
    assert (info.searcher, info.scheduler, info.rungs) == ("grid", "asha", (1, 3))
    assert (info.searcher_words, info.sampling) == ("grid search", "every")
    assert info.scheduler_words == "early stopping by ASHA"
    assert {"seed", "fold", "learning_rate", "fc_width"} <= set(info.hyperparameters)


def test_folds_are_not_among_what_was_searched(tmp_path):
    spec = small_spec(scheduler={"name": "none"}, space={"kernel_size": [3, 5]}, folds=2)
    sweep, _ = new_sweep(spec)
    train(sweep, 0.3)
    train(sweep, 0.3)
    table, _ = tables(tmp_path, sweep)
    assert read_table_info(table).searched == ("kernel_size",)
    assert table["fold"].to_pylist() == [0, 1]
    assert table["folds"].to_pylist() == [2, 2]


PLAIN = {"fixed": {"family": "plain", "epochs": 1}, "scheduler": {"name": "none"}}


def written(run, sweep):
    run.mkdir()
    write_tables(run, sweep, ["a", "b"])
    table = pq.read_table(run / TRIALS_FILE)
    return table["stages"].to_pylist(), table["conv_depth"].to_pylist()


def test_stages_have_a_column_of_their_own(tmp_path):
    sweep, _ = new_sweep(small_spec(**PLAIN, space={"stages": [2, 3]}))
    for _ in range(2):
        train(sweep, 0.5)
    assert written(tmp_path / "run", sweep) == ([2, 3], [None, None])


def test_a_run_whose_spec_has_the_earlier_name_of_stages_has_its_column(tmp_path):
    sweep, _ = new_sweep(small_spec(**PLAIN, space={"conv_depth": [2, 3]}))
    for _ in range(2):
        train(sweep, 0.5)
    assert written(tmp_path / "run", sweep) == ([None, None], [2, 3])


def test_a_run_that_an_earlier_version_began_keeps_its_column(tmp_path):
    """Only its first trial is from then, when the ledger had conv_depth for the stages."""
    spec = small_spec(**PLAIN, space={"kernel_size": [3, 5]})
    sweep, ledger = new_sweep(spec)
    train(sweep, 0.5)
    for event in ledger:
        if event["event"] == "trial_proposed":
            event["config"] = dict(event["config"])
            event["config"]["conv_depth"] = event["config"].pop("stages")
    resumed, _ = new_sweep(spec, ledger)
    train(resumed, 0.6)
    assert [trial.config.get("stages") for trial in resumed.trials.values()] == [None, 3]
    assert written(tmp_path / "run", resumed) == ([None, None], [3, 3])


def test_a_convolution_depth_of_another_family_is_no_earlier_name(tmp_path):
    families = {"resnet": {"conv_depth": [1]}, "plain": {"stages": [2]}}
    fixed = {"epochs": 1}
    sweep, _ = new_sweep(
        small_spec(fixed=fixed, scheduler={"name": "none"}, space={"family": families})
    )
    for _ in range(2):
        train(sweep, 0.5)
    assert written(tmp_path / "run", sweep) == ([None, 2], [1, None])


def test_a_name_that_own_networks_use_for_different_types_has_a_column_of_words():
    kinds = {"nets:A": "float", "nets:B": "int", "nets:C": "float"}
    networks = {name: own_network(rate=Hyperparameter(kind=kind)) for name, kind in kinds.items()}
    pairs = {("nets:A", "nets:B"): pa.string(), ("nets:A", "nets:C"): pa.float64()}
    for names, column in pairs.items():
        spec = small_spec().model_copy(
            update={
                "fixed": {},
                "space": {"family": list(names)},
                "networks": {name: networks[name] for name in names},
            }
        )
        assert hyperparameter_types(spec)["rate"] == column


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], pa.int64()),
        ([1, 2.0], pa.float64()),
        ([True, None], pa.bool_()),
        ([True, 1], pa.string()),
        ([1, "flat"], pa.string()),
        ([None], pa.string()),
    ],
)
def test_a_column_of_own_code_has_the_type_of_all_its_values(values, kind):
    assert _column(values) == kind


def test_the_columns_of_a_table_stand_in_their_order(tmp_path):
    sweep, _ = new_sweep(small_spec(limits={"latency_ms": 5}))
    train(sweep, 0.3)
    names = tables(tmp_path, sweep)[0].column_names
    known = [name for name, _ in TRIAL_COLUMNS]
    assert [name for name in names if name in known] == known
    best, last = names.index("best_val_loss"), names.index("last_val_loss")
    assert names[best - 1 : best + len(METRICS)] == ["best_epoch", *(f"best_{m}" for m in METRICS)]
    assert names[last : last + len(METRICS)] == [f"last_{m}" for m in METRICS]
    assert (best < last, names[-1]) == (True, "latency_ms")
    assert names.index("replicate") < names.index("kernel_size") < names.index("status")


def test_a_file_that_is_cut_off_or_not_there_is_not_whole(tmp_path):
    path = tmp_path / "a.parquet"
    assert not is_whole(path)
    write_table(pa.table({"a": [1, 2, 3]}), path)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-4])
    assert not is_whole(path)
