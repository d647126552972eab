"""Runs whose start was killed, or whose files a power cut left empty."""

import json
import shutil

import pytest

from data_prep.synthetic import prepare_synthetic
from fairsweep.errors import UserError
from tests.support.in_process import (  # noqa: F401 - fixtures, used by name
    extend,
    few_pictures_fixture,
    finished_run_fixture,
    resume,
    run_fixture,
    start,
    tiny_spec,
)
from tests.support.ledgers import read_lines
from tune.__main__ import main
from tune.commands.test import open_test
from tune.run.directory import (
    LEDGER_FILE,
    MEASUREMENTS_FILE,
    PROVENANCE_FILE,
    SPEC_FILE,
    TRIALS_FILE,
    RunError,
    best_weights,
    predictions_file,
)
from tune.run.tables import read_predictions
from tune.session.carried import Carried
from tune.session.run_directory import create_run, read_provenance, read_spec
from tune.session.status import request_retry, run_status
from tune.session.store import open_dataset

PREPARED = (SPEC_FILE, PROVENANCE_FILE, LEDGER_FILE)


def killed_start(tmp_path, few_pictures, files):
    """A run directory as a kill leaves it after so many of its files."""
    manifest = open_dataset(few_pictures).manifest
    run = create_run(tmp_path / "runs", tiny_spec(few_pictures), manifest, Carried())
    (run / LEDGER_FILE).touch()
    for name in PREPARED[files:]:
        (run / name).unlink()
    return run


@pytest.mark.parametrize("files", range(4))
def test_a_start_that_was_killed_at_any_moment_is_started_again(tmp_path, few_pictures, files):
    run = killed_start(tmp_path, few_pictures, files)
    (run / f".{SPEC_FILE}.4711").write_text("name: ti")
    made, sweep = start(tiny_spec(few_pictures), run.parent)
    assert made == run
    assert sweep.finished


@pytest.mark.parametrize("files", [1, 2, 3])
def test_a_start_that_was_killed_after_its_spec_is_resumed(tmp_path, few_pictures, files, capsys):
    run = killed_start(tmp_path, few_pictures, files)
    assert run_status(run)["trials"] == {}
    assert resume(run).finished
    assert (PROVENANCE_FILE in capsys.readouterr().err) == (files == 1)


@pytest.mark.parametrize(
    "name", [SPEC_FILE, PROVENANCE_FILE, TRIALS_FILE, MEASUREMENTS_FILE, "lease.json"]
)
@pytest.mark.parametrize("content", [b"", b"\0" * 100])
def test_an_empty_file_is_made_again(run, name, content, capsys):
    extend(run, overrides=["retries=5"])
    before = (run / name).read_bytes()
    (run / name).write_bytes(content)
    capsys.readouterr()
    assert run_status(run)["finished"]
    resume(run)
    errors = capsys.readouterr().err
    if name == PROVENANCE_FILE:
        assert "those that the run began with are lost" in errors
        assert read_provenance(run)["dataset"] == json.loads(before)["dataset"]
    else:
        assert (run / name).read_bytes() == before
        assert (name in errors) == (name == SPEC_FILE)
    assert read_spec(run).retries == 5


def test_a_lost_provenance_comes_back_with_no_other_dataset(run, tmp_path, few_pictures):
    other = tmp_path / "other"
    prepare_synthetic(out=other, images=300, near_duplicates=False)
    (run / PROVENANCE_FILE).write_text("")
    with pytest.raises(RunError, match="trained on another dataset than 'other'; give --data"):
        resume(run, data=str(other))
    assert resume(run, data=str(few_pictures)).finished


def test_the_commands_that_are_told_can_be_pasted_whatever_the_path(run, few_pictures):
    assert " " in str(run)
    with pytest.raises(RunError, match=f"tune resume '{run}'`, or give this one another --name"):
        create_run(run.parent, read_spec(run), open_dataset(few_pictures).manifest, Carried())
    with pytest.raises(RunError, match=f"tune resume '{run}' --retry-failed` trains"):
        request_retry(run)
    (run / PROVENANCE_FILE).unlink()
    with pytest.raises(RunError, match=f"tune resume '{run}'` writes it again"):
        read_provenance(run)


def test_a_lost_ledger_is_told_and_nothing_is_trained_over_it(run, capsys):
    (run / LEDGER_FILE).write_bytes(b"")
    shutil.rmtree(run / "checkpoints")
    assert main(["resume", str(run)]) == 2
    error = capsys.readouterr().err
    assert "restore the ledger from a copy" in error
    assert error.count("\n") == 1


def test_empty_predictions_are_made_again_with_those_of_test(run):
    open_test(run)
    opened = read_lines(run)[-1]["trial"]
    before = read_predictions(run, opened)
    predictions_file(run, opened).write_bytes(b"")
    with pytest.raises(UserError, match=f"is damaged; `python -m tune resume '{run}'` writes it"):
        read_predictions(run, opened)
    resume(run)
    assert read_predictions(run, opened)["split"].to_pylist() == before["split"].to_pylist()


def test_empty_weights_lose_the_predictions_and_no_more(run, capsys):
    trial = next(event["trial"] for event in read_lines(run) if event["event"] == "trial_ended")
    for path in (predictions_file(run, trial), best_weights(run, trial)):
        path.write_bytes(b"")
    assert resume(run).finished
    assert "the predictions of 1 trials are lost" in capsys.readouterr().err


def test_a_provenance_that_is_written_again_has_the_place_where_the_dataset_is_now(
    run, tmp_path, few_pictures
):
    moved = shutil.copytree(few_pictures, tmp_path / "moved here")
    (run / PROVENANCE_FILE).unlink()
    resume(run, data=str(moved))
    assert read_provenance(run)["dataset"]["path"] == str(moved)
    assert read_spec(run).data == str(few_pictures)


@pytest.mark.parametrize("content", [b"", None])
def test_a_trained_run_without_its_ledger_is_not_opened(run, content):
    ledger = run / LEDGER_FILE
    ledger.unlink() if content is None else ledger.write_bytes(content)
    with pytest.raises(RunError, match=r"is empty or missing, but .* was trained \(it has"):
        read_spec(run)
    with pytest.raises(RunError, match="restore the ledger from a copy"):
        resume(run)
