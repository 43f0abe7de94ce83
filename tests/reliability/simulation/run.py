"""One run: a world made of a seed, STEPS steps in it, and then everything settled and checked."""

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Collection
from random import Random
from typing import Any

from .actors import Actor
from .clients import Client, clients
from .config import Config, configuration
from .disk import Disk
from .found import Found
from .hooks import SimulatedHooks
from .named_actors import Queues
from .oracle import Account, Oracle
from .service_actors import Services
from .weather import Weather
from .world import World

SETTLE_ROUNDS = 4
STRIDE = 1_000_003

FACTORIES: list[Callable[["Run"], list[Any]]] = [
    clients,
    lambda run: [Weather(run)],
    lambda run: [Queues(run), Services(run)],
]
"""Make the actors of a run, in this order."""


class Run:
    """A world, its actors and its oracle. ``setup`` is the Random that actors are drawn from."""

    def __init__(self, seed: int, disk: Disk | None = None, config: Config | None = None) -> None:
        self.seed = seed
        self.setup = Random(seed)
        self.config = config or configuration(seed, self.setup)
        self.hooks = SimulatedHooks(self.config)
        self.world = World(self.config.limits, self.hooks, self.config.lazy_interval, disk)
        # A store may give less of a queue than it was asked for: so a short backlog takes many reads, too.
        self.world.page_records = Random(f"pages {seed}").choice((1, 3, 20, 1024))
        self.world.questions = self.hooks.later
        self.oracle = Oracle(self.config, lambda: self.world.moment)
        self.actors: list[Actor] = []
        for factory in FACTORIES:
            self.actors += factory(self)
        self.world.when_dead.append(self._died)
        self.steps = 0
        self.trace: Callable[[str], None] | None = None
        self._names: list[str] = []
        self._actions: list[Callable[[Random], None]] = []
        self._bounds: list[float] = []
        total = 0.0
        for actor in self.actors:
            for weight, name, action in actor.actions():
                total += weight
                self._names.append(f"{getattr(actor, 'client_id', type(actor).__name__)}: {name}")
                self._actions.append(action)
                self._bounds.append(total)
        self._total = total

    def _died(self) -> None:
        self.hooks.later = self.world.questions = []
        self.oracle.died()
        for actor in self.actors:
            actor.died()

    def client_of(self, account: Account) -> Client:
        """The client that an account is of."""
        return next(actor for actor in self.actors if isinstance(actor, Client) and actor.account is account)

    def unexcused(self, target: str, missing: list[list[str]]) -> int | None:
        """Which of the missing messages of a queue cannot be one of the drops that were counted and told, given what
        could be the cause of each; None if there is a counted drop for every one."""
        taken: dict[str, list[int]] = {}

        def excuse(index: int, tried: set[str]) -> bool:
            for cause in missing[index]:
                if cause in tried:
                    continue
                tried.add(cause)
                holders = taken.setdefault(cause, [])
                if len(holders) < self.hooks.dropped[(target, cause)]:
                    holders.append(index)
                    return True
                for place, other in enumerate(holders):
                    if excuse(other, tried):
                        holders[place] = index
                        return True
            return False

        return next((index for index in range(len(missing)) if not excuse(index, set())), None)

    # -- going on

    def go(self, steps: int, without: Collection[int] = ()) -> None:
        """Take the steps, but for some, then settle and check. Raises Found."""
        rng = Random()
        for index in range(steps):
            if index not in without:
                self.step(index, rng)
        self.settle()

    def step(self, index: int, rng: Random) -> None:
        """One step: somebody does something, and then some of what can happen happens."""
        self.steps += 1
        rng.seed(self.seed * STRIDE + index)
        chosen = bisect(self._bounds, rng.random() * self._total)
        if self.trace is not None:
            self.trace(f"{index}: {self._names[chosen]}")
        self._actions[chosen](rng)
        world = self.world
        luck = rng.random()
        if luck < 0.1:
            world.rest(answers=rng.random() < 0.5)
        else:
            for _ in range(int(luck * 12)):
                if not world.happen(rng):
                    break
        self._look()

    def _look(self) -> None:
        world = self.world
        if world.failed is not None:
            raise Found(f"the broker has given up: {world.failed}")
        if world.log.defects or self.steps % 16 == 0:
            world.check()

    def settle(self) -> None:
        """Let everything come to its end, and check what was owed."""
        world = self.world
        world.hold_commits = world.hold_reads = False
        world.full = False
        world.fail_next = None
        world.rest()
        for round in range(SETTLE_ROUNDS):
            for actor in self.actors:
                actor.settle(round)
            world.rest()
            world.advance(2.0)
            world.rest()
        world.check()
        for actor in self.actors:
            actor.check()
        self._check_groups()
        self._check_rest()
        world.finish_counts()

    def _check_groups(self) -> None:
        """What is owed to the members of shared subscriptions together."""
        for name, group in self.oracle.groups.items():
            owed = [sent for sent, subs in group.owed.values() if any(sub.sure for sub in subs)]
            causes: list[list[str]] = []
            for sent in owed:
                found = ["refused-by-hook"] if self.config.sees_deliver else []
                policy = self.config.policy(name)
                if sent.expires or policy.message_ttl:
                    found.append("expired")
                causes.append(found + ["overflow"])
            lost = self.unexcused(name, causes)
            if lost is not None:
                raise Found(f"no member of {name} ever got {owed[lost]}, acknowledged and owed ({len(owed)} in all)")

    def _check_rest(self) -> None:
        """Nobody who is connected and acknowledges everything has anything in flight, or waiting."""
        engine = self.world.engine
        if self.config.lazy_interval == 0.0 and (not engine.is_settled() or self.world.reads):
            raise Found("the broker does not come to rest")
        waiting = {queue.spec.name: queue for queue in engine.queues_by_id.values() if queue.count or queue.bytes}
        for session in engine.sessions.values():
            if session.connection is None:
                continue
            if session.inflight:
                raise Found(
                    f"{session.client_id} has acknowledged everything, and {len(session.inflight)} are in flight"
                )
            name = session.queue.spec.name
            if name in waiting:
                raise Found(f"{name} keeps {waiting[name].count} messages, {waiting[name].bytes} bytes from its client")

    def counts(self) -> Counter[str]:
        """What was done and checked."""
        found = Counter(self.world.counts)
        found.update(self.oracle.counts)
        found["runs"] = 1
        found["steps"] = self.steps
        found["questions to hooks"] = self.hooks.questions
        found["refusals of hooks"] = self.hooks.refusals
        found["messages dropped and counted"] = sum(self.hooks.dropped.values())
        for actor in self.actors:
            found.update(actor.counts())
        found["events"] = events(found)
        return found


EVENTS = (
    *("packets to the broker", "packets to clients", "connections", "connections lost", "commits", "refused units"),
    *("failed commits", "reads", "ticks", "clock steps", "crashes", "restarts", "late answers of hooks"),
)


def events(counts: Counter[str]) -> int:
    """Whatever the world did to the broker, or got from it."""
    return sum(counts[name] for name in EVENTS)
