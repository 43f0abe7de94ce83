"""Operations over MQTT 5: requests on ``$mom/v1/OPERATION``, answers on their Response Topics.

The body is JSON or, by content type, MessagePack; the answer is of the same kind. A failure has the user property
``mom-error`` with its code, and code, title and detail in the body.
"""

import asyncio
from typing import Any, Final

import msgspec

from mombroker.api.caller import Caller
from mombroker.api.native import NativeApi
from mombroker.api.texts import as_text
from mombroker.core import Engine
from mombroker.core.session import Session
from mombroker.model.message import Message
from mombroker.mqtt.packets import Publish
from mombroker.mqtt.properties import Properties, forwarded_block
from mombroker.operations import OPERATIONS, Operation, Problem
from mombroker.operations.problems import BAD_REQUEST, OVERLOADED, UNSUPPORTED_CONTENT

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"
MOST_AT_A_TIME: Final = 1000
"""Operations of one client that may be under way; one more is answered with overloaded."""


class Form:
    """How bodies are written."""

    def __init__(self, content_type: str, codec: Any, decoder: Any) -> None:
        self.content_type = content_type
        self.encode = codec.encode
        self.decoders = {name: decoder(operation.request) for name, operation in OPERATIONS.items()}


_FORMS: Final = {
    JSON: Form(JSON, msgspec.json, msgspec.json.Decoder),
    MSGPACK: Form(MSGPACK, msgspec.msgpack, msgspec.msgpack.Decoder),
}


class MomTopics:
    """Carries out what clients publish below ``$mom/v1/``."""

    def __init__(self, api: NativeApi, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._api = api
        self._engine = engine
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: dict[str, int] = {}

    def operate(self, session: Session, name: str, packet: Publish) -> bool:
        """Begin an operation. False: there is none of that name."""
        operation = OPERATIONS.get(name)
        if operation is None:
            return False
        task = self._loop.create_task(self._carry_out(session, operation, packet))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _carry_out(self, session: Session, operation: Operation, packet: Publish) -> None:
        client_id = session.client_id
        count = self._under_way.get(client_id, 0)
        self._under_way[client_id] = count + 1
        form = _form_of(packet)
        try:
            if count >= MOST_AT_A_TIME:
                raise Problem(OVERLOADED, f"{MOST_AT_A_TIME} operations of this client are under way already")
            request = _request(operation, packet)
            caller = Caller(session.identity, "mqtt")
            body, code = form.encode(_plain(form, await self._api.call(caller, request))), ""
        except Problem as problem:
            body, code = form.encode(problem_fields(problem)), problem.code
        finally:
            self._leave(client_id)
        self._answer(packet, form, body, code)

    def _leave(self, client_id: str) -> None:
        count = self._under_way[client_id] - 1
        if count:
            self._under_way[client_id] = count
        else:
            del self._under_way[client_id]

    def _answer(self, packet: Publish, form: Form, body: bytes, code: str) -> None:
        asked = packet.properties
        if asked is None or asked.response_topic is None:
            return  # the core asks for one
        told = Properties()
        told.content_type = form.content_type
        told.correlation_data = asked.correlation_data
        if code:
            told.user.append(("mom-error", code))
        qos = 1 if packet.qos else 0
        self._engine.publish(Message(asked.response_topic, body, qos, False, forwarded_block(told), self._engine.now))

    async def close(self) -> None:
        """Let nothing run on."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def problem_fields(problem: Problem) -> dict[str, str]:
    """A problem as it is told."""
    fields = {"code": problem.code, "title": problem.kind.title, "detail": problem.detail}
    if problem.worker_code:
        fields["worker_code"] = problem.worker_code
    return fields


def _form_of(packet: Publish) -> Form:
    properties = packet.properties
    return _FORMS.get((properties.content_type if properties is not None else None) or JSON, _FORMS[JSON])


def _request(operation: Operation, packet: Publish) -> msgspec.Struct:
    properties = packet.properties
    content_type = (properties.content_type if properties is not None else None) or JSON
    form = _FORMS.get(content_type)
    if form is None:
        raise Problem(UNSUPPORTED_CONTENT, f"{content_type[:80]!r} is not spoken here: {JSON} or {MSGPACK}")
    try:
        request: msgspec.Struct = form.decoders[operation.name].decode(packet.payload() or b"{}")
    except (msgspec.DecodeError, ValueError) as error:
        raise Problem(BAD_REQUEST, f"{operation.name}: {error}") from error
    return request


def _plain(form: Form, response: msgspec.Struct) -> Any:
    """The response as its form wants it: in JSON, payloads that are text are text."""
    return as_text(response) if form.content_type == JSON else response
