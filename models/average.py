"""An exponential moving average of a network's weights, which validation and prediction use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Self

import torch
from torch import Tensor, nn


class WeightAverage:
    """The moving average of all weights and of batch norm's statistics.

    Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging"; in the
    exponential form of Tarvainen and Valpola (2017), "Mean teachers are better role models",
    section 2. Batch norm's statistics are averaged as well, because those of the weights in
    training do not fit the averaged ones. Averages are taken for each number separately, so the
    members of a fused network do not affect each other.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start at the present weights of ``model``.

        Args:
            model: The network, whose tensors must stay the same.
            decay: Weight of the earlier average at each step, in the long run.
        """
        # Weights that two layers share have one name here, and two in a state_dict. Buffers that a
        # state_dict lacks are constants.
        tensors = chain(model.named_parameters(), model.named_buffers())
        kept = model.state_dict().keys()
        self._weights = {
            name: tensor.detach()
            for name, tensor in tensors
            if tensor.is_floating_point() and name in kept
        }
        self._values = {name: tensor.clone() for name, tensor in self._weights.items()}
        self._decay = decay

    @classmethod
    def restore(cls, model: nn.Module, decay: float, state: Mapping[str, Tensor]) -> Self:
        """Continue from the ``state`` of an earlier average."""
        average = cls(model, decay)
        for name, value in average._values.items():
            value.copy_(state[name])
        return average

    @property
    def state(self) -> dict[str, Tensor]:
        """The averages, by the names of the network's parameters and buffers."""
        return self._values

    def update(self, step: int) -> None:
        """Add the weights after ``step``, counted from 0 over the whole training.

        The first steps count for more than their share, so that the average forgets the initial
        weights soon (the rule for ``num_updates`` of TensorFlow's ExponentialMovingAverage).
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        values, weights = list(self._values.values()), list(self._weights.values())
        torch._foreach_lerp_(values, weights, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network hold the averages inside the context, and its own weights after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        # Copied into the same memory, which CUDA graphs and the optimiser refer to.
        for name, weight in self._weights.items():
            before = weight.clone()
            weight.copy_(self._values[name])
            self._values[name].copy_(before)
