"""A named queue: lanes of messages on one side, consumers on the other, and what is with whom in between.

A message waits in a lane (an ordinary queue of the engine), or for a moment among the ``loose`` ones; it is *held*
while a consumer has it; then it is settled, or returned to its place. ``intake`` is the way in, ``upkeep`` what time
does.
"""

from typing import TYPE_CHECKING, Final

from mombroker.core.named import deaths, intake, returning, upkeep
from mombroker.core.named.consumers import Pull, QueueConsumer, StreamConsumer
from mombroker.core.named.dedup import SeenIds
from mombroker.core.named.keys import KeyLines
from mombroker.core.named.leases import Lease, Leases
from mombroker.core.named.loose import Loose
from mombroker.core.named.meta import HIGHEST, Meta, delay_of, meta_from
from mombroker.core.named.numbers import Numbers
from mombroker.core.named.owners import Owner
from mombroker.core.named.records import put_returned, revoke_returns, take_returned
from mombroker.core.named.wheel import Wheel
from mombroker.core.queue import WINDOW_REFS, Queue, Ref, Source
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.reasons import PAYLOAD_FORMAT_INVALID, reason_name
from mombroker.mqtt.properties import Properties

if TYPE_CHECKING:
    from mombroker.core.barrier import Barrier
    from mombroker.core.bindings import Binding
    from mombroker.core.engine import Engine
    from mombroker.core.named.service import Service

LONGEST_REASON: Final = 256
"""Characters that are kept of why a message could not be handled."""

NAMED_KIND: Final = "named"
SERVICE_KIND: Final = "service"


