"""Which trial of a run is its incumbent, and where its weights are."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.run_weights import RunError, find_weights

COLUMNS = ("trial_id", "number", "status", "best_val_loss", "last_val_loss", "best_val_accuracy")


def write(run, rows, *, metric="val_loss", mode="min", at="best", kept=("a", "b", "c", "d")):
    """Write a run directory of ``rows``, with weights of the trials ``kept``."""
    run.mkdir()
    objective = {"metric": metric, "mode": mode, "at": at}
    table = pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    metadata = {"sweep": json.dumps({"objective": objective})}
    pq.write_table(table.replace_schema_metadata(metadata), run / "trials.parquet")
    for trial in kept:
        (run / "checkpoints" / trial).mkdir(parents=True)
        (run / "checkpoints" / trial / "best.pt").touch()
        (run / "checkpoints" / trial / "last.pt").touch()
    return run


ROWS = [
    ("a", 2, "COMPLETED", 0.5, 0.9, 0.7),
    ("b", 1, "COMPLETED", 0.4, 0.8, 0.6),
    ("c", 0, "EARLY_STOPPED", 0.1, 0.1, 0.99),
    ("d", 3, "COMPLETED", 0.6, 0.7, 0.5),
]


@pytest.mark.parametrize(
    ("metric", "mode", "at", "expected"),
    [
        ("val_loss", "min", "best", "b"),
        ("val_loss", "min", "last", "d"),
        ("val_loss", "max", "last", "a"),
        ("val_accuracy", "max", "best", "a"),
        ("val_accuracy", "min", "best", "d"),
    ],
)
def test_the_incumbent_is_best_in_the_direction_of_the_objective(
    tmp_path, metric, mode, at, expected
):
    run = write(tmp_path / "my run", ROWS, metric=metric, mode=mode, at=at)
    assert find_weights(run) == run / "checkpoints" / expected / "best.pt"


def test_of_equals_the_trial_that_was_proposed_first_is_the_incumbent(tmp_path):
    numbers = {"a": 3, "b": 1, "c": 2, "d": 4}
    rows = [(name, number, "COMPLETED", 0.5, 0.5, 0.5) for name, number in numbers.items()]
    assert find_weights(write(tmp_path / "run", rows)).parent.name == "b"


def test_a_trial_that_was_stopped_counts_only_where_none_was_trained_whole(tmp_path):
    rows = [(name, number, "EARLY_STOPPED", *rest) for name, number, _, *rest in ROWS]
    assert find_weights(write(tmp_path / "run", rows)).parent.name == "c"


def test_trials_without_a_finite_objective_are_no_incumbent(tmp_path):
    rows = [
        ("a", 0, "COMPLETED", math.nan, 0.1, 0.1),
        ("b", 1, "COMPLETED", -math.inf, 0.1, 0.1),
        ("c", 2, "COMPLETED", None, None, None),
        ("d", 3, "EARLY_STOPPED", 0.9, 0.9, 0.9),
    ]
    assert find_weights(write(tmp_path / "run", rows)).parent.name == "d"
    none = write(tmp_path / "none", rows[:3])
    with pytest.raises(RunError, match="none has no trained trial yet"):
        find_weights(none)


def test_a_named_trial_counts_before_the_incumbent(tmp_path):
    run = write(tmp_path / "run", ROWS, kept=("b", "d"))
    assert find_weights(run, "d") == run / "checkpoints" / "d" / "best.pt"


def test_a_refusal_lists_the_trials_whose_weights_are_kept_in_order(tmp_path):
    run = write(tmp_path / "run", ROWS, kept=("d", "b"))
    (run / "checkpoints" / "a").mkdir()
    (run / "checkpoints" / "a" / "last.pt").touch()  # Its best weights are gone.
    with pytest.raises(RunError, match=r"run keeps no weights of trial a; --trial can be b, d$"):
        find_weights(run, "a")
    with pytest.raises(RunError, match=r"run has no trial e; --trial can be b, d$"):
        find_weights(run, "e")
