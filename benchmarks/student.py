"""Training loops as in tutorials: over picture files, and over a tensor in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from torchvision import transforms

from data_prep.reader import read_dataset
from models.build import build_model
from models.config import TrainConfig
from models.families.layers import AdaptiveAveragePool, IdleBiasConv2d
from models.predict import autocast

WORKERS = 2
MEAN, STD = 0.5, 0.25


def write_pictures(data: Path, folder: Path) -> None:
    """Write a dataset's training and validation pictures as PNG files, a folder per class."""
    dataset = read_dataset(data)
    for split in ("train", "val"):
        for row in dataset.rows(split):
            class_folder = folder / split / str(dataset.labels[row])
            class_folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(dataset.pixels[row]).save(class_folder / f"{row}.png")


class PictureFiles(Dataset[tuple[Tensor, int]]):
    """Opens, transforms and returns one picture file at a time."""

    def __init__(self, folder: Path, *, augment: bool) -> None:
        self._files = sorted(folder.rglob("*.png"))
        moves = [transforms.RandomHorizontalFlip(), transforms.RandomRotation(10)]
        steps = [*(moves if augment else []), transforms.ToTensor()]
        self._transform = transforms.Compose([*steps, transforms.Normalize([MEAN], [STD])])

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        file = self._files[place]
        return self._transform(Image.open(file)), int(file.parent.name)


class PictureTensor(Dataset[tuple[Tensor, Tensor]]):
    """Returns whole batches from a tensor in memory, transformed together."""

    def __init__(self, data: Path, split: str, *, augment: bool) -> None:
        dataset = read_dataset(data)
        rows = dataset.rows(split)
        self._pictures = torch.from_numpy(dataset.pixels[rows])[:, None]
        self._labels = torch.from_numpy(dataset.labels[rows])
        moves = [transforms.RandomHorizontalFlip(), transforms.RandomRotation(10)]
        self._move = transforms.Compose(moves if augment else [])

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        pictures = self._move(self._pictures[rows]).float().div(255)
        return (pictures - MEAN) / STD, self._labels[rows]


def file_loaders(folder: Path, batch_size: int) -> list[DataLoader[Any]]:
    """Return loaders of training and validation pictures that read files."""
    return [
        DataLoader(
            PictureFiles(folder / split, augment=split == "train"),
            batch_size=batch_size,
            shuffle=split == "train",
            num_workers=WORKERS,
        )
        for split in ("train", "val")
    ]


def tensor_loaders(data: Path, batch_size: int) -> list[DataLoader[Any]]:
    """Return loaders of training and validation pictures that read a tensor in memory."""
    made = []
    for split in ("train", "val"):
        pictures = PictureTensor(data, split, augment=split == "train")
        order = BatchSampler(RandomSampler(pictures), batch_size, drop_last=False)
        made.append(
            DataLoader(
                pictures,
                sampler=order,
                batch_size=None,
                num_workers=WORKERS,
                persistent_workers=True,
            )
        )
    return made


def train(
    values: dict[str, Any],
    loaders: Sequence[DataLoader[Any]],
    *,
    epochs: int,
    threads: int,
    channels_last: bool,
) -> Iterator[float]:
    """Train as in tutorials, under autocast for bf16; yield each epoch's validation accuracy."""
    torch.set_num_threads(threads)
    config = TrainConfig.create(values)
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = published(build_model(config, classes=4, image_shape=(48, 48))).to(device)
    model = model.to(memory_format=layout)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    loss_of = nn.CrossEntropyLoss()
    for _ in range(epochs):
        model.train()
        total = 0.0
        for pictures, labels in loaders[0]:
            optimizer.zero_grad()
            with autocast(device, config.precision):
                logits = model(pictures.to(device, memory_format=layout))
                loss = loss_of(logits, labels.to(device))
            loss.backward()
            optimizer.step()
            total += loss.item()
        with autocast(device, config.precision):
            accuracy = _validate(model, loaders[1], device)
        yield accuracy


def published(model: nn.Module) -> nn.Module:
    """Replace our optimised layers in ``model`` by PyTorch's, as in the published study."""
    for module in list(model.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, AdaptiveAveragePool):
                setattr(module, name, nn.AdaptiveAvgPool2d(layer.size))
            elif isinstance(layer, IdleBiasConv2d):
                plain = nn.Conv2d(
                    layer.in_channels,
                    layer.out_channels,
                    layer.kernel_size[0],
                    padding=int(layer.padding[0]),
                )
                plain.load_state_dict(layer.state_dict())
                setattr(module, name, plain)
    return model


@torch.no_grad()
def _validate(model: nn.Module, loader: DataLoader[Any], device: torch.device) -> float:
    model.eval()
    truth, predicted = [], []
    for pictures, labels in loader:
        predicted.append(model(pictures.to(device)).argmax(dim=1).cpu().numpy())
        truth.append(labels.numpy())
    given, right = np.concatenate(predicted), np.concatenate(truth)
    for average in ("macro", "micro"):
        precision_recall_fscore_support(right, given, average=average, zero_division=0)
    return float(accuracy_score(right, given))
