import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from analysis.__main__ import BY_GROUP, FORMATS, main
from analysis.rendering import render
from analysis.rendering.table import Table
from fairsweep.errors import UserError
from tests.support.run_factory import Factory
from tune.run.directory import MEASUREMENTS_FILE, TRIALS_FILE

SMALL = Factory(configurations=1, replicates=1, faults=False, early_stopping=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Factory().write(tmp_path_factory.mktemp("runs") / "a small run")


def test_table_prints_macro_and_micro(run, capsys):
    assert main(["table", str(run)]) == 0
    text = capsys.readouterr().out
    assert "macro averages" in text
    assert "micro averages" in text


def test_table_by_prints_json_rows(run, capsys):
    assert main(["table", str(run), "--by", "fc_layers", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["1", "2"]


@pytest.mark.usefixtures("undrawn")
def test_reports_of_several_runs_stand_side_by_side(tmp_path, capsys):
    runs = [str(SMALL.write(tmp_path / name)) for name in ("first", "second")]
    assert main(["report", *runs, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "first" / "report.html").is_file()
    assert (tmp_path / "out" / "second" / "report.html").is_file()
    assert "left out the dataset's figures" in capsys.readouterr().out


def test_reports_of_namesakes_are_not_written_over_each_other(tmp_path, capsys):
    runs = [str(SMALL.write(tmp_path / name / "same")) for name in ("first", "second")]
    assert main(["report", *runs, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "two of the runs are named 'same'" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["table", "{empty}"], "is not a run directory"),
        (["report", "{empty}"], "is not a run directory"),
        (["table", "{run}", "--by", "kernal_size"], "did you mean kernel_size?"),
        (["report", "{run}", "--out", "{run}"], "choose another --out"),
        (["bias", "{run}", "--groups", "{empty}"], "{empty}: Is a directory; check the path"),
        (["export", "{run}", "--out", "{run}/spec.yaml/x.db"], "{run}/spec.yaml: File exists; che"),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(run, tmp_path, capsys, arguments, told):
    filled = [argument.format(empty=tmp_path, run=run) for argument in arguments]
    assert main(filled) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert told.format(empty=tmp_path, run=run) in captured.err
    assert captured.out == ""


def test_exit_code_3_when_no_trial_succeeded(tmp_path, capsys):
    run = Factory(configurations=3).write(tmp_path / "run")
    table = pq.read_table(run / TRIALS_FILE)
    failed = table.filter(pc.equal(table["status"], "FAILED"))
    pq.write_table(failed, run / TRIALS_FILE)
    assert main(["table", str(run)]) == 3
    assert "no trial" in capsys.readouterr().err


def test_a_fault_of_ours_leaves_its_traceback_in_a_file(tmp_path, capsys):
    run = SMALL.write(tmp_path / "run")
    table = pq.read_table(run / MEASUREMENTS_FILE).drop_columns(["epoch"])
    pq.write_table(table, run / MEASUREMENTS_FILE)
    assert main(["table", str(run), "--by", "blocks"]) == 1
    message = capsys.readouterr().err.strip()
    log = Path(message.rsplit(" ", 1)[1])
    assert "Traceback" in log.read_text("utf-8")
    log.unlink()
    assert "\n" not in message


def test_output_may_be_cut_off_by_its_reader(run, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["table", str(run), "--format", "json"]) == 0
    assert capsys.readouterr().err == ""


def test_every_format_is_offered():
    assert tuple(render.FORMATS) == FORMATS


def test_help_gives_an_example_for_each_command(capsys):
    for command in ([], ["table"], ["report"], ["compare"], ["bias"], ["export"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert "example: python -m analysis" in capsys.readouterr().out


def test_an_interrupted_command_ends_with_130(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.run.run_data.read_run", interrupt)
    assert main(["table", str(run)]) == 130


def test_the_table_of_all_models_is_the_default(run, capsys):
    assert main(["table", str(run)]) == 0
    default = capsys.readouterr().out
    assert main(["table", str(run), "--what", "models", "--format", "md"]) == 0
    assert capsys.readouterr().out == default
    assert default.startswith("**All models, macro averages**\n")


@pytest.mark.parametrize(
    ("name", "start"),
    [("md", "**Trials"), ("csv", "name,n,"), ("latex", "% n: pictures"), ("json", "[\n  {")],
)
def test_a_table_is_printed_in_the_format_asked_for(run, capsys, name, start):
    what = ["--what", "selection"]
    assert main(["table", str(run), *what, "--format", name]) == 0
    start = start.replace("Trials", "What to expect of")
    out = capsys.readouterr().out
    assert out.startswith(start)
    assert out.endswith("\n")
    assert not out.endswith("\n\n")


def test_a_table_by_a_hyperparameter_goes_with_no_other(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["table", str(run), "--by", "blocks", "--what", "effects"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_one_report_goes_where_it_is_told(tmp_path, capsys):
    run = SMALL.write(tmp_path / "a run")
    assert main(["report", str(run), "--out", str(tmp_path / "an out")]) == 0
    told = capsys.readouterr().out
    page = tmp_path / "an out" / "report.html"
    assert page.is_file()
    tables = len(list((tmp_path / "an out" / "tables").glob("*.csv")))
    figures = len(list((tmp_path / "an out" / "figures").glob("*.svg")))
    assert told.startswith(f"wrote {page} ({tables} tables, {figures} figures)\nleft out the")
    assert not (run / "report").exists()


def test_tables_by_group_can_be_named():
    assert BY_GROUP == (
        "groups", "groups_before", "change", "differences", "crossed", "classes",
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What `bias` asks for, with two tables as the answer."""
    seen = {}
    tables = [
        Table(name=name, frame=pd.DataFrame({"of": [name]}), views=(), notes=())
        for name in ("bias_groups_before", "bias_groups", "bias_change")
    ]

    def study(run, **settings):
        seen.update(settings, run=run)
        return SimpleNamespace(tables=tables)

    monkeypatch.setattr("analysis.groups.bias.study_bias", study)
    monkeypatch.setattr("analysis.run.run_data.read_run", lambda *paths: paths)
    return seen


def test_bias_passes_on_what_it_is_asked_for(asked):
    given = "--trial t1 --groups g.csv --before other --split test --data moved"
    assert main(["bias", "run", *given.split()]) == 0
    assert asked == {
        "run": (Path("run"), Path("moved")),
        "trial_id": "t1",
        "file": Path("g.csv"),
        "before": Path("other"),
        "split": "test",
    }
    asked.clear()
    assert main(["bias", "run"]) == 0
    nothing = dict.fromkeys(("trial_id", "file", "before"))
    assert asked == {"run": (Path("run"), None), **nothing, "split": "val"}


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("--format csv", ["groups"]),
        ("--format json", ["groups"]),
        ("--format csv --what change", ["change"]),
        ("--format latex", ["groups_before", "groups", "change"]),
    ],
)
def test_one_file_of_rows_holds_the_groups_and_documents_hold_every_table(
    monkeypatch, capsys, given, names
):
    monkeypatch.setitem(render.FORMATS, "latex", render.to_csv)
    assert main(["bias", "run", *given.split()]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"bias_(\w+)", out) == names


@pytest.mark.parametrize(
    ("given", "runs", "passed_on"),
    [
        ("table a --data moved --margin 0.02", "a", (Path("moved"), 0.02)),
        ("table a", "a", (None, None)),
        ("report a --data moved --margin 0.02", "a", (Path("moved"), 0.02)),
        ("compare a b c --data moved --margin 0.02", "abc", (Path("moved"), 0.02)),
        ("card a --data moved", "a", (Path("moved"),)),
        ("export a", "a", ()),
    ],
)
def test_runs_are_read_with_the_dataset_and_the_margin_that_are_asked_for(
    monkeypatch, capsys, given, runs, passed_on
):
    read = []

    def read_run(path, *settings):
        read.append((path, *settings))
        if len(read) == len(runs):
            raise UserError("enough")
        return SimpleNamespace(name=path.name)

    monkeypatch.setattr("analysis.run.run_data.read_run", read_run)
    assert main(given.split()) == 2
    assert capsys.readouterr().err.endswith("error: enough\n")
    assert read == [(Path(run), *passed_on) for run in runs]


@pytest.fixture
def compared(monkeypatch):
    """What is compared and where it is written, with two sentences as the answer."""
    seen = {}
    answer = SimpleNamespace(found=("Known.",), unknown=("Not known.",), best=None)
    monkeypatch.setattr(
        "analysis.run.run_data.read_run", lambda path, *_: SimpleNamespace(name=path.name)
    )

    def several(runs):
        seen["runs"] = [run.name for run in runs]
        return answer

    monkeypatch.setattr("analysis.runs.many.compare_many", several)
    monkeypatch.setattr(
        "analysis.runs.compare.compare_runs", lambda *runs: several(list(runs[::-1]))
    )

    def write(compared, place):
        assert compared is answer
        seen["place"] = place
        return place / "report.html"

    monkeypatch.setattr("analysis.runs.page.write_comparison", write)
    return seen


def test_a_comparison_is_written_into_the_first_run_under_the_names_of_the_others(compared, capsys):
    assert main(["compare", "x/a", "x/b", "y/c"]) == 0
    place = Path("x/a/compare/b-c")
    assert compared == {"runs": ["a", "b", "c"], "place": place}
    assert capsys.readouterr().out == f"Known.\nNot known.\nwrote {place / 'report.html'}\n"
    assert main(["compare", "x/a", "x/b", "--out", "there"]) == 0
    # Two runs are compared in sentences of their own (turned here to tell them apart).
    assert compared == {"runs": ["b", "a"], "place": Path("there")}


def test_a_comparison_without_a_table_says_why(compared, capsys):
    assert main(["compare", "a", "b", "c", "--format", "csv"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: Not known.\n")
    assert "place" not in compared


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ("x/a y/b", ["x/a/report", "y/b/report"]),
        ("x/a y/b --out there", ["there/a", "there/b"]),
        ("x/a --out there", ["there"]),
    ],
)
def test_each_report_stands_in_its_run_unless_a_place_is_named(monkeypatch, capsys, given, places):
    def write(_run, out, _progress):
        return SimpleNamespace(page=out / "report.html", tables=3, figures=2, left_out="")

    monkeypatch.setattr("analysis.report.report.write_report", write)
    monkeypatch.setattr(
        "analysis.run.run_data.read_run",
        lambda path, *_: SimpleNamespace(name=path.name, path=path),
    )
    assert main(["report", *given.split()]) == 0
    expected = [f"wrote {place}/report.html (3 tables, 2 figures)" for place in places]
    assert capsys.readouterr().out.splitlines() == expected
