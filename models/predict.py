"""Predictions of a trained network on pictures of a dataset, and their metrics."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.config import TrainConfig
from models.data import DeviceDataset
from models.fused import side_by_side
from models.hyperparameters import Precision
from models.input_size import input_shape
from models.metrics import classification_metrics, confusion_matrix
from models.network_input import network_input

CPU_BATCH_SIZE = 64
"""Pictures predicted together on a CPU: as many as fit into a core's cache."""
GPU_BATCHES = 4
"""Training batches predicted together on a GPU: without a backward pass, they take no more memory
than one batch in training."""


def predict_logits(
    model: nn.Module, data: DeviceDataset, rows: Tensor, config: TrainConfig
) -> Tensor:
    """Return the float32 logits of ``rows``, on the device.

    The model keeps its mode (training or evaluation).

    Args:
        model: A network, or several fused networks.
        data: The pictures.
        rows: (m,); for a fused network (members, m).
        config: Configuration of the network; says how to predict.

    Returns:
        (m, classes), or (members, m, classes).
    """
    training = model.training
    members = len(rows) if rows.ndim == 2 else 1
    on_cpu = data.device.type == "cpu"
    batch_size = CPU_BATCH_SIZE // members if on_cpu else GPU_BATCHES * config.batch_size
    model.eval()
    with torch.inference_mode(), autocast(data.device, config.precision):
        parts, shape = [], input_shape(config, data.image_shape)
        for part in torch.split(rows, max(1, batch_size), dim=-1):
            pictures = side_by_side(network_input(data, part.reshape(-1), shape), members)
            parts.append(forward(model, pictures, flip=config.test_time_flip))
    model.train(training)
    return torch.cat(parts, dim=-2)


def forward(model: nn.Module, pictures: Tensor, *, flip: bool) -> Tensor:
    """Return the (…, b, classes) float32 logits of (b, …, height, width) normalised pictures.

    With ``flip``, their softmax is the mean of the probabilities of a picture and its mirror image.
    """
    logits: Tensor = model(pictures).float()
    if not flip:
        return logits
    mirrored: Tensor = model(pictures.flip(3)).float()
    return logits.log_softmax(dim=-1).logaddexp(mirrored.log_softmax(dim=-1)) - math.log(2)


def predict_probabilities(
    model: nn.Module, data: DeviceDataset, rows: Tensor, config: TrainConfig
) -> Tensor:
    """Return the (m, classes) float32 class probabilities of ``rows``, on the device."""
    return predict_logits(model, data, rows, config).softmax(dim=1)


def evaluate(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the loss and the metrics.

    The loss is the cross-entropy with one label per picture, whatever the targets in training were,
    so that losses are comparable.

    Args:
        logits: (m, classes).
        labels: (m,) true class indices.
    """
    loss = functional.cross_entropy(logits, labels).item()
    predicted = logits.argmax(dim=1).cpu().numpy()
    confusion = confusion_matrix(labels.cpu().numpy(), predicted, logits.shape[1])
    return {"loss": loss, **classification_metrics(confusion)}


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the autocast context of ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
