"""What named queues owe to those who use them, kept apart from the broker: it is told what was done and what was
answered, and raises :class:`~.found.Found` for what must not be.

It knows nothing of lanes, wheels or leases. What it cannot see (a lease that runs out, a message that expires) it takes
for possible from the moment at which it may be, and for certain once something shows it. ``latest`` is the latest time
that any broker has been told: a clock may go back when another one is started.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .found import Found
from .named_copies import GONE, NEVER, Copy, Hold, Life, Place, Rules, SeenId


@dataclass(frozen=True)
class Wanted:
    """What a producer says of a message. Times are Unix seconds; ``id`` is empty for one that brings none."""

    number: int
    size: int
    key: str = ""
    priority: int = 0
    deliver_at: float = 0.0
    expires_at: float = 0.0
    id: str = ""


@dataclass(frozen=True)
class Delivery:
    """A message as a consumer gets it. ``origin``: the queue that it died in last, if it ever did. ``deadline``: until
    when the consumer has it. ``count``: which delivery the broker says it is, 0 if it does not say."""

    number: int
    origin: str
    token: str
    consumer: str
    deadline: float
    count: int
    late: bool = False


class NamedOracle:
    """All queues of a broker, over its restarts. ``serial`` numbers what is done; see :meth:`kept`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.latest = 0.0
        self.serial = 0
        self.durable = 0
        self.queues: dict[str, list[Place]] = {}
        self.holds: dict[str, tuple[Copy, Hold, Place]] = {}
        self.by_attempt: dict[int, Copy] = {}
        self.counts: Counter[str] = Counter()
        self.full = False
        self.turning = False
        self._order = 0
        self._turn = 0
        self._left_out: list[tuple[Copy, str]] = []

    def at(self, now: float) -> None:
        """It is so late now."""
        self.now = now
        self.latest = max(self.latest, now)

    def next(self) -> int:
        """A number for what is done next."""
        self.serial += 1
        return self.serial

    # -- queues

    def place(self, name: str) -> Place | None:
        """The queue of this name that is there now."""
        for place in reversed(self.queues.get(name, [])):
            if place.exists():
                return place
        return None

    def all_places(self) -> list[Place]:
        """Every queue that is there now."""
        return [place for places in self.queues.values() for place in places if place.exists()]

    def created(self, name: str, rules: Rules) -> int:
        """A queue was made."""
        self._freeze(name)
        serial = self.next()
        self.queues.setdefault(name, []).append(Place(name, rules, self.now, serial))
        self.counts["queues made"] += 1
        return serial

    def deleted(self, place: Place, told: int) -> int:
        """A queue was deleted, with ``told`` messages in it."""
        self._freeze(place.name)
        self._check_count("a deleted queue", place, told)
        serial = self.next()
        place.existed.append((serial, False))
        for copy in self._copies_anywhere():
            if place in copy.life.places:
                for hold in copy.open_holds():
                    if self.holds.get(hold.token, (copy, hold, GONE))[2] is place:
                        if hold.deadline <= self.now or copy.unseen_in(place):
                            self._perhaps_returned(copy, place)
                        hold.ended = True
        self.counts["queues deleted"] += 1
        return serial

    def vanished(self, place: Place) -> None:
        """A queue is not there any more, although nobody has deleted it: nobody has used it for long enough?"""
        rules = place.rules
        used = [hold.consumer for _, hold in self._held_in(place)]
        if not rules.expires or place.last_use + rules.expires > self.now or used:
            raise Found(f"{place} is gone, last used at {place.last_use:.3f}; it is {self.now:.3f}; {used} use it")
        self._freeze(place.name)
        place.existed.append((self.next(), False))
        self.counts["queues expired"] += 1

    def found_after_start(self, there: dict[str, float]) -> None:
        """A broker has started and holds these queues, with the times that they were made."""
        for name, places in self.queues.items():
            for place in places:
                is_there = there.get(name) == place.created_at
                has_expired = place.rules.expires and place.last_use + place.rules.expires <= self.latest
                if is_there not in place.may_exist() and not (has_expired and not is_there):
                    raise Found(f"the queue {name} of {place.created_at}: there is {is_there}, must be {not is_there}")
                place.existed = [(0, is_there)]
            self.queues[name] = [place for place in places if place.exists() or place.copies]
        for name, made in there.items():
            if not any(place.created_at == made for place in self.queues.get(name, [])):
                raise Found(f"there is a queue {name} of {made} that nobody has made")

    # -- in

    def refused_to_put(self, place: Place, wanted: Wanted) -> None:
        """A message was refused because the queue is full."""
        rules = place.rules
        count, size = self._most(place)
        if self.knows(place, wanted.id) == "yes":
            raise Found(f"message {wanted.number} was refused by {place}, which has taken its id before")
        if rules.overflow != "reject":
            raise Found(f"{place} refuses a message, with the policy {rules.overflow}")
        if count + 1 <= rules.max_messages and size + wanted.size <= rules.max_bytes:
            raise Found(f"{place} refuses message {wanted.number} as full, with {count} messages of {size} bytes")
        self.counts["enqueues refused as too many"] += 1

    def put(self, place: Place, wanted: Wanted, repetition: bool) -> int:
        """A message was taken, or recognised as a ``repetition``."""
        serial = self.next()
        place.last_use = self.now
        known = self.knows(place, wanted.id)
        if repetition:
            self._repeated(place, wanted, serial, known)
            return serial
        if known == "yes":
            raise Found(f"{place} has taken message {wanted.number} again, although it knows its id {wanted.id}")
        self._check_room(place, wanted)
        self._order += 1
        ttl = place.rules.message_ttl
        expires = min(wanted.expires_at or NEVER, max(self.now, wanted.deliver_at) + ttl if ttl else NEVER)
        empty = Life(0, True, frozenset((GONE,)), 0.0, NEVER, NEVER)
        old = place.copies.get(wanted.number)
        copy = Copy(
            wanted.number,
            place,
            wanted.key,
            wanted.priority,
            self._order,
            wanted.size,
            [empty],
            wanted.deliver_at <= self.now and old is None,
            wanted.expires_at or NEVER,
            wanted.id,
        )
        copy.note_unseen(place)
        if old is not None:
            # The window of its id has passed, or the first one was not kept.
            self._check_gone(old, place)
        copy.begin(
            serial,
            places=frozenset((place,)),
            ready_at=wanted.deliver_at,
            ready_by=wanted.deliver_at,
            expires_low=expires,
            expires_high=expires,
        )
        copy.note(f"put {serial} at {self.now:.3f}")
        copy.attempts.add(serial)
        self.by_attempt[serial] = copy
        place.copies[wanted.number] = copy
        if wanted.id and place.rules.dedup_window:
            place.seen[wanted.id] = SeenId(self.now + place.rules.dedup_window)
        self._overflow(place, wanted)
        return serial

    def may_repeat(self, place: Place, wanted: Wanted) -> bool:
        """Whether a message can be sent again, and it is known what that has to lead to."""
        copy = place.copies.get(wanted.number)
        seen = place.seen.get(wanted.id)
        if seen is not None and seen.until > self.latest + 1.0:
            return True
        return copy is None or copy.life.places == {GONE} and not copy.moved and not copy.owed

    def knows(self, place: Place, id: str) -> str:
        """Whether a queue must know an id: yes, no or perhaps."""
        seen = place.seen.get(id) if id and place.rules.dedup_window else None
        if seen is None or seen.until <= self.now:
            return "no"
        return "yes" if seen.certain and seen.until > self.latest else "perhaps"

    def _repeated(self, place: Place, wanted: Wanted, serial: int, known: str) -> None:
        if known == "no":
            raise Found(f"{place} calls message {wanted.number} a repetition, and cannot know its id {wanted.id}")
        self.counts["repetitions recognised"] += 1
        copy = place.copies.get(wanted.number)
        if copy is not None and not copy.owed and not copy.attempts and copy.begun == 1:
            # A restart has left the id, so it must have left the message.
            place.seen[wanted.id].certain = copy.owed = True
            if not copy.moved and not copy.droppable:
                copy.learn(places=frozenset((place,)))
        if copy is not None and not copy.owed:
            copy.attempts.add(serial)
            self.by_attempt[serial] = copy
            copy.note(f"repeated {serial}")

    def _check_gone(self, old: Copy, place: Place) -> None:
        if old.owed and not old.life.places - {GONE}:
            return
        old.learn(places=old.life.places | {GONE})

    def _check_room(self, place: Place, wanted: Wanted) -> None:
        rules = place.rules
        if rules.overflow != "reject":
            return
        count, size = self._least(place)
        if count + 1 > rules.max_messages or size + wanted.size > rules.max_bytes:
            raise Found(f"{place} takes message {wanted.number}, with {count} messages of {size} bytes in it")

    def _overflow(self, place: Place, wanted: Wanted) -> None:
        """What has to make room is not known; that it is counted is checked at the end."""
        rules = place.rules
        if rules.overflow == "reject" or not self._is_over(place):
            return
        copies = list(place.copies.values())
        if rules.overflow == "drop-newest":
            copies = [place.copies[wanted.number]]
        self._trim(place, copies)
        self.counts["enqueues into full queues"] += 1

    def _is_over(self, place: Place) -> bool:
        count, size = self._most(place)
        return count > place.rules.max_messages or size > place.rules.max_bytes

    def _trim(self, place: Place, copies: list[Copy]) -> None:
        rules = place.rules
        place.trims = True
        end = self._end_of(place) if rules.overflow == "dead-letter" else GONE
        if rules.overflow == "drop-newest":
            # Whether it was taken is not told, and so not whether its id is known.
            copies[0].id = ""
        for copy in copies:
            if place in copy.life.places:
                copy.droppable = copy.droppable or rules.overflow != "dead-letter"
                for index, life in enumerate(copy.lives):
                    if place in life.places:
                        copy.lives[index] = _in_more(life, end)

    # -- what becomes of units

    def kept(self, serial: int) -> None:
        """The broker has told that what was done with this serial is on disk: so is all that was done before, and not
        refused."""
        self.durable = max(self.durable, serial)
        copy = self.by_attempt.pop(serial, None)
        if copy is not None:
            copy.owed = True
            copy.attempts.clear()
            seen = copy.home.seen.get(copy.id)
            if seen is not None:
                seen.certain = True
            self.counts["enqueues acknowledged"] += 1
        for places in self.queues.values():
            for place in places:
                place.kept(serial)
                for other in place.copies.values():
                    if len(other.lives) > 1:
                        other.kept(serial)

    def refused(self, serial: int) -> None:
        """The store had no room for what was put with this serial."""
        self.full = True
        copy = self.by_attempt.pop(serial, None)
        if copy is None:
            self._move_refused(serial)
            return
        if copy.owed:
            return
        self.counts["enqueues refused for want of room on the disk"] += 1
        copy.attempts.discard(serial)
        copy.note(f"refused {serial}")
        for hold in copy.holds:
            hold.ghost = True
        if copy.attempts:
            # A repetition takes its place, as if it had come first.
            copy.plain = False
            copy.begin(min(copy.attempts), places=frozenset((copy.home,)), low=0, high=NEVER)
            if copy.home.rules.overflow != "reject" and self._is_over(copy.home):
                self._trim(copy.home, list(copy.home.copies.values()))
            return
        copy.home.seen.pop(copy.id, None)
        left = copy.life.places - {copy.home} if not copy.moved else copy.life.places
        places = left | {GONE}
        copy.lives = [replace(copy.life, serial=0, durable=True, places=places, ready_at=0.0, low=0, high=1_000_000)]

    def _move_refused(self, serial: int) -> None:
        """A message that was to be moved then is still where it was, to be moved later."""
        for copy in self._copies_anywhere():
            for index, life in enumerate(copy.lives):
                if life.serial == serial and index:
                    for place in copy.lives[index - 1].places:
                        copy.lives[index] = _in_more(copy.lives[index], place)

    # -- out

    def delivered(self, place: Place, delivery: Delivery) -> None:
        """A consumer has been given a message of a queue."""
        copy = self._find(place, delivery)
        number = delivery.number
        life = copy.life
        places = self._places(copy)
        self.counts["messages delivered"] += 1
        place.last_use = self.now
        if place not in places:
            raise Found(f"{place} delivers message {number}, which is in {_names(places)}: {copy.told}")
        for hold in copy.live_holds(self.now):
            raise Found(
                f"{place} delivers message {number} to {delivery.consumer} while {hold.consumer} has it until "
                f"{hold.deadline:.3f}, it is {self.now:.3f}: {copy.told}"
            )
        if life.ready_at > self.latest + 0.000001 and (place is copy.home or places == {place}):
            raise Found(f"{place} delivers message {number} {life.ready_at - self.now:.3f} s early: {copy.told}")
        if life.expires_high <= self.now and place is copy.home:
            raise Found(f"{place} delivers message {number}, which has expired: {copy.told}")
        returned = 0
        for hold in copy.open_holds():
            hold.ended = True
            returned += 1
        self._check_deliveries(copy, place, delivery, returned)
        if delivery.deadline > 0.0:
            self._check_consumer(copy, place, delivery)
        self._check_order(copy, place, delivery.late)
        if delivery.count > 1:
            self.counts["messages delivered again"] += 1
        hold = Hold(delivery.token, delivery.consumer, delivery.deadline)
        copy.holds = [other for other in copy.holds if not other.ended]
        copy.holds.append(hold)
        self.holds[delivery.token] = (copy, hold, place)
        copy.note(f"to {delivery.consumer} from {place} at {self.now:.3f}, the {delivery.count}.")

    def _find(self, place: Place, delivery: Delivery) -> Copy:
        copy = place.copies.get(delivery.number)
        if copy is not None:
            return copy
        for home in reversed(self.queues.get(delivery.origin, [])):
            found = home.copies.get(delivery.number)
            if found is not None and place in found.life.places:
                return found
        for home in reversed(self.queues.get(delivery.origin, [])):
            if delivery.number in home.copies:
                return home.copies[delivery.number]
        raise Found(f"{place} delivers message {delivery.number} of {delivery.origin!r}, which nobody has put there")

    def _check_deliveries(self, copy: Copy, place: Place, delivery: Delivery, returned: int) -> None:
        """How often the broker says it was delivered; and that it is where it is, is known now."""
        life = copy.life
        low, high = life.low + returned, life.high + returned + copy.unseen_in(place)
        count = delivery.count - 1
        moved = life.places != frozenset((place,)) and (place is not copy.home or copy.redriven)
        if count < 0:
            if returned:
                copy.begin(self.next(), low=low, high=high)
        elif not moved and not low <= count <= high:
            raise Found(
                f"{place} says that message {delivery.number} came back {count} times; it was {low} to {high} times: "
                f"{copy.told}"
            )
        else:
            if returned and count > life.low:
                # That it came back may not be on disk yet.
                copy.begin(self.next(), low=count, high=count)
            else:
                copy.learn(low=count, high=count)
            copy.note_unseen(place)
        most = place.rules.max_deliveries
        if most and count >= most:
            raise Found(f"{place} delivers message {delivery.number} for the {count + 1}. time, of {most} allowed")
        if moved:
            # Nobody is given a message that has moved before the move is on disk.
            copy.lives = [replace(copy.life, ready_at=0.0, ready_by=0.0)]
            copy.redriven = False
        copy.doomed = False
        copy.learn(places=frozenset((place,)))

    def _check_consumer(self, copy: Copy, place: Place, delivery: Delivery) -> None:
        rules = place.rules
        held = 0
        for other, hold in self._held_in(place):
            held += 1
            if rules.single_active and hold.consumer != delivery.consumer:
                raise Found(f"{place} delivers to {delivery.consumer} while {hold.consumer} is the active consumer")
            if copy.key and other.key == copy.key and other is not copy:
                raise Found(
                    f"{place} delivers message {copy.number} of key {copy.key} while {hold.consumer} has "
                    f"{other.number}: {other.told} {copy.told}"
                )
        if held >= rules.max_leased:
            raise Found(f"consumers of {place} have {held + 1} messages, of {rules.max_leased} allowed")

    def _check_order(self, copy: Copy, place: Place, late: bool) -> None:
        """What is certainly ready, and comes before this one, has been left out."""
        if place is not copy.home:
            return
        for other in place.copies.values():
            if other is copy or not other.plain or not self._is_waiting(other, place):
                continue
            if late and other.life.serial > self._turn:
                continue
            if copy.key and other.key == copy.key:
                if other.order < copy.order and other.priority >= copy.priority and copy.plain:
                    self._leave_out(other, f"{place} delivers {copy.number} of key {copy.key} before {other.number}")
            elif other.key or copy.key or place.last_move > self.durable:
                continue
            elif other.priority > copy.priority:
                self._leave_out(other, f"{place} delivers {copy.number} before {other.number}, of a higher priority")
            elif other.priority == copy.priority and copy.plain and other.order < copy.order:
                self._leave_out(other, f"{place} delivers {copy.number} before {other.number}")

    def _leave_out(self, other: Copy, what: str) -> None:
        self._left_out.append((other, f"{what}: {other.told}, it is {self.now:.3f}"))

    def turn_ended(self) -> None:
        """Whatever was handed out has been seen: what was left out has been left out for good."""
        left_out = self._left_out
        self._left_out = []
        self._turn = self.serial
        self.turning = False
        for copy, what in left_out:
            if not copy.holds and not copy.unseen_in(copy.home):
                raise Found(what)

    def _is_waiting(self, copy: Copy, place: Place) -> bool:
        """Whether a message is certainly there, ready, and with nobody."""
        if copy.open_holds() or copy.life.ready_by > self.now or not (copy.owed or copy.attempts):
            return False
        return self._places(copy) == {place}

    # -- the end of a delivery

    def hold_of(self, token: str) -> tuple[Copy, Hold, Place] | None:
        """Whose delivery this is, unless it has ended for certain."""
        found = self.holds.get(token)
        return None if found is None or found[1].ended else found

    def lease_unknown(self, token: str) -> None:
        """The broker says that a lease has ended."""
        found = self.hold_of(token)
        if found is None:
            return
        copy, hold, place = found
        if hold.deadline > self.now and place.exists() and not hold.ghost:
            raise Found(f"{place} has ended the lease of {copy.number} {hold.deadline - self.now:.3f} s early")
        self._returned(copy, hold, place, self.next(), True, sure=False)

    def extended(self, token: str, deadline: float) -> None:
        """A lease ends later."""
        found = self.hold_of(token)
        if found is not None:
            found[1].deadline = deadline

    def acked(self, token: str) -> int:
        """A consumer has handled a message, and the broker knew that it had it."""
        serial = self.next()
        found = self.hold_of(token)
        if found is None:
            return serial
        copy, hold, place = found
        hold.ended = True
        place.last_use = self.now
        self.counts["messages handled"] += 1
        copy.note(f"acked {serial}")
        copy.excused = True
        if not hold.ghost:
            copy.begin(serial, places=frozenset((GONE,)))
        return serial

    def given_back(self, token: str, delay: float, counted: bool = True) -> int:
        """A consumer could not handle a message; ``counted``: it was a delivery."""
        serial = self.next()
        found = self.hold_of(token)
        if found is not None:
            copy, hold, place = found
            place.last_use = self.now
            self._returned(copy, hold, place, serial, counted, delay)
        return serial

    def _returned(
        self, copy: Copy, hold: Hold, place: Place, serial: int, counted: bool, delay: float = 0.0, sure: bool = True
    ) -> None:
        hold.ended = True
        copy.note(f"returned {serial} for {delay} s, {counted}")
        if hold.ghost or not counted:
            return
        life = copy.life
        low, high = life.low + 1, life.high + 1
        most = place.rules.max_deliveries
        places = life.places
        if most and high + copy.unseen_in(place) >= most:
            places = places | {self._end_of(place)}
            if low >= most and not self.full and sure:
                places = places - {place}
                low = high = 0
            copy.excused = True
            copy.moved = copy.doomed = True
            copy.begin(serial, False, places=places, low=low, high=high)
            return
        if delay <= 0.0:
            copy.begin(serial, low=low, high=high)
            return
        copy.plain = False
        copy.moved = True
        ttl = place.rules.message_ttl
        ready = self.now + delay
        expires = min(copy.own_expiry, ready + ttl if ttl else NEVER) if place is copy.home else NEVER
        # A disk that is full keeps the delay in memory.
        copy.begin(
            serial,
            False,
            ready_at=ready,
            ready_by=ready,
            low=low,
            high=high,
            expires_low=min(expires, life.expires_low),
            expires_high=max(expires, life.expires_high),
        )

    def rejected(self, token: str) -> int:
        """A consumer says that nobody will ever handle a message."""
        serial = self.next()
        found = self.hold_of(token)
        if found is None:
            return serial
        copy, hold, place = found
        hold.ended = True
        copy.note(f"rejected {serial}")
        self.counts["messages rejected"] += 1
        if hold.ghost:
            return serial
        copy.moved = copy.doomed = True
        life_high = copy.life.high
        places = frozenset((self._end_of(place),))
        # A full disk keeps it where it is, for nobody to see, until there is room.
        if self.full:
            copy.begin(serial, False, places=places | {place}, low=0, high=life_high + 1)
        else:
            copy.begin(serial, False, places=places, low=0, high=life_high + 1)
        copy.excused = True
        return serial

    def redriven(self, place: Place, token: str, moved: bool) -> int:
        """A dead letter was taken to be moved back to its queue, or stays."""
        serial = self.next()
        found = self.hold_of(token)
        if found is None:
            return serial
        copy, hold, _ = found
        hold.ended = True
        home = copy.home
        if not moved:
            # That was no delivery.
            copy.note(f"not redriven {serial}")
            return serial
        current = self.place(home.name)
        if current is None:
            raise Found(f"message {copy.number} was redriven to {home}, which is not there")
        if current is not home:
            # Its queue was deleted and made again.
            del home.copies[copy.number]
            current.copies[copy.number] = copy
            home = copy.home = current
            copy.note_unseen(home)
        self.counts["dead letters moved back"] += 1
        home.last_move = serial
        copy.plain = False
        copy.redriven = True
        copy.own_expiry = NEVER
        ttl = home.rules.message_ttl
        expires = self.now + ttl if ttl else NEVER
        # If the disk turns out to be full it stays a dead letter.
        copy.begin(
            serial,
            False,
            places=frozenset((home, place)),
            ready_at=0.0,
            low=0,
            high=1_000_000,
            expires_low=expires,
            expires_high=NEVER,
        )
        copy.note(f"redriven {serial}")
        if home.rules.overflow != "reject" and self._is_over(home):
            self._trim(home, list(home.copies.values()))
        return serial

    def can_be_redriven(self, token: str) -> bool:
        """Whether a dead letter can be told from others in its queue, should it get back there."""
        found = self.hold_of(token)
        current = self.place(found[0].home.name) if found is not None else None
        return current is None or found is None or current is found[0].home or found[0].number not in current.copies

    def purged(self, place: Place, told: int) -> int:
        """Every message was dropped that no consumer has."""
        serial = self.next()
        least = most = 0
        for copy in self._in(place):
            places = self._places(copy)
            if copy.live_holds(self.now):
                copy.note(f"purge {serial} leaves it")
                copy.begin(serial, ready_at=0.0)
                continue
            most += 1
            copy.excused = True
            if copy.open_holds():
                copy.begin(serial, places=frozenset(places | {GONE}), ready_at=0.0)
            else:
                least += places == {place} and not (place.hasty and self.turning)
                copy.begin(serial, places=frozenset((places - {place}) | {GONE}))
            copy.note(f"purged {serial}")
        if not least <= told <= most:
            raise Found(f"a purge of {place} has dropped {told} messages, not {least} to {most}")
        place.dropped -= told
        self.counts["purges"] += 1
        return serial

    # -- crashes, and the end

    def crashed(self) -> None:
        """The broker has died."""
        self.holds.clear()
        self.by_attempt.clear()
        self._left_out.clear()
        self.full = False
        for places in self.queues.values():
            for place in places:
                for copy in list(place.copies.values()):
                    self._crash_copy(copy)
                    if copy.life.places == {GONE} and copy.owed:
                        copy.told = copy.told[-2:]
                place.dropped += place.dropped_now
                place.dropped_now = 0
                place.unseen = 0
                for id in [id for id, seen in place.seen.items() if seen.until <= self.now - 100.0]:
                    del place.seen[id]
                if place.rules.overflow in ("drop-oldest", "dead-letter") and self._is_over(place):
                    # What had made room before may be back.
                    self._trim(place, list(place.copies.values()))
        self.counts["crashes with queues"] += 1

    def _crash_copy(self, copy: Copy) -> None:
        for hold in copy.open_holds():
            where = self._place_of(copy)
            if hold.deadline <= self.now or copy.unseen_in(where):
                self._perhaps_returned(copy, where)
        self._widen(copy)
        place = self._place_of(copy)
        high = copy.life.high + copy.unseen_in(place)
        copy.learn(high=high)
        copy.crashed()
        copy.unseen = {}
        copy.note(f"crash: {_names(copy.life.places)}")

    def _perhaps_returned(self, copy: Copy, place: Place) -> None:
        life = copy.life
        places = life.places
        most = place.rules.max_deliveries
        if most and life.high + 1 >= most:
            places = places | {self._end_of(place)}
            copy.excused = True
        copy.learn(high=life.high + 1, places=places)

    def _place_of(self, copy: Copy) -> Place:
        places = copy.life.places
        for place in places:
            if place is not GONE:
                return place if len(places) == 1 else copy.home
        return copy.home

    def check_empty(self) -> None:
        """Everything that was to be had has been taken and settled: whatever is owed and was not given is lost."""
        for place in self.all_places():
            place.missing = 0
        for place in self.all_places():
            for copy in place.copies.values():
                places = self._places(copy)
                if GONE not in places and copy.owed:
                    raise Found(f"message {copy.number} of {place} is lost; it is in {_names(places)}: {copy.told}")
                if copy.owed and copy.droppable and not copy.excused and places != {GONE}:
                    place.missing += 1
            dropped = place.dropped + place.dropped_now
            if place.missing > dropped:
                raise Found(f"{place} lacks {place.missing} messages, and has counted {dropped} as dropped")

    def check_counts(self, place: Place, count: int) -> None:
        """The broker says how many messages a queue has."""
        self._check_count("a queue", place, count)

    def check_fed(self, place: Place) -> None:
        """The world is at rest, and somebody waits for messages: none may be ready."""
        held = len(self._held_in(place))
        if held >= place.rules.max_leased:
            return
        for copy in self._in(place):
            if copy.key or copy.life.ready_by + 2.0 > self.now or not self._is_waiting(copy, place):
                continue
            raise Found(f"{place} keeps message {copy.number} from a consumer that waits: {copy.told}")

    # -- what is where

    def _places(self, copy: Copy) -> set[Place]:
        """Where a message may be now, as far as that can be told."""
        self._widen(copy)
        return {place if place.exists() else GONE for place in copy.life.places}

    def _widen(self, copy: Copy) -> None:
        """What may have happened unseen."""
        life = copy.life
        home = copy.home
        places = life.places
        if home in places:
            if life.expires_low <= self.latest:
                places = places | {self._end_of(home)}
                copy.excused = True
            if copy.doomed:
                places = places | {self._end_of(home)}
            if home.trims and home.rules.overflow == "dead-letter":
                places = places | {self._end_of(home)}
            for hold in copy.open_holds():
                most = home.rules.max_deliveries
                if most and hold.deadline <= self.now and life.high + 1 + copy.unseen_in(home) >= most:
                    places = places | {self._end_of(home)}
                    copy.excused = True
            if home.rules.max_deliveries and copy.unseen_in(home):
                if life.high + copy.unseen_in(home) >= home.rules.max_deliveries:
                    places = places | {self._end_of(home)}
                    copy.excused = True
        if any(place.rules.max_messages < 1_000_000 for place in places if place is not home):
            places = places | {GONE}
            copy.droppable = True
        if places != life.places:
            copy.moved = True
            copy.learn(places=places)

    def _end_of(self, place: Place) -> Place:
        """Where the dead letters of a queue go."""
        target = self.place(place.rules.dead_letter) if place.rules.dead_letter else None
        return GONE if target is None or target is place else target

    def _freeze(self, name: str) -> None:
        """A queue of this name comes or goes: what has died before has died with what was there."""
        for copy in self._copies_anywhere():
            if copy.home.rules.dead_letter == name:
                self._widen(copy)

    def _copies_anywhere(self) -> Iterable[Copy]:
        for places in self.queues.values():
            for place in places:
                yield from place.copies.values()

    def _in(self, place: Place) -> list[Copy]:
        """Every message that may be in a queue."""
        for copy in self._copies_anywhere():
            self._widen(copy)
        return [copy for copy in self._copies_anywhere() if place in copy.life.places]

    def _held_in(self, place: Place) -> list[tuple[Copy, Hold]]:
        found: list[tuple[Copy, Hold]] = []
        for copy, hold, where in self.holds.values():
            if where is place and not hold.ended and not hold.ghost and hold.deadline > self.now:
                found.append((copy, hold))
        return found

    def _most(self, place: Place) -> tuple[int, int]:
        """(messages, bytes) that may be in a queue."""
        copies = self._in(place)
        return len(copies), sum(copy.size for copy in copies)

    def _least(self, place: Place) -> tuple[int, int]:
        """(messages, bytes) that are certainly in a queue."""
        if place.hasty and self.turning:
            return 0, 0
        copies = [copy for copy in self._in(place) if self._places(copy) == {place}]
        return len(copies), sum(copy.size for copy in copies)

    def _check_count(self, what: str, place: Place, told: int) -> None:
        least, most = self._least(place)[0], self._most(place)[0]
        if not least <= told <= most:
            raise Found(f"{what}, {place}, says that it has {told} messages; it has {least} to {most}")


def _in_more(life: Life, place: Place) -> Life:
    return Life(
        life.serial,
        life.durable,
        life.places | {place},
        life.ready_at,
        life.expires_low,
        life.expires_high,
        life.low,
        life.high,
        life.ready_by,
    )


def _names(places: Iterable[Place]) -> str:
    return " or ".join(sorted(repr(place) for place in places)) or "nowhere"
