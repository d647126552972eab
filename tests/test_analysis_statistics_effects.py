"""Effects and importances against statsmodels and known truths."""

import itertools
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multivariate import test_mvmean as hotelling

from analysis.effects.chance import chance_of_configurations, chance_of_seeds
from analysis.effects.design import is_complete, with_verdicts
from analysis.effects.factorial import factorial
from analysis.effects.factorial import over_folds as effects_over_folds
from analysis.effects.statistics import effects, level_means, marginal_means
from analysis.importance.statistics import _evaluated, _ped_anova, _study, importance
from analysis.importance.statistics import _warnings as importance_warnings
from analysis.run.run_data import UNKNOWN, read_run
from analysis.statistics.estimate import NotKnownError
from analysis.statistics.trainings import Trainings
from tests.support.run_factory import RUNGS, Factory, by


def grid(replicates, seed=0, drop=()):
    """A grid of 3 × 2 configurations in which the kernel size matters and the blocks do not."""
    rng = np.random.default_rng(seed)
    cells = [cell for cell in itertools.product("357", "48") if cell not in drop]
    rows = [(*cell, each) for cell in cells for each in range(replicates)]
    frame = pd.DataFrame(rows, columns=["kernel_size", "blocks", "replicate"])
    frame.index = [f"t{number}" for number in frame.index]
    accuracy = 0.6 + 0.02 * (frame["kernel_size"] == "5") + rng.normal(0, 0.005, len(frame))
    trainings = Trainings(configuration=frame["kernel_size"] + frame["blocks"], accuracy=accuracy)
    return trainings, frame[["kernel_size", "blocks"]]


@pytest.mark.parametrize("drop", [(), (("3", "8"),)], ids=["balanced", "unbalanced"])
def test_main_effects_and_interaction_equal_type_two_of_statsmodels(drop):
    trainings, levels = grid(4, drop=drop)
    ours = factorial(trainings, levels, interactions=True).set_index("term")
    formula = "y ~ C(kernel_size) + C(blocks)" + ("" if drop else " + C(kernel_size):C(blocks)")
    fit = ols(formula, levels.assign(y=trainings.accuracy)).fit()
    theirs = anova_lm(fit, typ=2)
    total = ((trainings.accuracy - trainings.accuracy.mean()) ** 2).sum()
    names = {"kernel_size": "C(kernel_size)", "blocks": "C(blocks)"}
    if not drop:
        names["kernel_size × blocks"] = "C(kernel_size):C(blocks)"
    for term, name in names.items():
        assert ours.loc[term, "df"] == theirs.loc[name, "df"]
        assert ours.loc[term, "share"] == pytest.approx(theirs.loc[name, "sum_sq"] / total)
        if not drop:  # with every cell filled the residual is what replicates differ by
            assert ours.loc[term, "f"] == pytest.approx(theirs.loc[name, "F"])
            assert ours.loc[term, "p_value"] == pytest.approx(theirs.loc[name, "PR(>F)"])


def test_shares_of_a_balanced_grid_add_up():
    trainings, levels = grid(4)
    ours = factorial(trainings, levels, interactions=False)
    assert ours["share"].sum() == pytest.approx(1)
    assert ours["df"].sum() == len(levels) - 1
    assert ours["term"].tolist() == ["kernel_size", "blocks", "higher order", "seed"]


def test_what_matters_is_shown_and_what_does_not_is_not():
    ours = factorial(*grid(4), interactions=True).set_index("term")
    assert ours.loc["kernel_size", "verdict"] == "matters"
    assert ours.loc["blocks", "verdict"] == "no effect shown"
    assert ours.loc["kernel_size", "detectable"] < 0.02


def test_effects_share_their_error_rate_with_the_comparisons_of_configurations():
    p = pd.DataFrame({"p_value": [0.013, 0.012, np.nan, 0.6], "share": [0.3, 0.3, 0.1, 0.1]})
    told = with_verdicts(p.head(2))
    assert told["p_adjusted"].tolist() == pytest.approx([2 * 2 * 0.012] * 2)
    assert told["verdict"].tolist() == ["matters", "matters"]
    told = with_verdicts(p)  # one more test; a term without a test counts for nothing
    assert told["p_adjusted"].tolist() == pytest.approx(
        [2 * 3 * 0.012] * 2 + [np.nan, 1], nan_ok=True
    )
    assert told["verdict"].tolist() == ["no effect shown", "no effect shown", "", "no effect shown"]


