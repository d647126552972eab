import json
import pickle
import re
from collections import defaultdict
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import pytest

from analysis.__main__ import main
from analysis.comparisons.statistics import against_incumbent
from analysis.drawing.drawing import render
from analysis.drawing.style import INK
from analysis.rendering import page as pages
from analysis.report import report
from analysis.report.summary import found, unknown
from analysis.report.tables import NAMED
from analysis.run.run_data import read_run
from analysis.run.trials import incumbent
from analysis.trials.headline import best_trial, headline
from analysis.trials.table import models
from tests.support.hand_made import hand_made
from tests.support.run_factory import Factory, by

SINGLE = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)


@pytest.fixture(scope="module")
def run(made_once):
    place = made_once("reported", lambda to: Factory().write(to / "small run", to / "data"))
    return read_run(place / "small run")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return read_run(SINGLE.write(tmp_path_factory.mktemp("runs") / "single"))


@pytest.fixture(scope="module")
def written(run, made_once):
    """A report; of figures whose names begin alike, such as those of each model, one is drawn."""
    drawn = {}

    def render_one_of_each(drawing):
        kind = drawing.name.split("_")[0]
        if kind not in drawn:
            drawn[kind] = render(drawing)
        return replace(drawn[kind], drawing=drawing)

    def make(folder):
        told = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(report, "render", render_one_of_each)
            result = report.write_report(run, folder / "report", told.append)
        (folder / "written.pickle").write_bytes(pickle.dumps((result, folder / "report", told)))

    return pickle.loads((made_once("written-report", make) / "written.pickle").read_bytes())


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
    shown = page.count("<svg") + page.count('class="raster"') + page.count('<div class="chart"')
    assert shown == result.figures


def test_charts_can_be_read_as_json(written):
    page = written[0].page.read_text("utf-8")
    scripts = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert len(scripts) > 20
    assert all(isinstance(json.loads(script), dict | list) for script in scripts)


def test_ids_on_the_page_that_are_referred_to_exist(written):
    page = written[0].page.read_text("utf-8")
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'(?:xlink:)?href="#([^"]+)"', page)) <= ids
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= ids


def test_figures_take_the_colours_of_the_page(written):
    page = written[0].page.read_text("utf-8")
    drawings = page[page.index("<svg") :]
    assert "var(--ink)" in drawings
    assert INK not in drawings.split("</svg>")[0]


def test_what_users_wrote_is_escaped(written):
    page = written[0].page.read_text("utf-8")
    assert "a &lt;worker&gt; died &amp; left nothing" in page
    assert "<worker>" not in page


def test_the_summary_says_what_was_searched_and_what_was_best(run):
    text = " ".join(found(run))
    best = run.completed.sort_values("best_val_accuracy").iloc[-1]
    assert best["name"] in text
    assert f"{100 * best['best_val_accuracy']:.1f} %" in text
    assert "16 trials of 12 configurations: 10 completed, 4 stopped early" in text
    assert "n = 400 validation pictures" in text
    assert "Corrected for having been picked as the best of 12" in text
    assert " the best other one (95 % interval " in text


def test_the_summary_says_what_is_not_known(run):
    text = " ".join(unknown(run))
    assert "the test split was not opened" in text
    compared = against_incumbent(run).frame
    assert f"below about {100 * compared['detectable'].median():.1f} percentage points" in text
    single = replace(run, trials=run.trials[run.trials["replicate"] == 0])
    text = " ".join(unknown(single))
    assert "each configuration was trained once" in text
    assert "without replicates the effect of chance is not known" in text


def test_an_uneven_searcher_is_told(run):
    guided = replace(run, info=replace(run.info, **by("tpe")))
    assert "no verdict is given on hyperparameters" in " ".join(unknown(guided))
    assert "no verdict is given on hyperparameters" not in " ".join(unknown(run))


def test_the_summary_does_not_praise_an_early_stopped_trial_while_others_completed(run):
    early = run.trials["status"] == "EARLY_STOPPED"
    trials = run.trials.assign(best_val_accuracy=run.trials["best_val_accuracy"].mask(early, 0.99))
    assert "99.0 %" not in " ".join(found(replace(run, trials=trials)))


