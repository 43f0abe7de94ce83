"""The promise and the test that could break it: acknowledged means kept, whenever the broker is killed."""

import asyncio
import os
import secrets
import time
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from mombroker.mqtt import V5, V311

from .server import Server
from .torture import Cast, missing, overtaken, twice

KILLS = int(os.environ.get("MOMBROKER_TORTURE_KILLS", "20"))
"""In each of the two tests."""
SECONDS = 280.0


@pytest.mark.timeout(SECONDS + 15)
@pytest.mark.parametrize("versions", [(V5, V311), (V311, V5)], ids=["mostly-v5", "mostly-v3"])
@pytest.mark.conforms("MQTT-4.3.3-10", "MQTT-4.4.0-1", "MQTT-4.6.0-5")
async def test_nothing_acknowledged_is_lost_and_no_qos_2_message_comes_twice_however_often_it_is_killed(
    new_server, tmp_path, versions
):
    seed = os.environ.get("MOMBROKER_TORTURE_SEED") or secrets.token_hex(8)
    print(f"repeat with MOMBROKER_TORTURE_SEED={seed}")
    async with asyncio.timeout(SECONDS):
        # A small map, so that it has to grow under way.
        config = f'[storage]\nurl = "lmdb:{tmp_path / "data"}?map_size=1MiB"\n'
        await Torture(new_server(config=config), Random(seed), versions).run()


class Torture:
    """One run: subscribe everybody, kill the broker over and over under load, let everything arrive, look."""

    def __init__(self, server: Server, random: Random, versions: tuple[int, int]) -> None:
        self.server = server
        self.random = random
        self.cast = Cast.of(random, versions)
        self.kills = 0

    async def run(self) -> None:
        began = time.monotonic()
        cast = self.cast
        try:
            await self._start()
            for subscriber in [*cast.awake, cast.asleep, *cast.pair]:
                await subscriber.subscribe()
            cast.begin(*cast.awake, *cast.pair, *cast.publishers)
            while self.kills < KILLS:
                await self._until(cast.place.more(self.random.randint(1, 500)))
                await asyncio.sleep(self.random.random() * 0.02)
                await self._kill()
                if self.random.random() < 0.25:
                    await self._kill_while_it_starts()
                await self._start()
            await self._let_everything_arrive()
        finally:
            print(
                f"{self.kills} kills, {cast.place.acknowledged} messages acknowledged, connections:",
                {peer.name: peer.connections for peer in cast.everybody},
                f"{time.monotonic() - began:.1f} s",
            )
            await cast.end()
        self._check()

    async def _until(self, wait: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(wait)
        try:
            await self.cast.unless_failed(task)
        finally:
            task.cancel()

    async def _start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await self.cast.place.set(self.server.port)

    async def _kill(self) -> None:
        await self.cast.place.set(0)
        await asyncio.to_thread(self.server.kill)
        self.kills += 1

    async def _kill_while_it_starts(self) -> None:
        self.server.launch()
        await asyncio.sleep(self.random.random() * 0.8)
        await asyncio.to_thread(self.server.kill)
        self.kills += 1

    async def _let_everything_arrive(self) -> None:
        cast = self.cast
        for publisher in cast.publishers:
            publisher.stopping = True
        for task in cast.tasks:
            if task.get_name().startswith("p") and not task.get_name().startswith("pair"):
                await self._until(_ended(task))
        cast.begin(cast.asleep)
        for publisher in cast.publishers:
            for subscriber in [*cast.awake, cast.asleep]:
                await self._until(subscriber.has(publisher.acknowledged))
            await self._until(cast.pair[0].has(publisher.acknowledged, cast.pair[1:]))

    def _check(self) -> None:
        cast = self.cast
        assert self.kills >= KILLS
        wanted = {key: numbers for publisher in cast.publishers for key, numbers in publisher.acknowledged.items()}
        assert sum(map(len, wanted.values())) == cast.place.acknowledged
        for group in [[one] for one in [*cast.awake, cast.asleep]] + [cast.pair]:
            names = [subscriber.name for subscriber in group]
            assert missing(wanted, group) == {}, f"acknowledged, and never arrived at {names}"
            assert twice(group) == {}, f"QoS 2, and arrived more than once at {names}"
        for subscriber in [*cast.awake, cast.asleep]:
            assert overtaken(subscriber) == {}, f"arrived at {subscriber.name} after later messages"


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.wait([task])
