"""`python -m tune export`: the folder is complete, correct and usable without Fairsweep."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from safetensors.numpy import load_file

from analysis.__main__ import main as analysis
from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from tests.support.in_process import few_pictures_fixture as few_pictures_fixture
from tests.support.in_process import finished_run_fixture as finished_run_fixture
from tests.support.in_process import run_fixture as run_fixture
from tests.support.sweeps import new_sweep, small_spec, train
from tune.__main__ import main
from tune.commands import export
from tune.run.tables import read_predictions
from tune.session import exported
from tune.session.status import read_sweep

CONTENT = {
    "onnx_bytes": 2_500_000,
    "largest_difference": 1e-4,
    "latency_ms": {"1": {"p50": 1.23, "p95": 3.42}},
}
CLASSES = ("angry", "bored", "focused", "neutral")


@pytest.fixture(name="folder", scope="module")
def folder_fixture(finished_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "the winner"
    assert main(["export", str(finished_run), "--out", str(folder)]) == 0
    return folder


def incumbent(run):
    return read_sweep(run).incumbent


def test_the_model_agrees_with_every_validation_prediction(folder, finished_run, few_pictures):
    dataset = read_dataset(few_pictures)
    gray = dataset.pixels[dataset.rows("val")]
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    found = session.run(None, {"pictures": np.repeat(gray[..., None], 3, axis=3)})[0]
    stored = read_predictions(finished_run, incumbent(finished_run).id)
    expected = np.array(stored["probabilities"].to_pylist())
    assert len(found) == len(expected) > 10
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_pictures_that_are_classified_in_parts_get_the_same_probabilities(folder, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 256, (11, 48, 48, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    whole = exported._run(session, pictures)
    monkeypatch.setattr(exported, "_AT_ONCE", 4)
    np.testing.assert_allclose(exported._run(session, pictures), whole, atol=1e-6, rtol=0)


def test_the_facts_name_where_the_model_comes_from(folder, finished_run, few_pictures):
    facts = json.loads((folder / "model.json").read_text())
    trial = incumbent(finished_run)
    manifest = read_dataset(few_pictures).manifest
    assert facts["trial"] == trial.id
    assert facts["dataset"]["fingerprint"] == manifest.fingerprint
    assert facts["classes"] == list(manifest.classes)
    assert facts["configuration"]["batch_size"] == trial.config["batch_size"]
    assert facts["validation"]["val_accuracy"] == trial.best().values["val_accuracy"]
    assert facts["epoch"] == trial.best().epoch == 1
    assert facts["times_test_opened"] == 0
    assert facts["compared_pictures"] == len(read_dataset(few_pictures).rows("val"))
    assert facts["largest_difference"] <= 1e-4
    assert facts["onnx_bytes"] == (folder / "model.onnx").stat().st_size
    for size in ("1", "64"):
        assert 0 < facts["latency_ms"][size]["p50"] <= facts["latency_ms"][size]["p95"]


def test_the_metrics_are_those_of_the_epoch_whose_weights_are_exported(run):
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}, objective={"at": "last"}))
    trial = train(sweep, 0.3, 0.6, 0.5)
    for epoch, accuracy in ((2, 0.6), (3, 0.5)):
        facts = export._facts(run, sweep, trial.id, epoch)
        assert facts["validation"]["val_accuracy"] == accuracy
        assert (facts["name"], facts["trial"], facts["run"]) == (trial.name, trial.id, "tiny")
        assert facts["dataset"]["name"] == "few"


@pytest.mark.parametrize(("rows", "compared"), [(3, 3), (1000, 1000), (1001, 501), (2500, 834)])
def test_at_most_a_thousand_pictures_of_the_whole_split_are_compared(monkeypatch, rows, compared):
    splits = {"val": np.arange(rows)[::-1] * 2}
    found = SimpleNamespace(pixels=np.arange(2 * rows), rows=splits.__getitem__)
    monkeypatch.setattr(export, "find_dataset", lambda *_: found)
    pixels = export._validation_pictures(None, None)
    assert len(pixels) == compared <= export.MOST
    assert pixels[0] == 2 * (rows - 1)
    assert pixels[-1] < 2 * rows / compared, "up to the end of the split"


def test_latencies_are_percentiles_in_milliseconds_of_runs_after_the_first(monkeypatch):
    sizes = []
    times = iter([edge for run in range(20) for edge in (run, run + (run + 1) / 1000)])
    monkeypatch.setattr(exported, "RUNS", 20)
    monkeypatch.setattr(exported, "_run", lambda _, batch: sizes.append(len(batch)))
    monkeypatch.setattr(exported.time, "perf_counter", lambda: next(times))
    pixels = np.zeros((3, 4, 4, 3), np.uint8)
    # Runs take 1, 2, …, 20 ms.
    assert exported._latency(None, pixels, 8) == {"p50": 10.5, "p95": 19.05}
    assert sizes == [8] * 21


def test_the_weights_have_the_number_of_parameters(folder, finished_run):
    weights = load_file(folder / "model.safetensors")
    trained = [array for name, array in weights.items() if "running" not in name]
    count = sum(array.size for array in trained if array.dtype == np.float32)
    assert count == incumbent(finished_run).parameters


def test_the_script_classifies_files_without_fairsweep(folder, few_pictures, tmp_path):
    dataset = read_dataset(few_pictures)
    pictures = tmp_path / "my pictures"
    pictures.mkdir()
    for row in range(3):
        Image.fromarray(dataset.pixels[row]).resize((96, 96)).save(pictures / f"{row}.png")
    (pictures / "notes.txt").write_text("no picture")
    done = subprocess.run(
        [sys.executable, "-I", folder / "classify.py", pictures],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["picture"] for row in rows] == [str(pictures / f"{n}.png") for n in range(3)]
    for row in rows:
        shares = {name: float(row[name]) for name in dataset.manifest.classes}
        assert shares[row["class"]] == max(shares.values())
        assert sum(shares.values()) == pytest.approx(1, abs=2e-4)


def test_the_card_is_that_of_the_analysis(folder, finished_run, capsys):
    assert analysis(["card", str(finished_run)]) == 0
    assert (folder / "README.md").read_text() == capsys.readouterr().out


def test_without_the_analysis_the_card_is_missed_and_the_rest_is_written(
    finished_run, tmp_path, capsys, monkeypatch
):
    refused = subprocess.CompletedProcess([], returncode=2, stdout="", stderr="no pandas here\n")
    monkeypatch.setattr(export.subprocess, "run", lambda *_, **__: refused)
    assert main(["export", str(finished_run), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert "warning: there is no model card: no pandas here; " in said
    assert f"python -m analysis card {finished_run} --out {tmp_path}/out/README.md" in said
    assert (tmp_path / "out/model.onnx").is_file()


def test_another_trial_gets_no_card_of_the_incumbent(finished_run, tmp_path):
    others = read_sweep(finished_run).trials.keys() - {incumbent(finished_run).id}
    words = ["export", str(finished_run), "--trial", min(others), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert (tmp_path / "out/model.json").is_file()
    assert not (tmp_path / "out/README.md").exists()


def test_a_folder_that_exists_is_kept(finished_run, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["export", str(finished_run), "--out", str(tmp_path)]) == 2
    assert "give --out a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_a_model_that_differs_is_not_written(
    finished_run, folder, tmp_path, capsys, monkeypatch, wrong
):
    model = onnx.load(folder / "model.onnx")
    bias = next(array for array in model.graph.initializer if array.dims == [len(CLASSES)])
    bias.CopyFrom(onnx.numpy_helper.from_array(np.float32([wrong, 0, 0, 0]), bias.name))
    monkeypatch.setattr(exported, "onnx_model", lambda _: model)
    assert main(["export", str(finished_run), "--out", str(tmp_path / "out")]) == 2
    assert "differs from the original" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_has_left_is_not_in_the_new_folder(tmp_path, monkeypatch):
    def write(folder, *_):
        (folder / "model.json").touch()
        return {"epoch": 3}

    monkeypatch.setattr(exported, "_write_into", write)
    out = tmp_path / "not there yet" / "out"
    left = out.with_name(".out.partial")
    for name in (".out.partial", "other"):
        shutil.rmtree(out.parent, ignore_errors=True)
        if name == left.name:
            left.mkdir(parents=True)
            (left / "old").touch()
        assert exported.write_export(None, out, None, {}) == {"epoch": 3}
        assert [path.name for path in out.iterdir()] == ["model.json"]
        assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_told_command_for_the_card_can_be_pasted(capsys, monkeypatch):
    refused = subprocess.CompletedProcess([], returncode=2, stdout="", stderr="a note\nno pandas\n")
    monkeypatch.setattr(export.subprocess, "run", lambda *_, **__: refused)
    export._write_card(Path("runs/a b"), Path("out/README.md"), "my faces")
    assert capsys.readouterr().err == (
        "warning: there is no model card: no pandas; to write it later: "
        "python -m analysis card 'runs/a b' --out out/README.md --data 'my faces'\n"
    )


def test_an_export_uses_the_dataset_and_the_trust_that_it_is_given(
    finished_run, few_pictures, tmp_path, capsys, monkeypatch
):
    asked = []
    monkeypatch.setattr(exported, "write_export", lambda *_: CONTENT)
    monkeypatch.setattr(export, "open_code", lambda *_, trust_code: asked.append(trust_code))
    monkeypatch.setattr(export, "_write_card", lambda *words: asked.append(words[1:]))
    words = ["export", str(finished_run), "--out", str(tmp_path)]
    assert main([*words, "--data", str(few_pictures), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == CONTENT
    assert main([*words, "--trust-code"]) == 0
    told = capsys.readouterr().out
    assert "model.onnx (2.5 MB)" in told
    assert "differ by at most 0.0001; a picture takes 1.2 ms (95th percentile 3.4 ms)" in told
    card = tmp_path / "README.md"
    assert asked == [False, (card, str(few_pictures)), True, (card, None)]
    assert main([*words, "--data", str(tmp_path / "gone")]) == 2
    assert "gone" in capsys.readouterr().err


def test_without_its_dataset_a_model_is_checked_on_random_pictures(
    finished_run, tmp_path, capsys, monkeypatch
):
    def find(*_):
        raise UserError("the dataset is gone")

    checked = []
    monkeypatch.setattr(export, "find_dataset", find)
    monkeypatch.setattr(export, "_write_card", lambda *_: None)
    monkeypatch.setattr(
        exported, "write_export", lambda *words: checked.append(words[2]) or CONTENT
    )
    assert main(["export", str(finished_run), "--out", str(tmp_path)]) == 0
    (pixels,) = checked
    assert (pixels.shape[0], pixels.ndim, pixels.dtype) == (export.DRAWN, 3, np.uint8)
    assert pixels.std() > 50
    assert capsys.readouterr().err.startswith("warning: the dataset is gone; the model is checked")
