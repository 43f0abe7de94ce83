"""The client without a loop: ``with mombroker.connect_sync(...) as mom``."""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from mombroker.client.address import DEFAULT
from mombroker.client.errors import ClientClosed
from mombroker.client.mom import H, Mom, QoS, connect
from mombroker.client.publishing import Payload
from mombroker.client.requests import Reply
from mombroker.client.service import Handler, Worker
from mombroker.client.sync.loop_thread import LoopThread
from mombroker.client.sync.queue import SyncQueue
from mombroker.client.sync.requests import SyncLater, SyncParts
from mombroker.client.sync.streams import SyncPublisher, SyncSubscription
from mombroker.operations.services import ReplyState


class SyncWorker:
    """As :class:`mombroker.client.Worker`."""

    def __init__(self, thread: LoopThread, worker: Worker) -> None:
        self._thread = thread
        self._worker = worker

    def close(self) -> None:
        """Stop serving."""
        self._thread.run(self._worker.close())

    def wait(self) -> None:
        """Wait for its end. Raises why it has ended, unless it was closed."""
        self._thread.run(_wait(self._worker))


async def _wait(worker: Worker) -> None:
    await worker.failed


class SyncMom:
    """As :class:`mombroker.client.Mom`, for programs without an event loop; for one thread or many.

    Entering it connects; or :meth:`open` and :meth:`close`, where there is no block to enter (a Flask app).
    """

    def __init__(self, mom: Mom) -> None:
        self._mom = mom
        self._running: LoopThread | None = None
        self._changing = threading.Lock()

    @property
    def _thread(self) -> LoopThread:
        if self._running is None:
            raise ClientClosed("the client is not open: use it inside its `with`")
        return self._running

    def open(self) -> None:
        """Connect. Raises what entering :class:`mombroker.client.Mom` raises."""
        with self._changing:
            if self._running is not None:
                raise ClientClosed("the client is open already")
            self._running = LoopThread()
            try:
                self._running.run(self._mom.__aenter__())
            except BaseException:
                self._running.stop()
                self._running = None
                raise

    def close(self) -> None:
        """Disconnect; consumers and services of this client end too."""
        with self._changing:
            if self._running is not None:
                try:
                    self._running.run(self._mom.close())
                finally:
                    self._running.stop()
                    self._running = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""
        return self._mom.client_id

    @property
    def connected(self) -> bool:
        """Whether the connection stands right now."""
        return self._mom.connected

    def publish(self, topic: str, payload: Payload = b"", **options: Any) -> bool:
        """Publish and wait for the acknowledgement; the options are those of :meth:`mombroker.client.Mom.publish`."""
        return self._thread.run(self._mom.publish(topic, payload, **options))

    def publish_many(self, topic: str, payloads: Iterable[Payload], *, qos: QoS = 1, retain: bool = False) -> int:
        """Publish all of them and wait for all acknowledgements."""
        return self._thread.run(self._mom.publish_many(topic, payloads, qos=qos, retain=retain))

    def publisher(self, topic: str, **options: Any) -> SyncPublisher:
        """Publishes many messages without waiting for each; options as of :meth:`mombroker.client.Mom.publisher`."""
        return SyncPublisher(self._thread, self._mom.publisher(topic, **options))

    def subscribe(self, *filters: str, **options: Any) -> SyncSubscription:
        """Messages that match; the options are those of :meth:`mombroker.client.Mom.subscribe`."""
        return SyncSubscription(self._thread, self._mom.subscribe(*filters, **options))

    def queue(self, name: str) -> SyncQueue:
        """A named queue."""
        return SyncQueue(self._thread, self._mom.queue(name))

    def call(self, request: Struct, *, timeout: float = 30.0) -> Any:
        """Carry out any operation of the catalogue."""
        return self._thread.run(self._mom.call(request, timeout=timeout))

    def request(self, service: str, payload: Payload = b"", **options: Any) -> Reply:
        """Ask a service and wait for its reply; options as of :meth:`mombroker.client.Mom.request`."""
        return self._thread.run(self._mom.request(service, payload, **options))

    def request_parts(self, service: str, payload: Payload = b"", **options: Any) -> SyncParts:
        """The same for a reply in several parts."""
        return SyncParts(self._thread, self._thread.run(self._mom.request_parts(service, payload, **options)))

    def request_later(self, service: str, payload: Payload = b"", **options: Any) -> SyncLater:
        """Ask a service now and fetch the reply later; options as of :meth:`mombroker.client.Mom.request_later`."""
        return SyncLater(self._thread, self._thread.run(self._mom.request_later(service, payload, **options)))

    def later(self, id: str) -> SyncLater:
        """The request that was sent under this id."""
        return SyncLater(self._thread, self._mom.later(id))

    def fetch(self, id: str, *, wait: float = 0.0) -> ReplyState:
        """How far an earlier request is, and what there is of its reply."""
        return self._thread.run(self._mom.fetch(id, wait=wait))

    def service(self, name: str, *, concurrency: int = 16) -> Callable[[H], H]:
        """Serve with the function below, which runs in threads. It serves from then on."""

        def serve(handler: H) -> H:
            self.serve(name, handler, concurrency=concurrency)
            return handler

        return serve

    def serve(self, name: str, handler: Handler, *, concurrency: int = 16) -> SyncWorker:
        """Serve with ``handler``, up to ``concurrency`` requests at a time, each in a thread."""
        worker = self._thread.run(self._mom.serve(name, handler, concurrency=concurrency))
        return SyncWorker(self._thread, worker)

    def serve_forever(self) -> None:
        """Wait for as long as all services are there. Raises why one has ended."""
        self._thread.run(self._mom.serve_forever())


def connect_sync(url: str = DEFAULT, **options: Any) -> SyncMom:
    """As :func:`mombroker.client.connect`, for programs without an event loop."""
    return SyncMom(connect(url, **options))
