"""The runtime: one broker core on an event loop, with its store and its clock.

The core is told what happens and says what to do; this is where that meets the world: turns of the event loop, the
store's futures, deadlines.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from mombroker.core import Connection, Engine, Hooks, Limits, Outside, Transport
from mombroker.core.queue import Queue, Ref
from mombroker.core.session import Session
from mombroker.model.errors import StoreError
from mombroker.model.store import Page, Store
from mombroker.model.unit import Unit
from mombroker.mqtt.packets import Publish


class Clock:
    """Seconds since the Unix epoch that never go back: the wall clock at the start, then the monotonic one."""

    def __init__(self) -> None:
        self._offset: float = time.time() - time.monotonic()

    def now(self) -> float:
        """The time."""
        return time.monotonic() + self._offset


class LoopOutside(Outside):
    """What the core asks of an event loop and a store."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store, clock: Clock) -> None:
        self._loop: asyncio.AbstractEventLoop = loop
        self._store: Store = store
        self._clock: Clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._settled: asyncio.Future[None] | None = None
        self.engine: Engine | None = None
        self.operations: Callable[[Session, str, Publish], bool] | None = None
        self.in_turn: bool = False
        self.failed: asyncio.Future[BaseException] = loop.create_future()

    def _started(self) -> Engine:
        if self.engine is None:
            raise StoreError("the store answered before the broker had started")
        return self.engine

    def _soon(self, future: "Future[Any]", then: Callable[["Future[Any]"], None]) -> None:
        """Call ``then`` on the loop once the store has answered, never at once. An answer that comes after the loop
        was closed has nobody left to take it."""

        def answered(done: "Future[Any]") -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(then, done)

        future.add_done_callback(answered)

    def commit(self, unit: Unit) -> None:
        """Give the unit to the store. A store that is done at once (in memory) costs no detour."""
        future = self._store.commit(unit)
        if future.done():
            self._committed(future)
        else:
            self._soon(future, self._committed_later)

    def _committed_later(self, future: "Future[None]") -> None:
        def turn() -> None:
            self._committed(future)
            engine = self._started()
            # Before the acknowledgements are written: the store works meanwhile.
            engine.hand_over()
            engine.end_turn()

        self._guarded(turn)

    def _committed(self, future: "Future[None]") -> None:
        if not self.failed.done():
            self._started().committed(future.exception())

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do what no client can be blamed for. A defect there would leave a broker that runs and acknowledges nothing
        more, or misses its deadlines: it ends instead."""
        self._started().now = self._clock.now()
        try:
            work()
        except Exception as error:
            self.fatal(error)
        self._check_settled()

    def read(self, queue: Queue, first: int, max_records: int, max_bytes: int) -> None:
        """Read a page in the store's own thread."""
        committed = queue.committed

        def loaded(future: "Future[Page]") -> None:
            page = self._page(future)
            if page is not None:
                engine = self._started()
                engine.now = self._clock.now()
                engine.page_loaded(queue, page, committed)

        self._soon(self._store.read(queue.id, first, max_records, max_bytes), loaded)

    def read_lease(self, session: Session, ref: Ref) -> None:
        """Read the one message at the lease's position."""

        def loaded(future: "Future[Page]") -> None:
            page = self._page(future)
            if page is not None:
                engine = self._started()
                engine.now = self._clock.now()
                engine.lease_loaded(session, ref, page)

        self._soon(self._store.read(ref.queue.id, ref.position, 1, 1), loaded)

    def _page(self, future: "Future[Page]") -> Page | None:
        error = future.exception()
        if error is not None:
            self.fatal(error)
            return None
        return future.result()

    def operate(self, session: Session, operation: str, packet: Publish) -> bool:
        """Pass an operation on to the native API, if there is one."""
        return self.operations is not None and self.operations(session, operation, packet)

    def request_turn(self) -> None:
        """End the turn after the sockets that are ready now have been read."""
        self.in_turn = True
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self.in_turn = False
        self._guarded(self._started().end_turn)

    def request_tick(self, deadline: float) -> None:
        """Wake up at a deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, deadline - self._clock.now()), self._tick)

    def _tick(self) -> None:
        self._guarded(self._started().tick)

    def when_settled(self) -> "asyncio.Future[None]":
        """A future that is done when nothing waits to be written any more, or nothing can be."""
        self._settled = self._loop.create_future()
        self._check_settled()
        return self._settled

    def _check_settled(self) -> None:
        if self._settled is None or self._settled.done():
            return
        if self.failed.done() or self._started().is_settled():
            self._settled.set_result(None)

    def fatal(self, error: BaseException) -> None:
        """Nothing may be acknowledged any more; :meth:`Runtime.failure` tells whoever runs the broker."""
        if not self.failed.done():
            self.failed.set_result(error)
            self._check_settled()

    def close(self) -> None:
        """No more deadlines."""
        if self._timer is not None:
            self._timer.cancel()


class Runtime:
    """A broker core that runs. Listeners open connections on it and feed it bytes, all on the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        hooks: Hooks,
        store: Store,
        log: Any,
        commit_interval: float = 0.0,
    ) -> None:
        """``commit_interval``: 0.0, or the seconds between commits that no acknowledgement waits for."""
        self.clock: Clock = Clock()
        self._outside: LoopOutside = LoopOutside(loop, store, self.clock)
        self._store: Store = store
        self.engine: Engine = Engine(limits, hooks, self._outside, log, store.epoch, self.clock.now(), commit_interval)
        self._outside.engine = self.engine

    def start(self) -> None:
        """Restore sessions, queues and retained messages from the store."""
        self.engine.start(self._store)

    @property
    def failure(self) -> "asyncio.Future[BaseException]":
        """Done, with the error, when the broker must not go on."""
        return self._outside.failed

    def open_connection(self, transport: Transport, address: str, port: int, listener: str) -> Connection:
        """A client has connected."""
        self.engine.now = self.clock.now()
        return self.engine.open_connection(transport, address, port, listener)

    def feed(self, connection: Connection, data: bytes) -> None:
        """Bytes have arrived from a client. What arrives in one turn has one time: it was there at once."""
        if not self._outside.in_turn:
            self.engine.now = self.clock.now()
        self.engine.feed(connection, data)

    def connection_lost(self, connection: Connection) -> None:
        """A client's connection is gone."""
        self.engine.now = self.clock.now()
        self.engine.connection_lost(connection)

    def congestion(self, connection: Connection, congested: bool) -> None:
        """A client reads too slowly for what is sent to it, or has caught up."""
        self.engine.now = self.clock.now()
        self.engine.congestion(connection, congested)

    def change_limits(self, limits: Limits) -> None:
        """Hold clients to other limits from now on; those announced in a CONNACK stay as announced."""
        self.engine.change_limits(limits)

    def carry_out_with(self, operations: Callable[[Session, str, Publish], bool]) -> None:
        """Have operations that MQTT clients ask for carried out."""
        self._outside.operations = operations

    async def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        """A page of a queue, as it is in the store."""
        return await asyncio.wrap_future(self._store.read(queue_id, first, max_records, max_bytes))

    async def get(self, table: int, key: bytes) -> bytes | None:
        """A state record, as it is in the store."""
        return await asyncio.wrap_future(self._store.get(table, key))

    async def shut_down(self) -> None:
        """Disconnect every client and wait until all that they sent is on disk."""
        self.engine.now = self.clock.now()
        self.engine.shut_down()
        await self._outside.when_settled()

    def close(self) -> None:
        """No more deadlines."""
        self._outside.close()