class NamedQueue(Source):
    """``count`` and ``bytes`` are those of all lanes, what is held included. ``given`` is the part of the policy that
    was asked for; the rest comes from the queue-policy hook. ``doomed`` are messages that are to be dead letters as
    soon as the disk has room. ``put_off`` are how many of those that are held nobody has: they wait for another try, or
    are doomed. ``look_at`` is when to look for messages that have expired, 0.0 for never. Seconds are
    Unix time."""

    __slots__ = (
        "engine",
        "spec",
        "name",
        "owner",
        "created_at",
        "policy",
        "given",
        "bindings",
        "service",
        "lanes",
        "wheel",
        "loose",
        "keys",
        "doomed",
        "seen",
        "held",
        "held_count",
        "put_off",
        "returns",
        "leases",
        "consumers",
        "pulls",
        "turn",
        "active",
        "attached",
        "pumping",
        "deleted",
        "expiring",
        "look_at",
        "count",
        "bytes",
        "numbers",
        "making_room",
        "used_at",
        "timer_at",
    )

    def __init__(self, engine: "Engine", spec: QueueSpec, owner: Owner, policy: QueuePolicy, given: dict[str, object]):
        self.engine: Engine = engine
        self.spec: QueueSpec = spec
        self.name: str = spec.name
        self.owner: Owner = owner
        self.created_at: float = engine.now
        self.policy: QueuePolicy = policy
        self.given: dict[str, object] = given
        self.bindings: list[Binding] = []
        self.service: Service | None = None
        self.lanes: list[Queue | None] = [None] * (HIGHEST + 1)
        self.wheel: Wheel = Wheel()
        self.loose: Loose = Loose()
        self.keys: KeyLines = KeyLines()
        self.doomed: list[tuple[Ref, str]] = []
        self.seen: SeenIds | None = None
        self.held: dict[int, dict[int, Ref]] = {}
        self.held_count: int = 0
        self.put_off: int = 0
        self.returns: dict[tuple[int, int], int] = {}
        self.leases: Leases = Leases()
        self.consumers: list[QueueConsumer] = []
        self.pulls: list[Pull] = []
        self.turn: int = 0
        self.active: str = ""
        self.attached: bool = False
        self.pumping: bool = False
        self.deleted: bool = False
        self.expiring: bool = False
        self.look_at: float = 0.0
        self.count: int = 0
        self.bytes: int = 0
        self.numbers: Numbers = Numbers(engine.now)
        self.making_room: Overflow | None = None
        self.used_at: float = engine.now
        self.timer_at: float = 0.0

    # -- in

    def would_reject(self, message: Message) -> bool:
        """Whether a message that was routed here would be refused to its publisher."""
        return intake.refusal(self, message, intake.options_of(self, message)) != ""

    def offer_routed(self, target: "Binding", message: Message, after: int) -> None:
        """Take a message that was published to the queue's own topic, or to one that is bound to it. One of QoS 0 has
        not been refused, whether or not there is room, and is dropped if there is none."""
        meta = intake.options_of(self, message)
        if message.qos == 0 and not intake.may_enter(self, message, meta):
            return
        intake.enqueue(self, message, meta)
        self.pump(self.queue)

    # -- out

    def pump(self, queue: Queue) -> None:
        """Hand out what there is to those who have credit."""
        if self.pumping or self.deleted:
            return
        self.pumping = True
        try:
            self._pump()
        finally:
            self.pumping = False

    def _pump(self) -> None:
        upkeep.gather(self)
        handed: list[QueueConsumer] = []
        while self.leased() < self.policy.max_leased:
            consumer = self._next_consumer()
            if consumer is None:
                break
            ref = self._next()
            if ref is None:
                break
            self._hand_to(consumer, ref)
            if not handed or handed[-1] is not consumer:
                handed.append(consumer)
        for consumer in handed:
            consumer.flush()
        if self.pulls:
            upkeep.answer_pulls(self)
        upkeep.schedule(self)

    def _next_consumer(self) -> QueueConsumer | None:
        for pull in self.pulls:
            if pull.has_credit() and self.may_be_active(pull):
                return pull
        consumers = self.consumers
        for _ in range(len(consumers)):
            self.turn = (self.turn + 1) % len(consumers)
            consumer = consumers[self.turn]
            if consumer.has_credit() and self.may_be_active(consumer):
                return consumer
        return None

    def may_be_active(self, consumer: QueueConsumer) -> bool:
        """Whether a consumer may get messages, or stands by."""
        return not self.policy.single_active or self.active == "" or self.active == consumer.key

    def _next(self) -> Ref | None:
        """The next message to deliver, taken out of what waits; None if none is in memory now."""
        while len(self.doomed) < WINDOW_REFS:
            ref = self._pick()
            if ref is None:
                return None
            meta = self.meta(ref)
            if self.is_expired(ref):
                deaths.expire(self, ref)
                continue
            if meta.key and not self.keys.claim(meta.key, ref):
                continue
            return ref
        return None

    def _pick(self) -> Ref | None:
        """What comes first: a higher priority, then what is loose, then the front of the lane. While the lines of keys
        are full only what is loose: those whose turn it is are among it."""
        if self.wheel.due and self.attached and not self.loose.ready:
            upkeep.hand_out(self)
        top = self.loose.top_priority()
        if self.keys.is_full():
            return self.loose.take() if top >= 0 else None
        committed = self.engine.barrier.committed
        for priority in range(HIGHEST, -1, -1):
            if priority == top:
                return self.loose.take()
            lane = self.lanes[priority]
            if lane is None:
                continue
            ref = lane.front()
            if ref is not None:
                if ref.after <= committed:
                    lane.pop_front()
                    return ref
                # It has moved here, and that is not on disk yet. What comes after it waits for it.
                self.engine.barrier.pump_later(lane)
                return None
            elif lane.is_spilled():
                self.load(lane)
                return None
        return None

    def load(self, lane: Queue) -> None:
        """Read on in a lane, as soon as that is possible."""
        barrier = self.engine.barrier
        if lane.may_load(barrier.committed):
            self.engine.load(lane)
        elif not lane.loading:
            barrier.pump_later(lane)

    def _hand_to(self, consumer: QueueConsumer, ref: Ref) -> None:
        deliveries = self.deliveries(ref) + 1
        self.hold(ref)
        self.numbers.delivered += 1
        if deliveries > 1:
            self.numbers.redelivered += 1
        if self.policy.single_active:
            self.active = consumer.key
        consumer.take(self, ref, deliveries)

    def lease(
        self,
        ref: Ref,
        deliveries: int,
        key: str,
        username: str | None,
        seconds: float,
        stream: StreamConsumer | None,
    ) -> Lease:
        """Lease a held message for ``seconds`` (0.0: as the policy says)."""
        engine = self.engine
        deadline = engine.now + (seconds or self.policy.lease)
        lease = Lease(f"{engine.new_id():x}", self, ref, deliveries, deadline, key, username, stream)
        self.leases.add(lease)
        engine.named.leases[lease.token] = lease
        return lease

    # -- what is known of a message

    def meta(self, ref: Ref) -> Meta:
        """What is known of a message beyond its content."""
        meta = ref.meta
        if meta is None:
            meta = ref.meta = meta_from(ref.subscription_ids)
        return meta

    def id_of(self, ref: Ref) -> str:
        """The message's id: its own, or its place."""
        return self.meta(ref).id or place_id(ref.queue, ref.position)

    def deliveries(self, ref: Ref) -> int:
        """How often a message has been delivered and come back."""
        found = self.returns.get((ref.queue.id, ref.position))
        return self.meta(ref).deliveries if found is None else found

    def is_expired(self, ref: Ref) -> bool:
        """Whether a message has waited too long here, or is worthless by now."""
        if ref.message.expires_at == 0.0 and self.policy.message_ttl == 0.0:
            return False
        return 0.0 < self.expires_at(ref) <= self.engine.now

    def expires_at(self, ref: Ref) -> float:
        """When that will be so; 0.0 for never."""
        return intake.expiry_of(self, ref.message, self.meta(ref))

    # -- held

    def hold(self, ref: Ref) -> None:
        """A consumer has the message."""
        lane = self.held.get(ref.queue.id)
        if lane is None:
            lane = self.held[ref.queue.id] = {}
        if ref.position not in lane:
            self.held_count += 1
        lane[ref.position] = ref

    def let_go(self, ref: Ref) -> bool:
        """No consumer has the message any more. False if none had."""
        lane = self.held.get(ref.queue.id)
        if lane is None or lane.pop(ref.position, None) is None:
            return False
        if not lane:
            del self.held[ref.queue.id]
        self.held_count -= 1
        if self.held_count == 0:
            self.used_at = self.engine.now
        return True

    def leased(self) -> int:
        """How many messages consumers have."""
        return self.held_count - self.put_off

    def holds(self, queue: Queue, position: int) -> Ref | None:
        """The message that a consumer has from this place."""
        lane = self.held.get(queue.id)
        return lane.get(position) if lane is not None else None

    def leased_positions(self, queue: Queue) -> set[int] | None:
        """The places of a lane whose messages consumers have, or that wait outside of their lane for a moment."""
        lane = self.held.get(queue.id)
        return set(lane) if lane else None

    # -- the end of a delivery

    def acknowledged(self, ref: Ref, reason: int, properties: Properties | None) -> None:
        """An MQTT consumer is done with a message: handled, or not (0x99: nobody ever will). It may say why, as the
        Reason String, and how long to wait, as the user property ``mom-delay``."""
        if self.deleted:
            return
        if reason < 0x80:
            self.ack(ref)
        else:
            self._not_handled(ref, reason, properties)
        if self.policy.single_active and not self.is_consumer(self.active):
            self.check_active(self.active)
            self.pump(self.queue)

    def _not_handled(self, ref: Ref, reason: int, properties: Properties | None) -> None:
        why = properties.reason_string if properties is not None else None
        told = (why or reason_name(reason))[:LONGEST_REASON]
        if reason == PAYLOAD_FORMAT_INVALID:
            self.reject(ref, told)
        else:
            delay = delay_of(properties) if properties is not None else -1.0
            self.nack(ref, self.policy.retry_delay if delay < 0.0 else delay, told)

    def ack(self, ref: Ref) -> None:
        """A message was handled: it leaves the queue."""
        self.numbers.acked += 1
        self.numbers.ack_rate.add(1, self.engine.now)
        self.settled(self.engine.barrier, ref)

    def reject(self, ref: Ref, reason: str) -> None:
        """A consumer says that nobody will ever handle a message: it is a dead letter."""
        if ref.revoked:
            # The store had no room for it and its publisher was told so: it is in no queue, nor to be a dead letter.
            self.settled(self.engine.barrier, ref)
            return
        put_returned(self, ref, self.deliveries(ref) + 1, False)
        deaths.bury(self, ref, reason)

    def settled(self, barrier: "Barrier", ref: Ref) -> None:
        """A message leaves the queue, whatever the reason."""
        if self.deleted:
            return
        lane = ref.queue
        meta = self.meta(ref)
        lane.settle(barrier, ref)
        if not ref.revoked:
            self.change(-1, -ref.message.size())
        self.wheel.settled(lane)
        self.let_go(ref)
        take_returned(self, barrier, ref)
        if meta.key:
            self._free_key(meta.key, ref)

    def _free_key(self, key: str, ref: Ref) -> None:
        following = self.keys.release(key, ref)
        if following is not None:
            self.loose.add(following, self.meta(following).priority, 0.0)

    def nack(self, ref: Ref, delay: float, reason: str) -> None:
        """A message could not be handled: it is for the next consumer, in its place, after ``delay`` seconds."""
        returning.nack(self, ref, delay)

    def returned(self, ref: Ref) -> None:
        """A message is available again, in its place: its consumer has gone, or its lease has run out."""
        if self.deleted:
            return
        if returning.delivered_in_vain(self, ref):
            self.let_go(ref)
            self.make_ready(ref)
        if self.policy.single_active and not self.is_consumer(self.active):
            self.check_active(self.active)

    def make_ready(self, ref: Ref) -> None:
        """Put a message that is not held any more back to where the next consumer finds it."""
        returning.make_ready(self, ref)

    # -- consumers

    def add(self, consumer: QueueConsumer) -> None:
        """A consumer joins; one with the same key is replaced."""
        self.consumers = [other for other in self.consumers if other.key != consumer.key]
        self.consumers.append(consumer)
        self.attach()

    def remove(self, consumer: QueueConsumer) -> None:
        """A consumer leaves. What it has on a lease is available again."""
        self.consumers = [other for other in self.consumers if other is not consumer]
        for lease in self.leases.of(consumer.key):
            if lease.stream is consumer:
                self.end_lease(lease)
                self.returned(lease.ref)
        self.check_active(consumer.key)
        self.used_at = self.engine.now
        self.pump(self.queue)

    def end_lease(self, lease: Lease) -> None:
        """A lease is over, whatever becomes of its message."""
        self.leases.end(lease)
        self.engine.named.leases.pop(lease.token, None)
        stream = lease.stream
        if stream is not None and not stream.ended:
            stream.credit += 1
        if self.policy.single_active:
            self.check_active(lease.key)

    def check_active(self, key: str) -> None:
        """Let another consumer become the active one if this one has gone and has nothing any more."""
        if self.active != key or self.leases.has(key) or self.is_consumer(key) or self._has_unacknowledged(key):
            return
        self.active = ""

    def is_consumer(self, key: str) -> bool:
        """Whether a consumer has joined and not left."""
        for consumer in self.consumers:
            if consumer.key == key:
                return True
        return False

    def _has_unacknowledged(self, key: str) -> bool:
        """Whether an MQTT client that has unsubscribed still has messages."""
        session = self.engine.sessions.get(key[7:]) if key.startswith("client:") else None
        if session is None:
            return False
        for ref in session.inflight.values():
            if ref.queue.consumer is self:
                return True
        return False

    def attach(self) -> None:
        """Somebody takes messages."""
        self.used_at = self.engine.now
        self.attach_lanes()
        self.pump(self.queue)

    def attach_lanes(self) -> None:
        """Messages may stay in memory."""
        if not self.attached:
            self.attached = True
            for lane in self.lanes:
                if lane is not None:
                    lane.attached = True

    def detach_if_idle(self) -> None:
        """A client has gone. What is in memory stays for a while; a standby takes over at once."""
        self.used_at = self.engine.now
        if self.active.startswith("client:"):
            session = self.engine.sessions.get(self.active[7:])
            if session is None or session.connection is None:
                self.active = ""
        if self.service is not None:
            self.service.check_workers()
        self.pump(self.queue)

    # -- what the store has undone

    def revoked(self, queue: Queue, positions: set[int]) -> None:
        """The store had no room for these, or has lost them."""
        self.loose.discard(queue.id, positions)
        for ref in self.keys.discard(queue.id, positions):
            self.loose.add(ref, self.meta(ref).priority, 0.0)
        revoke_returns(self, queue, positions)
        self.recount()

    def put(self, message: Message, meta: Meta, after: int) -> None:
        """Append a message, whatever the limits. Nobody gets it before the unit ``after`` is on disk."""
        intake.put(self, message, meta, after)

    def change(self, messages: int, size: int) -> None:
        """Count messages that came (or, below zero, went)."""
        self.count += messages
        self.bytes += size
        self.owner.change(messages, size)

    def recount(self) -> None:
        """Count anew what all lanes hold."""
        count = 0
        size = 0
        for lane in self.all_lanes():
            count += lane.count
            size += lane.bytes
        self.owner.change(count - self.count, size - self.bytes)
        self.count = count
        self.bytes = size

    def all_lanes(self) -> list[Queue]:
        """Every lane there is."""
        return [lane for lane in self.lanes if lane is not None] + self.wheel.all()


def place_id(lane: Queue, position: int) -> str:
    """The id of a message that brought none."""
    return f"{lane.id:x}-{position:x}"
