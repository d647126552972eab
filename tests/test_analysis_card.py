"""The model card: what the run knows of its incumbent, and what it does not know."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main
from analysis.groups.bias import reported
from analysis.report.card import _input, _licence, model_card
from analysis.report.summary import found, unknown
from analysis.run.dataset import Dataset, find_dataset
from analysis.run.run_data import read_run
from analysis.run.trials import incumbent
from analysis.selection.statistics import selection
from tests.support.hand_made import hand_made
from tests.support.run_factory import Factory
from tune.run.latency import NetworkLatency, write_latencies


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    Factory().write(place / "run", place / "data")
    return place


@pytest.fixture(scope="module")
def card(place):
    return model_card(read_run(place / "run"))


def section(card, title):
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_card_says_what_the_model_is_how_it_was_chosen_and_how_well_it_does(place, card):
    run = read_run(place / "run")
    best = incumbent(run)
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


def test_the_command_prints_the_card_or_writes_it(tmp_path, capsys):
    run = str(Factory(configurations=1, replicates=1, faults=False).write(tmp_path / "run"))
    assert main(["card", run]) == 0
    printed = capsys.readouterr().out
    assert main(["card", run, "--out", str(tmp_path / "README.md")]) == 0
    assert (tmp_path / "README.md").read_text() == printed
    assert capsys.readouterr().out == f"wrote {tmp_path / 'README.md'}\n"
    assert main(["card", run, "--out", str(tmp_path / "no/README.md")]) == 2
    assert "is not a folder; make it" in capsys.readouterr().err
    assert main(["card", run, "--out", str(tmp_path / "README.md/card.md")]) == 2
    assert "README.md is not a folder; make it" in capsys.readouterr().err


def test_the_card_has_the_licence_beside_the_data_and_results_on_groups(place, card, tmp_path):
    for folder in ("run", "data"):
        shutil.copytree(place / folder, tmp_path / folder)
    assert "**Groups**" not in card
    assert "- licence: not known" in card
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
    assert "**Differences and ratios between groups**" not in card, "for the page of groups"


@pytest.fixture
def plain(tmp_path):
    """A run that is not on our data: the incumbent, trial 1, and another one with predictions."""
    (tmp_path / "events.jsonl").touch()
    accuracy = [0.5, 0.75, 0.25]
    run = hand_made(
        answers={"t0": np.arange(40) < 20, "t1": np.arange(40) < 30},
        best_val_accuracy=accuracy,
        last_val_accuracy=[0.5, 0.7, 0.2],
        n=40,
        path=tmp_path,
        parameters=[5, 6_000, 7],
        depth=[2.0, None, 3.0],
        width=[8, 16, 4],
        info={"hyperparameters": ("width", "depth"), "searched": ("width", "depth")},
    )
    rows = [{"trial_id": f"t{k}", "epoch": 4, "val_accuracy": v} for k, v in enumerate(accuracy)]
    return replace(run, measurements=pd.DataFrame(rows))


def test_a_card_has_the_settings_that_the_incumbent_uses_and_says_what_is_not_known(plain):
    card = model_card(plain)
    assert section(card, "Model").split("\n- ")[1:] == [
        "task: one of 2 classes for a picture: a, b",
        "input: not known",
        "trainable parameters: 6,000",
        "epochs: 4",
        "hyperparameters: width 16\n",
    ]
    assert section(card, "Data").split("\n- ")[1:] == [
        "dataset: not known", "fingerprint: not known", "licence: not known\n",
    ]  # fmt: skip
    assert section(card, "Origin").split("\n- ")[2:] == [
        "trained: not known", "command: `not known`", "code: not known", "versions: not known\n",
    ]  # fmt: skip
    assert "Training, validation and test pictures are all of" not in section(card, "Limits")
    told = {"created": "a day", "command": "a command", "git": {"commit": "abc"}}
    origin = section(
        model_card(replace(plain, provenance={**told, "versions": {"a": "1", "b": "2"}})), "Origin"
    )
    for line in ("trained: a day", "command: `a command`", "code: abc", "versions: a 1, b 2"):
        assert f"- {line}\n" in f"{origin}\n"
    unnamed = replace(
        plain, info=replace(plain.info, classes=()), trials=plain.trials.assign(parameters=pd.NA)
    )
    model = section(model_card(replace(unnamed, answers={})), "Model")
    assert "- task: not known\n" in model
    assert "- trainable parameters: not known\n" in model


def test_a_card_shows_each_class_of_the_incumbent_without_the_model_s_name(plain):
    results = section(model_card(plain), "How well it does")
    table = results.split("**Each class, at the best epoch**")[1]
    head, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in head.split("|")[1:4]] == [
        "class", "precision", "precision, 95 %",
    ]  # fmt: skip
    assert [row.split("|")[1].strip() for row in rows] == ["a", "b"]
    assert "best trials with predictions" not in results
    lacking = replace(plain, answers={"t0": plain.answers["t0"]})
    assert "Not known: the incumbent has no predictions." in model_card(lacking)
    none = model_card(replace(plain, answers={}))
    assert "Not known: no trial of" in section(none, "How well it does")


def test_a_card_tells_size_and_latency_of_the_incumbent_s_own_network(plain):
    def latency(configuration, first):
        names = ("p50_1", "p95_1", "p50_64", "p95_64")
        times = {name: first + place for place, name in enumerate(names)}
        facts = {"device": f"device {first}", "host": "h", "measured": "2026-01-31", "threads": 2}
        size = {"parameters": 9, "weights_bytes": 1_000_000 * first}
        return NetworkLatency(
            configuration_id=configuration, name=configuration, **size, **times, **facts
        )

    write_latencies(plain.path, [latency("c0", 1)])
    assert "- latency" not in model_card(plain)
    write_latencies(plain.path, [latency("c0", 1), latency("c1", 5)])
    model = section(model_card(plain), "Model")
    assert "- size: 5 MB of weights\n" in model
    assert (
        "- latency: 5 ms for one picture (95th percentile 6 ms), 7 ms for 64 (8 ms), on device 5, "
        "threads: 2\n"
    ) in model


def test_pictures_are_gray_unless_the_dataset_has_three_channels(tmp_path):
    manifest = {"image_shape": [20, 28]}
    told = {}
    for channels in ({}, {"channels": 1}, {"channels": 3}):
        dataset = Dataset(path=tmp_path, manifest={**manifest, **channels})
        told[dataset.pixel_shape] = _input(dataset)
    assert told == {
        (20, 28): "gray pictures, 20 × 28 pixels",
        (20, 28, 3): "colour pictures, 20 × 28 pixels",
    }


def test_a_class_without_pictures_in_a_split_is_counted_as_0(tmp_path):
    counts = {"train": {"a": 3, "b": 4}, "val": {"b": 1}}
    dataset = Dataset(path=tmp_path, manifest={"classes": ["b", "a"], "counts": counts})
    assert dataset.counts == {"train": {"b": 4, "a": 3}, "val": {"b": 1, "a": 0}}


def test_the_first_licence_with_words_in_it_is_named(tmp_path):
    assert _licence(tmp_path) == "not known"
    (tmp_path / "LICENSE").write_text("\n  \n")
    (tmp_path / "LICENCE").write_bytes(b"\xff\xfe not UTF-8")
    (tmp_path / "LICENSE.txt").mkdir()
    assert _licence(tmp_path) == "not known"
    (tmp_path / "LICENSE.md").write_text("# Mine\n")
    (tmp_path / "LICENCE.txt").write_text("\n  Theirs  \nand more\n")
    assert _licence(tmp_path) == "Theirs (from LICENCE.txt in the dataset's folder)"
