"""What every Store has to do, whatever it is made of. See conftest.py for how to run this on a store of your own."""

import itertools
from concurrent.futures import wait

import pytest
from store_driver import HEAD, TIMEOUT, message, pages, payload, stored

from mombroker.model.errors import StoreError
from mombroker.model.unit import TABLE_RETAINED, TABLE_SESSION, TABLES, Unit, record_head


def test_a_store_has_an_epoch_and_says_in_one_line_what_it_is(place):
    assert 1 <= place.store.epoch < 1 << 32
    assert isinstance(place.store.durable, bool)
    assert place.store.describe()
    assert "\n" not in place.store.describe()


def test_a_later_owner_has_a_greater_epoch(place):
    epochs = []
    for _ in range(3):
        epochs.append(place.store.epoch)
        place.close()
    assert epochs == sorted(set(epochs))


def test_an_empty_queue_reads_as_ended_where_it_was_asked_for(place):
    page = place.page(7, 42)
    assert (page.records, page.next_position, page.at_end, page.damaged) == ([], 42, True, [])


def test_records_come_back_in_order_with_head_and_body(place):
    unit = place.unit()
    head = record_head(3, b"\x01\x02")
    for position in range(5, 8):
        unit.append(1, position, head, message(payload(position)))
    place.commit(unit)
    place.reopen()
    records = place.records(1)
    assert [record.position for record in records] == [5, 6, 7]
    assert [record.head for record in records] == [head] * 3
    assert [record.body for record in records] == [stored(payload(position)) for position in range(5, 8)]
    assert [record.body_id for record in records] == [0, 0, 0]


def test_queues_do_not_mix(place):
    place.append(1, [1, 2])
    place.append(2, [1])
    place.append(1 << 40, [9])
    place.settle(1, [1])
    assert [place.positions(queue) for queue in (1, 2, 1 << 40, 3)] == [[2], [1], [9], []]


def test_positions_may_jump(place):
    place.append(1, [1, 2, 100, 5_000_000_000])
    place.append(1, [5_000_000_001, 1 << 50])
    place.reopen()
    assert place.positions(1) == [1, 2, 100, 5_000_000_000, 5_000_000_001, 1 << 50]


def test_a_page_ends_at_its_number_of_records(place):
    place.append(1, range(10))
    page = place.page(1, 2, max_records=3)
    assert [record.position for record in page.records] == [2, 3, 4]
    assert (page.next_position, page.at_end) == (5, False)


def test_a_page_that_takes_the_last_record_ends_the_queue(place):
    place.append(1, range(10))
    page = place.page(1, 5, max_records=5)
    assert [record.position for record in page.records] == [5, 6, 7, 8, 9]
    assert (page.next_position, page.at_end) == (10, True)


def test_a_page_holds_no_more_bytes_than_it_may_but_at_least_one_record(place):
    place.append(1, range(10))
    size = len(place.records(1)[0].body) + len(HEAD)
    assert len(place.page(1, 0, max_bytes=3 * size).records) == 3
    assert len(place.page(1, 0, max_bytes=3 * size - 1).records) == 2
    assert len(place.page(1, 0, max_bytes=1).records) == 1


def test_reading_on_from_page_to_page_misses_nothing_and_repeats_nothing(place):
    for start in range(0, 3000, 300):
        place.append(1, range(start, start + 300))
    place.settle(1, range(0, 3000, 7))
    expected = [position for position in range(3000) if position % 7]
    for max_records in (1, 13, 299, 5000):
        records, damaged = pages(place, 1, max_records=max_records)
        assert [record.position for record in records] == expected
        assert damaged == []


def test_settled_records_are_not_read_again(place):
    place.append(1, range(6))
    place.settle(1, [0, 3, 4])
    assert place.positions(1) == [1, 2, 5]
    place.reopen()
    assert place.positions(1) == [1, 2, 5]
    place.settle(1, [1, 2, 5])
    assert place.positions(1) == []
    page = place.page(1, 2)
    assert (page.records, page.at_end) == ([], True)
    assert page.next_position >= 2


def test_one_run_settles_across_segments_and_gaps(place):
    place.append(1, range(10))
    place.append(1, range(20, 30))
    place.append(1, range(30, 2500))
    unit = place.unit()
    unit.settled[1] = [5, 2000]
    place.commit(unit)
    assert place.positions(1) == [*range(5), *range(2001, 2500)]
    place.reopen()
    assert place.positions(1) == [*range(5), *range(2001, 2500)]


def test_runs_may_come_in_any_order_and_overlap(place):
    place.append(1, range(100))
    unit = place.unit()
    unit.settled[1] = [50, 60, 10, 20, 55, 70, 98, 120, 0, 0]
    place.commit(unit)
    assert place.positions(1) == [*range(1, 10), *range(21, 50), *range(71, 98)]


