"""The map grows on demand, the file is used again, and memory does not grow with what is queued."""

import os
import tracemalloc

import pytest
from store_driver import HEAD, Place, message, payload

from mombroker.model.errors import StoreFull
from mombroker.model.unit import TABLE_PLUGIN, TABLE_RETAINED
from mombroker_storage import LmdbStore


@pytest.fixture
def small(tmp_path):
    """A store whose map starts with 1 MiB and may grow to 8 MiB."""
    place = Place(lambda directory: LmdbStore(directory, map_size=1 << 20, max_map_size=8 << 20), tmp_path / "store")
    yield place
    place.close()


def big_unit(place, first: int, count: int = 100, size: int = 1000):
    unit = place.unit()
    for position in range(first, first + count):
        unit.append(1, position, HEAD, message(b"%d" % position + bytes(size)))
    return unit


def fill(place, first: int = 0) -> int:
    """Append until the store is full; the position after the last one it took."""
    refusal = ""
    while not refusal:
        try:
            place.commit(big_unit(place, first))
            first += 100
        except StoreFull as error:
            refusal = str(error)
    assert "max_map_size" in refusal
    return first


def test_the_map_grows_from_tiny_to_its_limit_and_then_refuses(small):
    end = fill(small)
    assert end * 1000 > 5 << 20
    assert small.positions(1) == [*range(end)]
    small.reopen()
    assert small.positions(1) == [*range(end)]


def test_a_store_at_its_limit_takes_messages_again_once_some_are_settled(small):
    end = fill(small)
    small.settle(1, range(end // 2))
    # The pages are free for the transaction after the next one.
    small.put(1, b"key", b"value")
    small.commit(big_unit(small, end))
    assert small.positions(1) == [*range(end // 2, end + 100)]


def test_a_store_that_is_full_to_the_brim_can_be_drained_one_message_at_a_time(small):
    end = fill(small)
    for number in range(200):
        # Smaller and smaller ones, until not even a single short message fits.
        try:
            small.commit(big_unit(small, end, 1, max(1, 2000 - 10 * number)))
            end += 1
        except StoreFull:
            continue
    for position in range(end):
        small.settle(1, [position])
        small.put(1, b"tally", b"%d" % position)
    assert small.positions(1) == []
    small.commit(big_unit(small, end))


def test_a_retained_message_counts_as_one_and_is_refused_by_a_full_store(small):
    fill(small)
    with pytest.raises(StoreFull):
        for number in range(2000):
            unit = small.unit()
            unit.put(TABLE_RETAINED, b"%d" % number, bytes(2000))
            small.commit(unit)


def test_a_file_larger_than_the_first_map_is_opened_with_room_to_write(tmp_path):
    place = Place(lambda directory: LmdbStore(directory, map_size=1 << 20), tmp_path / "store")
    for number in range(40):
        place.commit(big_unit(place, number * 100))
        place.reopen()
    assert place.positions(1) == [*range(4000)]
    place.close()


def test_an_owner_gets_in_although_the_store_is_at_its_limit(small):
    end = fill(small)
    for _ in range(5):
        small.reopen()
    small.settle(1, range(end))
    assert small.positions(1) == []


def test_what_a_refused_unit_settled_is_not_settled(small):
    small.append(1, range(4))
    unit = small.unit()
    unit.settle(1, 0, 0)
    unit.put(TABLE_PLUGIN, b"too large", bytes(20 << 20))
    with pytest.raises(StoreFull):
        small.commit(unit)
    small.settle(1, [1])
    assert small.positions(1) == [0, 2, 3]
    small.reopen()
    assert small.positions(1) == [0, 2, 3]


def test_nothing_is_left_of_a_queue_whose_messages_are_all_settled(disk):
    for first in range(0, 100, 10):
        disk.append(1, range(first, first + 10))
    for third in range(3):
        disk.settle(1, range(third, 100, 3))
        disk.reopen()
    environment = disk.store._environment
    with environment.reading() as txn:
        assert txn.stat(environment.records)["entries"] == 0
        assert txn.stat(environment.settled)["entries"] == 0


def test_units_that_fit_are_kept_although_one_among_them_does_not(small):
    small.commit(big_unit(small, 0))
    futures = [
        small.store.commit(unit)
        for unit in (
            big_unit(small, 100),
            big_unit(small, 200, count=10, size=2_000_000),
            big_unit(small, 300),
        )
    ]
    assert [type(future.exception(30)) for future in futures] == [type(None), StoreFull, type(None)]
    assert small.positions(1) == [*range(200), *range(300, 400)]


def test_a_queue_that_is_drained_as_it_fills_keeps_the_file_small(disk):
    for number in range(150):
        disk.commit(big_unit(disk, number * 100))
        if number >= 3:
            disk.settle(1, range((number - 3) * 100, (number - 2) * 100))
    used = disk.store._environment.used_size()
    assert used < 4 << 20, f"{used} bytes for 300 KB of messages"


def test_memory_does_not_grow_with_the_backlog(disk):
    total, step = 200_000, 1000
    disk.append(1, [0])
    tracemalloc.start()
    try:
        for first in range(1, total, step):
            unit = disk.unit()
            for position in range(first, first + step):
                unit.append(1, position, HEAD, message(payload(position) + bytes(100)))
            disk.commit(unit)
        first = count = 0
        while True:
            page = disk.page(1, first)
            count += len(page.records)
            first = page.next_position
            if page.at_end:
                break
        page = None
        unit = disk.unit()
        unit.drop_queue(1)
        disk.commit(unit)
        sweep(disk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == total + 1
    assert peak < 6 << 20, f"{peak} bytes for a backlog of {total} messages"


def test_what_is_left_of_a_dropped_queue_is_swept_up_after_a_restart(disk):
    for position in range(0, 3000, 3):
        disk.store.commit(big_unit(disk, position, count=1, size=10))
    disk.append(2, [1])
    unit = disk.unit()
    unit.drop_queue(1)
    disk.store.commit(unit)
    disk.close()
    visitor = LmdbStore(disk.directory, exclusive=False)
    visitor.get(TABLE_PLUGIN, b"nothing").result(30)
    visitor.close()
    assert disk.store._committer.is_dropped(1), "a visitor must leave this to the owner"
    assert disk.positions(1) == []
    sweep(disk)
    environment = disk.store._environment
    with environment.reading() as txn:
        assert txn.stat(environment.records)["entries"] == 1
        assert txn.stat(environment.dropping)["entries"] == 0
    assert disk.positions(2) == [1]


def sweep(disk) -> None:
    """Have dropped queues swept up; every commit does a part of it."""
    for _ in range(1000):
        if not disk.store._committer.is_dropped(1):
            return
        disk.put(1, b"key", b"value")
    raise AssertionError("sweeping does not get on")


def test_what_small_units_will_use_next_has_been_written_once_and_nothing_in_use_is_touched(disk):
    record = b"x" * 2000
    for first in range(0, 1500, 5):
        if first % 500 == 0:
            disk.reopen()
        disk.append(1, range(first, first + 5), record)
        if first % 100 == 0:
            disk.settle(1, [first])
    disk.reopen()
    assert disk.positions(1) == [position for position in range(1500) if position % 100]
    disk.append(1, [1500], record)
    used = disk.store._environment.used_size()
    with (disk.directory / "data.mdb").open("rb") as file:
        # What is only allocated counts as a hole.
        assert os.lseek(file.fileno(), used, os.SEEK_DATA) == used
        assert os.lseek(file.fileno(), used, os.SEEK_HOLE) >= used + (256 << 10)
