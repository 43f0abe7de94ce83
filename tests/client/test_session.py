"""The session core, a packet at a time: no socket, no clock."""

import pytest

from mombroker.client.protocol import Message, Options, Outgoing, Session, Wish
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import (
    PACKET_TOO_LARGE,
    PROTOCOL_ERROR,
    QOS_NOT_SUPPORTED,
    RECEIVE_MAXIMUM_EXCEEDED,
    RETAIN_NOT_SUPPORTED,
    TOPIC_ALIAS_INVALID,
)
from mombroker.mqtt import (
    V5,
    Ack,
    Auth,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    ProtocolError,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    encode,
)
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL

from .model_server import properties


class Application:
    """Keeps what the session tells."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.messages: list[Message] = []

    def wants_write(self) -> None:
        self.told.append("write")

    def let_in(self, session_present: bool) -> None:
        self.told.append(("in", session_present))

    def refused(self, reason: int, text: str) -> None:
        self.told.append(("refused", reason, text))

    def dismissed(self, reason: int, text: str) -> None:
        self.told.append(("dismissed", reason, text))

    def received(self, message: Message, publish: Publish) -> None:
        self.messages.append(message)


class Ends(list):
    """A receipt or answer that keeps what it is told."""

    def settled(self, reason: int, text: str) -> None:
        self.append((reason, text))

    def answered(self, reasons: list[int], text: str) -> None:
        self.append((reasons, text))

    def broken(self, error: MombrokerError) -> None:
        self.append(error)


class Peer:
    """A session with its application, and the server's end of the wire."""

    def __init__(self, **options: object) -> None:
        options.setdefault("session_expiry", 60)
        self.application = Application()
        self.session = Session(Options("c", **options), self.application)
        self.decoder = Decoder(True)

    def open(self, present: bool = False, **limits: object) -> Connect:
        """A new connection that the server accepts; the CONNECT."""
        self.decoder = Decoder(True)
        self.session.opened()
        (connect,) = self.sent()
        self.give(ConnAck(present, 0, properties(**limits) if limits else None))
        assert isinstance(connect, Connect)
        return connect

    def reopen(self, present: bool = True, **limits: object) -> list[Packet]:
        """Break the connection and make a new one; what is sent after the CONNACK."""
        self.session.lost()
        self.open(present, **limits)
        return self.sent()

    def give(self, *packets: Packet) -> None:
        """The server sends packets."""
        self.session.feed(b"".join(encode(packet, V5) for packet in packets))

    def sent(self) -> list[Packet]:
        """What the session has sent since the last look."""
        self.decoder.feed(self.session.outbox.take())
        packets = []
        while (packet := self.decoder.next()) is not None:
            packets.append(packet)
        return packets

    def publish(self, payload: bytes = b"p", qos: int = 1, topic: bytes = b"t", retain: bool = False) -> Ends:
        """Hand a publish over; what becomes of it."""
        ends = Ends()
        self.session.outbound.publish(Outgoing(topic, payload, qos << 1 | retain, b"", ends))
        return ends

    def message(self, payload: bytes, qos: int = 0, packet_id: int = 0, dup: bool = False, **given: object) -> None:
        """The server sends a message."""
        self.give(Publish.create("t", payload, qos, False, dup, packet_id, properties(**given) if given else None))


@pytest.fixture
def peer() -> Peer:
    made = Peer()
    made.open()
    return made


def test_the_connect_says_who_we_are_and_what_we_can_take():
    will = None
    peer = Peer(username="u", password=b"p", keep_alive=7, receive_maximum=9, topic_alias_maximum=3, will=will)
    connect = peer.open()
    assert (connect.client_id, connect.username, connect.password, connect.keep_alive) == ("c", "u", b"p", 7)
    given = connect.properties
    assert (given.session_expiry, given.receive_maximum, given.topic_alias_maximum) == (60, 9, 3)
    assert given.request_response_information == 1


def test_only_the_first_connection_starts_clean_and_only_where_a_session_outlives_it(peer):
    peer.session.lost()
    assert not peer.open(present=True).clean_start
    forgetful = Peer(session_expiry=0)
    assert forgetful.open().clean_start
    forgetful.session.lost()
    assert forgetful.open().clean_start


def test_a_refusal_is_told_with_its_text():
    peer = Peer()
    peer.session.opened()
    peer.give(ConnAck(False, 0x87, properties(reason_string="no")))
    assert ("refused", 0x87, "no") in peer.application.told


