"""The state that changes from epoch to epoch: networks, optimiser, and the result of each epoch."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence

from models.augment import mix_pairs
from models.average import WeightAverage
from models.boxes import cut_pairs, erase
from models.build import Pretrained, build_model
from models.capture import captured
from models.clipping import clip_gradients
from models.config import TrainConfig
from models.data import DeviceDataset
from models.epoch import Batch, EpochPlan, seed_of, steps
from models.fused import (
    NotFusableError,
    fuse,
    join,
    join_optimizers,
    set_generators,
    side_by_side,
    split,
    split_optimizer,
)
from models.gather import gathered_ahead
from models.input_size import input_shape
from models.losses import picture_losses
from models.network_input import network_input
from models.optim import learning_rate_at, make_optimizer, set_learning_rate
from models.predict import autocast, evaluate, predict_logits
from models.sampling import Sampling, weighted
from models.seeding import seeded


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochResult:
    """The result of one epoch. `state` and `weights` work only until `fit` trains the next one."""

    epoch: int
    """Epochs trained so far, counted from 1."""
    values: dict[str, float]
    """Losses, metrics, learning rate of the last step, and timings: ``seconds`` of the whole
    epoch, ``images_per_second`` of its training part."""
    probabilities: npt.NDArray[np.float32]
    """(m, classes) class probabilities of the validation pictures, in the order of their rows."""
    member: int = 0
    """Index among the configurations that are trained as one network."""
    _loop: "Loop" = field(repr=False)

    @property
    def diverged(self) -> bool:
        """True if a loss of this epoch is NaN or infinite; training stops after this epoch."""
        return not math.isfinite(self.values["train_loss"] + self.values["val_loss"])

    def state(self) -> dict[str, Any]:
        """Return everything that `fit` needs to continue; it may share tensors with the training.

        Raises:
            RuntimeError: `fit` has trained another epoch since.
        """
        self._check_current()
        loop = self._loop
        state = {
            "epoch": self.epoch,
            "model": split(loop.model.state_dict(), self.member, loop.members),
            "optimizer": split_optimizer(loop.optimizer.state_dict(), self.member, loop.members),
            "diverged": loop.diverged[self.member],
        }
        if loop.average is not None:
            state["average"] = split(loop.average.state, self.member, loop.members)
        return state

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the network's weights in CPU memory: those that validation used.

        Raises:
            RuntimeError: `fit` has trained another epoch since.
        """
        self._check_current()
        with self._loop.averaged():
            values = split(self._loop.model.state_dict(), self.member, self._loop.members).items()
            return {name: value.detach().to("cpu", copy=True) for name, value in values}

    def _check_current(self) -> None:
        if self._loop.epoch != self.epoch:
            raise RuntimeError(
                f"the state of epoch {self.epoch} is no longer available, because epoch "
                f"{self._loop.epoch} is trained; take it before asking for the next epoch"
            )


class _Member:
    """One member's pictures and targets."""

    def __init__(self, config: TrainConfig, data: DeviceDataset) -> None:
        self.config = config
        self.sampling = Sampling.create(
            config, data.source, data.rows("train", config.fold, config.folds)
        )
        self.train_rows = self.sampling.rows
        self.val_rows = data.rows("val", config.fold, config.folds)
        self.targets = data.targets(soft=config.soft_labels)
        if self.sampling.weights is not None:
            self.targets = weighted(self.targets, self.sampling.weights, config.label_smoothing)

    def plan(self, epoch: int, image_shape: tuple[int, int]) -> EpochPlan:
        """Draw the plan of an epoch, counted from 1."""
        return EpochPlan.draw(
            self.config, epoch, self.train_rows, image_shape, self.sampling.groups
        )


