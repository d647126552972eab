"""Pictures that belong together: standard errors, effective n, tests, and what a run tells."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.classes.scores import class_effects, per_class
from analysis.classes.table import classes
from analysis.comparisons.replicates_table import replicates
from analysis.comparisons.table import comparisons
from analysis.curves.incomplete_table import incomplete
from analysis.effects.table import effects_table, levels_table
from analysis.groups.bias import study_bias
from analysis.run.clusters import effective_n, picture_notes, read_clusters
from analysis.run.predictions import read_right
from analysis.run.run_data import read_run
from analysis.run.trials import ranked
from analysis.selection.table import selection_table
from analysis.statistics.bootstrap import mean_intervals
from analysis.statistics.clusters import clusters_of, design_effect, deviations, singles
from analysis.statistics.intervals import wilson
from analysis.statistics.pairs import compare_models
from analysis.statistics.trainings import contrast
from analysis.trials.table import models
from benchmarks.simulated_runs import World
from tests.support.discs import SPLIT_SIZES
from tests.support.run_factory import Factory
from tests.support.trainings import trainings_of


@pytest.fixture(scope="module")
def correct():
    rng = np.random.default_rng(0)
    easy = rng.normal(0, 1, 500)
    return rng.normal(0, 1, (6, 500)) < easy + rng.normal(0.3, 0.1, (6, 1))


def trained(correct, clusters=None):
    accuracy = correct.mean(axis=1)
    groups = {name: accuracy[3 * k : 3 * k + 3] for k, name in enumerate("ab")}
    return replace(trainings_of(groups, correct), clusters=clusters)


def test_deviations_of_pictures_that_stand_alone_give_the_variance_of_a_mean():
    values = np.random.default_rng(0).normal(0, 1, 40)
    found = (deviations(values, singles(40)) ** 2).sum()
    assert found == pytest.approx(values.var(ddof=1) / 40, rel=1e-12)


def test_deviations_of_clusters_are_those_of_rao_and_scott():
    right = np.array([1, 1, 1, 0, 1, 0])
    clusters = clusters_of(["a", "b", "a", "c", "a", "b"])
    assert clusters.sizes.tolist() == [3, 2, 1]
    # By hand: sums 3, 1, 0 of 3, 2, 1 pictures with a mean of 2/3; G / (G - 1) = 3/2.
    by_hand = 1.5 * ((3 - 2) ** 2 + (1 - 4 / 3) ** 2 + (0 - 2 / 3) ** 2) / 36
    assert (deviations(right, clusters) ** 2).sum() == pytest.approx(by_hand, rel=1e-12)


def test_copies_of_every_picture_change_no_interval_and_no_test(correct):
    twice, clusters = np.repeat(correct, 2, axis=1), clusters_of(np.repeat(np.arange(500), 2))
    weights = pd.Series({"a": 1.0, "b": -1.0})
    one, two = contrast(trained(correct), weights), contrast(trained(twice, clusters), weights)
    assert (two.value, two.standard_error, two.df) == pytest.approx(
        (one.value, one.standard_error, one.df)
    )
    pd.testing.assert_frame_equal(
        mean_intervals(trained(twice, clusters)), mean_intervals(trained(correct))
    )
    pair = compare_models(correct[0], correct[5])
    same = compare_models(twice[0], twice[5], clusters)
    assert same.p_value == pytest.approx(pair.p_value)
    assert same.interval() == pytest.approx(pair.interval())
    assert same.estimate.standard_error == pytest.approx(pair.estimate.standard_error, rel=2e-3)
    assert design_effect([(twice[0], clusters)]) == pytest.approx(2, rel=3e-3)


def test_copies_that_are_taken_for_pictures_halve_a_variance(correct):
    twice, clusters = np.repeat(correct, 2, axis=1), clusters_of(np.repeat(np.arange(500), 2))
    honest = (trained(twice, clusters).by_picture ** 2).sum(axis=1)
    assert honest == pytest.approx(2 * (trained(twice).by_picture ** 2).sum(axis=1), rel=2e-3)


def test_the_p_value_of_clusters_counts_all_exchanges_of_the_two_models():
    rng = np.random.default_rng(1)
    clusters = clusters_of([*[0] * 5, *[1] * 3, *[2] * 3, 3, 4, 5, 6, 6, 7])
    first, second = rng.random((2, 17)) < [[0.8], [0.4]]
    pair = compare_models(first, second, clusters)
    sums = clusters.sums(first.astype(int) - second)
    exchanged = [abs(np.dot(signs, sums)) for signs in product((-1, 1), repeat=len(sums))]
    share = np.mean(np.array(exchanged) >= abs(sums.sum()))
    assert 0 < share < 1
    assert pair.p_value == pytest.approx(share, rel=1e-12)


def test_clusters_of_different_sizes_do_not_widen_a_difference_that_all_pictures_have():
    right = np.ones(6, bool)
    pair = compare_models(right, ~right, clusters_of([0, 0, 0, 1, 2, 3]))
    assert pair.interval() == pytest.approx((1, 1))


def test_a_design_effect_of_several_models_is_one_estimate_and_at_least_1():
    rng = np.random.default_rng(0)
    clusters = clusters_of(np.repeat(np.arange(200), 3))
    alike = np.repeat(rng.random((2, 200)) < 0.6, 3, axis=1)
    assert design_effect((right, clusters) for right in alike) == pytest.approx(3, rel=0.01)
    contrary = np.tile([True, False, True], 200)  # each cluster has the same share: no spread
    assert design_effect([(contrary, clusters)]) == 1
    assert design_effect([(alike[0], singles(600))]) == 1


def test_where_all_answers_are_right_clusters_count_as_answered_alike():
    clusters = clusters_of([0, 0, 0, 1, 2, 3])
    assert design_effect([(np.ones(6, bool), clusters)]) == pytest.approx((9 + 3) / 6)


def test_a_single_cluster_counts_as_one_picture_and_the_largest_clusters_of_any_model_count():
    one = clusters_of([0, 0, 0])
    assert design_effect([(np.array([True, False, True]), one)]) == pytest.approx(3)
    large, small = clusters_of([0, 0, 0, 1]), clusters_of([0, 1, 2, 2])
    right = np.ones(4, bool)
    assert design_effect([(right, large), (right, small)]) == pytest.approx((9 + 1) / 4)
    assert design_effect([(right, singles(4)), (right, large)]) == pytest.approx((9 + 1) / 4)


def test_answers_that_are_all_right_have_an_interval_of_one_point():
    trainings = trainings_of({"a": [1.0, 1.0], "b": [0.5, 0.75]}, np.ones((4, 8), bool))
    row = mean_intervals(trainings).loc["a"]
    assert row["accuracy"] == 1
    assert 0 < row["accuracy_low"] <= row["accuracy_high"] == 1


def equal_pairs(count, alike, pictures=1_200):
    """Yield what two equally good models told right, the clusters, and the true accuracy."""
    world = World(pictures=pictures, level_taste=0.0, alike=alike)
    clusters, rng = clusters_of(world.groups), np.random.default_rng(5)
    design = pd.DataFrame({"configuration": ["a", "b"]})
    truth = world.accuracy(np.array([0.6]), 0)[0]
    for _ in range(count):
        yield *world.answers(rng, np.array([0.6, 0.6]), design), clusters, truth


def told(first, second, clusters, truth):
    """Return whether the Wilson interval and that of the difference hold, and the test is right."""
    effect = design_effect([(first, clusters), (second, clusters)])
    low, high = wilson(first.mean(), len(first) / effect)
    pair = compare_models(first, second, clusters)
    below, above = pair.interval()
    return low <= truth <= high, below <= 0 <= above, pair.p_value >= 0.05


def test_intervals_and_tests_of_few_pairs_of_equal_models_hold_their_level():
    # 40 pairs: more than 6 wrong have a probability of 0.3 % at a true rate of 5 %.
    right = [told(*pair) for pair in equal_pairs(40, alike=0.9, pictures=600)]
    assert (np.sum(right, axis=0) >= 40 - 6).all()


@pytest.mark.long
@pytest.mark.parametrize("alike", [0.7, 1.0])
def test_intervals_and_tests_of_equal_models_hold_their_level(alike):
    held, covered, quiet = np.mean([told(*pair) for pair in equal_pairs(2_000, alike)], axis=0)
    print(f"Wilson {held:.1%}, difference {covered:.1%}, false verdicts {1 - quiet:.1%}")
    # 2,000 pairs: 95 % is known to 0.5 points.
    assert 0.93 <= held <= 0.97
    assert 0.93 <= covered <= 0.97
    assert quiet >= 0.94


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    Factory().write(folder / "run", folder / "data")
    return folder


def rewrite(place, columns):
    """Give the dataset other columns; a column that is None goes."""
    file = place / "data" / "images.parquet"
    table = pq.read_table(file)
    for name, values in columns.items():
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table if values is None else table.append_column(name, pa.array(values))
    pq.write_table(table, file)


def test_a_run_reads_its_clusters_from_the_dataset(place):
    count = sum(SPLIT_SIZES.values())
    rewrite(place, {"duplicate_group": np.arange(count) // 4})
    run = read_run(place / "run")
    right = read_right(run, run.completed["trial_id"].iloc[0])
    clusters = read_clusters(run, right.index)
    assert clusters.sizes.tolist() == [4] * (SPLIT_SIZES["val"] // 4)
    unknown = read_clusters(run, ["no picture", right.index[0], right.index[1], "nor this"])
    assert unknown.of.tolist() == [0, 1, 1, 2]


def test_a_split_group_counts_before_a_duplicate_group(place):
    count = sum(SPLIT_SIZES.values())
    groups = {"duplicate_group": np.arange(count), "split_group": np.arange(count) // 10}
    rewrite(place, groups)
    run = read_run(place / "run")
    right = read_right(run, run.completed["trial_id"].iloc[0])
    assert set(read_clusters(run, right.index).sizes.tolist()) == {10}
    rewrite(place, {"split_group": None})


def test_the_design_effect_is_that_of_the_best_models(place, monkeypatch):
    count = sum(SPLIT_SIZES.values())
    rewrite(place, {"duplicate_group": np.arange(count) // 4})
    monkeypatch.setattr("analysis.run.clusters.MOST_MODELS", 2)
    asked = []

    def effect(answers):
        asked.extend(right.tolist() for right, _ in answers)
        return 4.0

    monkeypatch.setattr("analysis.run.clusters.design_effect", effect)
    run = read_run(place / "run")
    best = ranked(run)["trial_id"].head(2)
    assert effective_n(run, run.completed).unique().tolist() == [SPLIT_SIZES["val"] / 4]
    assert asked == [read_right(run, trial_id).tolist() for trial_id in best]


def test_the_effective_n_is_told_where_it_differs_from_n(place):
    count = sum(SPLIT_SIZES.values())
    rewrite(place, {"duplicate_group": np.arange(count)})
    run = read_run(place / "run")
    assert picture_notes(run) == ()
    assert effective_n(run, run.completed).tolist() == [SPLIT_SIZES["val"]] * len(run.completed)
    # The pictures of a cluster that all models told right or wrong alike.
    trial = run.completed.sort_values("best_val_accuracy")["trial_id"].iloc[-1]
    right = read_right(run, trial)
    groups = pd.Series(np.arange(count) + 1_000, [f"drawn/{i:05d}" for i in range(count)])
    groups[right.index[right][:40]] = 0
    rewrite(place, {"duplicate_group": groups.to_numpy()})
    run = read_run(place / "run")
    effective = effective_n(run, run.completed)
    assert (effective < SPLIT_SIZES["val"]).all()
    (note,) = picture_notes(run)
    assert f"n = 400 are worth {effective.iloc[0]:,.0f} (effective n)" in note


def test_without_the_dataset_tables_say_that_copies_count_as_pictures(place):
    run = replace(read_run(place / "run"), data=place / "nowhere")
    (note,) = picture_notes(run)
    assert note.startswith("Copies of a picture count as independent ones, for the dataset is no")
    assert read_clusters(run, ["a", "b"]).all_single
    rewrite(place, {"duplicate_group": None})
    (note,) = picture_notes(read_run(place / "run"))
    assert "for the dataset does not tell which pictures are copies" in note


def test_each_class_has_the_design_effect_of_its_own_pictures():
    rng = np.random.default_rng(0)
    alike = np.repeat(rng.random(200) < 0.6, 2)  # 200 pictures of the first class, and their copies
    told = pd.DataFrame({"label": [0] * 400 + [1] * 300, "predicted": 0})
    told["predicted"] = np.where([*alike, *(rng.random(300) < 0.7)], told["label"], 2)
    clusters = clusters_of([*np.repeat(np.arange(200), 2), *range(200, 500)])
    effects = class_effects(told, clusters, 3)
    assert effects["recall"].tolist() == pytest.approx([2, 1, 1], rel=0.02)
    assert effects["precision"].iloc[0] == pytest.approx(2, rel=0.02)  # all right: as if alike
    confusion = np.array([[240, 0, 160], [0, 210, 90], [0, 0, 0]])
    row = per_class(confusion, list("abc"), effects).iloc[0]
    theirs = wilson(0.6, 400 / effects["recall"].iloc[0])
    assert (row["recall_low"], row["recall_high"]) == pytest.approx(theirs)


def widths(table, name="accuracy"):
    return (table.frame[f"{name}_high"] - table.frame[f"{name}_low"]).dropna()


def test_every_table_of_accuracies_goes_by_the_effective_n(tmp_path):
    count, first = sum(SPLIT_SIZES.values()), SPLIT_SIZES["train"]
    Factory().write(tmp_path / "run", tmp_path / "data")
    before = read_run(tmp_path / "run")
    answers = [read_right(before, trial) for trial in before.comparable["trial_id"]]
    alike = pd.concat(answers, axis=1).sum(axis=1).sort_values(kind="stable").index
    groups = pd.Series(np.arange(count) + 1_000, [f"drawn/{i:05d}" for i in range(count)])
    groups[alike] = np.arange(len(alike)) // 8  # pictures that equally many trials told right
    assert (groups.iloc[:first] >= 1_000).all()
    of_models = {models: "accuracy", selection_table: "accuracy", classes: "recall"}
    of_models |= {incomplete: "accuracy"}
    alone = {make: widths(make(before), name) for make, name in of_models.items()}
    rewrite(tmp_path, {"duplicate_group": groups.to_numpy()})
    run = read_run(tmp_path / "run")
    for make, name in of_models.items():
        assert (widths(make(run), name) > 1.02 * alone[make]).mean() > 0.5, make.__name__
    assert widths(selection_table(run)).iloc[2] > 1.02 * alone[selection_table].iloc[2]
    for make in (*of_models, comparisons, replicates, effects_table, levels_table):
        assert any("(effective n)" in note for note in make(run).notes), make.__name__
    by_group = study_bias(run)
    assert by_group.answers["cluster"].nunique() == len(alike) // 8
    assert any("(effective n)" in note for note in by_group.notes)
