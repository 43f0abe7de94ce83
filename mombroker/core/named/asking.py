"""Requests and replies over MQTT: what clients publish below ``$service/``."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from mombroker.core.connection import Connection
from mombroker.core.named.service import Caller
from mombroker.core.session import Session
from mombroker.model.message import Message
from mombroker.model.queues import SERVICE_PREFIX
from mombroker.mqtt.packet_types import V5
from mombroker.mqtt.packets import Publish
from mombroker.mqtt.properties import Properties, forwarded_block, response_block, user_property
from mombroker.operations.problems import BAD_REQUEST, NO_SUCH_REQUEST, SERVICE_FAILED, Problem

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

USUAL_TIMEOUT: Final = 30.0
LONGEST_TIMEOUT: Final = 3600.0
LONGEST_ID: Final = 64


class TopicCaller(Caller):
    """A client that asked over MQTT 5: the reply goes to its Response Topic, with its Correlation Data."""

    def __init__(self, engine: "Engine", topic: str, correlation: bytes | None, qos: int) -> None:
        self.engine: Engine = engine
        self.topic: str = topic
        self.correlation: bytes | None = correlation
        self.qos: int = qos

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        """Publish a part of the reply."""
        block = response_block(None, self.correlation)
        if more:
            block += user_property("mom-more", "1")
        self._publish(payload, block + properties)

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        """Publish that there will be none."""
        told = Properties()
        told.payload_format = 1
        told.correlation_data = self.correlation
        told.user.append(("mom-error", code))
        if worker_code:
            told.user.append(("mom-worker-code", worker_code))
        self._publish(detail.encode(), forwarded_block(told))

    def _publish(self, payload: bytes, properties: bytes) -> None:
        message = Message(self.topic, payload, self.qos, False, properties, self.engine.now)
        self.engine.publish(message)


class AnswerCaller(Caller):
    """A client that asked over MQTT 3, by the convention of topics."""

    def __init__(self, engine: "Engine", topic: str, qos: int) -> None:
        self.engine: Engine = engine
        self.topic: str = topic
        self.qos: int = qos

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        """Publish a part of the reply."""
        self._publish(self.topic + "/more" if more else self.topic, payload)

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        """Publish that there will be none."""
        fields = {"code": code, "detail": detail, "worker_code": worker_code}
        self._publish(self.topic + "/error", msgspec.json.encode(fields))

    def _publish(self, topic: str, payload: bytes) -> None:
        self.engine.publish(Message(topic, payload, self.qos, False, b"", self.engine.now))


def carry_out(engine: "Engine", connection: Connection, session: Session, packet: Publish, topic: str) -> bool:
    """Take a request, or a reply. Tells whether anybody is there for it. Raises :class:`Problem`."""
    levels = topic[len(SERVICE_PREFIX) :].split("/")
    if len(levels) == 1:
        _ask(engine, connection, session, packet, levels[0])
        return True
    if len(levels) == 3 and levels[1] == "call":
        _call(engine, session, packet, levels[0], levels[2])
        return True
    if levels[1] == "reply" and (len(levels) == 3 or len(levels) == 4 and levels[3] in ("more", "error")):
        return _reply(engine, session, packet, levels)
    raise Problem(
        BAD_REQUEST, f"{topic[:140]!r} is not a topic of a service: see $service/NAME, .../call/ID, .../reply/ID"
    )


def _ask(engine: "Engine", connection: Connection, session: Session, packet: Publish, name: str) -> None:
    properties = packet.properties
    if connection.version != V5 or properties is None or properties.response_topic is None:
        raise Problem(
            BAD_REQUEST, f"a request needs a Response Topic; MQTT 3 clients publish to $service/{name}/call/ID"
        )
    seconds = USUAL_TIMEOUT if properties.message_expiry is None else float(properties.message_expiry)
    patient = False
    user: list[tuple[str, str]] = []
    for key, value in properties.user:
        if key == "mom-timeout":
            seconds = _seconds(value)
        elif key == "mom-patient":
            patient = value != "0"
        else:
            user.append((key, value))
    qos = 1 if packet.qos else 0
    message = Message(SERVICE_PREFIX + name, packet.payload(), 1, False, _end_to_end(properties, user), engine.now)
    caller = TopicCaller(engine, properties.response_topic, properties.correlation_data, qos)
    _begin(engine, session, name, message, caller, min(max(seconds, 0.001), LONGEST_TIMEOUT), patient)


def _end_to_end(properties: Properties, user: list[tuple[str, str]]) -> bytes:
    """The block of what goes all the way, to the worker or back to the caller: mostly nothing."""
    if properties.payload_format is None and properties.content_type is None and not user:
        return b""
    passed_on = Properties()
    passed_on.payload_format = properties.payload_format
    passed_on.content_type = properties.content_type
    passed_on.user = user
    return forwarded_block(passed_on)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds <= LONGEST_TIMEOUT:
        raise Problem(BAD_REQUEST, f"mom-timeout is {value[:40]!r}; it is seconds, up to {LONGEST_TIMEOUT:g}")
    return seconds


def _call(engine: "Engine", session: Session, packet: Publish, name: str, id: str) -> None:
    if not 0 < len(id) <= LONGEST_ID or not id.replace("-", "").replace("_", "").isalnum():
        raise Problem(BAD_REQUEST, f"{id[:80]!r} is no id for a call: 1 to {LONGEST_ID} letters, digits, - and _")
    message = Message(SERVICE_PREFIX + name, packet.payload(), 1, False, b"", engine.now)
    caller = AnswerCaller(engine, f"{SERVICE_PREFIX}{name}/answer/{id}", 1 if packet.qos else 0)
    _begin(engine, session, name, message, caller, USUAL_TIMEOUT, False)


def _begin(
    engine: "Engine", session: Session, name: str, message: Message, caller: Caller, seconds: float, patient: bool
) -> None:
    """Ask. What goes wrong is told to the caller where it waits for the reply: an acknowledgement may not reach it."""
    try:
        service = engine.requests.find(name)
        engine.requests.ask(service, message, caller, session.identity.username, seconds, patient)
    except Problem as problem:
        caller.failed(problem.code, problem.detail, "")


def _reply(engine: "Engine", session: Session, packet: Publish, levels: list[str]) -> bool:
    try:
        pending = engine.requests.running(levels[2], "client:" + session.client_id)
    except Problem as problem:
        if problem.code != NO_SUCH_REQUEST:
            raise
        return False  # too late: the caller has been told, and the worker is no worse for it
    if len(levels) == 4 and levels[3] == "error":
        code, detail = failure_of(packet.payload())
        engine.requests.fail(pending, SERVICE_FAILED, detail, code)
        return True
    properties = packet.properties
    block = b"" if properties is None else _end_to_end(properties, properties.user)
    engine.requests.reply(pending, packet.payload(), block, len(levels) == 4)
    return True


def failure_of(payload: bytes) -> tuple[str, str]:
    """(code, detail) of a worker's failure: JSON with these, or just text."""
    try:
        fields: Any = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        fields = None
    if not isinstance(fields, dict):
        return "error", payload.decode("utf-8", "replace")
    return str(fields.get("code", "error"))[:LONGEST_ID], str(fields.get("detail", ""))
