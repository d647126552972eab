"""Runs with other metrics, without predictions, dataset, seconds or parameters."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.imports.choices import Choices
from analysis.rendering.render import to_markdown
from analysis.report.figures import FIGURES
from analysis.report.report import write_report
from analysis.report.summary import found, unknown
from analysis.report.tables import NAMED, TABLES, by
from analysis.run.dataset import DatasetLeftOutError
from analysis.run.run_data import read_run
from analysis.statistics.estimate import NotKnownError
from fairsweep.errors import UserError
from tests.support.found_trials import found_trials, write_found
from tests.support.run_factory import Factory
from tune.run.tables import predictions_table, write_table
from tune.run.trial import Status

STOPPED = replace(
    found_trials(configurations=1, replicates=1)[0],
    label="stopped",
    values={"rate": 0.5, "width": 8, "seed": 5},
    measurements={1: {"rmse": 90.0}, 2: {"rmse": 80.0}},
    status=Status.EARLY_STOPPED,
)
RUNS = {
    "a loss with replicates": lambda path: write_found(path, found_trials()),
    "no replicates": lambda path: write_found(path, found_trials(replicates=1)),
    "one trial": lambda path: write_found(path, found_trials(configurations=1, replicates=1)),
    "one epoch": lambda path: write_found(path, found_trials(epochs=1)),
    "with seconds": lambda path: write_found(path, found_trials(seconds=True)),
    "a score": lambda path: write_found(path, found_trials(metric="f1", scale=0.1)),
    "folds": lambda path: write_found(path, found_trials(folds=4)),
    "stopped early": lambda path: write_found(path, (*found_trials(), STOPPED)),
    "drawn": lambda path: write_found(path, found_trials(), Choices(searcher="random")),
    "unknown searcher": lambda path: write_found(path, found_trials(configurations=5)),
    "two metrics": lambda path: write_found(
        path, tuple(_with_loss(t) for t in found_trials()), metric="rmse"
    ),
    "no hyperparameters": lambda path: write_found(
        path, tuple(replace(t, values={}) for t in found_trials())
    ),
}


def _with_loss(trial):
    measured = {e: {**v, "val_loss": 2 / e} for e, v in trial.measurements.items()}
    return replace(trial, measurements=measured)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(RUNS["a loss with replicates"](tmp_path_factory.mktemp("runs") / "plain"))


def tables_of(run):
    made, reasons = {}, []
    for what, make in NAMED.items():
        try:
            made[what] = make(run)
        except NotKnownError as reason:
            reasons.append(str(reason))
    others = (table for what in TABLES.keys() - made for table in TABLES[what](run))
    return [*made.values(), *others], reasons


QUICK = ("a loss with replicates", "no replicates", "folds", "unknown searcher")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in RUNS]
)
def test_every_table_figure_and_sentence_is_made_or_says_why_not(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = read_run(RUNS[name](tmp_path / "run"))
        tables, reasons = tables_of(run)
        drawings = []
        for make in FIGURES.values():
            try:
                drawings += make(run)
            except DatasetLeftOutError as reason:
                reasons.append(str(reason))
        told = [*found(run), *unknown(run), *reasons, *map(to_markdown, tables)]
        told += [drawing.title + drawing.caption for drawing in drawings]
    assert all(len(reason.splitlines()) == 1 for reason in reasons)
    assert {"models", "selection", "learning_curves", "best_so_far"} <= {
        *(table.name for table in tables),
        *(drawing.name for drawing in drawings),
    }
    metric = run.metric.word
    for text in told:
        assert not {"nan", "<NA>", "inf", "None", "-0"} & set(re.split(r"[\s|]+", text)), text
        assert "accurac" not in text.lower(), text
        assert metric == "f1" or "Wilson" not in text, text
    for table in tables:
        for view in table.views:
            shown = view.shown(table.frame)
            assert (shown != "–").any().all(), (table.name, list(shown))


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_a_report(name, tmp_path):
    run = read_run(RUNS[name](tmp_path / "run"))
    written = write_report(run, tmp_path / "out", lambda _: None)
    assert written.tables >= 2
    assert written.left_out == ""


def test_the_best_over_folds_is_told_without_predictions_too(tmp_path):
    best = found(read_run(RUNS["folds"](tmp_path / "run")))[2]
    assert best.startswith("The best configuration by its average over 4 folds is ")
    assert ", n = " not in best


@pytest.mark.usefixtures("undrawn")
def test_a_report_has_no_section_about_a_dataset_that_is_not_known(run, tmp_path):
    written = write_report(run, tmp_path / "out", lambda _: None)
    assert written.left_out == ""
    page = written.page.read_text("utf-8")
    assert 'id="dataset"' not in page
    assert "the run names no dataset" in page
    assert "validation accuracy" not in page
    assert "No confusion matrix" not in page, "a run without classes has none to lack"
    assert "rmse of the incumbent" in page


def test_the_smallest_loss_is_the_best_in_every_table(run):
    models, best = NAMED["models"](run).frame, NAMED["best"](run).frame
    means = run.completed.groupby("configuration_id")["best_rmse"].mean()
    assert best["configuration_id"].iloc[0] == means.idxmin()
    assert models["rmse"].is_monotonic_increasing
    compared = NAMED["comparisons"](run).frame
    assert compared["configuration_id"].iloc[0] == means.idxmin()
    assert (compared["difference"].dropna() > 0).all()
    assert "worse" in set(compared["verdict"])
    assert "better" not in set(compared["verdict"])
    inside = compared["difference"].between(compared["difference_low"], compared["difference_high"])
    assert inside[1:].all()
    assert compared["rmse"].between(compared["rmse_low"], compared["rmse_high"]).all()
    replicates = next(TABLES["replicates"](run)).frame
    assert replicates["rmse"].is_monotonic_increasing
    rates = by(run, "rate").frame.set_index("name")
    lowest = run.trials[run.trials["rate"] == 0.001]["best_rmse"].min()
    assert rates.loc["0.001", "best"] == lowest
    front = next(FIGURES["comparisons"](run)).chart.panels[0]
    assert front.x.label == "difference in rmse"


def test_two_seeds_of_a_score_and_its_negative_give_the_same_verdicts(tmp_path):
    trials = found_trials(metric="score", scale=0.4)
    turned = tuple(
        replace(t, measurements={e: {"cost": -v["score"]} for e, v in t.measurements.items()})
        for t in trials
    )
    up = read_run(write_found(tmp_path / "up", trials, Choices(mode="max", at="last")))
    down = read_run(write_found(tmp_path / "down", turned, Choices(mode="min", at="last")))
    for name in ("comparisons", "best"):
        left, right = NAMED[name](up).frame, NAMED[name](down).frame
        assert left["verdict"].tolist() == right["verdict"].tolist()
        assert left["difference"].to_numpy() == pytest.approx(
            -right["difference"].to_numpy(), nan_ok=True
        )
        assert left["difference_low"].to_numpy() == pytest.approx(
            -right["difference_high"].to_numpy(), nan_ok=True
        )


def test_only_a_share_has_a_default_margin(run, tmp_path):
    assert run.margin == 0
    assert "equivalent" not in set(NAMED["comparisons"](run).frame["verdict"])
    wide = read_run(run.path, margin=50.0)
    verdicts = NAMED["comparisons"](wide).frame["verdict"]
    assert "equivalent" in set(verdicts)
    score = read_run(RUNS["a score"](tmp_path / "score"))
    assert score.margin == 0.01
    for margin in (1.0, 0.0, -0.01):
        with pytest.raises(UserError, match=f"above 0 and below 1, .* but got {margin:g}"):
            read_run(score.path, margin=margin)
    with pytest.raises(UserError, match="in rmse above 0, but got 0"):
        read_run(run.path, margin=0.0)


def test_without_replicates_comparisons_say_what_is_missing(tmp_path):
    run = read_run(RUNS["no replicates"](tmp_path / "run"))
    with pytest.raises(NotKnownError, match="no replicates, and no predictions on single pictures"):
        NAMED["comparisons"](run)
    assert any("import them too" in text for text in unknown(run))


def test_predictions_of_a_run_with_another_metric_give_the_tables_of_classes(run, tmp_path):
    path = RUNS["a loss with replicates"](tmp_path / "run")
    labels = np.arange(60) % 2
    for trial in run.trials["trial_id"]:
        table = predictions_table(
            image_ids=[f"p{n}" for n in range(60)],
            labels=labels,
            probabilities=np.eye(2, dtype=np.float32)[(labels + (np.arange(60) < 9)) % 2],
            split="val",
            epoch=1,
            classes=("a", "b"),
        )
        write_table(table, path / "predictions" / f"{trial}.parquet")
    told = read_run(path)
    told = replace(told, info=replace(told.info, classes=("a", "b")))
    assert NAMED["classes"](told).frame["recall"].notna().all()
    models = NAMED["models"](told).frame
    assert models["rmse_low"].isna().all()
    assert (models["n"] == 60).all()
    assert "these pictures" in " ".join(NAMED["comparisons"](told).notes)


def test_two_runs_with_one_metric_and_no_known_dataset_cannot_be_compared(run, tmp_path, capsys):
    other = RUNS["with seconds"](tmp_path / "other")
    assert main(["compare", str(run.path), str(other)]) == 2
    assert "fingerprint" in capsys.readouterr().err


def test_a_run_of_our_loop_keeps_its_words(tmp_path):
    ours = read_run(Factory(replicates=2).write(tmp_path / "ours"))
    assert {"accuracy", "accuracy_low", "macro_f1"} <= set(NAMED["models"](ours).frame)
    assert NAMED["models"](ours).views[0].title == "All models, macro averages"
