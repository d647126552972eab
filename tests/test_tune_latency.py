"""`python -m tune latency`, and the table and the card that show what it has measured."""

import json
import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from analysis.comparisons.best_table import best
from analysis.cost.latency_table import latency_table
from analysis.rendering.render import FORMATS
from analysis.report.card import model_card
from analysis.report.naming import named
from analysis.run.run_data import read_run
from analysis.run.trials import incumbent
from analysis.statistics.estimate import NotKnownError
from data_prep.reader import read_dataset
from models.latency import Latency, MeasuredNetwork
from tests.support.in_process import few_pictures_fixture as few_pictures_fixture
from tests.support.in_process import finished_run_fixture as finished_run_fixture
from tests.support.in_process import start, tiny_spec
from tests.support.sweeps import new_sweep, small_spec, train
from tune.__main__ import main
from tune.commands import latency as command
from tune.run.latency import BATCHES, NetworkLatency
from tune.run.lease import hold
from tune.session.status import read_sweep


@pytest.fixture(name="run", scope="module")
def run_fixture(tmp_path_factory, finished_run):
    run = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("measured") / "tiny"))
    assert main(["latency", str(run)]) == 0
    return run


def test_every_completed_configuration_has_a_row_and_equal_networks_are_measured_once(run):
    found = pd.read_parquet(run / "latency.parquet")
    sweep = read_sweep(run)
    assert list(found["configuration_id"]) == [t.configuration_id for t in sweep.ranked(
        sweep.trials.values()
    )]  # fmt: skip
    assert len(found) == 2, "they differ in batch_size alone"
    assert len(found.drop(columns=["configuration_id", "name"]).drop_duplicates()) == 1
    first = found.iloc[0]
    assert first["parameters"] == sweep.incumbent.parameters
    assert 0 < first["p50_1"] <= first["p95_1"]
    assert 0 < first["p50_64"] <= first["p95_64"]
    assert first["threads"] == 1


def test_of_very_many_configurations_the_best_are_measured(run, monkeypatch):
    sweep = read_sweep(run)
    monkeypatch.setattr(command, "MOST", 1)
    assert command.best_configurations(sweep) == [sweep.incumbent]


def test_the_table_shows_what_was_measured_beside_the_accuracy(run):
    data = read_run(run)
    table = latency_table(data)
    found = pd.read_parquet(run / "latency.parquet").set_index("configuration_id")
    accuracy = data.trials.set_index("configuration_id")["best_val_accuracy"]
    for row in table.frame.to_dict("records"):
        assert row["accuracy"] == accuracy[row["configuration_id"]]
        assert row["p95_64"] == found.loc[row["configuration_id"], "p95_64"]
    assert table.frame["accuracy"].is_monotonic_decreasing
    cells = table.views[0].shown(table.frame).iloc[0].to_list()
    first = table.frame.iloc[0]
    assert cells[2:6] == [
        f"{first['parameters']:,}", f"{first['weights_bytes'] / 1e6:.3g}",
        f"{first['p50_1']:.3g}", f"{first['p95_1']:.3g}",
    ]  # fmt: skip
    assert str(first["device"]) in " ".join(table.notes)
    assert any(note.startswith("n: ") for note in table.notes)
    assert all(write(named(table, data)) for write in FORMATS.values())
    headings = [column.heading for column in table.views[0].columns]
    assert len(headings) == len(set(headings))


def test_the_table_of_configurations_has_size_and_latency_if_they_were_measured(run, finished_run):
    table = best(read_run(run))
    found = pd.read_parquet(run / "latency.parquet").set_index("configuration_id")
    cells = table.views[0].shown(table.frame)
    for row, shown in zip(table.frame.to_dict("records"), cells.to_dict("records"), strict=True):
        own = found.loc[row["configuration_id"]]
        assert shown["MB"] == f"{own['weights_bytes'] / 1e6:.3g}"
        assert shown["ms per picture"] == f"{own['p50_1']:.3g}"
    without = best(read_run(finished_run))
    assert "p50_1" not in without.frame
    assert list(cells.columns.drop(["MB", "ms per picture"])) == [
        column.heading for column in without.views[0].columns
    ]


def test_the_card_names_size_and_latency_if_they_were_measured(run, finished_run):
    data = read_run(run)
    found = pd.read_parquet(run / "latency.parquet").set_index("configuration_id")
    own = found.loc[incumbent(data)["configuration_id"]]
    card = model_card(data)
    assert f"- size: {own['weights_bytes'] / 1e6:.3g} MB of weights" in card
    assert f"- latency: {own['p50_1']:.3g} ms for one picture" in card
    assert "- latency" not in model_card(read_run(finished_run))


def test_without_a_measurement_the_table_says_how_to_get_one(finished_run):
    with pytest.raises(NotKnownError, match=r"`python -m tune latency .*` does"):
        latency_table(read_run(finished_run))