def test_with_one_training_each_there_is_no_verdict():
    ours = factorial(*grid(1), interactions=True)
    assert (ours["verdict"] == "").all()
    assert ours[["f", "p_value", "p_adjusted", "detectable"]].isna().all(axis=None)
    assert ours.set_index("term").loc["kernel_size", "share"] > 0.5


def test_a_term_that_cannot_be_told_from_another_has_no_degrees_of_freedom():
    trainings, levels = grid(3)
    ours = factorial(trainings, levels.assign(copy=levels["blocks"]), interactions=False)
    assert ours.set_index("term").loc[["blocks", "copy"], "df"].tolist() == [0, 0]
    assert ours.set_index("term").loc["copy", "verdict"] == ""


def test_terms_of_which_none_can_be_told_from_another_are_shown_without_a_verdict():
    trainings, levels = grid(3, drop=[("3", "8"), ("5", "4"), ("5", "8"), ("7", "4")])
    assert trainings.configuration.nunique() == 2
    ours = factorial(trainings, levels, interactions=True).set_index("term")
    assert ours.loc[["kernel_size", "blocks"], "df"].tolist() == [0, 0]
    assert (ours["verdict"] == "").all()
    assert ours.loc[["kernel_size", "blocks"], "share"].isna().all()


def test_where_accuracies_do_not_differ_there_is_no_share_of_their_variance():
    trainings, levels = grid(2)
    same = replace(trainings, accuracy=trainings.accuracy * 0 + 0.6)
    assert factorial(same, levels, interactions=True)["share"].isna().all()


def test_replicates_are_the_error():
    trainings, _ = grid(4)
    within = trainings.accuracy.groupby(trainings.configuration).var().mean()
    chance = chance_of_seeds(trainings)
    assert chance.own.tolist() == pytest.approx([within / 4] * 6)
    assert chance.own_df == 18


def guesses(right, *, pictures):
    """Trainings that are each right on as many other pictures."""
    rng = np.random.default_rng(0)
    _, levels = grid(2)
    correct = pd.DataFrame([rng.permutation(pictures) < right for _ in levels.index], levels.index)
    return Trainings(
        configuration=levels["kernel_size"] + levels["blocks"],
        accuracy=correct.mean(axis=1),
        correct=correct,
    )


def test_replicates_that_agree_by_luck_leave_the_error_of_single_answers():
    trainings = guesses(120, pictures=200)
    assert trainings.accuracy.nunique() == 1
    assert (trainings.noise > 0).all()
    assert chance_of_seeds(trainings).own.tolist() == pytest.approx(trainings.noise.tolist())


def test_the_taste_of_configurations_in_pictures_is_part_of_the_error():
    # Replicates agree on every picture, configurations do not: without the pictures there would
    # be no error at all, and every difference would be taken for an effect.
    rng = np.random.default_rng(0)
    _, levels = grid(2)
    answers = rng.random((6, 2_000)) < 0.6
    correct = pd.DataFrame(np.repeat(answers, 2, axis=0), index=levels.index)
    trainings = Trainings(
        configuration=levels["kernel_size"] + levels["blocks"],
        accuracy=correct.mean(axis=1),
        correct=correct,
    )
    # Two replicates that agree are worth one training.
    weights = np.array([1.0, -1.0, 0, 0, 0, 0])
    error = chance_of_seeds(trainings).contrast(weights, trainings.means.to_numpy()).standard_error
    assert error == pytest.approx(np.sqrt(2 * 0.6 * 0.4 / 2_000), rel=0.05)
    ours = factorial(trainings, levels, interactions=False)
    assert "matters" not in set(ours["verdict"])


def over_folds(folds=10, effect=0.03, spread=0.01, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(k, fold) for k in "357" for fold in range(folds)]
    frame = pd.DataFrame(rows, columns=["kernel_size", "fold"])
    of_fold = rng.normal(0, spread, folds)
    y = 0.6 + effect * (frame["kernel_size"] == "5") + of_fold[frame["fold"]]
    return frame.assign(y=y + rng.normal(0, 0.005, len(frame)))


