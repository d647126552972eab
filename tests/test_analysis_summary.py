"""The sentences of a report, word by word, with figures computed from the trials by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.comparisons.best import Standing
from analysis.comparisons.best_table import best
from analysis.comparisons.statistics import against_incumbent
from analysis.effects.figure import compared_words
from analysis.effects.statistics import effects
from analysis.report import summary
from analysis.report.summary import found, unknown
from analysis.run.run_data import read_run
from analysis.run.trials import common_epoch, incumbent
from analysis.selection.statistics import CorrectedAccuracy, selection
from analysis.trials.headline import headline, percent, status_counts
from tests.support.hand_made import hand_made
from tests.support.run_factory import Factory, by, open_test, under

SINGLE = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(Factory().write(tmp_path_factory.mktemp("runs") / "small run"))


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """Two configurations, each trained five times."""
    factory = Factory(configurations=2, replicates=5, early_stopping=False, faults=False)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "repeated"))


def wilson(accuracy, n=400):
    interval = stats.binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return f"95 % interval {100 * interval.low:.1f} % to {100 * interval.high:.1f} %"


def sentence(told, start):
    return next(each for each in told if each.startswith(start))


def test_what_was_searched_is_told_with_levels_and_followers(run):
    assert found(run)[0] == (
        "The sweep searched kernel size (3, 5), blocks (2, 4; tied to it: FC layers), "
        "channels (8, 16) and convolution depth (1, 2, 3), by grid search with early stopping by "
        "ASHA."
    )


def test_other_searchers_schedulers_and_ranges_are_told_in_words(run):
    rates = np.geomspace(1e-4, 1e-1, len(run.trials))
    trials = run.trials.assign(learning_rate=rates)
    info = replace(run.info, **by("tpe"), **under("median"), searched=("learning_rate",))
    assert found(replace(run, trials=trials, info=info))[0] == (
        "The sweep searched learning rate (0.0001 to 0.1), by TPE (Bayesian) search with "
        "early stopping by the median rule."
    )
    info = replace(run.info, **by("random"), **under("none"), searched=("family",))
    assert found(replace(run, info=info))[0] == (
        "The sweep searched no hyperparameter with more than one value, by random search with no "
        "early stopping."
    )


def test_trials_are_counted_by_status_the_most_frequent_first(run):
    expected = {"completed": 10, "stopped early": 4, "diverged": 1, "failed": 1}
    assert list(status_counts(run).items()) == list(expected.items())
    assert found(run)[1] == (
        "It made 16 trials of 12 configurations: 10 completed, 4 stopped early, 1 diverged and "
        "1 failed."
    )


def test_the_best_trial_is_told_with_both_epochs(run):
    fair = run.completed[run.completed["phase"] == "finalist"]
    means = fair.groupby("configuration_id")["best_val_accuracy"].mean()
    own = fair[fair["configuration_id"] == means.idxmax()]
    best = own.loc[own["best_val_accuracy"].idxmax()]
    curve = run.measurements[run.measurements["trial_id"] == best["trial_id"]]
    curve = curve.set_index("epoch")["val_accuracy"]
    assert curve[12] < curve.max()
    assert found(run)[2] == (
        f"The best configuration by its mean over 2 fair trainings ({100 * means.max():.1f} %) is "
        f"{best['name']}. The best of them is trial {best['number']}: validation accuracy "
        f"{100 * curve.max():.1f} % at its best epoch ({curve.idxmax()}) and "
        f"{100 * curve[12]:.1f} % at its last (12), on n = 400 validation pictures "
        f"({wilson(curve.max())})."
    )
    ((words, value),) = headline(run).items()
    corrected = selection(run).set_index("estimate").loc["corrected"]
    low, high = corrected["accuracy_low"], corrected["accuracy_high"]
    assert corrected["accuracy"] < curve.max() - 0.01
    assert value == f"{100 * corrected['accuracy']:.1f} %"
    assert words == (
        "validation accuracy of the incumbent, corrected for picking it (95 % interval "
        f"{100 * low:.1f} % to {100 * high:.1f} %; as picked on validation: "
        f"{100 * curve.max():.1f} %)"
    )


def test_the_headline_is_the_test_accuracy_once_the_test_split_is_opened(tmp_path):
    path = Factory().write(tmp_path / "run")
    best = incumbent(read_run(path))
    open_test(path, best["trial_id"], 0.45)
    ((words, value),) = headline(read_run(path)).items()
    assert value == "45.0 %"
    assert words.startswith("test accuracy of the incumbent (95 % interval ")
    assert words.endswith(f"; as picked on validation: {100 * best['best_val_accuracy']:.1f} %)")


def test_at_last_the_headline_is_the_last_accuracy(run):
    last = replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
    accuracy = incumbent(last)["last_val_accuracy"]
    # Predictions are those of the best epoch, so nothing corrects the last one.
    words = "validation accuracy of the incumbent, as picked"
    assert headline(last) == {words: f"{100 * accuracy:.1f} %"}
    assert f"({wilson(accuracy)})" in found(last)[2]


def test_a_run_without_predictions_tells_neither_n_nor_an_interval(run):
    bare = replace(run, trials=run.trials.assign(n=pd.array([pd.NA] * 16, dtype="Int64")))
    text = found(bare)[2]
    assert text.endswith("at its last (12).")
    assert "nan" not in text


def test_without_a_completed_trial_the_best_says_so(run):
    stopped = run.trials.assign(status="EARLY_STOPPED")
    assert found(replace(run, trials=stopped))[2].startswith("The best trial (none completed) is ")


def test_picking_and_test_are_told_as_the_selection_has_them(tmp_path):
    run = read_run(Factory().write(tmp_path / "a run"))
    best = run.completed.sort_values("best_val_accuracy")["trial_id"].iloc[-1]
    open_test(run.path, best, accuracy=0.75)
    text = sentence(found(run), "Corrected")
    row = selection(run).set_index("estimate").loc["corrected"]
    low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
    assert text == (
        "Corrected for having been picked as the best of 12 on the pictures that judge it, its "
        f"accuracy is about {100 * row['accuracy']:.1f} % "
        f"(95 % interval {low:.1f} % to {high:.1f} %). "
        f"On 60 test pictures it is 75.0 % ({wilson(0.75, 60)}); they were opened 1 time."
    )
    assert not any("the test split was not opened" in each for each in unknown(run))


def test_those_that_cannot_be_told_from_the_best_are_named(run, monkeypatch):
    names = best(run).frame["name"]
    assert set(best(run).frame["verdict"]) == {Standing.MAY_BE}
    told = f"Of 2 configurations these cannot be told from the best: {names[0]} and {names[1]}."
    assert told in found(run)
    monkeypatch.setattr("analysis.report.summary.MOST_NAMED", 2)
    assert told in found(run)
    monkeypatch.setattr("analysis.report.summary.MOST_NAMED", 1)
    assert "2 of 2 configurations cannot be told from the best." in found(run)


def test_the_best_is_named_where_it_is_shown(repeated):
    worse = repeated.trials["configuration_id"] == repeated.trials["configuration_id"].iloc[0]
    lower = repeated.trials["best_val_accuracy"] - 0.4 * worse
    run = replace(repeated, trials=repeated.trials.assign(best_val_accuracy=lower))
    name = run.trials.loc[~worse, "name"].iloc[0]
    assert f"{name} is shown to be the best of 2 configurations." in found(run)


def test_the_lead_of_the_best_is_told_with_its_interval(run):
    row = best(run).frame.iloc[0]
    low, high = (f"{100 * row[f'difference_{end}']:+.1f}" for end in ("low", "high"))
    assert low.startswith("-")
    assert high.startswith("+")
    lead = f"{100 * row['difference']:.1f} percentage points"
    assert (
        f"{row['name']} is {lead} ahead of the best other one (95 % interval {low} to {high})."
    ) in found(run)


def test_the_best_of_many_are_told_to_be_a_part(run, monkeypatch):
    compared = replace(against_incumbent(run), candidates=5_000)
    monkeypatch.setattr(summary, "_compared", lambda _: compared)
    assert sentence(found(run), "Of the best").startswith(
        "Of the best 2 configurations (of 5,000) these cannot be told from the best: "
    )


def test_an_ensemble_is_told_where_it_is_shown_to_be_better(run, monkeypatch):
    monkeypatch.setattr(summary, "ensemble", lambda _: SimpleNamespace(gain=gain, members="abc"))
    for low, told in ((0.001, 1), (0.0, 0), (-0.01, 0)):
        gain = CorrectedAccuracy(accuracy=0.02, low=low, high=0.05)
        assert sum("The mean of 3 models" in each for each in found(run)) == told
    gain = CorrectedAccuracy(accuracy=0.02, low=0.001, high=0.05)
    assert sentence(found(run), "The mean of") == (
        "The mean of 3 models is better than the best single one: +2.0 percentage points (95 % "
        "interval +0.1 to +5.0, corrected for choosing them)."
    )


def test_what_matters_is_told_by_the_share_it_explains(repeated):
    frame = pd.DataFrame(
        {
            "term": ["fc_layers", "blocks × conv_depth", "channels"],
            "verdict": ["matters", "matters", "no effect shown"],
            "share": [0.104, 0.357, 0.6],
            "p_value": [0.01, 0.01, 0.9],
        }
    )
    told = summary._matters  # the real effects of a small run show too little to be ordered
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "known_effects", lambda _: frame)
        assert told(repeated) == (
            "What is shown to matter: blocks × convolution depth (36 % of the variance) and "
            "FC layers (10 % of the variance)."
        )


def test_that_nothing_is_shown_to_matter_is_told_only_where_it_was_judged(run):
    assert effects(run)["p_value"].notna().any()
    told = f"No hyperparameter is shown to matter after {common_epoch(run)} epochs."
    assert told in found(run)
    single = replace(run, trials=run.trials[run.trials["replicate"] == 0])
    assert not any("matter" in each for each in found(single))


def test_the_smallest_difference_shown_is_told_in_points(run):
    detectable = against_incumbent(run).frame["detectable"].median()
    assert sentence(unknown(run), "Differences").startswith(
        f"Differences from the incumbent below about {100 * detectable:.1f} percentage points:"
    )


def test_what_to_run_next_names_the_run(run):
    single = replace(run, trials=run.trials[run.trials["replicate"] == 0])
    extend = f"`python -m tune extend '{run.path}' --set replicates=5`"
    told = unknown(single)
    assert sentence(told, "Whether another seed").endswith(f"Add replicates with {extend}.")
    assert sentence(told, "Whether any hyperparameter").endswith(f"Add some with {extend}.")
    assert not any("each configuration was trained once" in each for each in unknown(run))
    assert f"(`python -m tune test '{run.path}'` does)" in unknown(run)[-1]
    assert not any(each.startswith("Whether any hyperparameter") for each in unknown(run))


def test_replicates_are_not_advised_where_the_searcher_chose_by_earlier_results(run):
    single = replace(run, trials=run.trials[run.trials["replicate"] == 0])
    guided = replace(single, info=replace(run.info, **by("cmaes")))
    assert not any(
        each.startswith("Whether any hyperparameter matters") for each in unknown(guided)
    )


def test_a_comparison_for_these_pictures_only_is_told(repeated):
    """Without predictions of the epoch that is compared."""
    at_last = {**repeated.info.objective, "at": "last"}
    last = replace(repeated, info=replace(repeated.info, objective=at_last))
    told = "Whether it holds on other pictures: no predictions."
    assert told in unknown(last)
    assert told not in unknown(repeated)


def test_trials_that_broke_are_counted_as_not_known(run, tmp_path):
    assert sentence(unknown(run), "What").startswith("What accuracy 2 trials that diverged")
    whole = read_run(SINGLE.write(tmp_path / "run"))
    assert not any("would have reached" in each for each in unknown(whole))


def test_trials_over_a_limit_are_told_in_words(run):
    trials = run.trials.replace({"status": {"FAILED": "OVER_LIMIT"}})
    limited = replace(run, trials=trials)
    assert "1 diverged and 1 over the limit." in found(limited)[1]
    told = sentence(unknown(limited), "What accuracy 2 trials")
    assert "diverged, failed, did not fit into memory or are over a limit would have" in told
    assert " 2 others failed or are over a limit and are not shown." in compared_words(limited)


@pytest.mark.parametrize("searcher", ["grid", "random", "sobol"])
def test_a_searcher_that_looks_at_no_result_is_fair(run, searcher):
    fair = replace(run, info=replace(run.info, **by(searcher)))
    assert not any("no verdict is given on hyperparameters" in each for each in unknown(fair))


def test_a_searcher_that_looks_at_results_is_named(run):
    guided = replace(run, info=replace(run.info, **by("cmaes")))
    assert "avoided would do: CMA-ES sampled adaptively" in " ".join(unknown(guided))


def test_a_percentage_has_one_digit():
    assert percent(0.12349) == "12.3 %"


def test_of_several_smallest_differences_the_median_is_told(run, monkeypatch):
    compared = replace(
        against_incumbent(run), frame=pd.DataFrame({"detectable": [0.012, 0.09, 0.021]})
    )
    monkeypatch.setattr(summary, "_compared", lambda _: compared)
    assert "below about 2.1 percentage points" in sentence(unknown(run), "Differences")


def measured(run):
    """Return the run with its best values measured after each of two epochs."""
    name = run.metric.name
    values = zip(run.trials["trial_id"], run.trials[f"best_{name}"], strict=True)
    rows = [{"trial_id": one, "epoch": epoch, name: v} for one, v in values for epoch in (1, 2)]
    trials = run.trials.assign(epochs_trained=2)
    return replace(run, trials=trials, measurements=pd.DataFrame(rows))


def of_pictures(path, right, **changes):
    """A run of single trainings that are right on these many of 40 pictures."""
    (path / "events.jsonl").touch()
    answers = {f"t{number}": np.arange(40) < count for number, count in enumerate(right)}
    accuracy = [count / 40 for count in right]
    made = hand_made(answers=answers, best_val_accuracy=accuracy, n=40, path=path, **changes)
    return measured(made)


def of_losses(path, **changes):
    """A run whose configurations a and b were trained two and three times; a is better."""
    (path / "events.jsonl").touch()
    values = [3.1, 3.0, 2.9, 2.0, 2.2]
    made = hand_made(
        "rmse",
        mode="min",
        path=path,
        configuration_id=list("bbbaa"),
        name=[f"net {name}" for name in "bbbaa"],
        best_rmse=values,
        last_rmse=values,
        width=[16, 16, 16, 8, 8],
        **changes,
    )
    return measured(made)


WIDTH = {"hyperparameters": ("width",), "searched": ("width",)}


def test_a_single_training_is_told_by_its_trial_and_models_are_compared_as_models(tmp_path):
    run = of_pictures(tmp_path, [30, 20])
    told = found(run)
    assert told[2] == (
        "The best completed trial is net 0 (trial 0): validation accuracy 75.0 % at its best epoch "
        f"(2) and 50.0 % at its last (2), on n = 40 validation pictures ({wilson(0.75, 40)})."
    )
    assert "net 0 is shown to be the best of 2 trained models." in told
    # No dataset of ours, so no test split that could be opened.
    assert sentence(unknown(run), "How well").endswith("has no measurement on a test split.")
    assert any("ahead of the best other one (95 % interval +0.0 to +" in each for each in told)


def test_levels_that_some_trials_do_not_have_are_left_out_of_what_was_searched(tmp_path):
    names = ("width", "depth", "rate")
    run = of_pictures(
        tmp_path,
        [30, 20, 10],
        width=[16, 8, 8],
        depth=[2.0, None, 1.0],
        rate=[0.5, 0.25, 0.125],
        info={"hyperparameters": names, "searched": names, "tied": {"rate": "width"}},
    )
    assert found(run)[0].startswith(
        "The sweep searched width (8, 16; tied to it: rate) and depth (1, 2), by grid search"
    )
    assert "without replicates the effect of chance" in " ".join(unknown(run))


def test_of_a_loss_the_lowest_leads_by_its_own_unit(tmp_path):
    run = of_losses(tmp_path, info=WIDTH)
    row = best(run).frame.iloc[0]
    assert row["name"] == "net a"
    assert row["difference"] == pytest.approx(-0.9)
    assert row["difference_high"] == 0
    told = found(run)
    assert told[2].startswith(
        "The best configuration by its mean over 2 fair trainings (2.1) is net a. The best of them "
        "is trial 3: rmse 2 at its best epoch (2)"
    )
    assert "net a is shown to be the best of 2 configurations." in told
    low = f"{row['difference_low']:+.2g}"
    assert f"net a is 0.9 ahead of the best other one (95 % interval {low} to +0)." in told
    least = float(against_incumbent(run).frame["detectable"].median())
    assert sentence(unknown(run), "Differences").startswith(
        f"Differences from the incumbent below about {least:.2g}: smaller"
    )
    assert (
        "Whether it holds on other validation data: the run has no predictions on pictures."
        in unknown(run)
    )


def test_an_imported_run_says_from_where_and_what_its_tool_does_not_tell(tmp_path):
    info = {**WIDTH, "searcher": "unknown", "searcher_words": "X", "sampling": "adaptive"}
    run = replace(
        of_losses(tmp_path, info=info),
        provenance={"imported": {"tool": "a tool", "date": "2026-01-31", "source": "a file"}},
    )
    assert found(run)[0].endswith("by X with no early stopping (imported from a tool, 2026-01-31).")
    told = unknown(run)
    assert sentence(told, "Whether hyperparameters matter").startswith(
        "Whether hyperparameters matter: how configurations were chosen is not known"
    )
    assert sentence(told, "How well").endswith("no measurement on a test split.")
    assert told[-1].endswith("the run names no dataset of ours.")
    # Replicates would not help where configurations were chosen by earlier results.
    assert not any(each.startswith("Whether any hyperparameter") for each in told)
