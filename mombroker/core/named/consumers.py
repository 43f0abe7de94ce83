"""Who takes messages out of a named queue: MQTT sessions, streams of the native API, and single pulls."""

from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from mombroker.core.bindings import Binding
from mombroker.core.connection import OPEN, Connection
from mombroker.core.delivery import send_qos0
from mombroker.core.named.leases import Lease
from mombroker.core.queue import Ref
from mombroker.core.session import Session
from mombroker.mqtt.packet_types import V5
from mombroker.mqtt.properties import user_property

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue


def has_room_for_qos0(connection: Connection) -> bool:
    """Whether a message of QoS 0 would be sent, and not dropped because the client does not read fast enough: what is
    in a queue waits until it does."""
    if connection.has_space():
        return True
    connection.starved = True
    return False


@mypyc_attr(allow_interpreted_subclasses=True)
class QueueConsumer:
    """``key`` tells consumers apart; ``username`` is whose leases they are."""

    def __init__(self, key: str, username: str | None) -> None:
        self.key: str = key
        self.username: str | None = username

    def is_there(self) -> bool:
        """Whether it can be expected to take messages."""
        return True

    def has_credit(self) -> bool:
        """Whether one more message may be handed to it now."""
        raise NotImplementedError

    def take(self, queue: "NamedQueue", ref: Ref, deliveries: int) -> None:
        """Take a message; ``deliveries`` counts this one too."""
        raise NotImplementedError

    def flush(self) -> None:
        """No more is to be taken in this turn."""


class SessionConsumer(QueueConsumer):
    """An MQTT client that has subscribed to ``$queue/NAME``. Its window is its credit; it has a message until it
    acknowledges it or goes."""

    def __init__(self, binding: Binding, session: Session) -> None:
        super().__init__("client:" + session.client_id, session.identity.username)
        self.binding: Binding = binding
        self.session: Session = session

    def is_there(self) -> bool:
        """Whether the client is connected."""
        return self.session.connection is not None

    def has_credit(self) -> bool:
        """Whether the client is connected and may be sent one more."""
        connection = self.session.connection
        if connection is None or connection.state != OPEN or not self.session.has_credit():
            return False
        return self.binding.qos > 0 or has_room_for_qos0(connection)

    def take(self, queue: "NamedQueue", ref: Ref, deliveries: int) -> None:
        """Send it."""
        binding = self.binding
        session = self.session
        connection = session.connection
        if connection is None:
            return
        message = ref.message
        ref.qos = min(1, binding.qos)
        ref.retain = False
        ref.dup = False
        ref.subscription_ids = binding.encoded_id
        if connection.version == V5:
            ref.subscription_ids += _told(queue, ref, deliveries)
        if ref.qos == 0:
            queue.acknowledged(ref, 0, None)
            send_qos0(session, connection, message, False, ref.subscription_ids, queue.engine.now)
        else:
            session.lease(ref)


def _told(queue: "NamedQueue", ref: Ref, deliveries: int) -> bytes:
    """What the broker adds to a message for an MQTT 5 consumer."""
    told = user_property("mom-queue", queue.name)
    if b"mom-id" not in ref.message.properties:
        told = user_property("mom-id", queue.id_of(ref)) + told
    if deliveries > 1:
        told += user_property("mom-deliveries", str(deliveries))
    return told


@mypyc_attr(allow_interpreted_subclasses=True)
class StreamConsumer(QueueConsumer):
    """A stream of the native API: it has ``credit`` messages more to take, for ``lease_seconds`` each (0.0: as the
    policy says)."""

    def __init__(self, key: str, username: str | None, credit: int, lease_seconds: float) -> None:
        super().__init__(key, username)
        self.credit: int = credit
        self.lease_seconds: float = lease_seconds
        self.batch: list[Lease] = []
        self.ended: bool = False

    def has_credit(self) -> bool:
        """Whether it may take one more."""
        return self.credit > 0 and not self.ended

    def take(self, queue: "NamedQueue", ref: Ref, deliveries: int) -> None:
        """Take a message on a lease."""
        self.credit -= 1
        self.batch.append(queue.lease(ref, deliveries, self.key, self.username, self.lease_seconds, self))

    def flush(self) -> None:
        """Hand on what was taken."""
        if self.batch:
            batch = self.batch
            self.batch = []
            self.arrived(batch)

    def arrived(self, leases: list[Lease]) -> None:
        """Messages have been leased to this stream."""
        raise NotImplementedError

    def queue_deleted(self) -> None:
        """The queue is gone."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class Pull(StreamConsumer):
    """One request for messages: answered once, with what is there, or when ``deadline`` (Unix seconds) has passed."""

    def __init__(self, key: str, username: str | None, limit: int, lease_seconds: float, deadline: float) -> None:
        super().__init__(key, username, limit, lease_seconds)
        self.deadline: float = deadline

    def flush(self) -> None:
        """Nothing: the queue answers a pull when it has looked everywhere."""