def test_a_run_that_begins_in_a_gap_keeps_what_the_run_before_it_settled(place):
    place.append(1, range(10, 20))
    place.reopen()
    unit = place.unit()
    unit.settled[1] = [15, 15, 5, 11, 0, 3]
    place.commit(unit)
    assert place.positions(1) == [12, 13, 14, 16, 17, 18, 19]
    place.reopen()
    assert place.positions(1) == [12, 13, 14, 16, 17, 18, 19]


def test_settling_what_is_not_there_changes_nothing(place):
    place.append(1, range(10, 20))
    for positions in ([0, 1], [12], [12], [25, 30], [9, 10], [9, 10]):
        place.settle(1, positions)
        place.reopen()
    place.settle(99, [1])
    assert place.positions(1) == [11, *range(13, 20)]


def test_records_settled_before_their_unit_was_handed_over_are_never_written(place):
    unit = place.unit()
    for position in range(10):
        unit.append(1, position, HEAD, message(payload(position)))
    for position in (0, 1, 4, 9):
        unit.settle(1, position, 0)
    for position in range(5):
        unit.append(2, position, HEAD, message(payload(position)))
        unit.settle(2, position, 0)
    place.commit(unit)
    assert place.positions(1) == [2, 3, 5, 6, 7, 8]
    assert place.positions(2) == []
    place.settle(1, [0, 2, 4])
    place.reopen()
    assert place.positions(1) == [3, 5, 6, 7, 8]


def test_records_of_any_size_come_back(place):
    bodies = {1: b"", 2: bytes(70_000), 3: b"x", 4: bytes(range(256)) * 20_000, 5: b"y" * 65_536}
    unit = place.unit()
    for position, body in bodies.items():
        unit.append(1, position, HEAD, message(body))
    place.commit(unit)
    place.reopen()
    assert {record.position: record.body for record in place.records(1)} == {
        position: stored(body) for position, body in bodies.items()
    }


def test_a_shared_body_is_read_through_every_queue_that_refers_to_it(place):
    unit = place.unit()
    shared = message(b"to all", body_id=77)
    for queue in (1, 2, 3):
        unit.append(queue, 5, HEAD, shared)
        unit.append(queue, 6, HEAD, message(b"to one"))
    place.commit(unit)
    place.reopen()
    for queue in (1, 2, 3):
        first, second = place.records(queue)
        assert (first.body, first.body_id) == (stored(b"to all"), 77)
        assert (second.body, second.body_id) == (stored(b"to one"), 0)


def test_a_shared_body_lives_as_long_as_one_record_refers_to_it(place):
    unit = place.unit()
    for queue in (1, 2, 3):
        unit.append(queue, 5, HEAD, message(b"to all", body_id=77))
    place.commit(unit)
    place.settle(1, [5], body_id=77)
    place.reopen()
    place.settle(2, [5], body_id=77)
    assert [record.body for record in place.records(3)] == [stored(b"to all")]
    place.append(4, [1], b"to all", body_id=77)
    place.settle(3, [5], body_id=77)
    place.reopen()
    assert [record.body for record in place.records(4)] == [stored(b"to all")]


def test_dropping_a_queue_releases_the_bodies_that_its_live_records_share(place):
    unit = place.unit()
    for position in range(4):
        for queue in (1, 2):
            unit.append(queue, position, HEAD, message(payload(position), body_id=position + 1))
    place.commit(unit)
    unit = place.unit()
    unit.settle(1, 0, 1)
    unit.drop_queue(1)
    place.commit(unit)
    assert place.positions(1) == []
    # What is left of each body is one reference: had the drop taken too many, these could not be read.
    assert [record.body for record in place.records(2)] == [stored(payload(position)) for position in range(4)]
    unit = place.unit()
    unit.drop_queue(2)
    place.commit(unit)
    place.reopen()
    assert place.positions(2) == []


def test_dropping_takes_back_what_the_same_unit_appended(place):
    place.append(1, range(3))
    place.append(2, range(3))
    unit = place.unit()
    unit.append(1, 3, HEAD, message(b"late", body_id=5))
    unit.append(2, 3, HEAD, message(b"late", body_id=5))
    unit.drop_queue(1)
    unit.drop_queue(99)
    place.commit(unit)
    assert place.positions(1) == []
    assert [record.position for record in place.records(2)] == [0, 1, 2, 3]
    assert place.records(2)[3].body == stored(b"late")


def test_a_large_queue_is_gone_once_its_drop_is_committed(place):
    for start in range(0, 20_000, 50):
        unit = place.unit()
        for position in range(start, start + 50):
            unit.append(1, position, HEAD, message(b"x" * 100))
        last = place.store.commit(unit)
    last.result(TIMEOUT)
    place.settle(1, range(0, 20_000, 3))
    place.append(2, [1])
    unit = place.unit()
    unit.drop_queue(1)
    place.commit(unit)
    assert place.positions(1) == []
    place.reopen()
    assert place.positions(1) == []
    assert place.positions(2) == [1]


