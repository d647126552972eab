"""Captures a training step as a CUDA graph, so that the CPU does not launch each kernel."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.hyperparameters import Precision


def captured(model: nn.Module, sample: Tensor, precision: Precision) -> Callable[[Tensor], Tensor]:
    """Return a callable that computes ``model`` on training pictures; on a CPU, the model itself.

    On a GPU, pictures with the shape of ``sample`` replay a graph of the forward and backward pass.
    Other shapes, such as an epoch's last batch, and evaluation mode run without the graph.

    Args:
        model: The network, in training mode, with its initial weights.
        sample: Pictures with the shape of a training batch; their values do not matter.
        precision: Precision of the network's arithmetic.
    """
    if sample.device.type != "cuda":
        return model
    buffers = [buffer.clone() for buffer in model.buffers()]
    try:
        with (
            torch.random.fork_rng(devices=[sample.device]),
            torch.autocast("cuda", torch.bfloat16, precision == "bf16", cache_enabled=False),
        ):
            torch.cuda.make_graphed_callables(model, (sample,), allow_unused_input=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        # A network whose control flow depends on values cannot be captured, only trained.
        warnings.warn(f"cannot make a CUDA graph of {type(model).__name__}: {error}", stacklevel=2)
        return model
    finally:
        # Batch norm counted the steps of the capture, which are not training steps.
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)
    # Left in the network, this would be a reference cycle that keeps GPU memory after its end.
    replay = model.__dict__.pop("forward")
    shape = sample.shape
    return lambda pictures: replay(pictures) if pictures.shape == shape else model(pictures)
