"""A linear classifier of scikit-learn as own training code, without torch."""

from functools import cache
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from data_prep.reader import read_dataset
from fairsweep.training import Epoch, Predictions

read = cache(read_dataset)


def train(
    *, alpha: float = 1e-4, step: float = 1e-3, seed, data, fold=None, folds=None, state=None
):
    pictures = read(Path(data))
    rows, val = (pictures.rows(split, fold, folds) for split in ("train", "val"))
    x = pictures.pixels.reshape(len(pictures.labels), -1) / np.float32(255)
    y, classes = pictures.labels, np.arange(len(pictures.manifest.classes))
    model, epoch = state or (
        SGDClassifier(loss="log_loss", alpha=alpha, learning_rate="constant", eta0=step), 0
    )  # fmt: skip
    while True:  # The sweep says when a trial is complete: `epochs` in its spec.
        epoch += 1
        model.set_params(random_state=1000 * seed + epoch).partial_fit(x[rows], y[rows], classes)
        answers = model.predict_proba(x[val])
        hits = answers.argmax(axis=1) == y[val]
        yield Epoch(
            metrics={
                "val_accuracy": hits.mean(),
                "val_loss": log_loss(y[val], answers, labels=classes),
            },
            state=(model, epoch),
            predictions=Predictions(
                image_ids=pictures.image_ids[val], labels=y[val], probabilities=answers
            ),
        )
