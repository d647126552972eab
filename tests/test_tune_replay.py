"""What each event of the ledger changes in the state of a sweep."""

import pytest

from tests.support.bundles import decided, searched
from tests.support.ledgers import events_of
from tests.support.sweeps import (
    TWO_EPOCHS,
    WORKER,
    Clock,
    figures,
    new_sweep,
    small_spec,
    train,
)
from tune.run.events import SweepResumed
from tune.run.trial import Status
from tune.sweep.bundle import Fusing
from tune.sweep.replay import apply, replay

NONE = {"scheduler": {"name": "none"}}


def started(**changes):
    """A sweep with a trial that has begun, without a scheduler."""
    sweep, _ = new_sweep(small_spec(**NONE, **changes))
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    return sweep, trial


def test_the_seconds_of_all_epochs_are_added():
    sweep, _ = new_sweep(small_spec(**NONE))
    trial = train(sweep, 0.1, 0.2, 0.3, seconds=2.5)
    assert trial.seconds == 7.5


def test_each_loss_of_a_node_is_counted_and_no_failure():
    sweep, trial = started()
    for _ in range(3):
        sweep.lose_attempt(trial.id, "node1")
        sweep.start(sweep.next_trial().id, 1.0)
    assert trial.nodes_lost == 3
    assert sweep.failures[trial.id] == 0


def test_a_resume_forgets_failed_attempts_and_interrupts_only_what_ran():
    sweep, trial = started(retries=1)
    sweep.attempt_failed(trial.id, "broke")
    waits = sweep.next_trial()
    assert waits is trial
    ran = sweep.next_trial()
    sweep.start(ran.id, 1.0)
    assert sweep.failures[trial.id] == 1
    apply(sweep, SweepResumed(time=0.0, spec=sweep.spec.to_yaml()))
    assert sweep.failures[trial.id] == 0
    assert (trial.status, trial.reason) == (Status.PENDING, "")
    assert (ran.status, ran.reason) == (Status.INTERRUPTED, "its sweep was killed")
    sweep.start(ran.id, 1.0)
    assert (ran.status, ran.reason) == (Status.RUNNING, "")
    assert sweep.queue.waiting[0] == trial.id


def test_trials_that_are_not_fused_return_to_the_front_in_their_order():
    sweep, _ = searched()
    bundle = sweep.next_bundle(3)
    for trial_id in bundle.trials:
        sweep.start(trial_id, 1.0)
    sweep.decide_fusing(decided(bundle, fused=False, gain=0.8))
    assert sweep.queue.waiting[:2] == list(bundle.trials)
    assert [sweep.trials[trial_id].has_worker for trial_id in bundle.trials] == [False] * 2


@pytest.mark.parametrize(
    ("size", "finalists", "expected"),
    [
        (3, {}, 3 + 3 * 2),
        (7, {"finalists": 2}, 7 + 2 * 2),
        (7, {"finalists": 2, **NONE}, 7 + 7 * 2),
    ],
)
def test_as_many_trials_are_expected_as_the_search_and_its_finalists_have(
    size, finalists, expected
):
    space = {"kernel_size": list(range(1, 1 + size))}
    assert replay(small_spec(space=space, replicates=3, **finalists), []).expected == expected


def test_first_configurations_are_part_of_a_grid_and_come_before_samples():
    first = {"first": [{"kernel_size": 3}, {"kernel_size": 5}], "space": {"kernel_size": [3, 5, 7]}}
    assert replay(small_spec(**first, **NONE), []).expected == 3
    drawn = {"searcher": {"name": "random", "samples": 2}}
    assert replay(small_spec(**first, **NONE, **drawn), []).expected == 2 + 2


def test_equal_trials_are_ranked_in_their_order_and_a_new_epoch_counts_at_once():
    sweep, _ = new_sweep(small_spec(**NONE))
    trials = [train(sweep, 0.5), train(sweep, 0.7), train(sweep, 0.5)]
    assert sweep.ranked(reversed(trials)) == [trials[1], trials[0], trials[2]]
    assert sweep.objective(trials[2]) == 0.5
    sweep.report(trials[2].id, 2, figures(trials[2].id, 2, val_accuracy=0.9), WORKER)
    assert sweep.objective(trials[2]) == 0.9
    assert sweep.ranked(trials) == [trials[2], trials[1], trials[0]]


