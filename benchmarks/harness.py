"""Shared by all benchmarks: running each side in its own process, results, hardware."""

import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.table import Table

from data_prep.reader import read_dataset
from data_prep.rejections import Rejections
from data_prep.synthetic import prepare_synthetic
from data_prep.writer import LabelledImages, Recipe, write_dataset
from fairsweep.processor import bf16_instructions

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one benchmark: all sides, measured in one session on one machine."""

    name: str
    unit: str
    ours: float
    others: Mapping[str, float]
    smaller_is_better: bool
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """How many times better our side is than each other side; below 1 if it is worse."""
        return {
            name: round(figure / self.ours if self.smaller_is_better else self.ours / figure, 3)
            for name, figure in self.others.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints and what is saved in ``benchmarks/results``."""
        return {
            **asdict(self),
            "ratios": self.ratios,
            "hardware": hardware(),
            "date": time.strftime("%Y-%m-%d"),
        }

    def keep(self, place: str | None = None) -> Path:
        """Write the result to a file in ``benchmarks/results``; return its path.

        Args:
            place: What the file's name says about where it was measured; None for this machine.
        """
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}-{time.strftime('%Y%m%d')}-{place or _machine()}.json"
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return path

    def print(self) -> None:
        """Print a table of all sides, and the details."""
        table = Table(box=None, pad_edge=False)
        for heading in (self.name, self.unit, "ours is better by"):
            table.add_column(heading, justify="left" if heading == self.name else "right")
        table.add_row("ours", f"{self.ours:.4g}", "")
        for name, figure in self.others.items():
            table.add_row(name, f"{figure:.4g}", f"{self.ratios[name]:.2f} ×")
        console = Console()
        console.print(table)
        for name, value in self.details.items():
            console.print(f"{name}: {value}", highlight=False)


def hardware() -> dict[str, Any]:
    """Describe this machine."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "bf16": bf16_words(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpus": gpus,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def bf16_words() -> str:
    """Return which instructions for bfloat16 the processor has, in words."""
    found = bf16_instructions()
    return "not known" if found is None else ", ".join(found) or "none"


def _machine() -> str:
    gpus = hardware()["gpus"]
    return gpus[0].split()[-1].lower() if gpus else f"{os.cpu_count()}cores"


def write_pictures(out: Path, count: int, data: Path | None = None) -> None:
    """Write a dataset of ``count`` pictures sampled from ``data``, or of synthetic pictures."""
    if data is None:
        # Preparation drops pictures by their votes, so generate more than needed.
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole"
            prepare_synthetic(out=whole, images=2 * count, near_duplicates=False)
            write_pictures(out, count, whole)
        return
    dataset = read_dataset(data)
    rows = np.sort(np.random.default_rng(0).permutation(len(dataset.labels))[:count])
    images = LabelledImages(
        classes=dataset.manifest.classes,
        image_ids=dataset.image_ids[rows].tolist(),
        sources=[dataset.manifest.name] * len(rows),
        pixels=dataset.pixels[rows],
        labels=dataset.labels[rows],
    )
    recipe = Recipe(name=f"{count} pictures", label_rule=dataset.manifest.label_rule)
    groups = None if dataset.duplicate_groups is None else dataset.duplicate_groups[rows]
    write_dataset(out, images, recipe, steps=(), details={}, rejections=Rejections(), groups=groups)


def in_process(
    side: Callable[..., dict[str, Any]], *arguments: Any, **options: Any
) -> dict[str, Any]:
    """Run one side in a new process, so that the sides do not affect each other."""
    context = multiprocessing.get_context("spawn")
    # Not a `Pool`, whose workers may not start processes.
    with ProcessPoolExecutor(1, mp_context=context, initializer=_start_as_usual) as pool:
        return pool.submit(side, *arguments, **options).result()


def _start_as_usual() -> None:
    """Reset the start method, so that a side starts its own processes in the default way.

    With `spawn`, the workers of a DataLoader would import torch again in every epoch.
    """
    multiprocessing.set_start_method(None, force=True)


def resident_bytes() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(psutil.Process().memory_info().rss)
