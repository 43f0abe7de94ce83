"""What the operations have in common: the core, the question whether somebody may, and the wait for the disk."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mombroker.api.caller import Caller
from mombroker.core import Engine, Hooks
from mombroker.core.barrier import Outcome
from mombroker.core.named.access import ADMIN_ROLE, default_right, queue_resource, service_resource
from mombroker.core.named.queue import NamedQueue
from mombroker.core.named.service import Service
from mombroker.hooks.requests import UserDirectory
from mombroker.model.identity import ADMIN, CONFIGURE
from mombroker.model.store import Page
from mombroker.operations.problems import (
    FORBIDDEN,
    NO_SUCH_QUEUE,
    NOT_LOGGED_IN,
    SHUTTING_DOWN,
    STORE_FULL,
    Problem,
)
from mombroker.wiring.runtime import Runtime

BROKER: Final = "broker"
"""The resource that administrators have rights to."""


class Told(Outcome):
    """A future that is done when a unit is on disk, or has failed when there was no room for it."""

    def __init__(self, future: "asyncio.Future[None]", carried: bool) -> None:
        super().__init__(carried)
        self.future = future

    def kept(self) -> None:
        """It is on disk."""
        if not self.future.done():
            self.future.set_result(None)

    def refused(self) -> None:
        """There was no room."""
        if not self.future.done():
            self.future.set_exception(disk_full())


def disk_full() -> Problem:
    """The problem of a store without room."""
    return Problem(STORE_FULL, "the disk is full: nothing is taken until there is room")


class ApiContext:
    """The broker as the operations see it. ``directory`` is where users are kept, None if no plugin keeps any."""

    def __init__(
        self,
        runtime: Runtime,
        hooks: Hooks,
        loop: asyncio.AbstractEventLoop,
        log: Any,
        directory: UserDirectory | None,
    ) -> None:
        self.engine: Engine = runtime.engine
        self.hooks = hooks
        self.loop = loop
        self.log = log
        self.directory = directory
        self.closing = False
        self.user_listeners: list[Callable[[str], None]] = []
        self._runtime = runtime
        self._open: set[asyncio.Future[Any]] = set()

    def enter(self) -> Engine:
        """The core, told what time it is. To be called after each await, before anything is asked of it."""
        if self.closing:
            raise Problem(SHUTTING_DOWN, "the broker is shutting down")
        self.engine.now = self._runtime.clock.now()
        return self.engine

    def check_login(self, caller: Caller) -> None:
        """Raise a :class:`Problem` if the caller's login has expired since it was made."""
        if caller.identity.expires_at and caller.identity.has_expired(self.enter().now):
            raise Problem(NOT_LOGGED_IN, "the login has expired")

    async def wait_for(self, wake: asyncio.Event, caller: Caller) -> None:
        """Wait for something that comes when it comes, but no longer than the caller's login is good. Raises
        :class:`Problem`."""
        expires = caller.identity.expires_at
        try:
            async with asyncio.timeout(max(expires - self.enter().now, 0.0) if expires else None):
                await wake.wait()
        except TimeoutError:
            raise Problem(NOT_LOGGED_IN, "the login has expired") from None

    def future(self) -> "asyncio.Future[Any]":
        """A future that fails when the broker shuts down before it is done."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    async def on_disk(self, carried: bool) -> None:
        """Wait until the open unit is on disk. ``carried`` says what a full disk means: changes and acknowledgements
        wait until there is room again; messages are refused, with a :class:`Problem`."""
        engine = self.engine
        engine.wake()
        if engine.barrier.lazy:
            return
        future = self.future()
        engine.barrier.tell(Told(future, carried))
        engine.wake()
        await future

    def user_changed(self, user: str) -> None:
        """Tell whoever remembers something of a user that it may be true no more."""
        for listener in self.user_listeners:
            listener(user)

    def check_room(self) -> None:
        """Raise a :class:`Problem` while the disk is known to be full."""
        if self.engine.barrier.refusing:
            raise disk_full()

    async def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        """A page of a lane, from the store."""
        return await self._runtime.read(queue_id, first, max_records, max_bytes)

    async def get(self, table: int, key: bytes) -> bytes | None:
        """A record of the store."""
        return await self._runtime.get(table, key)

    async def receivers_known(self) -> None:
        """Wait until a hook has answered a question about who may receive something."""
        future = self.future()
        self.engine.receive_outcomes.append(Told(future, True))
        await future

    # -- rights

    async def check(self, caller: Caller, action: str, resource: str, default: bool) -> None:
        """Raise a :class:`Problem` unless the caller may."""
        if not self.hooks.authorizes:
            allowed = default
        else:
            allowed = await self._ask(
                lambda answer: self.hooks.authorize(caller.identity, action, resource, answer, default)
            )
        if not allowed:
            who = caller.user or "an anonymous client"
            raise Problem(FORBIDDEN, f"{who} may not {action} {resource.partition(':')[2] or resource}")
        self.enter()

    async def _ask(self, question: Callable[[Callable[[Any], None]], Any]) -> Any:
        future = self.future()
        found = question(lambda answer: None if future.done() else future.set_result(answer))
        if found is not None:
            future.cancel()
            return found
        return await future

    async def ask_hooks(self, question: Callable[[Callable[[Any], None]], Any]) -> Any:
        """Put a question to the hooks whose answer may come at once or later; None stands for later."""
        found = await self._ask(question)
        self.enter()
        return found

    async def queue(self, caller: Caller, action: str, name: str) -> NamedQueue:
        """A queue that the caller may do something with."""
        queue = self._find(name)
        default = default_right(self.engine, caller.identity, action, queue, name)
        await self.check(caller, action, queue_resource(name), default)
        return self._find(name)

    def _find(self, name: str) -> NamedQueue:
        queue = self.enter().named.queues.get(name)
        if queue is None or queue.service is not None:
            raise Problem(NO_SUCH_QUEUE, f"there is no queue {name!r}")
        return queue

    async def may_make(self, caller: Caller, resource: str) -> None:
        """Raise a :class:`Problem` unless the caller may make something that is not there yet."""
        self.enter()
        await self.check(caller, CONFIGURE, resource, True)

    async def service(self, caller: Caller, action: str, name: str) -> Service:
        """A service that the caller may do something with."""
        service = self.enter().requests.find(name)
        default = default_right(self.engine, caller.identity, action, service.queue, name)
        await self.check(caller, action, service_resource(name), default)
        return self.engine.requests.find(name)

    async def admin(self, caller: Caller) -> Engine:
        """The core, for an administrator."""
        self.enter()
        await self.check(caller, ADMIN, BROKER, ADMIN_ROLE in caller.identity.roles)
        return self.engine

    def close(self) -> None:
        """Nothing is answered any more."""
        self.closing = True
        for future in list(self._open):
            if not future.done():
                future.set_exception(Problem(SHUTTING_DOWN, "the broker is shutting down"))
