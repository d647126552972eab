"""The training loop: a generator that yields the measurement of each epoch."""

import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.augment import mix_pairs, transform_pictures
from models.build import Pretrained, build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import Batch, EpochPlan, seed_of, steps
from models.optim import learning_rate_at, make_optimizer, set_learning_rate
from models.predict import autocast, evaluate, predict_logits
from models.sampling import Sampling, weighted


def fit(
    config: TrainConfig,
    data: DeviceDataset,
    *,
    state: Mapping[str, Any] | None = None,
    initial: Mapping[str, Tensor] | None = None,
) -> Generator["EpochResult", None, None]:
    """Train the network of ``config`` and yield a result after each epoch.

    Ends after ``config.epochs``, or after the first epoch whose loss is not finite. On one CPU
    thread equal arguments give equal results to the last digit, whatever else the process does.

    Args:
        config: What to train.
        data: The pictures, on the device that trains.
        state: `EpochResult.state` of an earlier training of this configuration, to go on exactly
            from there. Its tensors are taken over.
        initial: The first weights, where they are those of an earlier training.

    Raises:
        ValueError: The network, or a hyperparameter, does not fit the dataset.
    """
    loop = _Loop(config, data)
    if state is not None:
        loop.load(state)
    elif initial is not None:
        loop.model.load_state_dict(initial)
    else:
        loop.load_pretrained()
    while loop.epoch < config.epochs and not loop.diverged:
        result = loop.train_epoch()
        loop.diverged = result.diverged
        yield result


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochResult:
    """What one epoch gave; `state` and `weights` only until `fit` is asked for the next."""

    epoch: int
    """Epochs trained so far, counted from 1."""
    values: dict[str, float]
    """Losses, metrics, learning rate of the last step, and timings: ``seconds`` of the whole
    epoch, ``images_per_second`` of its training part."""
    probabilities: npt.NDArray[np.float32]
    """(m, classes) class probabilities of the validation pictures, in the order of their rows."""
    _loop: "_Loop" = field(repr=False)

    @property
    def diverged(self) -> bool:
        """True if a loss of this epoch is NaN or infinite; `fit` ends after such an epoch."""
        return not math.isfinite(self.values["train_loss"] + self.values["val_loss"])

    def state(self) -> dict[str, Any]:
        """Return all that `fit` needs to go on from here; the tensors are the live ones.

        Raises:
            RuntimeError: `fit` has gone on meanwhile.
        """
        self._check_current()
        return {
            "epoch": self.epoch,
            "model": self._loop.model.state_dict(),
            "optimizer": self._loop.optimizer.state_dict(),
            "diverged": self._loop.diverged,
        }

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the network's weights in CPU memory.

        Raises:
            RuntimeError: `fit` has gone on meanwhile.
        """
        self._check_current()
        values = self._loop.model.state_dict().items()
        return {name: value.detach().to("cpu", copy=True) for name, value in values}

    def _check_current(self) -> None:
        if self._loop.epoch != self.epoch:
            raise RuntimeError(
                f"epoch {self.epoch} is gone: the training is at {self._loop.epoch}; "
                "take its state before asking for the next epoch"
            )


class _Loop:
    """Everything that changes from epoch to epoch."""

    def __init__(self, config: TrainConfig, data: DeviceDataset) -> None:
        self.config, self.data = config, data
        train_rows = data.rows("train", config.fold, config.folds)
        self.sampling = Sampling.create(config, data.source, train_rows)
        self.train_rows = self.sampling.rows
        self.val_rows = data.rows("val", config.fold, config.folds)
        self.targets = data.targets(soft=config.soft_labels)
        self.label_smoothing = config.label_smoothing
        if self.sampling.weights is not None:
            self.targets = weighted(self.targets, self.sampling.weights, self.label_smoothing)
            self.label_smoothing = 0.0
        self.steps = steps(len(self.train_rows), config.batch_size)
        with _seeded(seed_of(config, 0), data.device):
            model = build_model(config, classes=data.classes, image_shape=data.image_shape)
        # Channels last: a third more pictures a second than channels first on a CPU.
        self.model = model.to(data.device).to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(config, self.model)
        self.epoch = 0
        self.diverged = False

    def load_pretrained(self) -> None:
        """Start from the weights that others have trained, where the network has such."""
        if isinstance(self.model, Pretrained):
            manifest = self.data.source.manifest
            self.model.load_pretrained(mean=manifest.mean, std=manifest.std)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over the state of an earlier training."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.diverged = state["epoch"], state["diverged"]

    def train_epoch(self) -> EpochResult:
        """Train for one epoch, then measure on validation."""
        start = time.perf_counter()
        with _seeded(seed_of(self.config, self.epoch + 1), self.data.device):
            values = self._train()
        trained = time.perf_counter()
        logits = predict_logits(self.model, self.data, self.val_rows, self.config)
        measured = evaluate(logits, self.data.labels[self.val_rows])
        values |= {f"val_{name}": value for name, value in measured.items()}
        self.epoch += 1
        probabilities = logits.softmax(dim=1).cpu().numpy()
        values["seconds"] = time.perf_counter() - start
        values["images_per_second"] = len(self.train_rows) / (trained - start)
        return EpochResult(epoch=self.epoch, values=values, probabilities=probabilities, _loop=self)

    def _train(self) -> dict[str, float]:
        config, rows = self.config, self.train_rows
        plan = EpochPlan.draw(
            config, self.epoch + 1, rows, self.data.image_shape, self.sampling.groups
        )
        # Sums stay on the device until the epoch ends, so that a GPU is never waited for.
        sums = torch.zeros(2, device=self.data.device)
        self.model.train()
        for step, batch in enumerate(plan.batches(), start=self.epoch * self.steps):
            rate = learning_rate_at(config, step, config.epochs * self.steps)
            sums += self._step(batch, rate)
        loss, hits = (sums / len(plan.rows)).tolist()
        return {"train_loss": loss, "train_accuracy": hits, "learning_rate": rate}

    def _step(self, batch: Batch, learning_rate: float) -> Tensor:
        """Train on one batch; return its summed loss and its hits as a (2,) tensor."""
        pictures, targets = self._mixed(batch)
        with autocast(self.data.device, self.config.precision):
            logits = self.model(pictures)
        logits = logits.float()
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        set_learning_rate(self.optimizer, self.config, learning_rate)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        hits = (logits.argmax(dim=1) == self.data.labels[batch.rows]).sum()
        return torch.stack((loss.detach() * len(batch.rows), hits))

    def _mixed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the (b, 1, h, w) pictures and (b, classes) targets of one step."""
        pictures = self.data.pictures(batch.rows)
        if batch.transforms is not None:
            pictures = transform_pictures(pictures, batch.transforms)
        pictures, targets = self.data.normalise(pictures), self.targets[batch.rows]
        if batch.mix < 1:
            pictures, targets = mix_pairs(pictures, batch.mix), mix_pairs(targets, batch.mix)
        return pictures, targets


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside, and leave them as they were outside."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield
