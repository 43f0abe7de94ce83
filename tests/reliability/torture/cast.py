"""Everybody who takes part in a torture run, and what they may expect."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from random import Random

from mombroker.mqtt import V5, V311
from tests.reliability.torture.client_process import ClientProcess
from tests.reliability.torture.journals import Inbox, Key, Outbox
from tests.reliability.torture.mqtt_clients import Publisher, Subscriber
from tests.reliability.torture.native_clients import Cast as NativeCast
from tests.reliability.torture.place import Place
from tests.reliability.torture.retained import Keeper

Counts = dict[Key, int]
"""How many of the acknowledged messages of each publisher and QoS are meant."""


class Group:
    """Subscribers that get each message together: one, or those of a shared subscription."""

    def __init__(self, *inboxes: Inbox) -> None:
        self.inboxes = inboxes
        self.names = ", ".join(inbox.name for inbox in inboxes)
        self._arrived: dict[Key, int] = {}

    def missing(self, outboxes: Sequence[Outbox], until: Counts) -> list[tuple[Key, int]]:
        """Acknowledged messages that have not arrived, the first one of each publisher and QoS."""
        found: list[tuple[Key, int]] = []
        for outbox in outboxes:
            for key, numbers in outbox.acknowledged.items():
                at, end = self._arrived.get(key, 0), until.get(key, 0)
                while at < end and any(numbers[at] in inbox.taken[key] for inbox in self.inboxes):
                    at += 1
                self._arrived[key] = at
                if at < end:
                    found.append((key, numbers[at]))
        return found

    def faults(self) -> list[str]:
        """Promises that were broken so far."""
        found = [fault for inbox in self.inboxes for fault in inbox.faults]
        first, *others = self.inboxes
        for other in others:
            for key, numbers in other.taken.items():
                both = numbers & first.taken[key] if key[1] != 1 else set()
                found += [f"{self.names} got number {number} of {key} twice" for number in sorted(both)]
        return found


class Cast:
    """Two of each kind that matter, both versions of the protocol, and a process for each kind that is to be killed."""

    def __init__(self, random: Random, place: Place, port: int, folder: Path) -> None:
        self.place = place
        one, two = random.sample((V5, V311), 2)

        def own() -> Random:
            return Random(random.random())

        def publisher(name: str, version: int) -> Publisher:
            return Publisher(name, version, port, own(), folder / f"{name}.journal", place.count)

        def subscriber(name: str, version: int, filter: str, alone: bool = True) -> Subscriber:
            return Subscriber(name, version, port, own(), folder / f"{name}.journal", filter, alone)

        self.publishers = [publisher("p0", one), publisher("p1", two)]
        self.awake = [subscriber("awake-a", one, "t/#"), subscriber("awake-b", two, "t/+")]
        self.pair = [subscriber(f"pair-{n}", V5, "$share/pair/t/#", False) for n in range(2)]
        self.asleep = subscriber("asleep", two, "t/#")
        self.mortal_publisher = ClientProcess(Outbox("mortal-p"), two, port, own(), folder, "")
        self.mortal_subscriber = ClientProcess(Inbox("mortal-s"), one, port, own(), folder, "t/#")
        self.keeper = Keeper(place, port, own(), one)
        self.native = NativeCast(own(), place, port)
        self._v3 = ("p0",) if one == V311 else ("p1", "mortal-p")
        self._publishing: list[asyncio.Task[None]] = []
        self._receiving: list[asyncio.Task[None]] = []
        self._sleeper: asyncio.Task[None] | None = None

    @property
    def processes(self) -> list[ClientProcess]:
        """The clients that have processes of their own."""
        return [self.mortal_publisher, self.mortal_subscriber]

    @property
    def outboxes(self) -> list[Outbox]:
        """What the publishers know, as far as it has been read."""
        mortal = self.mortal_publisher.state
        assert isinstance(mortal, Outbox)
        return [*(publisher.outbox for publisher in self.publishers), mortal]

    def groups(self) -> tuple[list[Group], Group]:
        """Those who are awake, and the one who sleeps."""
        mortal = self.mortal_subscriber.state
        assert isinstance(mortal, Inbox)
        awake = [Group(subscriber.inbox) for subscriber in self.awake]
        return [*awake, Group(*(one.inbox for one in self.pair)), Group(mortal)], Group(self.asleep.inbox)

    async def subscribe(self) -> None:
        """Everybody's subscription, the process's one apart: that one subscribes when it starts."""
        for subscriber in (*self.awake, *self.pair, self.asleep):
            await subscriber.subscribe()

    def receive(self) -> None:
        """Those who are awake begin to."""
        self._receiving = [asyncio.create_task(one.run(), name=one.name) for one in (*self.awake, *self.pair)]
        self.mortal_subscriber.start()

    def publish(self) -> None:
        """The publishers begin, or go on."""
        for publisher in self.publishers:
            publisher.stopping = publisher.finished = False
        self._publishing = [asyncio.create_task(one.run(), name=one.name) for one in self.publishers]
        self._publishing.append(asyncio.create_task(self.keeper.run(), name="keeper"))
        self.mortal_publisher.start()

    def stop_publishing(self) -> None:
        """The publishers finish what they have begun."""
        for publisher in self.publishers:
            publisher.stopping = True
        self._publishing[-1].cancel()
        self.mortal_publisher.signal(signal.SIGTERM)

    def have_finished(self) -> bool:
        """Whether they have."""
        return all(task.done() for task in self._publishing) and self.mortal_publisher.ended()

    def wake(self) -> None:
        """The sleeper connects and takes what is there."""
        self.asleep.finished = False
        self._sleeper = asyncio.create_task(self.asleep.run(), name="asleep")

    async def sleep(self) -> None:
        """It goes again."""
        if self._sleeper is not None:
            self._sleeper.cancel()
            await asyncio.wait([self._sleeper])
            self._check(self._sleeper)
            self._sleeper = None

    def read(self) -> None:
        """Take note of what the processes have written."""
        for process in self.processes:
            process.read()

    def acknowledged(self) -> Counts:
        """How many have been acknowledged so far."""
        self.read()
        return {key: len(numbers) for outbox in self.outboxes for key, numbers in outbox.acknowledged.items()}

    def excuse(self, groups: Sequence[Group]) -> None:
        """MQTT 3 cannot say no: what a client of it has sent in vain comes later, perhaps after what it sent then."""
        self.read()
        sent = [one for outbox in self.outboxes if outbox.name in self._v3 for one in outbox.in_flight.values()]
        for group in groups:
            for inbox in group.inboxes:
                inbox.excused.update((one.key, one.number) for one in sent)

    def check(self) -> None:
        """Raise what has ended one of them."""
        for task in (*self._publishing, *self._receiving, *([self._sleeper] if self._sleeper else [])):
            self._check(task)
        for process in self.processes:
            process.check()
        self.native.check()

    def _check(self, task: "asyncio.Task[None]") -> None:
        if task.done() and not task.cancelled():
            task.result()

    async def end(self) -> None:
        """Stop everybody."""
        for process in self.processes:
            process.stop()
        tasks = [*self._publishing, *self._receiving, *([self._sleeper] if self._sleeper else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.native.end()
