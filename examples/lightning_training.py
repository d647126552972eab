"""A Lightning module as own training code; the state is its checkpoint."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from data_prep.reader import read_dataset


class Net(LightningModule):
    def __init__(self, width, learning_rate):
        super().__init__()
        layers = nn.Conv2d(1, width, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        self.layers = nn.Sequential(*layers, nn.Linear(16 * width, 4))
        self.learning_rate = learning_rate

    def training_step(self, batch):
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch):
        answers = self.layers(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(answers, batch[1]))
        self.log("val_accuracy", (answers.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.learning_rate)


def train(*, width: int = 16, learning_rate: float = 1e-3, epochs, seed, data, device, state=None):
    pictures = read_dataset(Path(data))
    x, y = torch.from_numpy(pictures.pixels).unsqueeze(1) / 255, torch.from_numpy(pictures.labels)
    sets = [TensorDataset(x[rows], y[rows]) for rows in map(pictures.rows, ("train", "val"))]
    loaders = DataLoader(sets[0], 64, shuffle=True), DataLoader(sets[1], 256)
    seed_everything(seed)
    net = Net(width, learning_rate)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "last.ckpt"
        if state is not None:
            file.write_bytes(state["checkpoint"])
        for epoch in range(state["epoch"] + 1 if state else 1, epochs + 1):
            seed_everything(1000 * seed + epoch)
            trainer = Trainer(max_epochs=epoch, accelerator=device, logger=False, **QUIET)
            trainer.fit(net, *loaders, ckpt_path=file if epoch > 1 else None)
            trainer.save_checkpoint(file)
            yield dict(trainer.callback_metrics), {"epoch": epoch, "checkpoint": file.read_bytes()}


QUIET = {f"enable_{name}": False for name in ("checkpointing", "progress_bar", "model_summary")}