def test_a_long_table_keeps_its_other_rows_in_a_script(run, monkeypatch):
    monkeypatch.setattr(pages, "ROWS_AT_ONCE", 5)
    section = pages.Section(id="models", title="Models", blocks=pages.tables_of([models(run)]))
    facts = {"tiles": {}, "found": (), "unknown": (), "trials": {}}
    text = pages.to_html(pages.Page(title="a", subtitle="b", sections=(section,), **facts))
    assert "printed, it shows 5 of 16" in text
    last = models(run).frame["name"].iloc[-1]
    table = text[text.index('<div class="table">') : text.index("</table>")]
    assert table.count("<tr>") == 1 + 5
    assert f'["{last}",' in text


def test_commands_in_sentences_are_set_as_code(run, written):
    page = written[0].page.read_text("utf-8")
    assert f"<code>python -m tune test &#39;{run.path}&#39;</code>" in page


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_in_its_run_and_a_moved_dataset_is_found_where_the_user_says(tmp_path, capsys):
    run = SINGLE.write(tmp_path / "run", tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert main(["report", str(run)]) == 0
    told = capsys.readouterr().out
    assert "left out" in told
    assert str(run / "report" / "report.html") in told
    assert (run / "report" / "report.html").is_file()
    assert main(["report", str(run), "--data", str(tmp_path / "moved")]) == 0
    assert "left out" not in capsys.readouterr().out


def test_the_best_is_the_incumbent_of_the_ledger_where_none_completed(run):
    rest = run.trials[run.trials["status"] != "COMPLETED"]
    diverged = rest["status"] == "DIVERGED"
    rest = rest.assign(best_val_accuracy=rest["best_val_accuracy"].mask(diverged, 0.99))
    best = best_trial(replace(run, trials=rest))
    assert best["status"] == "DIVERGED"
    assert best["accuracy"] == 0.99


@pytest.mark.usefixtures("undrawn")
def test_a_missing_dataset_is_said_on_the_page(small, tmp_path):
    gone = replace(small, provenance={"dataset": {"path": "gone", "fingerprint": ""}})
    result = report.write_report(gone, tmp_path / "report", lambda _: None)
    assert "the dataset is no longer at gone" in result.left_out
    page = result.page.read_text("utf-8")
    assert "left out: the dataset is no longer at gone" in page
    assert "<dt>path</dt><dd>gone</dd>" in page


@pytest.mark.usefixtures("undrawn")
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
    told = []
    with pytest.raises(ValueError, match="already holds something other than a report"):
        report.write_report(small, tmp_path / "other", told.append)
    assert told == [], "it is refused before any table is made"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


@pytest.mark.usefixtures("undrawn")
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
    assert "1 trial of 1 configuration: 1 completed." in " ".join(found(small))
    assert "only one fully trained configuration" in " ".join(unknown(small))
    assert result.figures == 5
    assert "No predictions, so" not in result.page.read_text("utf-8")


def test_sections_stand_in_their_order(written):
    page = written[0].page.read_text("utf-8")
    assert re.findall(r'<h2 id="([^"]+)"', page) == [
        "configurations", "hyperparameters", "trials", "learning", "best", "dataset", "incomplete",
        "provenance",
    ]  # fmt: skip
    assert "<title>small run: Report of a hyperparameter sweep</title>" in page


def test_each_table_and_figure_stands_in_its_section(run, written):
    page = written[0].page.read_text("utf-8")
    parts = re.split(r'<h2 id="([^"]+)"', page)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))

    def headings(section, tag="h3"):
        return [unescape(each) for each in re.findall(f"<{tag}>(.*?)</{tag}>", sections[section])]

    assert headings("configurations") == [
        "Which configurations cannot be told from the best",
        "How far the others are from the incumbent",
        f"What to expect of {incumbent(run)['name']}",
    ]
    assert headings("configurations", "summary") == [
        "The others against the incumbent, as configurations",
        "Configurations trained more than once",
    ]
    assert headings("trials") == ["All models, macro averages", "Accuracy against cost"]
    told = headings("hyperparameters")
    assert told[:4] == [
        "Accuracy by each hyperparameter",
        "All hyperparameters and the accuracy at once",
        "Effects of the hyperparameters",
        "Mean accuracy at each level",
    ]
    assert headings("hyperparameters", "summary") == [
        *(
            f"Accuracy by {name}"
            for name in ("kernel size", "blocks", "channels", "FC layers", "convolution depth")
        ),
        "Other pairs of hyperparameters (5)",
    ]
    assert len(told) == 4 + 6  # and a figure for each pair
    assert headings("learning") == [
        "Learning curves of all trials",
        "How early the final order shows",
        "Best validation accuracy so far",
    ]
    best = headings("best")
    assert best[0].startswith("What the incumbent gets wrong: ")
    assert best.pop(1) == "Labels that may be wrong"
    assert best[1].startswith("How far to trust the probabilities of the incumbent: ")
    assert best[2].startswith("What to expect of an ensemble of ")
    assert best[3] == "How good the probabilities are, at the best epoch"
    assert best[4] == "Each class, at the best epoch"
    assert headings("best", "summary") == [
        "Pictures that all models get wrong, and suspected labels"
    ]
    assert headings("provenance", "summary") == ["The sweep's spec, spec.yaml"]
    assert headings("provenance") == ["The command that repeats the run"]
    (warning,) = re.findall('<p class="warning">(.*?)</p>', sections["hyperparameters"])
    assert "compared after 3 of 12 epochs" in warning
    assert 'class="warning"' not in sections["dataset"]
    assert 'class="beside"' in sections["best"]
    assert "beside even" not in sections["best"]
    assert sections["best"].count("the dot marks the best epoch.") == 1, "once for all models"
    assert sections["best"].count("Confusion matrix on validation, n = 400 pictures.") == 1
    assert headings("dataset") == [
        "Pictures per class and split",
        "Pixel intensity per class",
        "Sample pictures of each class",
    ]
    assert headings("incomplete") == ["Trials that did not complete"]


