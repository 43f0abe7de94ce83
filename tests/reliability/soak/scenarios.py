"""Five ways of asking too much of a broker. Each is over when its coroutine returns, with all its clients gone.

What a scenario itself checks is about its own clients. That others are served on, and that everything comes back, is
:mod:`overload`'s.
"""

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from bench.load.connection import connect, disconnect, exactly
from bench.load.filters import PER_PACKET, filter_number
from bench.load.packets import packet, remaining_length, subscribe_packet, text
from mombroker.mqtt import Publish, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe
from tests.broker.client import Client
from tests.processes.server import TIMEOUT
from tests.reliability.soak import crowd
from tests.reliability.soak.result import Result
from tests.reliability.soak.streams import Stream, rate_of
from tests.reliability.soak.subject import ADMIN, Subject


@dataclass(frozen=True)
class Scale:
    """How much of everything. ``rounds``: how often each scenario is gone through with one broker."""

    rounds: int
    seconds: float
    publishers: int
    times: float
    readers: int
    flood: int
    connects: int
    subscriptions: int
    subscribers: int
    turns: int
    guessers: int
    users: int


async def publishers(subject: Subject, scale: Scale, result: Result) -> None:
    """Publishers that together send so many times what goes through, and wait for nothing. Readers that keep up take
    all that was acknowledged."""
    rate = await rate_of(subject.port, next(_runs), scale.seconds / 4)
    streams = [
        Stream(subject.port, f"flood-{number}", number % 2, next(_runs), window=0) for number in range(scale.publishers)
    ]
    for stream in streams:
        await stream.open()
        stream.pace.hold(scale.times * rate / len(streams))
    working = [asyncio.create_task(stream.run()) for stream in streams]
    await asyncio.sleep(scale.seconds)
    for stream in streams:
        stream.pace.stopped = True
    await asyncio.gather(*working)
    sent = sum(stream.sent for stream in streams) / scale.seconds
    held = sum(stream.held_back for stream in streams) / len(streams) / scale.seconds
    for stream in streams:
        result.add(await stream.close())
    result.figures["publishers: rate that went through before, messages a second"] = round(rate)
    result.figures["publishers: times of it that were due"] = scale.times
    result.figures["publishers: times of it that TCP let through"] = round(sent / rate, 2)
    result.figures["publishers: share of the time that TCP held them back"] = round(held, 2)


_runs = itertools.count(100)
"""Numbers for runs of streams: no two share one."""


async def stalled(subject: Subject, scale: Scale, result: Result) -> None:
    """Readers that never read, half with QoS 0 and half with QoS 1, while somebody publishes to them. One that had
    stalled and reads after all gets everything."""
    names = [f"deaf-{number}" for number in range(scale.readers)]
    deaf = [crowd.deaf(subject.port, name, b"flood", number % 2) for number, name in enumerate(names)]
    given = {"session_expiry": 600}
    try:
        async with await Client.connected(subject.port, "late-reader", **given) as late:
            await late.subscribe("flood", qos=1)
            late.writer.transport.pause_reading()  # type: ignore[attr-defined]
            async with await Client.connected(subject.port, "flooder") as flooder:
                for number in range(scale.flood):
                    assert await flooder.publish("flood", b"%d " % number + bytes(1000), 1) == 0
            late.writer.transport.resume_reading()  # type: ignore[attr-defined]
            read = [int(payload.split(b" ")[0]) for payload in await late.messages(scale.flood)]
        result.fault(read != list(range(scale.flood)), "a reader that had stalled did not get all, in order")
        async with await Client.connected(subject.port, "late-reader"):
            pass
    finally:
        for sock in deaf:
            sock.close()
    result.count("stalled readers", len(deaf))
    result.count("acked messages checked", scale.flood)


async def connects(subject: Subject, scale: Scale, result: Result) -> None:
    """Very many clients that connect in one moment, live, and are gone in one moment."""
    count = min(scale.connects, int(os.sysconf("SC_OPEN_MAX")) - crowd.SPARE)
    if count < scale.connects:
        print(f"     only {count} of {scale.connects} at once: more descriptors are not allowed here")
    begun = time.monotonic()
    everybody = crowd.rush(subject.port, count)
    try:
        took = time.monotonic() - begun
        there = len(everybody.members)
        result.fault(there < count, f"only {there} of {count} that came at once were let in")
        alive = crowd.ping(everybody)
        result.fault(alive < there, f"only {alive} of {there} connections that were let in answer")
    finally:
        everybody.close()
    result.count("connects", count)
    result.figures["connects: at once"] = count
    result.figures["connects: seconds until the last one was in"] = round(took, 2)


