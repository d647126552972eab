"""Runs over folds: no table, sentence or comparison takes folds for replicates."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.comparisons.statistics import against_incumbent
from analysis.effects import figure
from analysis.effects.statistics import effects, marginal_means
from analysis.effects.table import effects_table, levels_table
from analysis.folds.statistics import CORRECTED, fold_average, fold_means, held_out_ratio
from analysis.folds.table import folds
from analysis.rendering.table import AVERAGE
from analysis.report import report
from analysis.report.summary import found, unknown
from analysis.report.tables import TABLES
from analysis.run.run_data import read_run
from analysis.run.trainings import folds_in_a_repeat, has_folds
from analysis.run.trials import fairly_trained
from analysis.runs.compare import compare_runs
from analysis.selection.statistics import selection
from analysis.selection.table import selection_table
from analysis.statistics.estimate import NotKnownError
from analysis.trials.headline import headline
from tests.support.discs import SPLIT_SIZES
from tests.support.run_factory import Factory, by, under

FOLDS = 10
LUCKY = 0.69


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    factory = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "plain"))


def over_folds(plain, accuracy, name="kfold", folds=FOLDS):
    """Return a run of a configuration per kernel size, with these accuracies on its folds."""
    rows = pd.DataFrame(
        [(kernel, fold, one) for kernel, own in accuracy.items() for fold, one in enumerate(own)],
        columns=["kernel_size", "fold", "best_val_accuracy"],
    ).dropna()
    facts = plain.trials.iloc[[0] * len(rows)].reset_index(drop=True)
    trials = facts.assign(
        **rows.reset_index(drop=True).astype({"fold": "Int64"}),
        last_val_accuracy=rows["best_val_accuracy"].to_numpy() - 0.01,
        trial_id=[f"t{number}" for number in range(len(rows))],
        configuration_id=[f"c{kernel}" for kernel in rows["kernel_size"]],
        name=[f"K{kernel}" for kernel in rows["kernel_size"]],
        number=range(len(rows)),
        best_epoch=1,
        epochs_trained=1,
        folds=folds,
    )
    measurements = plain.measurements.iloc[[0] * len(rows)].reset_index(drop=True)
    measurements = measurements.assign(
        trial_id=trials["trial_id"], val_accuracy=trials["best_val_accuracy"]
    )
    info = replace(plain.info, searched=("kernel_size",), tied={}, **under("none"), rungs=())
    path = plain.path.parent / name
    return replace(plain, path=path, trials=trials, measurements=measurements, info=info)


def accuracies(seed=0):
    """Two configurations on the same folds; the worse one has the luckiest fold."""
    rng = np.random.default_rng(seed)
    of_fold = rng.normal(0, 0.02, FOLDS)
    worse, better = (mean + of_fold + rng.normal(0, 0.005, FOLDS) for mean in (0.58, 0.60))
    worse[0] = LUCKY
    return {3: worse, 5: better}


@pytest.fixture(scope="module")
def run(plain):
    return over_folds(plain, accuracies())


def corrected(values):
    """Return mean and 95 % interval of Nadeau and Bengio over ten folds."""
    half = stats.t.isf(0.025, FOLDS - 1) * np.std(values, ddof=1) * np.sqrt(1 / FOLDS + 1 / 9)
    return np.mean(values), np.mean(values) - half, np.mean(values) + half


def test_levels_have_the_interval_of_the_folds_and_the_comparisons(run):
    means = marginal_means(run).set_index("level")
    told = folds(run).frame
    told = told[told["fold"] == AVERAGE].set_index("name")
    for kernel, values in accuracies().items():
        row = means.loc[str(kernel)]
        assert row[["mean", "low", "high"]].tolist() == pytest.approx(corrected(values))
        average = told.loc[f"K{kernel}", ["accuracy", "accuracy_low", "accuracy_high"]].tolist()
        assert row[["mean", "low", "high"]].tolist() == pytest.approx(average)


def test_effects_of_levels_are_paired_by_fold(run):
    own = accuracies()
    row = marginal_means(run).set_index("level").loc["5"]
    effect = (own[5] - own[3]) / 2  # from the mean of both levels
    keys = ["effect", "effect_low", "effect_high"]
    assert row[keys].tolist() == pytest.approx(corrected(effect))


def test_levels_are_compared_on_the_folds_that_all_have(plain):
    own = accuracies()
    own[5][7:] = np.nan
    means = marginal_means(over_folds(plain, own)).set_index("level")
    assert means.loc["5", "effect"] == pytest.approx((own[5] - own[3])[:7].mean() / 2)
    # A level's own mean is over all folds that its configurations have.
    assert means.loc["3", "mean"] == pytest.approx(own[3].mean())
    own[5][1:] = np.nan
    single = over_folds(plain, own)
    row = marginal_means(single).set_index("level").loc["5"]
    assert np.isnan(row["effect_low"])
    assert row["effect"] == pytest.approx((own[5][0] - own[3].mean()) / 2)
    with pytest.raises(NotKnownError, match="too few folds to judge the hyperparameters by"):
        effects(single)


def test_a_configuration_that_lacks_a_fold_is_judged_on_the_others(plain):
    own = accuracies()
    own[7] = np.r_[own[5][:9] + 0.05, np.nan]
    frame = effects(over_folds(plain, own))
    assert frame["df"].tolist() == [2]
    own = {kernel: values[:9] for kernel, values in own.items()}
    nine = effects(over_folds(plain, own))
    assert frame["share"].iloc[0] == pytest.approx(nine["share"].iloc[0])


def test_notes_and_captions_tell_of_folds(run):
    assert any(note.startswith("Intervals: over the folds") for note in levels_table(run).notes)
    assert "over the folds" in next(figure.effects(run)).caption
    notes = effects_table(run).notes
    assert not any("type II" in note for note in notes)
    assert any(note.startswith("Error: differences of an effect between folds") for note in notes)
    adaptive = replace(run, info=replace(run.info, **by("tpe")))
    notes = levels_table(adaptive).notes
    assert any(note.startswith("No interval: ") for note in notes)
    assert not any(note.startswith("Intervals: ") for note in notes)


def test_folds_are_no_replicates(run):
    assert list(TABLES["replicates"](run)) == []


def test_a_fold_has_the_interval_of_its_pictures(run):
    row = folds(run).frame.iloc[0]
    interval = stats.binomtest(round(LUCKY * 400), SPLIT_SIZES["val"]).proportion_ci(
        method="wilson"
    )
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(
        (interval.low, interval.high)
    )


def test_the_average_is_the_headline_and_not_the_luckiest_fold(run):
    mean, low, high = corrected(accuracies()[5])
    assert headline(run) == {"best average over folds": f"{100 * mean:.1f} %"}
    sentence = next(each for each in found(run) if each.startswith("The best"))
    assert f"is K5: validation accuracy {100 * mean:.1f} %" in sentence
    assert f"{100 * low:.1f} % to {100 * high:.1f} %" in sentence
    assert "n = 4,000 pictures" in sentence
    assert not any(f"{100 * LUCKY:.1f} %" in each for each in found(run))


@pytest.mark.usefixtures("undrawn")
def test_a_report_shows_the_average_and_nothing_as_replicates(run, plain, tmp_path):
    written = report.write_report(replace(run, path=plain.path), tmp_path / "out", lambda _: None)
    page = written.page.read_text("utf-8")
    assert "best average over folds" in page
    assert "validation accuracy of the incumbent" not in page
    assert "Replicates differ only in the seed" not in page


def test_means_of_a_comparison_over_folds_have_the_interval_that_allows_for_overlap(run):
    means = against_incumbent(run).means.loc["c3"]
    keys = ["accuracy", "accuracy_low", "accuracy_high"]
    assert means[keys].tolist() == pytest.approx(corrected(accuracies()[3]))


def test_the_best_average_is_what_the_others_are_compared_with(run):
    assert against_incumbent(run).reference == "c5"


def test_selection_is_of_the_average(run):
    frame = selection(run).set_index("estimate")
    keys = ["accuracy", "accuracy_low", "accuracy_high"]
    assert frame.index.tolist() == ["best epoch", "last epoch"]
    assert frame.loc["best epoch", keys].tolist() == pytest.approx(corrected(accuracies()[5]))
    assert frame.loc["last epoch", "accuracy"] == pytest.approx(accuracies()[5].mean() - 0.01)
    assert frame["n"].tolist() == [4_000, 4_000]
    assert "K5" in selection_table(run).views[0].title


def test_two_runs_are_compared_over_the_folds_that_they_share(plain):
    own = accuracies()
    first = over_folds(plain, {3: own[3]}, "first")
    second = over_folds(plain, {5: own[5]}, "second")
    compared = compare_runs(first, second)
    sentence = next(each for each in compared.found if "corrected resampled t test" in each)
    shown = [f"{100 * value:+.1f}" for value in corrected(own[3] - own[5])]
    assert "{} percentage points (95 % interval {} to {})".format(*shown) in sentence
    assert "Over the 10 folds" in sentence
    assert not any("replicates" in each for each in compared.found)
    frame = compared.best.frame
    assert frame["name"].tolist() == ["K5", "K3"]
    keys = ["accuracy", "accuracy_low", "accuracy_high"]
    assert frame.loc[0, keys].tolist() == pytest.approx(corrected(own[5]))
    assert frame["n"].tolist() == [4_000, 4_000]


def test_runs_without_common_folds_are_not_compared(plain):
    own = accuracies()
    first = over_folds(plain, {3: own[3]}, "first")
    fives = over_folds(plain, {5: own[5][:5]}, "second", folds=5)
    for second in (fives, plain):
        compared = compare_runs(first, second)
        assert not any("t test" in each for each in compared.found)
        assert any("not trained on the same folds" in each for each in compared.unknown)


def test_the_best_average_is_of_the_configurations_with_the_most_folds(plain):
    own = accuracies()
    lucky = np.full(FOLDS, np.nan)
    lucky[2:4] = 0.9
    average = fold_average(over_folds(plain, {7: lucky, **own}))
    assert (average.configuration_id, average.name) == ("c5", "K5")
    assert average.per_fold.tolist() == pytest.approx(own[5].tolist())
    two = fold_average(over_folds(plain, {7: lucky[2:4]}))
    assert (two.accuracy, len(two.per_fold)) == (pytest.approx(0.9), 2)
    assert fold_average(plain) is None
    one = over_folds(plain, {7: lucky[2:3], 5: [np.nan, 0.5]})
    assert fold_average(one) is None
    with pytest.raises(NotKnownError, match="no configuration was trained on two folds"):
        against_incumbent(one)


def test_of_losses_the_lowest_average_is_the_best(plain):
    run = over_folds(plain, accuracies())
    trials = run.trials.assign(best_val_loss=1 - run.trials["best_val_accuracy"])
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    loss = replace(run, trials=trials, info=replace(run.info, objective=objective))
    assert fold_average(loss).configuration_id == "c5"
    turned = trials.assign(best_val_loss=trials["best_val_accuracy"])
    assert fold_average(replace(loss, trials=turned)).configuration_id == "c3"


def test_repeats_deal_the_same_pictures_again(plain):
    """Ten folds that are two repeats of five."""
    own = accuracies()[5]
    run = over_folds(plain, {5: own}, folds=5)
    assert held_out_ratio(run) == pytest.approx(1 / 4)
    assert fold_average(run).pictures == 5 * SPLIT_SIZES["val"]
    half = stats.t.isf(0.025, 9) * own.std(ddof=1) * np.sqrt(1 / 10 + 1 / 4)
    assert fold_average(run).high == pytest.approx(own.mean() + half)
    table = folds(run)
    assert table.frame["fold"].tolist() == [*map(str, range(5)), *map(str, range(5)), AVERAGE]
    assert table.frame["repeat"].tolist()[:10] == [0] * 5 + [1] * 5
    assert table.frame["n"].tolist() == [400] * 10 + [2_000]
    assert "repeat" in table.views[0].shown(table.frame)


def test_the_folds_of_a_dataset_are_ten_where_the_trials_do_not_tell(run):
    assert folds_in_a_repeat(replace(run, trials=run.trials.drop(columns="folds"))) == 10
    assert folds_in_a_repeat(replace(run, trials=run.trials.assign(folds=pd.NA))) == 10
    assert folds_in_a_repeat(replace(run, trials=run.trials.assign(folds=4))) == 4


def test_seeds_of_a_fold_are_averaged_first(plain):
    run = over_folds(plain, {5: [0.5, 0.7, 0.6]})
    again = run.trials.iloc[[0]].assign(trial_id="again", best_val_accuracy=0.56, number=3)
    run = replace(run, trials=pd.concat([run.trials, again], ignore_index=True))
    means = fold_means(fairly_trained(run), 1 / 9)
    assert means.loc["c5", "accuracy"] == pytest.approx((0.53 + 0.7 + 0.6) / 3)
    assert means.loc["c5", "trainings"] == 4
    assert means.loc["c5", "trial_id"] == "t0"
    frame = folds(run).frame
    assert frame["accuracy"].tolist()[:2] == pytest.approx([0.53, 0.7])
    # Wilson's interval is of one network, and the first fold has two.
    assert frame["accuracy_low"].notna().tolist() == [False, True, True, True]


def test_folds_of_broken_trials_make_no_run_over_folds(run, plain):
    assert has_folds(run)
    assert not has_folds(plain)
    failed = run.trials["status"].where(run.trials["fold"] == 0, "FAILED")
    assert not has_folds(replace(run, trials=run.trials.assign(status=failed)))


def test_effects_over_folds_take_the_folds_for_what_they_are(run):
    own = accuracies()
    frame = effects_table(run).frame
    y = np.concatenate([own[3], own[5]])
    between = FOLDS * sum((each.mean() - y.mean()) ** 2 for each in own.values())
    assert frame["share"].iloc[0] == pytest.approx(between / ((y - y.mean()) ** 2).sum(), rel=1e-6)
    # Two configurations on the same folds: F is the square of the paired t, over 1 + J / (k - 1).
    paired = stats.ttest_rel(own[5], own[3]).statistic ** 2
    assert frame["f"].iloc[0] == pytest.approx(paired / (1 + 10 / 9), rel=1e-3)


def test_the_best_averages_stand_in_a_comparison_with_facts_of_their_own(plain, monkeypatch):
    monkeypatch.setattr("analysis.runs.table.SHOWN", 1)
    own = accuracies()
    first = over_folds(plain, own, "first")
    second = over_folds(plain, {7: own[3][:4]}, "second")
    frame = compare_runs(first, second).best.frame.set_index("run")
    assert frame.loc["first", "name"] == "K5"  # the second of the run
    assert frame.loc["first", "last_accuracy"] == pytest.approx(own[5].mean() - 0.01)
    assert frame["replicates"].tolist() == [1, 1]
    assert frame.loc["second", "n"] == 4 * SPLIT_SIZES["val"]
    seconds = plain.trials["device_seconds"].iloc[0]
    assert frame.loc["first", "device_seconds"] == pytest.approx(10 * seconds)


def test_fewer_shared_folds_overlap_as_much_as_all(plain):
    own = accuracies()
    first = over_folds(plain, {3: own[3]}, "first")
    second = over_folds(plain, {5: own[5][:6]}, "second")
    sentence = next(each for each in compare_runs(first, second).found if "t test" in each)
    assert sentence.startswith("Over the 6 folds that both were trained on, the best")
    values = (own[3] - own[5])[:6]
    half = stats.t.isf(0.025, 5) * values.std(ddof=1) * np.sqrt(1 / 6 + 1 / 9)
    shown = [f"{100 * value:+.1f}" for value in (values.mean() - half, values.mean() + half)]
    assert "(95 % interval {} to {})".format(*shown) in sentence


def test_a_single_shared_fold_compares_nothing(plain):
    own = accuracies()
    lone = np.full(FOLDS, np.nan)
    lone[4] = 0.7
    found = against_incumbent(over_folds(plain, {**own, 7: lone}))
    assert found.frame["id"].tolist() == ["c3"]
    assert found.candidates == 2


def test_a_configuration_with_a_single_fold_has_an_average_without_an_interval(plain):
    lone = np.full(FOLDS, np.nan)
    lone[4] = 0.7
    run = over_folds(plain, {7: lone, **accuracies()})
    frame = folds(run).frame
    own = frame[frame["configuration_id"] == "c7"]
    assert own["fold"].tolist() == ["4", AVERAGE]
    assert own["accuracy"].tolist() == [0.7, 0.7]
    assert own["accuracy_low"].notna().tolist() == [True, False]
    assert own["n"].tolist() == [SPLIT_SIZES["val"]] * 2
    few = run.trials.assign(n=pd.array([20] * len(run.trials), "Int64"))
    table = folds(replace(run, trials=few))
    shown = table.views[0].shown(table.frame)["accuracy"]
    assert {len(text) for text in shown} == {len("0.70")}, "what 20 pictures tell"


def test_configurations_stand_in_the_order_of_the_table_of_trials(plain):
    own = accuracies()
    frame = folds(over_folds(plain, {5: own[5], 3: own[3]})).frame
    assert frame["name"].drop_duplicates().tolist() == ["K5", "K3"]


def test_notes_of_the_folds_tell_of_wilson_only_where_there_are_pictures(run):
    assert any(note.startswith("95 % interval of a fold: Wilson, for") for note in folds(run).notes)
    none = replace(run, trials=run.trials.assign(n=pd.array([None] * len(run.trials), "Int64")))
    assert not any("Wilson" in note for note in folds(none).notes)
    assert f"95 % interval: of the average, {CORRECTED}." in folds(none).notes


def three(seed=1):
    """Three configurations on the same folds, the middle one in the middle."""
    rng = np.random.default_rng(seed)
    of_fold = rng.normal(0, 0.02, FOLDS)
    return {
        k: m + of_fold + rng.normal(0, 0.01, FOLDS) for k, m in ((3, 0.6), (5, 0.58), (7, 0.59))
    }


def test_over_folds_the_others_stand_best_first_and_allow_for_every_pair(plain):
    own = three()
    frame = against_incumbent(over_folds(plain, own)).frame.set_index("id")
    assert frame.index.tolist() == ["c7", "c5"]
    for kernel in (7, 5):
        values = own[kernel] - own[3]
        error = values.std(ddof=1) * np.sqrt(1 / FOLDS + 1 / 9)
        reach = stats.t.isf(0.05 / 3 / 2, FOLDS - 1) * error
        row = frame.loc[f"c{kernel}"]
        keys = ["difference", "difference_low", "difference_high", "p_value"]
        p = 2 * stats.t.sf(abs(values.mean()) / error, FOLDS - 1)
        mean = values.mean()
        assert row[keys].tolist() == pytest.approx([mean, mean - reach, mean + reach, p])
    smallest = frame.loc[frame["p_value"].idxmin()]
    assert smallest["p_adjusted"] == pytest.approx(min(1, 3 * smallest["p_value"]))


def test_the_pictures_of_all_folds_are_those_of_a_whole_repeat(plain):
    own = accuracies()[5]
    own[9] = np.nan  # the second repeat of five folds lacks one
    assert fold_average(over_folds(plain, {5: own}, folds=5)).pictures == 5 * SPLIT_SIZES["val"]


def test_the_average_has_the_folds_of_its_own_configuration_and_no_pictures_without_n(run):
    average = fold_average(run)
    assert average.configuration_id == "c5"
    assert average.per_fold.tolist() == pytest.approx(accuracies()[5].tolist())
    unknown_n = run.trials.assign(n=pd.array([None] * len(run.trials), "Int64"))
    assert fold_average(replace(run, trials=unknown_n)).pictures is None


def test_folds_of_few_pictures_are_compared_by_their_averages(run):
    few = run.trials.assign(n=pd.array([9] * len(run.trials), "Int64"))
    found = against_incumbent(replace(run, trials=few)).frame
    assert found["difference"].tolist() == against_incumbent(run).frame["difference"].tolist()


def test_the_pictures_of_a_fold_count_once_for_all_its_seeds(plain):
    run = over_folds(plain, {5: [0.5, 0.7, 0.6]})
    again = run.trials.iloc[[0]].assign(trial_id="again", number=3)
    run = replace(run, trials=pd.concat([run.trials, again], ignore_index=True))
    assert fold_average(run).pictures == 3 * SPLIT_SIZES["val"]
    assert folds(run).frame["n"].tolist() == [400, 400, 400, 1_200]


def test_sentences_over_folds_name_the_lowest_and_the_highest_and_ask_for_no_test(run):
    own = accuracies()[5]
    told = next(each for each in found(run) if each.startswith("The best"))
    assert told.endswith(
        f"single folds reach from {100 * own.min():.1f} % to {100 * own.max():.1f} %."
    )
    assert "by its average over 10 folds is" in told
    assert not any("test split" in each for each in unknown(run))
    assert not any("each configuration was trained once" in each for each in unknown(run))


def test_the_best_average_was_picked_from_configurations_not_from_trainings(run):
    frame = selection(run)
    assert frame["models"].tolist() == [2, 2]
    assert frame["openings"].tolist() == [0, 0]


def test_of_runs_that_share_folds_it_is_not_said_that_they_do_not(plain):
    own = accuracies()
    compared = compare_runs(
        over_folds(plain, {3: own[3]}, "first"), over_folds(plain, {5: own[5]}, "second")
    )
    (only,) = compared.unknown
    assert only.startswith("How much of each best accuracy is selection bias")