def test_the_first_table_has_the_hyperparameters_and_the_interval_of_each_configuration(run):
    table = NAMED["best"](run)
    rows = NAMED["comparisons"](run).frame.set_index("configuration_id")
    trials = run.trials.drop_duplicates("configuration_id").set_index("configuration_id")
    for row in table.frame.to_dict("records"):
        own = row["configuration_id"]
        assert row["accuracy_low"] == rows.loc[own, "accuracy_low"]
        assert row["accuracy_high"] == rows.loc[own, "accuracy_high"]
        for name in ("kernel_size", "blocks", "channels", "conv_depth"):
            assert row[name] == trials.loc[own, name]
    headings = [column.heading for column in table.views[0].columns]
    assert headings[:4] == ["name", "verdict", "kernel size", "blocks"]


def test_the_best_models_stand_in_order_each_with_its_accuracy(run, written):
    page = written[0].page.read_text("utf-8")
    order = run.comparable.sort_values(
        ["status", "best_val_accuracy", "number"], ascending=[True, False, True]
    ).head(12)
    titles = [
        f"{row['name']}, trial {row['number']}: validation accuracy "
        f"{100 * row['best_val_accuracy']:.1f} %"
        for row in order.to_dict("records")
    ]
    assert re.findall(r"<h3>(.*?: validation accuracy .*?)</h3>", page) == titles
    # Each with its own confusion matrix.
    names = [title.split(":")[0] for title in titles]
    assert re.findall('aria-label="Confusion matrix of (.*?)"', page) == names
    assert re.findall('data-title="Learning of (.*?)"', page) == names
    assert "confusion matrices of the best 12 of 16 trials" in page
    assert "No confusion matrix: this trial has no predictions." not in page


def test_tiles_count_the_trials(run, written):
    page = written[0].page.read_text("utf-8")
    tiles = re.findall(r'<div class="tile"><b>(.*?)</b><span>(.*?)</span>', page)
    ((words, best),) = headline(run).items()
    assert tiles == [
        (best, words),
        ("16", "trials"),
        ("10", "completed"),
        ("4", "stopped early"),
        ("1", "diverged"),
        ("1", "failed"),
    ]


