"""A trained network in one file, with everything needed to classify new pictures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset
from models.build import build_model
from models.checkpoint import CheckpointError, load
from models.config import TrainConfig
from models.data import DeviceDataset
from models.predict import predict_probabilities


def classifier_state(
    config: TrainConfig, manifest: DatasetManifest, *, epoch: int, weights: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return the state that `Classifier.read` needs, to be written by `models.checkpoint.save`."""
    return {
        "epoch": epoch,
        "config": config.to_dict(),
        "dataset": asdict(manifest),
        "weights": weights,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """A trained network on a device, and what it was trained on."""

    config: TrainConfig
    manifest: DatasetManifest
    """Manifest of the dataset that the network was trained on."""
    epoch: int
    """Epochs trained."""
    model: nn.Module
    device: torch.device

    @classmethod
    def read(cls, path: Path, device: str | torch.device = "cpu") -> Self:
        """Read a state made by `classifier_state`, without the dataset or pretrained weights.

        Raises:
            FileNotFoundError: There is no such file.
            CheckpointError: The file is damaged or does not hold a classifier.
        """
        state = load(path)
        if "dataset" not in state:
            raise CheckpointError(f"{path} does not say what it was trained on; train it again")
        manifest, config = (
            DatasetManifest.from_dict(state["dataset"]),
            TrainConfig.create(state["config"]),
        )
        model = build_model(config, **manifest.task)
        model.load_state_dict(state["weights"])
        device = torch.device(device)
        # Own code may not support channels last.
        layout = torch.channels_last if config.code is None else torch.contiguous_format
        return cls(
            config=config,
            manifest=manifest,
            epoch=state["epoch"],
            model=model.to(device).to(memory_format=layout),
            device=device,
        )

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the (n, classes) class probabilities of new pictures, computed as in validation.

        Args:
            pixels: (n, height, width) gray values or (n, height, width, 3) colours, with the height
                and width of the training pictures.
        """
        count = len(pixels)
        pictures = ImageDataset(
            manifest=self.manifest,
            image_ids=np.full(count, ""),
            pixels=pixels,
            labels=np.zeros(count, dtype=np.int64),
            splits=np.full(count, "test"),
            folds=np.full(count, -1),
            soft_labels=None,
        )
        data = DeviceDataset.create(pictures, self.device)
        rows = torch.arange(count, device=self.device)
        return predict_probabilities(self.model, data, rows, self.config).cpu().numpy()
