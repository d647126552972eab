"""What a sweep would take: configurations, parameters, memory, disk and time. Trains nothing."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from data_prep.manifest import DatasetManifest
from models.build import build_model, count_parameters
from models.config import TrainConfig
from tune.keeping import BEST_TRIALS
from tune.searchers import SEARCHERS
from tune.spec import SweepSpec
from tune.sweep import Sweep

BACKWARD = 3.0
"""Arithmetic of a training step over that of a forward pass: the backward pass takes two."""
SUSTAINED = 0.5
"""Share of the matrix-product rate that a training sustains; measured 0.45 to 0.6 on CPUs."""


@dataclass(frozen=True, kw_only=True)
class PlannedConfiguration:
    """What one configuration would take."""

    name: str
    config: TrainConfig
    parameters: int
    flop_per_picture: int
    """Floating-point operations of one picture's forward pass."""
    memory_bytes: int
    """Weights, gradients and optimiser state, and the activations of one batch."""
    checkpoint_bytes: int
    """``last.pt`` and ``best.pt`` together."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep would take."""

    configurations: tuple[PlannedConfiguration, ...]
    """Those of a grid; of other searchers as many as they would propose, before any result."""
    trials: int
    epochs: float
    """All epochs of all trials, as far as can be told; with ASHA, the expected share."""
    disk_bytes: int
    seconds: float
    """Wall-clock on this machine, one trial a core."""


def plan_sweep(spec: SweepSpec, manifest: DatasetManifest, *, cores: int) -> Plan:
    """Work out what ``spec`` would take on this machine."""
    sweep = Sweep(spec, fingerprint=manifest.fingerprint)
    planned = tuple(_plan(config, manifest) for config in _configurations(spec))
    trials = sweep.expected or len(planned)
    shares = [_trained_share(sweep.scheduler.rungs, one.config.epochs, spec) for one in planned]
    pictures = sum(manifest.counts["train"].values())
    flop = sum(
        BACKWARD * one.flop_per_picture * pictures * one.config.epochs * share
        for one, share in zip(planned, shares, strict=True)
    )
    replicated = trials / max(1, len(planned))
    rate = SUSTAINED * matrix_rate() * cores
    return Plan(
        configurations=planned,
        trials=trials,
        epochs=replicated
        * sum(s * one.config.epochs for s, one in zip(shares, planned, strict=True)),
        disk_bytes=_disk(spec, planned, trials, cores),
        seconds=replicated * flop / rate,
    )


def _configurations(spec: SweepSpec) -> Iterator[TrainConfig]:
    space = spec.search_space
    searcher = SEARCHERS[spec.searcher.name](spec.searcher, space, spec.seed)
    for number in itertools.count():
        point = searcher.propose(number)
        if point is None:
            return
        searcher.hear_proposed(str(number), point)
        yield spec.config(space.at(point), seed=spec.seed)


def _plan(config: TrainConfig, manifest: DatasetManifest) -> PlannedConfiguration:
    classes, shape = len(manifest.classes), manifest.image_shape
    parameters = count_parameters(config, classes=classes, image_shape=shape)
    flop, activations = _forward(config, classes, shape)
    state = 4 * parameters * (4 if config.optimizer != "sgd" else 3)
    return PlannedConfiguration(
        name=config.name,
        config=config,
        parameters=parameters,
        flop_per_picture=flop,
        memory_bytes=state + 4 * activations * config.batch_size,
        checkpoint_bytes=state,
    )


def _forward(config: TrainConfig, classes: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Count a forward pass of one picture: its operations, and the numbers that its layers give."""
    outputs = 0

    def count(_module: object, _inputs: object, output: torch.Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    with torch.device("meta"):
        model = build_model(config, classes=classes, image_shape=shape).eval()
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(count)
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 1, *shape))
    return int(counter.get_total_flops()), outputs


def _trained_share(rungs: tuple[int, ...], epochs: int, spec: SweepSpec) -> float:
    """Share of its epochs that a trial is expected to train: one of η passes each rung."""
    trained, share, before = 0.0, 1.0, 0
    for end in (*(rung for rung in rungs if rung < epochs), epochs):
        trained += share * (end - before)
        share, before = share / spec.scheduler.reduction_factor, end
    return trained / epochs


def _disk(
    spec: SweepSpec, planned: tuple[PlannedConfiguration, ...], trials: int, cores: int
) -> int:
    largest = max((one.checkpoint_bytes for one in planned), default=0)
    if spec.keep == "all":
        return largest * trials
    kept = trials if spec.scheduler.name == "none" else BEST_TRIALS + spec.finalists
    return largest * cores + largest // 4 * min(kept, trials)


def matrix_rate(seconds: float = 0.3) -> float:
    """Measure the float32 matrix-product rate of one CPU thread, in operations a second."""
    threads, size = torch.get_num_threads(), 768
    torch.set_num_threads(1)
    matrix = torch.rand(size, size)
    torch.mm(matrix, matrix)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.mm(matrix, matrix)
        count += 1
    elapsed = time.perf_counter() - started
    torch.set_num_threads(threads)
    return count * 2 * size**3 / elapsed
