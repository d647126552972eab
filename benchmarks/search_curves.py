"""Learning curves for simulated searches: what a task is, and LCBench's surrogate network."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fairsweep.errors import UserError

Floats = npt.NDArray[np.float64]
NOISE = 0.003
"""Standard deviation of an epoch's validation value, which the surrogate itself lacks."""
_SECONDS, _VALIDATION, _TEST = 0, 3, 5
"""Columns of the surrogate's answers: cumulated seconds, balanced accuracies."""
_ROWS = 1024
"""Rows asked for at a time; the surrogate's layers are wide, so many rows need gigabytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A complete training; each array has a number for each epoch."""

    seconds: Floats
    """Seconds of each epoch."""
    validation: Floats
    """Balanced accuracy on the validation split, with noise."""
    test: Floats
    """Balanced accuracy on the test split, without noise."""


class Task(Protocol):
    """The curves of all configurations of a space."""

    name: str
    epochs: int
    """Epochs of a complete training."""
    space: dict[str, dict[str, Any]]
    """Hyperparameter → its range: ``low``, ``high``, and ``integer`` or ``log`` if it is so."""
    carriers: Mapping[str, str]
    """Hyperparameter → one of ours whose bounds hold its range; no network is built."""
    samples: int
    """Configurations that a searcher of ours may try."""

    @property
    def mean_seconds(self) -> float:
        """Seconds of the complete training of a random configuration, on average."""
        ...

    @property
    def best(self) -> float:
        """The best value on the test split that is known, at any epoch."""
        ...

    def curve(self, config: Mapping[str, Any], /) -> Curve:
        """Return the training of a configuration; the same each time."""
        ...

    def random(self, rng: np.random.Generator, /) -> dict[str, float]:
        """Draw a configuration."""
        ...


class SurrogateTask:
    """A task of LCBench (see `Task`), for any configuration of its space."""

    carriers: Mapping[str, str] = {
        "batch_size": "batch_size",
        "learning_rate": "learning_rate",
        "momentum": "head_learning_rate",
        "weight_decay": "weight_decay",
        "num_layers": "fc_layers",
        "max_units": "fc_width",
        "max_dropout": "mixup",
    }
    samples = 100_000

    def __init__(self, path: Path, name: str, *, noise: float = NOISE) -> None:
        """Open the surrogate.

        Args:
            path: The ONNX file; a JSON file with the same stem describes it.
            name: A key of ``tasks`` in the JSON file.
            noise: Standard deviation of the noise of validation values.

        Raises:
            UserError: A file is missing, or the surrogate does not know the task.
        """
        import onnxruntime

        about = describe(path)
        if name not in about["tasks"]:
            raise UserError(f"task must be one of {', '.join(about['tasks'])}, but got {name!r}")
        self.name = name
        space = dict(about["space"])
        self.epochs = int(space.pop("epoch")[1])
        self.space: dict[str, dict[str, Any]] = space
        self._number = about["tasks"][name]
        self._noise = noise
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(str(path), options)
        if not np.isfinite(self._ask(self._draw(1), np.array([self.epochs]))).all():
            raise UserError(f"{path} knows nothing of task {name} (its number: {self._number})")

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """Return the training of a configuration; the same each time."""
        values = np.array([[float(config[name]) for name in self.space]])
        answers = self._ask(values, np.arange(1, self.epochs + 1))[0]
        key = f"{self.name} {values.tolist()}".encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        noise = np.random.default_rng(seed).normal(0, self._noise, self.epochs)
        # The surrogate's seconds do not grow after some epochs, which would then be free.
        total = max(float(answers[-1, _SECONDS]), 1e-3)
        return Curve(
            seconds=np.full(self.epochs, total / self.epochs),
            validation=answers[:, _VALIDATION] + noise,
            test=answers[:, _TEST],
        )

    @cached_property
    def mean_seconds(self) -> float:
        """Seconds of the complete training of a random configuration, on average."""
        answers = self._ask(self._draw(2_000), np.array([self.epochs]))
        return float(answers[:, 0, _SECONDS].mean())

    @cached_property
    def best(self) -> float:
        """The best value on the test split that was found in the space, at any epoch."""
        epochs = np.linspace(self.epochs / 4, self.epochs, 4).round()
        rng = np.random.default_rng(1)
        shares = rng.random((4_000, len(self.space)))
        for width in (0.1, 0.05, 0.02):
            tests = self._ask(self._at(shares), epochs)[:, :, _TEST].max(axis=1)
            parents = shares[np.argsort(-tests)[:20]]
            children = np.repeat(parents, 50, axis=0)
            children = np.clip(children + rng.normal(0, width, children.shape), 0, 1)
            shares = np.concatenate([parents, children])
        tests = self._ask(self._at(shares), epochs)[:, :, _TEST]
        return float(tests.max())

    def random(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw a configuration."""
        (values,) = self._at(rng.random((1, len(self.space))))
        return dict(zip(self.space, values.tolist(), strict=True))

    def _draw(self, count: int) -> Floats:
        return self._at(np.random.default_rng(0).random((count, len(self.space))))

    def _at(self, shares: Floats) -> Floats:
        """Map points of the unit cube to configurations, (n, hyperparameters)."""
        values = np.empty_like(shares)
        for column, about in enumerate(self.space.values()):
            low, high = about["low"], about["high"]
            share = shares[:, column]
            values[:, column] = (
                low * (high / low) ** share if about.get("log") else low + share * (high - low)
            )
            if about.get("integer"):
                values[:, column] = values[:, column].round()
        return values

    def _ask(self, values: Floats, epochs: npt.NDArray[Any]) -> Floats:
        """Return the surrogate's answers, (configurations, epochs, outputs)."""
        count = len(values) * len(epochs)
        inputs = np.empty((count, 1 + values.shape[1]), dtype=np.float32)
        inputs[:, 0] = np.tile(epochs, len(values))
        inputs[:, 1:] = np.repeat(values, len(epochs), axis=0)
        parts = np.array_split(inputs, -(-count // _ROWS))
        answers = [self._session.run(None, self._inputs(part))[0] for part in parts]
        return np.concatenate(answers, dtype=float).reshape(len(values), len(epochs), -1)

    def _inputs(self, rows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
        numbers = np.full((len(rows), 1), self._number, dtype=np.int32)
        return {"x_cat": numbers, "x_cont": rows}


def describe(path: Path) -> dict[str, Any]:
    """Read the JSON file beside the surrogate.

    Raises:
        UserError: It or the surrogate is missing.
    """
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            raise UserError(f"{file} is missing; give --lcbench FILE, with its JSON file beside it")
    about: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    return about
