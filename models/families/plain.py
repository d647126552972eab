"""Plain convolutional networks: stages that halve the picture, then two linear layers."""

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from fairsweep.errors import UserError
from models.families.layers import make_activation, same_conv


class PlainNet(nn.Module):
    """Stages, each with twice the channels of the previous stage, and two linear layers."""

    def __init__(
        self,
        *,
        classes: int,
        image_shape: tuple[int, int],
        image_channels: int = 1,
        kernel_size: int,
        channels: int,
        stages: int,
        fc_width: int | Literal["flat"],
        dropout: float,
        activation: str,
    ) -> None:
        super().__init__()
        height, width = (side >> stages for side in image_shape)
        if min(height, width) < 1:
            raise UserError(
                f"stages must be at most {min(image_shape).bit_length() - 1} for pictures of "
                f"{image_shape[0]}×{image_shape[1]} pixels, because each stage halves their sides, "
                f"but got {stages}"
            )
        widths = [image_channels, *(channels << stage for stage in range(stages))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [
                same_conv(inputs, outputs, kernel_size),
                nn.BatchNorm2d(outputs),
                make_activation(activation),
                nn.MaxPool2d(2),
            ]
        self.stages = nn.Sequential(*layers)
        flat = widths[-1] * height * width
        hidden = flat if fc_width == "flat" else fc_width
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(flat, hidden),
            make_activation(activation),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, image_channels, height, width) pictures → (n, classes) logits."""
        logits: Tensor = self.head(self.stages(x))
        return logits
