"""Writes a trained network for use without Fairsweep, and compares it with the original."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from safetensors.torch import save_file

from fairsweep.errors import UserError
from models.classifier import Classifier
from models.onnx_graph import PICTURES
from models.onnx_model import PROBABILITIES, onnx_model

MOST_APART = 1e-4
"""Largest difference between probabilities of the exported model and of the original."""
BATCHES = (1, 64)
"""Batch sizes whose latency is measured."""
RUNS = 30
"""Number of runs per measured latency."""
_AT_ONCE = 256
"""Pictures that are classified together; this limits memory."""
_SCRIPT = Path(__file__).with_name("classify.py.txt")

Pixels = npt.NDArray[np.uint8]


def write_export(
    classifier: Classifier, out: Path, pixels: Pixels, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write ``model.onnx``, ``model.safetensors``, ``model.json`` and ``classify.py``.

    The folder appears only when everything is written and checked.

    Args:
        classifier: The trained network.
        out: The new folder.
        pixels: (n, height, width) or (n, height, width, 3) pictures to compare the models on.
        facts: What ``model.json`` holds besides the configuration and the measured latencies.

    Returns:
        The content of ``model.json``.

    Raises:
        UserError: The folder exists, or the exported model differs by more than ``MOST_APART``.
    """
    if out.exists():
        raise UserError(f"{out} exists already; give --out a new folder")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        content = _write_into(partial, classifier, pixels, facts)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return content


def _write_into(
    folder: Path, classifier: Classifier, pixels: Pixels, facts: Mapping[str, Any]
) -> dict[str, Any]:
    weights = {name: t.contiguous() for name, t in classifier.model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    model = folder / "model.onnx"
    model.write_bytes(onnx_model(classifier).SerializeToString())
    session = onnxruntime.InferenceSession(model)
    colours = pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, axis=3)
    apart = np.abs(_run(session, colours) - classifier.probabilities(pixels)).max()
    if not apart <= MOST_APART:
        raise UserError(
            f"the exported model differs from the original by up to {apart:.2g} in a probability, "
            f"but at most {MOST_APART:g} is allowed, so it is not written; please report this "
            f"network: {classifier.config.to_dict()}"
        )
    manifest = classifier.manifest
    content = {
        **facts,
        "classes": manifest.classes,
        "image_shape": manifest.image_shape,
        "channels": manifest.channels,
        "configuration": classifier.config.to_dict(),
        "epoch": classifier.epoch,
        "compared_pictures": len(pixels),
        "largest_difference": float(apart),
        "onnx_bytes": model.stat().st_size,
        "latency_ms": {str(size): _latency(session, colours, size) for size in BATCHES},
    }
    (folder / "model.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(_SCRIPT, folder / "classify.py")
    return content


def _run(session: onnxruntime.InferenceSession, colours: Pixels) -> npt.NDArray[np.float32]:
    parts = [
        session.run([PROBABILITIES], {PICTURES: colours[start : start + _AT_ONCE]})[0]
        for start in range(0, len(colours), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _latency(session: onnxruntime.InferenceSession, colours: Pixels, size: int) -> dict[str, float]:
    """Return percentiles of the milliseconds per run with ``size`` pictures, on this machine."""
    batch = np.resize(colours, (size, *colours.shape[1:]))
    _run(session, batch)
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        _run(session, batch)
        seconds.append(time.perf_counter() - started)
    p50, p95 = 1000 * np.percentile(seconds, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
