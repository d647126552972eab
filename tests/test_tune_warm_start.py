import json
import math
from pathlib import Path

import pytest

from data_prep.manifest import DatasetManifest
from tests.support.in_process import extend, start
from tests.support.ledgers import read_lines
from tests.support.sweeps import figures, new_sweep, play, small_spec, train
from tune.run.directory import LEDGER_FILE, PROVENANCE_FILE, SPEC_FILE, RunError
from tune.run.trial import Ending, Measurement, Status, Trial
from tune.session.warm_start import _imported, read_warm_start
from tune.sweep.spec import SearcherSpec, SpecError

NONE = {"name": "none"}
TPE = {"name": "tpe", "samples": 5}


@pytest.fixture
def other(tmp_path):
    """Writes the run of a sweep that was played to its end, and returns its directory."""

    def write(fingerprint="f", **changes):
        spec = small_spec(**changes)
        sweep, ledger = new_sweep(spec)
        play(sweep)
        run = tmp_path / "other"
        run.mkdir()
        (run / SPEC_FILE).write_text(spec.to_yaml())
        (run / PROVENANCE_FILE).write_text(json.dumps({"dataset": {"fingerprint": fingerprint}}))
        (run / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in ledger))
        return run, sweep

    return write


def warm_spec(run, **changes):
    return small_spec(**{"searcher": TPE, "warm_start": str(run), **changes})


def test_finished_trials_are_known_with_their_curves(other):
    run, sweep = other()
    warm = read_warm_start(warm_spec(run), "f")
    assert (len(warm.trials), warm.unfit) == (12, 0)
    assert str(warm) == (
        f"warm start: 12 finished trials of {run} fit this space and are given to the searcher, "
        "0 do not fit"
    )
    whole = [one for one in warm.trials if one.values is not None]
    completed = [t for t in sweep.trials.values() if t.status is Status.COMPLETED]
    assert [one.values[0] for one in whole] == [sweep.objective(trial) for trial in completed]
    assert all(one.values[0] == one.curve[-1] for one in whole)


def test_only_points_of_the_new_space_are_known(other):
    run, _ = other(scheduler=NONE)
    narrow = {"kernel_size": [3, 5], "blocks": [1, 2], "channels": [4, 8]}
    warm = read_warm_start(warm_spec(run, space=narrow), "f")
    assert (len(warm.trials), warm.unfit) == (8, 4)
    assert str(warm).startswith("warm start: 8 finished trials of ")
    assert str(warm).endswith(", 4 do not fit")
    wider = {"kernel_size": [3, 5, 9], "blocks": {"low": 2, "high": 4}, "channels": [4, 8]}
    warm = read_warm_start(warm_spec(run, space=wider), "f")
    assert (len(warm.trials), warm.unfit) == (4, 8)


@pytest.mark.parametrize(("theirs", "ours"), [("conv_depth", "stages"), ("stages", "conv_depth")])
def test_a_hyperparameter_is_known_under_its_earlier_and_its_current_name(other, theirs, ours):
    fixed = {"family": "plain", "epochs": 2}
    run, _ = other(fixed=fixed, space={theirs: [2, 3]}, scheduler=NONE)
    known = read_warm_start(warm_spec(run, fixed=fixed, space={ours: [2, 3, 4]}), "f").trials
    assert [trial.point for trial in known] == [{ours: 2}, {ours: 3}]


def test_another_fixed_hyperparameter_makes_no_point_fit(other):
    run, _ = other(scheduler=NONE)
    fixed = {**small_spec().fixed, "learning_rate": 0.5}
    assert read_warm_start(warm_spec(run, fixed=fixed), "f").trials == ()


def test_a_trial_of_fewer_epochs_is_known_as_far_as_it_went_and_of_more_as_far_as_it_counts(other):
    run, sweep = other(scheduler=NONE)
    longer = read_warm_start(warm_spec(run, fixed={**small_spec().fixed, "epochs": 20}), "f")
    assert {(len(one.curve), one.values) for one in longer.trials} == {(9, None)}
    shorter = read_warm_start(warm_spec(run, fixed={**small_spec().fixed, "epochs": 4}), "f")
    first = next(iter(sweep.trials.values()))
    fourth = first.measurements[3].values["val_accuracy"]
    assert list(shorter.trials[0].values) == [fourth]
    assert {len(one.curve) for one in shorter.trials} == {4}


def test_a_trial_that_ran_out_of_patience_is_known_as_a_whole_one(other):
    fixed = {**small_spec().fixed, "patience": 2}
    flat = {"objective": {"metric": "val_macro_f1", "mode": "max"}}  # 0.5 in every epoch
    run, sweep = other(scheduler=NONE, fixed=fixed, **flat)
    assert {len(trial.measurements) for trial in sweep.trials.values()} == {3}
    warm = read_warm_start(warm_spec(run, fixed=fixed, **flat), "f")
    assert all((len(one.curve), tuple(one.values)) == (3, (0.5,)) for one in warm.trials)
    assert (len(warm.trials), warm.unfit) == (12, 0)


