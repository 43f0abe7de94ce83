"""A well-behaved pair: one publishes, one receives, and both keep the books; and how long the control takes.

It lives in a process of its own, so that the load generator's work does not count as the broker's. It asks one thing
at a time: a message with QoS 1, 2, 0 and 1 in turn is published and waited for at both ends, then the control is asked.
"""

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.broker.client import Client
from tests.reliability.soak.control import QUESTION

T = TypeVar("T")

TOPIC = "pair/talk"
IN_TURN = (1, 2, 0, 1)


@dataclass(frozen=True)
class Order:
    """Where to go, as whom, and how often a second to talk."""

    port: int
    control: int
    rate: float
    username: str = ""
    password: str = ""


@dataclass(frozen=True)
class Trip:
    """One message. Seconds from its publishing to its delivery and to the end of its acknowledgement, and what the
    control took right afterwards; ``at`` is of the monotonic clock."""

    number: int
    qos: int
    at: float
    delivered: float
    acked: float
    control: float


def talk(order: Order) -> int:
    """Talk until standard input ends. Prints a line of JSON for every trip."""
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    asyncio.run(_talk(order, over))
    return 0


async def _talk(order: Order, over: threading.Event) -> None:
    login = {"username": order.username, "password": order.password.encode()} if order.username else {}
    reader, writer = await asyncio.open_connection("127.0.0.1", order.control)
    async with contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(await Client.connected(order.port, "pair-publisher", **login))  # type: ignore[arg-type]
        receiver = await stack.enter_async_context(await Client.connected(order.port, "pair-receiver", **login))  # type: ignore[arg-type]
        assert (await receiver.subscribe(TOPIC, qos=2)).reasons == [2]
        begun = time.monotonic()
        number = 0
        while not over.is_set():
            number += 1
            trip = await _trip(number, publisher, receiver, reader, writer)
            print(json.dumps(list(vars(trip).values())), flush=True)
            due = begun + number / order.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        # Nothing comes that was not asked for, such as a message a second time.
        await receiver.ping()
        await publisher.ping()
    writer.close()


async def _trip(
    number: int, publisher: Client, receiver: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Trip:
    qos = IN_TURN[number % len(IN_TURN)]
    payload = b"%d" % number
    at = time.monotonic()
    (acked, reason), (delivered, message) = await asyncio.gather(
        _timed(publisher.publish(TOPIC, payload, qos)), _timed(receiver.message())
    )
    assert reason == 0, f"message {number} was refused: {reason:#x}"
    assert message.payload() == payload, f"{message.payload()!r} came where {payload!r} was due"
    asked = time.monotonic()
    writer.write(QUESTION)
    await reader.readexactly(len(QUESTION))
    return Trip(number, qos, at, delivered - at, acked - at, time.monotonic() - asked)


async def _timed(work: Coroutine[Any, Any, T]) -> tuple[float, T]:
    done = await work
    return time.monotonic(), done
