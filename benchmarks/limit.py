"""What the hardware would allow: the arithmetic and the memory traffic of a step, layer by layer.

Counted, not measured; set against the measured rates of matrix products and of copies.
"""

import multiprocessing
import os
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.build import build_model
from models.config import TrainConfig
from models.cost import BACKWARD

OPTIMIZER_BYTES = 28
"""Traffic of Adam for each parameter: reads weight, gradient and two moments, writes three back."""
MATRIX_SIDES = {"cpu": 1024, "cuda": 8192}
COPY_BYTES = 2**30
SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one layer takes of a step."""

    name: str
    flop: int
    """Of one picture."""
    numbers: int
    """Numbers that it reads and writes for one picture."""
    parameters: int

    def bytes(self, *, batch: int, size: int) -> int:
        """Return the traffic of a step over ``batch`` pictures, in numbers of ``size`` bytes."""
        weights = self.parameters * (BACKWARD * size + OPTIMIZER_BYTES)
        return self.numbers * size * batch + weights


def count(config: TrainConfig, *, classes: int, image_shape: tuple[int, int]) -> list[Layer]:
    """Count what each layer of the network of ``config`` takes of a training step."""
    moved: dict[str, int] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            moved[name] = BACKWARD * (sum(one.numel() for one in inputs) + output.numel())

        return hook

    with torch.device("meta"):
        model = build_model(config, classes=classes, image_shape=image_shape).eval()
        leaves = {n: m for n, m in model.named_modules() if not any(True for _ in m.children())}
        for name, module in leaves.items():
            module.register_forward_hook(note(name))
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 1, *image_shape))
    flops = counter.get_flop_counts()
    return [
        Layer(
            name=f"{name} {type(leaves[name]).__name__}",
            flop=BACKWARD * sum(flops.get(f"{type(model).__name__}.{name}", {}).values()),
            numbers=numbers,
            parameters=sum(one.numel() for one in leaves[name].parameters()),
        )
        for name, numbers in moved.items()
    ]


def limit(config: TrainConfig, *, classes: int, image_shape: tuple[int, int]) -> dict[str, Any]:
    """Return the pictures a second that the hardware would allow, and the count behind it.

    On a CPU what the matrix products of all cores allow. On a GPU the larger of the time that the
    arithmetic takes at the rate of matrix products, and the traffic at that of copies.
    """
    layers = count(config, classes=classes, image_shape=image_shape)
    batch, size = config.batch_size, 2 if config.precision == "bf16" else 4
    flop = sum(layer.flop for layer in layers) * batch
    traffic = sum(layer.bytes(batch=batch, size=size) for layer in layers)
    gpu = torch.cuda.is_available()
    flop_rate = _multiply("cuda", size) if gpu else _all_cores()
    seconds = flop / flop_rate
    found: dict[str, Any] = {f"matrix products, {8 * size} bits": f"{flop_rate / 1e9:.0f} GFLOP/s"}
    if gpu:
        copy_rate = _copy_rate()
        seconds = max(seconds, traffic / copy_rate)
        found["copies"] = f"{copy_rate / 1e9:.0f} GB/s"
    return found | {
        "pictures a second": batch / seconds,
        "of a picture": f"{flop / batch / 1e6:.0f} MFLOP, {traffic / batch / 1e6:.1f} MB",
        "by layer": {
            layer.name: f"{layer.flop / 1e6:.1f} MFLOP, "
            f"{layer.bytes(batch=batch, size=size) / batch / 1e6:.2f} MB"
            for layer in layers
        },
    }


def _all_cores() -> float:
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        return sum(pool.starmap(_multiply, [("cpu", 4)] * cores))


def _multiply(device: str, size: int) -> float:
    """Return the operations a second of one thread, or of a GPU, in matrix products."""
    torch.set_num_threads(1)
    kind = torch.float32 if size == 4 else torch.bfloat16
    side = MATRIX_SIDES[device]
    one, other = torch.rand(2, side, side, device=device, dtype=kind)
    return 2 * side**3 * _times_a_second(lambda: torch.mm(one, other), device)


def _copy_rate() -> float:
    """Return the bytes a second that a GPU reads and writes when it copies."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPY_BYTES * _times_a_second(lambda: target.copy_(source), "cuda")


def _times_a_second(work: Any, device: str) -> float:
    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    work()
    wait()
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        for _ in range(10):
            work()
        wait()
        times += 10
    return times / (time.perf_counter() - begun)
