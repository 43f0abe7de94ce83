"""The simulated world around one Engine: its clock, its disk, its network, and what has not happened yet.

Everything that a real broker waits for is a thing that may happen next: bytes that a client has sent and the broker has
not read, bytes the other way, the end of a turn, of a commit, of a read, a deadline that has passed, an answer that a
hook owes. :meth:`World.happen` lets one of them happen, chosen by a number; :meth:`World.rest` all of them.
"""

import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from mombroker.core import Connection, Engine, Hooks, Limits, Outside, Transport
from mombroker.core.connection import CLOSED
from mombroker.core.queue import Queue, Ref
from mombroker.core.session import Session
from mombroker.model.errors import StoreError, StoreFull
from mombroker.model.queues import Overflow
from mombroker.model.unit import Unit
from mombroker.mqtt.packets import Publish

from .disk import Disk
from .found import Found

START = 1_700_000_000.0
REST_LIMIT = 200_000
MOST_IN_MEMORY = 2 * (4096 + 1024)
STRICT = (Overflow.REJECT, Overflow.DROP_NEWEST)


class Log:
    """The log port. An internal error is a finding."""

    def __init__(self) -> None:
        self.defects: list[str] = []

    def debug(self, event: str, **fields: Any) -> None:
        """Nobody reads it."""

    def info(self, event: str, **fields: Any) -> None:
        """Nobody reads it."""

    def warning(self, event: str, **fields: Any) -> None:
        """Nobody reads it."""

    def error(self, event: str, **fields: Any) -> None:
        """Keep what is a defect of the broker."""
        defect = fields.get("exc_info")
        if defect is not None:
            self.defects.append(f"{event}: {''.join(traceback.format_exception(defect))}")
        elif not event.startswith("the store is full"):
            self.defects.append(f"{event}: {fields}")


class End(Protocol):
    """The client's end of a connection."""

    def arrived(self, link: "Link", data: bytes) -> None:
        """Bytes have come from the broker."""

    def handled(self, link: "Link", mark: Any) -> None:
        """The broker has dealt with everything up to what was sent with this mark."""

    def closed(self, link: "Link") -> None:
        """The connection is over: the broker has closed it, or died."""


class Link(Transport):
    """One network connection, both directions. ``incoming`` are bytes the broker has not read, ``outgoing`` bytes that
    the client has not read. ``over``: the broker knows that it has ended."""

    def __init__(self, world: "World", end: End) -> None:
        self.world = world
        self.end = end
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.sent = 0
        self.read = 0
        self.marks: list[tuple[int, Any]] = []
        self.paused = False
        self.stuck = False
        self.closing = False
        self.over = False
        self.ended_at = 0.0
        self.connection: Connection | None = None

    # -- the broker's side

    def write(self, data: bytes) -> None:
        if not self.closing and not self.over:
            self.outgoing += data

    def buffered(self) -> int:
        return len(self.outgoing)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        if not self.closing:
            self.ended_at = self.world.now
        self.closing = True

    def abort(self) -> None:
        self.close()
        self.outgoing.clear()

    # -- the client's side

    def send(self, data: bytes, mark: Any = None) -> None:
        """Put bytes on their way to the broker. ``mark``: what to tell the client once they have been dealt with."""
        self.incoming += data
        self.sent += len(data)
        if mark is not None:
            self.marks.append((self.sent, mark))


