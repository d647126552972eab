"""The loss of single pictures."""

import pytest
import torch

from models.losses import picture_losses


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_picture_that_the_network_is_sure_of_has_a_finite_gradient(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0], [0.3, 0.1]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0]] * 3)
    losses = picture_losses(logits, targets, label_smoothing=0.0, focal_gamma=gamma)
    losses.sum().backward()
    assert logits.grad.isfinite().all()
    assert losses[0].item() == pytest.approx(0, abs=1e-6)
    assert losses[1].item() == pytest.approx(200)
    assert (logits.grad[1] - torch.tensor([-1.0, 1.0])).abs().max() < 1e-3


def test_sure_pictures_count_less():
    logits, targets = torch.tensor([[2.0, 0.0], [-2.0, 0.0]]), torch.tensor([[1.0, 0.0]] * 2)
    plain, focal = (
        picture_losses(logits, targets, label_smoothing=0.0, focal_gamma=gamma)
        for gamma in (0.0, 2.0)
    )
    doubt = 1 - logits.softmax(dim=1)[:, 0]
    torch.testing.assert_close(focal, plain * doubt**2)
