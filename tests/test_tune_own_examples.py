"""The examples of own training code: short, trained on a real Ray, killed and resumed."""

import ast
from pathlib import Path

import pytest

from data_prep.synthetic import prepare_synthetic
from tests.support.equal_runs import assert_equal_end
from tests.support.in_process import start
from tests.support.killing import finish_tune, kill_everything, start_tune, wait_for_line
from tune.run.directory import CHECKPOINTS_DIR, LEDGER_FILE, PREDICTIONS_DIR
from tune.run.tables import read_predictions
from tune.run.trial import Status
from tune.sweep.spec import load_spec

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("torch", "sklearn", "lightning")
PATIENCE_SECONDS = 290
ONE_AT_A_TIME = ("--set", "resources={cpus: 1, trials_at_once: 1}")


@pytest.fixture(scope="module")
def faces(made_once):
    """A prepared dataset of about 300 drawn faces."""

    def make(folder):
        prepare_synthetic(out=folder / "few", images=400, near_duplicates=False)

    return made_once("faces-of-examples", make) / "few"


def spec_file(name):
    if name == "lightning":
        pytest.importorskip("pytorch_lightning", reason="Lightning is not installed")
    return EXAMPLES / f"{name}_training.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_fewer_than_forty_lines_of_code(name):
    text = (EXAMPLES / f"{name}_training.py").read_text("utf-8")
    docstring = (ast.get_docstring(ast.parse(text)) or "").count("\n") + 1
    code = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(code) - docstring < 40


@pytest.mark.usefixtures("one_thread")
def test_the_example_of_torch_is_trained(tmp_path, monkeypatch, faces):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    spec = load_spec(spec_file("torch"), [f"data={faces}", "fixed.epochs=2"])
    run, sweep = start(spec, tmp_path / "runs")
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert all(read_predictions(run, trial) is not None for trial in sweep.trials)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_an_example_that_is_killed_twice_ends_as_an_untouched_one(
    tmp_path, monkeypatch, faces, name
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words = ("--data", faces, *ONE_AT_A_TIME)
    whole, killed = (tmp_path / "runs" / name for name in ("whole", "killed"))
    finish_tune(
        tmp_path, "run", spec_file(name), *words, "--name", "whole", patience=PATIENCE_SECONDS
    )
    lines = (whole / LEDGER_FILE).read_bytes().count(b"\n")
    begin = ("run", spec_file(name), *words, "--name", "killed")
    for share in (1 / 3, 2 / 3):
        process = start_tune(tmp_path, *begin)
        wait_for_line(killed, process, int(share * lines), PATIENCE_SECONDS)
        kill_everything(process)
        begin = ("resume", killed)
    finish_tune(tmp_path, *begin, patience=PATIENCE_SECONDS)
    assert_equal_end(killed, whole)
    for file in (whole / PREDICTIONS_DIR).glob("*.parquet"):
        assert read_predictions(killed, file.stem).equals(read_predictions(whole, file.stem))
    if name == "sklearn":
        states = list((killed / CHECKPOINTS_DIR).rglob("last.pt"))
        assert states
        assert not any(state.read_bytes().startswith(b"PK") for state in states), "torch wrote it"
