"""Runs that an earlier version left are listed, resumed and extended."""

import json
from collections import Counter

import pytest

from data_prep.synthetic import prepare_synthetic
from tests.support.old_runs import EXPECTED, IMAGES, NAMES, unpack
from tune.__main__ import main


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_has_the_same_status(tmp_path, name, capsys):
    assert main(["status", str(unpack(name, tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # Earlier versions do not tell these.
    assert (found.pop("silence"), found.pop("failures")) == ("", [])
    assert found == json.loads((EXPECTED / name / "status.json").read_text())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "faces"
    # Their trial ids hold the fingerprint that the first duplicate search gave.
    prepare_synthetic(out=out, images=IMAGES, duplicates="v1")
    return str(out)


def events(run):
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def measured(run):
    """How often each epoch of each trial was measured."""
    return Counter(
        (event["trial"], event["epoch"]) for event in events(run) if event["event"] == "measurement"
    )


@pytest.mark.long
def test_an_old_interrupted_sweep_goes_on_where_it_was(tmp_path, dataset):
    run = unpack("asha", tmp_path)
    before = (run / "events.jsonl").read_text()
    assert main(["resume", str(run), "--data", dataset]) == 0
    assert (run / "events.jsonl").read_text().startswith(before)
    assert set(measured(run).values()) == {1}
    proposed = [event for event in events(run) if event["event"] == "trial_proposed"]
    # Ten samples and the second replicate of two finalists.
    assert len({event["trial"] for event in proposed}) == len(proposed) == 12


@pytest.mark.long
def test_an_old_finished_grid_is_extended_and_trains_nothing_twice(tmp_path, dataset):
    run = unpack("grid", tmp_path)
    before = (run / "events.jsonl").read_text()
    assert main(["extend", str(run), "--data", dataset, "--set", "fixed.epochs=4"]) == 0
    assert (run / "events.jsonl").read_text().startswith(before)
    counts = measured(run)
    assert set(counts.values()) == {1}
    assert len(counts) == 8 * 4


@pytest.mark.long
@pytest.mark.parametrize("name", ["grid-kfold", "grid-retrain"])
def test_an_old_further_run_is_resumed_and_has_nothing_left_to_do(tmp_path, dataset, name):
    run = unpack(name, tmp_path)
    before = measured(run)
    assert main(["resume", str(run), "--data", dataset]) == 0
    assert measured(run) == before
