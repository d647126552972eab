"""The model card: what the run knows of its incumbent, and what it does not know."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main
from analysis.groups.bias import reported
from analysis.report.card import model_card
from analysis.report.summary import found, unknown
from analysis.run.dataset import find_dataset
from analysis.run.run_data import read_run
from analysis.run.trials import incumbent
from analysis.selection.statistics import selection
from tests.support.run_factory import Factory


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    Factory().write(place / "run", place / "data")
    return place


def section(card, title):
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_card_says_what_the_model_is_how_it_was_chosen_and_how_well_it_does(place):
    run = read_run(place / "run")
    card, best = model_card(run), incumbent(run)
    assert card.startswith(f"# {best['name']}\n")
    assert "- input: gray pictures, 20 × 28 pixels" in section(card, "Model")
    assert f"kernel_size {best['kernel_size']}, " in section(card, "Model")
    model = section(card, "Model")
    assert best["epochs_trained"] != best["best_epoch"]
    assert f"- epochs: {best['epochs_trained']}\n" in model
    assert f"- trainable parameters: {best['parameters']:,}\n" in model
    assert f"one of 4 classes for a picture: {', '.join(run.info.classes)}\n" in model
    manifest = find_dataset(run).manifest
    across = manifest["duplicates"]["across_splits"]
    assert f"- labels: {manifest['label_rule']}\n" in section(card, "Data")
    assert f"- splits: {manifest['split_method']}\n" in section(card, "Data")
    assert f"- copies across splits: {across}\n" in section(card, "Data")
    origin, told = section(card, "Origin"), run.provenance
    assert f"- run: {run.name}\n" in origin
    assert f"- code: {(told.get('git') or {}).get('commit') or 'not known'}\n" in origin
    assert f"- trained: {told.get('created') or 'not known'}\n" in origin
    assert run.provenance["dataset"]["fingerprint"] in section(card, "Data")
    assert "280 train, 400 val, 60 test" in section(card, "Data")
    assert all(sentence in section(card, "How it was chosen") for sentence in found(run))
    assert all(sentence in section(card, "Not known") for sentence in unknown(run))
    results = section(card, "How well it does")
    corrected = selection(run).set_index("estimate").loc["corrected", "accuracy"]
    assert f" {corrected:.3f} |" in results
    assert "The test split was not opened" in results
    rows = [line for line in results.splitlines() if line.startswith("| ")]
    of_classes = [row for row in rows if row.split("|")[1].strip() in run.info.classes]
    assert len(of_classes) == len(run.info.classes), "the incumbent's classes, and no other model's"


def test_a_card_without_the_dataset_says_what_is_not_known(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    card = model_card(read_run(tmp_path / "run", tmp_path / "nowhere"))
    assert "- input: not known" in card
    assert "- pictures:" not in card
    assert "- licence: not known" in card


def test_the_command_prints_the_card_or_writes_it(place, tmp_path, capsys):
    assert main(["card", str(place / "run")]) == 0
    printed = capsys.readouterr().out
    assert main(["card", str(place / "run"), "--out", str(tmp_path / "README.md")]) == 0
    assert (tmp_path / "README.md").read_text() == printed
    capsys.readouterr()
    assert main(["card", str(place / "run"), "--out", str(tmp_path / "no/README.md")]) == 2
    assert "is not a folder; make it" in capsys.readouterr().err


def test_the_card_has_the_licence_beside_the_data_and_results_on_groups(place, tmp_path):
    for folder in ("run", "data"):
        shutil.copytree(place / folder, tmp_path / folder)
    (tmp_path / "data/LICENSE").write_text("\n  Creative Commons Attribution 4.0\n\nYou may\n")
    table = pq.read_table(tmp_path / "data/images.parquet")
    ages = pa.array(["child" if row % 2 else "adult" for row in range(len(table))])
    pq.write_table(table.append_column("age", ages), tmp_path / "data/images.parquet")
    run = read_run(tmp_path / "run", tmp_path / "data")
    card = model_card(run)
    assert "- licence: Creative Commons Attribution 4.0 (from LICENSE in the dataset" in card
    bias = reported(run)
    groups = bias.tables[0].frame.set_index(["attribute", "group"])
    line = next(line for line in section(card, "How well it does").splitlines() if "child" in line)
    assert f" {groups.loc[('age', 'child'), 'n']} " in line
    assert "**Groups**" in card
    without = model_card(read_run(place / "run"))
    assert "**Groups**" not in without
    assert "- licence: not known" in without
