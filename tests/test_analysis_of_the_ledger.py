"""What is taken from the ledger: costs, the best so far, openings of the test split."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.curves import progress_figure
from analysis.run.ledger import progress, times
from analysis.runs.searchers import searchers_table
from analysis.selection.table import selection_table
from tests.support.hand_made import hand_made
from tune.run.directory import LEDGER_FILE


def write_ledger(path, *events):
    path.mkdir(exist_ok=True)
    (path / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in events))


def started(trial, devices, time=10.0):
    return {"event": "trial_started", "trial": trial, "devices": devices, "time": time}


def measured(trial, epoch, loss, seconds=None, time=20.0):
    values = {"rmse": loss} | ({} if seconds is None else {"seconds": seconds})
    return {"event": "measurement", "trial": trial, "epoch": epoch, "time": time, "values": values}


def of_loss(path, count=2, **changes):
    values = [3.0 + number for number in range(count)]
    settings = {"mode": "min", "path": path, "best_rmse": values, "last_rmse": values, **changes}
    return hand_made("rmse", **settings)


@pytest.fixture
def spent(tmp_path):
    """A run of two trials, one on two devices, whose ledger ends in the middle of a line."""
    write_ledger(
        tmp_path,
        started("t0", 2.0),
        measured("t0", 1, 3.0, seconds=1_800),
        measured("t1", 1, 2.0, seconds=3_600, time=30.0),
        measured("t0", 2, None),
        measured("t0", 3, 2.5, seconds=900, time=40.0),
        {"event": "trial_ended", "trial": "t0", "time": 50.0},
    )
    with (tmp_path / LEDGER_FILE).open("a") as ledger:
        ledger.write('{"event": "measurement", "trial": "t1"')
    return of_loss(tmp_path)


def test_device_hours_add_up_over_the_devices_of_each_trial(spent):
    frame = progress(spent)
    assert frame["device_hours"].tolist() == [1.0, 2.0, 2.0, 2.5]
    assert frame["epoch"].tolist() == [1, 1, 2, 3]
    assert frame["best"].tolist() == [3.0, 2.0, 2.0, 2.0]
    highest = replace(
        spent, info=replace(spent.info, objective={"metric": "rmse", "mode": "max", "at": "best"})
    )
    assert progress(highest)["best"].tolist() == [3.0, 3.0, 3.0, 3.0]
    assert times(spent) == {"t0": (10.0, 50.0), "t1": (30.0, 30.0)}


def test_at_last_only_the_last_epoch_of_a_trial_counts(spent):
    objective = {"metric": "rmse", "mode": "max", "at": "last"}
    last = replace(spent, info=replace(spent.info, objective=objective))
    best = progress(last)["best"].to_numpy()
    assert best == pytest.approx(np.array([np.nan, 2.0, 2.0, 2.5]), nan_ok=True)
    (drawing,) = progress_figure.progress(last)
    assert "Only the last epoch of each trial counts." in drawing.caption
    assert "slightly too high" in drawing.caption


def test_progress_ends_where_trials_end_and_says_what_was_spent(spent):
    data = progress_figure.prepare(spent)
    assert data["ends"].tolist() == [False, True, False, True]
    assert data["number"].tolist() == [0, 1, 0, 0]
    assert data["epochs"].tolist() == [1, 2, 3, 4]
    (drawing,) = progress_figure.progress(spent)
    assert "device-hours spent (2.5 in total" in drawing.caption
    assert "Every epoch of every trial counts." in drawing.caption
    assert "slightly too low" in drawing.caption
    points, line = drawing.chart.panels[0].layers
    assert (points.x.tolist(), points.y.tolist()) == ([2.0, 2.5], [2.0, 2.5])
    assert (line.x.tolist(), line.y.tolist()) == ([1.0, 2.0, 2.5], [3.0, 2.0, 2.0])


def test_without_seconds_epochs_were_spent(tmp_path):
    write_ledger(tmp_path, measured("t0", 1, 3.0), measured("t1", 1, 2.0))
    (drawing,) = progress_figure.progress(of_loss(tmp_path))
    assert "epochs trained, those of all trials together" in drawing.caption
    write_ledger(tmp_path, measured("t0", 1, None))
    assert list(progress_figure.progress(of_loss(tmp_path))) == []


def by(path, searcher, *losses, **changes):
    """A run of a searcher with these losses, an epoch each."""
    write_ledger(path, *(measured("t0", e, loss) for e, loss in enumerate(losses, start=1)))
    return of_loss(path, info={"searcher": searcher, **changes})


def test_of_a_loss_the_searcher_with_the_lowest_mean_stands_first(tmp_path):
    runs = [
        by(tmp_path / "a", "grid", 5.0, 4.0, 3.0),
        by(tmp_path / "b", "grid", 6.0, 6.0),
        by(tmp_path / "c", "random", 9.0, 2.0),
        by(tmp_path / "d", "random", 3.0, 4.0, 1.0),
    ]
    table = searchers_table(runs)
    # After two epochs, which all of them spent.
    assert table.frame["searcher"].tolist() == ["random with none", "grid with none"]
    assert table.frame["value"].tolist() == [2.5, 5.0]
    assert table.frame["difference"].tolist() == [0.0, 2.5]
    assert "had spent 2 epochs" in table.notes[0]
    assert searchers_table(runs[:3]) is None
    other = {"metric": "rmse", "mode": "min", "at": "last"}
    assert searchers_table([*runs[:3], by(tmp_path / "d", "random", 3.0, objective=other)]) is None


def opened(trial, **facts):
    return {"event": "test_opened", "trial": trial, "time": 1.0, **facts}


def test_the_selection_says_what_it_needs_and_how_often_the_test_split_was_opened(tmp_path):
    write_ledger(tmp_path, opened("t0"), measured("t0", 1, 2.0), opened("t1"))
    run = of_loss(tmp_path, last_rmse=[3.5, 4.5])
    table = selection_table(run)
    assert table.frame["accuracy"].tolist() == [3.0, 3.5]
    assert table.frame["models"].tolist() == [2, 2]
    notes = " ".join(table.notes)
    assert "Not known: the rmse corrected for its selection; needs predictions on single" in notes
    assert "The test split was opened 2 times." in notes
    assert "the best on the same data" in notes
    assert table.views[0].title == "What to expect of net 0"
    imported = replace(run, provenance={"imported": {"tool": "x", "source": "y", "date": "z"}})
    assert "test split" not in " ".join(selection_table(imported).notes)
    write_ledger(tmp_path)
    assert "The test split was not opened" in " ".join(selection_table(run).notes)
    pictures = selection_table(of_loss(tmp_path, n=50))
    assert "needs an accuracy as objective" in " ".join(pictures.notes)
