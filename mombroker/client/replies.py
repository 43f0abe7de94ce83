"""Questions that the broker answers on this client's own reply topic, told apart by correlation data."""

import asyncio
from typing import Protocol

from mombroker.client.connection import Connection
from mombroker.client.dispatch import Dispatch
from mombroker.client.errors import ConnectionLost, NotSupported
from mombroker.client.protocol import Outgoing, Wish
from mombroker.client.subscription import Granted
from mombroker.model.errors import MombrokerError
from mombroker.mqtt import Publish, SubscribeFilter
from mombroker.operations import Problem
from mombroker.operations.problems import DEADLINE_PASSED, TOO_LARGE

ERROR = "mom-error"
WORKER_CODE = "mom-worker-code"
MORE = "mom-more"

LARGE = 65_536
"""Payloads from so many bytes on may be more than the broker takes in one packet."""

SWEEP_SECONDS = 0.25
"""How often those are told whose time is over. The broker keeps deadlines itself: this is for one that does not
answer at all."""


class Waiting(Protocol):
    """Waits for an answer, which may come in several parts. ``deadline`` is a time of the event loop."""

    deadline: float

    def part(self, publish: Publish, error: str, worker_code: str, more: bool) -> None:
        """A part of the answer, the last one unless ``more``. ``error`` is the code of a problem, or empty."""
        ...

    def broken(self, error: MombrokerError) -> None:
        """There will be no answer."""
        ...


class Unsendable:
    """Watches over a large question: where the broker does not take packets of its size, the asker is told so."""

    __slots__ = ("_replies", "_key")

    def __init__(self, replies: "Replies", key: bytes) -> None:
        self._replies = replies
        self._key = key

    def settled(self, reason: int, text: str) -> None:
        """It was written, or cannot be."""
        if reason:
            self._replies.give_up(self._key, Problem(TOO_LARGE, f"the request cannot be sent: {text}"))

    def broken(self, error: MombrokerError) -> None:
        """The client has come to its end; the asker hears of that too."""


class Replies:
    """The reply topic of one client, subscribed to at its first question."""

    def __init__(self, connection: Connection, dispatch: Dispatch) -> None:
        self._connection = connection
        self._dispatch = dispatch
        self._waiting: dict[bytes, Waiting] = {}
        self._last = 0
        self._topic = ""
        self._opening: asyncio.Future[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        connection.on_lost.append(self._lost)

    @property
    def topic(self) -> str:
        """The reply topic; empty before :meth:`open`."""
        return self._topic

    @property
    def is_open(self) -> bool:
        """Whether a question can be asked now."""
        return bool(self._topic) and self._connection.connected

    async def open(self, seconds: float) -> None:
        """Be ready to ask. Raises NotSupported where the broker offers no reply topic, Problem (deadline-passed) when
        there is no connection within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._connection.ready()
                while not self._topic:
                    await self._subscribed()
        except TimeoutError:
            raise Problem(DEADLINE_PASSED, f"no connection to {self._connection.address} for {seconds:g} s") from None

    async def _subscribed(self) -> None:
        if self._opening is not None:
            await asyncio.shield(self._opening)
            return
        information = self._connection.session.limits.response_information
        if not information:
            raise NotSupported(f"{self._connection.address} has no native API: it offers no topic for replies")
        opening = self._opening = self._connection.loop.create_future()
        topic = f"{information.rstrip('/')}/r"
        answer = Granted(self._connection.loop, (topic,))
        try:
            self._dispatch.add_replies(topic, self)
            self._connection.session.subscriptions.ask(Wish([SubscribeFilter(topic)], 0, answer, False))
            await answer.future
            self._topic = topic
        finally:
            self._opening = None
            opening.set_result(None)

    def ask(self, topic: bytes, payload: bytes, properties: bytes, waiting: Waiting) -> None:
        """Send a question. Its correlation data is added to ``properties``, which name the reply topic already."""
        self._last = number = self._last + 1 & 0xFFFF_FFFF
        key = number.to_bytes(4, "big")
        self._waiting[key] = waiting
        receipt = Unsendable(self, key) if len(payload) >= LARGE else None
        self._connection.publish(Outgoing(topic, payload, 0, b"%b\x09\x00\x04%b" % (properties, key), receipt))
        if self._sweeping is None:
            self._sweeping = self._connection.loop.call_later(SWEEP_SECONDS, self._sweep)

    def give_up(self, key: bytes, error: MombrokerError) -> None:
        """There will be no answer to this question."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.broken(error)

    def replied(self, publish: Publish) -> None:
        """An answer, or a part of it; one that nobody waits for any more is dropped."""
        properties = publish.properties
        key = None if properties is None else properties.correlation_data
        if properties is None or key is None:
            return
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        error = worker_code = ""
        more = False
        for name, value in properties.user:
            if name == ERROR:
                error = value
            elif name == WORKER_CODE:
                worker_code = value
            elif name == MORE:
                more = value == "1"
        if not more:
            del self._waiting[key]
        waiting.part(publish, error, worker_code, more)

    def _sweep(self) -> None:
        now = self._connection.loop.time()
        for key, waiting in list(self._waiting.items()):
            if waiting.deadline <= now:
                del self._waiting[key]
                waiting.broken(Problem(DEADLINE_PASSED, "no answer came in time"))
        self._sweeping = self._connection.loop.call_later(SWEEP_SECONDS, self._sweep) if self._waiting else None

    def _lost(self, error: MombrokerError) -> None:
        waiting = self._waiting
        self._waiting = {}
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        told = error if self._connection.ended is not None else ConnectionLost(f"before the answer came, {error}")
        for one in waiting.values():
            one.broken(told)
