"""Shared subscriptions: one queue per ``$share/group/filter``, and members that compete for it (section 4.8.2)."""

from typing import TYPE_CHECKING

from mombroker.core.bindings import Binding
from mombroker.core.connection import OPEN
from mombroker.core.delivery import is_expired, send_qos0
from mombroker.core.overflow import make_room
from mombroker.core.queue import RELEASED, Queue, Ref, Source
from mombroker.core.rights import DENIED, receive_right
from mombroker.core.session import Session
from mombroker.model.message import Message
from mombroker.model.queues import Overflow
from mombroker.mqtt.properties import Properties

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


class SharedGroup(Source):
    """The members of one shared subscription, in turn. It lives as long as it has members, connected or not.

    ``former`` are sessions that left while they had messages in flight: those stay theirs.
    """

    __slots__ = ("engine", "name", "binding", "members", "former", "turn", "pumping")

    def __init__(self, engine: "Engine", name: str, topic_filter: str, durable: bool) -> None:
        self.engine: Engine = engine
        self.name: str = name
        self.queue = engine.new_shared_queue(self, name, durable)
        self.binding: Binding = Binding(topic_filter, self.queue, None, 2)
        self.members: list[Binding] = []
        self.former: list[Session] = []
        self.turn: int = 0
        self.pumping: bool = False

    def join(self, member: Binding) -> None:
        """Add a member, or replace the options of one."""
        for index in range(len(self.members)):
            if self.members[index].session is member.session:
                self.members[index] = member
                return
        self.members.append(member)

    def leave(self, session: Session) -> None:
        """Remove a member. What it has not acknowledged stays with its session, as long as that lives."""
        self.members = [member for member in self.members if member.session is not session]
        self.remember(session)

    def remember(self, session: Session) -> None:
        """Keep in mind that somebody who is no member may have messages in flight."""
        self._forget_former()
        if self._has_leases(session):
            self.former.append(session)

    def _has_leases(self, session: Session) -> bool:
        return any(ref.queue is self.queue for ref in session.inflight.values())

    def _forget_former(self) -> None:
        if self.former:
            self.former = [session for session in self.former if self._has_leases(session)]

    def _holders(self) -> list[Session]:
        holders = [member.session for member in self.members if member.session is not None]
        return holders + [session for session in self.former if session not in holders]

    def in_flight(self) -> list[Ref]:
        """What members and former ones have been given and not finished with."""
        found: list[Ref] = []
        for session in self._holders():
            for ref in session.inflight.values():
                if ref.queue is self.queue and ref.state != RELEASED:
                    found.append(ref)
        return found

    def offer_routed(self, target: Binding, message: Message, after: int) -> None:
        """Take a message. QoS 0 goes to a connected member; with none it waits if the broker is set to, or is lost."""
        engine = self.engine
        queue = self.queue
        if message.qos == 0:
            keeps = engine.limits.queue_qos0 and queue.durable
            if not (keeps and queue.has_waiting()) and self.offer_qos0(message):
                return
            if not keeps:
                engine.dropped(self.name, message.topic, "offline-qos0", 1)
                return
        if queue.has_room(message.size()) or make_room(engine, target, message):
            self.offer(message, after)

    def would_reject(self, message: Message) -> bool:
        """Whether the queue is full and refuses."""
        if self.queue.has_room(message.size()):
            return False
        return self.engine.overflow(self.queue, message) is Overflow.REJECT

    def acknowledged(self, ref: Ref, reason: int, properties: Properties | None) -> None:
        """A member has the message; what it thinks of it is not ours to judge (MQTT-4.8.2-6)."""
        ref.queue.settle(self.engine.barrier, ref)

    def returned(self, ref: Ref) -> None:
        """A member has gone: the message is for another one, in its place."""
        ref.queue.put_back(ref)

    def offer(self, message: Message, after: int) -> None:
        """Append a message to the group's queue and hand out what members can take."""
        queue = self.queue
        ref = queue.append(self.engine.barrier, message, message.qos, message.retain, b"", after)
        if ref is not None:
            queue.push(ref)
        if not queue.loading:
            self.pump(queue)

    def offer_qos0(self, message: Message) -> bool:
        """Send a QoS 0 message to the next connected member. Tells whether there was one."""
        member = self._next_member(message, False)
        if member is None:
            return False
        self._send_qos0(member, message)
        return True

    def _send_qos0(self, member: Binding, message: Message) -> None:
        session = member.session
        if session is not None and session.connection is not None:
            retain = message.retain and member.retain_as_published
            send_qos0(session, session.connection, message, retain, member.encoded_id, self.engine.now)

    def pump(self, queue: Queue) -> None:
        """Hand out messages in turn to the members that have credit."""
        if self.pumping:
            return
        self.pumping = True
        try:
            self._pump(queue)
        finally:
            self.pumping = False

    def _pump(self, queue: Queue) -> None:
        engine = self.engine
        barrier = engine.barrier
        while not queue.deleted:
            ref = queue.front()
            if ref is None:
                if queue.may_load(barrier.committed):
                    if queue.wants_oldest() or self._next_member(None, True) is not None:
                        engine.load(queue)
                return
            if queue.over_limit() and queue.policy.overflow is Overflow.DROP_OLDEST:
                queue.pop_front()
                engine.drop_ref(ref, "overflow")
                continue
            if ref.after > barrier.committed:
                barrier.pump_later(queue)
                return
            if is_expired(ref.message, queue.policy.message_ttl, engine.now):
                queue.pop_front()
                engine.drop_ref(ref, "expired")
                continue
            member = self._next_member(ref.message, True)
            if member is None:
                if not self._is_for_nobody(ref.message):
                    return
                queue.pop_front()
                engine.drop_ref(ref, "not-authorized")
                continue
            queue.pop_front()
            self._hand_to(member, ref)

    def _hand_to(self, member: Binding, ref: Ref) -> None:
        session = member.session
        if session is None:
            return
        message = ref.message
        ref.qos = min(message.qos, member.qos)
        ref.retain = message.retain and member.retain_as_published
        ref.subscription_ids = member.encoded_id
        if ref.qos == 0:
            ref.queue.settle(self.engine.barrier, ref)
            self._send_qos0(member, message)
        else:
            session.lease(ref)

    def _next_member(self, message: Message | None, credit: bool) -> Binding | None:
        members = self.members
        for _ in range(len(members)):
            self.turn = (self.turn + 1) % len(members)
            session = members[self.turn].session
            if session is None:
                continue
            connection = session.connection
            if connection is None or connection.state != OPEN or credit and not session.has_credit():
                continue
            if message is None or self.engine.may_receive(session, message.topic):
                return members[self.turn]
        return None

    def _is_for_nobody(self, message: Message) -> bool:
        """Whether no member, connected or not, may receive a message: it must not stand in the way of others."""
        engine = self.engine
        if not engine.hooks.authorizes:
            return False
        for member in self.members:
            if member.session is None or receive_right(engine, member.session, message.topic) != DENIED:
                return False
        return True

    def attach(self) -> None:
        """A member is connected: messages may stay in memory and are handed out."""
        self.queue.attached = True
        self.pump(self.queue)

    def detach_if_idle(self) -> None:
        """When no member is connected any more, keep nothing in memory."""
        for member in self.members:
            if member.session is not None and member.session.connection is not None:
                return
        self.queue.rewind(self.engine.barrier)

    def holds(self, queue: Queue, position: int) -> Ref | None:
        """The message in flight to a member, or a former one, at ``position``."""
        for session in self._holders():
            found = session.holds(queue, position)
            if found is not None:
                return found
        return None

    def leased_positions(self, queue: Queue) -> set[int] | None:
        """What members and former ones have in flight: a read of the queue finds these again."""
        self._forget_former()
        positions: set[int] = set()
        for session in self._holders():
            for ref in session.inflight.values():
                if ref.queue is queue:
                    positions.add(ref.position)
        return positions or None
