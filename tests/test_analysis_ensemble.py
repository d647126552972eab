"""The ensemble of the best models: how it is chosen, and what is expected of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from analysis.__main__ import main
from analysis.ensembles import statistics
from analysis.ensembles.statistics import corrected_for_choosing, ensemble
from analysis.ensembles.table import ensemble_table
from analysis.report.tables import TABLES
from analysis.run.run_data import read_run
from analysis.selection.statistics import selection
from analysis.statistics.clusters import Clusters, clusters_of
from analysis.statistics.estimate import NotKnownError
from tests.support.candidates import candidates, of_two_classes
from tests.support.discs import CLASSES, SPLIT_SIZES
from tests.support.in_process import few_pictures_fixture, finished_run_fixture  # noqa: F401 - fixtures, used by name
from tests.support.run_factory import Factory
from tune.commands.test import open_test
from tune.run.directory import ENSEMBLE, LEDGER_FILE, predictions_file
from tune.run.ensemble import choose
from tune.run.tables import read_predictions, with_members, write_table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small"))


@pytest.fixture(name="trained_run")
def trained_run_fixture(tmp_path, finished_run):
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def drawn_models(rng, clusters, models=8):
    """Equal models whose errors no model of ours assumes; (val, test) with 5,000 test pictures.

    Pictures differ in difficulty with heavy tails, each model has a taste in classes that it shares
    with none, and the pictures of a cluster are alike.
    """
    taste = rng.standard_t(3, (models, 1, 4)) * 0.2
    made = []
    for count, size in ((clusters, 3), (5_000, 1)):
        labels = np.repeat(rng.integers(0, 4, count), size)
        hard = np.repeat(rng.standard_t(2, count), size) * 0.4
        shared = np.repeat(rng.standard_t(3, (count, 4)), size, axis=0) * 0.5
        own = np.repeat(rng.standard_t(3, (models, count, 4)), size, axis=1) * 0.6
        scores = shared + own + taste
        scores[:, np.arange(len(labels)), labels] += 1.2 - hard
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        made.append(candidates(shares / shares.sum(axis=2, keepdims=True), labels))
    return made


def test_the_chosen_ensemble_of_equal_models_is_brought_back_to_the_truth():
    as_chosen, corrected, true, gain, true_gain = [], [], [], [], []
    for seed in range(40):
        val, test = drawn_models(np.random.default_rng(seed), 100)
        times = choose(val, np.ones((1, 300), int))[0]
        as_chosen.append(val.right(times).mean())
        true.append(test.right(times).mean())
        single = (val.probabilities.argmax(axis=2) == val.labels).mean(axis=1).argmax()
        true_gain.append(true[-1] - test.right(np.eye(8, dtype=int)[single]).mean())
        found = corrected_for_choosing(
            val, seed, 60, clusters=Clusters(of=np.repeat(np.arange(100), 3))
        )
        corrected.append(found.accuracy.accuracy)
        gain.append(found.gain.accuracy)
    errors = np.subtract(corrected, true)
    error = errors.std(ddof=1) / np.sqrt(len(errors))
    assert np.mean(as_chosen) - np.mean(true) > 6 * error, "choosing flatters"
    # A draw holds 63 % of the pictures, so what is chosen on it is slightly worse.
    assert -0.01 - 2 * error < errors.mean() < 2 * error
    assert np.mean(gain) == pytest.approx(np.mean(true_gain), abs=0.012)


def test_the_interval_covers_the_accuracy_of_a_model_far_ahead():
    rng = np.random.default_rng(0)
    margins = np.where(rng.random((4, 900)) < np.array([0.9, 0.5, 0.5, 0.5])[:, None], 0.4, -0.01)
    margins[0] = np.where(rng.random(900) < 0.9, 0.4, -0.4)
    margins[1:] = np.where(margins[0] > 0, 0.1, -0.1)
    found = corrected_for_choosing(of_two_classes(margins))
    value, low, high = found.accuracy
    assert value == pytest.approx((margins[0] > 0).mean(), abs=0.003)
    assert low < value < high
    assert found.gain == (0, 0, 0)
    assert corrected_for_choosing(of_two_classes(margins)) == found, "of the same draws"


def test_the_table_shows_the_ensemble_as_chosen_and_corrected(run):
    found = ensemble(run)
    frame = found.frame.set_index("estimate")
    assert frame.index.tolist() == ["as chosen", "corrected"]
    assert frame.loc["corrected", "accuracy"] < frame.loc["as chosen", "accuracy"]
    assert frame.loc["as chosen", "accuracy"] >= run.completed["best_val_accuracy"].max()
    assert (frame["n"] == SPLIT_SIZES["val"]).all()
    assert (frame["models"] == len(run.completed)).all()
    chosen = frame.loc["as chosen"]
    theirs = proportion_confint(400 * chosen["accuracy"], 400, method="wilson")
    assert (chosen["accuracy_low"], chosen["accuracy_high"]) == pytest.approx(theirs)
    assert (frame["openings"] == 0).all()
    table = ensemble_table(run)
    members = next(note for note in table.notes if note.startswith("Members:"))
    assert " 1 times" not in members
    for trial in run.trials.to_dict("records"):
        assert (f"(trial {trial['number']})" in members) == (trial["trial_id"] in found.members)
    assert "was not opened for it; `python -m tune test" in table.notes[-1]
    assert [made.name for made in TABLES["ensemble"](run)] == ["ensemble"]


def test_pictures_of_one_cluster_leave_none_out_and_dependent_ones_widen_the_interval(
    run, monkeypatch
):
    monkeypatch.setattr(statistics, "read_clusters", lambda _, ids: clusters_of([0] * len(ids)))
    monkeypatch.setattr(statistics, "effective_of", lambda *_: 100.0)
    found = ensemble.__wrapped__(run)
    assert found.gain is None
    (row,) = found.frame.to_dict("records")
    assert row["estimate"] == "as chosen"
    theirs = proportion_confint(100 * row["accuracy"], 100, method="wilson")
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(theirs)


def test_the_accuracy_is_that_of_the_mean_of_probabilities(run):
    found = ensemble(run)
    total, labels = np.zeros((SPLIT_SIZES["val"], len(CLASSES))), None
    for trial_id, times in found.members.items():
        table = read_predictions(run.path, trial_id).sort_by("image_id")
        total += times * np.array(table["probabilities"].to_pylist())
        labels = table["label"].to_numpy()
    assert found.frame["accuracy"].iloc[0] == (total.argmax(axis=1) == labels).mean()


def test_what_is_missing_is_said(tmp_path, capsys):
    path = Factory().write(tmp_path / "run")
    run = read_run(path)
    order = run.completed.sort_values("best_val_accuracy")["trial_id"]
    predictions_file(path, order.iloc[-1]).unlink()
    table = ensemble_table(read_run(path))
    assert any("1 of the best completed trials has no predictions" in note for note in table.notes)
    for trial_id in order.iloc[:-2]:
        predictions_file(path, trial_id).unlink()
    assert list(TABLES["ensemble"](read_run(path))) == []
    assert main(["table", str(path), "--what", "ensemble"]) == 2
    told = capsys.readouterr().err
    assert f"but 1 of {len(order)} has them" in told


def test_an_objective_other_than_accuracy_has_no_ensemble(run):
    objective = {"metric": "val_loss", "mode": "min", "at": "best"}
    other = replace(run, info=replace(run.info, objective=objective))
    with pytest.raises(NotKnownError, match="by right answers, but the objective is val_loss"):
        ensemble(other)


def test_the_opened_ensemble_stands_in_the_tables(trained_run):
    assert "test" not in set(ensemble(read_run(trained_run)).frame["estimate"])
    open_test(trained_run, ensemble=True)
    with (trained_run / LEDGER_FILE).open("a") as ledger:
        ledger.write('{"event": "test_opened", "trial": "another"}\n')
    rows = read_predictions(trained_run, ENSEMBLE).to_pylist()
    right = [np.argmax(row["probabilities"]) == row["label"] for row in rows]
    row = ensemble(read_run(trained_run)).frame.set_index("estimate").loc["test"]
    assert (row["accuracy"], row["n"], row["openings"]) == (np.mean(right), len(right), 2)
    assert row["models"] == 0
    theirs = proportion_confint(sum(right), len(right), method="wilson")
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(theirs)
    # The members' own test accuracies stay closed.
    assert "test" not in set(selection(read_run(trained_run))["estimate"])


def test_an_ensemble_of_other_members_is_not_shown_as_this_one(trained_run):
    open_test(trained_run, ensemble=True)
    table = read_predictions(trained_run, ENSEMBLE)
    write_table(with_members(table, {"another": 1}), predictions_file(trained_run, ENSEMBLE))
    found = ensemble(read_run(trained_run))
    assert "test" not in set(found.frame["estimate"])
    assert found.stale
