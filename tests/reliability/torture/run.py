"""One torture run: a broker, everybody who uses it, what happens to them, and what is checked after each time."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import mombroker
from mombroker.client import ClientError
from tests.processes.server import Server
from tests.reliability.torture import native_clients
from tests.reliability.torture.cast import Cast, Counts, Group
from tests.reliability.torture.native_clients import DEAD, QUEUE, drained
from tests.reliability.torture.place import Place
from tests.reliability.torture.proxy import Proxy
from tests.reliability.torture.shim import Shim, compiler

CLOCK = 12.0
"""Hours that the broker's wall clock is ahead or behind at the most."""
SETTLE_EVERY = 50
"""Kills between two times that all is let arrive and looked through."""
FULL = "the store is full: publishes are refused until there is room"
FAILED = "the store has failed; nothing more is acknowledged"


@dataclass(frozen=True)
class Options:
    """``patience``: seconds for anything that has to happen. ``durability``: what the broker is told, not what is
    checked."""

    seed: str
    kills: int
    folder: Path
    seconds: float = float("inf")
    patience: float = 60.0
    durability: str = "fsync"


@dataclass(frozen=True)
class Resources:
    """What a process has open."""

    sockets: int
    descriptors: int
    threads: int

    @staticmethod
    def of(pid: int) -> "Resources":
        """At this moment."""
        links: list[str] = []
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
            except FileNotFoundError:  # closed meanwhile
                continue
        sockets = sum(link.startswith("socket:") for link in links)
        return Resources(sockets, len(links), len(os.listdir(f"/proc/{pid}/task")))

    def within(self, other: "Resources") -> bool:
        """Whether it is no more."""
        return self.sockets <= other.sockets and self.descriptors <= other.descriptors and self.threads <= other.threads


