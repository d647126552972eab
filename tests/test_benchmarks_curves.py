"""Whole learning curves of small networks: how pictures are divided, the table, and its task."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import curves_table, curves_training, search
from benchmarks.curves_table import TableTask, table_of
from benchmarks.curves_training import few_pictures
from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from tests.support.discs import write_dataset
from tests.support.in_process import start
from tune.sweep.spec import load_spec

EPOCHS = 3


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "discs"
    write_dataset(folder)
    return folder


@pytest.fixture
def same_modules():
    """Own code is imported from copies, which take the place of its packages in this process."""
    known = dict(sys.modules)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]
    sys.modules.update(known)


def test_judging_pictures_are_no_copies_of_training_pictures_and_none_is_a_test_picture(
    discs, monkeypatch
):
    monkeypatch.setattr(curves_training, "TRAINING", 20)
    whole = read_dataset(discs)
    whole = replace(whole, split_groups=np.arange(len(whole.labels)) // 3)
    few_val = len(whole.rows("val")) + 9
    monkeypatch.setattr(curves_training, "JUDGING", few_val)
    small = few_pictures(whole)
    ids = dict(zip(whole.image_ids.tolist(), range(len(whole.labels)), strict=True))
    rows = np.array([ids[image_id] for image_id in small.image_ids.tolist()])
    training, judging = (rows[small.rows(split)] for split in ("train", "val"))
    assert len(set(rows.tolist())) == len(rows) == 20 + few_val
    assert set(whole.splits[training]) == {"train"}
    assert set(whole.rows("val")) <= set(judging)
    from_train = judging[whole.splits[judging] == "train"]
    assert len(from_train) == 9
    assert not set(whole.split_groups[from_train]) & set(whole.split_groups[training])
    assert (small.labels == whole.labels[rows]).all()
    assert (small.pixels == whole.pixels[rows]).all()


@pytest.mark.usefixtures("same_modules")
def test_a_run_of_the_grid_becomes_a_table_and_the_table_a_task(discs, tmp_path):
    changes = [
        f"data={discs}",
        f"fixed={{image_size: 8, epochs: {EPOCHS}, blocks: 1, augmentation: none}}",
        "space={channels: [2, 4], learning_rate: [0.01, 0.001], weight_decay: [0.1, 0.3]}",
        f"scheduler={{name: asha, grace_period: {EPOCHS}}}",
        "finalists=1",
        "replicates=2",
    ]
    spec = load_spec(search.FOLDER.parent / "curves.yaml", changes)
    run, sweep = start(spec, tmp_path)
    table = table_of(run)
    assert len(table) == EPOCHS * (8 + 1)
    file = tmp_path / "discs.parquet"
    table.to_parquet(file)
    task = TableTask(file)
    assert (task.name, task.epochs) == ("discs", EPOCHS)
    assert {name: about["high"] for name, about in task.space.items()} == {
        "channels": 2, "learning_rate": 2, "weight_decay": 2,
    }  # fmt: skip
    for trial in sweep.trials.values():
        if trial.phase != "search":
            continue
        place = {"channels": trial.config["channels"] // 2, "weight_decay": 1}
        place["weight_decay"] += trial.config["weight_decay"] == 0.3
        place["learning_rate"] = 1 + (trial.config["learning_rate"] == 0.01)
        curve = task.curve(place)
        measured = [each.values for each in trial.measurements]
        assert curve.validation == pytest.approx([each["val_accuracy"] for each in measured])
        twins = [
            [each.values["counted_accuracy"] for each in twin.measurements]
            for twin in sweep.trials.values()
            if twin.configuration_id == trial.configuration_id
        ]
        assert curve.test == pytest.approx(np.mean(twins, axis=0))
        assert len(set(curve.seconds)) == 1
        assert curve.seconds[0] <= min(each["seconds"] for each in measured) + 1e-6
    watched = search.run_side(task, "random + asha", workers=2, seed=0)
    assert {value for _, value, _ in watched.epochs} <= set(task._curves["validation"].ravel())


def test_a_table_with_a_gap_and_an_unfinished_run_are_refused(tmp_path, monkeypatch):
    rows = [(a, b, 0, e, 1.0, 0.5, 0.5) for a in (1, 2) for b in (1, 2) for e in (1, 2)]
    columns = ["a", "b", *curves_table._FACTS]
    pd.DataFrame(rows[:-1], columns=columns).to_parquet(tmp_path / "gap.parquet")
    with pytest.raises(UserError, match="lacks 1 of its grid's epochs"):
        TableTask(tmp_path / "gap.parquet")
    trials = pd.DataFrame({"name": ["one", "two"], "status": ["COMPLETED", "EARLY_STOPPED"]})
    monkeypatch.setattr(curves_table, "read_run", lambda _: SimpleNamespace(trials=trials))
    with pytest.raises(UserError, match="1 trials of runs/x are not complete, such as two"):
        table_of(Path("runs/x"))
