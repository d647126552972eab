"""How many bytes the state of a training takes, in memory and in its checkpoints."""

_NUMBERS_PER_PARAMETER = {"adam": 4, "adamw": 4, "sgd": 3}
"""In memory: the weight, its gradient, and the optimiser's moments (two in Adam, one in SGD). In
checkpoints: the weight, the moments, and in ``best.pt`` the weight of the best epoch."""
_BYTES_PER_NUMBER = 4


def state_bytes(parameters: int, optimizer: str) -> int:
    """Return the bytes for so many trained ``parameters``: the same in memory and on disk."""
    return _BYTES_PER_NUMBER * _NUMBERS_PER_PARAMETER[optimizer] * parameters
