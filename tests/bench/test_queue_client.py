"""What goes into a queue of each kind, and the verdict on what comes out."""

import pytest

from bench.load.payloads import form, rows
from bench.load.queue_client import DELAYED, PLAIN, PRIORITISED, SPREAD, Incoming, Outgoing, Put

RUN, COUNT = 9, 200


def outgoing(kind, most=COUNT, **more):
    return Outgoing(Put(1, "q", RUN, 64, 1.0, most, kind, **more))


def sent(kind):
    """The payloads in order, and how many there are of each sequence."""
    source = outgoing(kind)
    payloads = []
    while messages := source.next(70):
        payloads += [message.payload for message in messages]
    return payloads, source.sent()


def verdict(kind, payloads, counts):
    incoming = Incoming(form(64), RUN, kind, counts)
    incoming.take(payloads[:50])
    incoming.take(payloads[50:])
    return incoming.verdict()


def by_priority(payloads):
    """As a queue with priorities hands them out."""
    publishers = rows(form(64), payloads)["publisher"].tolist()
    return [payload for _, payload in sorted(zip(publishers, payloads, strict=True), key=lambda pair: -pair[0])]


@pytest.mark.parametrize(
    ("kind", "change"), [(PLAIN, list), (DELAYED, lambda found: found[::-1]), (PRIORITISED, by_priority)]
)
def test_what_comes_as_it_should_is_without_fault(kind, change):
    payloads, counts = sent(kind)
    assert sum(counts) == COUNT and verdict(kind, change(payloads), counts).faults() == ()


@pytest.mark.parametrize("kind", [PLAIN, DELAYED, PRIORITISED])
def test_a_message_that_is_missing_or_comes_twice_is_found(kind):
    payloads, counts = sent(kind)
    payloads = by_priority(payloads) if kind == PRIORITISED else payloads
    assert "LOST 1" in verdict(kind, payloads[:20] + payloads[21:], counts).faults()
    assert "DUPLICATED 1" in verdict(kind, payloads[:21] + payloads[20:], counts).faults()


def test_a_plain_queue_has_to_keep_the_order():
    payloads, counts = sent(PLAIN)
    assert verdict(PLAIN, payloads[1:] + payloads[:1], counts).faults() == ("REORDERED 1",)


def test_a_message_behind_one_of_a_lower_priority_is_out_of_order():
    payloads, counts = sent(PRIORITISED)
    found = by_priority(payloads)
    assert verdict(PRIORITISED, found[1:20] + found[:1] + found[20:], counts).faults() == ("REORDERED 1",)
    assert verdict(PRIORITISED, found[20:] + found[:20], counts).faults() == ("REORDERED 20",)


def test_priorities_take_turns_and_whole_turns_are_sent():
    source = outgoing(PRIORITISED, most=25)
    assert [message.priority for message in source.next(15)] == list(range(10))
    assert len(source.next(15)) == 10 and source.next(15) == () and source.sent() == [2] * 10


def test_delayed_messages_fall_due_within_the_spread_and_not_in_order():
    due = [message.deliver_at for message in outgoing(DELAYED, due=1000.0).next(COUNT)]
    assert all(1000 <= time < 1000 + SPREAD for time in due)
    assert due != sorted(due) and len(set(due)) == COUNT


def test_without_batches_payloads_go_as_they_are():
    assert all(isinstance(message, bytes) for message in outgoing(PLAIN, batch=0).next(10))
