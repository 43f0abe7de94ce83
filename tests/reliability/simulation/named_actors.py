"""Named queues in the simulated world: producers and consumers of the native API, and whoever makes and deletes queues.

They do what the operations of the native API do, on the core itself: the same calls in the same order, without futures.
"""

from random import Random
from typing import TYPE_CHECKING

from mombroker.api.streams import give_back
from mombroker.core import Engine
from mombroker.core.barrier import Outcome
from mombroker.core.named import deaths, intake, upkeep
from mombroker.core.named.consumers import Pull, StreamConsumer
from mombroker.core.named.leases import Lease
from mombroker.core.named.meta import Meta
from mombroker.core.named.queue import NamedQueue
from mombroker.core.publishing import distribute, room_everywhere
from mombroker.core.queue import Ref
from mombroker.core.rights import find_unknown_receiver
from mombroker.model.message import Message
from mombroker.operations.problems import QUEUE_FULL

from .actors import Action
from .found import Found
from .named_clients import Consumer
from .named_copies import Place, Rules
from .named_draining import drain
from .named_oracle import Delivery, NamedOracle, Wanted

if TYPE_CHECKING:
    from .run import Run

OWNER = "ann"
KEYS = ("", "", "", "a", "b")
DELAYS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 2.0, 5.0, 70.0, 300.0)
BOUND_TOPIC = "w/q/1"
BOUND_FILTERS = ("w/q/1", "w/q/+", "w/q/#")


class Told(Outcome):
    """Tells the oracle what has become of the unit that something was put into."""

    def __init__(self, queues: "Queues", serial: int, carried: bool) -> None:
        super().__init__(carried)
        self.queues = queues
        self.serial = serial

    def kept(self) -> None:
        self.queues.oracle.kept(self.serial)

    def refused(self) -> None:
        self.queues.oracle.refused(self.serial)


def delivery_of(queue: NamedQueue, ref: Ref, token: str, consumer: str, deadline: float, count: int) -> Delivery:
    """A message as a consumer of the native API sees it."""
    died = queue.meta(ref).deaths
    origin = died[-1][0] if died else queue.name
    return Delivery(number_of(ref.message.payload), origin, token, consumer, deadline, count)


def number_of(payload: bytes) -> int:
    """The number of a message. The zero before it tells other clients that it is none of theirs."""
    return int(payload.split(b"|", 2)[1])


class SimPull(Pull):
    """A pull, answered or not."""

    def __init__(self, queues: "Queues", key: str, limit: int, lease: float, deadline: float) -> None:
        super().__init__(key, OWNER, limit, lease, deadline)
        self.queues = queues
        self.leases: list[Lease] | None = None
        self.gone = False

    def take(self, queue: NamedQueue, ref: Ref, deliveries: int) -> None:
        super().take(queue, ref, deliveries)
        self.queues.leased(self.batch[-1])

    def arrived(self, leases: list[Lease]) -> None:
        if self.leases is not None or self.gone:
            raise Found(f"the pull {self.key} was answered twice")
        self.leases = leases

    def queue_deleted(self) -> None:
        self.gone = True


class SimStream(StreamConsumer):
    """A stream of messages."""

    def __init__(self, queues: "Queues", queue: NamedQueue, key: str, credit: int, lease: float) -> None:
        super().__init__(key, OWNER, credit, lease)
        self.queues = queues
        self.queue = queue
        self.gone = False

    def take(self, queue: NamedQueue, ref: Ref, deliveries: int) -> None:
        super().take(queue, ref, deliveries)
        self.queues.leased(self.batch[-1])

    def arrived(self, leases: list[Lease]) -> None:
        if not leases or self.gone:
            raise Found(f"nothing has arrived at the stream {self.key}")

    def queue_deleted(self) -> None:
        self.gone = True


