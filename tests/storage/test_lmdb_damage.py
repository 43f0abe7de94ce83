"""A flipped bit costs the record it is in, is reported once, and stops nothing."""

import pytest
from store_driver import HEAD, TIMEOUT, message, pages, payload, stored

from mombroker.model.unit import TABLE_RETAINED, TABLE_SESSION
from mombroker_storage.lmdb_store import marks
from mombroker_storage.lmdb_store.segments import KEY


def flip(disk, sought: bytes, distance: int = 0) -> None:
    """Close the store and flip a bit ``distance`` bytes away from where ``sought`` is in the data file.

    In every copy: LMDB copies small values from page to page as their tree changes, and only one copy is alive.
    """
    disk.close()
    path = disk.directory / "data.mdb"
    data = bytearray(path.read_bytes())
    place = data.find(sought)
    assert place >= 0
    while place >= 0:
        data[place + distance] ^= 0x10
        place = data.find(sought, place + 1)
    path.write_bytes(data)


def start_of_record(body: bytes) -> int:
    """How far before its payload a record begins."""
    return len(HEAD) + len(stored(body)) - len(body)


def settle_down(disk) -> None:
    """Have everything done that was handed to the writer so far."""
    disk.put(TABLE_SESSION, b"settle down", b"")


def test_a_flipped_bit_costs_one_record_and_is_reported_once(disk):
    disk.append(1, range(2000))
    flip(disk, payload(1234))
    records, damaged = pages(disk, 1)
    assert [record.position for record in records] == [*range(1234), *range(1235, 2000)]
    assert [(damage.queue_id, damage.first, damage.last) for damage in damaged] == [(1, 1234, 1234)]
    assert "checksum" in damaged[0].detail
    assert pages(disk, 1)[1] == []
    settle_down(disk)
    disk.reopen()
    records, damaged = pages(disk, 1)
    assert (len(records), damaged) == (1999, [])
    assert disk.reported == []


def test_the_damaged_bytes_are_kept_for_whoever_wants_to_look_at_them(disk):
    disk.append(1, range(3))
    flip(disk, payload(1))
    assert len(pages(disk, 1)[1]) == 1
    settle_down(disk)
    disk.reopen()
    environment = disk.store._environment
    with environment.reading() as txn:
        kept = txn.get(b"r" + KEY.pack(1, 1), db=environment.damaged)
        assert len(bytes(kept)) == len(HEAD) + len(stored(payload(1)))


def test_a_page_of_nothing_but_damage_leads_on_to_the_next_record(disk):
    for position in range(3):
        disk.append(1, [position])
    flip(disk, payload(0))
    flip(disk, payload(1))
    page = disk.page(1, max_records=1)
    assert [record.position for record in page.records] == [2]
    assert [(damage.first, damage.last) for damage in page.damaged] == [(0, 0), (1, 1)]


def test_a_segment_whose_records_are_all_damaged_goes_altogether(disk):
    disk.append(1, [0])
    disk.append(1, [1])
    flip(disk, payload(0))
    assert len(pages(disk, 1)[1]) == 1
    settle_down(disk)
    environment = disk.store._environment
    with environment.reading() as txn:
        assert txn.stat(environment.records)["entries"] == 1


@pytest.mark.parametrize("distance", [-4, -8, -4 * 20], ids=["crc column", "crc column, before", "length column"])
def test_damaged_columns_cost_their_segment_and_no_other(disk, distance):
    disk.append(1, range(10))
    disk.append(1, range(10, 20))
    flip(disk, payload(10), distance - start_of_record(payload(10)))
    disk.append(1, range(20, 30))
    records, damaged = pages(disk, 1, max_records=4)
    assert [record.position for record in records] == [*range(10), *range(20, 30)]
    assert [(damage.first, damage.last) for damage in damaged] == [(10, 19)]
    settle_down(disk)
    disk.reopen()
    assert pages(disk, 1)[1] == []


def test_settling_meets_damaged_columns_before_reading_does(disk):
    disk.append(1, range(10))
    disk.append(1, range(10, 20))
    flip(disk, payload(0), -4 - start_of_record(payload(0)))
    disk.settle(1, range(5, 15))
    assert [(damage.queue_id, damage.first, damage.last) for damage in disk.reported] == [(1, 5, 9)]
    assert disk.positions(1) == [*range(15, 20)]


def test_a_damaged_shared_body_costs_the_records_that_refer_to_it(disk):
    unit = disk.unit()
    for queue in (1, 2):
        unit.append(queue, 1, HEAD, message(b"shared by two queues", 9))
        unit.append(queue, 2, HEAD, message(b"inline"))
    disk.commit(unit)
    flip(disk, b"shared by two queues")
    for queue in (1, 2):
        records, damaged = pages(disk, queue)
        assert [record.position for record in records] == [2]
        assert [(damage.queue_id, damage.first) for damage in damaged] == [(queue, 1)]
        assert "shared body 9" in damaged[0].detail
        settle_down(disk)
    disk.reopen()
    environment = disk.store._environment
    with environment.reading() as txn:
        assert txn.stat(environment.bodies)["entries"] == 0
        assert txn.stat(environment.body_refs)["entries"] == 0
    assert [pages(disk, queue)[1] for queue in (1, 2)] == [[], []]


def test_a_damaged_state_record_is_reported_once_and_skipped(disk):
    disk.put(TABLE_RETAINED, b"good", b"value of the good")
    disk.put(TABLE_RETAINED, b"bad", b"value of the bad")
    flip(disk, b"value of the bad", 15)
    assert list(disk.store.items(TABLE_RETAINED)) == [(b"good", b"value of the good")]
    assert disk.get(TABLE_RETAINED, b"bad") is None
    assert ["b'bad'" in damage.detail for damage in disk.reported] == [True]
    assert disk.reported[0].queue_id == 0
    settle_down(disk)
    disk.reopen()
    assert disk.get(TABLE_RETAINED, b"bad") is None
    assert len(disk.reported) == 1


def test_a_state_record_written_anew_is_not_mistaken_for_the_damaged_one(disk):
    disk.put(TABLE_RETAINED, b"bad", b"value of the bad")
    flip(disk, b"value of the bad", 15)
    assert disk.store
    unit = disk.unit()
    unit.put(TABLE_RETAINED, b"bad", b"better")
    found = disk.store.get(TABLE_RETAINED, b"bad")
    disk.commit(unit)
    assert found.result(TIMEOUT) in (None, b"better")
    settle_down(disk)
    assert disk.get(TABLE_RETAINED, b"bad") == b"better"


def test_a_listener_that_fails_stops_nothing(disk):
    def fail(damage):
        raise ZeroDivisionError

    disk.put(TABLE_RETAINED, b"bad", b"value of the bad")
    flip(disk, b"value of the bad", 15)
    disk.store.on_damage(fail)
    assert disk.get(TABLE_RETAINED, b"bad") is None
    assert len(disk.reported) == 1
    disk.append(1, [1])


def test_damaged_settled_marks_lose_no_message(disk):
    disk.append(1, range(10))
    disk.settle(1, [2, 3])
    flip(disk, marks.encode(KEY.pack(1, 9), 0b1100), 4)
    assert disk.positions(1) == [*range(10)]
    assert disk.positions(1) == [*range(10)]
    assert ["delivered again" in damage.detail for damage in disk.reported] == [True]
    disk.settle(1, [2, 3])
    disk.reopen()
    assert disk.positions(1) == [0, 1, *range(4, 10)]
