"""Faults in the LMDB store."""

from tests.reliability.faults.fault import Fault, Promise

COMMITTER = "storage/mombroker_storage/lmdb_store/committer.py"
ENVIRONMENT = "storage/mombroker_storage/lmdb_store/environment.py"

FAULTS = (
    Fault(
        "commit-without-sync",
        "A transaction counts as on disk when the operating system has it.",
        Promise.ON_DISK,
        ENVIRONMENT,
        "                sync=True,\n",
        "                sync=False,\n",
        first="tests/storage/test_lmdb_crash.py",
    ),
    Fault(
        "root-not-synced",
        "Of the two syncs of a commit, that of the root is left out.",
        Promise.ON_DISK,
        ENVIRONMENT,
        "                metasync=True,\n",
        "                metasync=False,\n",
        first="tests/storage/test_lmdb_crash.py",
    ),
    Fault(
        "directory-not-synced",
        "The directory entries of a new store are never synced.",
        Promise.ON_DISK,
        ENVIRONMENT,
        "        os.fsync(descriptor)\n",
        "        os.fstat(descriptor)\n",
        first="tests/storage/test_lmdb_crash.py",
    ),
    Fault(
        "told-before-written",
        "A unit counts as on disk when the store's thread takes it up.",
        Promise.ON_DISK,
        COMMITTER,
        "        error = self._write([unit for unit, _ in jobs])\n"
        "        if isinstance(error, StoreFull) and len(jobs) > 1:\n"
        "            # One unit too large must not refuse those that fit.\n"
        "            for job in jobs:\n"
        "                self._write_jobs([job])\n"
        "            return\n"
        "        if error is None:\n"
        "            self._resting = False\n"
        "        for _, future in jobs:\n",
        "        for _, future in jobs:\n"
        "            future.set_result(None)\n"
        "        error = self._write([unit for unit, _ in jobs])\n"
        "        for future in ():\n",
        first="tests/storage/test_lmdb_failures.py",
    ),
    Fault(
        "failed-sync-is-success",
        "A write or sync that fails counts as done.",
        Promise.ON_DISK,
        COMMITTER,
        "                self._changes.rolled_back()\n                return self._judge(error, units)\n",
        "                self._changes.rolled_back()\n                return None\n",
        first="tests/storage/test_lmdb_failures.py",
    ),
    Fault(
        "settled-marks-not-written",
        "That a message in the middle of a segment is done with is not written: it is back after a restart.",
        Promise.ONCE,
        "storage/mombroker_storage/lmdb_store/changes.py",
        "                txn.put(key, marks.encode(key, entry.done), db=environment.settled)\n",
        "",
        first="tests/storage/test_conformance.py",
    ),
    Fault(
        "lock-not-taken",
        "A second broker is let in on the same directory while the first one runs.",
        Promise.ON_DISK,
        "storage/mombroker_storage/lmdb_store/ownership.py",
        "fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        first="tests/storage/test_lmdb_ownership.py",
    ),
    Fault(
        "damaged-record-served",
        "A record that fails its checksum is delivered.",
        Promise.ON_DISK,
        "storage/mombroker_storage/lmdb_store/segments.py",
        "if crc32(record) != self._checks[offset] or len(record) < HEAD_SIZE:",
        "if len(record) < HEAD_SIZE:",
        first="tests/storage/test_lmdb_damage.py",
    ),
)