def judged_over_folds(frame, ratio=1 / 9, **options):
    """Test the hyperparameters of a frame that `over_folds` made."""
    names = list(frame.columns.difference(["fold", "y"], sort=False))
    cells = frame.set_index([*names, "fold"])["y"].unstack("fold")
    levels = cells.index.to_frame().set_axis(range(len(cells)))
    cells = cells.set_axis(range(len(cells)))
    return effects_over_folds(cells, levels, ratio, **{"interactions": False, **options})


def test_over_folds_the_test_is_hotellings_corrected_for_overlap():
    frame = over_folds()
    ours = judged_over_folds(frame).iloc[0]
    by_level = frame.pivot_table(index="fold", columns="kernel_size", values="y")
    theirs = hotelling(by_level[["3", "5"]].sub(by_level["7"], axis=0).to_numpy(), [0, 0])
    assert ours["f"] == pytest.approx(theirs.statistic / (1 + 10 / 9))
    assert ours["p_value"] == pytest.approx(stats.f.sf(ours["f"], 2, 10 - 2))
    assert ours["verdict"] == "matters"


def test_a_term_with_more_levels_than_folds_has_no_verdict():
    assert judged_over_folds(over_folds(folds=2))["verdict"].tolist() == [""]


def test_a_term_with_as_many_levels_as_folds_has_a_verdict():
    found = judged_over_folds(over_folds(folds=3)).iloc[0]
    assert found["verdict"] != ""
    assert 0 < found["p_value"] < 1


def test_a_grid_with_more_configurations_in_one_cell_than_in_another_is_not_complete():
    cells = pd.DataFrame({"kernel_size": [*"3355"], "blocks": [*"4848"]})
    assert is_complete(cells)
    assert not is_complete(pd.concat([cells, cells.tail(1)]))
    assert not is_complete(cells.head(3))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    factory = Factory(configurations=24, faults=False, early_stopping=False)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "whole"))


def test_all_trials_enter_at_the_epoch_that_all_of_them_reached(run):
    frame = marginal_means(run)
    row = frame[(frame["hyperparameter"] == "kernel_size") & (frame["level"] == "5")].iloc[0]
    ids = run.comparable[run.comparable["kernel_size"] == 5]["trial_id"]
    early = run.measurements[run.measurements["epoch"] <= RUNGS[0]]
    best = early.groupby("trial_id")["val_accuracy"].max()[ids]
    configurations = run.trials.set_index("trial_id").loc[ids, "configuration_id"]
    assert row["mean"] == pytest.approx(best.groupby(configurations).mean().mean())
    assert row["trainings"] == len(ids)


def test_tied_hyperparameters_are_one_effect(run):
    assert "fc_layers" not in set(effects(run)["term"])
    assert "blocks" in set(effects(run)["term"])


def test_effects_of_a_hyperparameter_cancel_and_stand_in_their_intervals(whole):
    frame = marginal_means(whole)
    assert frame.groupby("hyperparameter")["effect"].sum().abs().max() < 1e-12
    assert (frame["effect_low"] < frame["effect"]).all()
    assert (frame["effect"] < frame["effect_high"]).all()


def test_levels_stand_in_their_order(whole):
    frame = marginal_means(whole)
    channels = frame[frame["hyperparameter"] == "channels"]
    assert channels["level"].tolist() == ["8", "16"]


def test_a_random_search_is_judged_by_the_spread_of_its_configurations(whole):
    drawn = replace(whole, info=replace(whole.info, **by("random")))
    frame = marginal_means(drawn).set_index(["hyperparameter", "level"])
    means = whole.comparable.groupby("configuration_id").agg(
        y=("best_val_accuracy", "mean"), channels=("channels", "first")
    )
    two = [group["y"] for _, group in means.groupby("channels")]
    theirs = stats.ttest_ind(two[1], two[0]).confidence_interval()
    row = frame.loc[("channels", "16")]
    # The effect is half of the difference between two levels.
    assert row["effect_low"] == pytest.approx(theirs.low / 2)
    assert row["effect_high"] == pytest.approx(theirs.high / 2)


def test_interactions_are_told_where_the_grid_is_complete(run, whole):
    assert "kernel_size × channels" in set(effects(whole)["term"])
    assert not any("×" in term for term in effects(run)["term"])