def test_the_result_is_printed_as_json_too(tmp_path, finished_run, capsys, monkeypatch):
    measured = MeasuredNetwork(
        parameters=7,
        weights_bytes=28,
        latencies={1: Latency(p50=1.5, p95=2.0), 64: Latency(p50=30.0, p95=40.0)},
    )
    monkeypatch.setattr(command, "measure_network", lambda *_, **__: measured)
    run = Path(shutil.copytree(finished_run, tmp_path / "tiny"))
    assert main(["latency", str(run), "--json"]) == 0
    first, _ = json.loads(capsys.readouterr().out)
    wanted = {"parameters": 7, "weights_bytes": 28, "p50_1": 1.5, "p95_1": 2.0, "p50_64": 30.0}
    assert wanted.items() <= first.items()
    assert first["p95_64"] == 40.0
    assert pd.read_parquet(run / "latency.parquet")["parameters"].tolist() == [7, 7]


def test_the_result_is_printed_in_megabytes_and_milliseconds(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = NetworkLatency(
        configuration_id="c", name="B4", parameters=1_234_567, weights_bytes=4_938_268,
        p50_1=1.5, p95_1=2.0, p50_64=30.0, p95_64=40.0, device="a card", threads=3, host="here",
        measured="2026-01-01 00:00:00",
    )  # fmt: skip
    command.print_latencies([found])
    heading, row, where = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[-1].strip() == "p95"
    assert row.split() == ["B4", "1,234,567", "4.94", "1.5", "2", "30", "40"]
    assert where == "on a card, threads: 3"


@pytest.mark.parametrize(("cpus", "threads"), [(3, 3), (2.5, 2), (0.5, 1)])
def test_networks_are_measured_with_the_threads_of_a_trial_and_in_its_layout(
    few_pictures, monkeypatch, cpus, threads
):
    before, asked = torch.get_num_threads(), []

    def measure(config, _data, **options):
        asked.append((config.kernel_size, torch.get_num_threads(), options))
        latencies = dict.fromkeys(options["batch_sizes"], Latency(p50=1.0, p95=2.0))
        return MeasuredNetwork(parameters=7, weights_bytes=28, latencies=latencies)

    monkeypatch.setattr(command, "measure_network", measure)
    space = {"kernel_size": [3, 5]}
    sweep, _ = new_sweep(small_spec(scheduler="none", space=space, resources={"cpus": cpus}))
    trials = [train(sweep, 0.5), train(sweep, 0.6)]
    try:
        found = list(command.measure(sweep.spec, trials, read_dataset(few_pictures)))
    finally:
        torch.set_num_threads(before)
    options = {"batch_sizes": (1, 64), "channels_last": True}
    assert asked == [(3, threads, options), (5, threads, options)]
    assert [each.configuration_id for each in found] == [t.configuration_id for t in trials]
    assert {each.threads for each in found} == {threads}


def test_a_run_that_is_running_is_not_measured(tmp_path, finished_run, capsys):
    run = Path(shutil.copytree(finished_run, tmp_path / "tiny"))
    with hold(run):
        assert main(["latency", str(run)]) == 2
    assert "which would slow down what is measured" in capsys.readouterr().err
    assert not (run / "latency.parquet").exists()


def test_a_run_without_a_completed_trial_is_not_measured(tmp_path, few_pictures, capsys):
    run, _ = start(tiny_spec(few_pictures, limits={"parameters": 1}), tmp_path / "my runs")
    assert main(["latency", str(run)]) == 2
    told = capsys.readouterr().err
    assert f"has no completed trial yet; see `python -m tune status '{run}'`" in told


def test_a_measurement_uses_the_dataset_and_the_trust_that_it_is_given(finished_run, monkeypatch):
    trusts, names = [], []
    monkeypatch.setattr(command, "open_code", lambda *_, trust_code: trusts.append(trust_code))
    monkeypatch.setattr(command, "measure", lambda *words: names.append(words[2].path) or [])
    monkeypatch.setattr(command, "find_dataset", lambda _, data: SimpleNamespace(path=data))
    monkeypatch.setattr(command, "write_latencies", lambda *_: None)
    monkeypatch.setattr(command, "print_latencies", lambda _: None)
    assert main(["latency", str(finished_run), "--data", "moved", "--trust-code"]) == 0
    assert main(["latency", str(finished_run)]) == 0
    assert (trusts, names) == ([True, False], ["moved", None])


def test_the_columns_are_named_by_the_numbers_of_pictures_that_are_predicted_together():
    columns = {field.name for field in fields(NetworkLatency)}
    assert {f"p{share}_{pictures}" for share in (50, 95) for pictures in BATCHES} == {
        name for name in columns if name.startswith("p") and name != "parameters"
    }
