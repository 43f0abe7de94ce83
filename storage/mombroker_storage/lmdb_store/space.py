"""Room on the disk, taken before it is needed.

A write that hits a full disk half-way would surface as an I/O error at commit, which cannot be told from a broken
disk. So the data file is extended with ``posix_fallocate`` ahead of every unit that adds messages: a full disk shows
here, as what it is, before anything of the unit is written. Units that only settle or change state are let through
without asking, and live on the headroom: they are how a full store gets drained.

What is only allocated costs a sync more than what has been written once: the file system has to note for each block
that it holds something now. So a little of it is filled with zeros ahead of small units, many of them at a time.
"""

import errno
import os
import resource
from typing import Final

import lmdb

from mombroker.model.unit import Unit
from mombroker_storage.lmdb_store.environment import Environment

_HEADROOM: Final = 1 << 20
_LEAST_STEP: Final = 1 << 20
_MOST_STEP: Final = 64 << 20
_WRITTEN_STEP: Final = 512 << 10
_TREE_PAGES: Final = 64
_PAGES_PER_VALUE: Final = 3
_COLUMN_BYTES: Final = 8
_UNSUPPORTED: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class Room:
    """How far the data file reaches on the disk. Used inside write transactions only, by one thread."""

    def __init__(self, environment: Environment) -> None:
        self._environment: Environment = environment
        self._descriptor: int = os.open(environment.directory / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
        self._can_extend: bool = hasattr(os, "posix_fallocate")
        self._allocated: int = 0
        self._written: int = 0
        self._used_at_most: int = 0

    def ensure(self, units: list[Unit]) -> None:
        """Make sure that what the units append fits into the file as it is.

        Raises OSError if the disk is full, lmdb.MapFullError if the map may not grow that far.
        """
        need = sum([self._need(unit) for unit in units if unit.segments or unit.bodies])
        if need:
            self._keep_the_rest(need)
        if not need or not self._can_extend:
            return
        if self._used_at_most + need + _HEADROOM > self._allocated:
            self._used_at_most = self._environment.used_size()
            self._allocated = os.fstat(self._descriptor).st_size
            if self._used_at_most + need + _HEADROOM > self._allocated:
                self._extend(need + _HEADROOM)
        if need <= _WRITTEN_STEP and self._used_at_most + need > self._written:
            self._write_ahead(need)
        self._used_at_most += need

    def _write_ahead(self, need: int) -> None:
        """Fill what the unit and the next ones will use with zeros, from the end of what is in use."""
        used = self._used_at_most = self._environment.used_size()
        if used + need <= self._written:
            return
        start = max(used, self._written)
        end = min(used + need + _WRITTEN_STEP, self._allocated)
        if end > start:
            os.pwrite(self._descriptor, bytes(end - start), start)
        self._written = max(end, start)

    def _keep_the_rest(self, need: int) -> None:
        """Leave what lies beyond the map's limit to units that drain. Raises lmdb.MapFullError."""
        limit = self._environment.max_map_size
        if self._used_at_most + need > limit:
            self._used_at_most = self._environment.used_size()
            if self._used_at_most + need > limit and self._environment.free_size() < need:
                raise lmdb.MapFullError(f"the map's limit of {limit} bytes is reached")

    def _need(self, unit: Unit) -> int:
        values = len(unit.bodies) + len(unit.puts)
        records = 0
        for segments in unit.segments.values():
            values += len(segments)
            for segment in segments:
                records += len(segment.records)
        pages = values * _PAGES_PER_VALUE + _TREE_PAGES
        return unit.size + records * _COLUMN_BYTES + pages * self._environment.page_size

    def _extend(self, need: int) -> None:
        # In steps that grow with the file, so that small stores stay small and large ones extend seldom.
        step = min(max(self._allocated // 8, _LEAST_STEP), _MOST_STEP)
        end = self._used_at_most + need
        stepped = -(-end // step) * step
        try:
            # A step beyond the map's limit would be taken for the size of the map at the next start.
            self._allocate(max(end, min(stepped, self._environment.max_map_size)))
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                self._can_extend = False
            else:
                self._extend_exactly(end, need)

    def _extend_exactly(self, end: int, need: int) -> None:
        try:
            self._allocate(end)
        except OSError:
            # A store that was full and has been drained needs no more room than it has.
            if self._environment.free_size() < need:
                raise

    def _allocate(self, end: int) -> None:
        os.posix_fallocate(self._descriptor, self._allocated, end - self._allocated)
        self._allocated = end

    def is_disk_full(self, units: list[Unit]) -> bool:
        """Whether the room that the units may have asked for is lacking; to explain an I/O error afterwards."""
        need = _HEADROOM + sum(map(self._need, units))
        try:
            return self._lacks(need)
        except OSError:
            # A file system that cannot even tell its size has worse problems than being full.
            return False

    def _lacks(self, need: int) -> bool:
        system = os.fstatvfs(self._descriptor)
        if system.f_bavail * system.f_frsize < need:
            return True
        size = os.fstat(self._descriptor).st_size
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and limit < size + need:
            return True
        if not self._can_extend:
            return False
        try:
            os.posix_fallocate(self._descriptor, size, need)
        except OSError as error:
            return error.errno not in _UNSUPPORTED
        return False

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
