"""Simulated MQTT clients: real bytes, their own session state as the specification wants it, and no haste."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from mombroker.mqtt import (
    Ack,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    Properties,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
)
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL, V5

from .actors import Action
from .config import FILTERS, SHARED_FILTERS, TOPICS, WILL_TOPICS
from .found import Found
from .oracle import Account, Sent, Sub
from .world import Link

if TYPE_CHECKING:
    from .run import Run

FOREVER = 0xFFFFFFFF
QUOTA_EXCEEDED = 0x97
NOT_AUTHORIZED = 0x87


class Done:
    """A mark: the broker has read the acknowledgement of a message."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Gone:
    """A mark: the broker has read a publish of QoS 0."""

    __slots__ = ("sent",)

    def __init__(self, sent: Sent) -> None:
        self.sent = sent


class Goodbye:
    """A mark: the broker has read a DISCONNECT that asks for no will."""

    __slots__ = ("will",)

    def __init__(self, will: Sent | None) -> None:
        self.will = will


class Client:
    """One client identifier, over all its connections."""

    def __init__(self, run: "Run", number: int, version: int) -> None:
        self.run = run
        self.world = run.world
        self.oracle = run.oracle
        self.config = run.config
        self.client_id = f"c{number}"
        self.account: Account = run.oracle.account(self.client_id)
        self.version = version
        self.link: Link | None = None
        self.old_links: list[Link] = []
        self.doomed: list[Sent] = []
        self.connected = False
        self.accepted = False
        self.leaving = False
        self.must_clean = True
        self.may_be_gone = False
        self.has_state = False
        self.ended = False
        self.wants: dict[str, Any] = {}
        self.expiry = 0
        self.left_at = 0.0
        self.prompt = True
        self.acks: deque[tuple[int, int, int]] = deque()
        self.pending: dict[int, int] = {}
        self.received: dict[int, int] = {}
        self.unacked: dict[int, tuple[Sent, Publish]] = {}
        self.released: dict[int, None] = {}
        self.asked: dict[int, list[Sub]] = {}
        self.removing: dict[int, list[Sub]] = {}
        self.next_id = 0
        self.window = 0
        self.largest = 0
        self.aliases_in: dict[int, bytes] = {}
        self.aliases_out: dict[str, int] = {}
        self.alias_room = 0
        self.quota = 65535
        self.decoder = Decoder(False, version)
        self.will: Sent | None = None
        self.wills: list[Sent] = []
        self.goodbyes: list[Sent] = []
        self.packets = 0

    # -- what it does

    def actions(self) -> list[tuple[float, str, Action]]:
        run = self.run
        return [
            (1.0, "connect", self.connect),
            (0.3, "take over", lambda rng: self.connect(rng, takeover=True)),
            (0.5, "cut", self.cut),
            (0.3, "disconnect", self.disconnect),
            (1.0, "subscribe", self.subscribe),
            (0.3, "unsubscribe", self.unsubscribe),
            (6.0, "publish", self.publish),
            (3.0, "acknowledge", self.acknowledge),
            (0.4, "stop acknowledging", self.hesitate),
            (0.2, "stall", self.stall),
            (0.2, "ping", self.ping),
        ] + ([(0.1, "be a stranger", self.be_a_stranger)] if run.config.authorizes else [])

    def connect(self, rng: Random, takeover: bool = False, settling: bool = False) -> None:
        """Open a connection and send CONNECT."""
        if self.link is not None:
            if self.connected and not takeover:
                return
            if takeover and self.accepted:
                # One whose CONNECT may still be on its way would come after the new one, and take the session over.
                self.old_links.append(self.link)
                self._leave(told=False)
            else:
                self.run.world.cut(self.link)
        if self._may_have_expired() and not self.must_clean:
            # Its own state has expired, too.
            self._begin_anew()
            self.must_clean = self.version == 3 or rng.random() < 0.5
        clean = self.must_clean or (rng.random() < 0.15 and not settling)
        lasting = rng.random() < 0.75 or settling and self.account.lasting
        if self.version != V5:
            clean = clean or not lasting
        if self.version != V5 and clean and lasting:
            # A clean session of MQTT 3 ends with its connection; the next one can be a lasting one.
            lasting = False
        self._open()
        if clean:
            self._begin_anew()
            self.must_clean = True
        self.wants = {"clean": clean, "lasting": lasting}
        for will in self.wills:
            if will.armed:
                will.witnesses = []  # if this CONNECT comes in time, it will not be published
        if not lasting:
            self.may_be_gone = True
        self._send_connect(rng, clean, lasting, settling)

    def _may_have_expired(self) -> bool:
        return self.expiry != FOREVER and self.world.latest >= self.left_at + self.expiry

    def _open(self) -> None:
        self.link = self.world.connect(self)
        self.decoder = Decoder(False, self.version)
        self.aliases_in = {}
        self.aliases_out = {}
        self.accepted = self.leaving = False
        self.connected = True
        self.acks.clear()
        self.pending.clear()
        self.asked.clear()
        self.removing.clear()

    def _begin_anew(self) -> None:
        """The client starts a session of its own: what it knew of the old one is forgotten."""
        for will in self.wills:
            will.due = 0.0
        # What is on its way on a connection that was given up may still be taken.
        self.doomed += [sent for sent, _ in self.unacked.values()]
        self._forget_doomed()
        self.has_state = False
        self.unacked.clear()
        self.released.clear()
        self.received.clear()
        self.oracle.unsure(self.account)

    def _forget_doomed(self) -> None:
        if not self.old_links:
            for sent in self.doomed:
                self.oracle.forgotten(sent)
            self.doomed.clear()

    def _send_connect(self, rng: Random, clean: bool, lasting: bool, settling: bool) -> None:
        given = Properties()
        self.window = 65535
        self.largest = 0
        self.alias_room = 0
        expiry = 0 if self.version == V5 or clean else FOREVER
        if self.version == V5:
            if lasting:
                expiry = rng.choice((20, 60, FOREVER)) if self.config.expiring else FOREVER
                if settling:
                    expiry = FOREVER
                given.session_expiry = expiry
            if self.config.small_windows and rng.random() < 0.5:
                self.window = given.receive_maximum = rng.choice((1, 2, 7))
            if rng.random() < 0.3:
                self.alias_room = given.topic_alias_maximum = rng.choice((1, 5))
        self.wants["expiry"] = expiry
        self.expiry = min(self.expiry, expiry)
        will = None if settling else self._new_will(rng, clean)
        self._send(Connect(self.client_id, self.version, clean, 0, None, None, will, given))

    def _new_will(self, rng: Random, clean: bool) -> Will | None:
        self.will = None
        if rng.random() < 0.6:
            return None
        topic = rng.choice(WILL_TOPICS)
        sent = self.oracle.publishing(self.account, topic, rng.choice((0, 1, 2)), False, 0)
        payload = self._payload(sent, 0)
        sent.is_will = True
        sent.witnesses = []
        self.will = sent
        self.wills.append(sent)
        given = Properties()
        if self.version == V5 and rng.random() < 0.5:
            given.will_delay = rng.choice((1, 10, 40))
            sent.life = float(given.will_delay)
        return Will(topic, payload, sent.qos, False, given if self.version == V5 else None)

    def _payload(self, sent: Sent, padding: int) -> bytes:
        payload = b"%d|" % sent.number + b"x" * padding
        sent.size = len(payload)
        return payload

    def be_a_stranger(self, rng: Random) -> None:
        """Somebody whom the hooks do not know tries to connect with this client's identifier."""
        link = self.world.connect(Stranger())
        link.send(encode(Connect(self.client_id, self.version, True, 0, "stranger", b"?"), self.version))

    def cut(self, rng: Random) -> None:
        """The connection breaks: some of what is on its way still arrives, at either end, cut at any byte."""
        link = self.link
        if link is None:
            return
        if link.outgoing and rng.random() < 0.5:
            self.world.carry(link, int(rng.random() * len(link.outgoing)))
        if link.incoming and not link.paused and not link.closing and not link.over and rng.random() < 0.5:
            self.world.feed(link, int(rng.random() * len(link.incoming)))
        self.world.cut(link)

    def disconnect(self, rng: Random) -> None:
        """Say goodbye, or go with a bang: MQTT 5 may ask for its will."""
        link = self.link
        if link is None or not self.accepted:
            return
        reason = 4 if self.version == V5 and rng.random() < 0.3 else 0
        self._send(Disconnect(reason), Goodbye(self.will) if reason == 0 else None)
        self.leaving = True
        if rng.random() < 0.3:
            self.world.cut(link)

    def subscribe(self, rng: Random) -> None:
        """Ask for one to three subscriptions."""
        if not self.accepted:
            return
        wanted: list[SubscribeFilter] = []
        subs: list[Sub] = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            shared = rng.random() < 0.25
            filter = rng.choice(SHARED_FILTERS if shared else FILTERS)
            if filter in [other.filter for other in wanted]:
                continue
            qos = rng.choice((1, 2, 2) if shared else (0, 1, 1, 2, 2, 2))
            item = SubscribeFilter(filter, qos)
            if self.version == V5 and not shared:
                item.no_local = rng.random() < 0.2
                item.retain_as_published = rng.random() < 0.3
                item.retain_handling = rng.choice((0, 0, 1, 2))
            wanted.append(item)
            subs.append(
                self.oracle.subscribing(
                    self.account, filter, qos, item.no_local, item.retain_as_published, item.retain_handling
                )
            )
        packet_id = self._new_id()
        self.asked[packet_id] = subs
        given = None
        if self.version == V5 and rng.random() < 0.3:
            given = Properties()
            given.subscription_ids = [rng.randint(1, 200)]
        self._send(Subscribe(packet_id, wanted, given))

    def unsubscribe(self, rng: Random) -> None:
        """End a subscription, or try to."""
        if not self.accepted:
            return
        filters = list(self.account.subs) or ["a"]
        filter = rng.choice(filters)
        sub = self.oracle.unsubscribing(self.account, filter)
        packet_id = self._new_id()
        self.removing[packet_id] = [] if sub is None else [sub]
        self._send(Unsubscribe(packet_id, [filter]))

    def publish(self, rng: Random) -> None:
        """Publish one to six messages."""
        if not self.accepted:
            return
        for _ in range(rng.choice((1, 1, 2, 6))):
            qos = rng.choice((0, 1, 1, 2, 2))
            if qos and (len(self.unacked) >= self.quota or len(self.unacked) > 200):
                return
            self._publish_one(rng, qos)

    def _publish_one(self, rng: Random, qos: int) -> None:
        topic = rng.choice(TOPICS)
        allowed = self.config.may(self.client_id, "publish", topic) and not self.config.publish_refused(topic)
        if not allowed and self.version != V5:
            return
        retain = topic[0] == "r" or rng.random() < 0.03
        if retain and topic[0] == "s":
            retain = False
        empty = retain and rng.random() < 0.15
        sent = self.oracle.publishing(self.account, topic, qos, retain, 0 if empty else 1)
        sent.tainted = self.oracle.lossy
        payload = b"" if empty else self._payload(sent, rng.choice((0, 0, 5, 300)))
        sent.size = len(payload)
        given = None
        if self.version == V5 and rng.random() < 0.3:
            given = Properties()
            if self.config.expiring and rng.random() < 0.5:
                given.message_expiry = rng.choice((1, 15, 60))
                sent.life = given.message_expiry
        age = self.config.limits.max_message_age
        if age:
            sent.life = min(sent.life, age) if sent.life else age
        if sent.life:
            sent.expires = self.world.now + sent.life
        packet_id = self._new_id() if qos else 0
        packet = Publish.create(topic, payload, qos, retain, False, packet_id, given)
        if qos:
            self.unacked[packet_id] = (sent, packet)
        self._send(self._with_alias(rng, topic, packet, given), Gone(sent) if not qos else None)

    def _with_alias(self, rng: Random, topic: str, packet: Publish, given: Properties | None) -> Publish:
        room = self.config.limits.topic_alias_maximum
        if self.version != V5 or not room or rng.random() < 0.7:
            return packet
        alias = self.aliases_out.get(topic)
        known = alias is not None
        if alias is None:
            if len(self.aliases_out) >= room:
                return packet
            alias = self.aliases_out[topic] = len(self.aliases_out) + 1
        again = Properties()
        if given is not None:
            again.message_expiry = given.message_expiry
        again.topic_alias = alias
        return Publish.create(
            "" if known else topic, packet.payload(), packet.qos, packet.retain, False, packet.packet_id, again
        )

    def acknowledge(self, rng: Random) -> None:
        """Send some of the acknowledgements that were withheld."""
        if not self.accepted:
            return
        if rng.random() < 0.3:
            self.prompt = True
        for _ in range(1 + int(rng.random() * 8)):
            if not self.acks:
                return
            if self.config.sloppy and rng.random() < 0.3:
                self.acks.rotate(int(rng.random() * len(self.acks)))
            self._acknowledge_one()

    def _acknowledge_one(self) -> None:
        if self.leaving:
            self.acks.clear()
            return
        kind, packet_id, number = self.acks.popleft()
        if kind == PUBACK:
            self.pending.pop(packet_id, None)
        self._send(Ack(kind, packet_id), Done(number) if kind in (PUBACK, PUBREC) else None)

    def hesitate(self, rng: Random) -> None:
        """Withhold acknowledgements from now on."""
        self.prompt = False

    def stall(self, rng: Random) -> None:
        """Stop reading, or read again."""
        if self.link is not None:
            self.world.stall(self.link, not self.link.stuck and rng.random() < 0.5)

    def ping(self, rng: Random) -> None:
        """Show a sign of life."""
        if self.accepted:
            self._send(PingReq())

    def _send(self, packet: Packet, mark: Any = None) -> None:
        if self.link is not None and not self.link.over and not self.leaving:
            if self.run.trace is not None:
                self.run.trace(f"    {self.client_id} > {packet}")
            self.link.send(encode(packet, self.version), mark)

    def _new_id(self) -> int:
        while True:
            self.next_id = self.next_id % 65535 + 1
            if self.next_id not in self.unacked:
                return self.next_id

    # -- what comes

    def arrived(self, link: Link, data: bytes) -> None:
        """Bytes of the broker. What comes on a connection that was given up is not read any more."""
        if link is not self.link:
            return
        decoder = self.decoder
        decoder.feed(data)
        while link is self.link:
            packet = decoder.next()
            if packet is None:
                return
            self.packets += 1
            if self.run.trace is not None:
                self.run.trace(f"    {self.client_id} < {packet}")
            if isinstance(packet, Publish):
                self._take(packet)
            elif isinstance(packet, Ack):
                self._take_ack(packet)
            elif isinstance(packet, ConnAck):
                self._take_connack(packet)
            elif isinstance(packet, SubAck):
                for sub, reason in zip(self.asked.pop(packet.packet_id), packet.reasons, strict=True):
                    self.oracle.granted(sub, reason)
            elif isinstance(packet, UnsubAck):
                for sub in self.removing.pop(packet.packet_id):
                    self.oracle.unsubscribed(sub)

    def handled(self, link: Link, mark: Any) -> None:
        """The broker has dealt with what was marked."""
        if isinstance(mark, Done):
            account = self.account
            number = mark.number
            self.world.when_durable(lambda: self.oracle.settled(account, number))
        elif isinstance(mark, Gone):
            self.oracle.forgotten(mark.sent)
        elif isinstance(mark, Goodbye) and mark.will is not None:
            will = mark.will
            self.oracle.forbid(will, "its client had said goodbye")
            # If the broker dies before it has noted that, it does not know of it.
            self.goodbyes.append(will)
            self.world.when_durable(lambda: self.goodbyes.remove(will))

    def closed(self, link: Link) -> None:
        """A connection is over."""
        for _, mark in link.marks:
            if isinstance(mark, Gone):
                self.oracle.forgotten(mark.sent)
        link.marks.clear()
        if link is not self.link:
            if link in self.old_links:
                self.old_links.remove(link)
                self._forget_doomed()
            return
        self._leave()

    def _leave(self, told: bool = True) -> None:
        """The connection is over. ``told``: the broker knows."""
        link = self.link
        self.link = None
        if self.accepted:
            self.left_at = link.ended_at if link is not None and link.closing else self.world.now
            if not self.account.lasting:
                self._begin_anew()
                self.ended = True
        elif not self.has_state or not self.wants.get("lasting"):
            # Whether there is a new session, or the old one, nobody knows.
            self.must_clean = True
        if self.will is not None and not self.will.armed:
            self._arm(self.will, told)
        self.connected = False
        self.accepted = False
        self.acks.clear()
        self.pending.clear()
        if not self.account.lasting or not self.wants.get("lasting"):
            self.oracle.unsure(self.account)
        self.account.connected = False

    def _arm(self, will: Sent, told: bool) -> None:
        """The connection has ended: its will is due, at once or after its delay."""
        will.armed = True
        delay = min(will.life, self.expiry if self.account.lasting else 0)
        will.due = self.world.now + delay if delay else 0.0
        # A will that waits for a hook is lost if the broker dies meanwhile.
        certain = self.accepted and not self.leaving and not self.config.slow_hooks
        certain = certain and not self.oracle.lossy and not self.config.may_reject()
        if told and certain and will.qos and not self.world.dying:
            will.witnesses = self.oracle.witnesses(will)
            if not delay:
                self.world.when_durable(lambda: self.oracle.owe_will(will))

    def died(self) -> None:
        """The broker has died: its links are closed already. A session that counted as connected ends its connection
        when the next broker starts, by that one's clock."""
        self.left_at = min(self.left_at, self.world.now)
        for will in self.goodbyes:
            will.banned = ""
        self.goodbyes.clear()
        for will in self.wills:
            # When it is due now depends on what of its client's end was on disk.
            will.witnesses = []
            will.due = min(will.due, self.left_at + will.life)

    def _take_connack(self, packet: ConnAck) -> None:
        if packet.reason:
            raise Found(f"{self.client_id} may not connect: {packet.reason:#x}")
        account = self.account
        present = packet.session_present or (self.version == 3 and not self.wants["clean"])
        if self.wants["clean"] and packet.session_present:
            raise Found(f"{self.client_id} began anew, and the broker speaks of a session that is present")
        if packet.session_present and self.ended:
            raise Found(f"the session of {self.client_id} is there, which has ended with its connection")
        self.ended = False
        if not present:
            if not self.must_clean and account.lasting and not self.may_be_gone and not self._may_have_expired():
                raise Found(f"the session of {self.client_id} is gone, which had been acknowledged")
            self._begin_anew()
            self.oracle.new_session(account)
            for will in self.wills:
                will.due = 0.0
        elif not self.has_state and self.version != 3:
            # A session of which the client has no state: it must go (MQTT-3.2.2-4).
            self.must_clean = True
            self.world.cut(self.link) if self.link is not None else None
            return
        elif not self.wants["clean"]:
            for will in self.wills:
                if will.due > self.world.latest:
                    self.oracle.forbid(will, "its client had come back in time")
        self.must_clean = self.may_be_gone = False
        self.has_state = True
        self.wills = [will for will in self.wills if not will.armed]
        account.lasting = self.wants["lasting"]
        account.connected = True
        self.expiry = self.wants["expiry"]
        self.accepted = True
        if packet.properties is not None and packet.properties.receive_maximum is not None:
            self.quota = packet.properties.receive_maximum
        self._resend()

    def _resend(self) -> None:
        for packet_id, (sent, packet) in self.unacked.items():
            if packet_id in self.released:
                self._send(Ack(PUBREL, packet_id))
                continue
            sent.sends += 1
            if self.oracle.lossy:
                sent.tainted = True
            if sent.life:
                # Its life begins again when it is taken; the earliest end is that of the first time.
                pass
            self._send(
                Publish.create(
                    packet.topic, packet.payload(), packet.qos, packet.retain, True, packet_id, packet.properties
                )
            )

    def _take(self, packet: Publish) -> None:
        topic = packet.topic
        given = packet.properties
        if given is not None and given.topic_alias:
            if given.topic_alias > self.alias_room:
                raise Found(f"{self.client_id} was sent topic alias {given.topic_alias}")
            if topic:
                self.aliases_in[given.topic_alias] = topic
            topic = self.aliases_in[given.topic_alias]
        name = topic.decode()
        if name[0] == "$":
            raise Found(f"{self.client_id} got a message of {name}, which none of its filters may match")
        payload = packet.payload()
        number = int(payload[: payload.index(b"|")]) if payload else 0
        qos = int(packet.qos)
        packet_id = int(packet.packet_id)
        if qos:
            self._check_id(packet_id, number, qos)
        again = qos == 2 and packet_id in self.received
        if not again and number:
            sent = self.oracle.delivered(self.account, number, name, qos, packet.retain, packet.dup, len(payload))
            if sent.is_will:
                self._check_will(sent)
            elif (
                given is not None
                and given.message_expiry is not None
                and given.message_expiry > sent.life
                and not self.config.goes_back
            ):
                raise Found(f"{self.client_id} got {sent} with {given.message_expiry} s to live, of {sent.life:g}")
        if qos == 1:
            self.pending[packet_id] = number
            self.acks.append((PUBACK, packet_id, number))
        elif qos == 2:
            self.received[packet_id] = number
            self.acks.append((PUBREC, packet_id, number))
        if self.prompt:
            self._acknowledge_all()

    def _acknowledge_all(self) -> None:
        while self.acks:
            self._acknowledge_one()

    def _check_id(self, packet_id: int, number: int, qos: int) -> None:
        if packet_id in self.pending:
            raise Found(f"{self.client_id} was sent packet id {packet_id} while it had not acknowledged it")
        held = self.received.get(packet_id)
        if held is not None and (qos != 2 or held != number):
            raise Found(f"{self.client_id} got message {number} as {packet_id}, which is that of {held}")
        if len(self.pending) >= self.window:
            raise Found(f"{self.client_id} was sent more than its window of {self.window}")

    def _check_will(self, sent: Sent) -> None:
        owner = self.run.client_of(sent.publisher)
        if not sent.armed and (owner.link is None or not owner.link.closing):
            raise Found(f"the will {sent} was published while its client is connected")
        if sent.due > self.world.latest:
            raise Found(f"the will {sent} was published {sent.due - self.world.latest} s too early")

    def _take_ack(self, packet: Ack) -> None:
        packet_id = int(packet.packet_id)
        kind = int(packet.type)
        if kind == PUBREL:
            self.received.pop(packet_id, None)
            self.acks.append((PUBCOMP, packet_id, 0))
            if self.prompt:
                self._acknowledge_all()
            return
        found = self.unacked.get(packet_id)
        if found is None:
            raise Found(f"{self.client_id} got an acknowledgement ({kind}) of {packet_id}, which it has not sent")
        sent = found[0]
        if packet.reason >= 0x80 and kind != PUBCOMP:
            self._take_refusal(sent, int(packet.reason))
            del self.unacked[packet_id]
            self.released.pop(packet_id, None)
            return
        if kind == PUBREC:
            self.oracle.acknowledged(sent)
            self.released[packet_id] = None
            self._send(Ack(PUBREL, packet_id))
        else:
            if kind == PUBACK:
                self.oracle.acknowledged(sent)
            del self.unacked[packet_id]
            self.released.pop(packet_id, None)

    def _take_refusal(self, sent: Sent, reason: int) -> None:
        if reason == QUOTA_EXCEEDED:
            if not self.oracle.lossy and not self.config.may_reject():
                raise Found(f"{sent} was refused for want of room, and there is room")
        elif not sent.banned:
            raise Found(f"{sent} was refused with {reason:#x} for no reason")
        self.oracle.refused(sent)

    # -- the end

    def settle(self, round: int) -> None:
        """Come back if there is a session to come back to, and take what there is."""
        if self.link is not None and self.leaving:
            self.world.cut(self.link)
        for link in list(self.old_links):
            self.world.cut(link)
        if not round and self.link is None and not self.oracle.lossy:
            for will in self.wills:
                if will.armed and will.due and will.due <= self.world.now:
                    self.oracle.owe_will(will)
        self.prompt = True
        if self.link is not None:
            self.world.stall(self.link, False)
        if round and self.unacked and self.version != V5 and self.link is not None:
            # MQTT 3 cannot be told of a refusal: its client tries again on another connection.
            self.world.cut(self.link)
        if self.link is None and self.account.lasting and not self.must_clean:
            self.connect(Random(round), settling=True)
        self._acknowledge_all()

    def check(self) -> None:
        account = self.account
        may_wait = self.version != V5 and (self.oracle.lossy or self.config.may_reject())
        if self.accepted and (self.unacked and not may_wait or self.acks):
            raise Found(f"{self.client_id} still waits for the acknowledgement of {list(self.unacked)[:5]}")
        queue = f"client:{self.client_id}"
        missing = list(account.owed.values())
        lost = self.run.unexcused(queue, [self._causes(sent, queue) for sent in missing])
        if lost is not None:
            raise Found(f"{self.client_id} never got {missing[lost]}, acknowledged and owed ({len(missing)} in all)")
        retained = [
            (sub, topic, [self.oracle.sent[number] for number in found])
            for (sub, topic), found in account.retained_owed.items()
            if sub.sure
        ]
        causes = [
            sorted({cause for sent in found for cause in self._causes(sent, queue)}) for _, topic, found in retained
        ]
        lost = self.run.unexcused(queue, causes)
        if lost is not None:
            sub, topic, found = retained[lost]
            raise Found(
                f"{self.client_id} subscribed to {sub.filter} and never got what is retained for {topic}: {found[0]}"
            )

    def _causes(self, sent: Sent, queue: str) -> list[str]:
        """Why a message that is owed may have been dropped."""
        found: list[str] = []
        policy = self.config.policy(queue)
        if self.config.withheld(self.client_id, sent.topic):
            found.append("refused-by-hook")
        age = self.config.limits.max_message_age if sent.is_will else 0
        if sent.expires and self.world.latest >= sent.expires or policy.message_ttl or age:
            found.append("expired")
        if policy.max_messages < 1_000_000 or policy.max_bytes < 1 << 30:
            found.append("overflow")
        return found

    def counts(self) -> dict[str, int]:
        return {"packets to clients": self.packets}


class Stranger:
    """The other end of a connection that is to be refused."""

    def arrived(self, link: Link, data: bytes) -> None:
        decoder = Decoder(False, V5)
        if data[:1] == b"\x20" and data[3:4] == b"\x00":
            raise Found("a stranger was let in")
        del decoder

    def handled(self, link: Link, mark: Any) -> None:
        """Nothing was marked."""

    def closed(self, link: Link) -> None:
        """As it should be."""


def clients(run: "Run") -> list[Client]:
    """The clients of a world."""
    return [Client(run, number, version) for number, version in enumerate(run.config.versions)]


Answer = Callable[[], None]