def test_the_second_replicates_of_all_finalists_come_before_the_third():
    space = {"kernel_size": [3, 5]}
    sweep, _ = new_sweep(small_spec(**NONE, **TWO_EPOCHS, space=space, replicates=3))
    worse, better = train(sweep, 0.2, 0.2), train(sweep, 0.4, 0.4)
    sweep.finalists = sweep.choose_finalists()
    left = [(number, trial.id) for number, trial in sweep.replicates_left()]
    assert left == [(1, better.id), (1, worse.id), (2, better.id), (2, worse.id)]
    seeds = [sweep.next_trial().config["seed"] for _ in range(4)]
    assert seeds == [3 + 1, 3 + 1, 3 + 2, 3 + 2]


def test_the_specs_of_a_ledger_replace_the_one_that_it_is_read_with():
    _, ledger = new_sweep(small_spec(space={"kernel_size": [3, 5]}))
    read = replay(small_spec(**NONE, seed=9), events_of(ledger))
    assert (read.spec.seed, read.search.size, read.scheduler.rungs) == (3, 2, (1, 3))


def test_a_ledger_is_read_with_the_time_that_its_sweep_has_worked(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("tune.sweep.clock.time", clock)
    sweep, ledger = new_sweep(small_spec(**NONE))
    clock.now += 30
    train(sweep, 0.1)
    assert replay(sweep.spec, events_of(ledger)).seconds == sweep.seconds == 30


def test_a_measurement_repeats_no_fact_about_its_worker_that_has_not_changed():
    sweep, ledger = new_sweep(small_spec(**NONE))
    trial = train(sweep, 0.1, 0.2)
    sweep.report(trial.id, 3, figures(trial.id, 3), {**WORKER, "host": "there"})
    *_, first, second, third = ledger
    assert {name: first.get(name) for name in WORKER} == WORKER
    assert not WORKER.keys() & second.keys()
    assert {name: third.get(name) for name in WORKER} == {
        "host": "there", "device": None, "parameters": None,
    }  # fmt: skip
    assert trial.host == "there"


def test_a_training_that_comes_to_its_last_epoch_ends_without_a_reason():
    space = {"patience": [2, 0]}
    sweep, _ = new_sweep(small_spec(**NONE, fixed={**small_spec().fixed, "epochs": 4}, space=space))
    last = train(sweep, 0.3, 0.5, 0.4, 0.4)
    assert (last.status, last.reason) == (Status.COMPLETED, "")
    assert train(sweep, 0.5, 0.4, 0.4).status is Status.RUNNING, "it has all patience"
    sweep, _ = new_sweep(small_spec(**NONE, space=space))
    assert train(sweep, 0.5, 0.4, 0.4).reason == (
        "val_accuracy was not better than at epoch 1 for 2 epochs"
    )


def test_fused_trials_have_one_order_in_every_process():
    sweep, _ = new_sweep(small_spec(**NONE))
    trials = tuple(sweep.next_trial().id for _ in range(8))
    sweep.decide_fusing(Fusing(trials=trials, fused=True, gain=1.5))
    folder = sweep.folder(trials[3])
    assert [trial.id for trial in sweep.trials_in(folder)] == sorted(trials)


def test_what_happens_to_nodes_and_attempts_is_noted_with_their_names_and_errors():
    sweep, ledger = new_sweep(small_spec(**NONE, retries=1))
    trial = train(sweep, 0.5)
    before = len(ledger)
    sweep.lose_attempt(trial.id, "n1")
    for node in ("n1", "n3"):
        sweep.lose_node(node)
    sweep.join_node("n2")
    sweep.attempt_failed(trial.id, "SIGSEGV ended it", fault="SIGSEGV")
    told = [(each["event"], each.get("node", each.get("error"))) for each in ledger[before:]]
    assert told == [
        ("attempt_lost", "n1"), ("node_lost", "n1"), ("node_lost", "n3"), ("node_joined", "n2"),
        ("attempt_failed", "SIGSEGV ended it"),
    ]  # fmt: skip
    assert sweep.lost_nodes == ["n1", "n3"]


def test_a_trial_whose_files_cannot_be_made_again_keeps_its_status_and_the_error_is_noted():
    sweep, ledger = new_sweep(small_spec(**NONE))
    trial = train(sweep, 0.5)
    sweep.stop_trial(trial.id, "by hand")
    sweep.report(trial.id, 2, figures(trial.id, 2), WORKER)
    sweep.train_again(trial.id)
    sweep.fail(trial.id, "no disk")
    assert (ledger[-1]["event"], ledger[-1]["error"]) == ("files_given_up", "no disk")
    assert (trial.status, trial.reason) == (Status.EARLY_STOPPED, "by hand")
    assert not sweep.queue.lost
