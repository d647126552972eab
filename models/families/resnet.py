"""Residual networks with constant resolution, then pooling and linear layers."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from fairsweep.errors import UserError
from models.families.layers import AdaptiveAveragePool, make_activation, same_conv


class ResidualBlock(nn.Module):
    """``depth`` convolutions with batch norm and activation around a skip connection.

    The input is added before the last activation. If it is the picture, which has fewer channels
    than the output, its gray values or the mean of its colours are added to every output channel.
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
        self.inputs, self.channels = inputs, channels
        self.activation = layers.pop()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, channels, h, w)."""
        inside = self.layers(x)
        if self.inputs != self.channels:
            x = self._planes(x)
        y: Tensor = self.activation(inside.add_(x))
        return y

    def _planes(self, x: Tensor) -> Tensor:
        """Return the gray planes of pictures, to be added to the output; fused, of all members."""
        if self.inputs > 1:
            x = x.view(len(x), -1, self.inputs, *x.shape[2:]).mean(2)
        # A single plane is broadcast to all channels.
        return x.repeat_interleave(self.channels, dim=1) if x.shape[1] > 1 else x


class ResNet(nn.Module):
    """Residual blocks, adaptive average pooling, hidden linear layers and an output layer."""

    def __init__(
        self,
        *,
        classes: int,
        image_shape: tuple[int, int],
        image_channels: int = 1,
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
                ResidualBlock(inputs, channels, kernel_size, conv_depth, activation)
                for inputs in (image_channels, *[channels] * (blocks - 1))
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
        """(n, image_channels, height, width) pictures → (n, classes) logits."""
        logits: Tensor = self.head(self.pool(self.blocks(x)))
        return logits
