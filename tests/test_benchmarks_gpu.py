"""The proof of a GPU, as far as a CPU can run it: what is checked, and what a cut leaves."""

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest

import benchmarks.gpu
from benchmarks.harness import write_pictures
from benchmarks.on_gpu import memory, networks
from benchmarks.on_gpu.parts import Part, Results, Settings, work_off
from fairsweep.errors import UserError
from models.data import DeviceDataset


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = Settings(device="cpu", folder=tmp_path_factory.mktemp("gpu"))
    write_pictures(settings.small, settings.small_count)
    return settings


def quick(_settings):
    yield {"what": "quick", "passed": True}


def slow(_settings):
    yield {"what": "before the cut"}
    time.sleep(600)
    yield {"what": "after the cut"}


def broken(_settings):
    yield {"what": "before the error"}
    raise RuntimeError("no kernel image")


def crashes(_settings):
    yield {"what": "before the crash"}
    os._exit(139)


@pytest.mark.long
def test_a_part_that_breaks_or_takes_too_long_keeps_its_results_and_hinders_no_other(tmp_path):
    results = Results(tmp_path / "results.jsonl")
    results.begin(seconds=10**6)
    settings = Settings(device="cpu", folder=tmp_path)
    first = [Part(name=part.__name__, run=part, least_seconds=1) for part in (broken, crashes)]
    work_off(first, settings, results)
    results._ends = time.monotonic() + 45
    last = [
        Part(name="slow", run=slow, least_seconds=1),
        Part(name="too late", run=quick, least_seconds=5),
    ]
    work_off(last, settings, results)
    rows = [json.loads(line) for line in results.path.read_text().splitlines()][1:]
    assert [row["what"] for row in rows] == [
        "before the error", "broken", "before the crash", "crashes",
        "before the cut", "slow", "too late left out",
    ]  # fmt: skip
    assert rows[1]["error"] == "RuntimeError: no kernel image"
    assert rows[3]["error"] == "its process ended with 139"
    assert rows[5]["cut short"] == "the time is over"
    assert results.failed() == ["broken", "crashes"]


@pytest.mark.usefixtures("one_thread")
def test_the_checks_of_networks_pass_where_the_arithmetic_is_the_same(settings):
    rows = list(networks.check(settings))
    assert [row["what"] for row in rows if not row["passed"]] == []
    assert len(rows) == 6


@pytest.mark.usefixtures("one_thread")
def test_a_device_that_computes_something_else_fails_the_first_check(settings, monkeypatch):
    create = DeviceDataset.create

    def with_a_fault(source, device="cpu"):
        made = create(source, device)
        if device == "cpu" and not with_a_fault.made:
            with_a_fault.made.append(made)
            return made
        pixels = made.pixels.clone()
        pixels[source.rows("train")[0], 0, 0] ^= 128
        return replace(made, pixels=pixels)

    with_a_fault.made = []
    monkeypatch.setattr(DeviceDataset, "create", with_a_fault)
    first = next(iter(networks.check(settings)))
    assert not first["passed"]
    assert first["deviation"] > first["allowed"]


def test_a_loss_that_is_not_finite_is_no_small_deviation():
    assert networks.deviation(np.array([np.nan]), np.array([1.0])) == np.inf
    assert networks.deviation(np.array([1.01]), np.array([1.0])) == pytest.approx(0.01)


@pytest.mark.usefixtures("one_thread")
def test_a_trial_without_room_is_told_retried_and_given_up_beside_one_that_fits(settings):
    (row,) = memory.check(settings)
    assert row["passed"], row
    assert row["ends"] == {"16": "COMPLETED", "64": "INFEASIBLE"}


def test_without_a_gpu_the_proof_says_how_to_try_it(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="sees no GPU; give --device cpu for a dry run"):
        next(benchmarks.gpu.run(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_options_of_the_proof_belong_to_it_alone(capsys, tmp_path):
    from benchmarks.__main__ import main

    for words, told in (
        (["overhead", "--minutes", "3"], "overhead takes no --minutes; leave it out"),
        (["gpu"], "gpu writes files; say where with --out DIR"),
        (["gpu", "--out", str(tmp_path), "--minutes", "0"], "--minutes must be above 0"),
        (["gpu", "--out", str(tmp_path), "--have", "x"], "gpu takes no --have; leave it out"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert told in capsys.readouterr().err


@pytest.mark.long
def test_the_whole_proof_runs_on_a_cpu(tmp_path):
    """Except for figures that a CPU would need too long for."""
    list(benchmarks.gpu.run(tmp_path, minutes=30, device="cpu", checks=True))
    rows = Results(tmp_path / "results.jsonl").read()
    assert all(row.get("passed", True) for row in rows), rows
    assert {row["part"] for row in rows} == {"machine", "networks", "memory", "sweeps"}
