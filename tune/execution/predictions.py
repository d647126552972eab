"""Writes predictions of trained trials, from a training or from a trial's best weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.reader import ImageDataset
from models.build import build_model
from models.checkpoint import load
from models.config import TrainConfig
from models.data import DeviceDataset
from models.predict import predict_probabilities
from tune.run.directory import ENSEMBLE, best_weights, predictions_file
from tune.run.tables import predictions_table, read_predictions, with_members, write_table


def write_predictions(
    run: Path,
    trial_id: str,
    dataset: ImageDataset,
    *,
    split: str,
    config: TrainConfig,
    epoch: int,
    probabilities: npt.NDArray[np.float32],
) -> None:
    """Write a trial's predictions on one split; predictions on other splits are kept.

    Args:
        run: The run directory.
        trial_id: The trial.
        dataset: The pictures.
        split: ``val`` or ``test``.
        config: The trial's configuration; its fold is the validation split.
        epoch: Epoch of the weights.
        probabilities: (m, classes) of the split's pictures, in the order of their rows.
    """
    rows = dataset.rows(split, config.fold, config.folds)
    table = predictions_table(
        image_ids=dataset.image_ids[rows],
        labels=dataset.labels[rows],
        probabilities=probabilities,
        split=split,
        epoch=epoch,
        classes=dataset.manifest.classes,
    )
    before = read_predictions(run, trial_id) if split == "test" else None
    if before is not None:
        others = before.filter(pc.not_equal(before["split"], split))
        table = pa.concat_tables([others, table])
    write_table(table, predictions_file(run, trial_id))


def predict_from_best(run: Path, trial_id: str, dataset: ImageDataset, split: str) -> float:
    """Predict a split with a trial's best weights, write the predictions, return the accuracy.

    Raises:
        FileNotFoundError: The trial's best weights were not kept.
    """
    found = _predict(run, trial_id, DeviceDataset.create(dataset), split)
    write_predictions(
        run,
        trial_id,
        dataset,
        split=split,
        config=found.config,
        epoch=found.epoch,
        probabilities=found.probabilities,
    )
    return _accuracy(found.probabilities, dataset.labels[found.rows])


def predict_ensemble(
    run: Path, members: Mapping[str, int], dataset: ImageDataset, split: str
) -> float:
    """Predict a split with the best weights of an ensemble, write the mean, return the accuracy.

    Only the mean is written, as the predictions of ``ENSEMBLE``, and not what a member predicts.

    Args:
        run: The run directory.
        members: Trial id → how often it counts.
        dataset: The pictures.
        split: ``val`` or ``test``.

    Raises:
        FileNotFoundError: The best weights of a member were not kept.
    """
    data = DeviceDataset.create(dataset)
    found = {trial_id: _predict(run, trial_id, data, split) for trial_id in members}
    rows = next(iter(found.values())).rows
    parts = [times * found[trial_id].probabilities for trial_id, times in members.items()]
    mean = (np.sum(parts, axis=0) / sum(members.values())).astype(np.float32)
    table = predictions_table(
        image_ids=dataset.image_ids[rows],
        labels=dataset.labels[rows],
        probabilities=mean,
        split=split,
        epoch=0,
        classes=dataset.manifest.classes,
    )
    write_table(with_members(table, members), predictions_file(run, ENSEMBLE))
    return _accuracy(mean, dataset.labels[rows])


class _Predicted(NamedTuple):
    config: TrainConfig
    epoch: int
    rows: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]


def _predict(run: Path, trial_id: str, data: DeviceDataset, split: str) -> _Predicted:
    """Predict a split with a trial's best weights."""
    best = load(best_weights(run, trial_id))
    config = TrainConfig.create(best["config"])
    model = build_model(config, **data.task)
    model.load_state_dict(best["weights"])
    rows = data.rows(split, config.fold, config.folds)
    probabilities = predict_probabilities(model, data, rows, config).numpy()
    return _Predicted(config, best["epoch"], rows.cpu().numpy(), probabilities)


def _accuracy(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.integer[Any]]
) -> float:
    return float((probabilities.argmax(axis=1) == labels).mean())