def test_a_searcher_that_learns_from_whole_trials_hears_of_no_others(other):
    run, sweep = other()
    spec = warm_spec(run, searcher={"name": "gp", "samples": 3}, scheduler=NONE)
    warm = read_warm_start(spec, "f")
    completed = sum(trial.status is Status.COMPLETED for trial in sweep.trials.values())
    assert (len(warm.trials), warm.unfit) == (completed, 12 - completed)


def test_another_dataset_and_another_objective_are_refused(other):
    run, _ = other()
    with pytest.raises(SpecError, match="fingerprint f, but this one has g"):
        read_warm_start(warm_spec(run), "g")
    with pytest.raises(SpecError, match=r"is max val_accuracy \(at best\), but this sweep"):
        read_warm_start(warm_spec(run, objective={"at": "last"}), "f")


def test_only_trials_that_have_ended_with_a_figure_are_known(other):
    run, _ = other(scheduler=NONE)
    loss = {"objective": {"metric": "val_loss", "mode": "min"}}
    sweep, ledger = new_sweep(small_spec(scheduler=NONE, **loss))
    failed, diverged, stopped = train(sweep, 0.5), train(sweep, 0.5, 0.6), train(sweep, 0.2, 0.4)
    train(sweep, *[0.7] * 9)
    sweep.fail(failed.id, "no")
    sweep.report(diverged.id, 3, figures("t", 3, train_loss=math.nan, val_loss=math.nan), {})
    sweep.stop_trial(stopped.id, "by hand")
    sweep.report(stopped.id, 3, figures("t", 3, val_loss=0.5), {})
    running = train(sweep, 0.9)
    nothing = train(sweep)
    sweep.report(nothing.id, 1, figures("t", 1, train_loss=math.nan, val_loss=math.nan), {})
    (run / SPEC_FILE).write_text(sweep.spec.to_yaml())
    (run / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in ledger))
    warm = read_warm_start(warm_spec(run, **loss), "f")
    assert warm.unfit == 2, "one failed and one has no finite figure"
    assert not running.ended
    ends = [(one.curve, one.values) for one in warm.trials]
    assert ends == [
        (pytest.approx([-0.5, -0.4, -0.4]), None),
        (pytest.approx([-0.8, -0.6, -0.5]), None),
        (pytest.approx([-0.3] * 9), pytest.approx([-0.3])),
    ]


def test_device_seconds_of_a_longer_trial_are_those_of_the_epochs_that_count(other):
    cost = [{"metric": "val_accuracy"}, {"metric": "device_seconds", "mode": "min"}]
    run, _ = other(scheduler=NONE, objective=cost)
    fixed = {**small_spec().fixed, "epochs": 4}
    warm = read_warm_start(warm_spec(run, objective=cost, scheduler=NONE, fixed=fixed), "f")
    # Each epoch of a played trial takes half a second on one device.
    assert {one.values[1] for one in warm.trials} == {-2.0}
    fixed = {**small_spec().fixed, "epochs": 20}
    longer = read_warm_start(warm_spec(run, objective=cost, scheduler=NONE, fixed=fixed), "f")
    # A part of a training has a curve, but no place among several objectives.
    assert (longer.trials, longer.unfit) == ((), 12)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is not a run directory"):
        read_warm_start(warm_spec(tmp_path), "f")


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "nsga2"])
def test_a_warm_sweep_is_read_back_without_the_other_run(other, name):
    space = {"blocks": {"low": 1, "high": 3}, "channels": {"low": 4, "high": 8}}
    random = {"name": "random", "samples": 12}
    run, _ = other(space=space, searcher=random, scheduler=NONE)
    searcher = {"name": name, "samples": 6} | ({"population": 4} if name == "nsga2" else {})
    spec = warm_spec(run, space=space, searcher=searcher, scheduler=NONE)
    sweep, ledger = new_sweep(spec)
    warm = read_warm_start(spec, "f")
    sweep.warm_start(warm.run, warm.trials, unfit=warm.unfit)
    play(sweep, steps=20)
    kept = json.loads(json.dumps(ledger))
    for path in run.iterdir():
        path.unlink()
    again, _ = new_sweep(spec, kept)
    play(again)
    untouched, _ = new_sweep(spec)
    untouched.warm_start(warm.run, warm.trials, unfit=warm.unfit)
    play(untouched)
    assert again.search.known == sweep.search.known
    assert list(again.trials) == list(untouched.trials)
    cold, _ = new_sweep(spec)
    play(cold)
    assert list(cold.trials) != list(untouched.trials)


def test_a_search_hears_of_every_known_trial_of_those_stopped_early_too(other):
    spec = warm_spec(other()[0])
    warm = read_warm_start(spec, "f")
    assert {known.values is None for known in warm.trials} == {True, False}
    sweep, _ = new_sweep(spec)
    sweep.warm_start(warm.run, warm.trials, unfit=warm.unfit)
    assert sweep.search.known == warm.trials


