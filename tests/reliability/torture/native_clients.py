"""Clients of the native API whose broker is maltreated, and who keep honest books.

What was confirmed is in the books as certain. What was under way when the broker died is not: a producer puts it in
again under the same ids, a consumer notes that it may be gone, a worker answers whatever it is given.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import mombroker
from mombroker.client import Backoff, ClientError, Mom, OutMessage, Problem, QueueMessage, ServiceRequest
from mombroker.operations.messages import Enqueue
from mombroker.operations.problems import NO_SUCH_REQUEST, STORE_FULL
from mombroker.operations.services import NextRequest, ReplyState, SendReply, Tasks
from tests.reliability.torture.place import Place

QUEUE = "jobs"
DEAD = "jobs.dead"
SERVICE = "shout"
LEASE = 600.0
"""Seconds, so many that no lease ends by itself: only the death of the broker ends it."""
LONG = 2_592_000.0
"""Seconds that are never over, however the clock jumps."""
WAIT = 5.0
BACKLOG = 500
"""Messages, and requests, at which nobody adds more until some are done: the end has to come."""

Work = Callable[[Mom], Coroutine[Any, Any, None]]


class Books:
    """What everybody may rely on. ``perhaps`` are messages whose acknowledgement was not confirmed; ``waiting`` those
    that have to be in a queue for certain. ``faults`` are promises that were broken."""

    def __init__(self) -> None:
        self.accepted: set[str] = set()
        self.acknowledged: set[str] = set()
        self.perhaps: set[str] = set()
        self.waiting: set[str] = set()
        self.tickets: dict[str, None] = {}
        self.replied: dict[str, str] = {}
        self.fetched: dict[str, str] = {}
        self.faults: list[str] = []

    def accept(self, ids: set[str]) -> None:
        """The broker has confirmed that it has these."""
        self.accepted |= ids
        self.waiting |= ids - self.perhaps - self.acknowledged

    def may_be_gone(self, ids: set[str]) -> None:
        """They are being acknowledged."""
        self.perhaps |= ids
        self.waiting -= ids

    def acknowledge(self, ids: set[str]) -> None:
        """The broker has confirmed that they are."""
        self.acknowledged |= ids
        self.waiting -= ids

    def handed_out(self, message_id: str) -> None:
        """A consumer got a message."""
        if message_id in self.acknowledged:
            self.faults.append(f"{message_id} was acknowledged, and came again")

    def replied_with(self, request_id: str, text: str) -> None:
        """The broker has confirmed a reply."""
        before = self.replied.setdefault(request_id, text)
        if before != text:
            self.faults.append(f"the reply {before} to {request_id} was confirmed, and then {text}")

    def told(self, state: ReplyState) -> None:
        """A caller was told how far a request is."""
        if state.state not in ("waiting", "running", "done"):
            self.faults.append(f"{state.id} is {state.state}: {state.code} {state.detail}")
        text = "|".join(part.content().decode() for part in state.parts) if state.state == "done" else state.state
        if state.state == "done" or state.id in self.fetched:
            before = self.fetched.setdefault(state.id, text)
            if before != text:
                self.faults.append(f"the reply to {state.id} was {before}, and is {text}")

    def open_requests(self) -> int:
        """Requests whose replies nobody has seen."""
        return len(self.tickets) - len(self.fetched)


class Cast:
    """Everybody who takes part. ``stopping``: nothing new is begun."""

    def __init__(self, random: Random, place: Place, port: int) -> None:
        self.books = Books()
        self.place = place
        self._port = port
        self.stopping = False
        self._random = random
        self._numbers = itertools.count()
        self._again: dict[Work, tuple[OutMessage, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Let everybody run."""
        workers: list[Work] = [self.work_by_polling, self.work_by_subscription]
        consumers: list[Work] = [self.pull, self.pull, self.consume]
        others: list[Work] = [self.produce_batches, self.produce_one_by_one, self.ask_later, self.fetch]
        for role in (*workers, *consumers, *others):
            self._tasks.append(asyncio.create_task(self._live(role), name=role.__name__))

    async def _live(self, work: Work) -> None:
        """Connect and work, and again, as often as the broker dies."""
        while True:
            broker = await self.place.port()
            try:
                async with self.connect() as mom:
                    await self._until_killed(work(mom), broker)
            except ClientError:
                await asyncio.sleep(0.01)
            except Problem as problem:
                if problem.code != STORE_FULL:
                    raise
                await asyncio.sleep(0.1)

    def connect(self) -> Mom:
        """A client that comes back fast."""
        return mombroker.connect(f"mqtt://127.0.0.1:{self._port}", backoff=Backoff(0.01, 0.2), connect_timeout=60.0)

    async def _until_killed(self, work: Coroutine[Any, Any, None], port: int) -> None:
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self.place.left(port))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what has ended one of them."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} has ended")

    async def end(self) -> None:
        """Stop everybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # -- in

    def _message(self) -> OutMessage:
        random = self._random
        return OutMessage(
            id=f"m{next(self._numbers)}",
            text=random.choice(("small", "x" * 300)),
            priority=random.choice((0, 0, 0, 5)),
            key=random.choice(("", "", "", "a", "b")),
            delay=random.choice((0.0, 0.0, 0.0, 0.2)),
        )

    async def _produce(self, role: Work, most: int, put: Callable[[tuple[OutMessage, ...]], Any]) -> None:
        """What was put in without an answer is put in again first."""
        while True:
            if role not in self._again:
                while self.stopping or len(self.books.waiting) > BACKLOG:
                    await self.place.more(1)
                self._again[role] = tuple(self._message() for _ in range(self._random.randint(1, most)))
            batch = self._again[role]
            await put(batch)
            del self._again[role]
            self.books.accept({message.id for message in batch})
            self.place.count()

    async def produce_batches(self, mom: Mom) -> None:
        """By an operation: all of a batch, or nothing."""
        await self._produce(self.produce_batches, 20, lambda batch: mom.call(Enqueue(queue=QUEUE, messages=batch)))

    async def produce_one_by_one(self, mom: Mom) -> None:
        """By publishing to the queue's topic."""
        await self._produce(self.produce_one_by_one, 10, mom.queue(QUEUE).put_many)

    # -- out

    async def pull(self, mom: Mom) -> None:
        """Pull, acknowledge most, give some back, keep a few."""
        queue = mom.queue(QUEUE)
        while True:
            messages = await queue.pull(self._random.randint(1, 20), wait=WAIT, lease=LEASE)
            for message in messages:
                self.books.handed_out(message.id)
            self._random.shuffle(messages)
            kept = 1 if self._random.random() < 0.1 else 0
            few = self._random.randint(0, len(messages) // 4)
            await self._ack(mom, messages[kept + few :])
            if messages[kept : kept + few]:
                await queue.nack(messages[kept : kept + few], self._random.choice((None, 0.05)))

    async def _ack(self, mom: Mom, messages: list[QueueMessage]) -> None:
        ids = {message.id for message in messages}
        self.books.may_be_gone(ids)
        if messages and await mom.queue(QUEUE).ack(messages) != len(messages):
            self.books.faults.append("a lease was not known that nothing has ended")
        self.books.acknowledge(ids)
        self.place.count()

    async def consume(self, mom: Mom) -> None:
        """Have messages pushed. A PUBACK is confirmed by nobody."""
        async with mom.queue(QUEUE).consume(credit=20) as messages:
            async for message in messages:
                self.books.handed_out(message.id)
                if self._random.random() < 0.2:
                    await message.nack()
                else:
                    self.books.may_be_gone({message.id})
                    await message.ack()

    # -- requests

    async def ask_later(self, mom: Mom) -> None:
        """Ask, and note the id."""
        while True:
            while self.stopping or self.books.open_requests() > BACKLOG:
                await self.place.more(1)
            asked = [
                mom.request_later(SERVICE, f"r{next(self._numbers)}", timeout=LONG, keep=LONG)
                for _ in range(self._random.randint(1, 10))
            ]
            for later in await asyncio.gather(*asked):
                self.books.tickets[later.id] = None
            self.place.count()

    async def fetch(self, mom: Mom) -> None:
        """Look after requests, those that are answered too."""
        while True:
            recent = [*itertools.islice(reversed(self.books.tickets), 200)]
            if not recent:
                await self.place.more(1)
                continue
            for id in self._random.sample(recent, min(len(recent), 20)):
                self.books.told(await mom.fetch(id))
            self.place.count()

    async def work_by_polling(self, mom: Mom) -> None:
        """Answer by an operation, whose response says that the reply is kept."""
        while True:
            tasks: Tasks = await mom.call(NextRequest(service=SERVICE, limit=5, wait=WAIT))
            for task in tasks.tasks:
                reply = f"{task.content().decode().upper()} polled {next(self._numbers)}"
                try:
                    await mom.call(SendReply(id=task.id, text=reply))
                except Problem as problem:
                    # A request that the store had no room for: its caller was refused, its worker was faster.
                    if problem.code != NO_SUCH_REQUEST or task.id in self.books.tickets:
                        raise
                    continue
                self.books.replied_with(task.id, reply)
                self.place.count()

    async def work_by_subscription(self, mom: Mom) -> None:
        """Answer by publishing."""

        async def shout(request: ServiceRequest) -> str:
            return f"{request.text.upper()} pushed {next(self._numbers)}"

        await mom.serve(SERVICE, shout, concurrency=5)
        await mom.serve_forever()


async def create(mom: Mom) -> None:
    """Make the queue."""
    await mom.queue(QUEUE).create(max_deliveries=8, dead_letter=DEAD, dedup_window=LONG)


async def drained(mom: Mom, name: str, books: Books) -> list[str]:
    """The ids of all that is in a queue, which is empty then."""
    queue = mom.queue(name)
    found: list[str] = []
    while (await queue.info()).numbers.depth:
        messages = await queue.pull(1000, wait=WAIT, lease=LEASE)
        for message in messages:
            books.handed_out(message.id)
            found.append(message.id)
        assert await queue.ack(messages) == len(messages)
    return found


def check(books: Books, left: list[str]) -> None:
    """Raises AssertionError if the books do not fit what was ``left`` in the queues at the end, and is gone since."""
    assert books.faults == []
    assert [id for id, count in Counter(left).items() if count > 1] == [], "there twice"
    lost = books.waiting - set(left)
    assert sorted(lost) == [], "accepted, and lost"
    assert books.fetched.keys() == books.tickets.keys(), "requests without a reply"
    assert all(" polled " in text or " pushed " in text for text in books.fetched.values())
    assert not any("|" in text for text in books.fetched.values()), "more than one reply"
    for id, text in books.replied.items():
        assert books.fetched.get(id, text) == text, "a reply was confirmed, and another one is there"
    books.acknowledge(set(left))