def with_values(run, count, skill):
    """A run whose trials were drawn at random, with accuracies that ``skill`` gives."""
    rng = np.random.default_rng(0)
    trials = pd.concat([run.trials.head(1)] * count, ignore_index=True)
    trials = trials.assign(
        trial_id=[f"t{k}" for k in range(count)],
        configuration_id=[f"c{k}" for k in range(count)],
        number=range(count),
        kernel_size=rng.choice([3, 5, 7], count),
        channels=rng.choice([8, 16, 32], count),
        learning_rate=10 ** rng.uniform(-4, -1, count),
    )
    accuracy = skill(trials) + rng.normal(0, 0.002, count)
    measurements = pd.DataFrame({"trial_id": trials["trial_id"], "epoch": 1}).assign(
        val_accuracy=accuracy.to_numpy()
    )
    searched = ("kernel_size", "channels", "learning_rate")
    info = replace(run.info, **by("random"), searched=searched, tied={})
    trials = trials.assign(status="COMPLETED", epochs_trained=1)
    return replace(run, trials=trials, measurements=measurements, info=info)


def test_importance_finds_what_matters(run):
    drawn = with_values(run, 60, lambda trials: 0.6 - 0.03 * np.log10(trials["learning_rate"]) ** 2)
    found = importance(drawn)
    assert found.frame["hyperparameter"].iloc[0] == "learning_rate"
    assert found.frame["fanova"].iloc[0] > 0.8
    assert found.frame[["fanova", "ped_anova"]].sum().tolist() == pytest.approx([1, 1])
    assert found.warnings == ()
    assert found.explained > 0.8


def test_importance_of_noise_warns(run):
    found = importance(with_values(run, 20, lambda trials: 0.6 + 0 * trials["learning_rate"]))
    assert any("too few for a reliable order" in warning for warning in found.warnings)
    assert any("predicts only" in warning for warning in found.warnings)
    again = importance(with_values(run, 20, lambda trials: 0.6 + 0 * trials["learning_rate"]))
    assert again.frame.equals(found.frame), "drawn with the same seed"
    assert again.explained == found.explained


def test_importance_of_an_adaptive_search_warns(run):
    drawn = with_values(run, 60, lambda trials: 0.6 - 0.03 * np.log10(trials["learning_rate"]) ** 2)
    adaptive = replace(drawn, info=replace(drawn.info, **by("tpe")))
    assert [w for w in importance(adaptive).warnings if "searcher tpe sampled" in w]


def test_a_hyperparameter_that_some_lack_is_left_out_of_the_importance(run):
    drawn = with_values(run, 30, lambda trials: 0.6 + 0.01 * trials["kernel_size"])
    some = drawn.trials["channels"].astype("Int64").mask(drawn.trials["kernel_size"] == 3)
    found = importance(replace(drawn, trials=drawn.trials.assign(channels=some)))
    assert found.left_out == ("channels",)
    assert "channels" not in set(found.frame["hyperparameter"])


def test_importance_of_hardly_any_trials_is_refused(run):
    with pytest.raises(NotKnownError, match="at least 4 configurations"):
        importance(with_values(run, 3, lambda trials: 0.6 + 0 * trials["channels"]))


def test_effects_of_one_configuration_are_refused(tmp_path):
    single = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)
    with pytest.raises(NotKnownError, match="no hyperparameter has two values"):
        effects(read_run(single.write(tmp_path / "run")))


def test_hardly_any_drawn_configurations_give_no_interval(run):
    frame = marginal_means(with_values(run, 3, lambda trials: 0.6 + 0 * trials["channels"]))
    assert frame[["low", "effect_low"]].isna().all(axis=None)


@pytest.mark.parametrize(("count", "known"), [(4, False), (5, True)])
def test_a_spread_of_three_degrees_of_freedom_is_an_error(run, count, known):
    drawn = with_values(run, count, lambda trials: 0.6 + 0 * trials["channels"])
    level = pd.Series(["x", "y"] * 3, index=[f"t{k}" for k in range(6)]).head(count)
    frame = level_means(drawn, level)
    assert frame[["low", "high"]].notna().all(axis=None) == known
    means = drawn.measurements["val_accuracy"].to_numpy()
    assert frame.loc["x", "mean"] == pytest.approx(means[::2].mean())


@pytest.mark.parametrize(("count", "warned"), [(29, True), (30, False)])
def test_ten_configurations_for_each_hyperparameter_are_enough(run, count, warned):
    sentences = importance_warnings(run, count, 3, 0.9)
    assert bool(sentences) == warned
    assert all(f"{count} configurations are too few" in sentence for sentence in sentences)
    assert all("train at least 30." in sentence for sentence in sentences)


