"""Opens an image with a whole broker process, and lets the clients come back over sockets."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import mombroker
from mombroker.mqtt import V5, Ack, Packet, PingReq, PingResp, Publish
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL
from mombroker.operations import Problem
from mombroker.operations.problems import NO_SUCH_QUEUE
from tests.broker.client import Client
from tests.processes.server import Server
from tests.processes.server import mombroker as command
from tests.reliability.powerloss.books import Books, payload
from tests.reliability.powerloss.books import Client as Known
from tests.reliability.powerloss.clients import FOREVER
from tests.reliability.powerloss.observed import Observed, owed, probe_topics, receivers
from tests.reliability.powerloss.places import DATA, MAP_SIZE

PATIENCE = 60.0
"""Seconds that what is owed may take; only a broken broker needs them."""


def look(place: Path, books: Books) -> Observed:
    """What is there."""
    config = f'[storage]\nurl = "lmdb:{place / DATA}?map_size={MAP_SIZE}"\n'
    with Server(place, config=config) as server:
        try:
            server.start()
        except AssertionError as error:
            return Observed(faults=[f"the broker does not start: {error}"])
        seen = asyncio.run(_Visit(server.port, books).seen())
        told = command("--config", str(server.config), "user", "list", cwd=place)
        seen.users = {line.split()[0] for line in told.stdout.splitlines() if line.strip()}
        code = server.stop()
        errors = [entry for entry in server.log if entry.get("level") in ("error", "critical") or "unparsed" in entry]
    seen.faults += [f"logged: {entry}" for entry in errors]
    seen.faults += [f"the broker ended with {code}"] if code else []
    return seen


class _Returning:
    """A client that comes back with all that it remembered, and takes what there is."""

    def __init__(self, name: str, known: Known, client: Client, changed: asyncio.Event) -> None:
        self.name = name
        self.client = client
        self.got: list[tuple[bytes, int]] = []
        self.topics: Counter[str] = Counter()
        self.answers: dict[int, int] = {}
        self.waiting = set(known.unfinished)
        self._known = known
        self._held = set(known.held)
        self._changed = changed

    def repeat(self) -> None:
        """Send again what was not finished."""
        for id, sent in self._known.unfinished.items():
            if sent.qos == 2 and sent.answered:
                self.client.send(Ack(PUBREL, id))
            else:
                content = payload(sent.key, sent.size) if sent.size else b""
                self.client.send(Publish.create(sent.topic, content, sent.qos, sent.retain, True, id))

    async def run(self) -> None:
        """Take what comes, for ever."""
        while True:
            self._take(await self.client.receive(3600))
            self._changed.set()

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Publish):
            if packet.qos < 2 or packet.packet_id not in self._held:
                self.got.append((packet.payload(), int(packet.qos)))
                self.topics[packet.topic.decode()] += 1
            if packet.qos == 2:
                self._held.add(int(packet.packet_id))
            self.client.send(Ack(PUBACK if packet.qos == 1 else PUBREC, packet.packet_id))
        elif isinstance(packet, PingResp):
            self.waiting.discard(0)
        elif isinstance(packet, Ack) and packet.type == PUBREL:
            self._held.discard(packet.packet_id)
            self.client.send(Ack(PUBCOMP, packet.packet_id))
        elif isinstance(packet, Ack) and packet.type == PUBREC and packet.reason < 0x80:
            self.client.send(Ack(PUBREL, packet.packet_id))
        else:
            assert isinstance(packet, Ack), f"{self.name} got {packet}"
            self.answers[packet.packet_id] = packet.reason
            self.waiting.discard(packet.packet_id)

    def ask(self) -> None:
        """Ask for a sign of life, which comes after all that was sent before."""
        self.waiting.add(0)
        self.client.send(PingReq())


class _Visit:
    """All that clients do with a broker that has started after a power cut."""

    def __init__(self, port: int, books: Books) -> None:
        self._port = port
        self._books = books
        self._seen = Observed()
        self._changed = asyncio.Event()
        self._clients: dict[str, _Returning] = {}

    async def seen(self) -> Observed:
        """Do it."""
        async with contextlib.AsyncExitStack() as stack:
            await self._retained()
            for name, known in self._books.clients.items():
                await self._come_back(name, known, stack)
            tasks = [asyncio.create_task(client.run()) for client in self._clients.values()]
            for client in self._clients.values():
                client.repeat()
            await self._until(lambda: not any(client.waiting for client in self._clients.values()), tasks)
            self._answered()
            await self._until(self._paid, tasks)
            for client in self._clients.values():
                self._seen.got[client.name] = list(client.got)
                client.topics.clear()
            await self._probe(tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._queues()
        return self._seen

    async def _come_back(self, name: str, known: Known, stack: contextlib.AsyncExitStack) -> None:
        client = await stack.enter_async_context(await Client.open(self._port, known.version))
        given: dict[str, Any] = {"session_expiry": FOREVER} if known.version == V5 else {}
        connack = await client.connect(name, False, **given)
        assert connack.reason == 0, f"{name} was refused: {connack}"
        self._seen.present[name] = connack.session_present
        self._clients[name] = _Returning(name, known, client, self._changed)

    async def _until(self, condition: Any, tasks: list["asyncio.Task[None]"]) -> None:
        """Wait for something; but no longer than ``PATIENCE``, since what does not come is the judge's matter."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self._changed.clear()
                    change = asyncio.create_task(self._changed.wait())
                    await asyncio.wait((change, *tasks), return_when=asyncio.FIRST_COMPLETED)
                    change.cancel()
                    for task in tasks:
                        if task.done():
                            task.result()

    def _paid(self) -> bool:
        for receiver, names in receivers(self._books).items():
            found = b"\n".join(content for name in names for content, _ in self._clients[name].got)
            if any(f"{key} ".encode() not in found for key in owed(self._books, receiver, names)):
                return False
        return True

    def _answered(self) -> None:
        for name, client in self._clients.items():
            for id in self._books.clients[name].unfinished:
                reason = client.answers.get(id)
                if reason is None or reason >= 0x80 and reason != 0x92:
                    self._seen.refused.append(f"{name} repeats {id}, and is told {reason}")

    async def _retained(self) -> None:
        async with await Client.connected(self._port, "observer") as observer:
            await observer.subscribe("retained/#", qos=0)
            observer.send(PingReq())
            while not isinstance(packet := await observer.receive(), PingResp):
                assert isinstance(packet, Publish), packet
                self._seen.retained[packet.topic.decode()] = packet.payload()

    async def _probe(self, tasks: list["asyncio.Task[None]"]) -> None:
        topics = probe_topics(self._books)
        async with await Client.connected(self._port, "prober") as prober:
            for topic in topics:
                assert await prober.publish(topic, b"", qos=2) < 0x80, topic

        def arrived() -> bool:
            for topic in topics:
                self._seen.probes[topic] = Counter({name: its.topics[topic] for name, its in self._clients.items()})
            return not [fault for fault in self._seen.missed(self._books) if fault]

        await self._until(arrived, tasks)
        for client in self._clients.values():
            client.ask()
        await self._until(lambda: not any(client.waiting for client in self._clients.values()), tasks)
        arrived()

    async def _queues(self) -> None:
        async with mombroker.connect(f"mqtt://127.0.0.1:{self._port}") as mom:
            for name in self._books.queues:
                queue = mom.queue(name)
                try:
                    depth = (await queue.info()).numbers.depth
                except Problem as problem:
                    if problem.code != NO_SUCH_QUEUE:
                        raise
                    self._seen.queues[name] = None
                    continue
                found: list[tuple[str, int]] = []
                while len(found) < depth and (messages := await queue.pull(100, wait=5.0, lease=600.0)):
                    found += [(message.id, message.deliveries) for message in messages]
                self._seen.queues[name] = found
