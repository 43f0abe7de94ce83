"""The protocol half of the Python client, and a server that says anything: the application is told of an error, or not
at all, and what it publishes is settled once."""

from mombroker.client.protocol import Message, Options, Outgoing, Session, Wish
from mombroker.model.errors import MombrokerError
from mombroker.mqtt import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingResp,
    ProtocolError,
    Publish,
    SubAck,
    SubscribeFilter,
    UnsubAck,
)
from mombroker.mqtt.packet_types import CONNACK, DISCONNECT, PUBLISH, SUBACK, UNSUBACK
from tests.reliability.fuzzing import packets
from tests.reliability.fuzzing.choices import Choices
from tests.reliability.fuzzing.decoder import seeds as packet_seeds
from tests.reliability.fuzzing.defects import says_why

LONGEST = 1024
CLOSED = MombrokerError("closed")


class Receipt:
    """Waits for the end of a publish or of a subscription, which comes once."""

    def __init__(self) -> None:
        self.ends = 0

    def settled(self, reason: int, text: str) -> None:
        self._end()

    def answered(self, reasons: list[int], text: str) -> None:
        self._end()

    def broken(self, error: MombrokerError) -> None:
        self._end()

    def _end(self) -> None:
        self.ends += 1
        assert self.ends == 1, "told twice"


