"""What a tally finds wrong."""

import numpy as np
import pytest

from bench.load.packets import Layout, Outbox
from bench.verify import Roll, Tally

LAYOUT = Layout(b"a/b", 1, 64)
RUN = 7


def messages(count, first=0, publisher=0, layout=LAYOUT, run=RUN):
    outbox = Outbox(layout, run, publisher)
    return np.frombuffer(bytes(outbox.messages(first, count)), layout.row).copy()


def verdict(*batches, sent, publishers=1, layout=LAYOUT):
    tally = Tally(layout, RUN, publishers)
    for batch in batches:
        tally.take(batch)
    return tally.verdict(sent if isinstance(sent, list) else [sent])


def test_all_that_was_sent_is_no_fault():
    assert verdict(messages(100), messages(50, 100), sent=150).faults() == ()


def test_one_of_a_thousand_lost_is_found():
    found = verdict(np.delete(messages(3000), [500, 1500, 2500]), sent=3000)
    assert found.lost == 3 and found.faults() == ("LOST 3",)


def test_a_lost_end_is_found():
    assert verdict(messages(90), sent=100).lost == 10


def test_nothing_received_is_all_lost():
    assert verdict(sent=100).lost == 100


def test_repetitions_are_found():
    rows = messages(100)
    assert verdict(rows, rows[40:43], sent=100).faults() == ("DUPLICATED 3",)


def test_a_late_message_is_out_of_order_and_not_lost():
    rows = messages(100)
    found = verdict(rows[np.r_[0:10, 11:50, 10, 50:100]], sent=100)
    assert (found.lost, found.reordered) == (0, 1)


@pytest.mark.parametrize("place", [0, 3, 20, 63])
def test_a_changed_byte_of_the_filler_is_found(place):
    rows = messages(100)
    rows["fill"][50][place % rows["fill"].shape[1]] ^= 1
    found = verdict(rows, sent=100)
    assert found.corrupted == 1 and found.lost == 1


def test_a_changed_topic_is_found():
    rows = messages(100)
    rows["head"][50][-1] ^= 1
    assert verdict(rows, sent=100).corrupted == 1


def test_dup_and_retain_are_no_corruption():
    rows = messages(100)
    rows["head"][50][0] |= 0x09
    assert verdict(rows, sent=100).faults() == ()


def test_messages_of_another_run_are_foreign():
    assert verdict(messages(5, run=RUN + 1), messages(10), sent=10).faults() == ("FOREIGN 5",)


def test_long_messages_are_sampled_and_all_places_come_round():
    layout = Layout(b"a/b", 0, 1024)
    tally = Tally(layout, RUN)
    for number in range(8):
        rows = messages(8, number * 8, layout=layout)
        rows["fill"][3, 0] ^= 1
        tally.take(rows)
    assert tally.verdict([64]).corrupted == 1


def test_publishers_are_told_apart():
    one, two = messages(50, publisher=0), messages(50, publisher=1)
    mixed = np.concatenate([one[:20], two[:30], one[20:], two[30:]])
    assert verdict(mixed, sent=[50, 50], publishers=2).faults() == ()
    found = verdict(np.delete(mixed, 25), sent=[50, 50], publishers=2)
    assert found.lost == 1


def test_an_unknown_publisher_is_foreign():
    assert verdict(messages(3, publisher=5), messages(3), sent=3).foreign == 3


def test_a_roll_takes_any_order_and_finds_what_is_missing_or_double():
    layout = Layout(b"a/000", 0, 64, varying=3)
    rows = messages(100, layout=layout)
    roll = Roll(layout, RUN, 100)
    roll.take(rows[::-1])
    assert roll.verdict().faults() == ()
    roll = Roll(layout, RUN, 100)
    roll.take(np.concatenate([rows[:98], rows[:1]]))
    assert roll.verdict().faults() == ("LOST 2", "DUPLICATED 1")
