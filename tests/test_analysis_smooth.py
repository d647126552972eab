"""Smooth means over a continuous hyperparameter, and agreement of early and final ranks."""

from dataclasses import replace

import numpy as np
import pandas as pd
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
    noisy = smooth(x, x + np.random.default_rng(0).normal(0, 0.1, 200))
    above, below = noisy["high"] - noisy["mean"], noisy["mean"] - noisy["low"]
    assert above.to_numpy() == pytest.approx(below.to_numpy())


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


def test_a_configuration_counts_once_in_a_smooth_mean_however_often_it_was_trained():
    rates = np.linspace(1.0, 2.0, 24)
    once = pd.DataFrame(
        {"rate": rates, "accuracy": 50 + 9 * np.sin(5 * rates), "configuration_id": range(24)}
    )
    often = pd.concat([once, *[once.head(3)] * 5])
    bands = [effects._smooth_layer(data, "rate", known=True) for data in (once, often)]
    assert bands[1].y == pytest.approx(bands[0].y)
    assert bands[1].low == pytest.approx(bands[0].low)


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


def test_at_best_a_loss_counts_from_its_lowest_epoch_so_far_and_a_trial_keeps_its_last(run):
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    one = run.trials["trial_id"].iloc[0]
    rows = run.measurements
    # A trial that ended early keeps its value; of one that began late, nothing is compared before.
    cut = rows[(rows["trial_id"] != one) | (rows["epoch"] <= 6)]
    lower = replace(run, info=replace(run.info, objective=objective), measurements=cut)
    lowest = cut.pivot(index="trial_id", columns="epoch", values="val_loss").cummin(axis=1)
    lowest = lowest.ffill(axis=1)
    frame = agreement(lower).set_index("epoch")
    assert frame.loc[4, "spearman"] == pytest.approx(stats.spearmanr(lowest[4], lowest[12])[0])
    assert frame.loc[4, "configurations"] == 24
    late = rows[(rows["trial_id"] != one) | (rows["epoch"] > 1)]
    assert agreement(replace(run, measurements=late))["configurations"].iloc[0] == 23


def ranked_run(run, early, final):
    """Return a run of two epochs in which each trial has these values."""
    trials = run.trials.head(len(final))
    rows = [
        {"trial_id": trial_id, "epoch": epoch, "val_accuracy": values[place]}
        for place, trial_id in enumerate(trials["trial_id"])
        for epoch, values in ((1, early), (2, final))
    ]
    return replace(run, trials=trials, measurements=pd.DataFrame(rows))


def test_the_interval_of_a_rank_correlation_is_that_of_bonett_and_wright(run):
    early = [0.1, 0.2, 0.3, 0.4, 0.6, 0.5]
    (row,) = agreement(ranked_run(run, early, [0.7, 0.8, 0.9, 0.91, 0.92, 0.93])).to_dict("records")
    rho = 1 - 6 * 2 / (6 * 35)
    reach = 1.959964 * np.sqrt((1 + rho**2 / 2) / 3)
    assert row["spearman"] == pytest.approx(rho)
    assert row["spearman_low"] == pytest.approx(np.tanh(np.arctanh(rho) - reach))
    assert row["spearman_high"] == pytest.approx(np.tanh(np.arctanh(rho) + reach))
    assert row["kendall"] == pytest.approx(1 - 2 / 15)


def test_five_configurations_have_an_agreement_unless_all_end_equally_well(run):
    final = [0.7, 0.7, 0.9, 0.91, 0.92]
    (row,) = agreement(ranked_run(run, [0.5] * 5, final)).to_dict("records")
    assert row["configurations"] == LEAST
    assert np.isnan([row["spearman"], row["spearman_low"], row["kendall"]]).all()
    with pytest.raises(NotKnownError, match="different values"):
        agreement(ranked_run(run, [0.1, 0.2, 0.3, 0.4, 0.5], [0.7] * 5))


def test_two_different_values_are_enough_for_an_early_rank(run):
    final = [0.7, 0.71, 0.9, 0.91, 0.92]
    (row,) = agreement(ranked_run(run, [0.1, 0.1, 0.1, 0.2, 0.2], final)).to_dict("records")
    assert row["spearman"] > 0.8


def test_trainings_of_a_configuration_are_one_rank(run):
    trials = run.trials.assign(configuration_id=[str(place // 2) for place in range(24)])
    frame = agreement(replace(run, trials=trials)).set_index("epoch")
    assert frame["configurations"].iloc[0] == 12
    curves = run.measurements.pivot(index="trial_id", columns="epoch", values="val_accuracy")
    of = trials.set_index("trial_id")["configuration_id"]
    means = curves.cummax(axis=1).groupby(of).mean()
    assert frame.loc[5, "spearman"] == pytest.approx(stats.spearmanr(means[5], means[12])[0])


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
    assert band.high.tolist() == frame["spearman_high"].tolist()
    assert line.y.tolist() == frame["kendall"].tolist()
    assert "24 configurations" in drawing.caption
    assert "stopped early" not in drawing.caption
    status = run.trials["status"].mask(run.trials["trial_id"] == incumbent(run)["trial_id"])
    failed = replace(run, trials=run.trials.assign(status=status.fillna("FAILED")))
    assert "stopped early" not in next(rank_agreement(failed)).caption
    stopped = run.trials.assign(status=status.fillna("EARLY_STOPPED"))
    assert agreement(replace(run, trials=stopped))["configurations"].iloc[0] == 23
    assert (
        "stopped early have no final rank"
        in next(rank_agreement(replace(run, trials=stopped))).caption
    )
