"""One owner per data directory: an exclusive lock on the file ``lock`` in it, held as long as the owner lives.

The kernel releases the lock when the process ends, however it ends, so there is nothing to clean up after a crash.
"""

import fcntl
import os
import time
from pathlib import Path

from mombroker.model.errors import StoreError, StoreLocked


class Ownership:
    """The lock on a data directory. Taking it raises StoreLocked if another process has it, or StoreError."""

    def __init__(self, directory: Path) -> None:
        try:
            self._descriptor: int = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot open the lock in {directory}: {error}; the directory has to belong to the broker's user"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(
                f"the store in {directory} is in use by {holder or 'another process'}; "
                "stop that broker first, or give this one a directory of its own"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(
                f"the file system of {directory} cannot lock files: {error}; keep the store on a local disk"
            ) from error
        started = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()}, running since {started}\n".encode(), 0)

    def release(self) -> None:
        """Let the next owner in. The file stays, or a third process could lock a new one beside it."""
        # Closing alone would leave it locked if a child process has inherited the descriptor.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
