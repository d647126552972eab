"""Sweeps that pause trials at rungs and take the best of them up again."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from tests.support.in_process import FIXED, few_pictures_fixture, start, tiny_spec  # noqa: F401 - used by name
from tests.support.ledgers import read_lines
from tests.support.sweeps import (
    WORKER,
    Factory,
    TrivialTraining,
    figures,
    new_sweep,
    play,
    small_spec,
)
from tune.execution.in_process import InProcessExecutor
from tune.run.directory import CHECKPOINTS_DIR, TRIALS_FILE, predictions_file
from tune.run.trial import Status
from tune.session.keeping import Keeper
from tune.session.standing import rungs_of
from tune.session.tables import write_tables
from tune.sweep.extend import extended_spec

PROMOTION = {
    "scheduler": {"name": "promotion", "grace_period": 1, "reduction_factor": 3},
    "finalists": 1,
}
"""Rungs at epochs 1 and 3 of 9."""
RANDOM = {
    "searcher": {"name": "random", "samples": 12},
    "space": {"weight_decay": {"low": 0.0, "high": 0.5}},
}


def begin(sweep):
    """Hand out the next trial, and start it."""
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    return trial


def report(sweep, trial, accuracy):
    """Report a trial's next epoch; return whether its worker should stop."""
    epoch = len(trial.measurements) + 1
    values = figures(trial.id, epoch, val_accuracy=accuracy, val_loss=1 - accuracy)
    return sweep.report(trial.id, epoch, values, WORKER)


def three_at_the_first_rung(sweep, *, worst=0.4):
    """Train three trials to epoch 1; the second is the best."""
    trials = []
    for accuracy in (0.5, 0.6, worst):
        trials.append(begin(sweep))
        assert report(sweep, trials[-1], accuracy)
    return trials


def kinds(ledger):
    return [event["event"] for event in ledger]


def test_a_trial_at_a_rung_pauses_without_a_worker_and_the_best_is_taken_up_again():
    sweep, ledger = new_sweep(small_spec(**PROMOTION))
    first, best, third = three_at_the_first_rung(sweep)
    assert {trial.status for trial in (first, best, third)} == {Status.PAUSED}
    assert best.reason == "paused after epoch 1"
    assert begin(sweep) is best
    assert best.status is Status.RUNNING
    assert kinds(ledger)[-2:] == ["trial_taken_up", "trial_started"]
    assert not report(sweep, best, 0.6), "it trains on"
    assert report(sweep, best, 0.6), "until the next rung"
    assert begin(sweep) not in (first, best, third), "nobody else is among the best third"


def test_a_trial_that_falls_behind_first_goes_on_once_more_trials_are_worse():
    sweep, _ = new_sweep(small_spec(**PROMOTION))
    first, best, _ = three_at_the_first_rung(sweep)
    assert begin(sweep) is best
    for accuracy in (0.1, 0.1):
        report(sweep, begin(sweep), accuracy)
        assert first.status is Status.PAUSED
    report(sweep, begin(sweep), 0.1)
    assert begin(sweep) is first, "it is the second best of six"


def test_a_trial_that_is_among_the_best_when_it_comes_to_a_rung_does_not_pause():
    sweep, ledger = new_sweep(small_spec(**PROMOTION))
    three_at_the_first_rung(sweep)
    begin(sweep)
    late = begin(sweep)
    assert not report(sweep, late, 0.9)
    assert late.status is Status.RUNNING
    assert kinds(ledger).count("trial_taken_up") == 1


