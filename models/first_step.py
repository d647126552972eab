"""Checks own networks before they are trained: one step on a few pictures, in both layouts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_prep.reader import ImageDataset
from fairsweep.errors import UserError
from fairsweep.own_code.failures import OwnCodeError, place_of
from models.build import build_model
from models.config import TrainConfig
from models.data import DeviceDataset
from models.input_size import input_shape
from models.network_input import network_input
from models.own_network import misfits_explained
from models.seeding import seeded

_PICTURES = 8
_CLOSE = 0.05
"""Allowed difference between the gradients of two layouts, relative to a parameter's gradient.
Rounding may flip the sign of an activation near 0, which changes a gradient by a few percent; the
known faults of libraries change it by 16 % and more."""
_PLAIN = "it is trained in the plain layout, which is slower on CPUs"


@dataclass(frozen=True, kw_only=True)
class FirstStep:
    """What a network did in one step of training."""

    channels_last: bool
    """Whether it computes the same in the channels-last layout, which is faster on CPUs."""
    notes: tuple[str, ...] = ()
    """What the user should know, a line each."""


def take_first_step(config: TrainConfig, dataset: ImageDataset) -> FirstStep:
    """Build an own network, and train it for one step on a few pictures.

    Args:
        config: The configuration of an own network.
        dataset: Its first training pictures are used.

    Raises:
        OwnCodeError: The network raises an exception.
        UserError: It does not return logits, its loss is not a number, or nothing can be trained.
    """
    data = DeviceDataset.create(dataset)
    rows = data.rows("train", config.fold, config.folds)[:_PICTURES]
    pictures = network_input(data, rows, input_shape(config, data.image_shape))
    step = _Step(config=config, pictures=pictures, targets=data.targets(soft=False)[rows])
    idle = tuple(_idle(config, step.gradients(training=True)))
    # Without dropout, which draws its masks in the order of the layout.
    plain = step.gradients()
    try:
        wrong = _most_different(step.gradients(channels_last=True), plain)
    except OwnCodeError as error:
        note = f"{error}; this is raised for channels-last pictures alone, so {_PLAIN}"
        return FirstStep(channels_last=False, notes=(*idle, note))
    if wrong is None:
        return FirstStep(channels_last=True, notes=idle)
    if _most_different(step.gradients(), plain) is not None:
        note = (
            "two steps with the same seed give different gradients, so a resumed trial may differ "
            f"from an untouched one; draw random numbers from torch, random or numpy; {_PLAIN}"
        )
    else:
        note = (
            f"the gradient of {wrong} is another one for channels-last pictures, most likely by a "
            f"fault of a library on this processor, so {_PLAIN}"
        )
    return FirstStep(channels_last=False, notes=(*idle, f"{step.place}: {note}"))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Step:
    """The pictures and targets of a step, which is repeated in several layouts."""

    config: TrainConfig
    pictures: Tensor
    """(n, channels, height, width), normalised."""
    targets: Tensor
    """(n, classes)."""

    @property
    def place(self) -> str:
        """The network, and the file and line of its forward pass."""
        return f"{self.config.family}: {place_of(type(self._build()).forward)}"

    def gradients(
        self, *, channels_last: bool = False, training: bool = False
    ) -> Mapping[str, Tensor | None]:
        """Return the gradient of each parameter that can be trained; None if it gets none."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        pictures = self.pictures.to(memory_format=layout)
        with seeded(self.config.seed, pictures.device):
            model = self._build().to(memory_format=layout).train(training)
            loss = functional.cross_entropy(self._logits(model, pictures), self.targets)
            self._check_loss(loss)
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.inference_mode():
                self._logits(model.eval(), pictures[:1])  # The last pictures may be a single one.
        return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    def _build(self) -> nn.Module:
        _, channels, height, width = self.pictures.shape
        return build_model(
            self.config,
            classes=self.targets.shape[1],
            image_shape=(height, width),
            image_channels=channels,
        )

    def _logits(self, model: nn.Module, pictures: Tensor) -> Tensor:
        with misfits_explained(self.config.family):
            logits = model(pictures)
        expected = (len(pictures), self.targets.shape[1])
        if isinstance(logits, Tensor) and logits.shape == expected:
            return logits.float()
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"{self.place}: for pictures of shape {tuple(pictures.shape)} and {expected[1]} "
            f"classes it must return logits of shape {expected}, but got {found}"
        )

    def _check_loss(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise UserError(
                f"{self.place}: the loss of the first step is {loss.item()}; check the initial "
                "weights, divisions and logarithms"
            )
        if not loss.requires_grad:
            raise UserError(
                f"{self.place}: the logits depend on no parameter that can be trained; check for "
                "detach(), torch.no_grad() and layers in a plain list instead of a ModuleList"
            )


def _idle(config: TrainConfig, gradients: Mapping[str, Tensor | None]) -> Iterator[str]:
    names = [name for name, gradient in gradients.items() if gradient is None]
    if names:
        more = f" and {len(names) - 1} more parameters get" if len(names) > 1 else " gets"
        yield f"{config.family}: {names[0]}{more} no gradient, so nothing is learned there"


def _most_different(
    found: Mapping[str, Tensor | None], expected: Mapping[str, Tensor | None]
) -> str | None:
    """Return the parameter whose gradients differ most; None if all are close."""
    scale = max((float(g.norm()) for g in expected.values() if g is not None), default=0.0)
    errors = {name: _error(found[name], expected[name], scale) for name in expected}
    wrong = {name: error for name, error in errors.items() if not error < _CLOSE}
    return max(wrong, key=lambda name: wrong[name]) if wrong else None


def _error(found: Tensor | None, expected: Tensor | None, scale: float) -> float:
    if found is None or expected is None:
        return 0.0 if found is expected else float("inf")
    return float((found - expected).norm() / (expected.norm() + 1e-4 * scale + 1e-30))
