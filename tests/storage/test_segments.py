"""The form of a segment on disk, and the masks that stand for its records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mombroker.model.unit import HEAD_SIZE, SHARED_BODY, Segment
from mombroker_storage.lmdb_store.segments import StoredSegment, UnreadableSegment, encode
from mombroker_storage.masks import offsets, present_mask, run_mask

POSITIONS = st.integers(0, (1 << 63) - 1)
RECORDS = st.lists(st.just(b"") | st.binary(min_size=HEAD_SIZE, max_size=40), min_size=1, max_size=30)


def segment(first: int, records: list[bytes]) -> Segment:
    result = Segment(first)
    result.records = records
    result.size = sum(map(len, records))
    result.held = sum(map(bool, records))
    return result


@given(queue=POSITIONS, first=POSITIONS, records=RECORDS)
def test_a_segment_comes_back_record_for_record(queue, first, records):
    encoded = encode(queue, segment(first, records), may_share=True)
    if encoded is None:
        assert not any(records)
        return
    stored = StoredSegment(encoded.key, memoryview(encoded.value))
    found = {stored.first + offset: stored.record(offset) for offset in offsets(stored.present, 0)}
    assert found == {first + index: record for index, record in enumerate(records) if record}
    assert (stored.first, stored.last, stored.present) == (encoded.first, encoded.last, encoded.present)
    assert stored.present & 1
    assert stored.present >> (stored.last - stored.first) == 1
    assert stored.has_shared == any(record[0] & SHARED_BODY for record in records if record)


@given(records=RECORDS.filter(any), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed_and_none_costs_more_than_it_must(records, place, bit):
    encoded = encode(3, segment(100, records), may_share=True)
    value = bytearray(encoded.value)
    place %= len(value)
    value[place] ^= 1 << bit
    data_at = len(value) - sum(map(len, records))
    try:
        stored = StoredSegment(encoded.key, bytes(value))
    except UnreadableSegment:
        assert place < data_at
        return
    assert place >= data_at
    lost = [offset for offset in offsets(stored.present, 0) if stored.record(offset) is None]
    assert len(lost) == 1


@given(cut=st.integers(0, 200))
def test_a_segment_that_is_cut_off_loses_no_more_than_what_is_missing(cut):
    encoded = encode(3, segment(100, [b"abc" * 10] * 5), may_share=False)
    try:
        stored = StoredSegment(encoded.key, encoded.value[:cut])
    except UnreadableSegment as error:
        guess = error.first
    else:
        guess = None
        assert [stored.record(offset) for offset in range(5)].count(None) >= 1
    assert guess in (None, 100)


def test_a_segment_under_a_foreign_key_is_not_taken_for_its_own():
    encoded = encode(3, segment(100, [b"abcdef"]), may_share=False)
    with pytest.raises(UnreadableSegment):
        StoredSegment(encode(4, segment(100, [b"abcdef"]), may_share=False).key, encoded.value)


@given(st.sets(st.integers(0, 200)), st.integers(0, 250))
def test_offsets_are_the_bits_of_a_mask(members, start):
    mask = sum(1 << member for member in members)
    assert list(offsets(mask, start)) == sorted(member for member in members if member >= start)


@given(st.lists(st.integers(0, 3), min_size=1))
def test_a_length_of_zero_marks_a_hole(lengths):
    assert list(offsets(present_mask(lengths), 0)) == [index for index, length in enumerate(lengths) if length]


def test_a_run_includes_both_its_ends():
    assert list(offsets(run_mask(3, 5), 0)) == [3, 4, 5]
    assert run_mask(0, 0) == 1