@pytest.mark.parametrize("packet", [PingResp(), Publish.create("t", b""), SubAck(1, [0])])
def test_a_server_that_does_not_begin_with_a_connack_is_not_listened_to(packet):
    peer = Peer()
    peer.session.opened()
    with pytest.raises(ProtocolError):
        peer.give(packet)
    assert [type(sent) for sent in peer.sent()] == [Connect]


def test_a_session_that_was_to_be_new_must_not_be_an_old_one():
    peer = Peer()
    peer.session.opened()
    with pytest.raises(ProtocolError):
        peer.give(ConnAck(True, 0))


@pytest.mark.parametrize("packet", [ConnAck(False), Auth(0x18, properties(auth_method="x"))])
def test_what_has_no_place_ends_the_connection_with_the_reason(peer, packet):
    with pytest.raises(ProtocolError):
        peer.give(packet)
    assert [(type(sent), sent.reason) for sent in peer.sent()] == [(Disconnect, PROTOCOL_ERROR)]


def test_publishes_wait_for_the_connection_and_keep_their_order():
    peer = Peer()
    for number in range(3):
        peer.publish(b"%d" % number, qos=number)
    peer.open()
    assert [packet.payload() for packet in peer.sent()] == [b"0", b"1", b"2"]


def test_the_servers_receive_maximum_is_kept_and_each_acknowledgement_lets_the_next_one_go():
    peer = Peer()
    peer.open(receive_maximum=2)
    ends = [peer.publish(b"%d" % number, qos=1 + number % 2) for number in range(4)]
    first, second = peer.sent()
    peer.give(Ack(PUBACK, first.packet_id))
    assert [packet.payload() for packet in peer.sent()] == [b"2"]
    peer.give(Ack(PUBREC, second.packet_id))
    assert [(packet.type, packet.packet_id) for packet in peer.sent()] == [(PUBREL, second.packet_id)]
    peer.give(Ack(PUBCOMP, second.packet_id))
    assert [packet.payload() for packet in peer.sent()] == [b"3"]
    assert ends == [[(0, "")], [(0, "")], [], []]


def test_our_own_bound_on_messages_in_flight_is_kept_as_well():
    peer = Peer(inflight_maximum=1)
    peer.open()
    peer.publish()
    peer.publish()
    assert len(peer.sent()) == 1
    assert not peer.session.outbound.has_room


def test_what_was_sent_is_sent_again_as_a_duplicate_under_its_identifier_before_anything_new(peer):
    peer.publish(b"1")
    peer.publish(b"2", qos=2)
    ids = [packet.packet_id for packet in peer.sent()]
    peer.session.lost()
    peer.publish(b"3")
    peer.open(present=True)
    again = peer.sent()
    assert [(packet.payload(), packet.dup) for packet in again] == [(b"1", True), (b"2", True), (b"3", False)]
    assert [packet.packet_id for packet in again[:2]] == ids


def test_after_a_pubrec_only_the_pubrel_is_sent_again(peer):
    ends = peer.publish(b"1", qos=2)
    (packet,) = peer.sent()
    peer.give(Ack(PUBREC, packet.packet_id))
    again = peer.reopen()
    assert [(sent.type, sent.packet_id) for sent in again] == [(PUBREL, packet.packet_id)]
    peer.give(Ack(PUBCOMP, packet.packet_id))
    assert ends == [(0, "")]


def test_where_the_session_is_lost_what_the_server_has_taken_is_done_and_the_rest_is_new(peer):
    taken = peer.publish(b"1", qos=2)
    unknown = peer.publish(b"2", qos=2)
    peer.give(Ack(PUBREC, peer.sent()[0].packet_id))
    again = peer.reopen(present=False)
    assert [(sent.payload(), sent.dup) for sent in again] == [(b"2", False)]
    assert (taken, unknown) == ([(0, "")], [])


def test_a_smaller_receive_maximum_after_a_reconnect_is_kept_too(peer):
    for number in range(3):
        peer.publish(b"%d" % number)
    peer.sent()
    (first,) = peer.reopen(receive_maximum=1)
    peer.give(Ack(PUBACK, first.packet_id))
    assert [packet.payload() for packet in peer.sent()] == [b"1"]


def test_a_refusal_of_a_publish_is_its_end(peer):
    ends = [peer.publish(qos=1), peer.publish(qos=2)]
    one, two = peer.sent()
    peer.give(Ack(PUBACK, one.packet_id, 0x97, properties(reason_string="full")), Ack(PUBREC, two.packet_id, 0x87))
    assert ends == [[(0x97, "full")], [(0x87, "")]]
    assert peer.session.outbound.pending == 0
    assert peer.sent() == []


