"""What follows from the trials of a sweep: weights to keep, the front, what is handed out."""

import pytest

from tests.support.bundles import WHOLE, decided, play_one, searched
from tests.support.sweeps import (
    ONE_EPOCH,
    TWO_EPOCHS,
    WORKER,
    figures,
    new_sweep,
    small_spec,
    train,
)
from tune.run.trial import Status
from tune.sweep import bundling
from tune.sweep.extend import extended_spec
from tune.sweep.networks import OwnNetwork

NONE = {"scheduler": {"name": "none"}}


def test_the_best_trial_of_each_of_the_best_configurations_stays_beside_the_best_trials():
    """The lucky configuration has the two best trainings, and a worse mean than the steady one."""
    spec = small_spec(**ONE_EPOCH, **NONE, folds=3, space={"kernel_size": [3, 5, 7]}, fuse="never")
    sweep, _ = new_sweep(spec)
    lucky = list(sweep.next_bundle(1).trials)
    sweep.start(lucky[0], 1.0)
    sweep.report(lucky[0], 1, figures(lucky[0], 1, val_accuracy=0.9), WORKER)
    lucky += [train(sweep, accuracy).id for accuracy in (0.8, 0.1)]
    steady = [train(sweep, accuracy).id for accuracy in (0.7, 0.65, 0.7)]
    third = [train(sweep, accuracy).id for accuracy in (0.64, 0.6, 0.5)]
    assert sweep.worth_keeping(2) == {*lucky[:2], steady[0]}
    assert sweep.worth_keeping(3) == {*lucky[:2], steady[0], third[0]}


def test_the_incumbent_over_folds_has_the_most_of_them():
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH, **NONE, folds=3, space={"kernel_size": [3, 5]}))
    for accuracy in (0.5, 0.5, 0.5, 0.9):
        train(sweep, accuracy)
    assert sweep.incumbent.config["kernel_size"] == 3


def test_weights_of_a_configuration_stay_while_a_fold_of_it_may_still_be_proposed():
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH, **NONE, folds=4, space={"kernel_size": [3, 5]}))
    trials = [train(sweep, accuracy) for accuracy in (0.1, 0.9, 0.8)]
    assert not sweep.queue.unfinished
    assert {trial.id for trial in trials} <= sweep.worth_keeping(1)


def test_a_trial_without_a_known_cost_is_not_on_the_front_and_moves_no_other():
    costs = [{"metric": "val_accuracy"}, {"metric": "parameters"}]
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH, **NONE, objective=costs))
    trials = []
    for accuracy, parameters in ((0.9, None), (0.8, 50), (0.5, 10), (0.4, 20)):
        trial = sweep.next_trial()
        sweep.start(trial.id, 1.0)
        worker = {**WORKER, "parameters": parameters}
        sweep.report(trial.id, 1, figures(trial.id, 1, val_accuracy=accuracy), worker)
        trials.append(trial)
    assert [trial.number for trial in sweep.front] == [1, 2]


def test_the_first_whole_training_of_a_configuration_says_how_long_the_next_takes():
    spec = small_spec(**ONE_EPOCH, **NONE, replicates=3, space={"kernel_size": [3, 5]})
    sweep, _ = new_sweep(spec)
    slow, quick = train(sweep, 0.5, seconds=9.0), train(sweep, 0.6, seconds=5.0)
    assert sweep.next_trial().configuration_id == slow.configuration_id
    sweep, _ = new_sweep(spec)
    slow, quick = train(sweep, 0.5, seconds=9.0), train(sweep, 0.6, seconds=5.0)
    replicate = train(sweep, 0.5, seconds=1.0)
    assert replicate.configuration_id == slow.configuration_id
    assert sweep.next_trial().configuration_id == slow.configuration_id
    assert sweep.next_trial().configuration_id == quick.configuration_id