def test_at_the_end_what_stays_paused_is_stopped_with_a_reason():
    sweep, ledger = new_sweep(small_spec(**PROMOTION, **RANDOM))
    play(sweep, slots=3)
    assert sweep.finished
    counts = Counter(trial.status for trial in sweep.trials.values())
    assert set(counts) == {Status.COMPLETED, Status.EARLY_STOPPED}
    assert 1 <= counts[Status.COMPLETED] <= 3
    taken_up = {event["trial"] for event in ledger if event["event"] == "trial_taken_up"}
    for trial in sweep.trials.values():
        if trial.status is Status.EARLY_STOPPED:
            assert trial.last.epoch in (1, 3)
            assert f"at epoch {trial.last.epoch} did not reach" in trial.reason
            assert "the best 1/3 of the" in trial.reason
        else:
            assert trial.id in taken_up
    rows = rungs_of(sweep)
    assert [row["first"] for row in rows] == [1, 3]
    assert sum(row["stopped"] for row in rows) == counts[Status.EARLY_STOPPED]
    assert not any(trial.paused for trial in sweep.trials.values())


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_a_search_of_few_trials_trains_its_best_whole(samples):
    changes = {**RANDOM, "searcher": {"name": "random", "samples": samples}}
    sweep, _ = new_sweep(small_spec(**PROMOTION, **changes))
    play(sweep)
    assert sweep.finished
    counts = Counter(trial.status for trial in sweep.trials.values())
    assert counts[Status.COMPLETED] == 1
    at_first = {
        trial.measurements[0].values["val_accuracy"]: trial for trial in sweep.trials.values()
    }
    assert at_first[max(at_first)].status is Status.COMPLETED


def test_finalists_are_chosen_when_no_trial_is_paused_any_more():
    sweep, ledger = new_sweep(
        small_spec(**{**PROMOTION, **RANDOM, "replicates": 2, "finalists": 2})
    )
    play(sweep, slots=2)
    assert sweep.finished
    chosen = kinds(ledger).index("finalists_chosen")
    assert "trial_taken_up" not in kinds(ledger)[chosen:]
    replicates = [trial for trial in sweep.trials.values() if trial.phase == "finalist"]
    assert len(replicates) == 2
    assert {len(trial.measurements) for trial in replicates} == {9}, "they do not pause"


@pytest.mark.parametrize(("finalists", "slots"), [(4, 1), (4, 3), (20, 3)])
def test_as_many_trials_as_there_are_finalists_are_trained_whole(finalists, slots):
    sweep, ledger = new_sweep(small_spec(**{**PROMOTION, **RANDOM, "finalists": finalists}))
    play(sweep, slots=slots)
    assert sweep.finished
    whole = [t for t in sweep.trials.values() if t.status is Status.COMPLETED]
    assert len(whole) == min(finalists, 12)
    stopped = [t for t in sweep.trials.values() if t.status is Status.EARLY_STOPPED]
    standing = [(t.last.epoch, t.last.values["val_accuracy"]) for t in stopped]
    for trial in whole:
        value = {m.epoch: m.values["val_accuracy"] for m in trial.measurements}
        assert all(value[1] > accuracy for epoch, accuracy in standing if epoch == 1)
    again, _ = new_sweep(sweep.spec, ledger)
    assert again.trials == sweep.trials


def test_missing_finalists_are_trained_side_by_side_once_the_search_has_proposed_all():
    changes = {**PROMOTION, **RANDOM, "finalists": 2}
    changes["searcher"] = {"name": "random", "samples": 3}
    sweep, _ = new_sweep(small_spec(**changes))
    first, best, third = three_at_the_first_rung(sweep)
    assert begin(sweep) is best, "it is promoted"
    assert begin(sweep) is first, "it is needed"
    assert sweep.next_trial() is None
    assert third.status is Status.PAUSED
    assert not report(sweep, best, 0.7)
    assert report(sweep, best, 0.7), "it pauses at the second rung"
    assert begin(sweep) is best, "and is needed too"


def test_a_stopped_sweep_leaves_its_trials_paused_and_a_resume_takes_them_up():
    spec = small_spec(**PROMOTION)
    sweep, ledger = new_sweep(spec)
    first, best, third = three_at_the_first_rung(sweep)
    sweep.stop("enough")
    assert sweep.next_trial() is None
    sweep.close()
    again, _ = new_sweep(spec, json.loads(json.dumps(ledger)))
    assert [again.trials[trial.id].status for trial in (first, best, third)] == [Status.PAUSED] * 3
    assert begin(again).id == best.id


