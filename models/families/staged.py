"""Small-image residual networks that halve the picture from stage to stage (He et al. 2016)."""

from torch import Tensor, nn

from fairsweep.errors import UserError
from models.families.layers import make_activation


class BasicBlock(nn.Module):
    """Two convolutions with batch norm around a shortcut (He et al. 2016, CVPR, fig. 5 left).

    Where the picture gets smaller, the shortcut is a 1×1 convolution (option B). The last batch
    norm starts at zero, so that an untrained block adds nothing to its shortcut (Goyal et al. 2017,
    section 5.1).
    """

    def __init__(
        self, inputs: int, channels: int, kernel_size: int, stride: int, activation: str
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        last_norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(last_norm.weight)
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, channels, kernel_size, stride, padding, bias=False),
            nn.BatchNorm2d(channels),
            make_activation(activation),
            nn.Conv2d(channels, channels, kernel_size, 1, padding, bias=False),
            last_norm,
        )
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, channels, h / stride, w / stride)."""
        y: Tensor = self.activation(self.layers(x).add_(self.shortcut(x)))
        return y


class StagedNet(nn.Module):
    """A stem with stride 2, stages of residual blocks, pooling, and one linear layer.

    Each stage after the first halves the picture and doubles the channels.
    """

    def __init__(
        self,
        *,
        classes: int,
        image_shape: tuple[int, int],  # noqa: ARG002 - any size will do
        image_channels: int = 1,
        kernel_size: int,
        blocks: int,
        channels: int,
        stages: int,
        dropout: float,
        activation: str,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise UserError(
                f"kernel_size must be odd in staged, but got {kernel_size}; "
                f"give {kernel_size - 1} or {kernel_size + 1}"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, kernel_size, 2, kernel_size // 2, bias=False),
            nn.BatchNorm2d(channels),
            make_activation(activation),
        )
        layers: list[nn.Module] = []
        inputs = channels
        for stage in range(stages):
            width = channels << stage
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(inputs, width, kernel_size, stride, activation))
                inputs = width
        self.stages = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(inputs, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, image_channels, height, width) pictures → (n, classes) logits."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits
