import pytest

from tests.support.sweeps import TWO_EPOCHS, new_sweep, play, searched_epochs, small_spec, train
from tune.run.directory import CHECKPOINTS_DIR, RunError
from tune.run.trial import Status
from tune.session.repair import what_counts
from tune.sweep.extend import extended_spec
from tune.sweep.spec import SpecError

NONE = {"name": "none"}


def finish(spec):
    sweep, ledger = new_sweep(spec)
    play(sweep)
    return sweep, ledger


def grow(sweep, ledger, *overrides, samples=0):
    """Extend a sweep and play it on; check that its ledger reads back to the same end."""
    sweep.extend(extended_spec(sweep.spec, samples=samples, overrides=overrides))
    assert not sweep.finished
    play(sweep)
    assert sweep.finished
    again, _ = new_sweep(small_spec(), ledger)
    assert again.trials == sweep.trials
    assert again.spec == sweep.spec


def test_a_grid_grows_by_values_and_trains_only_the_new_ones():
    sweep, ledger = finish(small_spec(scheduler=NONE))
    before = {one: len(trial.measurements) for one, trial in sweep.trials.items()}
    grow(sweep, ledger, "space.kernel_size=[3, 5, 7, 9]")
    assert len(sweep.trials) == 16
    assert {one: len(sweep.trials[one].measurements) for one in before} == before


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_a_searcher_grows_by_samples(name):
    sweep, ledger = finish(small_spec(searcher={"name": name, "samples": 4}))
    grow(sweep, ledger, samples=5)
    assert len(sweep.trials) == 9
    assert sweep.spec.searcher.samples == 9


def test_replicates_can_be_added():
    sweep, ledger = finish(small_spec(replicates=1, finalists=2))
    grow(sweep, ledger, "replicates=3")
    assert sum(trial.phase == "finalist" for trial in sweep.trials.values()) == 4


def test_whole_trials_go_on_to_more_epochs_and_stopped_ones_stay():
    sweep, ledger = finish(small_spec())
    stopped = [one for one, t in sweep.trials.items() if t.status is Status.EARLY_STOPPED]
    assert stopped
    grow(sweep, ledger, "fixed.epochs=20")
    for one, trial in sweep.trials.items():
        assert [m.epoch for m in trial.measurements] == list(range(1, len(trial.measurements) + 1))
        if one in stopped:
            assert trial.status is Status.EARLY_STOPPED
        else:
            assert trial.epochs == 20
    assert any(len(trial.measurements) == 20 for trial in sweep.trials.values())


def test_a_trial_that_ran_out_of_patience_stays_complete_when_epochs_grow():
    patient = {"fixed": {**small_spec().fixed, "patience": 2}, "scheduler": {"name": "none"}}
    sweep, ledger = new_sweep(small_spec(**patient))
    trial = train(sweep, 0.5, 0.4, 0.4)
    play(sweep)
    sweep.close()
    grow(sweep, ledger, "fixed.epochs=20")
    assert trial.status is Status.COMPLETED
    assert len(trial.measurements) == 3
    others = [each for each in sweep.trials.values() if each is not trial]
    assert {len(each.measurements) for each in others} == {20}


def test_a_hyperparameter_that_was_at_its_default_is_not_trained_twice():
    sweep, ledger = finish(small_spec(scheduler=NONE))
    grow(sweep, ledger, "space.dropout=[0.0, 0.2]")
    assert len(sweep.trials) == 24
    assert any(event["event"] == "proposal_skipped" for event in ledger)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["fixed.learning_rate=0.1"], "fixed.learning_rate is the same for all trials"),
        (["fixed.epochs=2"], "epochs can only grow"),
        (["seed=9"], "seed of a sweep cannot change"),
        (["objective.at=last"], "objective of a sweep cannot change"),
        (["searcher.name=random", "searcher.samples=3"], "the searcher cannot change"),
    ],
)
def test_what_would_make_it_another_sweep_is_refused(overrides, message):
    with pytest.raises(RunError, match=message):
        extended_spec(small_spec(), samples=0, overrides=overrides)


def test_epochs_under_a_schedule_cannot_grow():
    fixed = {**small_spec().fixed, "lr_schedule": "cosine"}
    with pytest.raises(RunError, match="only where lr_schedule is 'constant' for all"):
        extended_spec(small_spec(fixed=fixed), samples=0, overrides=["fixed.epochs=20"])