def test_a_sweep_killed_between_the_promotion_and_the_start_of_a_trial_starts_it():
    spec = small_spec(**PROMOTION)
    sweep, ledger = new_sweep(spec)
    _, best, _ = three_at_the_first_rung(sweep)
    assert sweep.next_trial() is best
    assert kinds(ledger)[-1] == "trial_taken_up"
    again, _ = new_sweep(spec, json.loads(json.dumps(ledger)))
    assert begin(again).id == best.id


def test_no_trial_is_taken_up_twice():
    sweep, _ = new_sweep(small_spec(**PROMOTION))
    _, best, _ = three_at_the_first_rung(sweep)
    assert sweep.next_trial() is best
    assert sweep.next_trial() is not best


def test_a_user_stops_a_paused_trial_at_once():
    sweep, _ = new_sweep(small_spec(**PROMOTION))
    first, best, third = three_at_the_first_rung(sweep)
    sweep.stop_trial(best.id, "by hand")
    assert (best.status, best.reason) == (Status.EARLY_STOPPED, "by hand")
    assert begin(sweep) not in (first, best, third)


def test_a_diverged_trial_does_not_pause():
    sweep, _ = new_sweep(small_spec(**PROMOTION))
    trial = begin(sweep)
    values = figures(trial.id, 1, val_loss=float("nan"), val_accuracy=0.9)
    assert sweep.report(trial.id, 1, values, WORKER)
    assert trial.status is Status.DIVERGED
    assert not sweep.queue.paused


def test_the_searcher_hears_a_pause_as_a_stop_and_a_promotion_as_a_new_start(monkeypatch):
    sweep, _ = new_sweep(small_spec(**PROMOTION))
    heard = []
    searcher = sweep.search._searcher
    monkeypatch.setattr(
        searcher, "hear_ended", lambda trial, curve, whole: heard.append((trial, curve, whole))
    )
    monkeypatch.setattr(searcher, "hear_proposed", lambda trial, _point: heard.append(trial))
    first, best, third = three_at_the_first_rung(sweep)
    assert begin(sweep) is best
    sweep.stop_trial(first.id, "by hand")
    assert heard == [
        first.id, (first.id, [0.5], None), best.id, (best.id, [0.6], None),
        third.id, (third.id, [0.4], None), best.id,
    ]  # fmt: skip


def test_more_samples_may_promote_trials_that_are_paused_but_none_that_were_stopped():
    spec = small_spec(**PROMOTION, **RANDOM)
    sweep, ledger = new_sweep(spec)
    first, best, third = three_at_the_first_rung(sweep)
    sweep.stop_trial(third.id, "by hand")
    sweep.extend(extended_spec(spec, samples=6, overrides=()))
    assert [first.status, best.status] == [Status.PAUSED] * 2
    play(sweep, slots=2)
    assert sweep.finished
    assert len(sweep.trials) == 18
    assert third.reason == "by hand"
    again, _ = new_sweep(spec, ledger)
    assert again.trials == sweep.trials


def test_more_epochs_let_paused_trials_go_on_to_them():
    spec = small_spec(**PROMOTION, **RANDOM)
    sweep, ledger = new_sweep(spec)
    _, best, _ = three_at_the_first_rung(sweep)
    sweep.extend(extended_spec(spec, samples=0, overrides=["fixed.epochs=27"]))
    assert (best.status, best.epochs) == (Status.PAUSED, 27)
    play(sweep)
    assert sweep.finished
    assert max(len(trial.measurements) for trial in sweep.trials.values()) == 27
    again, _ = new_sweep(spec, ledger)
    assert again.trials == sweep.trials


