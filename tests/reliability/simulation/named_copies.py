"""What is known of one message in one queue, while the broker works, may crash, and tells only now and then.

A message is in one of several *places*: its queue, the queue of its dead letters, or nowhere. What has been done to it
makes a new :class:`Life`; which lives the disk may hold is known by serials, since all that was done before something
that is known to be kept is kept too.
"""

from dataclasses import dataclass, field, replace
from typing import Any

NEVER = float("inf")


@dataclass(frozen=True)
class Rules:
    """A queue's policy, as its maker has asked for it; the defaults are those of docs/queues.md."""

    max_messages: int = 1_000_000
    max_bytes: int = 1 << 30
    message_ttl: float = 0.0
    overflow: str = "reject"
    expires: float = 0.0
    lease: float = 30.0
    max_leased: int = 10_000
    max_deliveries: int = 0
    retry_delay: float = 0.0
    dead_letter: str = ""
    dedup_window: float = 0.0
    single_active: bool = False


class Place:
    """A queue from its creation to its deletion; a queue made again under the same name is another place.

    ``existed`` are (serial, whether it was there then), the first one on disk. ``unseen`` counts connections that broke
    with deliveries nobody has seen. ``hasty``: it has a consumer of QoS 0, whose messages are gone before they are
    seen. ``trims``: it may have to make room, now or as soon as it can. ``dropped`` is what the broker says it has
    dropped, over all its lives.
    """

    def __init__(self, name: str, rules: Rules, created_at: float, serial: int) -> None:
        self.name = name
        self.rules = rules
        self.created_at = created_at
        self.existed: list[tuple[int, bool]] = [(0, False), (serial, True)]
        self.copies: dict[int, Copy] = {}
        self.seen: dict[str, SeenId] = {}
        self.last_move = 0
        self.hasty = False
        self.trims = False
        self.unseen = 0
        self.last_use = created_at
        self.dropped = 0
        self.dropped_now = 0
        self.missing = 0

    def __repr__(self) -> str:
        return self.name or "nowhere"

    def exists(self) -> bool:
        """Whether it is there, as far as the broker has told."""
        return self.existed[-1][1]

    def kept(self, serial: int) -> None:
        """All that was done until then is on disk."""
        while len(self.existed) > 1 and self.existed[1][0] <= serial:
            self.existed.pop(0)

    def may_exist(self) -> set[bool]:
        """What a restart may find."""
        return {there for _, there in self.existed}


GONE = Place("", Rules(), 0.0, 0)
"""Where messages are that are nowhere any more."""


@dataclass
class SeenId:
    """An id that a queue has taken: until when it is known, and whether that is on disk."""

    until: float
    certain: bool = False


@dataclass
class Hold:
    """A consumer has a message until ``deadline``. A ``ghost``: the store had no room for the message, and so nothing
    is owed to its consumer."""

    token: str
    consumer: str
    deadline: float
    ended: bool = False
    ghost: bool = False


@dataclass(frozen=True)
class Life:
    """What is true of a message from ``serial`` on. ``durable``: once the broker has told that this is on disk, it is.
    ``low`` and ``high`` bound how often the message has come back. It is not to be delivered before ``ready_at``, and
    may be from ``ready_by`` on; expiry is bounded too. Times are Unix seconds."""

    serial: int
    durable: bool
    places: frozenset[Place]
    ready_at: float
    expires_low: float
    expires_high: float
    low: int = 0
    high: int = 0
    ready_by: float = 0.0


@dataclass
class Copy:
    """One message in one queue. ``order`` is that of the puts. ``plain``: it has never left its lane, so that it keeps
    its order. ``attempts`` are the serials of puts whose fate is not known; ``owed``: one of them is on disk.
    ``moved``: it may be somewhere else than where it was put. ``doomed``: it is to be a dead letter as soon as the disk
    has room. ``droppable``: it may have had to make room; ``excused``: it may be gone for another reason. ``begun``
    counts what was done to it."""

    number: int
    home: Place
    key: str
    priority: int
    order: int
    size: int
    lives: list[Life]
    plain: bool
    own_expiry: float = NEVER
    id: str = ""
    attempts: set[int] = field(default_factory=set)
    owed: bool = False
    moved: bool = False
    redriven: bool = False
    doomed: bool = False
    droppable: bool = False
    excused: bool = False
    begun: int = 0
    unseen: dict[str, int] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def life(self) -> Life:
        """What is true of it now."""
        return self.lives[-1]

    def begin(self, serial: int, durable: bool = True, **changes: Any) -> None:
        """Something was done to it."""
        self.begun += 1
        self.lives.append(replace(self.life, serial=serial, durable=durable, **changes))

    def note_unseen(self, place: Place) -> None:
        """What nobody has seen in a place so far is of no interest any more."""
        self.unseen[place.name] = place.unseen

    def unseen_in(self, place: Place) -> int:
        """How many connections have broken since then that may have had it."""
        return place.unseen - self.unseen.get(place.name, 0)

    def learn(self, **changes: Any) -> None:
        """More is known of how it is."""
        self.lives[-1] = replace(self.life, **changes)

    def kept(self, serial: int) -> None:
        """All that was done until then is on disk."""
        last = 0
        for index, life in enumerate(self.lives):
            if life.durable and life.serial <= serial:
                last = index
        del self.lives[:last]

    def live_holds(self, now: float) -> list[Hold]:
        """Those who certainly have it."""
        return [hold for hold in self.holds if not hold.ended and not hold.ghost and hold.deadline > now]

    def open_holds(self) -> list[Hold]:
        """Those who have it, unless their time is over, which shows with the next delivery."""
        return [hold for hold in self.holds if not hold.ended and not hold.ghost]

    def crashed(self) -> None:
        """The broker has died: any life that the disk may hold is possible, and nobody has the message any more."""
        lives = self.lives
        self.lives = [
            Life(
                lives[0].serial,
                True,
                frozenset().union(*[life.places for life in lives]),
                min(life.ready_at for life in lives),
                min(life.expires_low for life in lives),
                max(life.expires_high for life in lives),
                min(life.low for life in lives),
                max(life.high for life in lives),
                max(life.ready_by for life in lives),
            )
        ]
        self.holds = []
        self.attempts.clear()
        if GONE in self.life.places and not self.droppable:
            self.excused = True

    def note(self, what: str) -> None:
        """Remember the last things that happened to it, for a report."""
        self.told.append(what)
        del self.told[:-40]
