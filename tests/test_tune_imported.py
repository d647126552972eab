"""Runs that `analysis import` made, as `tune` lists and learns from them."""

import math

import pytest
import yaml

from tune.run.directory import SPEC_FILE
from tune.run.events import MeasurementTaken, TrialEnded, TrialProposed, TrialStarted
from tune.run.ledger import Ledger
from tune.run.trial import Figures, Status
from tune.session.imported import imported_objective, imported_status, imported_trials


def write_run(run, curves, **objective):
    """Write a run whose trials have these curves of a loss; one without an end has no status."""
    run.mkdir()
    written = {"metric": "loss", "mode": "min", "at": "best", **objective}
    (run / SPEC_FILE).write_text(yaml.safe_dump({"objective": written}), "utf-8")
    with Ledger(run) as ledger:
        # The last trial is written first.
        for number, (curve, status) in reversed(list(enumerate(curves))):
            trial = f"t{9 - number}"  # Ids have no order.
            proposed = TrialProposed(
                time=1.0,
                trial=trial,
                configuration_id=f"c{number}",
                number=number,
                name=f"width={number}",
                phase="search",
                replicate=0,
                config={"width": number, "seed": 0},
                epochs=3,
            )
            ledger.append(proposed)
            ledger.append(TrialStarted(time=2.0, trial=trial, devices=1.0))
            for epoch, value in enumerate(curve, start=1):
                values = Figures({"loss": value, "seconds": 1.0})
                ledger.append(
                    MeasurementTaken(time=3.0 + epoch, trial=trial, epoch=epoch, values=values)
                )
            if status is not None:
                ledger.append(TrialEnded(time=9.0, trial=trial, status=status, reason="why"))
    return run


@pytest.fixture
def run(tmp_path):
    return write_run(
        tmp_path / "theirs",
        [
            ([0.9, 0.3, 0.5], Status.COMPLETED),
            ([0.8, 0.4, 0.4], Status.COMPLETED),
            ([0.7], Status.EARLY_STOPPED),
            ([], Status.FAILED),
            ([0.6], None),
        ],
    )


def test_trials_are_in_the_order_of_their_numbers_with_their_curves(run):
    trials = imported_trials(run)
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert [(m.epoch, m.values["loss"], m.time) for m in trials[0].measurements] == [
        (1, 0.9, 4.0),
        (2, 0.3, 5.0),
        (3, 0.5, 6.0),
    ]
    assert (trials[2].status, trials[2].reason) == (Status.EARLY_STOPPED, "why")
    assert trials[4].status is Status.INTERRUPTED
    assert trials[4].reason == "it had not ended when imported"


def test_the_best_trial_is_the_one_with_the_smallest_loss_at_the_epoch_that_counts(run, tmp_path):
    assert imported_objective(run)._asdict() == {"metric": "loss", "mode": "min", "at": "best"}
    assert imported_status(run, "Optuna") == {
        "name": "theirs",
        "imported": "Optuna",
        "trials": {"COMPLETED": 2, "EARLY_STOPPED": 1, "FAILED": 1, "INTERRUPTED": 1},
        "best": {"metric": "loss", "value": 0.3, "name": "width=0"},
    }
    curves = [([0.9, 0.3, 0.5], Status.COMPLETED), ([0.8, 0.4, 0.4], Status.COMPLETED)]
    last = write_run(tmp_path / "last", curves, at="last")
    assert imported_status(last, "Ray")["best"]["name"] == "width=1"
    higher = write_run(tmp_path / "higher", curves, mode="max")
    assert imported_status(higher, "Ray")["best"]["value"] == 0.9


def test_a_run_without_a_finite_value_has_no_best_trial(tmp_path):
    run = write_run(tmp_path / "none", [([math.nan], Status.DIVERGED), ([], Status.FAILED)])
    assert imported_status(run, "CSV")["best"] is None