def test_a_forest_that_foresees_less_than_a_third_or_so_is_warned_of(run):
    assert importance_warnings(run, 100, 2, 0.3) == []
    assert "predicts only 29 % of the variance" in importance_warnings(run, 100, 2, 0.29)[0]
    assert "predicts only 0 % of the variance" in importance_warnings(run, 100, 2, -0.5)[0]


def test_importance_is_learned_from_the_accuracies_of_the_common_epoch(run):
    trials = with_values(run, 20, lambda trials: 0.5 + 0.1 * (trials["channels"] == 16))
    found = importance(trials)
    assert found.configurations == 20
    assert found.frame["hyperparameter"].iloc[0] == "channels"
    assert found.frame["fanova"].is_monotonic_decreasing
    assert set(found.frame["hyperparameter"]) == {"kernel_size", "channels", "learning_rate"}


def test_the_share_of_a_hyperparameter_over_folds_is_that_of_its_means():
    frame = over_folds(effect=0.03)
    found = judged_over_folds(frame)
    # As many folds at each level: the fitted values are the means of the levels.
    fitted = frame.groupby("kernel_size")["y"].transform("mean")
    assert found["share"].iloc[0] == pytest.approx(
        fitted.var(ddof=0) / frame["y"].var(ddof=0), rel=1e-6
    )
    assert found["df"].iloc[0] == 2


def test_more_folds_with_the_same_overlap_divide_the_statistic_by_more():
    frame = over_folds()
    few, many = (judged_over_folds(frame, ratio)["f"].iloc[0] for ratio in (1 / 9, 1 / 4))
    assert few / many == pytest.approx((1 + 10 / 4) / (1 + 10 / 9))


def test_an_effect_is_the_mean_less_that_of_all_levels_each_counted_once(run):
    frame = marginal_means(run)
    of_one = frame[frame["hyperparameter"] == "conv_depth"]
    assert of_one["configurations"].nunique() > 1  # unequal, else the two means were the same
    expected = of_one["mean"] - of_one["mean"].mean()
    assert of_one["effect"].tolist() == pytest.approx(expected.tolist())


def test_type_two_with_interactions_of_unequal_groups_equals_statsmodels():
    trainings, levels = grid(4)
    kept = levels.index.delete([0, 1, 5, 9, 10, 11])
    fewer = Trainings(
        configuration=trainings.configuration[kept], accuracy=trainings.accuracy[kept]
    )
    ours = factorial(fewer, levels.loc[kept], interactions=True).set_index("term")
    data = levels.loc[kept].assign(y=fewer.accuracy)
    theirs = anova_lm(ols("y ~ C(kernel_size) * C(blocks)", data).fit(), typ=2)
    total = ((data["y"] - data["y"].mean()) ** 2).sum()
    for term, name in (("kernel_size", "C(kernel_size)"), ("blocks", "C(blocks)")):
        assert ours.loc[term, "share"] == pytest.approx(theirs.loc[name, "sum_sq"] / total)


def test_over_folds_main_effects_stand_beside_their_interaction():
    rng = np.random.default_rng(1)
    rows = [(k, b, fold) for k in "357" for b in "48" for fold in range(6)]
    frame = pd.DataFrame(rows, columns=["kernel", "blocks", "fold"])
    better = (frame["kernel"] == "5") & (frame["blocks"] == "8")
    y = 60 + 1.5 * better + rng.normal(0, 1, 6)[frame["fold"]] + rng.normal(0, 0.5, len(frame))
    found = judged_over_folds(frame.assign(y=y / 100), 1 / 5, interactions=True)
    found = found.set_index("term")
    assert found["df"].to_dict() == {"kernel": 2, "blocks": 1, "kernel × blocks": 2}
    of_blocks = frame.assign(y=y).pivot_table(index="fold", columns="blocks", values="y")
    paired = stats.ttest_rel(of_blocks["8"], of_blocks["4"]).statistic ** 2
    assert found.loc["blocks", "f"] == pytest.approx(paired / (1 + 6 / 5))
    lacking = frame.assign(y=y / 100)[(frame["kernel"] != "3") | (frame["blocks"] != "8")]
    found = judged_over_folds(lacking, 1 / 5, interactions=True)
    assert found["term"].tolist() == ["kernel", "blocks"], "an empty cell leaves the pair unknown"