def test_a_trial_that_needs_the_whole_card_joins_no_others():
    sweep, _ = searched(space={"kernel_size": [3]})
    bundle = sweep.next_bundle(1)
    sweep.decide_fusing(decided(bundle, fused=False))
    large = sweep.next_bundle(1)
    sweep.out_of_memory(large.key, "3 GiB too much")
    sweep.fusings.clear()  # As if nothing was known of the speed.
    handed_out = [sweep.next_bundle(1) for _ in range(2)]
    assert [(list(each.trials), each.exclusive) for each in handed_out] == [
        ([large.key], True),
        (list(bundle.trials)[1:], False),
    ]


def test_a_sweep_that_stops_proposes_no_more_folds():
    sweep, ledger = new_sweep(small_spec(**{**WHOLE, "replicates": 1, "folds": 3}))
    sweep.stop("stopped by SIGINT")
    before = len(ledger)
    assert sweep.next_bundle(2) is None
    assert (len(ledger), sweep.trials) == (before, {})


def test_a_trial_that_runs_is_not_ended_before_its_next_report():
    sweep, _ = new_sweep(small_spec(**NONE))
    running = train(sweep, 0.5)
    sweep.stop_trial(running.id, "by hand")
    assert running.status is Status.RUNNING
    sweep.attempt_failed(running.id, "broke")
    assert running.status is Status.PENDING
    sweep.stop_trial(running.id, "by hand")
    assert (running.status, running.reason) == (Status.EARLY_STOPPED, "by hand")
    assert running.id not in sweep.queue.waiting


def test_trials_are_numbered_from_zero_in_the_order_of_their_proposals():
    sweep, ledger = new_sweep(small_spec(**ONE_EPOCH, **NONE, replicates=2))
    trials = [train(sweep, 0.5) for _ in range(14)]
    assert sorted(trial.number for trial in trials) == list(range(14))
    proposed = [e for e in ledger if e["event"] == "trial_proposed" and e["phase"] == "search"]
    assert [event["proposal"] for event in proposed] == list(range(12))


def test_the_best_completed_trials_stay_for_an_ensemble_although_stopped_ones_lead():
    asha = {"name": "asha", "grace_period": 2}
    space = {"kernel_size": [3, 5, 7]}
    spec = small_spec(space=space, scheduler=asha, replicates=2, finalists=1, **TWO_EPOCHS)
    sweep, _ = new_sweep(spec)
    stopped = sweep.next_trial()
    sweep.start(stopped.id, 1.0)
    sweep.stop_trial(stopped.id, "by hand")
    sweep.report(stopped.id, 1, figures(stopped.id, 1, val_accuracy=0.9), WORKER)
    assert stopped.status is Status.EARLY_STOPPED
    finalist, other = train(sweep, 0.5, 0.5), train(sweep, 0.47, 0.47)
    replicate = train(sweep, 0.4, 0.4)
    assert sweep.finished
    assert (replicate.phase, other.phase) == ("finalist", "search")
    assert sweep.worth_keeping(2) == {stopped.id, finalist.id, replicate.id, other.id}


@pytest.mark.parametrize("layout", [None, True, False])
def test_a_network_is_trained_channels_last_unless_it_is_an_own_one_that_cannot(layout):
    sweep, _ = new_sweep(small_spec(**NONE))
    trial = sweep.next_trial()
    if layout is not None:
        own = OwnNetwork(hash="a1", signature={}, channels_last=layout)
        sweep.spec = sweep.spec.model_copy(update={"networks": {trial.config["family"]: own}})
    assert bundling.take(sweep, [trial.id]).channels_last is (layout is not False)


def test_folds_of_an_extension_are_shared_out_as_those_of_before():
    spec = small_spec(**{**WHOLE, "replicates": 1, "folds": 2}, **ONE_EPOCH)
    sweep, _ = new_sweep(spec)
    while (bundle := sweep.next_bundle(1)) is not None:
        play_one(sweep, bundle)
    sweep.extend(extended_spec(spec, samples=0, overrides=["repeats=2"]))
    assert [len(sweep.next_bundle(1).trials) for _ in range(2)] == [2, 2]
    assert len(sweep.trials) == 8
