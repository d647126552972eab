"""The size of a training's state, compared with that of real optimisers."""

import pytest
import torch

from models.state_size import state_bytes

MAKERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9),
    "adam": lambda weights: torch.optim.Adam(weights, 0.1),
    "adamw": lambda weights: torch.optim.AdamW(weights, 0.1),
}


@pytest.mark.parametrize("optimizer", MAKERS)
def test_a_state_holds_weights_gradients_and_moments(optimizer):
    weight = torch.nn.Parameter(torch.ones(50, 20))
    made = MAKERS[optimizer]([weight])
    weight.sum().backward()
    made.step()
    moments = [value for value in made.state[weight].values() if value.shape == weight.shape]
    tensors = [weight, weight.grad, *moments]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert state_bytes(1000, optimizer) == size
    assert state_bytes(1000, optimizer, averaged=True) == size + 4000
