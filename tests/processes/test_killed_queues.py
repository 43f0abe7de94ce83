"""Queues and services keep their word, whenever the broker is killed."""

import asyncio
import os
import secrets
import time
from collections import Counter
from random import Random

import pytest

import mombroker

from .queue_torture import DEAD, QUEUE, WAIT, Cast, drained
from .server import Server

KILLS = int(os.environ.get("MOMBROKER_TORTURE_KILLS", "10"))
SECONDS = 240.0
"""Only a broken broker needs them."""


@pytest.mark.timeout(SECONDS + 15)
async def test_no_accepted_message_or_reply_is_lost_and_nothing_acknowledged_comes_back_however_often_it_is_killed(
    new_server, tmp_path
):
    seed = os.environ.get("MOMBROKER_TORTURE_SEED") or secrets.token_hex(8)
    print(f"repeat with MOMBROKER_TORTURE_SEED={seed}")
    async with asyncio.timeout(SECONDS):
        await Torture(new_server(), Random(seed)).run()


class Torture:
    """One run: kill the broker over and over under load, then empty everything, and look."""

    def __init__(self, server: Server, random: Random) -> None:
        self.server = server
        self.random = random
        self.cast = Cast(random)

    async def run(self) -> None:
        began = time.monotonic()
        cast, books = self.cast, self.cast.books
        try:
            await self._start()
            async with mombroker.connect(f"mqtt://127.0.0.1:{self.server.port}") as mom:
                await mom.queue(QUEUE).create(max_deliveries=8, dead_letter=DEAD, dedup_window=3600)
            cast.begin()
            for _ in range(KILLS):
                await cast.unless_failed(cast.place.more(self.random.randint(30, 250)))
                await asyncio.sleep(self.random.random() * 0.02)
                await self._kill()
                await self._start()
            cast.stopping = True
            await cast.unless_failed(self._every_reply())
            await cast.end()
            # What consumers had and kept to themselves is nobody's then.
            await self._kill()
            await self._start()
            await self._look()
        finally:
            await cast.end()
            print(
                f"{len(books.accepted)} messages accepted, {len(books.acknowledged)} acknowledged for certain; "
                f"{len(books.tickets)} requests, {len(books.replied)} replies confirmed; {KILLS} kills, "
                f"{time.monotonic() - began:.1f} s"
            )

    async def _start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await self.cast.place.set(self.server.port)

    async def _kill(self) -> None:
        await self.cast.place.set(0)
        await asyncio.to_thread(self.server.kill)

    async def _every_reply(self) -> None:
        """Wait until every request has been answered."""
        books = self.cast.books
        async with mombroker.connect(f"mqtt://127.0.0.1:{self.server.port}") as mom:
            for id in sorted(books.tickets):
                while id not in books.fetched:
                    books.told(await mom.fetch(id, wait=WAIT))

    async def _look(self) -> None:
        books = self.cast.books
        async with mombroker.connect(f"mqtt://127.0.0.1:{self.server.port}") as mom:
            left = await drained(mom, QUEUE, books) + await drained(mom, DEAD, books)
            for id in sorted(books.tickets):
                books.told(await mom.fetch(id))
        assert books.faults == []
        assert [id for id, count in Counter(left).items() if count > 1] == [], "there twice"
        lost = books.accepted - books.acknowledged - books.perhaps - set(left)
        assert sorted(lost) == [], "accepted, and lost"
        assert books.fetched.keys() == books.tickets, "requests without a reply"
        assert all(" polled " in text or " pushed " in text for text in books.fetched.values())
        assert not any("|" in text for text in books.fetched.values()), "more than one reply"
        for id, text in books.replied.items():
            assert books.fetched.get(id, text) == text, "a reply was confirmed, and another one is there"
        assert len(books.acknowledged) > KILLS and len(books.replied) > KILLS, "hardly anything was tried"
