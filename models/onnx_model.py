"""A trained classifier as an ONNX model: uint8 pictures of any size in, class probabilities out."""

import json

import onnx
import torch
from onnx.compose import merge_models
from torch import Tensor, nn

from data_prep.manifest import DatasetManifest
from models.classifier import Classifier
from models.config import TrainConfig
from models.input_size import input_shape, resize
from models.onnx_graph import FITTED, OPSET, fitting_graph
from models.predict import forward

PROBABILITIES = "probabilities"
"""Name of the model's output."""


class _Probabilities(nn.Module):
    """Classifies pictures of the dataset's size as `models.predict` does."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, config: TrainConfig, manifest: DatasetManifest) -> None:
        super().__init__()
        self.model, self.flip = model, config.test_time_flip
        self.shape = input_shape(config, manifest.image_shape)
        mean, std = (
            255 * torch.tensor(scale, dtype=torch.float32).reshape(-1, 1, 1)
            for scale in (manifest.mean, manifest.std)
        )
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, fitted: Tensor) -> Tensor:
        """(n, channels, rows, columns) values from 0 to 255 → (n, classes) probabilities."""
        pictures = (resize(fitted, self.shape) - self.mean) / self.std
        return forward(self.model, pictures, flip=self.flip).softmax(dim=-1)


def onnx_model(classifier: Classifier) -> onnx.ModelProto:
    """Return an ONNX model that computes the class probabilities of ``classifier``.

    Its input ``pictures`` is (n, height, width, 3) uint8: red, green and blue of pictures of one
    size. They are resized as in data preparation (`models.onnx_graph`). Its output
    ``probabilities`` is (n, classes) float32. The metadata ``classes`` is a JSON list of the class
    names.
    """
    config, manifest = classifier.config, classifier.manifest
    network = _Probabilities(classifier.model, config, manifest).cpu().eval()
    example = torch.zeros(2, manifest.channels, *manifest.image_shape)
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[FITTED],
        output_names=[PROBABILITIES],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        verbose=False,
    )
    assert program is not None, "the exporter returns a program"
    inner, outer = program.model_proto, fitting_graph(manifest)
    outer.ir_version = inner.ir_version
    merged = merge_models(outer, inner, io_map=[(FITTED, FITTED)])
    facts = {"classes": json.dumps(manifest.classes), "network": config.name}
    onnx.helper.set_model_props(merged, facts)
    onnx.checker.check_model(merged)
    return merged