class Run:
    """The stage. Faults (faults.py) are what is done on it; ``counts`` says how often."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.random = Random(options.seed)
        self.folder = options.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shim = Shim(self.folder) if compiler() else None
        # A small map, so that it has to grow under way.
        url = f"lmdb:{self.folder / 'data'}?map_size=1MiB"
        config = f'[storage]\nurl = "{url}"\ninterval_ms = 60000\n'
        self.server = Server(
            self.folder,
            "--durability",
            options.durability,
            config=config if options.durability != "memory" else None,
            env=self.shim.environment if self.shim else None,
        )
        self.place = Place()
        self.proxy = Proxy(self.place.port)
        self.counts: Counter[str] = Counter()
        self.began = time.monotonic()
        self.cast: Cast
        self.awake: list[Group] = []
        self.asleep: Group
        self._quiet: Resources | None = None
        self._sent_in_vain: Counts = {}
        self._read_log = 0

    # -- waiting

    def check(self) -> None:
        """Raise AssertionError if anybody has failed."""
        self.cast.check()
        for group in [*self.awake, self.asleep]:
            faults = group.faults() if len(group.inboxes) == 1 else group.inboxes[0].faults + group.inboxes[1].faults
            assert not faults, "; ".join(faults[:5])
        assert not self.cast.native.books.faults, "; ".join(self.cast.native.books.faults[:5])

    async def until(self, condition: Callable[[], bool], what: Callable[[], object] | str, alone: bool = False) -> None:
        """Wait for something that has to happen. ``alone``: it is the broker that is to end."""
        deadline = time.monotonic() + self.options.patience
        while not condition():
            self.check()
            if not alone and self.server.ended:
                raise AssertionError(f"the broker has ended: {self.server.text[-3000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {self.options.patience} s: {what if isinstance(what, str) else what()}"
                )
            await asyncio.sleep(0.01)

    async def load(self, least: int, most: int) -> None:
        """Let the clients get so many acknowledgements."""
        wanted = self.place.acknowledged + self.random.randint(least, most)
        await self.until(lambda: self.place.acknowledged >= wanted, "nothing is acknowledged any more")

    async def retried(self, work: Callable[[], Any]) -> Any:
        """What a client of our own is told, however often its connection breaks."""
        for _ in range(1000):
            try:
                return await work()
            except (ConnectionError, EOFError, ClientError):
                self.check()
                await asyncio.sleep(0.01)
        raise AssertionError("no connection stands for long enough")

    # -- the broker

    async def start(self) -> None:
        """Start the broker, and let the clients in."""
        await asyncio.to_thread(self.server.start)
        self._quiet = Resources.of(self.server.pid)
        self.place.set(self.server.port)
        self.counts["starts of the broker"] += 1

    async def kill(self) -> None:
        """kill -9 the broker."""
        assert not self.server.ended, f"the broker has ended: {self.server.text[-3000:]}"
        self.place.set(0)
        await asyncio.to_thread(self.server.kill)
        self.killed()

    async def stop(self) -> None:
        """Stop the broker in order."""
        self.place.set(0)
        code = await asyncio.to_thread(self.server.stop)
        assert code == 0, f"the broker was stopped, and ended with {code}: {self.server.text[-3000:]}"

    def killed(self) -> None:
        """The broker was killed."""
        self.place.set(0)
        self.counts["kills"] += 1

    async def ended(self) -> int:
        """Wait until the broker has ended by itself; its exit code."""
        await self.until(lambda: self.server.ended, "the broker goes on", alone=True)
        self.place.set(0)
        return await asyncio.to_thread(self.server.wait)

    async def restart(self) -> None:
        """Start the broker after its end, and see that it knows all that it has to."""
        owed = self.cast.acknowledged()
        waiting = set(self.cast.native.books.waiting)
        await self.start()
        await self.look(owed, waiting)

    # -- checks

    async def look(self, owed: Counts, waiting: set[str]) -> None:
        """What was acknowledged arrives at all who are awake; retained messages and queues are as they have to be."""
        await self.retried(self.cast.keeper.look)
        await self.retried(lambda: self.look_at_queues(waiting))
        await self.arrived(self.awake, owed)
        self._look_at_log()
        self.counts["checks after a restart"] += 1

    async def arrived(self, groups: list[Group], owed: Counts) -> None:
        """Wait until these groups have what is owed to them."""

        def lacking() -> dict[str, object]:
            self.cast.read()
            found = {group.names: group.missing(self.cast.outboxes, owed) for group in groups}
            return {names: missing for names, missing in found.items() if missing}

        await self.until(lambda: not lacking(), lambda: f"acknowledged, and never arrived: {lacking()}")

    async def look_at_queues(self, waiting: set[str]) -> None:
        books = self.cast.native.books
        async with self.cast.native.connect() as mom:
            # In this order: what is moved meanwhile is counted twice, and never not at all.
            depth = (await mom.queue(QUEUE).info()).numbers.depth
            depth += (await mom.queue(DEAD).info()).numbers.depth if await self._has_dead(mom) else 0
        least = len(waiting - books.acknowledged - books.perhaps)
        assert depth >= least, f"{least} messages have to be in the queue, and {depth} are"

    async def _has_dead(self, mom: mombroker.client.Mom) -> bool:
        try:
            await mom.queue(DEAD).info()
        except mombroker.Problem as problem:
            if problem.code != "no-such-queue":
                raise
            return False
        return True

    def _look_at_log(self) -> None:
        """Errors in the log are those that were provoked, and there is nothing but log lines."""
        entries = self.server.log[self._read_log :]
        self._read_log += len(entries)
        for entry in entries:
            expected = entry.get("event") in (FULL, FAILED)
            assert not entry.get("unparsed"), f"the broker wrote: {self.server.text[-3000:]}"
            assert entry.get("level") not in ("error", "critical") or expected, f"the broker logged {entry}"

    def has_room(self) -> None:
        """From here on nothing may be refused; what was sent before may have been, and its client slow to learn it."""
        self.cast.read()
        for outbox in self.cast.outboxes:
            self._sent_in_vain.update({(outbox.name, qos): number for qos, number in outbox.next.items()})

    def check_refusals(self) -> None:
        """Publishes are refused only while the disk has no room."""
        self.cast.read()
        for outbox in self.cast.outboxes:
            for key, numbers in outbox.refused.items():
                fine = max(numbers) < self._sent_in_vain.get(key, 0)
                assert fine, f"number {max(numbers)} of {key} was refused though there is room"

    # -- the whole

    async def begin(self) -> None:
        """Everybody comes in."""
        await self.proxy.start()
        self.cast = Cast(self.random, self.place, self.proxy.port, self.folder)
        self.awake, self.asleep = self.cast.groups()
        await self.start()
        await self.cast.subscribe()
        async with self.cast.native.connect() as mom:
            await native_clients.create(mom)
        self.cast.receive()
        mortal = self.cast.mortal_subscriber.state
        await self.until(lambda: self.cast.read() is None and mortal.subscribed, "a client does not begin")  # type: ignore[union-attr]
        self.cast.publish()
        self.cast.native.begin()

    async def settle(self) -> None:
        """Let everything arrive, and look through all of it."""
        cast = self.cast
        await self._nobody_left_behind()
        await self._all_messages()
        await self._all_jobs()
        self._look_at_log()
        self.counts["times that all was looked through"] += 1
        cast.publish()
        cast.native.begin()

    async def _nobody_left_behind(self) -> None:
        """Without clients, the broker has no more open than when it started."""
        assert self._quiet is not None
        quiet, pid = self._quiet, self.server.pid
        self.place.set(0)
        self.proxy.cut_all()
        await self.until(
            lambda: Resources.of(pid).within(quiet), lambda: f"more is open than at first: {Resources.of(pid)}, {quiet}"
        )
        self.place.set(self.server.port)

    async def _all_messages(self) -> None:
        cast = self.cast
        cast.stop_publishing()
        await self.until(cast.have_finished, "publishers do not come to an end")
        cast.wake()
        await self.arrived([*self.awake, self.asleep], cast.acknowledged())
        await cast.sleep()
        for group in [*self.awake, self.asleep]:
            assert not group.faults(), "; ".join(group.faults()[:5])
        self.check_refusals()
        cast.mortal_publisher.kill()

    async def _all_jobs(self) -> None:
        """Every request is answered; the queues are emptied, and hold what they have to."""
        native, books = self.cast.native, self.cast.native.books
        native.stopping = True
        if self.shim:
            # What is delayed is due by any clock then.
            self.shim.set_clock(CLOCK)
        # What consumers and workers had and kept to themselves is nobody's then.
        await self.kill()
        await self.start()
        async with native.connect() as mom:
            while left_open := [id for id in books.tickets if id not in books.fetched]:
                for id in left_open:
                    books.told(await mom.fetch(id, wait=native_clients.WAIT))
                    self.check()
        await native.end()
        await self.kill()
        await self.start()
        async with native.connect() as mom:
            left = await drained(mom, QUEUE, books)
            left += await drained(mom, DEAD, books) if await self._has_dead(mom) else []
            for id in self.random.sample([*books.tickets], min(len(books.tickets), 200)):
                books.told(await mom.fetch(id))
        native_clients.check(books, left)
        native.stopping = False

    def sums(self) -> dict[str, float]:
        """What was done, in words."""
        cast, books = self.cast, self.cast.native.books
        self.cast.read()
        inboxes = [inbox for group in [*self.awake, self.asleep] for inbox in group.inboxes]
        return {
            **self.counts,
            "publishes acknowledged": sum(outbox.count() for outbox in cast.outboxes),
            "publishes refused for want of room": sum(outbox.count_refused() for outbox in cast.outboxes),
            "deliveries": sum(inbox.count for inbox in inboxes),
            "QoS 1 messages delivered again": sum(inbox.again for inbox in inboxes),
            "looks at retained messages": cast.keeper.looks,
            "messages accepted by a queue": len(books.accepted),
            "queue acknowledgements confirmed": len(books.acknowledged),
            "replies fetched": len(books.fetched),
        }

    def save(self) -> None:
        """Write down what is only in memory."""
        books = self.cast.native.books
        kept = {name: sorted(value) if isinstance(value, set) else value for name, value in vars(books).items()}
        kept["retained"] = [vars(topic) | {"refused": sorted(topic.refused)} for topic in self.cast.keeper.topics]
        (self.folder / "books.json").write_text(json.dumps(kept, indent=1))
        (self.folder / "broker.log").write_text(self.server.text)

    async def end(self) -> None:
        """Stop everybody, and leave no process behind."""
        try:
            await self.cast.end()
        finally:
            await self.proxy.stop()
            await asyncio.to_thread(self.server.kill)
