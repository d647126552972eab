"""What is read of a study of Optuna: values, curves, states and times."""

import math

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from analysis.imports.optuna_study import INTERMEDIATE, _found, read_optuna
from fairsweep.errors import UserError
from tune.run.trial import Status

X = {"x": optuna.distributions.FloatDistribution(0, 1)}


def trial(value, curve=None, state=TrialState.COMPLETE, **facts):
    return create_trial(
        value=value,
        params={"x": 0.5},
        distributions=X,
        intermediate_values=curve or {},
        state=state,
        **facts,
    )


def found_in(*trials, direction="maximize"):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="s", direction=direction)
    study.add_trials(trials)
    return _found(study, "sqlite:///user:secret@x.db")


@pytest.mark.parametrize(
    ("direction", "value", "curve", "at", "metrics"),
    [
        ("maximize", 0.9, {1: 0.5, 2: 0.9, 3: 0.7}, "best", ["value"]),
        ("minimize", 0.5, {1: 0.5, 2: 0.9, 3: 0.7}, "best", ["value"]),
        ("maximize", 0.7, {3: 0.7, 1: 0.5, 2: 0.9}, "last", ["value"]),
        ("maximize", 0.9, {1: math.nan, 2: 0.9, 3: 0.7}, "best", ["value"]),
        ("maximize", 0.6, {1: 0.5, 2: 0.9, 3: 0.7}, "last", [INTERMEDIATE, "value"]),
    ],
)
def test_the_value_is_that_of_the_best_epoch_of_the_last_or_a_metric_of_its_own(
    direction, value, curve, at, metrics
):
    found = found_in(trial(value, curve), direction=direction)
    assert (found.at, found.metrics()) == (at, metrics)
    assert found.mode == {"maximize": "max", "minimize": "min"}[direction]
    (read,) = found.trials
    assert set(read.measurements) == set(curve)
    if "value" in metrics[1:]:
        assert [v.get("value") for _, v in sorted(read.measurements.items())] == [None, None, 0.6]


def test_a_value_without_a_curve_is_that_of_the_first_epoch():
    (read,) = found_in(trial(0.4)).trials
    assert read.measurements == {1: {"value": 0.4}}
    assert (read.label, dict(read.values)) == ("trial 0", {"x": 0.5})


def test_states_become_statuses_with_reasons_and_only_complete_trials_have_a_value():
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    found = found_in(
        *(trial(0.5 if s is not TrialState.FAIL else None, {2: 0.5}, s) for s in states)
    )
    assert [(t.status, t.reason) for t in found.trials] == [
        (Status.COMPLETED, ""),
        (Status.EARLY_STOPPED, "pruned"),
        (Status.FAILED, "it failed; Optuna does not say why"),
    ]
    assert [t.measurements for t in found.trials] == [{2: {"value": 0.5}}] * 3
    assert found.source == "x.db, study s"


def test_a_trial_that_runs_or_waits_is_no_failure_and_has_no_value():
    waits, runs = (trial(None, state=s) for s in (TrialState.WAITING, TrialState.RUNNING))
    found = found_in(waits, runs, trial(0.5))
    assert [(t.status, t.reason, len(t.measurements)) for t in found.trials] == [
        (Status.PENDING, "", 0),
        (Status.RUNNING, "", 0),
        (Status.COMPLETED, "", 1),
    ]
    failed = trial(None, state=TrialState.FAIL, system_attrs={"fail_reason": "out of memory"})
    assert found_in(failed).trials[0].reason == "out of memory"


def test_the_first_of_several_objectives_counts_by_its_own_name():
    study = optuna.create_study(study_name="s", directions=["minimize", "maximize"])
    study.add_trial(create_trial(values=[0.5, 9.0], params={"x": 0.5}, distributions=X))
    found = _found(study, "x.db")
    assert (found.metric, found.mode, found.at) == ("value_0", "min", "best")
    assert found.metrics() == ["value_0", "value_1"]
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["cost", "gain"])
    named = _found(study, "x.db")
    assert (named.metric, named.metrics()) == ("cost", ["cost", "gain"])


