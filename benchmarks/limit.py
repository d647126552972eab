"""The hardware limit of training: arithmetic and memory traffic of a step, layer by layer.

Both are counted, not measured, and divided by the measured rates of matrix products and copies.
`python -m benchmarks.limit SPEC --rates FLOP BYTES` takes the rates of other hardware instead.
"""

import argparse
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.build import build_model
from models.config import TrainConfig
from models.cost import BACKWARD
from models.hyperparameters import Precision
from tune.commands.options import add_spec, spec_of
from tune.commands.plan import plan_sweep, training_pictures
from tune.session.store import read_manifest
from tune.sweep.spec import SpecError

OPTIMIZER_BYTES = 28
"""Traffic of Adam per parameter: it reads weight, gradient and two moments, and writes three."""
MATRIX_SIDE = 8192
CPU_MATRIX_SIDES = (256, 768, 2048)
"""Sides of the matrices that cores multiply; which one is fastest depends on their caches."""
WINDOWS = 20
"""Parts of the measurement on a CPU. The fastest counts, because a limit must not be too low."""
COPY_BYTES = 2**30
SECONDS = 3.0
_KINDS = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The arithmetic and memory traffic of one layer in a training step."""

    name: str
    flop: int
    """Floating-point operations per picture."""
    numbers: int
    """Numbers that the layer reads and writes per picture."""
    parameters: int

    def bytes(self, *, batch: int, size: int) -> int:
        """Return the bytes of a step over ``batch`` pictures, with ``size`` bytes per number."""
        weights = self.parameters * (BACKWARD * size + OPTIMIZER_BYTES)
        return self.numbers * size * batch + weights


def count(config: TrainConfig, *, classes: int, image_shape: tuple[int, int]) -> list[Layer]:
    """Count the operations and the traffic of each layer of the network of ``config``."""
    moved: dict[str, int] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            moved[name] = BACKWARD * (sum(tensor.numel() for tensor in inputs) + output.numel())

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
            parameters=sum(weights.numel() for weights in leaves[name].parameters()),
        )
        for name, numbers in moved.items()
    ]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Floating-point operations and bytes of traffic per second."""

    flop: float
    bytes: float = math.inf
    """Infinite for a CPU, because the count of traffic ignores its caches."""

    @classmethod
    def measure(cls, precision: Precision) -> Self:
        """Measure the matrix products of all CPU cores, or matrix products and copies of a GPU."""
        if torch.cuda.is_available():
            return cls(flop=_gpu_matrix_rate(precision), bytes=_gpu_copy_rate())
        cores = os.cpu_count() or 1
        with multiprocessing.get_context("spawn").Pool(cores) as pool:
            return cls(flop=sum(pool.map(_core_matrix_rate, [precision] * cores)))


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The limit of one configuration on hardware with these rates."""

    layers: list[Layer]
    batch: int
    size: int
    """Bytes per number."""
    rates: Rates

    @classmethod
    def of(
        cls, config: TrainConfig, rates: Rates, *, classes: int, image_shape: tuple[int, int]
    ) -> Self:
        """Count the layers of ``config``."""
        return cls(
            layers=count(config, classes=classes, image_shape=image_shape),
            batch=config.batch_size,
            size=2 if config.precision == "bf16" else 4,
            rates=rates,
        )

    @property
    def flop(self) -> int:
        """Floating-point operations per picture."""
        return sum(layer.flop for layer in self.layers)

    @property
    def traffic(self) -> float:
        """Bytes read and written per picture."""
        return sum(self._bytes(layer) for layer in self.layers)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per picture if only the arithmetic, or only the memory, were the limit."""
        return {
            "arithmetic": self.flop / self.rates.flop,
            "memory": self.traffic / self.rates.bytes,
        }

    @property
    def pictures_per_second(self) -> float:
        """Rate that the slower of the two allows."""
        return 1 / max(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the limit and its counts as readable text."""
        found = {f"matrix products, {8 * self.size} bits": f"{self.rates.flop / 1e9:.0f} GFLOP/s"}
        if math.isfinite(self.rates.bytes):
            found["copies"] = f"{self.rates.bytes / 1e9:.0f} GB/s"
        return found | {
            "pictures a second": self.pictures_per_second,
            "of a picture": f"{self.flop / 1e6:.0f} MFLOP, {self.traffic / 1e6:.1f} MB",
            "by layer": {
                layer.name: f"{layer.flop / 1e6:.1f} MFLOP, {self._bytes(layer) / 1e6:.2f} MB"
                for layer in self.layers
            },
        }

    def _bytes(self, layer: Layer) -> float:
        return layer.bytes(batch=self.batch, size=self.size) / self.batch


def _core_matrix_rate(precision: Precision) -> float:
    """Return the most floating-point operations per second of one core in matrix products."""
    torch.set_num_threads(1)
    fastest = 0.0
    for side in CPU_MATRIX_SIDES:
        left, right = torch.rand(2, side, side).to(_KINDS[precision])
        torch.mm(left, right)
        for _ in range(WINDOWS):
            begun, products = time.perf_counter(), 0
            while time.perf_counter() - begun < SECONDS / WINDOWS:
                torch.mm(left, right)
                products += 1
            fastest = max(fastest, products * 2 * side**3 / (time.perf_counter() - begun))
    return fastest


def _gpu_matrix_rate(precision: Precision) -> float:
    """Return the floating-point operations per second of a GPU in matrix products."""
    left, right = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE, device="cuda", dtype=_KINDS[precision])
    return 2 * MATRIX_SIDE**3 * _times_a_second(lambda: torch.mm(left, right))


def _gpu_copy_rate() -> float:
    """Return the bytes per second that a GPU reads and writes in a copy."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPY_BYTES * _times_a_second(lambda: target.copy_(source))


def _times_a_second(work: Callable[[], Tensor]) -> float:
    work()
    torch.cuda.synchronize()
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        for _ in range(10):
            work()
        torch.cuda.synchronize()
        times += 10
    return times / (time.perf_counter() - begun)


def main(arguments: list[str] | None = None) -> None:
    """Print the hardware limit of each configuration of a sweep, and of the sweep as a whole."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limit", description=main.__doc__)
    add_spec(parser)
    parser.add_argument(
        "--rates",
        type=float,
        nargs=2,
        metavar=("FLOP", "BYTES"),
        help="operations and bytes per second of other hardware (default: measure this machine)",
    )
    parsed = parser.parse_args(arguments)
    try:
        spec = spec_of(parsed)
        manifest = read_manifest(spec.data)
    except (SpecError, FileNotFoundError) as error:
        parser.error(str(error))
    pictures = training_pictures(spec, manifest)
    configs = [planned.config for planned in plan_sweep(spec, manifest, cores=1).configurations]
    if parsed.rates:
        rates = Rates(flop=parsed.rates[0], bytes=parsed.rates[1])
    else:
        rates = Rates.measure(configs[0].precision)
    table = Table(box=None, pad_edge=False)
    for heading in ("configuration", "MFLOP", "MB", "pictures/s", "bound by", "seconds"):
        table.add_column(heading, justify="left" if heading == "configuration" else "right")
    whole = 0.0
    for config in configs:
        top = Limit.of(
            config, rates, classes=len(manifest.classes), image_shape=manifest.image_shape
        )
        seconds = config.epochs * pictures / top.pictures_per_second
        whole += seconds
        table.add_row(
            config.name,
            f"{top.flop / 1e6:.0f}",
            f"{top.traffic / 1e6:.1f}",
            f"{top.pictures_per_second:,.0f}",
            max(top.seconds, key=lambda part: top.seconds[part]),
            f"{seconds:.1f}",
        )
    Console().print(table)
    print(f"all trainings, {pictures:,} pictures per epoch: {whole:.0f} s")


if __name__ == "__main__":
    main()
