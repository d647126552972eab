"""What is reported of the incumbent: as picked, corrected for the picking, and on test."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from analysis.run.predictions import read_correct, read_right
from analysis.run.run_data import read_probabilities, read_run
from analysis.selection.statistics import corrected_for_selection, openings_of_test, selection
from analysis.statistics.clusters import clusters_of
from tests.support.discs import SPLIT_SIZES
from tests.support.hand_made import hand_made
from tests.support.run_factory import Factory, open_test
from tune.run.directory import LEDGER_FILE, PREDICTIONS_DIR


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


def test_the_best_of_equal_models_is_brought_back_to_the_truth():
    rng = np.random.default_rng(0)
    picked, corrected = [], []
    for seed in range(40):
        correct = rng.random((12, 1_000)) < 0.6
        picked.append(correct.mean(axis=1).max())
        corrected.append(corrected_for_selection(correct, seed, 200).accuracy)
    # The best of 12 seems 2.5 points better than it is; the mean of 40 is known to 0.2 points.
    assert np.mean(picked) == pytest.approx(0.625, abs=0.004)
    assert np.mean(corrected) == pytest.approx(0.6, abs=0.006)


def test_a_model_far_ahead_is_left_as_it_is():
    rng = np.random.default_rng(0)
    correct = rng.random((5, 2_000)) < np.array([0.9, 0.5, 0.5, 0.5, 0.5])[:, None]
    value, low, high = corrected_for_selection(correct)
    assert value == pytest.approx(correct[0].mean(), abs=0.002)
    assert low < value < high


def test_the_interval_of_the_only_candidate_covers_its_accuracy():
    correct = np.random.default_rng(0).random((1, 500)) < 0.7
    value, low, high = corrected_for_selection(correct)
    assert value == pytest.approx(correct.mean(), abs=0.005)
    assert low < correct.mean() < high


def test_best_epoch_last_epoch_and_corrected_stand_side_by_side(run):
    frame = selection(run).set_index("estimate")
    best = run.completed.sort_values("best_val_accuracy").iloc[-1]
    assert frame.index.tolist() == ["best epoch", "last epoch", "corrected"]
    assert frame.loc["best epoch", "accuracy"] == best["best_val_accuracy"]
    assert frame.loc["last epoch", "accuracy"] == best["last_val_accuracy"]
    assert frame.loc["corrected", "accuracy"] < frame.loc["best epoch", "accuracy"]
    assert (frame["n"] == SPLIT_SIZES["val"]).all()
    # The two trainings that made finalists do not rank them.
    assert (frame["models"] == len(run.comparable) - 2).all()


def test_an_objective_other_than_accuracy_is_not_corrected(run):
    objective = {"metric": "val_macro_f1", "mode": "max", "at": "best"}
    other = replace(run, info=replace(run.info, objective=objective))
    assert "corrected" not in set(selection(other)["estimate"])


def test_a_score_that_is_no_accuracy_has_no_wilson_interval(tmp_path):
    (tmp_path / "events.jsonl").touch()
    run = hand_made("f1", path=tmp_path, n=[40, 40], best_f1=[0.5, 0.6], last_f1=0.4)
    assert selection(run)[["accuracy_low", "accuracy_high"]].isna().all(axis=None)


def test_the_test_figure_has_its_own_pictures_and_counts_every_opening(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    order = run.completed.sort_values("best_val_accuracy")
    open_test(run.path, order["trial_id"].iloc[-1], accuracy=0.5, times=2)
    open_test(run.path, order["trial_id"].iloc[-2], accuracy=0.9)
    row = selection(run).set_index("estimate").loc["test"]
    theirs = stats.binomtest(30, 60).proportion_ci(method="wilson")
    assert (row["accuracy"], row["n"], row["models"], row["openings"]) == (0.5, 60, 1, 3)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx((theirs.low, theirs.high))
    assert sum(openings_of_test(run).values()) == 3


def test_test_predictions_that_the_ledger_does_not_know_are_not_shown(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    best = run.completed.sort_values("best_val_accuracy")["trial_id"].iloc[-1]
    open_test(run.path, best, accuracy=0.5, times=0)
    assert "test" not in set(selection(run)["estimate"])


def test_a_half_written_opening_does_not_count(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    with (run.path / LEDGER_FILE).open("a") as ledger:
        ledger.write('{"event": "test_opened", "tri')
    assert openings_of_test(run) == {}


def test_predictions_of_another_epoch_are_of_no_use(run):
    accuracy = run.completed.set_index("trial_id")["best_val_accuracy"]
    correct = read_correct(run, accuracy)
    assert np.allclose(correct.mean(axis=1), accuracy)
    assert read_correct(run, accuracy + 0.01) is None


def test_pictures_that_differ_between_trials_are_of_no_use(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    accuracy = run.completed.set_index("trial_id")["best_val_accuracy"]
    path = run.path / PREDICTIONS_DIR / f"{accuracy.index[0]}.parquet"
    table = pq.read_table(path)
    names = pa.array([f"other/{name}" for name in table["image_id"].to_pylist()])
    pq.write_table(table.set_column(0, "image_id", names), path)
    assert read_correct(run, accuracy) is None


def test_trials_may_have_written_the_same_pictures_in_another_order(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    accuracy = run.completed.set_index("trial_id")["best_val_accuracy"]
    before = read_correct(run, accuracy)
    for number in (0, 2):
        path = run.path / PREDICTIONS_DIR / f"{accuracy.index[number]}.parquet"
        table = pq.read_table(path)
        pq.write_table(table.take(np.random.default_rng(number).permutation(len(table))), path)
    assert read_correct(run, accuracy).equals(before)
    one = read_right(run, accuracy.index[0])
    assert one.equals(before.loc[accuracy.index[0]].rename(None))


def test_an_accuracy_may_miss_its_predictions_by_one_picture_but_not_by_two(run):
    trials = run.completed.set_index("trial_id")["best_val_accuracy"]
    for sign in (-1, 1):
        assert read_correct(run, trials + sign / SPLIT_SIZES["val"]) is not None
        assert read_correct(run, trials + sign * 2 / SPLIT_SIZES["val"]) is None


def test_rows_stand_in_the_order_asked_for_and_pictures_by_their_ids(run):
    accuracy = run.completed.set_index("trial_id")["best_val_accuracy"].iloc[::-1]
    correct = read_correct(run, accuracy)
    assert correct.index.tolist() == accuracy.index.tolist()
    assert correct.columns.is_monotonic_increasing
    for trial_id in accuracy.index:
        answers = read_probabilities(run, trial_id).set_index("image_id").loc[correct.columns]
        right = answers["label"] == answers["predicted"]
        assert (correct.loc[trial_id] == right).all()
    assert read_correct(run, accuracy, "test") is None
    assert read_correct(run, accuracy.head(0)) is None


def test_openings_are_counted_by_trial(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    with (run.path / LEDGER_FILE).open("a") as ledger:
        for trial in ("b", "a", "b"):
            ledger.write(json.dumps({"event": "test_opened", "trial": trial}) + "\n")
        ledger.write(json.dumps({"event": "note", "trial": "a", "text": "test_opened"}) + "\n")
    assert openings_of_test(run) == {"a": 1, "b": 2}


def test_only_completed_trials_are_candidates_while_there_are_some(run):
    stopped = replace(run, trials=run.trials.assign(status="EARLY_STOPPED"))
    frame = selection(stopped)
    assert set(frame["estimate"]) == {"best epoch", "last epoch"}
    assert (frame["models"] == len(run.trials)).all()


def told_right(run, trial_ids):
    rows = []
    for trial_id in trial_ids:
        answers = read_probabilities(run, trial_id).sort_values("image_id")
        rows.append((answers["label"] == answers["predicted"]).to_numpy())
    return np.array(rows)


def test_without_replicates_and_early_stopping_the_best_of_all_models_is_picked(run):
    search = run.completed[run.completed["phase"] == "search"]
    ordered = search.sort_values(["best_val_accuracy", "number"], ascending=[False, True])
    value, low, high = corrected_for_selection(told_right(run, ordered["trial_id"]))
    row = selection(replace(run, trials=search)).set_index("estimate").loc["corrected"]
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == (value, low, high)
    assert (row["openings"], row["models"]) == (0, len(search))


def test_finalists_are_picked_by_the_mean_of_the_trainings_that_rank_them(run):
    trials = run.comparable.set_index("trial_id")
    finalists = trials.loc[trials["phase"] == "finalist", "configuration_id"]
    lucky = trials["configuration_id"].isin(finalists) & (trials["phase"] == "search")
    trials = trials[~lucky].sort_values(
        ["status", "best_val_accuracy", "number"], ascending=[True, False, True]
    )
    curves = run.measurements.pivot_table(index="trial_id", columns="epoch", values="val_accuracy")
    whole = curves.loc[trials.index[trials["status"] == "COMPLETED"]]
    gain = {e: (whole.max(axis=1) - whole.loc[:, :e].max(axis=1)).mean() for e in (3, 6, 12)}
    assert 0 == gain[12] < gain[6] < gain[3]
    expected = trials["best_val_accuracy"] + trials["epochs_trained"].map(gain).astype(float)
    means = expected.groupby(trials["configuration_id"]).transform("mean")
    trials = trials.loc[means.sort_values(ascending=False, kind="stable").index]
    to_come = trials["epochs_trained"].map(gain).astype(float)
    theirs = corrected_for_selection(
        told_right(run, trials.index),
        to_come=to_come.to_numpy(),
        configuration=pd.factorize(trials["configuration_id"])[0],
    )
    row = selection(run).set_index("estimate").loc["corrected"]
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == pytest.approx(theirs)
    assert row["models"] == len(trials)


def test_the_best_of_replicates_is_brought_back_to_the_truth():
    # 8 equal configurations of 4 seeds each, with a taste in pictures that the seeds share.
    picked, corrected = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        taste = rng.random((8, 1, 600)) < 0.5
        correct = np.where(rng.random((8, 4, 600)) < 0.7, taste, rng.random((8, 4, 600)) < 0.7)
        best = correct.mean(axis=2)[correct.mean(axis=(1, 2)).argmax()].max()
        picked.append(best)
        found = corrected_for_selection(
            correct.reshape(32, 600), draws=200, configuration=np.repeat(np.arange(8), 4)
        )
        corrected.append(found[0])
    # The truth is 0.7 · 0.5 + 0.3 · 0.7; the mean of 30 is known to 0.4 points.
    assert np.mean(picked) > 0.58
    assert np.mean(corrected) == pytest.approx(0.56, abs=0.012)


def test_a_configuration_is_picked_by_its_mean_and_not_by_its_best_training():
    # The second has the best training, and by its mean it is far behind.
    right = np.arange(1_000)[None] % 100 < np.array([60, 60, 70, 30])[:, None]
    value, _, _ = corrected_for_selection(right, configuration=np.array([0, 0, 1, 1]))
    assert value == pytest.approx(0.6, abs=0.01)
    assert corrected_for_selection(right).accuracy == pytest.approx(0.7, abs=0.01)


def test_stopped_trials_without_predictions_leave_the_picking_at_the_end(tmp_path):
    run = read_run(Factory().write(tmp_path / "run"))
    stopped = run.trials[run.trials["status"] == "EARLY_STOPPED"]
    whole = selection(replace(run, trials=run.completed)).set_index("estimate").loc["corrected"]
    (run.path / PREDICTIONS_DIR / f"{stopped['trial_id'].iloc[0]}.parquet").unlink()
    row = selection(run).set_index("estimate").loc["corrected"]
    assert row["models"] == whole["models"] < len(run.completed)
    assert row["accuracy"] == whole["accuracy"]


def test_what_rungs_stopped_is_part_of_the_picking():
    # 27 equal models, of which the best 5 at a rung go on and gain ten points each. Corrected for
    # the picking among these 5 alone, the best of them still seems better than it is.
    naive, few, every = [], [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        late = rng.random((27, 600))
        early, whole = late < 0.5, late < 0.6
        best = np.argsort(-early.mean(axis=1))[:5]
        correct, gain = early.copy(), (whole[best].mean() - early[best].mean())
        correct[best] = whole[best]
        to_come = np.where(np.isin(np.arange(27), best), 0, gain)
        naive.append(whole[best].mean(axis=1).max())
        few.append(corrected_for_selection(whole[best], draws=200).accuracy)
        every.append(corrected_for_selection(correct, draws=200, to_come=to_come).accuracy)
    # The mean of 30 is known to 0.3 points.
    assert np.mean(naive) > 0.63
    assert np.mean(few) > 0.613
    assert np.mean(every) == pytest.approx(0.6, abs=0.01)


def test_copies_are_drawn_and_left_out_together():
    correct = np.random.default_rng(0).random((6, 300)) < 0.6
    twice = np.repeat(correct, 2, axis=1)
    clusters = clusters_of(np.repeat(np.arange(300), 2))
    found = corrected_for_selection(twice, clusters=clusters)
    assert found == pytest.approx(corrected_for_selection(correct))


def test_of_equal_models_the_first_is_picked_and_judged_on_the_other_pictures():
    # Two models, each right on its own half: whichever half is drawn more often picks its model,
    # which is then judged mostly on the other half. The first picked always would be right on half.
    half = np.arange(40) < 20
    value, _, _ = corrected_for_selection(np.array([half, ~half]))
    assert value < 0.46
    same = np.array([half, half])
    assert corrected_for_selection(same) == corrected_for_selection(same[:1])


def test_the_interval_of_the_corrected_estimate_holds_95_percent_of_the_draws():
    correct = np.arange(900) % 10 < 6
    value, low, high = corrected_for_selection(correct[None], draws=4_000)
    assert value == pytest.approx(0.6, abs=0.002)
    # About 900 / e pictures are not drawn: a share of so many out of 900, without replacement.
    left = 900 / np.e
    reach = 1.96 * np.sqrt(0.24 / left * (1 - left / 900))
    # Ends of 4,000 draws are uncertain by about 3 % of the width.
    assert high - value == pytest.approx(reach, rel=0.08)
    assert value - low == pytest.approx(reach, rel=0.08)


def test_two_candidates_are_enough_to_pick_from_and_one_is_not(run):
    order = run.completed.sort_values("best_val_accuracy", ascending=False)
    for count in (1, 2):
        few = replace(run, trials=order.head(count))
        assert ("corrected" in set(selection(few)["estimate"])) == (count == 2)
