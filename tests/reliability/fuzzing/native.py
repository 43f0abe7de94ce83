"""The native API over MQTT: operations with any body on ``$mom/v1/``. Each is answered once, with what its catalogue
entry says or with a problem of the table; a defect of the broker is none."""

import asyncio
from typing import Any

import msgspec
from msgspec import inspect

from mombroker.api.mom_topics import JSON, MSGPACK, MomTopics
from mombroker.api.native import NativeApi
from mombroker.core import Limits
from mombroker.core.named.access import ADMIN_ROLE
from mombroker.core.session import Session
from mombroker.hooks.requests import ConnectRequest
from mombroker.model.identity import Identity
from mombroker.model.queues import QueuePolicy
from mombroker.model.store import Page
from mombroker.mqtt import Publish
from mombroker.operations import OPERATIONS
from mombroker.operations.problems import INTERNAL, KINDS
from tests.core.named.native import NativeWorld
from tests.core.world import Policies
from tests.reliability.fuzzing.choices import Choices

LONGEST = 1024
TEXTS = (
    *("q", "q", "q", "q", "q", "r", "r", "s", "s", "s", "new", "new"),
    "none",
    "svc:s",
    "",
    "*",
    "a/b",
    "a/#",
    "$queue/q",
    "$SYS/x",
    "ann",
    "bob",
    "x" * 129,
    "\u00e9\u20ac",
    "mom-id",
    "asker",
    "0",
)
NUMBERS = (0, 1, 2, 1, 2, 3, 5, 1, 9, 10, 0.5, 60, 3600, -1, 1e12, 1e308, 2**63, -(2**63), 1.5)
TYPES = {name: inspect.type_info(operation.request) for name, operation in OPERATIONS.items()}
NAMES = sorted(OPERATIONS)


class Clock:
    """The world's time, as a runtime tells it."""

    def __init__(self, world: NativeWorld) -> None:
        self.world = world

    def now(self) -> float:
        """The time."""
        return self.world.now


class Runtime:
    """What the native API knows of the world below it."""

    def __init__(self, world: NativeWorld) -> None:
        self.engine = world.engine
        self.clock = Clock(world)
        self._store = world.store

    async def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        """A page of a queue, as it is in the store."""
        return self._store.read(queue_id, first, max_records, max_bytes).result()

    async def get(self, table: int, key: bytes) -> bytes | None:
        """A state record, as it is in the store."""
        return self._store.get(table, key).result()


