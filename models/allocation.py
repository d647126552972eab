"""How the C library treats memory that tensors have freed."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of its settings (glibc's malloc.h)."""
_LARGEST_MMAP = 32 << 20
"""The most that glibc takes for it on 64 bits."""


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for every step allocates the same again.

    Else each large tensor comes fresh from the system, page by page: 4 to 5 % of a step on a CPU.
    Other C libraries than glibc are left as they are.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _LARGEST_MMAP)
        set_option(_TRIM_THRESHOLD, 2**31 - 1)