@pytest.mark.parametrize("several", [True, False])
def test_a_run_of_ours_comes_back_with_the_epoch_of_its_first_objective(several):
    study = optuna.create_study(study_name="s")
    study.add_trial(trial(0.9, {1: 0.9, 2: 0.5}))
    first, second = ({"metric": "value", "mode": "min", "at": at} for at in ("last", "best"))
    assert _found(study, "x.db").at == "last", "a value that no epoch has as the best"
    for objective, at in ((first, "last"), (second, "best")):
        other = second if objective is first else first
        study.set_user_attr("objective", [objective, other] if several else objective)
        study.set_user_attr("sampling", "drawn")
        assert _found(study, "x.db").at == at


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_storage_that_is_not_there_is_not_made(tmp_path, form):
    missing = tmp_path / "study.db"
    with pytest.raises(UserError, match=f"there is no storage at {missing}"):
        read_optuna(form.format(missing), None)
    assert not missing.exists()
    with pytest.raises(UserError, match=f"there is no storage at {tmp_path}"):
        read_optuna(form.format(tmp_path), None)


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_storage_with_several_studies_asks_for_one(tmp_path, form):
    place = tmp_path / "two studies.db"
    for name in ("b", "a"):
        optuna.create_study(study_name=name, storage=f"sqlite:///{place}")
    with pytest.raises(UserError, match="holds these studies: b, a; name one after the storage"):
        read_optuna(form.format(place), None)
    assert read_optuna(form.format(place), "b").source.endswith("two studies.db, study b")


@pytest.mark.parametrize("ending", ["log", "journal"])
def test_a_journal_file_is_a_storage(tmp_path, ending):
    place = tmp_path / f"my study.{ending}"
    backend = optuna.storages.journal.JournalFileBackend(str(place))
    study = optuna.create_study(study_name="j", storage=optuna.storages.JournalStorage(backend))
    study.add_trial(trial(0.5))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = read_optuna(str(place), None)
    assert (found.source, found.mode, len(found.trials)) == (f"{place}, study j", "min", 1)
    assert optuna.logging.get_verbosity() == optuna.logging.ERROR, "as it was before"
    with pytest.raises(UserError, match="holds these studies: j; name one after the storage"):
        read_optuna(str(place), "other")


def test_a_file_that_is_no_storage_is_refused_in_one_line(tmp_path):
    place = tmp_path / "study.db"
    place.write_text("no database")
    with pytest.raises(UserError, match="cannot be read as a storage of Optuna: ") as told:
        read_optuna(str(place), None)
    assert "\n" not in str(told.value)
    assert place.read_text() == "no database"


def test_seconds_are_those_between_start_and_end():
    (read,) = found_in(trial(0.4)).trials
    assert read.facts["seconds"] == pytest.approx(read.ended - read.started)


def test_where_the_values_of_complete_trials_are_is_not_judged_by_pruned_ones():
    curve = {1: 0.9, 2: 0.5}
    found = found_in(trial(0.9, curve), trial(0.5, curve, TrialState.PRUNED))
    assert (found.at, found.metrics()) == ("best", ["value"])


def test_what_an_export_of_ours_tells_of_a_trial_stands_before_what_optuna_tells():
    study = optuna.create_study(study_name="s")
    study.set_user_attr("objective", {"metric": "value", "mode": "min", "at": "last"})
    study.set_user_attr("sampling", "drawn")
    own = {"status": "COMPLETED", "seconds": 5.0, "phase": "finalist"}
    study.add_trial(trial(0.9, {1: 0.9}, user_attrs=own))
    ended = {"status": "INTERRUPTED"}
    study.add_trial(trial(None, {1: 0.8}, TrialState.RUNNING, user_attrs=ended))
    done, interrupted = _found(study, "x.db").trials
    assert (done.facts["seconds"], done.facts["phase"]) == (5.0, "finalist")
    assert interrupted.status is Status.RUNNING, "it had not ended"
