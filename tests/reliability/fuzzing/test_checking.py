"""The targets can fail: each of these plants a defect, and has it found."""

import pytest

from mombroker.mqtt import PingReq, Publish
from tests.reliability.fuzzing import client, decoder, records, session
from tests.reliability.fuzzing.defects import find, smaller


class Stubborn:
    """A decoder that has learned one thing wrong."""

    def __init__(self, real, spoil):
        self._real = real
        self._spoil = spoil
        self._from_client = real._from_client
        self._check_topics = real._check_topics

    @property
    def version(self):
        return self._real.version

    def feed(self, data):
        self._real.feed(data)

    def buffered(self):
        return self._real.buffered()

    def next(self):
        return self._spoil(self._real.next())


def spoiled(monkeypatch, spoil):
    """Have the target's decoders spoil what they decode."""
    real = decoder.Decoder
    monkeypatch.setattr(decoder, "Decoder", lambda *given, **named: Stubborn(real(*given, **named), spoil))


PUBLISH = bytes((2 << 1 | 1, 3)) + b"\x32\x08\x00\x01a\x00\x01abc"


def test_a_decoder_that_raises_anything_else_is_found(monkeypatch):
    def spoil(packet):
        raise IndexError("out of range")

    spoiled(monkeypatch, spoil)
    assert find(decoder.run, PUBLISH).place.startswith("IndexError")


def test_a_packet_that_does_not_survive_being_written_is_found(monkeypatch):
    seen = []

    def spoil(packet):
        if isinstance(packet, Publish):
            seen.append(packet)
            return Publish.create("b" * len(seen), b"", 1, packet_id=7)
        return packet

    spoiled(monkeypatch, spoil)
    assert "becomes" in find(decoder.run, PUBLISH).story


def test_a_message_that_is_acknowledged_and_lost_is_found(monkeypatch):
    monkeypatch.setattr(session.Pair, "look", keeps_a_lie(session.Pair.look))
    assert "came 0 times" in find(session.run, session.seeds()[0]).story


def keeps_a_lie(look):
    """Have the pair be promised a message that was never sent."""

    def lying(pair):
        look(pair)
        pair.promised.append((b"never sent", 1))

    return lying


def test_an_internal_error_is_found(monkeypatch):
    def defect(*given):
        raise KeyError("a defect")

    monkeypatch.setattr(session, "_seen", defect)
    data = next(data for data in session.seeds() if find(session.run, data) is not None)
    assert "internal error" in find(session.run, data).story


def test_a_client_that_reports_twice_is_found(monkeypatch):
    real = client.Outgoing

    class Twice(real):
        """Told of one end by two callers."""

        __slots__ = ()

    def made(topic, payload, flags, properties, receipt):
        receipt.ends = 1
        return Twice(topic, payload, flags, properties, receipt)

    monkeypatch.setattr(client, "Outgoing", made)
    assert any(find(client.run, data) is not None for data in client.seeds())


def test_a_damaged_record_that_passes_is_found(monkeypatch):
    monkeypatch.setattr(records.tables, "decode", lambda key, stored: (key, stored))
    assert any(find(records.run, data) is not None for data in records.seeds())


def test_a_finding_is_made_smaller_and_stays_the_same():
    def run(data):
        if b"bad" in data:
            raise ValueError("bad")
        if b"worse" in data:
            raise KeyError("worse")

    defect = find(run, b"some worse bytes before the bad ones")
    assert smaller(run, defect, 5.0).data == b"bad"


@pytest.mark.parametrize("packet", [PingReq()])
def test_what_is_right_is_no_finding(packet):
    assert find(decoder.run, bytes((2 << 1 | 1, 0)) + b"\xc0\x00") is None