def test_samples_of_a_grid_and_fewer_samples_are_refused():
    with pytest.raises(RunError, match="takes no samples"):
        extended_spec(small_spec(), samples=3, overrides=())
    spec = small_spec(searcher={"name": "random", "samples": 4})
    with pytest.raises(RunError, match="samples can only grow"):
        extended_spec(spec, samples=0, overrides=["searcher.samples=2"])


def test_an_unknown_key_is_refused():
    with pytest.raises(SpecError, match="'replicate'"):
        extended_spec(small_spec(), samples=0, overrides=["replicate=3"])


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_an_extended_sweep_decides_as_one_that_had_all_samples_from_the_start(name):
    changes = {"objective": {"metric": "val_loss", "mode": "min"}, "seed": 11}
    whole, _ = finish(small_spec(**changes, searcher={"name": name, "samples": 11}))
    sweep, ledger = finish(small_spec(**changes, searcher={"name": name, "samples": 7}))
    grow(sweep, ledger, samples=4)
    assert list(sweep.trials) == list(whole.trials)
    assert {Status.EARLY_STOPPED, Status.COMPLETED} <= {t.status for t in whole.trials.values()}
    for one, trial in whole.trials.items():
        assert (sweep.trials[one].status, sweep.trials[one].reason) == (trial.status, trial.reason)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("space.kernel_size=[3]", {"kernel_size": [3], "blocks": [1, 2], "channels": [4, 8]}),
        ("replicates=4", 4),
        ("finalists=2", 2),
        ("retries=7", 7),
        ("resources={cpus: 2}", None),
        ("budget.hours=3", None),
        ("fuse=never", "never"),
        ("keep=all", "all"),
        ("loggers=[mlflow]", ["mlflow"]),
    ],
)
def test_what_does_not_make_it_another_sweep_may_change(override, value):
    before = small_spec().model_dump()
    after = extended_spec(small_spec(), samples=0, overrides=[override]).model_dump()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {override.split("=")[0].split(".")[0]}
    if value is not None:
        assert after[changed.pop()] == value


def test_the_same_number_of_samples_and_epochs_is_no_change():
    spec = small_spec(searcher={"name": "random", "samples": 4})
    overrides = ["searcher.samples=4", "fixed.epochs=9"]
    assert extended_spec(spec, samples=0, overrides=overrides) == spec
    with pytest.raises(RunError, match="samples can only grow, but 3 is less than 4"):
        extended_spec(spec, samples=0, overrides=["searcher.samples=3"])
    with pytest.raises(RunError, match="epochs can only grow"):
        extended_spec(spec, samples=0, overrides=["fixed.epochs=8"])


def test_samples_are_added_to_those_that_an_override_gives():
    spec = small_spec(searcher={"name": "random", "samples": 4})
    larger = extended_spec(spec, samples=3, overrides=["searcher.samples=6"])
    assert larger.searcher.samples == 9


def test_an_extension_says_which_trials_go_on_and_which_are_trained_anew(tmp_path):
    sweep, _ = finish(small_spec())
    before = {one.id: one.epochs for one in sweep.trials.values()}
    completed = [t.id for t in sweep.trials.values() if t.status is Status.COMPLETED]
    sweep.extend(extended_spec(sweep.spec, samples=0, overrides=["fixed.epochs=20"]))
    stay = len(before) - len(completed)
    assert stay > 0
    gone = f"{len(completed)} start again because their last.pt is missing"
    assert what_counts(tmp_path, before, sweep) == f"{stay} trials are kept as they are, {gone}"
    for trial in completed:
        (tmp_path / CHECKPOINTS_DIR / trial).mkdir(parents=True)
        (tmp_path / CHECKPOINTS_DIR / trial / "last.pt").touch()
    on = f"{len(completed)} continue from their checkpoints"
    assert what_counts(tmp_path, before, sweep) == f"{stay} trials are kept as they are, {on}"


def test_a_searched_schedule_keeps_epochs_from_growing():
    space = {**small_spec().space, "lr_schedule": ["constant", "cosine"]}
    with pytest.raises(RunError, match="only where lr_schedule is 'constant' for all"):
        extended_spec(small_spec(space=space), samples=0, overrides=["fixed.epochs=20"])


def test_replicates_go_on_to_more_epochs_too():
    sweep, ledger = finish(small_spec(replicates=2, finalists=2))
    grow(sweep, ledger, "fixed.epochs=12")
    replicates = [trial for trial in sweep.trials.values() if trial.phase == "finalist"]
    assert len(replicates) >= 2
    assert {(trial.epochs, trial.config["epochs"]) for trial in replicates} == {(12, 12)}
    assert {len(trial.measurements) for trial in replicates} == {12}


