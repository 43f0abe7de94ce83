"""What an error of LMDB or the operating system means to the broker: no room, or outcome unknown."""

import errno
import os
from typing import Final

import lmdb

from mombroker.model.errors import StoreError, StoreFull

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def error_number(error: lmdb.Error | OSError) -> int:
    """The errno behind an error, 0 if it has none."""
    if isinstance(error, OSError):
        return error.errno or 0
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    # py-lmdb before 2.0 gives a text only.
    text = str(error)
    for number in (*_NO_ROOM, errno.EIO):
        if os.strerror(number) in text:
            return number
    return 0


def is_no_room(error: lmdb.Error | OSError) -> bool:
    """Whether the file system, a quota or the process's file size limit had no room."""
    return error_number(error) in _NO_ROOM


def is_short_write(error: lmdb.Error | OSError) -> bool:
    """Whether this may be a full disk: LMDB reports a write that was cut short as an I/O error."""
    return error_number(error) == errno.EIO


def disk_full(place: str, error: BaseException) -> StoreFull:
    """The disk has no room."""
    return StoreFull(f"no room on the disk of {place} ({error}); free some space, it goes on by itself")


def map_full(place: str, limit: int) -> StoreFull:
    """The map is at its limit."""
    return StoreFull(
        f"the store in {place} has reached its limit of {limit} bytes; raise max_map_size in its address and restart, "
        "or let consumers drain it"
    )


def unknown_outcome(place: str, error: BaseException) -> StoreError:
    """A write failed in a way that leaves open what is on disk."""
    return StoreError(
        f"writing to the store in {place} failed: {error!r}; what is on disk is unknown, so nothing more is written. "
        "Check the disk and the system log, then restart"
    )


def unit_too_large(place: str) -> StoreFull:
    """The unit changes more pages than a transaction can hold."""
    return StoreFull(f"a unit is too large for one transaction of the store in {place}; nothing of it was kept")
