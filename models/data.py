"""The dataset on the training device: uint8 pictures, which each step normalises."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from data_prep.manifest import Task
from data_prep.reader import ImageDataset
from fairsweep.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceDataset:
    """Pictures and labels of all splits for one device, shared by all trials on that device."""

    source: ImageDataset
    """The dataset in memory, which knows the rows of each split and fold."""
    pixels: Tensor
    """(n, height, width) uint8, or (n, height, width, 3) in colour; on the CPU if a GPU has no room
    for them."""
    labels: Tensor
    """(n,) int64 class indices."""
    soft_labels: Tensor | None
    """(n, classes) float32 label distributions, or None if the dataset has no votes."""

    @classmethod
    def create(cls, source: ImageDataset, device: str | torch.device = "cpu") -> Self:
        """Copy ``source`` to ``device``; on the CPU, its arrays are shared instead of copied.

        Pixels that would take more than half of a GPU's free memory stay on the CPU.
        """
        device = torch.device(device)

        def on_device(array: Any, device: torch.device = device) -> Tensor:
            with warnings.catch_warnings():
                # Arrays from Ray's object store are read-only, and nothing here writes to them.
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                return torch.from_numpy(array).to(device)

        soft = source.soft_labels
        return cls(
            source=source,
            pixels=on_device(
                source.pixels, device if _fits(source.pixels, device) else torch.device("cpu")
            ),
            labels=on_device(source.labels),
            soft_labels=None if soft is None else on_device(soft),
        )

    @property
    def device(self) -> torch.device:
        """The device that trains."""
        return self.labels.device

    @property
    def resident(self) -> bool:
        """True if the memory of the device holds all pixels."""
        return self.pixels.device == self.device and not self.source.is_mapped

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.source.manifest.classes)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of a picture, in pixels."""
        return self.source.manifest.image_shape

    @property
    def image_channels(self) -> int:
        """Channels of a picture: 1 for gray, 3 for colour."""
        return self.source.manifest.channels

    @property
    def task(self) -> Task:
        """What a network must know about the dataset."""
        return self.source.manifest.task

    def rows(self, split: str, fold: int | None = None, folds: int | None = None) -> Tensor:
        """Return the (m,) row numbers of a split on the device, as `ImageDataset.rows`.

        Raises:
            UserError: The split or the fold does not exist, or is empty.
        """
        rows = self.source.rows(split, fold, folds)
        if len(rows) == 0:
            raise UserError(
                f"dataset {self.source.manifest.name} has no picture in split {split}; "
                "prepare it with more pictures"
            )
        return torch.from_numpy(rows).to(self.device)

    def targets(self, *, soft: bool) -> Tensor:
        """Return the (n, classes) float32 target distributions.

        Args:
            soft: Return the distributions of votes instead of one-hot labels.

        Raises:
            UserError: ``soft`` is set and the dataset has no votes.
        """
        if not soft:
            return functional.one_hot(self.labels, self.classes).float()
        if self.soft_labels is None:
            raise UserError(
                f"soft_labels is true, but dataset {self.source.manifest.name} has no votes; "
                "set soft_labels: false"
            )
        return self.soft_labels

    def gather(self, rows: Tensor) -> Tensor:
        """Return the (m, …) uint8 pixels of ``rows``, ready to be copied to the device."""
        pixels = self.pixels.index_select(0, rows.to(self.pixels.device))
        return pixels if self.pixels.device == self.device else pixels.pin_memory()

    def pictures(self, rows: Tensor, pixels: Tensor | None = None) -> Tensor:
        """Return (m, channels, height, width) float32 pictures of ``rows``, values 0 to 255.

        Args:
            rows: (m,) row numbers.
            pixels: What `gather` returned for them, if it was called before.
        """
        pixels = self.gather(rows) if pixels is None else pixels
        pixels = pixels.to(self.device, non_blocking=True)
        planes = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        return planes.float()

    def normalise(self, pictures: Tensor) -> Tensor:
        """Normalise ``pictures`` (values 0 to 255) with the train split's statistics, in place.

        Each channel has its own mean and standard deviation.
        """
        mean, std = self.source.manifest.mean, self.source.manifest.std
        if isinstance(mean, tuple) or isinstance(std, tuple):
            means, stds = self._scales
            return pictures.sub_(means).div_(stds)
        return pictures.sub_(255 * mean).div_(255 * std)

    @cached_property
    def _scales(self) -> tuple[Tensor, Tensor]:
        """(channels, 1, 1) means and standard deviations on a scale of 0 to 255."""
        manifest = self.source.manifest
        means, stds = (
            255 * torch.tensor(values, device=self.device).view(-1, 1, 1)
            for values in (manifest.mean, manifest.std)
        )
        return means, stds


def _fits(pixels: npt.NDArray[np.uint8], device: torch.device) -> bool:
    """Return whether the pixels leave at least half of a GPU's free memory to the networks."""
    return device.type != "cuda" or pixels.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
