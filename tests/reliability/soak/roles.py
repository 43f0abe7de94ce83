"""The parts of the load that are not streams: a named queue with workers, requests and replies, and calls over HTTP.

Each goes at a pace, keeps books by number, and takes in what it has begun before it ends.
"""

import asyncio
import contextlib
from typing import Any

import httpx

import mombroker
from mombroker.operations.services import DeleteService
from tests.processes.server import TIMEOUT
from tests.reliability.soak.books import Books
from tests.reliability.soak.pace import Pace
from tests.reliability.soak.result import Result

BATCH = 20
ASKERS = 4


class Role:
    """A part of the load. ``run`` works until the pace is stopped; ``close`` ends it."""

    name = ""

    def __init__(self) -> None:
        self.pace = Pace()

    async def open(self) -> None:
        """Make ready."""
        raise NotImplementedError

    async def run(self) -> None:
        """Work."""
        raise NotImplementedError

    async def close(self) -> Result:
        """Take in the rest."""
        raise NotImplementedError


class QueueRole(Role):
    """A queue with two producers, which put batches, and two workers, which acknowledge one by one."""

    name = "queue"

    def __init__(self, port: int, queue: str = "soak.jobs") -> None:
        super().__init__()
        self._url, self._queue = f"mqtt://127.0.0.1:{port}", queue
        self._stack = contextlib.AsyncExitStack()
        self._books = Books()
        self._number = 0
        self._workers: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Make the queue."""
        self._moms = [await self._stack.enter_async_context(mombroker.connect(self._url)) for _ in range(4)]
        await self._moms[0].queue(self._queue).create()
        self._workers = [asyncio.create_task(self._work(mom)) for mom in self._moms[2:]]

    async def run(self) -> None:
        """Produce."""
        await asyncio.gather(*[self._produce(mom) for mom in self._moms[:2]])

    async def _produce(self, mom: Any) -> None:
        queue = mom.queue(self._queue)
        while await self.pace.turn(BATCH):
            numbers = range(self._number, self._number + BATCH)
            self._number += BATCH
            await queue.put_many([b"%d" % number for number in numbers])
            for number in numbers:
                self._books.ack(number)

    async def _work(self, mom: Any) -> None:
        async with mom.queue(self._queue).consume(credit=100) as messages:
            async for message in messages:
                self._books.take(int(message.payload))
                await message.ack()

    async def close(self) -> Result:
        """Wait until the queue is empty, then delete it."""
        result, queue = Result(), self._moms[0].queue(self._queue)
        for _ in range(int(TIMEOUT / 0.1)):
            numbers = (await queue.info()).numbers
            if not numbers.depth:
                break
            await asyncio.sleep(0.1)
        result.fault(numbers.depth > 0, f"the queue still holds {numbers.depth} messages")
        for worker in self._workers:
            result.fault(worker.done(), f"a worker has ended: {worker}")
            worker.cancel()
        await asyncio.wait(self._workers)
        await queue.delete()
        await self._stack.aclose()
        books = self._books
        result.fault(books.lost > 0, f"the queue lost {books.lost} of {books.acked} acknowledged messages")
        result.fault(books.too_many > 0, f"the queue handed out {books.too_many} messages twice, and nobody had left")
        result.count("acked messages checked", books.acked)
        result.count("messages through a queue", books.taken)
        return result


class RequestRole(Role):
    """A service with two workers, and callers that check every reply."""

    name = "requests"

    def __init__(self, port: int, service: str = "soak.echo") -> None:
        super().__init__()
        self._url, self._service = f"mqtt://127.0.0.1:{port}", service
        self._stack = contextlib.AsyncExitStack()
        self._number = self._answered = self._wrong = 0

    async def open(self) -> None:
        """Let the workers serve."""
        moms = [await self._stack.enter_async_context(mombroker.connect(self._url)) for _ in range(3)]
        for mom in moms[1:]:
            await mom.serve(self._service, lambda request: request.payload, concurrency=64, threads=False)
        self._mom = moms[0]

    async def run(self) -> None:
        """Ask."""
        await asyncio.gather(*[self._ask() for _ in range(ASKERS)])

    async def _ask(self) -> None:
        while await self.pace.turn():
            self._number += 1
            payload = b"%d" % self._number
            reply = await self._mom.request(self._service, payload, timeout=TIMEOUT)
            self._answered += 1
            self._wrong += reply.payload != payload

    async def close(self) -> Result:
        """All replies are there; the service goes."""
        await self._mom.call(DeleteService(service=self._service))
        await self._stack.aclose()
        result = Result()
        result.count("requests answered", self._answered)
        result.fault(self._wrong > 0, f"{self._wrong} requests got somebody else's reply")
        return result


class HttpRole(Role):
    """Messages that are put, pulled and acknowledged over HTTP, on connections that are kept."""

    name = "HTTP"

    def __init__(self, port: int, queue: str = "soak.http") -> None:
        super().__init__()
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT)
        self._path = f"/v1/queues/{queue}"
        self._books = Books()
        self._number = self._calls = 0

    async def _call(self, method: str, path: str, **given: Any) -> Any:
        answer = await self._client.request(method, path, **given)
        answer.raise_for_status()
        self._calls += 1
        return answer.json()

    async def open(self) -> None:
        """Make the queue."""
        await self._call("PUT", self._path)

    async def run(self) -> None:
        """Put ten, take ten."""
        while await self.pace.turn(12):
            for _ in range(10):
                self._number += 1
                await self._call("POST", f"{self._path}/messages", content=b"%d" % self._number)
                self._books.ack(self._number)
            await self._take()

    async def _take(self) -> int:
        pulled = (await self._call("POST", f"{self._path}/pull?limit=10"))["messages"]
        if pulled:
            await self._call("POST", "/v1/leases/ack", json={"leases": [message["lease"] for message in pulled]})
        for message in pulled:
            self._books.take(int(message["text"]))
        return len(pulled)

    async def close(self) -> Result:
        """Empty the queue and delete it."""
        while await self._take():
            pass
        await self._call("DELETE", self._path)
        await self._client.aclose()
        result, books = Result(), self._books
        result.fault(books.lost > 0, f"HTTP lost {books.lost} of {books.acked} acknowledged messages")
        result.fault(books.too_many > 0, f"HTTP handed out {books.too_many} messages twice")
        result.count("acked messages checked", books.acked)
        result.count("HTTP calls", self._calls)
        return result
