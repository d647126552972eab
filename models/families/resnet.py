"""The residual networks of study A: one resolution throughout, then pooling and linear layers."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from fairsweep.errors import UserError
from models.families.layers import AdaptiveAveragePool, make_activation, same_conv


class ResidualBlock(nn.Module):
    """``depth`` convolutions with batch norm and activation around a skip connection.

    The input is added before the last activation, one input channel to every output channel.
    """

    def __init__(
        self, inputs: int, channels: int, kernel_size: int, depth: int, activation: str
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(depth):
            layers += [
                same_conv(
                    inputs if index == 0 else channels, channels, kernel_size, idle_bias=True
                ),
                nn.BatchNorm2d(channels),
                make_activation(activation),
            ]
        self.activation = layers.pop()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, channels, h, w)."""
        inside = self.layers(x)
        if 1 < x.shape[1] < inside.shape[1]:
            # Several networks side by side (`models.fused`), each with one channel for its own.
            x = x.repeat_interleave(inside.shape[1] // x.shape[1], dim=1)
        y: Tensor = self.activation(inside.add_(x))
        return y


class ResNet(nn.Module):
    """Residual blocks, adaptive average pooling, hidden linear layers, and one to the classes."""

    def __init__(
        self,
        *,
        classes: int,
        image_shape: tuple[int, int],
        kernel_size: int,
        blocks: int,
        channels: int,
        conv_depth: int,
        fc_layers: int,
        fc_width: int | Literal["flat"],
        pool_size: int,
        dropout: float,
        activation: str,
    ) -> None:
        super().__init__()
        if pool_size > min(image_shape):
            raise UserError(
                f"pool_size must be at most {min(image_shape)}, the smaller side of the pictures, "
                f"but got {pool_size}"
            )
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(channels if i else 1, channels, kernel_size, conv_depth, activation)
                for i in range(blocks)
            )
        )
        self.pool = AdaptiveAveragePool(pool_size, image_shape)
        flat = channels * pool_size**2
        width = flat if fc_width == "flat" else fc_width
        widths = [flat, *[width] * fc_layers]
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            hidden += [nn.Linear(inputs, outputs), make_activation(activation), nn.Dropout(dropout)]
        self.head = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, height, width) pictures → (n, classes) logits."""
        logits: Tensor = self.head(self.pool(self.blocks(x)))
        return logits
