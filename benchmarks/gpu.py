"""Proves a GPU in one call: `python -m benchmarks gpu --minutes 9 --out DIR`.

Checks of correctness come first, then figures, the most important ones first. Every result is a
line of ``DIR/results.jsonl`` as soon as it is known, so a call that is cut short keeps what it
measured. Nothing needs a network. With ``--device cpu`` all but CUDA itself runs on a CPU, on
smaller networks.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.harness import Result, write_pictures
from benchmarks.on_gpu import figures, memory, networks, sweeps
from benchmarks.on_gpu.parts import Part, Results, Settings, work_off
from fairsweep.errors import UserError

CHECKS = (
    Part(name="networks", run=networks.check, least_seconds=30),
    Part(name="memory", run=memory.check, least_seconds=30),
    Part(name="sweeps", run=sweeps.check, least_seconds=60),
)
FIGURES = (
    Part(name="train", run=figures.train_rates, least_seconds=40),
    Part(name="limit", run=figures.share_of_limit, least_seconds=20),
    Part(name="resnet_grid", run=figures.resnet_grid, least_seconds=60),
    Part(name="fused", run=figures.fused_replicates, least_seconds=40),
    Part(name="packed", run=figures.packed, least_seconds=30),
    Part(name="cifar10", run=figures.cifar10, least_seconds=40),
)


def run(
    out: Path,
    minutes: float = 9.0,
    device: str = "cuda",
    data: Path | None = None,
    cifar: Path | None = None,
    *,
    checks: bool = False,
) -> Iterator[Result]:
    """Work off all parts within ``minutes``; the results are in ``out``, none is yielded.

    Args:
        out: Folder of the results.
        minutes: Time limit of the whole call.
        device: ``cuda`` or ``cpu``.
        data: A prepared dataset for the figures; synthetic pictures without one.
        cifar: CIFAR-10 as a prepared dataset; without it, its figure is left out.
        checks: Run only the checks.

    Raises:
        UserError: There is no GPU, or a check failed.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"torch {torch.__version__} sees no GPU; give --device cpu for a dry run")
    out.mkdir(parents=True, exist_ok=True)
    results = Results(out / "results.jsonl")
    results.begin(seconds=60 * minutes)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(device=device, folder=Path(folder), data=data, cifar=cifar)
        write_pictures(settings.small, settings.small_count)
        work_off(CHECKS if checks else (*CHECKS, *FIGURES), settings, results)
    if failed := results.failed():
        raise UserError(f"failed: {', '.join(failed)}; read {results.path}")
    yield from ()
