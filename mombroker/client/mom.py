"""The client: ``async with mombroker.connect("mqtt://user:password@host") as mom``."""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from secrets import token_hex
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from msgspec import Struct

from mombroker.client.address import DEFAULT, Address, parse_address
from mombroker.client.backoff import Backoff
from mombroker.client.branches import Branches
from mombroker.client.calls import Calls
from mombroker.client.connection import Connection, Receiver
from mombroker.client.dispatch import Dispatch
from mombroker.client.later import Later
from mombroker.client.protocol import Options
from mombroker.client.publishing import (
    Payload,
    Publisher,
    publish_flags,
    publish_one,
    publish_properties,
    to_bytes,
)
from mombroker.client.queue import Queue
from mombroker.client.replies import Replies
from mombroker.client.requests import Parts, Reply, Requests
from mombroker.client.service import Handler, Worker
from mombroker.client.subscription import Subscription
from mombroker.model.errors import ConfigurationError
from mombroker.mqtt import SubscribeFilter, Will
from mombroker.mqtt.topics import check_filter
from mombroker.operations.services import ReplyState, RequestLater, Ticket

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]
"""User properties; as pairs, a name may come several times."""

QoS = Literal[0, 1, 2]
H = TypeVar("H", bound=Handler)


class Mom:
    """A client of a broker, connected while its context is entered; :func:`connect` makes one.

    It comes back by itself when the connection breaks, subscribes again where the broker has lost the session, and
    sends again what was not acknowledged. An object belongs to the event loop it is entered in.
    """

    def __init__(self, address: Address, options: Options, backoff: Backoff, connect_timeout: float) -> None:
        self._address = address
        self._backoff = backoff
        self._connect_timeout = connect_timeout
        self._dispatch = Dispatch(hold_unclaimed=not options.clean_start)
        self._connection = self._make(options, self._dispatch)
        self._branches = Branches(self._connection, self._make)
        replies = Replies(self._connection, self._dispatch)
        self._calls = Calls(self._connection, replies)
        self._requests = Requests(self._connection, replies)
        self._workers: list[Worker] = []
        self._starting: list[asyncio.Task[Worker]] = []

    def _make(self, options: Options, receiver: Receiver) -> Connection:
        return Connection(self._address, options, receiver, self._backoff, self._connect_timeout)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect; consumers and services of this client end too."""
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await self._branches.close()
        await self._connection.close()

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""
        return self._connection.session.client_id

    @property
    def connected(self) -> bool:
        """Whether the connection stands right now."""
        return self._connection.connected

    @property
    def address(self) -> str:
        """Where the broker is, without the password."""
        return str(self._address)

    # ── publish and subscribe ──

    async def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: QoS = 1,
        retain: bool = False,
        content_type: str = "",
        properties: Pairs = (),
        expiry: int | None = None,
        response_topic: str = "",
        correlation_data: bytes = b"",
    ) -> bool:
        """Publish, and return when the broker has acknowledged it: from mombroker, that means on disk (QoS 0: when it
        is on its way). Whether somebody is subscribed, as far as the broker says.

        ``expiry`` is seconds after which nobody shall get it any more. Raises NotAuthorized or PublishRefused; Problem
        for a topic ``$queue/NAME``; ProtocolError for what is no topic; ClientClosed.
        """
        block = publish_properties(content_type, properties, expiry, response_topic, correlation_data)
        flags = publish_flags(qos, retain)
        return await publish_one(self._connection, topic, to_bytes(payload), flags, block)

    def publisher(
        self,
        topic: str,
        *,
        qos: QoS = 1,
        retain: bool = False,
        content_type: str = "",
        properties: Pairs = (),
        expiry: int | None = None,
    ) -> Publisher:
        """Publish many messages to one topic without waiting for each: ``async with mom.publisher("a") as publisher``
        and ``await publisher.send(payload)``."""
        block = publish_properties(content_type, properties, expiry)
        return Publisher(self._connection, topic, publish_flags(qos, retain), block)

    async def publish_many(self, topic: str, payloads: Iterable[Payload], *, qos: QoS = 1, retain: bool = False) -> int:
        """Publish all of them and return how many there were, when all are acknowledged. Raises PublishesRefused."""
        async with self.publisher(topic, qos=qos, retain=retain) as publisher:
            for payload in payloads:
                await publisher.send(payload)
        return publisher.sent

    def subscribe(
        self,
        *filters: str,
        qos: QoS = 1,
        manual_ack: bool = False,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: Literal[0, 1, 2] = 0,
        buffer: int = 10_000,
    ) -> Subscription:
        """Messages that match the filters: see :class:`Subscription`. Raises ValueError for what is no filter."""
        if not filters:
            raise ValueError("subscribe to at least one topic filter")
        for filter in filters:
            if not check_filter(filter):
                raise ValueError(f"{filter!r} is no topic filter")
        entries = [
            SubscribeFilter(filter, publish_flags(qos, False) >> 1, no_local, retain_as_published, retain_handling)
            for filter in filters
        ]
        return Subscription(self._connection, self._dispatch, entries, manual_ack, buffer)

    # ── queues and operations ──

    def queue(self, name: str) -> Queue:
        """A named queue. Raises Problem (bad-request) for what is no name; asks the broker nothing."""
        return Queue(self._connection, self, self._branches, name)

    async def call(self, request: Struct, *, timeout: float = 30.0) -> Any:
        """Carry out any operation of the catalogue (:mod:`mombroker.operations`) and return its response.

        Raises Problem; NotSupported where the broker has no native API; ConnectionLost where it is not known whether
        the broker has done it.
        """
        return await self._calls.call(request, timeout)

    # ── asking services ──

    async def request(
        self,
        service: str,
        payload: Payload = b"",
        *,
        timeout: float = 30.0,
        content_type: str = "",
        properties: Pairs = (),
        patient: bool = False,
    ) -> Reply:
        """Ask a service and wait for its reply, ``timeout`` seconds at the most.

        Raises Problem: no-workers at once if nobody serves, unless ``patient``; service-failed with the worker's own
        ``worker_code``; deadline-passed. ConnectionLost where it is not known whether a worker had it.
        """
        return await self._requests.whole(service, to_bytes(payload), timeout, content_type, properties, patient)

    async def request_parts(
        self,
        service: str,
        payload: Payload = b"",
        *,
        timeout: float = 30.0,
        content_type: str = "",
        properties: Pairs = (),
        patient: bool = False,
    ) -> Parts:
        """As :meth:`request`, for a reply in several parts: ``async for part in await mom.request_parts(...)``."""
        return await self._requests.parts(service, to_bytes(payload), timeout, content_type, properties, patient)

    async def request_later(
        self,
        service: str,
        payload: Payload = b"",
        *,
        timeout: float = 3600.0,
        keep: float = 86_400.0,
        content_type: str = "",
        properties: Pairs = (),
    ) -> Later:
        """Ask a service, and return as soon as the request is on disk. A worker has ``timeout`` seconds; the reply is
        kept for ``keep`` seconds, to be fetched by the id of what is returned here."""
        pairs = tuple(properties.items()) if isinstance(properties, Mapping) else tuple(properties)
        ticket: Ticket = await self.call(
            RequestLater(
                service=service,
                payload=to_bytes(payload),
                content_type=content_type,
                properties=pairs,
                timeout=timeout,
                keep=keep,
            )
        )
        return Later(self, ticket.id)

    def later(self, id: str) -> Later:
        """The request that was sent under this id, by whichever client of the same user."""
        return Later(self, id)

    async def fetch(self, id: str, *, wait: float = 0.0) -> ReplyState:
        """How far an earlier request is, and what there is of its reply."""
        return await Later(self, id).state(wait)

    # ── serving ──

    def service(self, name: str, *, concurrency: int = 16, threads: bool = True) -> Callable[[H], H]:
        """Serve with the function below: ``@mom.service("thumbs")``. It begins at once, inside ``async with``.

        :meth:`serving` waits until all services are there, :meth:`serve_forever` for their end. The function is given
        a :class:`ServiceRequest` and returns bytes, text, a Part or None; it may be a coroutine function, or an
        asynchronous generator for a reply in parts. What it raises reaches the caller as a Problem (service-failed).
        """
        self._connection.check()

        def serve(handler: H) -> H:
            task = asyncio.get_running_loop().create_task(
                self.serve(name, handler, concurrency=concurrency, threads=threads)
            )
            self._starting.append(task)
            return handler

        return serve

    async def serve(self, name: str, handler: Handler, *, concurrency: int = 16, threads: bool = True) -> Worker:
        """Serve with ``handler``, as :meth:`service` does; returns the worker when it is there, to be closed when it
        shall end before the client. Plain functions run in threads, unless ``threads`` is False."""
        worker = Worker(self._branches, name, handler, concurrency, threads)
        await worker.start()
        self._workers.append(worker)
        return worker

    async def serving(self) -> None:
        """Wait until every service that was declared is there. Raises why one is not."""
        await asyncio.gather(*self._starting)

    async def serve_forever(self) -> None:
        """Wait for as long as all services are there. Raises why one has ended."""
        await self.serving()
        await asyncio.gather(*[worker.failed for worker in self._workers])


def connect(
    url: str = DEFAULT,
    *,
    client_id: str = "",
    username: str | None = None,
    password: str | bytes | None = None,
    tls: ssl.SSLContext | None = None,
    clean_start: bool = True,
    session_expiry: int = 300,
    keep_alive: int = 60,
    receive_maximum: int = 1000,
    inflight_maximum: int = 16_384,
    will: Will | None = None,
    user_properties: Iterable[tuple[str, str]] = (),
    connect_timeout: float = 10.0,
    backoff: Backoff = Backoff(),  # noqa: B008 - it is immutable
) -> Mom:
    """A client for the broker at ``url``: ``mqtt://USER:PASSWORD@HOST:PORT``, ``mqtts://...`` or ``unix:PATH``.

    Entering it connects, once, and raises ConnectionFailed, ConnectionRefused or LoginRefused. The broker keeps the
    session for ``session_expiry`` seconds while the connection is broken, and forgets it when the client is closed;
    with ``clean_start=False`` it goes on with the session that an earlier run had under the same ``client_id``, and
    leaves it there. ``receive_maximum`` bounds the messages that wait for our acknowledgement, ``inflight_maximum``
    those that wait for the broker's. Raises BadAddress, ConfigurationError.
    """
    address = parse_address(url, tls)
    if not clean_start and not client_id:
        raise ConfigurationError("clean_start=False goes on with a session: name its client_id")
    if not 1 <= receive_maximum <= 65_535 or not 1 <= inflight_maximum <= 65_000:
        raise ConfigurationError("receive_maximum lies between 1 and 65535, inflight_maximum between 1 and 65000")
    secret = address.password if password is None else password
    options = Options(
        client_id=client_id or f"mom-{token_hex(8)}",
        username=address.username if username is None else username,
        password=secret.encode() if isinstance(secret, str) else secret,
        clean_start=clean_start,
        session_expiry=session_expiry,
        keep_alive=keep_alive,
        receive_maximum=receive_maximum,
        inflight_maximum=inflight_maximum,
        will=will,
        user_properties=tuple(user_properties),
    )
    return Mom(address, options, backoff, connect_timeout)