def test_the_checkpoint_of_a_paused_trial_is_kept_until_it_ends(tmp_path):
    sweep, _ = new_sweep(small_spec(**PROMOTION, **RANDOM))
    _, best, third = three_at_the_first_rung(sweep, worst=0.0)
    for trial in (best, third):
        (tmp_path / CHECKPOINTS_DIR / trial.id).mkdir(parents=True)
        (tmp_path / CHECKPOINTS_DIR / trial.id / "last.pt").touch()
    Keeper(tmp_path, sweep).sweep_up()
    assert (tmp_path / CHECKPOINTS_DIR / third.id / "last.pt").exists()
    play(sweep)
    assert third.status is Status.EARLY_STOPPED
    Keeper(tmp_path, sweep).sweep_up()
    assert not (tmp_path / CHECKPOINTS_DIR / third.id).exists()


def test_a_paused_trial_is_no_trained_one_in_the_tables(tmp_path):
    sweep, _ = new_sweep(small_spec(**PROMOTION))
    _, best, _ = three_at_the_first_rung(sweep)
    write_tables(tmp_path, sweep, ("neutral", "angry"))
    row = pq.read_table(tmp_path / TRIALS_FILE).to_pylist()[1]
    assert (row["trial_id"], row["status"], row["epochs_trained"]) == (best.id, "PAUSED", 1)
    assert row["reason"] == "paused after epoch 1"
    assert sweep.trained_whole == 0
    assert sweep.choose_finalists() == []


def test_a_trial_that_paused_ends_as_one_that_did_not(tmp_path, few_pictures):
    changes = {
        "fixed": {**FIXED, "epochs": 3},
        "space": {"learning_rate": [1e-5, 1e-2, 1e-4]},
        "objective": "val_loss",
    }
    paused, without = (
        start(
            tiny_spec(few_pictures, scheduler=scheduler, finalists=1, **changes),
            tmp_path / scheduler,
        )[1]
        for scheduler in ("promotion", "none")
    )
    assert paused.finished
    counts = Counter(str(trial.status) for trial in paused.trials.values())
    assert counts == {"COMPLETED": 1, "EARLY_STOPPED": 2}
    assert "trial_taken_up" in kinds(read_lines(tmp_path / "promotion" / "tiny"))
    for trial in paused.trials.values():
        alike = without.trials[trial.id].measurements[: len(trial.measurements)]
        assert [m.values["val_loss"] for m in trial.measurements] == [
            m.values["val_loss"] for m in alike
        ]
        assert predictions_file(tmp_path / "promotion" / "tiny", trial.id).is_file()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_trial_goes_on_where_it_paused_and_no_epoch_is_trained_twice(tmp_path, workers):
    sweep, ledger = new_sweep(small_spec(**PROMOTION, **RANDOM))
    executor = InProcessExecutor(
        workers=workers, make_training=Factory(kind=TrivialTraining, run=tmp_path)
    )
    executor.execute(sweep, tmp_path, None, on_step=lambda: None)
    assert sweep.finished
    trained = Counter((tmp_path / "trained.txt").read_text().splitlines())
    measured = [f"{t.id} {m.epoch}" for t in sweep.trials.values() for m in t.measurements]
    assert trained == Counter(measured)
    assert kinds(ledger).count("trial_taken_up") >= 3
    again, _ = new_sweep(sweep.spec, ledger)
    assert again.trials == sweep.trials


def test_only_trials_of_the_search_are_told_the_epochs_at_which_they_may_pause():
    pausing = {**PROMOTION, "replicates": 2, "space": {"kernel_size": [3]}}
    for scheduler, told in ((PROMOTION["scheduler"], (1, 3)), ("asha", ()), ("none", ())):
        sweep, _ = new_sweep(small_spec(**{**pausing, "scheduler": scheduler}))
        bundle = sweep.next_bundle(1)
        assert bundle.pauses_after == told
        sweep.start(bundle.key, 1.0)
        trial = sweep.trials[bundle.key]
        for _ in range(9):
            if report(sweep, trial, 0.5) and trial.paused:
                assert sweep.next_bundle(1).pauses_after == told
                sweep.start(trial.id, 1.0)
        replicate = sweep.next_bundle(1)
        assert sweep.trials[replicate.key].phase == "finalist"
        assert replicate.pauses_after == ()
