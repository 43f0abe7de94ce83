"""The generator against a broker that does one thing wrong in a thousand."""

import threading

import pytest

from bench.load.board import Board
from bench.load.packets import Layout
from bench.load.publishing import Publish, publish
from bench.load.receiving import Receive, receive

from .fake_broker import FakeBroker

COUNT = 5000


def every_thousandth(layout, change):
    """Hand each packet whose sequence number ends in 500 to ``change``, which returns the packets in its place."""
    at = layout.row.fields["seq"][1]

    def spoil(packets):
        out = []
        for packet in packets:
            number = int.from_bytes(packet[at : at + 8], "little")
            out += change(packet) if number % 1000 == 500 else [packet]
        return out

    return spoil


def stream(layout, change, count=COUNT):
    """What the subscriber reports when a broker changes messages."""
    board = Board()
    with FakeBroker(layout, every_thousandth(layout, change)) as broker:
        listening, found = threading.Event(), []
        order = Receive(broker.port, layout, (layout.topic,), 1, stall=2, seconds=20)
        thread = threading.Thread(
            target=lambda: found.append(receive(order, board, lambda report=None: listening.set()))
        )
        thread.start()
        assert listening.wait(10)
        publish(Publish(broker.port, layout, 1, 15, count, stall=2), board, lambda report=None: None)
        thread.join(20)
    return found[0]


@pytest.mark.parametrize("qos", [0, 1])
def test_an_honest_broker_is_found_honest(qos):
    verdict = stream(Layout(b"t", qos, 64), lambda packet: [packet]).verdict
    assert verdict.faults() == () and verdict.received == COUNT


@pytest.mark.parametrize("qos", [0, 1])
def test_a_broker_that_drops_one_in_a_thousand_is_caught(qos):
    assert stream(Layout(b"t", qos, 64), lambda packet: []).verdict.faults() == ("LOST 5",)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_broker_that_repeats_one_in_a_thousand_is_caught(qos):
    assert "DUPLICATED 5" in stream(Layout(b"t", qos, 64), lambda packet: [packet, packet]).verdict.faults()


def test_a_broker_that_changes_the_order_is_caught():
    held = []

    def late(packet):
        held.append(packet)
        return held[-2:-1]

    faults = stream(Layout(b"t", 0, 64), late).verdict.faults()
    assert faults == ("LOST 1", "REORDERED 4")


def test_a_broker_that_changes_a_byte_is_caught():
    def changed(packet):
        return [packet[:-1] + bytes((packet[-1] ^ 1,))]

    assert "CORRUPTED 5" in stream(Layout(b"t", 0, 64), changed).verdict.faults()


def test_a_broker_that_sends_rubbish_is_caught():
    found = stream(Layout(b"t", 0, 64), lambda packet: [bytes(len(packet))], 1200)
    assert found.trouble.startswith("UNREADABLE")
