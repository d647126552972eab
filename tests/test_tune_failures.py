"""Which failures end a trial or a sweep: the same crash twice, the same error in many trials."""

from types import SimpleNamespace

from tests.support.sweeps import new_sweep, play, small_spec, train
from tune.run.trial import Status
from tune.sweep.bundle import Fusing
from tune.sweep.failures import ALIKE, AlikeFailures, Faults

ONE_TRIAL = {"scheduler": {"name": "none"}, "space": {"kernel_size": [3]}}


def test_the_last_crash_of_a_trial_counts_and_not_its_first():
    sweep, _ = new_sweep(small_spec(**ONE_TRIAL))
    trial, faults = train(sweep, 0.5), Faults()
    crashes = ["SIGSEGV", "SIGABRT", "SIGABRT", None, "SIGABRT", "SIGABRT"]
    assert [faults.is_second(trial, fault) for fault in crashes] == [
        False, False, True, False, False, True,
    ]  # fmt: skip
    assert not any(faults.is_second(trial, None) for _ in range(3)), "no signal is no crash"


def test_the_same_crash_of_another_trial_or_epoch_is_not_the_same():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    first, second, faults = train(sweep, 0.5), train(sweep, 0.5), Faults()
    assert not faults.is_second(first, "SIGSEGV")
    assert not faults.is_second(second, "SIGSEGV")
    assert faults.is_second(first, "SIGSEGV")


def test_a_trial_that_crashes_twice_in_one_epoch_fails_although_retries_are_left():
    sweep, ledger = new_sweep(small_spec(**ONE_TRIAL, retries=9))
    trial = train(sweep, 0.5)
    sweep.attempt_failed(trial.id, "SIGSEGV ended it", fault="SIGSEGV")
    for _ in range(2):
        sweep.attempt_failed(trial.id, "SIGABRT ended it", fault="SIGABRT")
    assert (trial.status, trial.reason) == (
        Status.FAILED,
        "SIGABRT ended it; this happened twice in the same epoch, so it is not retried",
    )
    assert [event["event"] for event in ledger].count("attempt_failed") == 2


def test_five_alike_in_a_row_stop_a_sweep_unless_an_earlier_session_had_that_error():
    old = "ValueError: old (all of it in errors/a.txt)"
    trials = [
        SimpleNamespace(status=Status.FAILED, reason=old),
        SimpleNamespace(status=Status.COMPLETED, reason=""),
        SimpleNamespace(status=Status.EARLY_STOPPED, reason="ValueError: new"),
    ]
    alike = AlikeFailures(trials)
    assert [alike.hear(old) for _ in range(ALIKE + 1)] == [None] * (ALIKE + 1)
    new = [f"ValueError: new (all of it in errors/{number}.txt)" for number in range(ALIKE)]
    assert [alike.hear(error) for error in new[:-1]] == [None] * (ALIKE - 1)
    alike.forget()
    assert [alike.hear(error) for error in new[:-1]] == [None] * (ALIKE - 1)
    assert alike.hear(new[-1]).startswith(
        f"the last {ALIKE} trials failed with the same error (ValueError: new); remove the cause"
    )
    alike.accept_none()
    assert any(alike.hear(old) for _ in range(ALIKE))


def test_only_failed_trials_are_retried_and_without_any_nothing_is_noted():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}, retries=0))
    large, diverged = train(sweep), train(sweep, 0.5, train_loss=float("nan"))
    sweep.give_up(large.id, Status.INFEASIBLE, "too large")
    before = len(ledger)
    assert sweep.retry_failed() == 0
    assert len(ledger) == before
    failed = train(sweep, 0.5)
    sweep.attempt_failed(failed.id, "broke")
    assert sweep.retry_failed() == 1
    assert ledger[-1]["trials"] == [failed.id]
    assert (large.status, diverged.status) == (Status.INFEASIBLE, Status.DIVERGED)
    assert failed.status is Status.PENDING


def test_a_trial_is_retried_while_others_run_and_may_fail_as_often_as_before():
    sweep, ledger = new_sweep(small_spec(scheduler={"name": "none"}, retries=1))
    running, broken, other = train(sweep, 0.5), train(sweep, 0.5), train(sweep)
    for trial in (broken, other):
        for _ in range(2):
            sweep.attempt_failed(trial.id, "SIGABRT ended it", fault="SIGABRT")
    assert sweep.retry_failed(broken.id) == 1
    assert ledger[-1]["trials"] == [broken.id]
    assert (running.status, broken.status, other.status) == (
        Status.RUNNING,
        Status.PENDING,
        Status.FAILED,
    )
    assert running.id not in sweep.queue.waiting
    sweep.attempt_failed(broken.id, "SIGABRT ended it", fault="SIGABRT")
    assert broken.status is Status.PENDING
    again, _ = new_sweep(small_spec(scheduler={"name": "none"}, retries=1), ledger)
    assert again.queue.waiting == [running.id, broken.id]


def test_a_retry_takes_back_that_the_trial_was_to_stop():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, retries=0))
    trial = train(sweep)
    sweep.stop_trial(trial.id, "by hand")
    sweep.attempt_failed(trial.id, "broke")
    assert sweep.retry_failed(trial.id) == 1
    play(sweep)
    assert trial.status is Status.COMPLETED


def test_a_retry_of_a_fused_trial_is_one_of_all_that_failed_with_it():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, retries=0))
    one, two, third = (train(sweep) for _ in range(3))
    sweep.decide_fusing(Fusing(trials=(one.id, two.id), fused=True, gain=1.5))
    for trial in (one, two, third):
        sweep.attempt_failed(trial.id, "broke")
    assert sweep.retry_failed(two.id) == 2
    assert set(sweep.queue.waiting) == {one.id, two.id}


def test_a_retried_trial_that_turns_out_better_takes_the_place_of_a_finalist():
    spec = small_spec(
        replicates=2, finalists=1, retries=0, space={"kernel_size": [3, 5]},
        fixed={**small_spec().fixed, "epochs": 1},
    )  # fmt: skip
    sweep, ledger = new_sweep(spec)
    good, broken = train(sweep, 0.5), train(sweep)
    sweep.attempt_failed(broken.id, "broke")
    play(sweep)
    assert sweep.finished
    sweep.retry_failed()
    assert train(sweep, 0.9) is broken
    assert not sweep.finished
    replicate = train(sweep, 0.9)
    assert (replicate.phase, replicate.configuration_id) == ("finalist", broken.configuration_id)
    assert sweep.finished
    chosen = [event["trials"] for event in ledger if event["event"] == "finalists_chosen"]
    assert chosen == [[good.id], [broken.id]]


def test_a_sweep_that_stops_because_its_trials_fail_alike_does_not_end_as_designed():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, retries=0))
    for _ in range(ALIKE):
        sweep.attempt_failed(train(sweep).id, "no disk")
    assert sweep.stopping.startswith("the last 5 trials failed with the same error (no disk); ")
    assert not sweep.ends_as_designed