class Loop:
    """Everything that changes from epoch to epoch, for all members."""

    def __init__(
        self, configs: Sequence[TrainConfig], data: DeviceDataset, *, channels_last: bool = True
    ) -> None:
        """Build the networks of ``configs`` as one. Raises the errors of `fit_together`."""
        self.config, self.data, self.members = configs[0], data, len(configs)
        self._input_shape = input_shape(self.config, data.image_shape)
        self._each = [_Member(config, data) for config in configs]
        weighs = self.config.sample_weights is not None
        self._label_smoothing = 0.0 if weighs else self.config.label_smoothing
        self._targets = torch.stack([member.targets for member in self._each])
        self.steps = self._count_steps()
        self.model = self._build(channels_last=channels_last)
        self.optimizer = make_optimizer(self.config, self.model)
        self.average: WeightAverage | None = None
        self.epoch = self._step = 0
        self.diverged = [False] * self.members
        # A graph repeats every choice that own code makes in Python, such as skipping a layer.
        self._forward = (
            captured(self.model, self._sample(), self.config.precision)
            if self.config.code is None
            else self.model
        )

    def load_pretrained(self) -> None:
        """Load the pretrained weights, if the network has any."""
        if isinstance(self.model, Pretrained):
            manifest = self.data.source.manifest
            self.model.load_pretrained(mean=manifest.mean, std=manifest.std)

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Load the states of earlier trainings, all after the same epoch."""
        self.model.load_state_dict(join([state["model"] for state in states]))
        self.optimizer.load_state_dict(join_optimizers([state["optimizer"] for state in states]))
        if (decay := self.config.ema_decay) > 0:
            averages = join([state["average"] for state in states])
            self.average = WeightAverage.restore(self.model, decay, averages)
        self.epoch = states[0]["epoch"]
        self.diverged = [state["diverged"] for state in states]

    def train_epoch(self) -> list[EpochResult]:
        """Train for one epoch, validate, and return each member's result."""
        start = time.perf_counter()
        with seeded(seed_of(self.config, self.epoch + 1), self.data.device):
            trained = self._train()
        seconds = time.perf_counter() - start
        with self.averaged():
            logits = self._predict()
        self.epoch += 1
        results = []
        for place, (member, values) in enumerate(zip(self._each, trained, strict=True)):
            measured = evaluate(logits[place], self.data.labels[member.val_rows])
            values |= {f"val_{name}": value for name, value in measured.items()}
            values["images_per_second"] = len(member.train_rows) / seconds
            probabilities = logits[place].softmax(dim=1).cpu().numpy()
            results.append(
                EpochResult(
                    epoch=self.epoch,
                    values=values,
                    probabilities=probabilities,
                    member=place,
                    _loop=self,
                )
            )
        for result in results:
            result.values["seconds"] = time.perf_counter() - start
        return results

    def prepare_epoch(self) -> None:
        """Prepare the network for the steps of the next epoch."""
        seeds = [seed_of(member.config, self.epoch + 1) for member in self._each]
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        set_generators(self.model, self._generators)
        self.model.train()
        self._step = self.epoch * self.steps
        if self.average is None and self.config.ema_decay > 0:
            self.average = WeightAverage(self.model, self.config.ema_decay)

    def averaged(self) -> AbstractContextManager[None]:
        """Let the network hold its averaged weights, if the configuration asks for an average."""
        return nullcontext() if self.average is None else self.average.in_place()

    def step(self, batches: Sequence[Batch], learning_rate: float) -> Tensor:
        """Train each member on its batch; return (members, 2) summed losses and correct counts."""
        if len({batch.pictures for batch in batches}) == 1:
            sums, losses = self._losses(self._forward, Batch.join(batches), slice(None))
        else:
            parts = [
                self._losses(self._network_of(member), batch, slice(member, member + 1))
                for member, batch in enumerate(batches)
            ]
            sums, losses = (torch.cat(part) for part in zip(*parts, strict=True))
        set_learning_rate(self.optimizer, self.config, learning_rate)
        self.optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        if self.config.clip_norm > 0:
            clip_gradients(self.model.parameters(), self.config.clip_norm, self.members)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self._step)
        self._step += 1
        return sums

    def batches(self) -> Iterator[tuple[Batch, ...]]:
        """Yield, for each step of the next epoch, the batches of all members."""
        plans = [member.plan(self.epoch + 1, self.data.image_shape) for member in self._each]
        return zip(*(plan.batches() for plan in plans), strict=True)

    def _build(self, *, channels_last: bool) -> nn.Module:
        models = []
        for member in self._each:
            with seeded(seed_of(member.config, 0), self.data.device):
                models.append(self._build_member())
        model = models[0] if self.members == 1 else fuse(models)
        # On a CPU, channels last trains a third more pictures per second than channels first.
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return model.to(self.data.device).to(memory_format=layout)

    def _build_member(self) -> nn.Module:
        data = self.data
        return build_model(self.config, **data.task)

    def _count_steps(self) -> int:
        counts = {steps(len(member.train_rows), self.config.batch_size) for member in self._each}
        if len(counts) > 1:
            raise NotFusableError(f"epochs of {' and '.join(map(str, sorted(counts)))} steps")
        return counts.pop()

    def _sample(self) -> Tensor:
        """Return zeros with the shape of every batch except the last of an epoch."""
        size = min(self.config.batch_size, *(len(member.train_rows) for member in self._each))
        shape = (self.members * size, self.data.image_channels, *self._input_shape)
        return side_by_side(torch.zeros(shape, device=self.data.device), self.members)

    def _train(self) -> list[dict[str, float]]:
        config, first = self.config, self.epoch * self.steps
        # Sums stay on the device until the epoch ends, so that the CPU never waits for a GPU.
        sums = torch.zeros(self.members, 2, device=self.data.device)
        self.prepare_epoch()
        shown = [0] * self.members
        steps_of_all = gathered_ahead(self.batches(), self.data)
        for step, batches in enumerate(steps_of_all, start=first):
            rate = learning_rate_at(config, step, config.epochs * self.steps)
            sums += self.step(batches, rate)
            shown = [count + batch.pictures for count, batch in zip(shown, batches, strict=True)]
        return [
            {"train_loss": loss / count, "train_accuracy": hits / count, "learning_rate": rate}
            for (loss, hits), count in zip(sums.tolist(), shown, strict=True)
        ]

    def _losses(
        self, forward: Callable[[Tensor], Tensor], batch: Batch, members: slice
    ) -> tuple[Tensor, Tensor]:
        """Return (members, 2) summed losses and correct counts, and the (members,) mean losses."""
        pictures, targets = self._mixed(batch, self._targets[members])
        with autocast(self.data.device, self.config.precision):
            logits = forward(side_by_side(pictures, len(batch.rows)))
        logits = logits.float().view_as(targets)
        each = picture_losses(
            logits.flatten(0, 1),
            targets.flatten(0, 1),
            label_smoothing=self._label_smoothing,
            focal_gamma=self.config.focal_gamma,
        ).view(batch.rows.shape)
        hits = (logits.argmax(dim=2) == self.data.labels[batch.rows]).sum(dim=1)
        return torch.stack((each.detach().sum(dim=1), hits), dim=1), each.mean(dim=1)

    def _mixed(self, batch: Batch, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pictures and targets of a step, after augmentation and mixing.

        Returns:
            (members·b, channels, h, w) pictures and (members, b, classes) distributions.
        """
        pictures = network_input(
            self.data,
            batch.rows.view(-1),
            self._input_shape,
            transforms=batch.transforms,
            changes=batch.changes,
            pixels=batch.pixels,
        )
        if batch.erased is not None:
            pictures = erase(pictures, batch.erased)
        of_each = torch.arange(len(targets), device=targets.device)[:, None]
        targets = targets[of_each, batch.rows]
        apart = pictures.view(*batch.rows.shape, *pictures.shape[1:])
        if self.config.mixup > 0:
            apart, targets = mix_pairs(apart, batch.mix), mix_pairs(targets, batch.mix)
        if batch.cuts is not None:
            apart, left = cut_pairs(apart, batch.cuts)
            targets = mix_pairs(targets, left)
        return apart.flatten(0, 1), targets

    def _predict(self) -> list[Tensor]:
        """Return each member's (m, classes) logits of its validation pictures."""
        rows = [member.val_rows for member in self._each]
        if self.members == 1:
            return [predict_logits(self.model, self.data, rows[0], self.config)]
        # Folds differ in size by a few pictures. Predictions for the padding are discarded.
        logits = predict_logits(
            self.model, self.data, pad_sequence(rows, batch_first=True), self.config
        )
        return [part[: len(own)] for part, own in zip(logits, rows, strict=True)]

    def _network_of(self, member: int) -> Callable[[Tensor], Tensor]:
        """Return the network of one member, for a last step in which the folds differ in size.

        It uses the member's part of the fused weights, and its gradients go there.
        """
        with torch.device("meta"):
            network = self._build_member()
        buffers = dict(self.model.named_buffers())
        # Values that all members share, such as batch norm's step counts, are copied.
        parted = {name for name, value in self.model.state_dict().items() if value.ndim}
        parts = {
            name: value.chunk(self.members)[member] if name in parted else value.clone()
            for name, value in chain(self.model.named_parameters(), buffers.items())
        }
        if member == 0:
            for name in buffers.keys() - parted:
                if buffers[name].ndim == 0:
                    buffers[name] += 1

        def forward(pictures: Tensor) -> Tensor:
            torch.default_generator.set_state(self._generators[member].get_state())
            logits: Tensor = functional_call(network, parts, (pictures,))
            return logits

        return forward
