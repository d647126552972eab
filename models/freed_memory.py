"""Sets what the C library does with memory that tensors have freed."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the settings in glibc's malloc.h."""
_LARGEST_MMAP = 32 << 20
"""Largest mmap threshold that glibc accepts on 64-bit systems, in bytes."""


def keep_freed_memory() -> None:
    """Keep freed memory in this process, because every step allocates the same sizes again.

    Otherwise the system maps each large tensor anew, page by page, which takes 4 to 5 % of a step
    on a CPU. Only glibc has these settings; nothing changes with other C libraries.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _LARGEST_MMAP)
        set_option(_TRIM_THRESHOLD, 2**31 - 1)