class Application:
    """Takes what the session tells, and acknowledges it when the script says so."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def wants_write(self) -> None:
        """The script takes what there is."""

    def let_in(self, session_present: bool) -> None:
        """No matter."""

    def refused(self, reason: int, text: str) -> None:
        assert reason >= 0x80

    def dismissed(self, reason: int, text: str) -> None:
        """No matter."""

    def received(self, message: Message, publish: Publish) -> None:
        self.messages.append(message)


class Script:
    """A byte script: what the server sends, what the application does, when the connection breaks."""

    def __init__(self, data: bytes) -> None:
        self.choices = choices = Choices(data)
        options = Options(
            "c",
            clean_start=choices.flag(),
            session_expiry=choices.pick((0, 60)),
            receive_maximum=choices.pick((1, 3, 1000)),
            inflight_maximum=choices.pick((1, 3, 16_384)),
            maximum_packet_size=choices.pick((100, 268_435_460)),
            topic_alias_maximum=choices.pick((0, 1, 64)),
        )
        self.application = Application()
        self.session = Session(options, self.application)
        self.receipts: list[Receipt] = []
        self.connected = False
        self.written = Decoder(True)
        self.actions = (
            self.say,
            self.say,
            self.say,
            self.say_raw,
            self.publish,
            self.subscribe,
            self.acknowledge,
            self.reconnect,
            self.introduce,
            self.tick,
        )

    def run(self) -> None:
        """The whole script, and the end of the client."""
        self.reconnect()
        while self.choices.left:
            self.choices.pick(self.actions)()
            self.check()
        self.session.lost()
        self.session.abandon(CLOSED)
        assert all(receipt.ends == 1 for receipt in self.receipts), "somebody waits for ever"

    def feed(self, data: bytes) -> None:
        """Bytes from the server."""
        if not self.connected:
            return
        try:
            self.session.feed(data)
        except ProtocolError as error:
            says_why(error)
            self.take()
            self.session.lost()
            self.connected = False

    def say(self) -> None:
        """A packet or a few, half of one now and then."""
        wire = b"".join(packets.encoded(server_packet(self.choices), 5) for _ in range(self.choices.number(2) + 1))
        if self.choices.rarely():
            wire = wire[: self.choices.number(30)]
        self.feed(wire)

    def say_raw(self) -> None:
        """Any bytes."""
        self.feed(self.choices.blob(64))

    def introduce(self) -> None:
        """A new connection that is let in."""
        self.reconnect()
        connack = ConnAck(self.choices.flag(), 0, packets.properties(self.choices, CONNACK))
        self.feed(packets.encoded(connack, 5))

    def publish(self) -> None:
        """The application publishes."""
        topic = b"x" * self.choices.pick((1, 50, 60))
        flags = self.choices.number(2) << 1 | self.choices.number(1)
        receipt = Receipt()
        self.receipts.append(receipt)
        self.session.outbound.publish(Outgoing(topic, self.choices.blob(50), flags, b"", receipt))

    def subscribe(self) -> None:
        """The application subscribes, or ends that."""
        receipt = Receipt()
        self.receipts.append(receipt)
        filters = [SubscribeFilter("a/#", 1), SubscribeFilter("b", 2)][: self.choices.number(1) + 1]
        self.session.subscriptions.ask(Wish(filters, self.choices.number(2), receipt, self.choices.flag()))

    def acknowledge(self) -> None:
        """The application is done with a message."""
        if self.application.messages:
            message = self.choices.pick(self.application.messages[-200:])
            message.settle(self.choices.pick((0, 0, 0x80)), None)
            assert not message.ack(), "acknowledged twice"

    def reconnect(self) -> None:
        """The connection breaks, and there is another one."""
        self.session.lost()
        self.session.opened()
        self.connected = True
        self.written = Decoder(True)

    def tick(self) -> None:
        """A third of the keep-alive has passed."""
        if self.connected and not self.session.tick():
            self.session.lost()
            self.connected = False

    def take(self) -> None:
        """What the client writes is what a server takes."""
        self.written.feed(self.session.outbox.take())
        try:
            packet = self.written.next()
            while packet is not None:
                assert isinstance(packet, Connect) or self.session.client_id is not None
                packet = self.written.next()
        except ProtocolError as error:
            raise AssertionError(f"the client writes what no client may send: {error}") from error
        assert self.written.buffered() == 0, "half a packet is written"

    def check(self) -> None:
        """What holds after each step."""
        if self.connected:
            self.take()
        outbound = self.session.outbound
        assert 0 <= outbound.open <= max(outbound.window, 0) or not outbound.connected, "more in flight than allowed"
        counted = sum(message.counted for message in outbound.inflight.values())
        assert outbound.open == counted, f"{outbound.open} are open, {counted} are counted"
        waiting = sum(1 for receipt in self.receipts if not receipt.ends)
        assert waiting >= outbound.pending, "somebody is told before the end"


def server_packet(choices: Choices) -> Packet:
    """Any packet of a server."""
    kind = choices.pick((PUBLISH, PUBLISH, 4, 5, 6, 7, SUBACK, UNSUBACK, CONNACK, DISCONNECT, 15, 13))
    packet_id = choices.pick((1, 2, 3, 4, 0xFFFF, 0))
    if kind == PUBLISH:
        qos = choices.number(2)
        topic = packets.text(choices, packets.TOPICS)
        content, given = choices.blob(40), packets.properties(choices, PUBLISH)
        return Publish.create(topic, content, qos, choices.flag(), choices.flag(), packet_id if qos else 0, given)
    if 4 <= kind <= 7:
        return Ack(kind, packet_id, choices.pick((0, 0x10, 0x80, 0x92, 0x97)), packets.properties(choices, kind))
    if kind == SUBACK:
        reasons = [choices.pick((0, 1, 2, 0x80, 0x9E)) for _ in range(choices.number(3))]
        return SubAck(packet_id, reasons, packets.properties(choices, SUBACK))
    if kind == UNSUBACK:
        reasons = [choices.pick((0, 0x11, 0x80)) for _ in range(choices.number(3))]
        return UnsubAck(packet_id, reasons, packets.properties(choices, UNSUBACK))
    if kind == CONNACK:
        return ConnAck(choices.flag(), choices.pick((0, 0x80, 0x87)), packets.properties(choices, CONNACK))
    if kind == DISCONNECT:
        return Disconnect(choices.pick((0, 0x80, 0x8E)), packets.properties(choices, DISCONNECT))
    return PingResp() if kind == 13 else Auth(choices.pick((0, 0x18)), packets.properties(choices, 15))


def run(data: bytes) -> None:
    """One script."""
    Script(data[:LONGEST]).run()


def seeds() -> list[bytes]:
    """Each action behind a CONNACK, and every packet of the tests that a server may send."""
    start = bytes((0, 1, 1, 1, 1, 1, 8, 0, 0))
    found = [start + bytes((action, 1, 2, 3, 4, 5, 6, 7)) * 6 for action in range(10)]
    for seed in packet_seeds():
        if not seed[0] & 1 and len(seed) < 66:
            found.append(start + bytes((4, 1, 2, 3, 3, len(seed) - 2)) + seed[2:])
    return found