class Queues:
    """Everything that is done to named queues in a run, and their oracle."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.world = run.world
        self.oracle = NamedOracle()
        self.names, self.rules = _queues_of(run.setup) if run.config.named else ([], {})
        self.bindings = {name: run.setup.random() < 0.3 for name in self.names}
        self.sent: list[tuple[Place, Wanted]] = []
        self.out: dict[str, Lease] = {}
        self.pulls: list[SimPull] = []
        self.streams: list[SimStream] = []
        self.consumers = [Consumer(self, f"n{number}", version) for number, version in enumerate((5, 4, 5))]
        self.number = 0
        self.refused_units = 0
        self.died()
        self.world.when_up.append(self.started)
        self.world.when_turned.append(self.turned)

    # -- what happens around it

    def died(self) -> None:
        """The broker is dead: what was leased is leased no more, whoever waits waits in vain."""
        self.sync(self.world.engine)
        self.oracle.crashed()
        self.out.clear()
        self.pulls.clear()
        self.streams.clear()
        for consumer in self.consumers:
            consumer.died()

    def started(self) -> None:
        """Another broker is there."""
        engine = self.world.engine
        self.oracle.at(self.world.now)
        self.oracle.found_after_start(
            {queue.name: queue.created_at for queue in engine.named.queues.values() if queue.service is None}
        )
        self.refused_units = self.world.counts["refused units"]

    def turned(self) -> None:
        """A turn of the broker has ended."""
        self.oracle.turn_ended()

    def sync(self, engine: Engine) -> None:
        """Take note of what is to be seen from outside before anything is done."""
        self.oracle.at(engine.now)
        self.oracle.full = self.oracle.full or engine.barrier.refusing
        self.oracle.turning = self.oracle.turning or self.world.turn_wanted
        if self.world.counts["refused units"] != self.refused_units:
            self.oracle.full = True
        for place in self.oracle.all_places():
            queue = engine.named.queues.get(place.name)
            if queue is None:
                self.oracle.vanished(place)
            else:
                place.dropped_now = queue.numbers.dropped

    def enter(self) -> Engine:
        """The engine, for an operation."""
        engine = self.world.enter()
        self.sync(engine)
        return engine

    def tell(self, engine: Engine, serial: int, carried: bool) -> None:
        """Have the oracle told what becomes of the open unit."""
        self.oracle.turning = True
        engine.barrier.tell(Told(self, serial, carried))
        engine.wake()

    def trace(self, what: str) -> None:
        """For whoever replays a failure."""
        if self.run.trace is not None:
            self.run.trace(f"    {what}")

    def actions(self) -> list[tuple[float, str, Action]]:
        if not self.names:
            return []
        found: list[tuple[float, str, Action]] = [
            (2.0, "make a queue", self.create),
            (8.0, "enqueue", self.put),
            (2.0, "enqueue again", self.repeat),
            (1.5, "publish to bound queues", self.publish),
            (3.0, "pull", self.pull),
            (1.0, "give up a pull", self.abandon),
            (1.0, "open a stream", self.open_stream),
            (0.6, "close a stream", self.close_stream),
            (0.5, "more credit", self.add_credit),
            (7.0, "settle", self.settle_some),
            (0.5, "purge", self.purge),
            (0.3, "delete a queue", self.delete),
            (0.8, "redrive", self.redrive),
            (1.0, "look at the numbers", self.look),
        ]
        for consumer in self.consumers:
            found += consumer.actions()
        return found

    # -- queues

    def queue(self, rng: Random, dead: bool = True) -> tuple[NamedQueue, Place] | None:
        """Some queue that is there; the first ones are used most."""
        places = [place for place in self.oracle.all_places() if dead or place.name in self.rules]
        if not places:
            return None
        place = places[min(int(rng.expovariate(0.7)), len(places) - 1)]
        return self.world.engine.named.queues[place.name], place

    def create(self, rng: Random) -> None:
        """Make a queue that is not there."""
        engine = self.enter()
        name = rng.choice(self.names)
        if name in engine.named.queues or self._is_too_soon(name):
            return
        rules = self.rules[name]
        given = {field: value for field, value in vars(rules).items() if value != getattr(Rules(), field)}
        given["overflow"] = rules.overflow
        filters = [rng.choice(BOUND_FILTERS)] if self.bindings[name] else []
        engine.named.create(name, OWNER, given, filters)
        serial = self.oracle.created(name, rules)
        if rules.dead_letter and self.oracle.place(rules.dead_letter) is None:
            serial = self.oracle.created(rules.dead_letter, Rules(overflow="drop-oldest"))
        self.tell(engine, serial, True)
        self.trace(f"make {name} {rules}")

    def _is_too_soon(self, name: str) -> bool:
        """Whether a queue of this name could not be told from an earlier one."""
        names = (name, self.rules[name].dead_letter)
        return any(place.created_at == self.world.now for made in names for place in self.oracle.queues.get(made, []))

    def delete(self, rng: Random) -> None:
        """Delete a queue. Who has what is known when the turn has ended."""
        self.world.end_turn()
        engine = self.enter()
        found = self.queue(rng)
        if found is None:
            return
        queue, place = found
        count = engine.named.delete(queue)
        self.tell(engine, self.oracle.deleted(place, count), True)
        self.trace(f"delete {place} with {count}")

    def purge(self, rng: Random) -> None:
        """Drop what nobody has. Who has what is known when the turn has ended."""
        self.world.end_turn()
        engine = self.enter()
        found = self.queue(rng)
        if found is None:
            return
        queue, place = found
        if queue.held_count and self.run.config.fills_up:
            # See about.md: a purge that finds the disk full forgets what consumers have.
            return
        count = upkeep.purge(queue)
        serial = self.oracle.purged(place, count)
        place.dropped_now = queue.numbers.dropped
        self.tell(engine, serial, True)
        self.trace(f"purge {place} of {count}")

    def look(self, rng: Random) -> None:
        """Compare what the broker says of a queue."""
        self.enter()
        found = self.queue(rng)
        if found is not None:
            self.check_numbers(*found)

    def check_numbers(self, queue: NamedQueue, place: Place) -> None:
        """What the broker says of a queue agrees with itself, and with what is known."""
        count = sum(lane.count for lane in queue.all_lanes())
        size = sum(lane.bytes for lane in queue.all_lanes())
        held = sum(len(lane) for lane in queue.held.values())
        if (queue.count, queue.bytes, queue.held_count) != (count, size, held):
            raise Found(f"{place} says {queue.count}, {queue.bytes}, {queue.held_count}; it is {count}, {size}, {held}")
        self.oracle.check_counts(place, queue.count)
        world = self.world
        calm = not (world.hold_commits or world.hold_reads or world.full or world.unit or world.reads)
        if calm and not world.turn_wanted and not (world.tick_at and world.tick_at <= world.now):
            barrier = world.engine.barrier
            if not barrier.refusing and not barrier.lazy and self._is_hungry(queue, place):
                self.oracle.check_fed(place)

    def _is_hungry(self, queue: NamedQueue, place: Place) -> bool:
        """Whether somebody waits for messages of a queue, and may have some."""
        if place.rules.single_active:
            return False
        if any(stream.queue is queue and stream.credit > 0 for stream in self.streams):
            return True
        return any(pull in queue.pulls for pull in self.pulls)

    # -- in

    def put(self, rng: Random) -> None:
        """Put one to five messages into a queue."""
        engine = self.enter()
        found = self.queue(rng, dead=False)
        if found is None:
            return
        for _ in range(rng.choice((1, 1, 2, 5))):
            self._put_one(engine, *found, self._new(rng, engine, found[1]))

    def _new(self, rng: Random, engine: Engine, place: Place) -> Wanted:
        self.number += 1
        delay = rng.choice(DELAYS)
        has_id = place.rules.dedup_window > 0.0 or rng.random() < 0.2
        return Wanted(
            self.number,
            0,
            rng.choice(KEYS),
            rng.choice((0, 0, 0, 0, 5, 9)),
            engine.now + delay if delay else 0.0,
            engine.now + rng.choice((1.0, 10.0, 100.0)) if rng.random() < 0.1 else 0.0,
            f"id-{self.number}" if has_id else "",
        )

    def repeat(self, rng: Random) -> None:
        """A producer that has got no answer sends a message again."""
        engine = self.enter()
        if not self.sent:
            return
        place, wanted = self.sent[-1 - min(int(rng.expovariate(0.3)), len(self.sent) - 1)]
        if self.oracle.place(place.name) is place and wanted.id and place.rules.dedup_window:
            if self.oracle.may_repeat(place, wanted):
                self._put_one(engine, engine.named.queues[place.name], place, wanted)

    def _put_one(self, engine: Engine, queue: NamedQueue, place: Place, wanted: Wanted) -> None:
        if engine.barrier.refusing:
            return
        payload = b"0|%d|" % wanted.number + b"x" * (wanted.number % 5 * 20)
        message = Message(f"$queue/{queue.name}", payload, 1, False, b"", engine.now, wanted.expires_at)
        wanted = Wanted(**{**vars(wanted), "size": message.size()})
        meta = _meta(wanted)
        refusal = intake.refusal(queue, message, meta)
        if refusal:
            if refusal != QUEUE_FULL:
                raise Found(f"{place} refuses a message: {refusal}")
            self.oracle.refused_to_put(place, wanted)
            return
        message_id = intake.enqueue(queue, message, meta)
        # What comes next may hand it out.
        serial = self.oracle.put(place, wanted, not message_id)
        self.trace(f"put {wanted} into {place}: {message_id!r}, {serial}")
        self.sent.append((place, wanted))
        del self.sent[:-20]
        queue.pump(queue.queue)
        self.tell(engine, serial, False)

    def publish(self, rng: Random) -> None:
        """Publish to a topic that queues are bound to."""
        engine = self.enter()
        bound = [place for place in self.oracle.all_places() if self.bindings.get(place.name)]
        route = engine.router.route(BOUND_TOPIC.encode())
        if engine.hooks.authorizes and find_unknown_receiver(engine, route) is not None or engine.barrier.refusing:
            return
        self.number += 1
        message = Message(BOUND_TOPIC, b"0|%d|" % self.number, rng.choice((1, 2)), False, b"", engine.now)
        if (route.may_reject or engine.hooks.decides_overflow) and not room_everywhere(engine, message, route):
            return
        wanted = Wanted(self.number, message.size())
        self.trace(f"publish {wanted} to {bound}")
        serials = [self.oracle.put(place, wanted, False) for place in bound]
        distribute(engine, message, route, None)
        for serial in serials:
            self.tell(engine, serial, False)
        engine.wake()

    # -- out

    def leased(self, lease: Lease) -> None:
        """A consumer has been given a message."""
        self.oracle.at(self.world.engine.now)
        place = self.oracle.place(lease.queue.name)
        if place is None:
            raise Found(f"{lease.queue.name} delivers a message, and is not there")
        self.out[lease.token] = lease
        self.trace(f"{lease.key} gets {lease.ref.message.payload!r} of {place}")
        self.oracle.delivered(
            place, delivery_of(lease.queue, lease.ref, lease.token, lease.key, lease.deadline, lease.deliveries)
        )

    def pull(self, rng: Random) -> None:
        """Pull a few messages."""
        engine = self.enter()
        found = self.queue(rng)
        if found is None:
            return
        queue, place = found
        wait = rng.choice((0.0, 0.0, 1.0, 20.0))
        key = f"pull:{rng.choice('abc')}"
        pull = SimPull(self, key, rng.choice((1, 2, 5)), rng.choice((0.0, 0.0, 3.0)), engine.now + wait)
        self.pulls = [other for other in self.pulls if other.leases is None and not other.gone][-5:] + [pull]
        place.last_use = engine.now
        queue.pulls.append(pull)
        queue.attach()
        engine.wake()

    def abandon(self, rng: Random) -> None:
        """Whoever pulled goes before, or just as, the answer is there."""
        if not self.pulls:
            return
        engine = self.enter()
        pull = self.pulls.pop(int(rng.random() * len(self.pulls)))
        if pull.gone:
            return
        pull.ended = True
        for queue in engine.named.queues.values():
            if pull in queue.pulls:
                queue.pulls = [other for other in queue.pulls if other is not pull]
        leases = [lease for lease in pull.leases or pull.batch if not lease.ended and not lease.queue.deleted]
        for lease in leases:
            self.oracle.given_back(lease.token, 0.0, counted=False)
            self.out.pop(lease.token, None)
        give_back(leases)
        engine.wake()

    def open_stream(self, rng: Random) -> None:
        """Have messages pushed."""
        engine = self.enter()
        found = self.queue(rng)
        if found is None or len(self.streams) >= 4:
            return
        queue, place = found
        key = f"stream:{engine.new_id():x}"
        stream = SimStream(self, queue, key, rng.choice((1, 2, 5)), rng.choice((0.0, 0.0, 3.0)))
        self.streams.append(stream)
        place.last_use = engine.now
        queue.add(stream)
        engine.wake()

    def close_stream(self, rng: Random) -> None:
        """Have no more pushed; what is out comes back."""
        if self.streams:
            self.end_stream(self.streams.pop(int(rng.random() * len(self.streams))))

    def end_stream(self, stream: SimStream) -> None:
        """End one."""
        engine = self.enter()
        if stream.gone:
            return
        stream.ended = True
        place = self.oracle.place(stream.queue.name)
        if place is not None:
            place.last_use = engine.now
        serials: list[int] = []
        for lease in list(self.out.values()):
            if lease.stream is stream and not lease.ended:
                serials.append(self.oracle.given_back(lease.token, 0.0))
                del self.out[lease.token]
        stream.queue.remove(stream)
        for serial in serials:
            self.tell(engine, serial, True)
            self.tell(engine, serial, False)
        engine.wake()

    def add_credit(self, rng: Random) -> None:
        """Take more at a time."""
        if not self.streams:
            return
        engine = self.enter()
        stream = rng.choice(self.streams)
        if not stream.gone:
            stream.credit += 1
            stream.queue.pump(stream.queue.queue)
            engine.wake()

    def settle_some(self, rng: Random) -> None:
        """Settle what consumers have, or what they had."""
        engine = self.enter()
        if not self.out:
            return
        for token in rng.sample(list(self.out), min(len(self.out), rng.choice((1, 1, 2, 5)))):
            how = rng.choice(("ack", "ack", "ack", "nack", "later", "reject", "extend"))
            self.settle_one(engine, token, how, rng.choice((0.4, 3.0, 100.0)))

    def settle_one(self, engine: Engine, token: str, how: str, delay: float = 0.0) -> None:
        """Settle one message, if the broker knows its lease."""
        lease = engine.named.leases.get(token)
        self.trace(f"{how} {token}: {lease is not None}")
        if lease is None:
            self.out.pop(token, None)
            self.oracle.lease_unknown(token)
            return
        queue = lease.queue
        if how == "extend":
            self.oracle.extended(token, engine.now + 7.0)
            queue.leases.extend(lease, engine.now + 7.0)
            upkeep.schedule(queue)
            return
        del self.out[token]
        queue.end_lease(lease)
        if how == "ack":
            serial = self.oracle.acked(token)
            queue.ack(lease.ref)
        elif how == "reject":
            serial = self.oracle.rejected(token)
            queue.reject(lease.ref, "rejected")
        else:
            wait = delay if how == "later" else queue.policy.retry_delay
            serial = self.oracle.given_back(token, wait)
            queue.nack(lease.ref, wait, "")
        queue.pump(queue.queue)
        self.tell(engine, serial, True)
        if how != "ack":
            self.tell(engine, serial, False)

    def redrive(self, rng: Random) -> None:
        """Move some dead letters back to where they came from."""
        engine = self.enter()
        dead = [place for place in self.oracle.all_places() if place.name not in self.rules]
        if not dead:
            return
        place = rng.choice(dead)
        queue = engine.named.queues[place.name]
        pull = SimPull(self, f"redrive:{engine.new_id():x}", 5, 0.0, engine.now)
        queue.pulls.append(pull)
        queue.attach()
        stay: list[Lease] = []
        for lease in pull.leases or []:
            queue.end_lease(lease)
            del self.out[lease.token]
            before = self._room_of(queue, lease.ref)
            moved = self.oracle.can_be_redriven(lease.token) and deaths.redrive(queue, lease.ref)
            if moved and not before:
                raise Found(f"a dead letter was redriven into {queue.meta(lease.ref).deaths[-1][0]}, which has no room")
            serial = self.oracle.redriven(place, lease.token, moved)
            if not moved:
                stay.append(lease)
            self.tell(engine, serial, True)
        if pull.leases is None:
            pull.ended = True
            queue.pulls.remove(pull)
            for lease in pull.batch:
                self.oracle.given_back(lease.token, 0.0, counted=False)
                del self.out[lease.token]
            give_back(pull.batch)
        for lease in stay:
            queue.let_go(lease.ref)
            queue.make_ready(lease.ref)
        queue.pump(queue.queue)
        engine.wake()

    def _room_of(self, queue: NamedQueue, ref: Ref) -> bool:
        died = queue.meta(ref).deaths
        target = self.world.engine.named.queues.get(died[-1][0]) if died else None
        return target is not None and (
            target.policy.overflow.value != "reject" or intake.has_room(target, 1, ref.message.size())
        )

    # -- the end

    def settle(self, round: int) -> None:
        """Take everything that comes."""
        engine = self.enter()
        if round == 0:
            for stream in self.streams:
                self.end_stream(stream)
            self.streams.clear()
            for consumer in self.consumers:
                consumer.leave()
        for token in list(self.out):
            self.settle_one(engine, token, "ack")

    def pull_everything(self, engine: Engine) -> None:
        """Pull from every queue."""
        for place in self.oracle.all_places():
            queue = engine.named.queues[place.name]
            self.oracle.at(engine.now)
            pull = SimPull(self, "pull:a", 100, 0.0, engine.now)
            place.last_use = engine.now
            queue.pulls.append(pull)
            queue.attach()
        engine.wake()

    def check(self) -> None:
        """Take out all that is to be had, for as long as it takes: nothing that was promised may be missing."""
        drain(self)

    def counts(self) -> dict[str, int]:
        """What was done."""
        return dict(self.oracle.counts)


def _meta(wanted: Wanted) -> Meta:
    meta = Meta()
    meta.id = wanted.id
    meta.key = wanted.key
    meta.priority = wanted.priority
    meta.deliver_at = wanted.deliver_at
    return meta


def _queues_of(rng: Random) -> tuple[list[str], dict[str, Rules]]:
    """The queues of a run: none in half of all."""
    if rng.random() < 0.5:
        return [], {}
    rules: dict[str, Rules] = {}
    for number in range(rng.choice((1, 2, 3))):
        limited = rng.random() < 0.4
        dead = rng.choice(("", "dead", f"dead{number}"))
        rules[f"q{number}"] = Rules(
            max_messages=rng.choice((2, 5, 20)) if limited else 1_000_000,
            max_bytes=rng.choice((1 << 30, 400)) if limited else 1 << 30,
            message_ttl=rng.choice((0.0, 0.0, 0.0, 30.0)),
            overflow=rng.choice(("reject", "reject", "drop-oldest", "drop-newest", "dead-letter")),
            expires=rng.choice((0.0, 0.0, 0.0, 0.0, 50.0)),
            lease=rng.choice((5.0, 30.0)),
            max_leased=rng.choice((2, 10_000, 10_000)),
            max_deliveries=rng.choice((0, 0, 1, 3)),
            retry_delay=rng.choice((0.0, 0.0, 2.0)),
            dead_letter=dead,
            dedup_window=rng.choice((0.0, 20.0, 300.0)),
            single_active=rng.random() < 0.15,
        )
    return list(rules), rules
