"""Layers that several families share."""

from torch import nn


def same_conv(inputs: int, outputs: int, kernel_size: int, *, bias: bool = False) -> nn.Module:
    """Return a stride-1 convolution that keeps height and width, for odd and even kernels.

    An even kernel gets its odd pixel of padding at the bottom and on the right.
    """
    if kernel_size % 2:
        return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(inputs, outputs, kernel_size, bias=bias),
    )


def make_activation(name: str) -> nn.Module:
    """Return the activation of this name; it works in place."""
    return nn.LeakyReLU(inplace=True) if name == "leaky_relu" else nn.ReLU(inplace=True)
