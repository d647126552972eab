"""Figures of the dataset: class counts, samples of each class, pixel intensities."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from analysis.dataset.dataset import class_counts, read_pictures
from analysis.drawing.drawing import Drawing
from analysis.drawing.style import LINES, PALETTE, matrix_grid, new_figure
from analysis.run.dataset import Dataset, find_dataset
from analysis.run.run_data import RunData

SAMPLES = 10
"""Sample pictures per class."""
GAP = 1
"""Pixels between two sample pictures."""
BIN = 8
"""Gray values per bin of the histogram."""
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


def dataset_figures(run: RunData) -> Iterator[Drawing]:
    """Yield class counts, sample pictures and pixel-intensity histograms.

    Raises:
        DatasetLeftOutError: The dataset is missing or has changed since the run.
    """
    dataset = find_dataset(run)
    counts = class_counts(dataset)
    pictures = read_pictures(dataset, SAMPLES)
    train = f"{counts['train'].sum():,} training pictures"
    yield Drawing(
        name="class_counts",
        title="Pictures per class and split",
        caption=f"Dataset {dataset.manifest['name']}: {counts.to_numpy().sum():,} pictures, "
        f"labelled by the rule {dataset.manifest['label_rule']}, split "
        f"{dataset.manifest['split_method']}.",
        draw=lambda: draw_counts(counts),
    )
    yield Drawing(
        name="pixel_intensity",
        title="Pixel intensity per class",
        caption=f"All pixels of {train}, in bins of {BIN} values; each curve adds up to 100 %.",
        draw=lambda: draw_intensities(
            {name: intensity_shares(counts) for name, counts in pictures.intensities.items()}
        ),
    )
    yield Drawing(
        name="samples",
        title="Sample pictures of each class",
        caption=f"Drawn at random from the {train}, at most {SAMPLES} per class.",
        draw=lambda: draw_samples(pictures.samples, dataset),
    )


def intensity_shares(intensities: pd.DataFrame) -> pd.DataFrame:
    """Return the % of pixels of each class (columns) in each bin of gray values (rows)."""
    binned = intensities.groupby(intensities.index // BIN * BIN).sum()
    return 100 * binned / binned.sum().clip(lower=1)


def draw_counts(counts: pd.DataFrame) -> Figure:
    """Draw a group of bars per class, with one bar per split."""
    figure, grid = new_figure(max(5.2, 1.5 * len(counts)), 3.1)
    axes = grid[0, 0]
    width = 0.8 / len(counts.columns)
    for place, split in enumerate(counts.columns):
        at = np.arange(len(counts)) + (place - (len(counts.columns) - 1) / 2) * width
        label = f"{SPLIT_WORDS.get(split, split)} ({counts[split].sum():,})"
        bars = axes.bar(at, counts[split], width * 0.92, color=PALETTE[place], label=label)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7.5, padding=2)
    axes.set_xticks(range(len(counts)), counts.index)
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("pictures")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def draw_intensities(shares: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw a panel per channel with one stepped curve per class."""
    figure, grid = new_figure(5.8 if len(shares) == 1 else 9.3, 3.1, columns=len(shares))
    for axes, (channel, of_class) in zip(grid[0], shares.items(), strict=True):
        edges = [*of_class.index, 256]
        for place, name in enumerate(of_class.columns):
            style: dict[str, Any] = {
                "color": PALETTE[place % len(PALETTE)],
                "linestyle": LINES[place % len(LINES)],
            }
            axes.stairs(of_class[name], edges, label=name, linewidth=1.5, **style)
        ends = "black, 255 white" if channel == "gray" else f"none, 255 full {channel}"
        axes.set(xlabel=f"{channel} value (0 {ends})", xlim=(0, 256))
        axes.set_xticks([0, 64, 128, 192, 255])
    grid[0, 0].set_ylabel("share of pixels, %")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=min(4, len(names)))
    return figure


def draw_samples(samples: Mapping[str, npt.NDArray[np.uint8]], dataset: Dataset) -> Figure:
    """Draw one row of pictures per class."""
    height, width = (side + GAP for side in dataset.shape)
    size = (height * len(samples) - GAP, width * SAMPLES - GAP)
    wall = np.full((*size, *dataset.pixel_shape[2:]), 255, np.uint8)
    for row, pictures in enumerate(samples.values()):
        for column, picture in enumerate(pictures):
            wall[row * height :, column * width :][: height - GAP, : width - GAP] = picture
    figure, grid = new_figure(8.2, 0.74 * len(samples) * height / width + 0.1)
    axes = grid[0, 0]
    axes.imshow(wall, cmap="gray", vmin=0, vmax=255, interpolation="none")
    matrix_grid(axes, [], [])
    axes.set_yticks(np.arange(len(samples)) * height + height / 2, list(samples))
    return figure
