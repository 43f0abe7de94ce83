"""A session kept connected: the asyncio shell around the sans-IO session.

No task runs while the connection stands. Bytes go straight from ``data_received`` through the session to whoever waits,
and what they lead to is written at the end of the same turn. When the connection breaks, one task tries to
come back, and the session sends again what was not acknowledged.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol

from mombroker.client.address import Address
from mombroker.client.backoff import Backoff
from mombroker.client.errors import (
    ClientClosed,
    ConnectionFailed,
    ConnectionLost,
    ConnectionRefused,
    Disconnected,
    connect_refusal,
)
from mombroker.client.link import Link
from mombroker.client.protocol import Message, Options, Outgoing, Session
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import ADMINISTRATIVE_ACTION, SESSION_TAKEN_OVER
from mombroker.mqtt import ProtocolError, Publish

CLOSE_SECONDS = 5.0
"""How long a transport may take to send what it has when we close."""

BATCH_FRAMES = 512
"""Frames that are gathered at the most: a loop of publishes that never waits must not gather for ever."""

_NO_COMING_BACK = {SESSION_TAKEN_OVER, ADMINISTRATIVE_ACTION}


class Receiver(Protocol):
    """Takes the messages of a connection."""

    def received(self, message: Message, publish: Publish) -> None:
        """A message has come. Must not raise."""
        ...


class Connection:
    """One session with one broker. ``keep_session`` leaves it there when we close."""

    def __init__(
        self, address: Address, options: Options, receiver: Receiver, backoff: Backoff, connect_timeout: float
    ) -> None:
        self.address = address
        self.session = Session(options, self)
        self.keep_session = not options.clean_start
        self.on_lost: list[Callable[[MombrokerError], None]] = []
        self._receiver = receiver
        self._backoff = backoff
        self._connect_timeout = connect_timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link | None = None
        self._ready = False
        self._feeding = False
        self._flush_planned = False
        self._end: MombrokerError | None = ClientClosed("the client is not open: use it inside its `async with`")
        self._introduced: asyncio.Future[None] | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._coming_back: asyncio.Task[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._dismissal: Disconnected | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it lives in. Raises ClientClosed."""
        if self._loop is None:
            self.check()
        assert self._loop is not None
        return self._loop

    @property
    def connected(self) -> bool:
        """Whether the broker has let us in and the connection stands."""
        return self._ready

    @property
    def ended(self) -> MombrokerError | None:
        """What ended this connection for good, or has it not begun."""
        return self._end

    def check(self) -> None:
        """Raise what ended this connection for good, if something did."""
        if self._end is not None:
            raise self._end

    # ── opening and closing ──

    async def open(self) -> None:
        """Connect for the first time. Raises ConnectionFailed or ConnectionRefused."""
        self._loop = asyncio.get_running_loop()
        self._end = None
        try:
            await self._attempt()
        except BaseException as error:
            self._finish(error if isinstance(error, MombrokerError) else ClientClosed("connecting was given up"))
            raise

    async def _attempt(self) -> None:
        """One attempt, up to the CONNACK."""
        introduced = self.loop.create_future()
        self._introduced = introduced
        self._dismissal = None
        try:
            async with asyncio.timeout(self._connect_timeout):
                self._link = await self._make_link()
                self.session.opened()
                self._flush()
                await introduced
        except TimeoutError:
            self._drop_link()
            raise ConnectionFailed(f"{self.address} did not answer within {self._connect_timeout:g} s") from None
        except ssl.SSLError as error:
            raise ConnectionFailed(f"no secure connection to {self.address}: {error}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConnectionFailed(f"no connection to {self.address}: {reason}; does a broker listen there?") from error
        except ConnectionLost as error:
            raise ConnectionFailed(f"{self.address} did not let us in: {error}") from error
        except BaseException:
            self._drop_link()
            raise
        finally:
            self._introduced = None

    async def _make_link(self) -> Link:
        address = self.address
        if address.path:
            _, link = await self.loop.create_unix_connection(lambda: Link(self), address.path)
        else:
            _, link = await self.loop.create_connection(lambda: Link(self), address.host, address.port, ssl=address.tls)
        return link

    async def close(self) -> None:
        """Say goodbye and close. Whoever still waits gets ClientClosed."""
        link = self._link
        if self._end is None:
            self.session.closing(self.keep_session)
            self._flush()
            self._finish(ClientClosed("the client was closed"))
        if link is not None:
            link.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await asyncio.shield(link.closed)
            link.abort()
        if self._coming_back is not None:
            self._coming_back.cancel()
            await asyncio.gather(self._coming_back, return_exceptions=True)

    def _finish(self, error: MombrokerError) -> None:
        """This is the end: nobody will come back."""
        self._end = error
        self._ready = False
        self._link = None
        if self._ticking is not None:
            self._ticking.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()
        self.session.abandon(error)
        for tell in list(self.on_lost):
            tell(error)

    def _drop_link(self) -> None:
        link = self._link
        self._link = None
        if link is not None:
            link.abort()

    # ── bytes ──

    def take(self, link: Link, data: bytes) -> None:
        """Bytes from the broker."""
        if link is not self._link:
            return
        self._feeding = True
        try:
            self.session.feed(data)
        except ProtocolError as error:
            self._flush()
            self._fell(link, ConnectionLost(f"{self.address} broke the protocol: {error}"))
            return
        finally:
            self._feeding = False
        if self.session.outbox.frames:
            self._flush()
        if self._waiters:
            self._let_on()

    def wants_write(self) -> None:
        """Something is to be sent: at the end of this chunk or turn."""
        if not self._feeding and not self._flush_planned and self._loop is not None:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        outbox = self.session.outbox
        if outbox.frames and self._link is not None:
            self._link.write(outbox.take())

    def can_write(self, link: Link) -> None:
        """The transport has room again."""
        self._let_on()

    # ── room ──

    @property
    def has_room(self) -> bool:
        """Whether a publish would leave at once: we are connected, the window is open, the transport takes more."""
        link = self._link
        return self._ready and link is not None and link.writable and self.session.outbound.has_room

    async def room(self) -> None:
        """Wait until :attr:`has_room`. Raises what ended the connection for good."""
        while not self.has_room:
            await self._turn()

    async def ready(self) -> None:
        """Wait until we are connected. Raises what ended the connection for good."""
        while not self._ready:
            await self._turn()

    async def _turn(self) -> None:
        self.check()
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _let_on(self) -> None:
        """Let those who wait look again."""
        if self._ready:
            waiters = self._waiters
            self._waiters = deque()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def publish(self, message: Outgoing) -> None:
        """Accept a publish. Raises what ended the connection for good."""
        if self._end is not None:
            raise self._end
        self.session.outbound.publish(message)
        if len(self.session.outbox.frames) >= BATCH_FRAMES:
            self._flush()

    # ── what the session tells ──

    def let_in(self, session_present: bool) -> None:
        """The broker lets us in."""
        self._ready = True
        if self._introduced is not None and not self._introduced.done():
            self._introduced.set_result(None)
        self._plan_tick()
        self._let_on()

    def refused(self, reason: int, text: str) -> None:
        """The broker does not let us in."""
        if self._introduced is not None and not self._introduced.done():
            self._introduced.set_exception(connect_refusal(str(self.address), reason, text))

    def received(self, message: Message, publish: Publish) -> None:
        """A message has come."""
        self._receiver.received(message, publish)

    def dismissed(self, reason: int, text: str) -> None:
        """The broker ends the connection."""
        if reason in _NO_COMING_BACK:
            self._dismissal = Disconnected(f"{self.address} ended the connection", reason, text)

    # ── losing it and coming back ──

    def gone(self, link: Link, error: Exception | None) -> None:
        """A link is closed."""
        if link is self._link:
            why = f": {error}" if error is not None else ""
            self._fell(link, self._dismissal or ConnectionLost(f"the connection to {self.address} broke{why}"))

    def _fell(self, link: Link, error: MombrokerError) -> None:
        link.close()
        self._link = None
        was_ready = self._ready
        self._ready = False
        self.session.lost()
        if self._ticking is not None:
            self._ticking.cancel()
        if self._introduced is not None and not self._introduced.done():
            self._introduced.set_exception(error)
        if not was_ready:
            return  # whoever makes the attempt goes on
        if self._dismissal is not None:
            self._finish(error)
            return
        for tell in list(self.on_lost):
            tell(error)
        self._coming_back = self.loop.create_task(self._come_back())

    async def _come_back(self) -> None:
        for delay in self._backoff.delays():
            await asyncio.sleep(delay)
            try:
                await self._attempt()
            except ConnectionRefused as error:
                if error.final:
                    self._finish(error)
                    return
            except ConnectionFailed:
                continue
            else:
                return

    def _tick(self) -> None:
        link = self._link
        if link is None:
            return
        if not self.session.tick():
            link.abort()
            self._fell(link, ConnectionLost(f"{self.address} gave no sign of life"))
            return
        self._plan_tick()

    def _plan_tick(self) -> None:
        seconds = self.session.keep_alive
        if seconds:
            self._ticking = self.loop.call_later(seconds / 3, self._tick)
