"""Subscriptions to the broker's own topics: consumers of queues, workers of services, answers to one's own requests."""

from typing import TYPE_CHECKING

from mombroker.core.bindings import Binding
from mombroker.core.connection import Connection
from mombroker.core.named.access import queue_right, service_right
from mombroker.core.named.consumers import SessionConsumer
from mombroker.core.named.service import Worker
from mombroker.core.named.spaces import reply_space
from mombroker.core.queue import Source
from mombroker.core.records import digest
from mombroker.core.rights import ALLOWED, DENIED
from mombroker.core.session import Session
from mombroker.model.identity import READ, WRITE
from mombroker.model.queues import QUEUE_PREFIX, SERVICE_PREFIX
from mombroker.model.unit import TABLE_SUBSCRIPTION
from mombroker.mqtt.topics import is_wildcard
from mombroker.operations.problems import Problem

if TYPE_CHECKING:
    from mombroker.core.engine import Engine
    from mombroker.core.named.queue import NamedQueue

WORKER_SUFFIX = "/request/+"
SPACES = (QUEUE_PREFIX, SERVICE_PREFIX, "$mom/")


def is_own(topic_filter: str) -> bool:
    """Whether a filter is about the broker's own topics, so that no plugin's rules for topics apply."""
    return topic_filter[:1] == "$" and (
        topic_filter.startswith(SPACES[0]) or topic_filter.startswith(SPACES[1]) or topic_filter.startswith(SPACES[2])
    )


def takes_messages(topic_filter: str) -> bool:
    """Whether such a subscription is that of a consumer or a worker, and so is not routed by."""
    return queue_of(topic_filter) != "" or service_of(topic_filter) != ""


def queue_of(topic_filter: str) -> str:
    """The queue that a filter is for; empty if it is for none."""
    return topic_filter[len(QUEUE_PREFIX) :] if topic_filter.startswith(QUEUE_PREFIX) else ""


def service_of(topic_filter: str) -> str:
    """The service that a worker's filter is for; empty if it is for none."""
    if topic_filter.startswith(SERVICE_PREFIX) and topic_filter.endswith(WORKER_SUFFIX):
        return topic_filter[len(SERVICE_PREFIX) : -len(WORKER_SUFFIX)]
    return ""


def right_to(connection: Connection, topic_filter: str) -> int:
    """ALLOWED, DENIED, or UNKNOWN until a hook has answered; what makes no sense is denied."""
    engine = connection.engine
    name = queue_of(topic_filter)
    if name:
        queue = engine.named.queues.get(name)
        if queue is None or queue.service is not None:
            return DENIED
        return queue_right(connection, READ, queue)
    try:
        name = service_of(topic_filter)
        if name:
            return service_right(connection, READ, name)
        if is_wildcard(topic_filter) and not topic_filter.startswith(reply_space(connection.client_id())):
            return DENIED
        levels = topic_filter.split("/")
        if levels[0] == "$mom":
            return ALLOWED if topic_filter.startswith(reply_space(connection.client_id())) else DENIED
        return service_right(connection, WRITE, levels[1]) if len(levels) > 3 and levels[2] == "answer" else DENIED
    except Problem:
        return DENIED


def join(engine: "Engine", session: Session, topic_filter: str, binding: Binding) -> bool:
    """Make a session a consumer of a queue, or a worker of a service. False if the queue is not there."""
    name = queue_of(topic_filter)
    if name:
        queue = engine.named.queues.get(name)
        if queue is None:
            return False
        binding.qos = min(1, binding.qos)
        binding.queue = queue.queue
        queue.add(SessionConsumer(binding, session))
    else:
        try:
            worker = engine.requests.serve(session, service_of(topic_filter), session.identity.username or "")
        except Problem as problem:
            engine.log.warning("cannot serve", client_id=session.client_id, error=str(problem))
            return False
        queue = worker.service.queue
        binding.qos = 0
        binding.queue = queue.queue
    if session.groups is None:
        session.groups = []
    if queue not in session.groups:
        session.groups.append(queue)
    if session.connection is not None:
        queue.attach()
    return True


def leave(engine: "Engine", session: Session, topic_filter: str) -> None:
    """The session takes no more messages there; those it has not acknowledged stay with it while it is connected."""
    key = "client:" + session.client_id
    name = queue_of(topic_filter)
    if name:
        queue = engine.named.queues.get(name)
    else:
        service = engine.requests.services.get(service_of(topic_filter))
        queue = service.queue if service is not None else None
    if queue is None:
        return
    for consumer in queue.consumers:
        if consumer.key == key:
            if isinstance(consumer, Worker):
                engine.requests.leave(consumer)
            else:
                queue.remove(consumer)
    _forget_group(session, queue)


def _forget_group(session: Session, queue: Source) -> None:
    if session.groups is not None:
        session.groups = [other for other in session.groups if other is not queue] or None


def drop_subscriptions(engine: "Engine", queue: "NamedQueue") -> None:
    """A queue or a service goes: nobody is subscribed to it any more."""
    service = queue.service
    topic_filter = (
        f"{SERVICE_PREFIX}{service.name}{WORKER_SUFFIX}" if service is not None else QUEUE_PREFIX + queue.name
    )
    for consumer in queue.consumers:
        if not consumer.key.startswith("client:"):
            continue
        session = engine.sessions.get(consumer.key[len("client:") :])
        if session is None or session.subscriptions.pop(topic_filter, None) is None:
            continue
        engine.statistics.subscriptions -= 1
        _forget_group(session, queue)
        if session.durable:
            engine.barrier.unit.delete(TABLE_SUBSCRIPTION, engine.key_of(session) + digest(topic_filter))
