"""`tune.search` runs a sweep, and continues it when it is called again."""

import shutil
from functools import partial

import pytest
import yaml

import analysis
import tune
from tests.support.in_process import (
    EXECUTOR,
    FIXED,
    few_pictures_fixture,  # noqa: F401 - fixtures, used by name
)
from tune.run.directory import RunError
from tune.session.from_python import run_or_resume
from tune.session.run_directory import read_spec

SEARCH = partial(run_or_resume, name=None, changes=(), executor=EXECUTOR)
SPEC = {
    "name": "tiny",
    "fixed": {name: value for name, value in FIXED.items() if name != "batch_size"},
    "space": {"batch_size": [32, 64]},
}


def test_a_dict_is_run_and_a_second_call_trains_nothing(few_pictures, tmp_path):
    search = partial(SEARCH, SPEC, data=few_pictures, runs=tmp_path)
    run = search()
    assert run == tmp_path / "tiny"
    ledger = (run / "events.jsonl").read_text()
    first = analysis.load(run)
    assert first.trials["status"].tolist() == ["COMPLETED", "COMPLETED"]
    assert search() == run
    assert (run / "events.jsonl").read_text() == ledger
    assert analysis.load(run).trials.equals(first.trials)


def test_a_file_is_run_under_another_name_and_with_changes(few_pictures, tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump({**SPEC, "data": "elsewhere"}))
    data = shutil.copytree(few_pictures, tmp_path / "my: faces")
    run = run_or_resume(
        file,
        data=data,
        name="other",
        changes=["space.batch_size=[64]"],
        runs=tmp_path,
        executor=EXECUTOR,
    )
    assert run.name == "other"
    assert len(analysis.load(run).trials) == 1
    with pytest.raises(RunError, match="was made with another spec"):
        SEARCH(SPEC | {"name": "other"}, data=few_pictures, runs=tmp_path)


def test_the_told_command_for_another_spec_can_be_pasted(few_pictures, tmp_path):
    search = partial(SEARCH, data=few_pictures, runs=tmp_path / "my runs")
    run = search(SPEC)
    with pytest.raises(RunError, match=f"with `python -m tune extend '{run}'`"):
        search({**SPEC, "seed": 7})


def test_a_call_wins_over_its_dict_and_goes_on_where_the_dataset_is_now(few_pictures, tmp_path):
    before = shutil.copytree(few_pictures, tmp_path / "faces")
    spec = {**SPEC, "data": "elsewhere"}
    search = partial(SEARCH, spec, name="other", changes=["seed=7"], runs=tmp_path)
    run = search(data=before)
    known = read_spec(run)
    assert (run.name, known.name, known.data, known.seed) == ("other", "other", str(before), 7)
    ledger = (run / "events.jsonl").read_text()
    assert search(data=before.rename(tmp_path / "moved")) == run
    assert (run / "events.jsonl").read_text() == ledger


def test_a_run_is_read_with_the_dataset_where_it_is_now(few_pictures, tmp_path):
    before = shutil.copytree(few_pictures, tmp_path / "faces")
    SEARCH(SPEC, data=before, runs=tmp_path)
    now = before.rename(tmp_path / "moved")
    found = tune.search(SPEC, data=now, runs=tmp_path)
    assert found.figure("mistakes").axes, "it shows pictures"
