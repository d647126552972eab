"""Smooth means over a continuous hyperparameter, and agreement of early and final ranks."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.curves.agreement import LEAST, MOST_EPOCHS, agreement
from analysis.curves.agreement_figure import rank_agreement
from analysis.effects import figure as effects
from analysis.effects.smooth import LEAST as LEAST_VALUES
from analysis.effects.smooth import smooth
from analysis.run.run_data import read_run
from analysis.run.trials import incumbent
from analysis.statistics.estimate import NotKnownError
from tests.support.run_factory import Factory, by


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    factory = Factory(configurations=24, early_stopping=False, faults=False, replicates=1)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "run"))


def test_a_smooth_mean_follows_a_bend():
    x = np.linspace(-1, 1, 200)
    curve = smooth(x, 50 - 10 * x**2)
    assert curve["mean"].to_numpy() == pytest.approx(50 - 10 * curve["x"].to_numpy() ** 2, abs=1e-6)
    assert (curve["x"].iloc[0], curve["x"].iloc[-1]) == (-1, 1)


def test_the_interval_of_a_smooth_mean_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        x = rng.uniform(0, 1, 80)
        error = rng.normal(0, 0.5 + x)  # The variance differs along x.
        curve = smooth(x, 3 * x + error)
        held.append(((curve["low"] <= 3 * curve["x"]) & (3 * curve["x"] <= curve["high"])).mean())
    # 300 curves have a standard error of less than 0.02; least squares alone holds 0.90.
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_too_few_values_have_no_smooth_mean():
    x = np.arange(LEAST_VALUES - 1.0)
    assert smooth(x, x) is None
    assert smooth(np.repeat(x, 5), np.repeat(x, 5)) is None
    assert smooth(np.arange(float(LEAST_VALUES)), np.arange(float(LEAST_VALUES))) is not None


def test_a_continuous_hyperparameter_has_a_smooth_mean_over_its_scale(run):
    rates = np.geomspace(1e-4, 1e-1, len(run.trials))
    trials = run.trials.assign(learning_rate=rates)
    info = replace(run.info, searched=("learning_rate",), tied={}, **by("random"))
    varied = replace(run, trials=trials, info=info)
    band = next(effects.effects(varied)).chart.panels[0].layers[-1]
    data = effects.prepare(varied)
    expected = smooth(np.log10(data["learning_rate"].to_numpy(float)), data["accuracy"].to_numpy())
    assert (band.kind, band.label) == ("band", "smooth mean")
    assert band.x == pytest.approx(10 ** expected["x"].to_numpy())
    assert band.y == pytest.approx(expected["mean"].to_numpy())
    assert band.low == pytest.approx(expected["low"].to_numpy())
    adaptive = replace(varied, info=replace(info, **by("tpe")))
    assert next(effects.effects(adaptive)).chart.panels[0].layers[-1].low is None


def test_ranks_after_each_epoch_are_compared_with_the_final_ones(run):
    frame = agreement(run).set_index("epoch")
    assert frame.index.tolist() == list(range(1, 12))
    curves = run.measurements.pivot(index="trial_id", columns="epoch", values="val_accuracy")
    best = curves.cummax(axis=1)
    for epoch in (1, 5, 11):
        row = frame.loc[epoch]
        expected = stats.spearmanr(best[epoch], best[12]).statistic
        assert row["spearman"] == pytest.approx(expected)
        assert row["kendall"] == pytest.approx(stats.kendalltau(best[epoch], best[12]).statistic)
        assert row["spearman_low"] < row["spearman"] < row["spearman_high"]
    assert (frame["configurations"] == 24).all()
    assert frame.loc[11, "spearman"] > frame.loc[1, "spearman"]


def test_at_last_a_rank_is_that_of_the_epoch_and_of_losses_the_lowest_is_first(run):
    objective = {"metric": "val_loss", "mode": "min", "at": "last"}
    frame = agreement(replace(run, info=replace(run.info, objective=objective))).set_index("epoch")
    curves = run.measurements.pivot(index="trial_id", columns="epoch", values="val_loss")
    assert frame.loc[4, "spearman"] == pytest.approx(stats.spearmanr(curves[4], curves[12])[0])


def test_trainings_of_a_configuration_are_one_rank(run):
    trials = run.trials.assign(configuration_id=[str(place // 2) for place in range(24)])
    assert agreement(replace(run, trials=trials))["configurations"].iloc[0] == 12


def test_few_configurations_have_no_agreement(run):
    few = replace(run, trials=run.trials.head(LEAST - 1))
    with pytest.raises(NotKnownError, match="fewer than 5 configurations"):
        agreement(few)
    assert list(rank_agreement(few)) == []


def test_many_epochs_are_thinned_out(run):
    longer = run.measurements.assign(epoch=10 * run.measurements["epoch"])
    rows = [longer.assign(epoch=longer["epoch"] - shift) for shift in range(10)]
    stretched = replace(run, measurements=type(longer)(np.concatenate([*rows]), columns=[*longer]))
    frame = agreement(replace(stretched, measurements=stretched.measurements.infer_objects()))
    assert len(frame) == MOST_EPOCHS
    assert frame["epoch"].iloc[-1] == 119


def test_the_figure_draws_both_coefficients_and_says_who_is_missing(run):
    drawing = next(rank_agreement(run))
    frame = agreement(run)
    band, line = drawing.chart.panels[0].layers
    assert band.y.tolist() == frame["spearman"].tolist()
    assert band.low.tolist() == frame["spearman_low"].tolist()
    assert line.y.tolist() == frame["kendall"].tolist()
    assert "24 configurations" in drawing.caption
    assert "stopped early" not in drawing.caption
    status = run.trials["status"].mask(run.trials["trial_id"] == incumbent(run)["trial_id"])
    stopped = run.trials.assign(status=status.fillna("EARLY_STOPPED"))
    assert (
        "stopped early have no final rank"
        in next(rank_agreement(replace(run, trials=stopped))).caption
    )
