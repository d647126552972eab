"""What a step takes, against counts by hand."""

import math

import pytest
import torch

from benchmarks.limit import Limit, Rates, _core_matrix_rate
from models.config import TrainConfig

CONFIG = {
    "family": "resnet", "blocks": 2, "channels": 8, "kernel_size": 3, "conv_depth": 1,
    "pool_size": 6, "fc_layers": 1, "fc_width": 128, "batch_size": 32,
}  # fmt: skip
PICTURE = 48 * 48


def limit(flop=1.0, copies=math.inf, **changes):
    config = TrainConfig.create(CONFIG | changes)
    rates = Rates(flop=flop, bytes=copies)
    return Limit.of(config, rates, classes=4, image_shape=(48, 48))


def test_layers_are_counted_forward_and_twice_as_much_back():
    layers = {layer.name: layer for layer in limit().layers}
    second = layers["blocks.1.layers.0 IdleBiasConv2d"]
    assert second.flop == 3 * 2 * PICTURE * 8 * 8 * 9
    assert second.numbers == 3 * 2 * PICTURE * 8
    assert second.parameters == 8 * 8 * 9 + 8
    hidden = layers["head.1 Linear"]
    assert hidden.flop == 3 * 2 * 8 * 6 * 6 * 128
    assert hidden.parameters == 8 * 6 * 6 * 128 + 128


def test_weights_count_once_a_step_and_numbers_once_a_picture():
    hidden = next(one for one in limit().layers if one.name == "head.1 Linear")
    numbers, weights = 3 * (8 * 6 * 6 + 128), 8 * 6 * 6 * 128 + 128
    # Three passes over the weights, and Adam's four reads and three writes, of four bytes each.
    assert hidden.bytes(batch=32, size=4) == 4 * numbers * 32 + 4 * (3 + 7) * weights


def test_the_slower_of_arithmetic_and_memory_is_the_limit():
    alone = limit(flop=1e9)
    assert alone.pictures_per_second == pytest.approx(1e9 / alone.flop)
    assert limit(flop=1e9, copies=1e15).pictures_per_second == alone.pictures_per_second
    bound = limit(flop=1e15, copies=1e6)
    assert bound.pictures_per_second == pytest.approx(1e6 / bound.traffic)


def test_bf16_halves_the_numbers_but_not_the_optimiser():
    whole, half = limit(), limit(precision="bf16")
    numbers = sum(layer.numbers for layer in whole.layers)
    parameters = sum(layer.parameters for layer in whole.layers)
    assert whole.traffic - half.traffic == pytest.approx(2 * numbers + 2 * 3 * parameters / 32)


@pytest.mark.parametrize(
    ("precision", "kind"), [("float32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_a_cores_rate_is_that_of_its_fastest_window_in_the_precision(monkeypatch, precision, kind):
    clock, kinds = [0.0], set()

    def multiply(left, right):
        kinds.update((left.dtype, right.dtype))
        busy = len(left) != 768 or clock[0] < 100  # Only late products of this size are quick.
        clock[0] += 1.0 if busy else 0.25

    monkeypatch.setattr("benchmarks.limit.CPU_MATRIX_SIDES", (256, 768))
    monkeypatch.setattr("benchmarks.limit.WINDOWS", 100)
    monkeypatch.setattr("benchmarks.limit.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(torch, "mm", multiply)
    threads = torch.get_num_threads()
    try:
        assert _core_matrix_rate(precision) == 2 * 768**3 / 0.25
    finally:
        torch.set_num_threads(threads)
    assert kinds == {kind}
