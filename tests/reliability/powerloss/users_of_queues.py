"""Those who use named queues of a recorded broker through the native API, and mark what they rely on."""

import itertools
from random import Random

import mombroker
from mombroker.client import ClientError, Mom, OutMessage
from mombroker.operations.messages import Enqueue
from tests.reliability.powerloss.books import payload
from tests.reliability.powerloss.clients import Place
from tests.reliability.powerloss.log import Marker

QUEUE = "jobs"
LEASE = 600.0
BACKLOG = 30


class QueueUser:
    """Puts messages into a queue, acknowledges or returns them, and makes and deletes other queues."""

    def __init__(self, place: Place, marker: Marker, random: Random) -> None:
        self.place = place
        self.marker = marker
        self.random = random
        self._numbers = itertools.count()
        self._waiting = 0

    async def run(self) -> None:
        """Do that until it is enough."""
        self.marker.mark("queue?", QUEUE)
        while not self.place.enough:
            port = await self.place.address()
            try:
                async with mombroker.connect(f"mqtt://127.0.0.1:{port}") as mom:
                    await mom.queue(QUEUE).create()
                    self.marker.mark("queue!", QUEUE)
                    while not self.place.enough:
                        await self._work(mom)
            except ClientError:
                continue

    async def _work(self, mom: Mom) -> None:
        if self._waiting < BACKLOG:
            await self._put(mom, QUEUE, self.random.randint(2, 8))
        await self._take(mom)
        if self.random.random() < 0.1:
            await self._other_queue(mom)
        await self.place.count()

    async def _put(self, mom: Mom, queue: str, count: int) -> None:
        sizes = [self.random.choice((10, 10, 300, 9_000)) for _ in range(count)]
        messages = [self._message(f"m-{next(self._numbers)}", size) for size in sizes]
        ids = [message.id for message in messages]
        self.marker.mark("put?", queue, ids)
        await mom.call(Enqueue(queue=queue, messages=tuple(messages)))
        self.marker.mark("put!", queue, ids)
        if queue == QUEUE:
            self._waiting += count

    def _message(self, id: str, size: int) -> OutMessage:
        return OutMessage(id=id, payload=payload(id, size), priority=self.random.choice((0, 0, 0, 5)))

    async def _take(self, mom: Mom) -> None:
        queue = mom.queue(QUEUE)
        messages = await queue.pull(self.random.randint(1, max(1, self._waiting // 2)), lease=LEASE)
        self.random.shuffle(messages)
        few = self.random.randint(0, len(messages) // 3)
        back, done = messages[:few], messages[few:]
        if done:
            ids = [message.id for message in done]
            self.marker.mark("take?", QUEUE, ids)
            await queue.ack(done)
            self.marker.mark("take!", QUEUE, ids)
            self._waiting -= len(done)
        if back:
            await queue.nack(back)
            self.marker.mark("back!", QUEUE, [message.id for message in back])

    async def _other_queue(self, mom: Mom) -> None:
        name = f"other-{next(self._numbers)}"
        self.marker.mark("queue?", name)
        await mom.queue(name).create()
        self.marker.mark("queue!", name)
        await self._put(mom, name, 3)
        if self.random.random() < 0.7:
            self.marker.mark("gone?", name)
            await mom.queue(name).delete()
            self.marker.mark("gone!", name)
