"""The broker's own topics as clients publish to them: queues, services, and the operations of the native API.

========================================  =========================================================================
``$queue/NAME``                           put a message into a queue
``$service/NAME``                         ask a service (MQTT 5: Response Topic, Correlation Data)
``$service/NAME/call/ID``                 the same for MQTT 3, answered on ``$service/NAME/answer/ID``
``$service/NAME/reply/ID``                a worker's reply; with ``/more`` a part of it, with ``/error`` a failure
``$mom/v1/OPERATION``                     an operation of the native API (MQTT 5)
========================================  =========================================================================
"""

from typing import TYPE_CHECKING

from mombroker.core.acknowledging import acknowledge, refuse
from mombroker.core.connection import Connection
from mombroker.core.named import asking, intake
from mombroker.core.named.access import queue_right, service_right
from mombroker.core.named.meta import BadOption, meta_of
from mombroker.core.named.spaces import OPERATIONS, REPLY_SPACE, reply_space
from mombroker.core.rights import ALLOWED, DENIED, UNKNOWN, may
from mombroker.core.router import Route
from mombroker.core.session import Session
from mombroker.model.identity import PUBLISH, WRITE
from mombroker.model.message import Message
from mombroker.model.queues import QUEUE_PREFIX, SERVICE_PREFIX
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker.mqtt.packets import Publish
from mombroker.operations.problems import (
    BAD_REQUEST,
    FORBIDDEN,
    KINDS,
    NO_SUCH_OPERATION,
    NO_SUCH_QUEUE,
    STORE_FULL,
    Problem,
)

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


def is_queue_topic(topic: str) -> bool:
    """Whether a publish to this topic goes into a queue."""
    return topic.startswith(QUEUE_PREFIX)


def check_reserved(engine: "Engine", connection: Connection, packet: Publish, topic: bytes, route: Route) -> bool:
    """Whether a client may publish to one of the broker's own topics. If not, it has been told so, or its packet is
    held until that is known."""
    try:
        right = _right(engine, connection, packet, route.topic)
    except Problem as problem:
        refuse_with(engine, connection, packet, route.topic, problem)
        return False
    if right == UNKNOWN:
        connection.held = packet
        connection.held_topic = topic
        return False
    if right == DENIED:
        refuse_with(engine, connection, packet, route.topic, Problem(FORBIDDEN, f"you may not use {route.topic}"))
        return False
    return True


def _right(engine: "Engine", connection: Connection, packet: Publish, topic: str) -> int:
    if topic.startswith(QUEUE_PREFIX):
        name = topic[len(QUEUE_PREFIX) :]
        queue = engine.named.queues.get(name)
        if queue is None or queue.service is not None:
            raise Problem(NO_SUCH_QUEUE, f"there is no queue {name[:140]!r}")
        right = queue_right(connection, WRITE, queue)
        if right == ALLOWED:
            _check_options(engine, packet)
        return right
    if topic.startswith(SERVICE_PREFIX):
        levels = topic.split("/")
        if len(levels) > 2 and levels[2] == "reply":
            return ALLOWED  # whose request it is, is what counts
        right = service_right(connection, WRITE, levels[1])
        return right if right != ALLOWED else _response_right(connection, packet)
    if topic.startswith(OPERATIONS):
        return _response_right(connection, packet)
    raise Problem(FORBIDDEN, f"nobody may publish to {topic[:140]!r}")


def _check_options(engine: "Engine", packet: Publish) -> None:
    try:
        meta_of(Message("-", b"", 0, False, packet.forwarded), engine.now)
    except BadOption as bad:
        raise Problem(BAD_REQUEST, str(bad)) from bad


def _response_right(connection: Connection, packet: Publish) -> int:
    """Whether the answer may go where the client wants it: to its own space, or where it might publish itself."""
    properties = packet.properties
    wanted = properties.response_topic if properties is not None else None
    if wanted is None or wanted.startswith(reply_space(connection.client_id())):
        return ALLOWED
    if wanted.startswith(REPLY_SPACE) or wanted[0] == "$":
        return DENIED
    return may(connection, PUBLISH, wanted) if connection.engine.hooks.authorizes else ALLOWED


def refusal_detail(engine: "Engine", message: Message) -> str:
    """The reason string of a refusal for want of room: of a message to a queue there is something to tell."""
    if not message.topic.startswith(QUEUE_PREFIX):
        return ""
    if engine.barrier.refusing:
        return f"{STORE_FULL}: the disk is full, and nothing is taken until there is room"
    queue = engine.named.queues.get(message.topic[len(QUEUE_PREFIX) :])
    code = intake.refusal(queue, message, intake.options_of(queue, message)) if queue is not None else ""
    return f"{code}: {intake.refusal_detail(queue, code)}" if queue is not None and code else ""


def refuse_with(engine: "Engine", connection: Connection, packet: Publish, topic: str, problem: Problem) -> None:
    """Turn a publish down with a problem. QoS 0 has no acknowledgement to tell it with: whoever waits for an answer in
    its own reply space is told there."""
    properties = packet.properties
    wanted = properties.response_topic if properties is not None else None
    if packet.qos == 0 and wanted is not None and wanted.startswith(reply_space(connection.client_id())):
        assert properties is not None
        asking.TopicCaller(engine, wanted, properties.correlation_data, 0).failed(problem.code, problem.detail, "")
    kind = KINDS.get(problem.code)
    reason = kind.reason if kind is not None else NOT_AUTHORIZED
    refuse(engine, connection, packet, topic, reason, f"{problem.code}: {problem.detail}")


def carry_out(engine: "Engine", connection: Connection, session: Session, packet: Publish, route: Route) -> None:
    """Do what a publish to one of the broker's own topics asks for, and acknowledge it."""
    ops = engine.barrier.unit.ops
    topic = route.topic
    try:
        if topic.startswith(SERVICE_PREFIX):
            matched = asking.carry_out(engine, connection, session, packet, topic)
        else:
            matched = _operate(engine, connection, session, packet, topic)
    except Problem as problem:
        refuse_with(engine, connection, packet, topic, problem)
        return
    if packet.qos:
        acknowledge(engine, connection, session, packet, matched, ops)


def _operate(engine: "Engine", connection: Connection, session: Session, packet: Publish, topic: str) -> bool:
    properties = packet.properties
    if properties is None or properties.response_topic is None:
        raise Problem(BAD_REQUEST, "an operation needs a Response Topic, and so MQTT 5")
    if not engine.outside.operate(session, topic[len(OPERATIONS) :], packet):
        raise Problem(NO_SUCH_OPERATION, f"there is no operation {topic[:140]!r}")
    return True
