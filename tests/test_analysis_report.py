import re
from dataclasses import replace

import pytest

from analysis import report
from analysis.run_data import read_run
from analysis.summary import sentences
from tests.run_factory import Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return read_run(Factory().write(place / "small", place / "data"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    factory = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)
    return read_run(factory.write(tmp_path_factory.mktemp("runs") / "single"))


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    told = []
    return report.write_report(run, out, told.append), out, told


def test_the_page_needs_no_network(written):
    page = written[0].page.read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page.replace("xlink:", ""))
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)


def test_every_table_and_figure_stands_as_files(written):
    result, out, told = written
    tables = {path.suffix for path in (out / "tables").iterdir()}
    assert tables == {".md", ".csv", ".tex", ".json"}
    assert len(list((out / "tables").iterdir())) == 4 * result.tables
    figures = sorted(path.name for path in (out / "figures").iterdir())
    assert len(figures) == 2 * result.figures
    assert {"learning_curves.svg", "samples.png", "class_counts.svg"} <= set(figures)
    assert "report.html" in told


def test_the_page_shows_every_figure(written):
    result, _, _ = written
    page = result.page.read_text("utf-8")
    assert page.count("<svg") + page.count('class="raster"') == result.figures


def test_ids_on_the_page_that_are_referred_to_exist(written):
    page = written[0].page.read_text("utf-8")
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'(?:xlink:)?href="#([^"]+)"', page)) <= ids
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= ids


def test_figures_take_the_colours_of_the_page(written):
    page = written[0].page.read_text("utf-8")
    drawings = page[page.index("<svg") :]
    assert "var(--ink)" in drawings
    assert report.INK not in drawings


def test_what_users_wrote_is_escaped(written):
    page = written[0].page.read_text("utf-8")
    assert "a &lt;worker&gt; died &amp; left nothing" in page
    assert "<worker>" not in page


def test_the_summary_says_what_was_best_and_what_is_not_known(run):
    text = " ".join(sentences(run))
    best = run.completed.sort_values("best_val_accuracy").iloc[-1]
    assert best["name"] in text
    assert f"{100 * best['best_val_accuracy']:.1f} %" in text
    assert "16 trials of 12 configurations: 10 completed, 4 stopped early" in text
    assert "n = 400 validation pictures" in text
    assert "not shown to be real" in text


def test_the_summary_does_not_praise_an_early_stopped_trial_while_others_completed(run):
    early = run.trials["status"] == "EARLY_STOPPED"
    trials = run.trials.assign(best_val_accuracy=run.trials["best_val_accuracy"].mask(early, 0.99))
    assert "99.0 %" not in " ".join(sentences(replace(run, trials=trials)))


def test_a_missing_dataset_is_said_on_the_page(small, tmp_path):
    gone = replace(small, provenance={"dataset": {"path": "gone", "fingerprint": ""}})
    result = report.write_report(gone, tmp_path / "report", lambda _: None)
    assert result.left_out == "the dataset is no longer at gone"
    assert "left out: the dataset is no longer at gone" in result.page.read_text("utf-8")


def test_an_earlier_report_is_replaced_and_other_files_are_not_touched(small, tmp_path):
    out = tmp_path / "report"
    out.mkdir()
    (out / "report.html").write_text("old")
    (out / "figures").mkdir()
    (out / "figures" / "old.svg").write_text("old")
    (out / "notes.txt").write_text("mine")
    report.write_report(small, out, lambda _: None)
    assert not (out / "figures" / "old.svg").exists()
    assert (out / "notes.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="already holds something other than a report"):
        report.write_report(small, tmp_path / "other", lambda _: None)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_a_report_that_breaks_off_leaves_the_earlier_one(small, tmp_path):
    report.write_report(small, tmp_path / "report", lambda _: None)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def stop(what):
        if what == "figure learning_curves":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report.write_report(small, tmp_path / "report", stop)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert after == before


def test_a_single_plain_trial_has_a_report(small, tmp_path):
    result = report.write_report(small, tmp_path / "report", lambda _: None)
    text = " ".join(sentences(small))
    assert "1 trial of 1 configuration: 1 completed." in text
    assert result.figures == 3
