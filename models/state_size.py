"""The size of a training's state in bytes, in memory and in its checkpoints."""

_NUMBERS_PER_PARAMETER = {"adam": 4, "adamw": 4, "sgd": 3}
"""In memory: weight, gradient, and the optimiser's moments (two in Adam, one in SGD). In
checkpoints: weight and moments, and in ``best.pt`` the weight of the best epoch."""
_BYTES_PER_NUMBER = 4


def state_bytes(parameters: int, optimizer: str, *, averaged: bool = False) -> int:
    """Return the bytes for this number of trained parameters, equal in memory and on disk.

    Args:
        parameters: Number of trained parameters.
        optimizer: The optimiser.
        averaged: Whether there is a moving average of the weights.
    """
    return _BYTES_PER_NUMBER * (_NUMBERS_PER_PARAMETER[optimizer] + averaged) * parameters
