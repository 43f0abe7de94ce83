"""A full disk refuses and heals; any other failure ends all writing."""

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
from store_driver import HEAD, TIMEOUT, environment, message

from mombroker.model.errors import StoreError, StoreFull
from mombroker_storage.lmdb_store.failures import error_number, is_no_room, is_short_write

SCRIPT = Path(__file__).with_name("limited_writer.py")


@pytest.fixture(params=["extend", "write"])
def way(request, monkeypatch):
    """Whether the disk turns out to be full when the file is extended, or only when pages are written."""
    if request.param == "write":
        monkeypatch.delattr(os, "posix_fallocate")
    return request.param


@pytest.fixture
def small_disk(disk):
    """A file system of 8 MiB, mounted where the store will be."""
    disk.directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk.directory)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"may not mount a small file system: {done.stderr.strip()}")
    yield disk
    disk.close()
    subprocess.run(["umount", str(disk.directory)], check=True, timeout=TIMEOUT)


def append(place, first: int, size: int = 1000) -> None:
    unit = place.unit()
    for position in range(first, first + 100):
        unit.append(1, position, HEAD, message(bytes(size)))
    place.commit(unit)


def append_until_full(place, first: int) -> int:
    """The position after the last one that the store took."""
    refusal = ""
    while not refusal:
        try:
            append(place, first)
            first += 100
        except StoreFull as error:
            refusal = str(error)
    assert "it goes on by itself" in refusal
    return first


def test_a_full_disk_refuses_messages_and_takes_them_again_when_there_is_room(way, small_disk):
    append(small_disk, 0)
    ballast = small_disk.directory / "ballast"
    ballast.write_bytes(bytes(4 << 20))
    end = append_until_full(small_disk, 100)
    for _ in range(3):
        with pytest.raises(StoreFull):
            append(small_disk, end)
    assert small_disk.positions(1) == [*range(end)]
    ballast.unlink()
    append(small_disk, end)
    small_disk.reopen()
    assert small_disk.positions(1) == [*range(end + 100)]


def test_a_full_disk_can_be_drained_and_then_takes_messages_again(small_disk):
    end = append_until_full(small_disk, 0)
    for first in range(0, end, 100):
        small_disk.settle(1, range(first, first + 100))
    assert small_disk.positions(1) == []
    append(small_disk, end)
    assert small_disk.positions(1) == [*range(end, end + 100)]


@pytest.mark.parametrize("way_of_limit", ["extend", "write"])
def test_a_file_size_limit_refuses_and_heals_too(tmp_path, way_of_limit):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "store"), way_of_limit],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    refused, there, healed = done.stdout.splitlines()
    assert refused.startswith("refused: no room on the disk")
    assert (there, healed) == ("still there: True", "healed: True")


def test_an_unexpected_error_ends_all_writing(disk, monkeypatch):
    disk.append(1, [1])
    with monkeypatch.context() as patch:

        def fail(txn, unit):
            raise ZeroDivisionError("a bug")

        patch.setattr(disk.store._committer._changes, "apply", fail)
        with pytest.raises(StoreError, match="what is on disk is unknown") as caught:
            disk.append(1, [2])
    assert not isinstance(caught.value, StoreFull)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(StoreError, match="nothing more is written"):
        disk.append(1, [3])
    assert disk.positions(1) == [1]
    disk.reopen()
    assert disk.positions(1) == [1]
    disk.append(1, [4])


def test_a_fault_of_the_writer_leaves_no_future_pending(disk, monkeypatch):
    assert disk.store

    def fail(error, units):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(disk.store._committer, "_judge", fail)
    monkeypatch.setattr(disk.store._committer._changes, "apply", fail)
    for _ in range(2):
        with pytest.raises(StoreError, match="what is on disk is unknown"):
            disk.append(1, [2])


def test_an_io_error_with_room_on_the_disk_ends_all_writing(disk, monkeypatch):
    disk.append(1, [1])

    def fail(txn, unit):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk.store._committer._changes, "apply", fail)
    with pytest.raises(StoreError) as caught:
        disk.append(1, [2])
    assert type(caught.value) is StoreError


def test_a_record_that_refers_to_a_body_nobody_wrote_is_a_fault_of_the_owner(disk):
    unit = disk.unit()
    unit.append(1, 1, HEAD, message(b"x", 5))
    unit.bodies.clear()
    with pytest.raises(StoreError):
        disk.commit(unit)
    disk.reopen()
    assert disk.positions(1) == []


def test_an_error_is_judged_by_its_number_or_where_there_is_none_by_its_text():
    assert is_no_room(OSError(28, "No space left on device"))
    assert is_no_room(lmdb.Error("mdb_txn_commit: No space left on device"))
    assert is_no_room(lmdb.Error("mdb_txn_commit: Disk quota exceeded"))
    assert is_no_room(lmdb.Error("mdb_txn_commit: File too large"))
    assert is_short_write(lmdb.Error("mdb_txn_commit: Input/output error"))
    assert error_number(lmdb.Error("mdb_put: something else")) == 0