async def subscriptions(subject: Subject, scale: Scale, result: Result) -> None:
    """One client with very many subscriptions, then many that subscribe and unsubscribe, as fast as they can."""
    hoarder = connect(subject.port, b"hoarder", patience=2 * TIMEOUT)
    begun = time.monotonic()
    granted = await asyncio.to_thread(_hoard, hoarder, scale.subscriptions)
    took = time.monotonic() - begun
    result.fault(granted < scale.subscriptions, f"only {granted} of {scale.subscriptions} subscriptions were granted")
    gate = asyncio.Semaphore(100)
    done = await asyncio.gather(*[_restless(subject.port, n, scale.turns, gate) for n in range(scale.subscribers)])
    begun = time.monotonic()
    left = await asyncio.to_thread(_let_go, hoarder, scale.subscriptions)
    result.fault(left > 0, f"{left} subscriptions could not be given up")
    result.figures["subscriptions: of one client, a second"] = round(granted / took)
    result.figures["subscriptions: given up, a second"] = round(granted / (time.monotonic() - begun))
    disconnect(hoarder)
    result.count("subscriptions", granted + sum(done))


def _hoard(sock: socket.socket, count: int) -> int:
    granted = 0
    for first in range(0, count, PER_PACKET):
        filters = [filter_number(number) for number in range(first, min(first + PER_PACKET, count))]
        sock.sendall(subscribe_packet(1, filters, 1))
        granted += exactly(sock, 1 + len(remaining_length(2 + len(filters))) + 2 + len(filters))[-len(filters) :].count(
            1
        )
    return granted


def _let_go(sock: socket.socket, count: int) -> int:
    """Unsubscribe from half of them, one packet for each hundred; the rest goes with the session."""
    for first in range(0, count // 2, PER_PACKET):
        filters = [filter_number(number) for number in range(first, min(first + PER_PACKET, count // 2))]
        sock.sendall(packet(0xA2, b"\x00\x02" + b"".join(map(text, filters))))
        if exactly(sock, 4) != b"\xb0\x02\x00\x02":
            return count // 2 - first
    return 0


async def _restless(port: int, number: int, turns: int, gate: asyncio.Semaphore) -> int:
    """Subscribes to twenty filters, hears itself on the last, unsubscribes, and hears nothing; again and again."""
    filters = [f"restless/{number}/{one}/+" for one in range(19)] + [f"restless/{number}"]
    async with gate, await Client.connected(port, f"restless-{number}") as client:
        for _ in range(turns):
            client.send(Subscribe(1, [SubscribeFilter(filter, 0) for filter in filters]))
            assert (await client.expect(SubAck)).reasons == [0] * len(filters)
            client.send(Publish.create(f"restless/{number}", b"heard"))
            assert (await client.message()).payload() == b"heard"
            client.send(Unsubscribe(2, filters), Publish.create(f"restless/{number}", b"not heard"))
            assert (await client.expect(UnsubAck)).reasons == [0] * len(filters)
            await client.ping()
    return turns * len(filters)


async def guessing(subject: Subject, scale: Scale, result: Result) -> None:
    """Guessers of passwords, each with a guess under way all the time, from one address. Users with the right
    password log in meanwhile, from another one."""
    for number in range(scale.users):
        subject.ask("PUT", f"/v1/users/user-{number}", {"password": f"secret of {number}", "roles": []})
    refused = [0]
    over = asyncio.Event()
    guessers = [asyncio.create_task(_guess(subject.port, n, over, refused)) for n in range(scale.guessers)]
    waited: list[float] = []
    turned_away = 0
    end = time.monotonic() + scale.seconds
    for number in itertools.count():
        if number >= 2 * scale.users and time.monotonic() > end:
            break
        # The first time a password is checked in full; later the client is recognised.
        name = number % scale.users
        begun = time.monotonic()
        async with await _from("127.0.0.2", subject.port) as client:
            answer = await client.connect(f"user-{name}", username=f"user-{name}", password=b"secret of %d" % name)
            turned_away += answer.reason != 0
        waited.append(time.monotonic() - begun)
        _raise_failure(guessers)
    over.set()
    await asyncio.gather(*guessers)
    for number in range(scale.users):
        subject.ask("DELETE", f"/v1/users/user-{number}")
    result.fault(turned_away > 0, f"{turned_away} of {len(waited)} logins with the right password were refused")
    result.count("logins refused", refused[0])
    result.count("logins let in", len(waited) - turned_away)
    result.figures["guessing: refused logins a second"] = round(refused[0] / scale.seconds, 1)
    result.figures["guessing: longest that a right password waited, seconds"] = round(max(waited), 2)


def _raise_failure(tasks: "Sequence[asyncio.Task[None]]") -> None:
    for task in tasks:
        if task.done():
            task.result()


async def _from(address: str, port: int) -> Client:
    """A connection that comes from another address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    return Client(reader, writer, 5)


async def _guess(port: int, number: int, over: asyncio.Event, refused: list[int]) -> None:
    random = Random(number)
    while not over.is_set():
        name = random.choice((ADMIN, "root", f"user-{random.randrange(10)}"))
        async with await Client.open(port) as client:
            answer = await client.connect("guesser", username=name, password=b"%d" % random.getrandbits(32))
            assert answer.reason != 0, "a guess was right"
            refused[0] += 1
