"""Bindings: what ties a topic filter to a queue."""

from typing import Final

from mombroker.core.queue import Queue
from mombroker.core.session import Session
from mombroker.mqtt.encoder import encode_subscription_id

MOST_ID_BYTES: Final = 65_535


class Binding:
    """A topic filter bound to a queue, with the options of the subscription that asked for it.

    For a shared subscription the queue is the group's and ``session`` is None; each member keeps a binding of its
    own, with its options, that is not routed by.
    """

    __slots__ = (
        "filter",
        "queue",
        "session",
        "qos",
        "no_local",
        "retain_as_published",
        "retain_handling",
        "subscription_id",
        "encoded_id",
    )

    def __init__(
        self,
        filter: str,
        queue: Queue,
        session: Session | None,
        qos: int,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        subscription_id: int = 0,
    ) -> None:
        self.filter: str = filter
        self.queue: Queue = queue
        self.session: Session | None = session
        self.qos: int = qos
        self.no_local: bool = no_local
        self.retain_as_published: bool = retain_as_published
        self.retain_handling: int = retain_handling
        self.subscription_id: int = subscription_id
        self.encoded_id: bytes = encode_subscription_id(subscription_id) if subscription_id else b""


def merge(bindings: list[Binding]) -> Binding:
    """One binding that stands for several of the same queue: a message is delivered once, at the highest QoS granted,
    with all subscription identifiers (MQTT-3.3.4-2, -4), or as many thousands as a stored record can hold."""
    first = bindings[0]
    merged = Binding(first.filter, first.queue, first.session, first.qos, first.no_local, first.retain_as_published)
    merged.encoded_id = first.encoded_id
    for binding in bindings[1:]:
        merged.qos = max(merged.qos, binding.qos)
        merged.retain_as_published = merged.retain_as_published or binding.retain_as_published
        if len(merged.encoded_id) + len(binding.encoded_id) <= MOST_ID_BYTES:
            merged.encoded_id += binding.encoded_id
    return merged
