"""What the C library's allocator does with memory that is free again.

By default glibc gives blocks of 128 KiB and more back to the kernel as soon as they are free, and gets them anew, page
by page, for the next large message: with messages of 1 MiB that was half of the processor time of the broker.

What lies free between blocks that are in use it gives back only when it is told to. A burst of many small messages
would stay in the broker's memory for good.
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3

KEPT_BYTES: Final = 64 << 20
LARGEST_KEPT: Final = 8 << 20


class _Info(ctypes.Structure):
    """``struct mallinfo2``; ``fordblks`` are the bytes that are free."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def keep_free_memory() -> bool:
    """Keep up to 64 MiB at the end of the heap for what comes next, and blocks below 8 MiB inside it.

    Tells whether the C library knows such settings; one that does not is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    return bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, LARGEST_KEPT))


def free_memory() -> int:
    """How many bytes the C library holds that nobody uses; 0 where it does not tell."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0
    mallinfo2.restype = _Info
    return int(mallinfo2().fordblks)


def give_back_free_memory() -> None:
    """Give it back to the kernel, but for what is kept at the end. Takes some milliseconds for every 10 MiB."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim.argtypes = (ctypes.c_size_t,)
        malloc_trim(KEPT_BYTES)
