"""The latency of a network: what is timed, how often, and what it leaves as it was."""

import pytest
import torch
from safetensors.torch import save_file

from data_prep.reader import read_dataset
from models import latency
from models.build import build_model, count_parameters
from models.config import TrainConfig
from models.data import DeviceDataset
from models.latency import measure_network
from tests.support.in_process import FIXED
from tests.support.in_process import few_pictures_fixture as few_pictures_fixture


@pytest.fixture(name="data", scope="module")
def data_fixture(few_pictures):
    return DeviceDataset.create(read_dataset(few_pictures))


def test_the_median_and_the_95th_percentile_are_those_of_the_counted_runs(data, monkeypatch):
    batches = []
    ends = iter([1.0] * latency._WARM_UP + [0.001 * n for n in range(1, latency._RUNS + 1)])
    now = [0.0]

    def predict(_model, _data, rows, _config):
        batches.append(len(rows))
        now[0] += next(ends)
        return torch.zeros(1)

    monkeypatch.setattr(latency, "predict_logits", predict)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(latency, "_SECONDS", 100.0)
    monkeypatch.setattr(latency, "_WARM_UP_SECONDS", 100.0)
    found = measure_network(TrainConfig.create(FIXED), data, batch_sizes=[64]).latencies[64]
    assert batches == [64] * (latency._WARM_UP + latency._RUNS)
    assert (found.p50, found.p95) == (15.5, pytest.approx(28.55))


def test_a_slow_network_is_warmed_up_once_and_timed_ten_times(data, monkeypatch):
    now, runs = [0.0], []

    def predict(*_):
        now[0] += 60.0
        runs.append(1)
        return torch.zeros(1)

    monkeypatch.setattr(latency, "predict_logits", predict)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    assert measure_network(TrainConfig.create(FIXED), data).latencies[1].p50 == 60_000
    assert len(runs) == 1 + 10


# Up to five to warm up, ten that are always counted, and more until two seconds are over.
@pytest.mark.parametrize(("seconds", "expected"), [(0.125, 5 + 10 + 1), (0.25, 3 + 10)])
def test_a_quick_network_is_timed_for_about_two_seconds(data, monkeypatch, seconds, expected):
    now, runs = [0.0], []

    def predict(*_):
        now[0] += seconds
        runs.append(1)
        return torch.zeros(1)

    monkeypatch.setattr(latency, "predict_logits", predict)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    assert measure_network(TrainConfig.create(FIXED), data).latencies[1].p95 == 1000 * seconds
    assert len(runs) == expected


@pytest.mark.parametrize("channels_last", [True, False])
def test_what_is_timed_lies_in_memory_as_was_asked(data, monkeypatch, channels_last):
    models = []
    monkeypatch.setattr(
        latency, "predict_logits", lambda model, *_: models.append(model) or torch.zeros(1)
    )
    config = TrainConfig(family="plain", channels=2, stages=2)
    measure_network(config, data, channels_last=channels_last)
    weight = models[0].stages[4].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last


def test_frozen_weights_are_part_of_a_network_s_size(data, monkeypatch):
    monkeypatch.setattr(latency, "predict_logits", lambda *_: torch.zeros(1))
    values = {"family": "torchvision", "architecture": "squeezenet1_1"}
    sizes = {
        measure_network(TrainConfig.create({**values, "frozen_stages": frozen}), data).parameters
        for frozen in (0, 2)
    }
    assert len(sizes) == 1


def test_more_pictures_than_the_dataset_has_are_the_same_ones_again(data, monkeypatch):
    size, given = len(data.labels) + 1, []
    monkeypatch.setattr(latency, "_WARM_UP", 1)
    monkeypatch.setattr(latency, "_LEAST_RUNS", 2)
    monkeypatch.setattr(latency, "_RUNS", 2)
    predict = latency.predict_logits
    monkeypatch.setattr(
        latency,
        "predict_logits",
        lambda model, data, rows, config: (
            given.append(rows.tolist()) or predict(model, data, rows, config)
        ),
    )
    found = measure_network(TrainConfig.create(FIXED), data, batch_sizes=[size]).latencies[size]
    assert 0 < found.p50 <= found.p95
    assert given[0] == given[-1] == [*range(size - 1), 0]


def test_timing_draws_no_random_numbers(data):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    measure_network(TrainConfig.create(FIXED), data)
    assert torch.equal(torch.rand(3), expected)


def test_the_size_is_that_of_the_weights_that_are_exported(data, tmp_path):
    config = TrainConfig.create(FIXED)
    found = measure_network(config, data)
    model = build_model(config, **data.task)
    assert found.parameters == count_parameters(config, **data.task)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    written = (tmp_path / "model.safetensors").stat().st_size
    header = 8 + int.from_bytes((tmp_path / "model.safetensors").read_bytes()[:8], "little")
    assert found.weights_bytes == written - header
