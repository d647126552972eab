"""Which checkpoints stay in a run directory."""

from types import SimpleNamespace

import pytest

from tests.support.bundles import decided, play_one, searched
from tests.support.sweeps import ONE_EPOCH, WORKER, figures, new_sweep, small_spec, train
from tune.run.directory import CHECKPOINTS_DIR
from tune.run.trial import Status
from tune.session.keeping import BEST_TRIALS, Keeper


def leave_files(run, *folders):
    for folder in folders:
        path = run / CHECKPOINTS_DIR / folder
        path.mkdir(parents=True, exist_ok=True)
        for name in ("best.pt", "last.pt"):
            (path / name).touch()


def left(run):
    return {
        path.name: sorted(file.name for file in path.iterdir())
        for path in (run / CHECKPOINTS_DIR).iterdir()
    }


BOTH = ["best.pt", "last.pt"]


def test_the_best_ten_trials_keep_their_files_and_the_others_lose_them(tmp_path):
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH))
    trials = [train(sweep, (number * 5 % 12) / 20) for number in range(12)]
    leave_files(tmp_path, *(trial.id for trial in trials))
    Keeper(tmp_path, sweep).sweep_up()
    # The worst two are 0 * 5 % 12 = 0 and 5 * 5 % 12 = 1.
    assert BEST_TRIALS == 10
    assert left(tmp_path) == {t.id: BOTH for t in trials if t.number not in (0, 5)}


@pytest.mark.parametrize(("schedule", "kept"), [("constant", BOTH), ("cosine", ["best.pt"])])
def test_a_state_stays_only_where_a_trial_can_be_extended(tmp_path, schedule, kept):
    fixed = {**ONE_EPOCH["fixed"], "lr_schedule": schedule}
    sweep, _ = new_sweep(small_spec(fixed=fixed))
    trial = train(sweep, 0.5)
    leave_files(tmp_path, trial.id)
    Keeper(tmp_path, sweep).sweep_up()
    assert left(tmp_path) == {trial.id: kept}


def test_all_files_stay_where_the_spec_keeps_all(tmp_path):
    fixed = {**ONE_EPOCH["fixed"], "lr_schedule": "cosine"}
    sweep, _ = new_sweep(small_spec(fixed=fixed, keep="all"))
    trials = [train(sweep, 0.05 * number) for number in range(12)]
    leave_files(tmp_path, *(trial.id for trial in trials))
    Keeper(tmp_path, sweep).sweep_up()
    assert left(tmp_path) == {trial.id: BOTH for trial in trials}


def test_files_that_a_trial_goes_on_from_stay(tmp_path):
    fixed = {**small_spec().fixed, "lr_schedule": "cosine"}
    sweep, _ = new_sweep(small_spec(fixed=fixed, scheduler={"name": "none"}))
    running, again = train(sweep, 0.0), train(sweep, 0.0)
    sweep.stop_trial(again.id, "by hand")
    sweep.report(again.id, 2, figures(again.id, 2, val_accuracy=0.0), WORKER)
    leave_files(tmp_path, running.id, again.id, "of nobody")
    sweep.train_again(again.id)
    Keeper(tmp_path, sweep).sweep_up()
    assert left(tmp_path) == {running.id: BOTH, again.id: BOTH, "of nobody": BOTH}
    sweep.report(again.id, 2, figures(again.id, 2), WORKER)
    Keeper(tmp_path, sweep).sweep_up()
    assert left(tmp_path)[again.id] == ["best.pt"]


def test_a_run_is_tidied_when_a_trial_has_ended_since_the_last_time(tmp_path):
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH))
    keeper = Keeper(tmp_path, sweep)
    trials = [train(sweep, 0.9 - 0.05 * number) for number in range(11)]
    leave_files(tmp_path, trials[-1].id)
    keeper.tidy()
    assert left(tmp_path) == {}
    leave_files(tmp_path, trials[-1].id)
    keeper.tidy()
    assert left(tmp_path) == {trials[-1].id: BOTH}, "nothing has ended since"
    train(sweep, 0.0)
    keeper.tidy()
    assert left(tmp_path) == {}


def test_a_run_is_tidied_when_trials_end_that_had_failed_before(tmp_path):
    sweep, _ = new_sweep(small_spec(**ONE_EPOCH, retries=0))
    trials = [train(sweep, 0.9 - 0.05 * number) for number in range(11)]
    broken = train(sweep)
    sweep.attempt_failed(broken.id, "no disk")
    keeper = Keeper(tmp_path, sweep)
    keeper.tidy()
    sweep.retry_failed()
    keeper.tidy()
    leave_files(tmp_path, trials[-1].id)
    assert train(sweep, 0.0) is broken
    keeper.tidy()
    assert left(tmp_path) == {}


def test_the_state_of_trials_trained_as_one_stays_until_all_have_ended(tmp_path):
    sweep, _ = searched(fixed={**small_spec().fixed, "lr_schedule": "cosine"}, finalists=1)
    bundle = sweep.next_bundle(2)
    sweep.decide_fusing(decided(bundle))
    folder = sweep.folder(bundle.key)
    assert folder == f"bundle-{bundle.key}"
    leave_files(tmp_path, folder)
    first, *others = bundle.trials
    for trial_id in bundle.trials:
        sweep.start(trial_id, 1.0)
    sweep.give_up(first, Status.INFEASIBLE, "too large")
    keeper = Keeper(tmp_path, sweep)
    keeper.sweep_up()
    assert left(tmp_path) == {folder: BOTH}
    play_one(sweep, type(bundle)(trials={one: {} for one in others}, folder=folder))
    keeper.sweep_up()
    assert left(tmp_path) == {folder: ["best.pt"]}


def test_a_failed_trial_keeps_what_it_may_go_on_from(tmp_path):
    sweep, _ = searched(fixed={**small_spec().fixed, "lr_schedule": "cosine"}, finalists=1)
    trial = sweep.next_trial()
    sweep.start(trial.id, 1.0)
    leave_files(tmp_path, trial.id)
    sweep.fail(trial.id, "no disk")
    Keeper(tmp_path, sweep).sweep_up()
    assert left(tmp_path)[trial.id] == BOTH


@pytest.mark.parametrize(("gets_epochs", "kept"), [(False, BOTH), (True, ["best.pt"])])
def test_own_training_that_gets_no_number_of_epochs_can_be_extended(tmp_path, gets_epochs, kept):
    trial = SimpleNamespace(id="t", status=Status.COMPLETED, config={})
    sweep = SimpleNamespace(
        spec=SimpleNamespace(keep="best", training_code=SimpleNamespace(gets_epochs=gets_epochs)),
        queue=SimpleNamespace(lost=set()),
        worth_keeping=lambda _count: {"t"},
        trials_in=lambda _folder: [trial],
    )
    leave_files(tmp_path, "t")
    Keeper(tmp_path, sweep).sweep_up()
    assert left(tmp_path) == {"t": kept}
