"""Streams: a publisher and a subscriber of many small messages, each checked by its number, its order and its content.

They are made of the parts of the benchmark's load generator, which costs less per message than a broker does. What a
stream publishes is acknowledged in full before it ends; so whatever the tally misses then was acknowledged and lost.
"""

import asyncio
import time
from collections.abc import Callable

from bench.load.connection import connect, disconnect, exactly, forget_session
from bench.load.packets import IDENTIFIERS, Layout, Outbox, subscribe_packet
from bench.load.publishing import Handshakes
from bench.load.receiving import Receive, Subscriber
from tests.processes.server import TIMEOUT
from tests.reliability.soak.pace import Pace
from tests.reliability.soak.result import Result

PAYLOAD = 100
WINDOW = 512
"""Messages under way in a closed loop. They fit into the socket's buffer: writing them never waits."""

TICK = 0.005
QOS_0_PATIENCE = 2.0


class Stream:
    """One publisher, one subscriber. QoS 1 and 2 go to a session that outlives its connection, and so to disk.

    ``window``: how many may be under way; 0 for an open loop, where only TCP itself holds the publisher back.
    """

    def __init__(self, port: int, name: str, qos: int, run: int, window: int = WINDOW) -> None:
        self.name, self.qos, self.pace = name, qos, Pace()
        self._port = port
        self._window = window
        self._topic = f"stream/{name}".encode()
        self._layout = Layout(self._topic, qos, PAYLOAD)
        self._run = run
        self._client = f"{name}-subscriber".encode()
        self._outbox = Outbox(self._layout, run)
        self._moved = asyncio.Event()
        self.sent = 0
        self.held_back = 0.0
        """Seconds that an open loop waited for TCP."""

    async def open(self) -> None:
        """Connect both, and subscribe."""
        sock = connect(self._port, self._client, clean=not self.qos, patience=TIMEOUT)
        sock.sendall(subscribe_packet(1, [self._topic], self.qos))
        granted = exactly(sock, 5)
        assert granted[4] == self.qos, f"SUBACK {granted.hex()}"
        order = Receive(self._port, self._layout, (self._topic,), self._run)
        self._subscriber = Subscriber(sock, order)
        self._publisher = connect(self._port, f"{self.name}-publisher".encode(), patience=TIMEOUT)
        self._shakes = Handshakes(self._publisher, self.qos)
        if not self._window:
            self._publisher.setblocking(False)
        loop = asyncio.get_running_loop()
        self._failed: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sock.fileno(), self._try, self._read)
        loop.add_reader(self._publisher.fileno(), self._try, self._hear)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._stop_reading()
            if not self._failed.done():
                self._failed.set_exception(error)
        self._moved.set()

    def _read(self) -> None:
        self._subscriber.read()

    def _hear(self) -> None:
        self._shakes.take(0)

    @property
    def acked(self) -> int:
        """How many were acknowledged to the end."""
        return self._shakes.done if self.qos else self.sent

    @property
    def received(self) -> int:
        """How many have come."""
        return self._subscriber.tally.received

    async def run(self) -> None:
        """Publish until the pace is stopped."""
        while not self.pace.stopped:
            room = self._outbox.most
            if self._window:
                room = min(room, self._window - (self.sent - min(self.acked, self.received)))
            elif self.qos:
                # A packet identifier must not be used again before its message is acknowledged.
                room = min(room, IDENTIFIERS - 1 - (self.sent - self.acked))
            count = self.pace.due(room) if room > 0 else 0
            if count:
                await self._send(self._outbox.messages(self.sent, count))
                self.sent += count
            elif room <= 0:
                await self._wait()
            else:
                await asyncio.sleep(TICK)
            await asyncio.sleep(0)
            if self._failed.done():
                return

    async def _send(self, messages: memoryview) -> None:
        if self._window:
            self._publisher.sendall(messages)
        else:
            begun = time.monotonic()
            await asyncio.get_running_loop().sock_sendall(self._publisher, bytes(messages))
            self.held_back += time.monotonic() - begun

    async def _wait(self, patience: float = TIMEOUT) -> bool:
        """Wait until something comes."""
        self._moved.clear()
        try:
            async with asyncio.timeout(patience):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> Result:
        """Wait for all that is still to come, as long as anything does; and the verdict."""
        while self._waiting() and not self._failed.done():
            # A QoS 0 message may be dropped, and then nothing tells.
            if not await self._wait(TIMEOUT if self.qos else QOS_0_PATIENCE):
                break
        self._stop_reading()
        for sock in (self._publisher, self._subscriber.sock):
            sock.setblocking(True)
            disconnect(sock)
        if self.qos:
            forget_session(self._port, self._client)
        return self._verdict()

    def _waiting(self) -> bool:
        handshakes = self._subscriber.completed if self.qos == 2 else self.sent
        return min(self.acked, self.received, handshakes) < self.sent

    def _stop_reading(self) -> None:
        loop = asyncio.get_running_loop()
        for sock in (self._publisher, self._subscriber.sock):
            loop.remove_reader(sock.fileno())

    def _verdict(self) -> Result:
        result, name = Result(), f"the stream {self.name} (QoS {self.qos})"
        if self._failed.done():
            result.faults.append(f"{name} broke: {self._failed.exception()!r}")
        result.fault(self.acked < self.sent, f"{name}: {self.sent - self.acked} of {self.sent} were never acknowledged")
        verdict = self._subscriber.tally.verdict([self.acked])
        result.count("messages published", self.sent)
        result.count("messages received", verdict.received)
        if self.qos:
            result.count("acked messages checked", self.acked)
        else:
            result.count("QoS 0 messages not delivered", verdict.lost)
        wrong = [one for one in verdict.faults() if self.qos or not one.startswith("LOST")]
        result.fault(bool(wrong), f"{name}: {', '.join(wrong)} of {self.sent}")
        return result


async def rate_of(port: int, run: int, seconds: float) -> float:
    """How many messages a second of QoS 0 and 1 together go through in closed loops."""
    streams = [Stream(port, f"measure-{qos}", qos, run) for qos in (0, 1)]
    for stream in streams:
        await stream.open()
    begun = time.monotonic()
    running = [asyncio.create_task(stream.run()) for stream in streams]
    await asyncio.sleep(seconds)
    done, took = sum(stream.received for stream in streams), time.monotonic() - begun
    for stream in streams:
        stream.pace.stopped = True
    await asyncio.gather(*running)
    for stream in streams:
        verdict = await stream.close()
        assert not verdict.faults, verdict.faults
    return done / took