def drawn(effect=0.0, between=0.01, count=24, replicates=3, seed=0):
    """Configurations drawn at random that differ by more than their levels and seeds."""
    rng = np.random.default_rng(seed)
    of = pd.DataFrame({"kernel": rng.choice([*"357"], count), "blocks": rng.choice([*"48"], count)})
    own = 0.6 + effect * (of["kernel"] == "5") + rng.normal(0, between, count)
    rows = of.index.repeat(replicates)
    levels = of.loc[rows].set_axis([f"t{k}" for k in range(len(rows))])
    accuracy = own.loc[rows].set_axis(levels.index) + rng.normal(0, 0.002, len(rows))
    configuration = pd.Series([f"c{row}" for row in rows], index=levels.index)
    return Trainings(configuration=configuration, accuracy=accuracy), levels


def test_drawn_configurations_are_judged_by_what_configurations_differ_by():
    trainings, levels = drawn(effect=0.03)
    ours = factorial(trainings, levels, interactions=False, error="configurations")
    of = levels.groupby(trainings.configuration, sort=False).first()
    theirs = anova_lm(ols("y ~ C(kernel) + C(blocks)", of.assign(y=trainings.means)).fit(), typ=2)
    for term in ("kernel", "blocks"):
        row = ours.set_index("term").loc[term]
        assert row["f"] == pytest.approx(theirs.loc[f"C({term})", "F"])
        assert row["p_value"] == pytest.approx(theirs.loc[f"C({term})", "PR(>F)"])


def test_without_error_nothing_is_judged():
    assert (factorial(*drawn(effect=0.1), interactions=False, error="none")["verdict"] == "").all()


def test_an_effect_that_prints_as_0_percent_is_not_said_to_matter():
    trainings, levels = grid(20)
    tiny = 0.5 * (levels["kernel_size"] == "5") + 0.01 * (levels["blocks"] == "8")
    large = replace(trainings, accuracy=trainings.accuracy + tiny)
    ours = factorial(large, levels, interactions=False).set_index("term")
    assert ours.loc["blocks", "p_adjusted"] < 0.01
    assert ours.loc["blocks", "share"] < 0.005
    assert ours["verdict"].head(2).tolist() == ["matters", "shown, but tiny"]


def test_the_smallest_difference_between_two_levels_is_that_of_their_trainings():
    trainings, levels = grid(4)
    ours = factorial(trainings, levels, interactions=False).set_index("term")
    within = trainings.accuracy.groupby(trainings.configuration).var().mean()
    # Two terms, two tables of verdicts, two sides.
    multiplier = stats.t.isf(0.05 / 2 / 2 / 2, 18) + stats.t.ppf(0.8, 18)
    # 24 trainings: eight at each kernel size, twelve at each number of blocks.
    for term, count in (("kernel_size", 8), ("blocks", 12)):
        expected = multiplier * np.sqrt(2 * within / count)
        assert ours.loc[term, "detectable"] == pytest.approx(expected)


def test_a_large_search_is_learned_from_configurations_drawn_from_all_of_it(run, monkeypatch):
    monkeypatch.setattr("analysis.importance.statistics.MOST_CONFIGURATIONS", 16)
    drawn = with_values(run, 48, lambda trials: 0.5 + 0 * trials["channels"])
    channels = np.r_[np.full(16, 8), np.tile([8, 16], 16)]  # the first 16 are all alike
    curves = drawn.measurements.assign(val_accuracy=0.5 + 0.1 * (channels == 16))
    late = replace(drawn, trials=drawn.trials.assign(channels=channels), measurements=curves)
    found = importance(late)
    assert found.configurations == 48
    assert found.frame.set_index("hyperparameter").loc["channels", "fanova"] > 0.5


def test_the_best_tenth_is_that_of_the_highest_accuracies(run):
    # Kernel size 7 makes the best a little better; 32 channels spoil a third.
    def skill(trials):
        return 0.6 + 0.02 * (trials["kernel_size"] == 7) - 0.2 * (trials["channels"] == 32)

    drawn = with_values(run, 120, skill)
    table = drawn.trials.set_index("configuration_id")[["kernel_size", "channels"]]
    means = drawn.measurements["val_accuracy"].set_axis(table.index)
    assert _evaluated(table, means, _ped_anova()).idxmax() == "kernel_size"
    assert _evaluated(table, -means, _ped_anova()).idxmax() == "channels"