class OperatingWorld(NativeWorld):
    """A world whose clients may ask for operations."""

    def __init__(self) -> None:
        self.topics: MomTopics | None = None
        self.loop = asyncio.new_event_loop()
        hooks = Policies()
        hooks.verdict = _let_in
        hooks.policy = QueuePolicy(max_messages=10)
        super().__init__(Limits(sys_interval=0, max_packet_size=65_536, queues_per_user=6), hooks=hooks)
        self.api = NativeApi(Runtime(self), self.hooks, self.loop, self.log)  # type: ignore[arg-type]
        self.topics = MomTopics(self.api, self.engine, self.loop)

    def operate(self, session: Session, operation: str, packet: Publish) -> bool:
        return self.topics is not None and self.topics.operate(session, operation, packet)

    def settle(self) -> None:
        """Let everything happen that waits for neither time nor others."""
        for _ in range(20):
            self.run()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        self.run()

    def close(self) -> None:
        """Nothing runs any more, also after a finding."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(3):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        self.loop.close()


def _let_in(request: ConnectRequest) -> Identity:
    roles = frozenset({ADMIN_ROLE} if request.username == "ann" else ())
    return Identity(request.client_id, request.username, roles)


class Script:
    """A byte script: operations of two users, and time."""

    def __init__(self, data: bytes) -> None:
        self.choices = Choices(data)
        self.world = world = OperatingWorld()
        world.create("q", "ann", "a/#", max_messages=5, dead_letter="r")
        world.put("text", "q")
        self.clients = [world.user("asker", username="ann"), world.user("other", username="bob")]
        for client in self.clients:
            client.subscribe(f"to/{client.client_id}", qos=1)
        self.asked: dict[bytes, tuple[str, str]] = {}
        self.answers: dict[bytes, int] = {}
        self.leases: list[str] = []
        self.ids: list[str] = []
        self.interrupted = False

    def run(self) -> None:
        """The whole script, and the end of the broker, at which everybody is told."""
        while self.choices.left:
            if self.choices.byte() % 8 == 7:
                self.world.advance(self.choices.pick((0.1, 5.0, 31.0, 301.0)))
            else:
                self.ask()
            self.world.settle()
            self.read()
        self.world.advance(1.0)
        self.world.api.close()
        self.world.settle()
        self.read()
        self.check()

    def ask(self) -> None:
        """One operation."""
        client = self.clients[self.choices.byte() % 4 == 3]
        if client.closed or client.connack is None:
            self.interrupted = True
            client.connect(username="ann" if client.client_id == "asker" else "bob")
            client.subscribe(f"to/{client.client_id}", qos=1)
        name = self.choices.pick(NAMES)
        form = self.choices.pick((JSON, JSON, MSGPACK, "text/plain"))
        body = self.body(name, form)
        number = b"%d" % len(self.asked)
        packet_id = client.publish(
            f"$mom/v1/{name}",
            body,
            1,
            response_topic=f"to/{client.client_id}",
            correlation_data=number,
            content_type=form,
        )
        if client.closed:
            self.interrupted = True
            return  # it was too large, say
        self.asked[number] = (name, form)
        self.world.settle()
        if (client.result(packet_id) or 0) >= 0x80 or client.closed:
            del self.asked[number]

    def body(self, name: str, form: str) -> bytes:
        """A body that fits, nearly fits, or does not."""
        if self.choices.rarely():
            return self.choices.blob(100)
        codec: Any = msgspec.msgpack if form == MSGPACK else msgspec.json
        try:
            encoded: bytes = codec.encode(self.value(TYPES[name], 0))
        except (OverflowError, UnicodeEncodeError, ValueError):
            return b"{}"
        if self.choices.rarely():
            made = bytearray(encoded)
            made[self.choices.number(0xFF) % max(1, len(made))] = self.choices.byte()
            return bytes(made)
        if self.choices.rarely():
            depth = self.choices.number(2000)
            return encoded[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"
        return encoded

    def value(self, kind: inspect.Type, depth: int) -> object:
        """A value of this type, or rarely of another."""
        choices = self.choices
        if choices.byte() >= 250 or depth > 4:
            return choices.pick((None, 1, "x", [], {}, True, -1.5))
        if isinstance(kind, inspect.Metadata):
            return self.value(kind.type, depth)
        if isinstance(kind, inspect.UnionType):
            return self.value(choices.pick(kind.types), depth)
        if isinstance(kind, inspect.StructType):
            return {
                field.encode_name: self.value(field.type, depth + 1)
                for field in kind.fields
                if field.required or choices.byte() % 4 == 0
            }
        if isinstance(kind, inspect.VarTupleType):
            return [self.value(kind.item_type, depth + 1) for _ in range(choices.number(3))]
        if isinstance(kind, inspect.TupleType):
            return [self.value(item, depth + 1) for item in kind.item_types]
        return self.plain(kind)

    def plain(self, kind: inspect.Type) -> object:
        """A value without parts."""
        choices = self.choices
        if isinstance(kind, inspect.LiteralType):
            return choices.pick(kind.values)
        if isinstance(kind, inspect.BoolType):
            return choices.flag()
        if isinstance(kind, inspect.IntType):
            return int(min(choices.pick(NUMBERS), 2**64))
        if isinstance(kind, inspect.FloatType):
            return choices.pick(NUMBERS)
        if isinstance(kind, inspect.BytesType):
            return choices.blob(20)
        if choices.byte() % 4 == 0 and (self.leases or self.ids):
            return choices.pick([*self.leases[-20:], *self.ids[-20:]])
        return choices.blob(20).decode("utf-8", "replace") if choices.rarely() else choices.pick(TEXTS)

    def read(self) -> None:
        """Note and check every answer."""
        for client in self.clients:
            for message in client.got:
                number = message.properties.correlation_data
                if message.topic.startswith("to/") and number in self.asked:
                    self.answers[number] = self.answers.get(number, 0) + 1
                    self.check_answer(number, message.payload, dict(message.properties.user).get("mom-error"))
            client.got.clear()

    def check_answer(self, number: bytes, payload: bytes, code: str | None) -> None:
        """The answer is a response of its operation, or a problem of the table."""
        name, form = self.asked[number]
        codec: Any = msgspec.msgpack if form == MSGPACK else msgspec.json
        if code is not None:
            fields = codec.decode(payload)
            assert code == fields["code"] and code in KINDS and code != INTERNAL, f"{name}: {fields}"
            assert fields["title"] and fields["detail"]
            return
        answer = codec.decode(payload, type=OPERATIONS[name].response)
        for message in getattr(answer, "messages", ()):
            self.leases.append(message.lease)
            self.ids.append(message.id)
        for task in getattr(answer, "tasks", ()):
            self.ids.append(task.id)
        self.ids += getattr(answer, "ids", ())
        self.ids += [answer.id] if isinstance(getattr(answer, "id", None), str) else []

    def check(self) -> None:
        """Everybody has one answer, unless the asker was disconnected (by an operation, say)."""
        self.interrupted = self.interrupted or any(client.closed for client in self.clients)
        assert not self.world.topics._tasks, "operations never end"
        for number, asked in self.asked.items():
            times = self.answers.get(number, 0)
            assert times <= 1 if self.interrupted else times == 1, f"{asked} was answered {times} times"
        self.world.check_counts()


def run(data: bytes) -> None:
    """One script."""
    script = Script(data[:LONGEST])
    try:
        script.run()
    finally:
        script.world.close()


def seeds() -> list[bytes]:
    """Each operation in each form, alone and after one another."""
    found = []
    for index in range(len(NAMES)):
        for form in range(3):
            one = bytes((0, 0, index, form, 0)) + bytes((0, index % 7, 1, 0, 2, 3)) * 4
            found.append(one)
            found.append(one * 3 + bytes((7, index)))
    return found
