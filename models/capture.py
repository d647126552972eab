"""A network's training step as one CUDA graph: small kernels start without the CPU in between."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.hyperparameters import Precision


def captured(model: nn.Module, sample: Tensor, precision: Precision) -> Callable[[Tensor], Tensor]:
    """Return what computes ``model`` on training pictures; on a CPU that is the model itself.

    On a GPU, pictures of the shape of ``sample`` replay a graph of the forward and the backward
    pass; others, as those of an epoch's last step, and a model in evaluation mode go the plain way.

    Args:
        model: The network, in training mode, with its first weights.
        sample: Pictures as a step has them; what they show does not matter.
        precision: What the network computes with.
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
        # A network that looks at values on its way cannot be captured, but trained all the same.
        warnings.warn(f"no CUDA graph of {type(model).__name__}: {error}", stacklevel=2)
        return model
    finally:
        # Batch norm has counted the steps of the capture, which train nothing.
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)
    # Not left in the network: it would hold itself, and its memory on the card, beyond its end.
    replay = model.__dict__.pop("forward")
    shape = sample.shape
    return lambda pictures: replay(pictures) if pictures.shape == shape else model(pictures)
