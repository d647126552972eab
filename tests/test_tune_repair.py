"""What a resume makes again of files that are missing."""

import pyarrow as pa
import pytest

from tests.support.sweeps import TWO_EPOCHS, figures, new_sweep, small_spec, train
from tune.run.directory import best_weights, predictions_file
from tune.run.tables import write_table
from tune.session.repair import repair


@pytest.fixture
def made(monkeypatch):
    """The trials and splits whose predictions were made again."""
    made = []
    monkeypatch.setattr(
        "tune.execution.predictions.predict_from_best",
        lambda _run, trial_id, _dataset, split: made.append((trial_id, split)),
    )
    return made


def leave(path):
    write_table(pa.table({"a": [1]}), path)


def test_lost_predictions_are_made_from_weights_or_by_training_again_or_are_gone(tmp_path, made):
    sweep, ledger = new_sweep(small_spec(**TWO_EPOCHS, scheduler={"name": "none"}))
    whole, kept, gone, early, early_kept = (
        train(sweep, 0.5, 0.5), train(sweep, 0.5, 0.5), train(sweep, 0.5, 0.5),
        train(sweep, 0.5), train(sweep, 0.5),
    )  # fmt: skip
    running = train(sweep, 0.5)
    failed, broken = train(sweep), train(sweep, 0.5)
    for trial in (failed, broken):
        sweep.fail(trial.id, "no")
    for trial in (early, early_kept):
        sweep.attempt_failed(trial.id, "its node slept")
        sweep.stop_trial(trial.id, "by hand")
    leave(predictions_file(tmp_path, whole.id))
    for trial in (kept, early_kept):
        leave(best_weights(tmp_path, trial.id))
    lines = list(repair(tmp_path, sweep, None))
    assert made == [(kept.id, "val"), (early_kept.id, "val")]
    assert lines == [
        "recreated the predictions of 2 trials from their best weights",
        "1 trials that were stopped early left no files and are trained again",
        "the predictions of 2 trials are lost, and so are their checkpoints",
    ]
    assert sweep.queue.lost == {early.id}
    assert [e["trial"] for e in ledger if e["event"] == "files_lost"] == [early.id]
    assert gone.ended
    assert not running.ended


def test_a_run_that_lacks_nothing_is_left_as_it_is(tmp_path, made):
    sweep, ledger = new_sweep(small_spec(**TWO_EPOCHS, scheduler={"name": "none"}))
    leave(predictions_file(tmp_path, train(sweep, 0.5, 0.5).id))
    diverged = sweep.next_trial()
    sweep.start(diverged.id, 1.0)
    nothing = dict.fromkeys(figures("t", 1), float("nan"))
    sweep.report(diverged.id, 1, nothing, {})
    before = len(ledger)
    assert list(repair(tmp_path, sweep, None)) == []
    assert (made, len(ledger)) == ([], before)