def test_acknowledgements_of_nothing_do_no_harm(peer):
    peer.give(Ack(PUBACK, 9), Ack(PUBCOMP, 9), Ack(PUBREC, 9), UnsubAck(9, [0]), SubAck(9, [0]))
    assert [(sent.type, sent.reason) for sent in peer.sent()] == [(PUBREL, 0x92)]


def test_what_the_server_cannot_take_is_refused_here_and_does_not_hold_the_window():
    peer = Peer()
    peer.open(maximum_qos=1, retain_available=0, maximum_packet_size=20, receive_maximum=1)
    ends = [peer.publish(qos=2), peer.publish(retain=True), peer.publish(b"x" * 20), peer.publish(b"x")]
    assert [end[0][0] for end in ends[:3]] == [QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED, PACKET_TOO_LARGE]
    assert [packet.payload() for packet in peer.sent()] == [b"x"]


def test_long_topics_become_aliases_short_ones_do_not_and_a_new_connection_begins_anew():
    peer = Peer()
    peer.open(topic_alias_maximum=1)
    long, other = b"a" * 50, b"b" * 50
    for topic in (long, b"short", long, other):
        peer.publish(topic=topic, qos=0)
    sent = [(packet.topic, packet.properties.topic_alias if packet.properties else None) for packet in peer.sent()]
    assert sent == [(long, 1), (b"short", None), (b"", 1), (other, None)]
    peer.session.lost()
    peer.open(present=True, topic_alias_maximum=1)
    peer.publish(topic=other, qos=0)
    assert [packet.topic for packet in peer.sent()] == [other]


def test_the_end_of_the_client_is_told_to_everybody_who_waits(peer):
    error = MombrokerError("the end")
    asked = Ends()
    waiting = [peer.publish(), peer.publish(qos=2), asked]
    peer.session.subscriptions.ask(Wish([SubscribeFilter("a")], 1, asked, False))
    peer.session.lost()
    waiting.append(peer.publish())
    peer.session.abandon(error)
    assert waiting == [[error]] * 4


# ── messages from the server ──


def test_messages_are_acknowledged_when_the_application_says_so(peer):
    peer.message(b"0")
    peer.message(b"1", 1, 5)
    peer.message(b"2", 2, 6)
    assert peer.sent() == []
    assert [message.ack() for message in peer.application.messages] == [False, True, True]
    assert [(sent.type, sent.packet_id) for sent in peer.sent()] == [(PUBACK, 5), (PUBREC, 6)]
    peer.give(Ack(PUBREL, 6))
    assert [(sent.type, sent.packet_id) for sent in peer.sent()] == [(PUBCOMP, 6)]
    assert not peer.application.messages[1].ack()


def test_a_message_can_be_refused_with_a_reason(peer):
    peer.message(b"1", 1, 5)
    peer.application.messages[0].settle(0x83, properties(reason_string="later"))
    (sent,) = peer.sent()
    assert (sent.reason, sent.properties.reason_string) == (0x83, "later")


def test_a_qos_1_message_of_a_connection_that_is_gone_cannot_be_acknowledged_any_more(peer):
    peer.message(b"1", 1, 5)
    (message,) = peer.application.messages
    peer.session.lost()
    assert message.stale
    peer.open(present=True)
    assert not message.ack()
    peer.message(b"1", 1, 5, dup=True)
    assert [found.duplicate for found in peer.application.messages] == [False, True]


def test_a_qos_2_message_is_handed_over_once_and_acknowledged_on_whichever_connection_there_is(peer):
    peer.message(b"1", 2, 5)
    peer.session.lost()
    peer.open(present=True)
    peer.message(b"1", 2, 5, dup=True)
    (message,) = peer.application.messages
    assert message.ack()
    peer.message(b"1", 2, 5, dup=True)
    assert [(sent.type, sent.packet_id) for sent in peer.sent()] == [(PUBREC, 5), (PUBREC, 5)]
    assert len(peer.application.messages) == 1


def test_a_lost_session_makes_the_identifier_of_a_qos_2_message_free_for_another_one(peer):
    peer.message(b"old", 2, 5)
    peer.session.lost()
    peer.open(present=False)
    peer.message(b"new", 2, 5)
    old, new = peer.application.messages
    assert (new.payload, old.ack(), new.ack()) == (b"new", False, True)


def test_a_pubrel_for_nothing_is_answered_with_not_found(peer):
    peer.give(Ack(PUBREL, 5))
    assert [(sent.type, sent.reason) for sent in peer.sent()] == [(PUBCOMP, 0x92)]