def test_state_records_are_kept_by_table_and_key(place):
    for table in TABLES:
        place.put(table, b"key", b"in %d" % table)
    place.put(TABLE_SESSION, b"", b"no key")
    place.put(TABLE_SESSION, b"empty", b"")
    place.reopen()
    assert [place.get(table, b"key") for table in TABLES] == [b"in %d" % table for table in TABLES]
    assert place.get(TABLE_SESSION, b"") == b"no key"
    assert place.get(TABLE_SESSION, b"empty") == b""
    assert place.get(TABLE_SESSION, b"missing") is None


def test_the_last_put_or_delete_wins(place):
    place.put(TABLE_SESSION, b"a", b"1")
    place.put(TABLE_SESSION, b"a", b"2")
    place.put(TABLE_SESSION, b"b", b"1")
    place.put(TABLE_SESSION, b"b", None)
    place.put(TABLE_SESSION, b"never", None)
    assert list(place.store.items(TABLE_SESSION)) == [(b"a", b"2")]


def test_items_come_in_key_order_however_many_and_long_they_are(place):
    keys = [b"%05d" % number for number in range(2000)]
    # MQTT allows topics of 65535 bytes, and many of them may begin alike.
    keys += [b"x" * length for length in (399, 400, 401, 432, 433, 511, 512, 65_535)]
    keys += [b"y" * 450 + b"%03d" % (number * 7 % 50) for number in range(50)]
    unit = place.unit()
    for key in reversed(keys):
        unit.put(TABLE_RETAINED, key, b"value of " + key[-10:])
    unit.put(TABLE_SESSION, b"other table", b"")
    place.commit(unit)
    place.reopen()
    assert list(place.store.items(TABLE_RETAINED)) == [(key, b"value of " + key[-10:]) for key in sorted(keys)]
    assert place.get(TABLE_RETAINED, b"x" * 65_535) == b"value of xxxxxxxxxx"
    place.put(TABLE_RETAINED, b"x" * 65_535, None)
    assert place.get(TABLE_RETAINED, b"x" * 65_535) is None
    assert place.get(TABLE_RETAINED, b"x" * 512) is not None


def test_a_table_may_change_while_its_items_are_listed(place):
    unit = place.unit()
    for number in range(3000):
        unit.put(TABLE_SESSION, b"%05d" % number, b"")
    place.commit(unit)
    listing = place.store.items(TABLE_SESSION)
    begun = [key for key, _ in itertools.islice(listing, 10)]
    place.put(TABLE_SESSION, b"00000", None)
    assert begun + [key for key, _ in listing] == [b"%05d" % number for number in range(3000)]


def test_units_handed_over_together_are_applied_in_order(place):
    futures = []
    for number in range(200):
        unit = place.unit()
        unit.append(1, number, HEAD, message(payload(number)))
        if number >= 2:
            unit.settle(1, number - 2, 0)
        unit.put(TABLE_SESSION, b"last", b"%d" % number)
        futures.append(place.store.commit(unit))
    assert not wait(futures, TIMEOUT).not_done
    assert [future.result() for future in futures] == [None] * 200
    assert place.get(TABLE_SESSION, b"last") == b"199"
    assert place.positions(1) == [198, 199]


def test_an_empty_unit_can_be_committed(place):
    place.commit(Unit(1))


def test_a_unit_is_left_as_it_was(place):
    unit = place.unit()
    unit.append(1, 0, HEAD, message(b"a", body_id=3))
    unit.append(1, 1, HEAD, message(b"b"))
    before = list(unit.segments[1][0].records)
    place.commit(unit)
    place.append(1, [2])
    place.settle(1, [0], body_id=3)
    assert unit.segments[1][0].records == before
    assert (unit.body_refs, list(unit.bodies)) == ({3: 1}, [3])


def test_closing_finishes_what_was_handed_over(place):
    futures = []
    for number in range(50):
        unit = place.unit()
        unit.append(1, number, HEAD, message(b"x" * 1000))
        futures.append(place.store.commit(unit))
    read = place.store.read(1, 0, 10, 1000)
    got = place.store.get(TABLE_SESSION, b"nothing")
    place.close()
    assert all(future.done() and future.exception() is None for future in [*futures, read, got])


def test_a_closed_store_that_is_durable_refuses_instead_of_leaving_a_future_pending(place):
    store = place.store
    if not store.durable:
        pytest.skip("a store that keeps nothing may be used on")
    place.close()
    store.close()
    for future in (store.commit(Unit(1)), store.read(1, 0, 1, 1), store.get(TABLE_SESSION, b"x")):
        with pytest.raises(StoreError, match="closed"):
            future.result(TIMEOUT)
