"""What kind of world a seed gives: limits, policies, hooks, clients, and how nasty it all is."""

from dataclasses import dataclass, field
from random import Random
from zlib import crc32

from mombroker.core import Limits
from mombroker.model.queues import Overflow, QueuePolicy

TOPICS = ("a", "a/b", "a/b/c", "a/x", "b/1", "b/2", "b/1/2", "s/1", "s/2", "s/1/x", "r/1", "r/2", "no/1")
WILL_TOPICS = ("w/1", "w/2")
FILTERS = (
    *("a", "a/b", "a/b/c", "b/1", "r/1", "w/1", "no/1"),
    *("a/+", "a/#", "+/b", "#", "b/+/2", "+/+", "b/#", "r/+", "w/#", "+/1", "+/b/#"),
)
SHARED_FILTERS = ("$share/g/s/1", "$share/g/s/+", "$share/h/s/#", "$share/h/s/1")


@dataclass(frozen=True)
class Config:
    """One world. Chances are of 1. ``named``: it may have named queues and services."""

    seed: int
    limits: Limits
    versions: tuple[int, ...]
    policies: dict[str, QueuePolicy] = field(default_factory=dict)
    shared_policy: QueuePolicy = field(default_factory=QueuePolicy)
    lazy_interval: float = 0.0
    authorizes: bool = False
    sees_publish: bool = False
    sees_deliver: bool = False
    slow_hooks: float = 0.0
    sloppy: bool = False
    fills_up: bool = False
    crashes: bool = True
    goes_back: bool = False
    expiring: bool = False
    small_windows: bool = False
    named: bool = True

    def may(self, client_id: str, action: str, resource: str) -> bool:
        """What the simulated hooks say of a right: always the same for the same question."""
        if not self.authorizes or resource.startswith(("s/", "w/", "$")) or client_id[0] == "n":
            return True
        return crc32(f"{self.seed} {client_id} {action} {resource}".encode()) % 8 != 0

    def publish_refused(self, topic: str) -> bool:
        """Whether the publish hook refuses a topic."""
        return self.sees_publish and topic.startswith("no/")

    def withheld(self, client_id: str, topic: str) -> bool:
        """Whether the deliver hook withholds a topic from a client."""
        return self.sees_deliver and client_id[0] != "n" and crc32(f"{self.seed} {client_id} {topic}".encode()) % 8 == 0

    def may_reject(self) -> bool:
        """Whether a full queue may refuse a message to its publisher."""
        return any(policy.overflow is Overflow.REJECT for policy in (self.shared_policy, *self.policies.values()))

    def policy(self, queue: str) -> QueuePolicy:
        """The policy of a queue."""
        found = self.policies.get(queue)
        if found is not None:
            return found
        return self.shared_policy if queue.startswith("$share/") else QueuePolicy(overflow=Overflow.DROP_OLDEST)


def configuration(seed: int, rng: Random) -> Config:
    """The world of a seed."""
    lazy = rng.random() < 0.04
    versions = tuple(rng.choice((3, 4, 5, 5, 5)) for _ in range(rng.randint(2, 7)))
    policies: dict[str, QueuePolicy] = {}
    for number in range(len(versions)):
        if rng.random() < 0.25:
            policies[f"client:c{number}"] = _policy(rng)
    limits = Limits(
        receive_maximum=rng.choice((2, 10, 4096)),
        max_inflight=rng.choice((1, 3, 20, 1024)),
        topic_alias_maximum=rng.choice((0, 2, 64)),
        outbound_topic_aliases=rng.choice((0, 2, 16)),
        queue_qos0=rng.random() < 0.25,
        max_message_age=rng.choice((0, 0, 0, 60)),
        max_out_buffer=rng.choice((4096, 16_777_216)),
        max_unit_bytes=rng.choice((2000, 16_777_216)),
        auth_cache_seconds=rng.choice((1.0, 60.0)),
        auth_cache_size=rng.choice((3, 1024)),
        sys_interval=rng.choice((0, 0, 10)),
    )
    return Config(
        seed,
        limits,
        versions,
        policies,
        _policy(rng) if rng.random() < 0.15 else QueuePolicy(overflow=Overflow.DROP_OLDEST),
        0.05 if lazy else 0.0,
        authorizes=rng.random() < 0.25,
        sees_publish=rng.random() < 0.25,
        sees_deliver=rng.random() < 0.2,
        slow_hooks=rng.choice((0.0, 0.1, 0.6)),
        sloppy=rng.random() < 0.1,
        fills_up=rng.random() < 0.3 and not lazy,
        crashes=not lazy,
        goes_back=rng.random() < 0.3,
        expiring=rng.random() < 0.3,
        small_windows=rng.random() < 0.4,
    )


def _policy(rng: Random) -> QueuePolicy:
    return QueuePolicy(
        max_messages=rng.choice((1, 3, 10, 30)),
        max_bytes=rng.choice((0, 0, 0, 2000)),
        message_ttl=rng.choice((0.0, 0.0, 20.0)),
        overflow=rng.choice((Overflow.REJECT, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST)),
    )
