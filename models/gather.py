"""Gathers the pixels of the next training step while the current one trains."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from models.data import DeviceDataset
from models.epoch import Batch


def gathered_ahead(
    steps: Iterator[tuple[Batch, ...]], data: DeviceDataset
) -> Iterator[tuple[Batch, ...]]:
    """Yield the steps of an epoch with their pixels; unchanged if the device holds all pixels.

    Args:
        steps: The batches of all members, step by step.
        data: The pictures.
    """
    if data.resident:
        yield from steps
        return
    all_steps = list(steps)
    # All row numbers at once, because each copy from a GPU waits for the GPU.
    joined = [torch.cat([batch.rows.view(-1) for batch in batches]) for batches in all_steps]
    rows = torch.split(torch.cat(joined).cpu(), [len(part) for part in joined])
    with ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(data.gather, rows[0])
        for number, batches in enumerate(all_steps, start=1):
            pixels = ahead.result()
            if number < len(rows):
                ahead = thread.submit(data.gather, rows[number])
            yield _with_pixels(batches, pixels)


def _with_pixels(batches: Sequence[Batch], pixels: torch.Tensor) -> tuple[Batch, ...]:
    parts = torch.split(pixels, [batch.rows.numel() for batch in batches])
    return tuple(replace(batch, pixels=part) for batch, part in zip(batches, parts, strict=True))
