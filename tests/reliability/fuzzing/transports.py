"""The native API over HTTP and gRPC, above the framing: requests with any path, query, header and body, and messages
with any fields. Each is answered by its description or with a problem of the table; a defect of the broker is none."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote, unquote

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mombroker.api.grpc.calls import Calls
from mombroker.api.grpc.conversion import message_class
from mombroker.api.grpc.mombroker_pb2 import DESCRIPTOR
from mombroker.api.grpc.server import _OPERATIONS
from mombroker.api.grpc.unary import Unary
from mombroker.api.http.app import App
from mombroker.api.http.context import Context
from mombroker.api.http.messages import BATCH
from mombroker.api.http.routes import ROUTES
from mombroker.api.http.uploads import Uploads
from mombroker.api.logins import Logins
from mombroker.api.tokens import Tokens
from mombroker.operations.problems import INTERNAL, KINDS
from mombroker.wiring.settings_keys import HttpSettings
from tests.reliability.fuzzing.choices import Choices
from tests.reliability.fuzzing.native import NUMBERS, TEXTS, OperatingWorld

LONGEST = 1024
PATHS = (*ROUTES, "/health", "/ready", "/", "/openapi.json", "/docs/page.css", "/v1", "/v1/%ff", "//v1/queues", "/%00")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "X" * 40)
PARAMETERS = ("limit", "wait", "lease", "pattern", "after", "if_empty", "qos", "retain", "ttl", "id", "key", "delay")
HEADERS = (
    *[("host", "localhost")] * 4,
    *[("content-type", "application/json")] * 4,
    *[("authorization", "Basic YW5uOng=")] * 8,
    ("host", "evil.example"),
    ("origin", "http://localhost"),
    ("origin", "null"),
    ("sec-fetch-site", "cross-site"),
    ("content-type", "application/json"),
    ("content-type", BATCH),
    ("content-type", "text/plain; charset=\u00e9"),
    ("content-length", "99999999999"),
    ("authorization", "Basic YW5uOng="),
    ("authorization", "Basic !!!"),
    ("authorization", "Bearer x"),
    ("authorization", "Digest x"),
    ("mom-property-a", "b"),
    ("mom-property-", "\u00c3\u00a9"),
    ("mom-property-mom-x", "\u00ff"),
    ("accept", "application/json"),
    ("last-event-id", "x"),
)
FIELDS = (
    "policy",
    "bindings",
    "leases",
    "messages",
    "payload",
    "text",
    "delay",
    "rights",
    "password",
    "roles",
    "parts",
)


class Aborted(Exception):
    """A gRPC call that was ended with a status."""


class CallContext:
    """What a gRPC server tells a handler of its call. ``ends`` counts how often the call was ended."""

    def __init__(self, login: str) -> None:
        self._login = login
        self.ends = 0

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", self._login),) if self._login else ()

    def peer(self) -> str:
        return "ipv6:%5B::1%5D:5000"

    def time_remaining(self) -> float | None:
        return None

    def set_trailing_metadata(self, metadata: object) -> None:
        """No matter."""

    async def abort(self, *given: object, **named: object) -> None:
        self.ends += 1
        raise Aborted(given, named)

    async def abort_with_status(self, status: object) -> None:
        self.ends += 1
        raise Aborted(status)


class Exchange:
    """One HTTP request and its response."""

    def __init__(self, scope: dict[str, Any], chunks: list[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.scope = scope
        self._chunks = chunks
        self.gone = loop.create_future()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.complete = False

    async def receive(self) -> dict[str, Any]:
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}
        await self.gone
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        assert not self.complete, "something is sent after the end"
        if message["type"] == "http.response.start":
            assert not self.status, "a second status is sent"
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body += message.get("body", b"")
            self.complete = not message.get("more_body", False)


class Script:
    """A byte script: requests over both transports, and time."""

    def __init__(self, data: bytes) -> None:
        self.choices = Choices(data)
        self.world = world = OperatingWorld()
        self.loop = loop = world.loop
        world.create("q", "ann", "a/#", max_messages=5, dead_letter="r")
        world.put("text", "q")
        world.serve("s")
        tokens = Tokens(60.0, lambda: world.now)
        self.stopping = loop.create_future()
        settings = HttpSettings()
        logins = Logins(world.api, tokens, "http")
        uploads = Uploads(10_000, 3600.0)
        context = Context(world.api, settings, logins, uploads, self.stopping, lambda: None, world.log)
        self.app = App(context)
        self.calls = Calls(Logins(world.api, tokens, "grpc"), 10_000, world.log)
        self.exchanges: list[Exchange] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def run(self) -> None:
        """The whole script, and the end of the broker: nobody waits for ever."""
        while self.choices.left:
            action = self.choices.byte() % 8
            if action == 7:
                self.world.advance(self.choices.pick((0.1, 5.0, 31.0, 301.0)))
            elif action >= 4:
                self.call()
            else:
                self.request()
            self.world.settle()
        self.world.api.close()
        self.stopping.set_result(None)
        for exchange in self.exchanges:
            if not exchange.gone.done():
                exchange.gone.set_result(None)
        self.world.settle()
        self.check()

    def begin(self, work: Awaitable[Any]) -> None:
        """Do it beside the rest."""
        self.tasks.append(self.loop.create_task(work))  # type: ignore[arg-type]

    # -- HTTP

    def request(self) -> None:
        """A request."""
        choices = self.choices
        template = choices.pick(PATHS)
        raw = self.filled(template)
        methods = list(ROUTES.get(template, {"GET": None}))
        pairs = [f"{choices.pick(PARAMETERS)}={self.word()}" for _ in range(choices.number(2))]
        # The server in front lets no other bytes through.
        odd = bytes(0x21 + byte % 0x5D for byte in choices.blob(30)) if choices.rarely() else b""
        query = odd or "&".join(pairs).encode("latin-1", "replace")
        chosen = dict(choices.pick(HEADERS) for _ in range(choices.number(3)))
        exchange = Exchange(
            {
                "type": "http",
                "http_version": "1.1",
                "method": choices.pick(METHODS) if choices.rarely() else choices.pick(methods),
                "scheme": "http",
                "path": unquote(raw),
                "raw_path": raw.encode("ascii"),
                "root_path": "",
                "query_string": query,
                "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in chosen.items()],
                "server": choices.pick((("127.0.0.1", 80), ("192.0.2.1", 80), ("/run/socket", None))),
                "client": choices.pick((("10.0.0.9", 1), None)),
            },
            self.chunks(),
            self.loop,
        )
        self.exchanges.append(exchange)
        self.begin(self.app(exchange.scope, exchange.receive, exchange.send))
        if choices.rarely():
            self.world.settle()
            exchange.gone.set_result(None)

    def filled(self, template: str) -> str:
        """A path with words in the place of its names."""
        parts = [self.word() if part.startswith("{") else part for part in template.split("/")]
        return "/".join(parts)

    def word(self) -> str:
        """A word for a path or a query, percent-encoded."""
        if self.choices.rarely():
            return quote(self.choices.blob(10))
        number = self.choices.byte() % 3 == 0
        return quote(str(self.choices.pick(NUMBERS)) if number else self.choices.pick(TEXTS))

    def chunks(self) -> list[bytes]:
        """A body in pieces: JSON of the right names, or anything."""
        choices = self.choices
        if choices.byte() % 4 == 0:
            return [choices.blob(60), b"x" * choices.number(0xFFFF) if choices.rarely() else b""]
        body = json.dumps({choices.pick(FIELDS): self.value(0) for _ in range(choices.number(3))}).encode()
        cut = choices.number(40)
        return [body[:cut], body[cut:]]

    def value(self, depth: int) -> object:
        """Some JSON."""
        choices = self.choices
        kind = choices.byte() % (7 if depth < 3 else 5)
        if kind == 0:
            return choices.pick(NUMBERS)
        if kind == 1:
            return choices.pick((None, True, False, 0, ""))
        if kind < 5:
            return choices.pick(TEXTS)
        if kind == 5:
            return [self.value(depth + 1) for _ in range(choices.number(3))]
        return {choices.pick((*FIELDS, *PARAMETERS)): self.value(depth + 1) for _ in range(choices.number(3))}

    # -- gRPC

    def call(self) -> None:
        """A unary call."""
        choices = self.choices
        name = choices.pick(NAMES)
        method = METHODS_OF[name]
        message = message_class(method.input_type)()
        self.fill(message, 0)
        data = message.SerializeToString()
        if choices.rarely():
            made = bytearray(data or b"\0")
            made[choices.byte() % len(made)] = choices.byte()
            data = bytes(made)
        handler = Unary(self.calls, self.world.api, _OPERATIONS[name], method)
        context = CallContext(choices.pick((*["Basic YW5uOng="] * 5, "", "Bearer x", "\u00ff")))
        self.begin(self.called(handler, data, context, message_class(method.output_type)))

    async def called(self, handler: Unary, data: bytes, context: CallContext, kind: type[Message]) -> None:
        """Carry the call out, and check its answer."""
        try:
            answer = await handler.handle(data, context)
        except Aborted:
            assert context.ends == 1, "the call was ended twice"
            return
        assert context.ends == 0, "the call was answered and ended"
        kind.FromString(answer)

    def fill(self, message: Message, depth: int) -> None:
        """Some fields of a message."""
        fields = message.DESCRIPTOR.fields
        for _ in range(min(len(fields), self.choices.number(4))):
            self.set(message, self.choices.pick(fields), depth)

    def set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        """One field."""
        if field.message_type is not None:
            if depth < 3:
                inner = getattr(message, field.name)
                self.fill(inner.add() if field.is_repeated else inner, depth + 1)
            return
        try:
            value = self.scalar(field)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        except (ValueError, TypeError, OverflowError):
            return  # protobuf has no bytes for it

    def scalar(self, field: FieldDescriptor) -> object:
        """A value that the field may hold, or nearly."""
        choices = self.choices
        if field.type == FieldDescriptor.TYPE_STRING:
            return choices.blob(20).decode("utf-8", "replace") if choices.rarely() else choices.pick(TEXTS)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return choices.blob(20)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return choices.flag()
        if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
            return float(choices.pick((*NUMBERS, float("nan"), float("inf"))))
        return int(choices.pick(NUMBERS))

    # -- what has to hold

    def check(self) -> None:
        """Everything has ended, and every response says what it is."""
        for task in self.tasks:
            assert task.done(), f"{task} never ends"
            task.result()
        for exchange in self.exchanges:
            assert exchange.complete, f"{exchange.scope} has no whole response"
            if exchange.status >= 400 and exchange.body and exchange.scope["method"] != "HEAD":
                self.check_problem(exchange)
        self.world.check_counts()

    def check_problem(self, exchange: Exchange) -> None:
        """A problem of the table with its status."""
        told = json.loads(exchange.body)
        assert told["code"] in KINDS and told["code"] != INTERNAL, f"{exchange.scope}: {told}"
        assert exchange.status in (KINDS[told["code"]].status, 405), f"{exchange.scope}: {told}"


METHODS_OF = {
    method.name: method
    for service in DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.name in _OPERATIONS
}
NAMES = sorted(METHODS_OF)


def run(data: bytes) -> None:
    """One script."""
    script = Script(data[:LONGEST])
    try:
        script.run()
    finally:
        script.world.close()


def seeds() -> list[bytes]:
    """Each path with each of its methods, and each gRPC method."""
    found = [bytes((0, path, method, 1, 2, 1, 3, 5, 0)) * 3 for path in range(len(PATHS)) for method in range(4)]
    return found + [bytes((4, index, 3, 0, 1, 1, 2, 2, 3)) * 3 for index in range(len(NAMES))]