def test_facts_tell_of_dataset_and_provenance(run, written):
    page = written[0].page.read_text("utf-8")
    facts = dict(re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", page))
    assert facts["fingerprint"] == run.provenance["dataset"]["fingerprint"]
    assert facts["path"] == run.provenance["dataset"]["path"]
    assert facts["step: drawn"] == "0 removed, 740 left"
    assert facts["label rule"] == "drawn"
    assert facts["split method"] == "given"
    assert facts["image shape"] == "20 28"
    assert facts["hardware: host"] == run.provenance["hardware"]["host"]
    assert facts["hardware: cores"] == str(run.provenance["hardware"]["cores"])
    assert run.provenance["command"] in unescape(page)
    assert "\nsearcher:\n  name: grid\n" in page


def test_charts_name_each_trial_by_its_status(run, written):
    page = written[0].page.read_text("utf-8")
    name = run.trials["name"]
    stopped = run.trials.index[run.trials["status"] == "EARLY_STOPPED"][0]
    assert f'"0":"{name[0]}, trial 0 (completed)"' in page
    assert f'"{stopped}":"{name[stopped]}, trial {stopped} (stopped early)"' in page
    assert f'"2":"{name[2]}, trial 2 (failed)"' in page


def test_every_step_is_told_while_it_is_made(written):
    told = written[2]
    assert told[0] == "table models"
    assert told[-1] == "report.html"
    assert "figure learning_curves" in told
    tables = [step for step in told if step.startswith("table ")]
    assert len(tables) == written[0].tables


def test_nested_facts_are_told_in_one_level():
    values = {"a_b": {"c": {"d": 1}, "e": [2, 3]}, "f": None}
    assert report._flat(values) == {"a b: c: d": "1", "a b: e": "2 3", "f": "None"}


def test_provenance_has_the_command_the_rest_of_the_facts_and_the_spec():
    told = {"dataset": {"path": "d"}, "command": ["tune", "run", 3], "git": {"commit": "abc"}}
    command, facts, spec = report._provenance(SimpleNamespace(provenance=told, spec="seed: 1"))
    assert (command.kind, command.text, command.folded) == ("code", "tune run 3", False)
    assert (facts.kind, facts.facts) == ("facts", {"git: commit": "abc"})
    assert (spec.kind, spec.text, spec.folded) == ("code", "seed: 1", True)
    (command,) = report._provenance(SimpleNamespace(provenance={"command": "a b"}, spec=""))
    assert command.text == "a b"
    assert list(report._provenance(SimpleNamespace(provenance={}, spec=""))) == []


def test_pairs_are_a_grid_and_those_that_are_set_aside_a_folded_one():
    drawn = [SimpleNamespace(drawing=SimpleNamespace(aside=aside)) for aside in (True, False, True)]
    shown, folded = report._pairs(drawn)
    assert (shown.kind, shown.figures, shown.folded) == ("grid", (drawn[1],), False)
    assert (folded.kind, folded.figures, folded.folded) == ("grid", (drawn[0], drawn[2]), True)
    assert folded.title == "Other pairs of hyperparameters (2)"
    assert list(report._pairs([])) == []


@pytest.mark.usefixtures("undrawn")
def test_a_model_without_predictions_has_no_matrix_and_says_so(tmp_path):
    part = read_run(SINGLE.write(tmp_path / "a run"))
    for path in (part.path / "predictions").iterdir():
        path.unlink()
    result = report.write_report(read_run(part.path), tmp_path / "out", lambda _: None)
    page = result.page.read_text("utf-8")
    assert "No confusion matrix: this trial has no predictions." in page
    assert result.figures == 3


@pytest.mark.parametrize(("classes", "even"), [(6, False), (7, True)])
def test_a_matrix_of_more_than_six_classes_has_as_much_room_as_the_curves(classes, even):
    run = hand_made(best_val_accuracy=[0.5], info={"classes": tuple("abcdefg"[:classes])})
    drawn = SimpleNamespace(drawing=SimpleNamespace(name="curves_t0", caption="A caption."))
    figures = defaultdict(list, curves=[drawn])
    (block,) = [one for one in report._best(run, {}, figures).blocks if one.kind == "beside"]
    assert block.even == even
    assert block.missing == "No confusion matrix: this trial has no predictions."


def test_facts_of_a_dataset_that_is_gone_are_those_of_the_run(small):
    gone = replace(small, data=small.path / "nowhere")
    facts = report._dataset_facts(gone)
    assert facts["fingerprint"] == small.provenance["dataset"]["fingerprint"]
    assert "label rule" not in facts