def test_a_trial_that_failed_stays_as_it_is_when_epochs_grow():
    sweep, _ = new_sweep(small_spec(scheduler=NONE))
    failed = sweep.next_trial()
    sweep.start(failed.id, 1.0)
    sweep.fail(failed.id, "no")
    play(sweep)
    sweep.extend(extended_spec(sweep.spec, samples=0, overrides=["fixed.epochs=12"]))
    assert (failed.status, failed.epochs) == (Status.FAILED, 9)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("scheduler.grace_period=2", "scheduler"),
        ("data=elsewhere", "data"),
        ("name=other", "name"),
        ("warm_start=runs/other", "warm_start"),
        ("folds=3", "folds"),
        ("objective.at=last", "objective"),
        ("seed=4", "seed"),
    ],
)
def test_no_other_part_of_a_spec_may_change(override, key):
    random = {"name": "tpe", "samples": 4}
    spec = small_spec(**({"scheduler": NONE} if key == "folds" else {"searcher": random}))
    with pytest.raises(RunError, match=f"^{key} of a sweep cannot change; start a new sweep"):
        extended_spec(spec, samples=0, overrides=[override])


def test_repeats_of_folds_may_be_added():
    spec = small_spec(scheduler=NONE, folds=3)
    assert extended_spec(spec, samples=0, overrides=["repeats=2"]).repeats == 2


def test_a_refusal_names_what_cannot_change_and_not_the_epochs_that_can():
    overrides = ["fixed.epochs=20", "fixed.pool_size=2"]
    with pytest.raises(RunError, match=r"^fixed\.pool_size is the same for all trials"):
        extended_spec(small_spec(), samples=0, overrides=overrides)


def test_one_more_sample_is_one_more():
    spec = small_spec(searcher={"name": "random", "samples": 4})
    assert extended_spec(spec, samples=1, overrides=()).searcher.samples == 5


def test_trials_that_are_extended_are_finalists_only_once_they_are_whole_again():
    sweep, _ = new_sweep(small_spec(scheduler="none", replicates=2, **TWO_EPOCHS))
    play(sweep)
    assert sweep.trained_whole == 12
    sweep.extend(extended_spec(sweep.spec, samples=0, overrides=["fixed.epochs=3"]))
    assert sweep.trained_whole == 0
    assert not sweep.has_new_finalists
    play(sweep)
    assert sweep.trained_whole == 12
    assert not sweep.has_new_finalists


def test_more_samples_leave_each_trial_in_its_bracket():
    random = {"searcher": {"name": "random", "samples": 12}, "scheduler": "hyperband"}
    ranges = {"space": {"dropout": {"low": 0.0, "high": 0.5}}}
    sweep, ledger = finish(small_spec(**random, **ranges))
    before = {trial: sweep.scheduler.bracket(trial) for trial in sweep.trials}
    assert set(before.values()) == {0, 1, 2}
    grow(sweep, ledger, samples=12)
    assert len(sweep.trials) == 24
    assert before == {trial: sweep.scheduler.bracket(trial) for trial in before}


def test_an_extended_search_has_the_scheduler_of_its_new_spec():
    sweep, _ = new_sweep(small_spec())
    assert sweep.scheduler.rungs == (1, 3)
    sweep.extend(extended_spec(sweep.spec, samples=0, overrides=["fixed.epochs=30"]))
    assert sweep.scheduler.rungs == (1, 3, 9, 27)


@pytest.mark.parametrize(
    ("before", "override"),
    [(None, "limits.parameters=5000"), ({"parameters": 5000}, "limits=null")],
)
def test_limits_can_neither_be_added_nor_taken_away(before, override):
    with pytest.raises(RunError, match=r"^limits of a sweep cannot change"):
        extended_spec(small_spec(limits=before), samples=0, overrides=[override])


def test_a_number_of_samples_cannot_be_taken_away():
    spec = small_spec(searcher={"name": "random", "samples": 4})
    with pytest.raises(RunError, match="samples can only grow, but None is less than 4"):
        extended_spec(spec, samples=0, overrides=["searcher.samples=null"])


def test_trials_keep_the_epochs_that_were_searched():
    spec = small_spec(**searched_epochs(1, 2), scheduler=NONE)
    sweep, _ = finish(spec)
    sweep.extend(extended_spec(spec, samples=0, overrides=["replicates=2"]))
    assert [trial.epochs for trial in sweep.trials.values()] == [1, 2]
