"""Writes predictions of trained trials, from a training or from a trial's best weights."""

from pathlib import Path

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
from tune.run.directory import best_weights, predictions_file
from tune.run.tables import predictions_table, read_predictions, write_table


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
    best = load(best_weights(run, trial_id))
    config = TrainConfig.create(best["config"])
    data = DeviceDataset.create(dataset)
    model = build_model(config, **data.task)
    model.load_state_dict(best["weights"])
    rows = data.rows(split, config.fold, config.folds)
    probabilities = predict_probabilities(model, data, rows, config).numpy()
    write_predictions(
        run,
        trial_id,
        dataset,
        split=split,
        config=config,
        epoch=best["epoch"],
        probabilities=probabilities,
    )
    return float((probabilities.argmax(axis=1) == dataset.labels[rows.numpy()]).mean())
