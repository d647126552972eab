"""idx files, as MNIST has them."""

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt


def write_idx(path: Path, values: npt.ArrayLike) -> None:
    """Write whole numbers from 0 to 255 of any shape, packed if ``path`` ends in ``.gz``."""
    array = np.asarray(values, np.uint8)
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = head + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
