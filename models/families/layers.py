"""Layers that several families share."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class IdleBiasConv2d(nn.Conv2d):
    """A convolution before batch norm, with a bias that is never added.

    Batch norm subtracts any bias again, so nothing would be learned from it, and adding it and
    summing its gradient take 2 to 5 % of a step. It exists because published parameter counts
    include it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, h', w')."""
        y: Tensor = self._conv_forward(x, self.weight, None)
        return y


class StridedPointwiseConv2d(nn.Conv2d):
    """A strided 1×1 convolution without padding, computed with stride 1 on the selected pixels.

    It replaces `nn.Conv2d` only where oneDNN computes a wrong weight gradient or writes past its
    buffer (`replace_faulty_convolutions`), because it can be twice as slow.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, h', w')."""
        rows, columns = self.stride
        kept = x[:, :, ::rows, ::columns]
        return functional.conv2d(kept, self.weight, self.bias, groups=self.groups)


def replace_faulty_convolutions(network: nn.Module) -> None:
    """Replace the convolutions of ``network`` that oneDNN trains wrongly on some processors.

    With channels-last pictures and fewer input channels per group than oneDNN processes together,
    the weight gradient of a strided 1×1 convolution is wrong, crashes the process or never finishes
    (oneDNN issue 6035): below 8 channels with AVX2, below 16 with AVX-512 if feature maps have 56
    pixels a side or more. Parameters and their names stay the same.
    """
    for name, layer in list(network.named_modules()):
        if type(layer) is nn.Conv2d and _is_faulty(layer):
            with torch.device("meta"):  # draws no random numbers
                replacement = StridedPointwiseConv2d(
                    layer.in_channels,
                    layer.out_channels,
                    1,
                    layer.stride,  # type: ignore[arg-type]
                    groups=layer.groups,
                    bias=layer.bias is not None,
                )
            replacement.weight, replacement.bias = layer.weight, layer.bias
            network.set_submodule(name, replacement.train(layer.training))


def _is_faulty(layer: nn.Conv2d) -> bool:
    inputs = layer.in_channels // layer.groups
    return (
        inputs < _ONEDNN_CHANNEL_BLOCK
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.padding == (0, 0)
    )


_ONEDNN_CHANNEL_BLOCK = 16
"""Channels that oneDNN's AVX-512 kernels process together; with at least as many, all are right."""


class AdaptiveAveragePool(nn.Module):
    """`nn.AdaptiveAvgPool2d`, computed on a CPU as two matrix products; saves 2 % of a step."""

    def __init__(self, size: int, image_shape: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        for name, side in zip(("rows", "columns"), image_shape, strict=True):
            means = functional.adaptive_avg_pool1d(torch.eye(side)[None], size)[0].T.contiguous()
            self.register_buffer(name, means, persistent=False)

    rows: Tensor
    columns: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, channels, size, size)."""
        if x.device.type != "cpu" or x.dtype != torch.float32:
            # bf16 would round the means, and a GPU gains nothing.
            return functional.adaptive_avg_pool2d(x, self.size)
        count, channels, height, width = x.shape
        pictures = x.permute(0, 2, 3, 1).reshape(count, height, width * channels)
        of_rows = (self.rows @ pictures).view(count * self.size, width, channels)
        pooled = (self.columns @ of_rows).view(count, self.size, self.size, channels)
        return pooled.permute(0, 3, 1, 2)


def same_conv(inputs: int, outputs: int, kernel_size: int, *, idle_bias: bool = False) -> nn.Module:
    """Return a stride-1 convolution that keeps height and width, for odd and even kernels.

    An even kernel has one more pixel of padding at the bottom and on the right.
    """
    make = IdleBiasConv2d if idle_bias else nn.Conv2d
    if kernel_size % 2:
        return make(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=idle_bias)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)),
        make(inputs, outputs, kernel_size, bias=idle_bias),
    )


def make_activation(name: str) -> nn.Module:
    """Return the activation with this name; it works in place."""
    return nn.LeakyReLU(inplace=True) if name == "leaky_relu" else nn.ReLU(inplace=True)