def test_more_unacknowledged_messages_than_agreed_end_the_connection():
    peer = Peer(receive_maximum=1)
    peer.open()
    peer.message(b"1", 1, 1)
    with pytest.raises(ProtocolError):
        peer.message(b"2", 1, 2)
    assert peer.sent()[-1].reason == RECEIVE_MAXIMUM_EXCEEDED


def test_aliases_of_the_server_stand_for_their_topics(peer):
    peer.give(Publish.create("long/topic", b"1", properties=properties(topic_alias=1)))
    peer.give(Publish.create("", b"2", properties=properties(topic_alias=1)))
    assert [message.topic for message in peer.application.messages] == ["long/topic", "long/topic"]


@pytest.mark.parametrize("alias", [2, 65])
def test_an_alias_that_stands_for_nothing_ends_the_connection(peer, alias):
    with pytest.raises(ProtocolError):
        peer.give(Publish.create("", b"2", properties=properties(topic_alias=alias)))
    assert peer.sent()[-1].reason == TOPIC_ALIAS_INVALID


def test_a_message_shared_by_two_receivers_is_acknowledged_when_both_have_done_so(peer):
    publish = Publish.create("t", b"1", 1, False, False, 5, Properties())
    peer.give(publish)
    (message,) = peer.application.messages
    other = message.share(publish)
    assert message.ack()
    assert peer.sent() == []
    assert other.ack()
    assert [sent.packet_id for sent in peer.sent()] == [5]


# ── subscriptions and signs of life ──


def test_subscriptions_are_asked_for_again_only_where_the_session_is_lost(peer):
    peer.session.subscriptions.ask(Wish([SubscribeFilter("a", 1), SubscribeFilter("b", 1)], 7, None, False))
    (subscribe,) = peer.sent()
    assert (len(subscribe.filters), subscribe.properties.subscription_ids) == (2, [7])
    peer.give(SubAck(subscribe.packet_id, [1, 0x87]))
    assert peer.reopen(present=True) == []
    (again,) = peer.reopen(present=False)
    assert isinstance(again, Subscribe)
    assert [entry.filter for entry in again.filters] == ["a"]


def test_a_request_that_was_not_answered_is_made_again(peer):
    answer = Ends()
    peer.session.subscriptions.ask(Wish([SubscribeFilter("a")], 0, answer, False))
    peer.sent()
    (again,) = peer.reopen(present=True)
    peer.give(SubAck(again.packet_id, [0]))
    assert answer == [([0], "")]


def test_an_ended_subscription_is_not_asked_for_again(peer):
    peer.session.subscriptions.ask(Wish([SubscribeFilter("a")], 0, None, False))
    peer.give(SubAck(peer.sent()[0].packet_id, [0]))
    peer.session.subscriptions.ask(Wish([SubscribeFilter("a")], 0, None, True))
    (unsubscribe,) = peer.sent()
    assert isinstance(unsubscribe, Unsubscribe)
    peer.give(UnsubAck(unsubscribe.packet_id, [0]))
    assert peer.reopen(present=False) == []


def test_a_server_without_subscription_identifiers_is_sent_none():
    peer = Peer()
    peer.open(subscription_ids_available=0)
    peer.session.subscriptions.ask(Wish([SubscribeFilter("a")], 7, None, False))
    assert peer.sent()[0].properties is None


def test_a_server_that_answers_pings_is_alive_and_one_that_does_not_is_dead(peer):
    assert peer.session.tick()
    assert [type(sent) for sent in peer.sent()] == [PingReq]
    peer.give(PingResp())
    assert peer.session.tick()
    assert not peer.session.tick()


def test_the_servers_keep_alive_counts(peer):
    assert peer.session.keep_alive == 60
    peer.reopen(present=True, server_keep_alive=5)
    assert peer.session.keep_alive == 5


@pytest.mark.parametrize("keep", [True, False])
def test_saying_goodbye_ends_the_session_unless_it_is_to_stay(peer, keep):
    peer.session.closing(keep)
    (goodbye,) = peer.sent()
    assert (goodbye.properties is None) == keep


def test_a_goodbye_of_the_server_is_told(peer):
    peer.give(Disconnect(0x8E, properties(reason_string="another")))
    assert ("dismissed", 0x8E, "another") in peer.application.told


def test_bytes_may_come_one_at_a_time(peer):
    for byte in encode(Publish.create("t", b"one", properties=properties(content_type="text/plain")), V5):
        peer.session.feed(bytes((byte,)))
    assert peer.application.messages[0].content_type == "text/plain"
