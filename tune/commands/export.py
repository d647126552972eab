"""`tune export`: write a trained network for use without Fairsweep."""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairsweep.errors import UserError
from tune.commands.options import add_data, add_run, add_trial, add_trust
from tune.commands.predict import find_weights
from tune.session.code import open_code
from tune.session.run_directory import find_dataset, read_provenance, read_spec
from tune.session.status import read_sweep
from tune.sweep.state import SweepState

EXAMPLE = "runs/quick --out winner"
CARD = "README.md"
"""Name of the model card in the folder."""
MOST, DRAWN = 1000, 64
"""Largest number of validation pictures that the exported model is checked on, and the number of
random pictures without the dataset."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run, the trial, the folder to write, and the format."""
    add_run(command)
    add_trial(command)
    command.add_argument("--out", type=Path, required=True, help="folder to write")
    add_data(command)
    add_trust(command)
    command.add_argument("--json", action="store_true", help="print model.json")


def run(parsed: argparse.Namespace) -> int:
    """Write the model and print what was written; return 0."""
    weights = find_weights(parsed.run, parsed.trial)
    try:
        from tune.session.exported import write_export
    except ModuleNotFoundError as error:
        raise UserError(
            f"tune export needs {error.name}; install it with: pip install 'fairsweep[export]'"
        ) from None
    from models.classifier import Classifier

    open_code(parsed.run, read_spec(parsed.run), trust_code=parsed.trust_code)
    classifier = Classifier.read(weights)
    pixels = _validation_pictures(parsed.run, parsed.data)
    if pixels is None:
        shape = classifier.manifest.image_shape + (3,) * (classifier.manifest.channels > 1)
        pixels = np.random.default_rng(0).integers(0, 256, (DRAWN, *shape), dtype=np.uint8)
    sweep = read_sweep(parsed.run)
    facts = _facts(parsed.run, sweep, weights.parent.name, classifier.epoch)
    content = write_export(classifier, parsed.out, pixels, facts)
    best = sweep.incumbent
    if best is not None and best.id == weights.parent.name:  # The card is about the incumbent.
        _write_card(parsed.run, parsed.out / CARD, parsed.data)
    latency = content["latency_ms"]["1"]
    print(
        json.dumps(content)
        if parsed.json
        else f"{parsed.out}: model.onnx ({content['onnx_bytes'] / 1e6:.1f} MB), model.safetensors, "
        f"model.json and classify.py of {facts['name']}; probabilities of {len(pixels):,} pictures "
        f"differ by at most {content['largest_difference']:.1g}; a picture takes "
        f"{latency['p50']:.1f} ms (95th percentile {latency['p95']:.1f} ms) on this machine"
    )
    return 0


def _validation_pictures(run: Path, data: str | None) -> npt.NDArray[np.uint8] | None:
    """Return pictures of the validation split; None if the dataset is not there."""
    try:
        dataset = find_dataset(run, data)
    except UserError as error:
        if data is not None:
            raise
        print(
            f"warning: {error}; the model is checked on random pictures instead of the validation "
            "split",
            file=sys.stderr,
        )
        return None
    rows = dataset.rows("val")
    return np.asarray(dataset.pixels[rows[:: -(-len(rows) // MOST)]])


def _write_card(run: Path, out: Path, data: str | None) -> None:
    """Let the analysis write the model card, which needs its libraries; say so if it cannot."""
    words = [sys.executable, "-m", "analysis", "card", str(run), "--out", str(out)]
    words += [] if data is None else ["--data", data]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        print(
            f"warning: there is no model card: {reason}; to write it later: "
            f"{shlex.join(['python', *words[1:]])}",
            file=sys.stderr,
        )


def _facts(run: Path, sweep: SweepState, trial_id: str, epoch: int) -> dict[str, Any]:
    """Return where the network comes from, and its metrics at the epoch of its weights."""
    dataset = read_provenance(run)["dataset"]
    trial = sweep.trials[trial_id]
    measured = {measurement.epoch: dict(measurement.values) for measurement in trial.measurements}
    return {
        "name": trial.name,
        "trial": trial_id,
        "run": run.name,
        "dataset": {"name": Path(dataset["path"]).name, "fingerprint": dataset["fingerprint"]},
        "validation": measured[epoch],
        "times_test_opened": len(sweep.openings),
    }
