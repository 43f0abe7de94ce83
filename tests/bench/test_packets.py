"""Packets out, and cut apart again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.board import Window
from bench.load.frames import Inbox, Unreadable
from bench.load.packets import IDENTIFIERS, Layout, Outbox, remaining_length

LAYOUT = Layout(b"topic/x", 1, 64)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (16383, b"\xff\x7f"), (2097152, b"\x80\x80\x80\x01")],
)
def test_remaining_length(number, expected):
    assert remaining_length(number) == expected


def test_messages_are_numbered_and_identifiers_go_round():
    outbox = Outbox(LAYOUT, 1)
    rows = np.frombuffer(bytes(outbox.messages(IDENTIFIERS - 2, 4)), LAYOUT.row)
    assert rows["seq"].tolist() == [IDENTIFIERS - 2, IDENTIFIERS - 1, IDENTIFIERS, IDENTIFIERS + 1]
    assert rows["id"].tolist() == [IDENTIFIERS - 1, IDENTIFIERS, 1, 2]


@pytest.mark.parametrize("payload", [24, 64, 1024, 65536])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_has_the_size_it_says(payload, qos):
    layout = Layout(b"a/b", qos, payload)
    data = bytes(Outbox(layout, 1).messages(0, 1))
    body = 5 + (2 if qos else 0) + payload
    assert len(data) == layout.size == 1 + len(remaining_length(body)) + body


def test_varying_topics_go_round():
    layout = Layout(b"a/00", 0, 32, varying=2)
    outbox = Outbox(layout, 1)
    outbox.vary(np.array([b"01", b"02", b"03"]))
    rows = np.frombuffer(bytes(outbox.messages(2, 3)), layout.row)
    assert rows["name"].tolist() == [b"03", b"01", b"02"]


def test_a_payload_too_small_for_its_numbers_is_refused():
    with pytest.raises(ValueError):
        Layout(b"a", 0, 8)


@given(st.lists(st.sampled_from("pacq"), max_size=60), st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_a_stream_is_cut_the_same_however_it_comes(kinds, cuts):
    one = bytes(Outbox(LAYOUT, 1).messages(0, 1))
    packets = {"p": one, "a": b"\x40\x02\x00\x01", "c": b"\x62\x02\x00\x02", "q": b"\xd0\x00"}
    data = b"".join(packets[kind] for kind in kinds)
    inbox, found, turn = Inbox(LAYOUT.size, 64), [], 0
    while data:
        space = inbox.space()
        count = min(cuts[turn % len(cuts)], len(data), len(space))
        space[:count] = data[:count]
        data, turn = data[count:], turn + 1
        for piece in inbox.arrived(count):
            found += [piece.kind] * piece.count
    assert found == [{"p": 3, "a": 4, "c": 6, "q": 13}[kind] for kind in kinds]


def test_what_is_no_packet_is_unreadable():
    inbox = Inbox(LAYOUT.size)
    inbox.space()[:2] = b"\x00\x00"
    with pytest.raises(Unreadable):
        inbox.arrived(2)


def test_the_window_grows_while_delays_are_small_and_stops_when_they_are_not():
    window, received = Window(1000), 0
    for step in range(5):
        assert window.room(received + window.size, received, step * 0.001) <= window.size
        received += window.size + 1
    grown = window.size
    assert grown > Window.FIRST
    for step in range(5):
        window.room(received, received, 100 + step)
        received += window.size + 1
    assert window.size == grown


def test_the_window_grows_as_long_as_that_pays():
    window, now, received, sizes = Window(10_000), 0.0, 0, []
    for _ in range(12):
        window.room(received + window.size, received, now)
        sizes.append(window.size)
        received += window.size + 1
        now += max(0.1, window.size / 1000)  # a broker that needs 0.1 s for a turn, and can do 1,000 a second
    assert 64 <= max(sizes) <= 256


def test_the_window_is_bounded_in_bytes():
    assert Window.for_messages(1 << 20, 1)._most == 4
    assert Window.for_messages(82, 1000)._most == (64 << 20) // 82_000
