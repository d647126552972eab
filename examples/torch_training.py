"""A plain PyTorch loop as own training code: `python -m tune run examples/torch_training.yaml`."""

from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from data_prep.reader import read_dataset
from fairsweep.training import Epoch, Predictions

read = cache(read_dataset)  # A worker trains many trials, and reads the pictures once.


def train(*, width: int = 32, learning_rate: float = 1e-3, epochs, seed, data, device, state=None):
    pictures = read(Path(data))
    x = torch.from_numpy(pictures.pixels).unsqueeze(1).to(device)
    y = torch.from_numpy(pictures.labels).to(device)
    train_rows, val = (torch.from_numpy(pictures.rows(split)) for split in ("train", "val"))
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, width, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(16 * width, len(pictures.manifest.classes))).to(device)
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    if state is not None:
        model.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
    for epoch in range(state["epoch"] + 1 if state else 1, epochs + 1):
        torch.manual_seed(1000 * seed + epoch)  # The order of an epoch, also after a restart.
        for rows in train_rows[torch.randperm(len(train_rows))].split(64):
            optimizer.zero_grad()
            cross_entropy(model(x[rows] / 255), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            answers = model(x[val] / 255)
        loss, hits = cross_entropy(answers, y[val]), (answers.argmax(1) == y[val]).float()
        yield Epoch(
            metrics={"val_accuracy": hits.mean(), "val_loss": loss},
            state={"net": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch},
            predictions=Predictions(
                image_ids=pictures.image_ids[val], labels=pictures.labels[val],
                probabilities=answers.softmax(1).cpu(),
            ),
        )  # fmt: skip