def test_importances_are_of_as_many_configurations_as_they_can_take_and_of_gains(run, monkeypatch):
    taken = []

    def evaluated(table, gains, evaluator):
        taken.append((type(evaluator).__name__, table.index.nunique()))
        told.append(gains)
        return pd.Series(1.0, index=table.columns)

    monkeypatch.setattr("analysis.importance.statistics._evaluated", evaluated)
    monkeypatch.setattr("analysis.importance.statistics._explained", lambda *_: 0.9)
    drawn = with_values(run, 24, lambda trials: 0.6 + 0 * trials["channels"])
    for fanova, ped, counts in ((12, 16, (12, 16)), (24, 24, (24, 24)), (99, 99, (24, 24))):
        monkeypatch.setattr("analysis.importance.statistics.MOST_CONFIGURATIONS", fanova)
        monkeypatch.setattr("analysis.importance.statistics.MOST_FOR_PED", ped)
        taken, told = [], []
        assert importance(drawn).configurations == 24
        names = ("FanovaImportanceEvaluator", "PedAnovaImportanceEvaluator")
        assert taken == list(zip(names, counts, strict=True))
        assert [gains.tolist() for gains in told] == [
            drawn.measurements["val_accuracy"].tolist()
        ] * 2
    # A loss is the smaller the better, and is of a run whose trials have no accuracy.
    loss = replace(
        drawn,
        trials=drawn.trials.drop(columns="best_val_accuracy").assign(best_val_loss=0.5),
        measurements=drawn.measurements.rename(columns={"val_accuracy": "val_loss"}),
        info=replace(drawn.info, objective={"metric": "val_loss", "mode": "min", "at": "best"}),
    )
    told = []
    importance(loss)
    assert told[1].tolist() == (-drawn.measurements["val_accuracy"]).tolist()


def test_four_configurations_are_enough_for_an_importance(run):
    found = importance(with_values(run, 4, lambda trials: 0.6 + 0 * trials["channels"]))
    assert found.configurations == 4


def test_configurations_that_only_guess_add_no_taste_to_the_error():
    # Every training is right on 600 other pictures: replicates differ as much as configurations.
    trainings = guesses(600, pictures=1_000)
    guess = np.sqrt(
        0.6 * 0.4 / 1_000
    )  # of a difference of means of two; 1.4 times, if seeds counted twice
    weights = np.array([1.0, -1.0, 0, 0, 0, 0])
    error = chance_of_seeds(trainings).contrast(weights, trainings.means.to_numpy())
    assert error.standard_error < 1.1 * guess


def test_the_error_of_drawn_configurations_is_what_their_levels_leave():
    rng = np.random.default_rng(3)
    level = np.eye(3)[rng.integers(0, 3, 40)]
    means = rng.normal(size=40)
    shared = 0.01 * (rng.normal(size=(40, 90)) + 2 * level @ rng.normal(size=(3, 90)))
    chance = chance_of_configurations(means, shared, [level])
    _, left, *_ = np.linalg.lstsq(level, means, rcond=None)
    _, by_picture, *_ = np.linalg.lstsq(level, shared, rcond=None)
    assert chance.own_df == 37
    np.testing.assert_allclose(chance.own, left[0] / 37)
    np.testing.assert_allclose(chance.counted_twice, by_picture.sum() / 37)


def test_a_study_has_the_mean_of_each_configuration_and_leaves_the_log_of_optuna_as_it_was():
    table = pd.DataFrame({"kernel_size": [7, 3, 5]}, index=["c2", "c0", "c1"])
    means = pd.Series([0.1, 0.2, 0.3], index=["c0", "c1", "c2"])
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = _study(table, means)
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    finally:
        optuna.logging.set_verbosity(before)
    told = {trial.params["kernel_size"]: trial.value for trial in study.trials}
    assert told == {7: 0.3, 3: 0.1, 5: 0.2}


@pytest.mark.parametrize(("searcher", "told"), [("tpe", "The searcher tpe"), (UNKNOWN, "It is")])
def test_importance_names_the_searcher_where_it_is_known(run, searcher, told):
    info = replace(run.info, searcher=searcher, sampling="adaptive")
    (sentence,) = importance_warnings(replace(run, info=info), 100, 2, 0.9)
    assert sentence.startswith(told)
    assert "avoided early" in sentence