def test_an_extended_sweep_still_knows_the_other_run(other):
    run, _ = other(scheduler=NONE)
    spec = warm_spec(run, scheduler=NONE)
    warm = read_warm_start(spec, "f")
    sweep, ledger = new_sweep(spec)
    sweep.warm_start(warm.run, warm.trials, unfit=warm.unfit)
    play(sweep)
    larger = warm_spec(run, scheduler=NONE, searcher={"name": "tpe", "samples": 8})
    sweep.extend(larger)
    play(sweep)
    assert len(sweep.trials) == 8
    again, _ = new_sweep(spec, ledger)
    assert again.trials == sweep.trials
    whole, _ = new_sweep(larger)
    whole.warm_start(warm.run, warm.trials, unfit=warm.unfit)
    play(whole)
    assert list(sweep.trials) == list(whole.trials)


SMALL = {
    "fixed": {"family": "resnet", "pool_size": 4, "fc_width": 16, "epochs": 1, "channels": 4},
    "space": {"kernel_size": [3, 5], "blocks": [1, 2]},
    "scheduler": NONE,
}


def test_a_run_says_what_it_knows_and_is_refused_without_a_trace(
    tmp_path, synthetic_dataset, other, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    fingerprint = DatasetManifest.read(synthetic_dataset).fingerprint
    run, _ = other(fingerprint=fingerprint, **SMALL)
    spec = warm_spec("other", data=str(synthetic_dataset), **SMALL)
    spec = spec.model_copy(update={"searcher": SearcherSpec(name="tpe", samples=1)})
    made, _ = start(spec, Path("runs"))
    assert "warm start: 4 finished trials of other fit this space" in capsys.readouterr().err
    kinds = [event["event"] for event in read_lines(made)[:3]]
    assert kinds == ["sweep_started", "warm_started", "trial_proposed"]
    run.rename(tmp_path / "gone")
    extend(made, samples=1)  # What it knows of the other run is in its ledger.
    kinds = [event["event"] for event in read_lines(made)]
    assert (kinds.count("warm_started"), kinds.count("trial_proposed")) == (1, 2)
    with pytest.raises(RunError, match=r"^other is not a run directory"):
        start(spec.model_copy(update={"name": "again"}), Path("runs"))
    assert not (tmp_path / "runs" / "again").exists()


def test_each_objective_of_another_run_must_be_the_same(other):
    first, second = [{"metric": "val_accuracy"}, {"metric": "parameters"}], ["val_accuracy"]
    run, _ = other(scheduler=NONE, objective=first)
    with pytest.raises(SpecError) as refused:
        read_warm_start(warm_spec(run, scheduler=NONE, objective=second), "f")
    assert str(refused.value).startswith(
        f"warm_start: the objective of {run} is max val_accuracy (at best) and min parameters (at "
        "best), but this sweep has max val_accuracy (at best); give both the same objective"
    )


def test_trials_of_folds_are_not_known_to_a_search_on_the_validation_split(other):
    space = {"kernel_size": [3, 5]}
    run, sweep = other(scheduler=NONE, folds=2, space=space)
    warm = read_warm_start(warm_spec(run, scheduler=NONE, space=space), "f")
    assert (warm.trials, warm.unfit) == ((), len(sweep.trials))


def imported(*accuracies, status=Status.COMPLETED, **config):
    """An imported trial with these accuracies after each epoch, or at the epochs of a mapping."""
    curve = dict(enumerate(accuracies, start=1))
    return Trial(
        id="t",
        configuration_id="c",
        number=0,
        name="n",
        phase="search",
        replicate=0,
        config={"seed": 0, "kernel_size": 3, **config},
        epochs=9,
        measurements=[
            Measurement(epoch=epoch, values={"val_accuracy": value})
            for epoch, value in curve.items()
        ],
        ending=Ending(status=status, reason=""),
    )


def test_an_imported_trial_is_known_up_to_the_epochs_of_the_new_sweep():
    fixed = {**small_spec().fixed, "epochs": 3}
    searcher = {"name": "mobster", "samples": 5}
    spec = small_spec(fixed=fixed, space={"kernel_size": [3, 5]}, searcher=searcher)
    whole = _imported(imported(0.2, 0.5, 0.4, 0.9), spec)
    assert (whole.point, whole.curve, whole.values) == ({"kernel_size": 3}, [0.2, 0.5, 0.5], [0.5])
    part = _imported(imported(0.2, 0.5, status=Status.EARLY_STOPPED), spec)
    assert (part.curve, part.values) == ([0.2, 0.5], None)
    for unknown in (
        imported(0.2, status=Status.FAILED),
        imported(),
        imported(0.2, kernel_size=7),
        imported(0.2, epochs=4),
    ):
        assert _imported(unknown, spec) is None
    assert _imported(imported(0.2, epochs=3), spec) is not None