class World(Outside):
    """One broker after the other on one disk. ``moment`` is logical time: it grows whenever anything happens."""

    def __init__(self, limits: Limits, hooks: Hooks, lazy_interval: float = 0.0, disk: Disk | None = None) -> None:
        self.limits = limits
        self.hooks = hooks
        self.lazy_interval = lazy_interval
        self.disk = disk or Disk()
        self.now = START
        self.latest = START
        self.moment = 0
        self.epoch = 0
        self.log = Log()
        self.counts: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.links: list[Link] = []
        self.questions: list[Callable[[], None]] = []
        self.operations: Callable[[Session, str, Publish], bool] | None = None
        self.when_dead: list[Callable[[], None]] = []
        self.when_up: list[Callable[[], None]] = []
        self.when_turned: list[Callable[[], None]] = []
        self.hold_commits = False
        self.hold_reads = False
        self.full = False
        self.was_full = False
        self.fail_next: bool | None = None
        self.dying = False
        self.acks_early = False
        self.page_records = 1024
        self._begin()

    def _begin(self) -> None:
        self.epoch += 1
        self.unit: Unit | None = None
        self.reads: list[Callable[[], None]] = []
        self.turn_wanted = False
        self.tick_at = 0.0
        self.failed: BaseException | None = None
        self.marks: list[Callable[[], None]] = []
        self.unit_marks: list[Callable[[], None]] = []
        self.engine = Engine(self.limits, self.hooks, self, self.log, self.epoch, self.now, self.lazy_interval)
        self.engine.start(self.disk.store)
        # Nobody can connect before what has come due meanwhile is dealt with.
        self._end_turn()
        while self.tick_at and self.tick_at <= self.now:
            self._tick()
            self._end_turn()
        for told in self.when_up:
            told()

    # -- what the engine asks for

    def commit(self, unit: Unit) -> None:
        if self.unit is not None:
            raise Found("two units are with the store at a time")
        self.unit = unit
        self.unit_marks += self.marks
        self.marks = []
        if self.acks_early:
            # A planted lie, for the tests of the oracle.
            self.counts["lies"] += 1
            self.unit = None
            self.engine.committed(None)

    def read(self, queue: Queue, first: int, max_records: int, max_bytes: int) -> None:
        page = self.disk.page(queue.id, first, min(max_records, self.page_records), max_bytes)
        committed = queue.committed
        engine = self.engine
        self.reads.append(lambda: engine.page_loaded(queue, page, committed))

    def read_lease(self, session: Session, ref: Ref) -> None:
        page = self.disk.page(ref.queue.id, ref.position, 1, 1)
        engine = self.engine
        self.reads.append(lambda: engine.lease_loaded(session, ref, page))

    def operate(self, session: Session, operation: str, packet: Publish) -> bool:
        return self.operations is not None and self.operations(session, operation, packet)

    def request_turn(self) -> None:
        self.turn_wanted = True

    def request_tick(self, deadline: float) -> None:
        self.tick_at = deadline

    def fatal(self, error: BaseException) -> None:
        self.failed = error

    # -- the network

    def connect(self, end: End) -> Link:
        """A new network connection."""
        link = Link(self, end)
        self._enter()
        link.connection = self.engine.open_connection(link, "10.0.0.1", 1234, "sim")
        self.links.append(link)
        self.counts["connections"] += 1
        return link

    def feed(self, link: Link, size: int) -> None:
        """The broker reads ``size`` bytes of what the client has sent."""
        data = bytes(link.incoming[:size])
        del link.incoming[:size]
        link.read += len(data)
        self._enter()
        connection = link.connection
        assert connection is not None
        self.engine.feed(connection, data)
        if link.marks:
            self._tell_handled(link)

    def _tell_handled(self, link: Link) -> None:
        connection = link.connection
        if connection is None or connection.blocked:
            return
        if connection.state == CLOSED and connection.will_fires:
            return  # how far it was read is not known, unless it ended with a DISCONNECT
        marks = link.marks
        done = 0
        while done < len(marks) and marks[done][0] <= link.read:
            done += 1
        if done:
            told = marks[:done]
            del marks[:done]
            for _, mark in told:
                link.end.handled(link, mark)

    def carry(self, link: Link, size: int) -> None:
        """The client reads ``size`` bytes of what the broker has sent."""
        data = bytes(link.outgoing[:size])
        del link.outgoing[:size]
        self.moment += 1
        link.end.arrived(link, data)

    def cut(self, link: Link) -> None:
        """The connection breaks, as both sides see it."""
        if link.over:
            return
        link.over = True
        self.links.remove(link)
        self.counts["connections lost"] += 1
        self._enter()
        connection = link.connection
        assert connection is not None
        if not link.closing:
            self.engine.congestion(connection, False) if link.stuck else None
        self.engine.connection_lost(connection)
        link.end.closed(link)

    def stall(self, link: Link, stuck: bool) -> None:
        """The client stops reading, or reads again."""
        if link.over or link.closing or link.stuck == stuck:
            return
        link.stuck = stuck
        self._enter()
        assert link.connection is not None
        self.engine.congestion(link.connection, stuck)

    # -- what happens by itself

    def _enter(self) -> None:
        self.moment += 1
        self.engine.now = self.now

    def enter(self) -> Engine:
        """The engine with its clock set, for whoever calls it directly; :meth:`Engine.wake` afterwards."""
        self._enter()
        return self.engine

    def happen(self, rng: Random) -> bool:
        """Let one thing happen of those that can. Tells whether there was any."""
        links = self.links
        choice = rng.random()
        if links and choice < 0.65:
            link = links[int(rng.random() * len(links))]
            if self._happen_at(link, rng):
                return True
        if self.turn_wanted and choice < 0.95:
            self._end_turn()
            return True
        if self.unit is not None and not self.hold_commits:
            self.finish_commit()
            return True
        if self.reads and not self.hold_reads:
            self.finish_read()
            return True
        if self.questions and choice < 0.9:
            self.answer(int(rng.random() * len(self.questions)))
            return True
        if self.tick_at and self.tick_at <= self.now:
            self._tick()
            return True
        if self.turn_wanted:
            self._end_turn()
            return True
        return any(self._happen_at(link, rng) for link in list(links))

    def _happen_at(self, link: Link, rng: Random) -> bool:
        if link.outgoing and (not link.stuck or link.closing):
            size = len(link.outgoing)
            self.carry(link, size if rng.random() < 0.8 else 1 + int(rng.random() * size))
            return True
        if link.closing:
            self.cut(link)
            return True
        if link.incoming and not link.paused:
            size = len(link.incoming)
            self.feed(link, size if rng.random() < 0.8 else 1 + int(rng.random() * size))
            return True
        return False

    def rest(self, answers: bool = True) -> None:
        """Let everything happen that is not held, until nothing is left to happen."""
        for _ in range(REST_LIMIT):
            if not self._next(answers):
                return
        raise Found("the world does not come to rest")

    def _next(self, answers: bool) -> bool:
        some = False
        for link in list(self.links):
            if link.outgoing and (not link.stuck or link.closing):
                self.carry(link, len(link.outgoing))
                some = True
            if link.over:
                continue
            if link.closing and not link.outgoing:
                self.cut(link)
                some = True
            elif link.incoming and not link.paused:
                self.feed(link, len(link.incoming))
                some = True
        if self.turn_wanted:
            self._end_turn()
            return True
        if self.unit is not None and not self.hold_commits:
            self.finish_commit()
            return True
        if self.reads and not self.hold_reads:
            self.finish_read()
            return True
        if self.tick_at and self.tick_at <= self.now:
            self._tick()
            return True
        if self.questions and answers:
            self.answer(0)
            return True
        return some

    def end_turn(self) -> None:
        """End the turn that is under way, if one is."""
        if self.turn_wanted:
            self._end_turn()

    def _end_turn(self) -> None:
        self.turn_wanted = False
        self._enter()
        self.engine.end_turn()
        for told in self.when_turned:
            told()

    def _tick(self) -> None:
        self.tick_at = 0.0
        self._enter()
        self.counts["ticks"] += 1
        self.engine.tick()

    def answer(self, index: int) -> None:
        """A hook gives an answer that it owes."""
        question = self.questions.pop(index)
        self._enter()
        self.counts["late answers of hooks"] += 1
        question()
        for link in self.links:
            if link.marks:
                self._tell_handled(link)

    def finish_commit(self) -> None:
        """The store is done with the unit: it is on disk, or refused, or the store has failed."""
        unit = self.unit
        assert unit is not None, "nothing is with the store"
        self.unit = None
        self._enter()
        if self.fail_next is not None:
            if self.fail_next:
                self.disk.write(unit)
            self.fail_next = None
            self.counts["failed commits"] += 1
            self.engine.committed(StoreError("a simulated failure"))
            self.crash()
        elif self.full and unit.segments:
            self.counts["refused units"] += 1
            self.engine.committed(StoreFull("no room"))
        else:
            self.disk.write(unit)
            self.counts["commits"] += 1
            marks = self.unit_marks
            self.unit_marks = []
            for told in marks:
                told()
            self.engine.committed(None)
        for link in self.links:
            if link.marks:
                self._tell_handled(link)

    def finish_read(self) -> None:
        """The oldest read is done."""
        self._enter()
        self.counts["reads"] += 1
        self.reads.pop(0)()

    def when_durable(self, told: Callable[[], None]) -> None:
        """Call back once everything that the broker has dealt with so far is on disk; never, if it dies before."""
        if self.dying:
            return
        if self.engine.barrier.is_idle():
            told()
        else:
            self.marks.append(told)

    # -- time and death

    def advance(self, seconds: float) -> None:
        """Let time pass. Deadlines that pass come due when their turn comes."""
        if self.turn_wanted:
            self._end_turn()
        self.now += seconds
        self.latest = max(self.latest, self.now)
        self.moment += 1
        self.counts["clock steps"] += 1

    def crash(self, after_write: bool = False, back: float = 0.0) -> None:
        """The broker dies and is started again. ``after_write``: the unit with the store is on disk, but nobody was
        told. ``back``: the clock that it is started with is so many seconds behind."""
        if after_write and self.unit is not None:
            self.disk.write(self.unit)
        self.counts["crashes"] += 1
        self.now -= back
        self._die()
        self._begin()

    def _die(self) -> None:
        self.moment += 1
        self.dying = True
        self._count_engine()
        links = self.links
        self.links = []
        self.questions = []
        for link in links:
            link.over = True
            link.incoming.clear()
            link.outgoing.clear()
            link.end.closed(link)
        for told in self.when_dead:
            told()
        self.dying = False

    def restart(self) -> None:
        """An orderly restart: clients are told, and what they sent is on disk."""
        held = self.hold_commits, self.hold_reads
        self.hold_commits = self.hold_reads = False
        self._enter()
        self.engine.shut_down()
        for _ in range(REST_LIMIT):
            if self.engine.is_settled() and self.unit is None:
                break
            if self.turn_wanted:
                self._end_turn()
            elif self.unit is not None:
                self.finish_commit()
            else:
                break
        else:
            raise Found("the broker does not shut down")
        for link in list(self.links):
            if link.outgoing and not link.stuck:
                self.carry(link, len(link.outgoing))
        self.counts["restarts"] += 1
        self._die()
        self.hold_commits, self.hold_reads = held
        self._begin()

    def check(self) -> None:
        """What holds at any time."""
        if self.log.defects:
            raise Found(f"an internal error: {self.log.defects[0]}")
        for queue in self.engine.queues_by_id.values():
            self._check_queue(queue)

    def _check_queue(self, queue: Queue) -> None:
        name = queue.spec.name
        policy = queue.policy
        if queue.count < 0 or queue.bytes < 0:
            raise Found(f"{name} counts {queue.count} messages, {queue.bytes} bytes")
        in_memory = len(queue.ready) - queue.ready_head + len(queue.tail or ())
        # Of one that drops its oldest a page is read while its client is away.
        may_be_read = policy.overflow is Overflow.DROP_OLDEST and (
            policy.max_messages < 1_000_000 or 0 < policy.max_bytes < 1 << 30
        )
        if in_memory > MOST_IN_MEMORY or in_memory and not queue.attached and not may_be_read:
            raise Found(f"{name} keeps {in_memory} messages in memory")
        if policy.max_messages and queue.count > policy.max_messages and policy.overflow in STRICT:
            raise Found(f"{name} holds {queue.count} messages, its policy allows {policy.max_messages}")

    def finish_counts(self) -> None:
        """Add what the engine that still runs has counted."""
        self._count_engine()

    def _count_engine(self) -> None:
        statistics = self.engine.statistics
        self.counts["packets to the broker"] += statistics.packets_received
        for cause, count in statistics.dropped.items():
            self.drops[cause] += count
