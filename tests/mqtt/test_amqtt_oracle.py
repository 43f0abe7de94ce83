"""amqtt reads and writes MQTT 3.1.1 with code of its own: on valid packets the two codecs must agree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mombroker.mqtt import Decoder, encode
from mombroker.mqtt.packet_types import packet_name

from . import strategies

pytest.importorskip("amqtt")

from amqtt.adapters import BufferReader
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket


def run(coroutine):
    """Run a coroutine that has nothing to wait for, since all its bytes are there."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the oracle waits for more bytes than the packet has")


def read_with_amqtt(wire):
    reader = BufferReader(wire)
    header = run(MQTTFixedHeader.from_stream(reader))
    return run(packet_class(header).from_stream(reader, fixed_header=header))


def read_with_ours(wire, from_client):
    decoder = Decoder(from_client, 0 if wire[0] >> 4 == 1 else 4)
    decoder.feed(wire)
    found = decoder.next()
    assert decoder.buffered() == 0
    return found


PACKETS = st.one_of(strategies.packets(4, from_client=True), strategies.packets(4, from_client=False))


@settings(max_examples=300)
@given(PACKETS)
def test_amqtt_reads_what_we_write_and_writes_the_same(packet):
    wire = encode(packet, 4)
    theirs = read_with_amqtt(wire)
    assert theirs.fixed_header.packet_type == packet.type, packet_name(packet.type)
    assert theirs.to_bytes() == wire


@settings(max_examples=100)
@given(strategies.connects(4).filter(lambda packet: packet.client_id), strategies.TEXTS)
def test_amqtt_reads_our_connect_and_writes_the_same(packet, password):
    if packet.password is not None:
        packet.password = password.encode()  # amqtt takes passwords for text
    wire = encode(packet, 4)
    theirs = read_with_amqtt(wire)
    assert theirs.to_bytes() == wire
    assert theirs.client_id == packet.client_id
    assert theirs.clean_session_flag == packet.clean_start
    assert theirs.keep_alive == packet.keep_alive
    assert theirs.username == packet.username
    assert theirs.password == (None if packet.password is None else password)
    assert theirs.will_topic == (packet.will.topic if packet.will else None)
    assert theirs.will_message == (packet.will.payload if packet.will else None)


@given(strategies.publishes(4, from_client=True))
def test_we_read_the_publish_that_amqtt_writes(packet):
    topic = packet.topic.decode()
    theirs = PublishPacket.build(
        topic, packet.payload(), packet.packet_id or None, packet.dup, packet.qos, packet.retain
    )
    assert read_with_ours(theirs.to_bytes(), from_client=True) == packet


@given(strategies.subscribes(4))
def test_we_read_the_subscribe_that_amqtt_writes(packet):
    theirs = SubscribePacket.build([(entry.filter, entry.qos) for entry in packet.filters], packet.packet_id)
    assert read_with_ours(theirs.to_bytes(), from_client=True) == packet


@given(strategies.unsubscribes(4))
def test_we_read_the_unsubscribe_that_amqtt_writes(packet):
    theirs = UnsubscribePacket.build(packet.filters, packet.packet_id)
    assert read_with_ours(theirs.to_bytes(), from_client=True) == packet


@given(strategies.subacks(4), strategies.connacks(4), strategies.PACKET_IDS)
def test_we_read_the_answers_that_amqtt_writes(suback, connack, packet_id):
    theirs = SubackPacket.build(suback.packet_id, suback.reasons)
    assert read_with_ours(theirs.to_bytes(), from_client=False) == suback
    theirs = ConnackPacket.build(int(connack.session_present), connack.reason)
    assert read_with_ours(theirs.to_bytes(), from_client=False) == connack
    theirs = PubackPacket.build(packet_id)
    assert read_with_ours(theirs.to_bytes(), from_client=False).packet_id == packet_id
