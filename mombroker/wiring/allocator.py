"""What the C library's allocator does with memory that is free again.

By default glibc gives blocks of 128 KiB and more back to the kernel as soon as they are free, and gets them anew, page
by page, for the next large message: with messages of 1 MiB that was half of the processor time of the broker.
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3

KEPT_BYTES: Final = 64 << 20
LARGEST_KEPT: Final = 8 << 20


def keep_free_memory() -> bool:
    """Keep up to 64 MiB at the end of the heap for what comes next, and blocks below 8 MiB inside it.

    Tells whether the C library knows such settings; one that does not is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    return bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, LARGEST_KEPT))
