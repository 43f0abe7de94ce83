"""What the broker owes, worked out from what clients know: what they sent, and which answers they have got.

The oracle knows nothing of the broker's code. Time is logical (``moment`` of the world); what a client cannot know for
certain lies between two moments. A subscription is *sure* from its SUBACK on until anything is sent that could end it,
and *possible* from its SUBSCRIBE until the answer that ended it. A message is owed to whoever was sure to be subscribed
from the moment that it was sent until its acknowledgement came; it may reach whoever was possibly subscribed.
"""

from collections import Counter
from collections.abc import Callable

from .config import TOPICS, WILL_TOPICS, Config
from .found import Found

NEVER = float("inf")
ALL_TOPICS = TOPICS + WILL_TOPICS


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 4.7, for topics that do not begin with a dollar sign."""
    levels = topic.split("/")
    parts = topic_filter.split("/")
    for index, part in enumerate(parts):
        if part == "#":
            return True
        if index >= len(levels) or part not in ("+", levels[index]):
            return False
    return len(parts) == len(levels)


class Sub:
    """A subscription of a client, or the wish for one."""

    __slots__ = (
        "account",
        "filter",
        "group",
        "qos",
        "no_local",
        "as_published",
        "handling",
        "asked",
        "granted",
        "until",
        "sure",
        "is_new",
        "topics",
    )

    def __init__(
        self, account: "Account", filter: str, qos: int, no_local: bool, as_published: bool, handling: int, asked: int
    ) -> None:
        self.account = account
        self.filter = filter
        parts = filter.split("/", 2)
        self.group = filter if parts[0] == "$share" else ""
        inner = parts[2] if self.group else filter
        self.qos = qos
        self.no_local = no_local
        self.as_published = as_published
        self.handling = handling
        self.asked = asked
        self.granted: float = NEVER
        self.until: float = NEVER
        self.sure = False
        self.is_new = False
        self.topics = [topic for topic in ALL_TOPICS if matches(inner, topic)]


class Sent:
    """A message that was sent. ``over``: the moment after which it can have no effect any more; ``expires``: the
    earliest time at which it may have expired."""

    __slots__ = (
        "number",
        "topic",
        "publisher",
        "qos",
        "retain",
        "size",
        "moment",
        "over",
        "dead",
        "acked",
        "expires",
        "life",
        "sends",
        "witnesses",
        "tainted",
        "banned",
        "is_will",
        "published",
        "armed",
        "due",
    )

    def __init__(
        self, number: int, topic: str, publisher: "Account", qos: int, retain: bool, size: int, moment: int
    ) -> None:
        self.number = number
        self.topic = topic
        self.publisher = publisher
        self.qos = qos
        self.retain = retain
        self.size = size
        self.moment = moment
        self.over: float = NEVER
        self.dead: float = NEVER
        self.acked: float = NEVER
        self.expires = 0.0
        self.life = 0.0
        self.sends = 1
        self.witnesses: list[Sub] = []
        self.tainted = False
        self.banned = ""
        self.is_will = False
        self.published = False
        self.armed = False
        self.due = 0.0

    def __str__(self) -> str:
        return f"message {self.number} ({self.topic}, QoS {self.qos}, from {self.publisher.client_id})"


class Group:
    """A shared subscription: what is owed to its members together."""

    __slots__ = ("members", "owed", "got", "twice", "volatile")

    def __init__(self) -> None:
        self.members: list[Sub] = []
        self.owed: dict[int, tuple[Sent, list[Sub]]] = {}
        self.got: set[int] = set()
        self.twice: Counter[int] = Counter()
        self.volatile: set[int] = set()


class Account:
    """What is known of one client's session: subscriptions, what it is owed, what it has had."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.lasting = False
        self.connected = False
        self.subs: dict[str, Sub] = {}
        self.possible: dict[str, list[Sub]] = {}
        self.owed: dict[int, Sent] = {}
        self.copies: Counter[int] = Counter()
        self.fresh: Counter[int] = Counter()
        self.exact: Counter[int] = Counter()
        self.plain: Counter[int] = Counter()
        self.done: set[int] = set()
        self.last: dict[tuple[str, str, int, int], int] = {}
        self.retained_owed: dict[tuple[Sub, str], set[int]] = {}
        self.flagged: Counter[int] = Counter()


class Oracle:
    """Keeps the accounts. Its methods are called by clients, with what they know at that moment."""

    def __init__(self, config: Config, clock: Callable[[], int]) -> None:
        self.config = config
        self.clock = clock
        self.sent: dict[int, Sent] = {}
        self.accounts: list[Account] = []
        self.live: dict[str, list[Sub]] = {topic: [] for topic in ALL_TOPICS}
        self.groups: dict[str, Group] = {}
        self.retained: dict[str, list[Sent]] = {topic: [] for topic in ALL_TOPICS}
        self.counts: Counter[str] = Counter()
        self.lossy = False
        self.last_number = 0

    def account(self, client_id: str) -> Account:
        """A client's account."""
        made = Account(client_id)
        self.accounts.append(made)
        return made

    # -- messages on their way in

    def publishing(self, publisher: Account, topic: str, qos: int, retain: bool, size: int) -> Sent:
        """A message is being sent."""
        self.last_number += 1
        sent = Sent(self.last_number, topic, publisher, qos, retain, size, self.clock())
        self.sent[sent.number] = sent
        if not self.config.may(publisher.client_id, "publish", topic):
            sent.banned = "its publisher may not publish there"
        elif self.config.publish_refused(topic):
            sent.banned = "the publish hook refuses it"
        elif qos and size:
            sent.witnesses = self.witnesses(sent)
        if retain and not sent.banned:
            self.retained[topic].append(sent)
        return sent

    def acknowledged(self, sent: Sent) -> None:
        """The publisher has got a PUBACK or PUBREC that says success: from now on it is owed."""
        if sent.banned:
            raise Found(f"{sent} was acknowledged although {sent.banned}")
        if sent.acked is not NEVER:
            return
        self.counts["messages acknowledged"] += 1
        sent.acked = sent.over = self.clock()
        for sub in sent.witnesses:
            if not sub.sure:
                continue
            if sub.group:
                self._owe_group(sent, sub)
            elif sub.qos:
                self._owe(sent, sub.account)
        sent.witnesses = []

    def _owe(self, sent: Sent, account: Account) -> None:
        if sent.number not in account.copies and self.config.may(account.client_id, "receive", sent.topic):
            account.owed[sent.number] = sent

    def _owe_group(self, sent: Sent, sub: Sub) -> None:
        group = self.groups[sub.group]
        if sent.number in group.got or not sub.account.lasting:
            return
        owed = group.owed.get(sent.number)
        if owed is None:
            group.owed[sent.number] = (sent, [sub])
        else:
            owed[1].append(sub)

    def refused(self, sent: Sent) -> None:
        """The publisher has got a refusal: the message can have no effect any more, but may have been retained."""
        self.counts["refused publishes"] += 1
        sent.over = self.clock()
        if sent.sends == 1:
            sent.dead = sent.over  # otherwise it may have been taken before
        sent.witnesses = []

    def forgotten(self, sent: Sent) -> None:
        """The publisher will not send it again, and knows nothing of it."""
        if sent.over is NEVER:
            sent.over = self.clock()
            sent.witnesses = []

    def owe_will(self, sent: Sent) -> None:
        """A will has been published, and that is on disk."""
        if sent.banned or sent.acked is not NEVER:
            return
        self.counts["wills owed"] += 1
        sent.acked = self.clock()
        for sub in sent.witnesses:
            if sub.sure and sub.qos and sub.account.lasting and not sub.group:
                self._owe(sent, sub.account)
        sent.witnesses = []

    def witnesses(self, sent: Sent) -> list[Sub]:
        """Who is surely subscribed to a message's topic now."""
        return [
            sub for sub in self.live[sent.topic] if sub.sure and not (sub.no_local and sub.account is sent.publisher)
        ]

    def forbid(self, sent: Sent, why: str) -> None:
        """From now on it would be a lie if the message were published."""
        if not sent.published:
            sent.banned = why

    # -- subscriptions

    def subscribing(
        self, account: Account, filter: str, qos: int, no_local: bool, as_published: bool, handling: int
    ) -> Sub:
        """A SUBSCRIBE is being sent."""
        before = account.subs.get(filter)
        sub = Sub(account, filter, qos, no_local, as_published, handling, self.clock())
        sub.is_new = before is None
        if before is not None:
            self._unsure(before)
        account.subs[filter] = sub
        for topic in sub.topics:
            account.possible.setdefault(topic, []).append(sub)
        if sub.group:
            self.groups.setdefault(sub.group, Group()).members.append(sub)
        return sub

    def granted(self, sub: Sub, reason: int) -> None:
        """The SUBACK has come."""
        account = sub.account
        now = self.clock()
        may = self.config.may(account.client_id, "subscribe", sub.filter)
        if (reason < 0x80) != may:
            raise Found(f"{account.client_id} got {reason:#x} for its subscription to {sub.filter}")
        if reason >= 0x80:
            self._unsure(sub)
            sub.until = now
            if account.subs.get(sub.filter) is sub:
                del account.subs[sub.filter]
            return
        if reason != sub.qos:
            raise Found(f"{account.client_id} asked for QoS {sub.qos} of {sub.filter}, and got {reason}")
        sub.granted = now
        for topic in sub.topics:
            for other in account.possible[topic]:
                if other.asked < sub.asked and other.filter == sub.filter and other.until is NEVER:
                    other.until = now
        if account.subs.get(sub.filter) is sub:
            sub.sure = True
            for topic in sub.topics:
                self.live[topic].append(sub)
            if not sub.group and (sub.handling == 0 or sub.handling == 1 and sub.is_new):
                self._owe_retained(sub)

    def unsubscribing(self, account: Account, filter: str) -> Sub | None:
        """An UNSUBSCRIBE is being sent."""
        sub = account.subs.pop(filter, None)
        if sub is not None:
            self._unsure(sub)
        return sub

    def unsubscribed(self, sub: Sub) -> None:
        """The UNSUBACK has come."""
        now = self.clock()
        for topic in sub.topics:
            for other in sub.account.possible.get(topic, ()):
                if other.filter == sub.filter and other.asked <= sub.asked and other.until is NEVER:
                    other.until = now

    def _unsure(self, sub: Sub) -> None:
        if not sub.sure:
            return
        sub.sure = False
        for topic in sub.topics:
            self.live[topic].remove(sub)
        if sub.group:
            # Which of them has what is not known: a message may have gone with this one.
            group = self.groups[sub.group]
            group.owed = {
                number: (sent, subs) for number, (sent, subs) in group.owed.items() if any(other.sure for other in subs)
            }

    # -- sessions

    def unsure(self, account: Account) -> None:
        """The session may end, or have ended: nothing is owed to it any more, though it may still get things."""
        for sub in account.subs.values():
            self._unsure(sub)
        for group in self.groups.values():
            # What a member was sent of QoS 2 goes to nobody else when its session ends.
            if group.owed and any(sub.account is account for sub in group.members):
                group.owed = {number: owed for number, owed in group.owed.items() if owed[0].qos < 2}
        account.subs.clear()
        account.owed.clear()
        account.retained_owed.clear()

    def new_session(self, account: Account) -> None:
        """The session is a new one: nothing of the old one may come any more."""
        self.unsure(account)
        now = self.clock()
        for subs in account.possible.values():
            for sub in subs:
                sub.until = min(sub.until, now)
        account.possible.clear()
        account.copies.clear()
        account.fresh.clear()
        account.exact.clear()
        account.plain.clear()
        account.done.clear()
        account.last.clear()
        account.flagged.clear()

    def died(self) -> None:
        """The broker has died: what a session had that did not outlive it may go to others of its groups."""
        for group in self.groups.values():
            for number in group.volatile:
                del group.twice[number]
            group.volatile.clear()

    # -- messages on their way out

    def delivered(
        self, account: Account, number: int, topic: str, qos: int, retain: bool, dup: bool, size: int
    ) -> Sent:
        """An application gets a message."""
        sent = self.sent.get(number)
        if sent is None or sent.topic != topic or sent.size != size:
            raise Found(f"{account.client_id} got something that nobody has sent: {number}, {topic}, {size} bytes")
        if sent.banned:
            raise Found(f"{account.client_id} got {sent} although {sent.banned}")
        sent.published = True
        self.counts["deliveries checked"] += 1
        subs = self._entitling(account, sent)
        self._check_quality(account, sent, subs, qos)
        copies = account.copies[number] = account.copies[number] + 1
        if not dup:
            account.fresh[number] += 1
        account.owed.pop(number, None)
        is_shared = False
        groups = 0
        if topic[0] == "s":
            groups = self._of_groups(account, subs, sent, qos)
            is_shared = groups > 0
        retained = sent.retain and retain
        if retained:
            self._retained_delivery(account, sent, subs)
        elif not is_shared and not sent.retain:
            self._check_copies(account, sent, subs, qos, copies, dup)
            if sent.sends == 1 or self._was_taken_for(account, sent, subs):
                self._check_order(account, sent, qos, copies)
        if retain and not sent.retain:
            raise Found(f"{account.client_id} got {sent} as a retained message, and it is none")
        return sent

    def _entitling(self, account: Account, sent: Sent) -> list[Sub]:
        found = []
        for sub in account.possible.get(sent.topic, ()):
            if sub.no_local and sent.publisher is account and not sent.is_will:
                continue
            if sub.until < sent.moment:
                continue
            if sub.group:
                if not self._had_members(sub.group, sent):
                    continue
            elif sub.asked > sent.over and not sent.retain:
                continue
            found.append(sub)
        if not found:
            raise Found(f"{account.client_id} got {sent}, and was not subscribed to it")
        if not self.config.may(account.client_id, "receive", sent.topic):
            raise Found(f"{account.client_id} got {sent}, which it may not receive")
        if self.config.withheld(account.client_id, sent.topic):
            raise Found(f"{account.client_id} got {sent}, which a hook withholds from it")
        return found

    def _had_members(self, name: str, sent: Sent) -> bool:
        """Whether a group may have been there when a message was sent: its backlog goes to later members, too."""
        return any(sub.asked <= sent.over and sub.until >= sent.moment for sub in self.groups[name].members)

    def _check_quality(self, account: Account, sent: Sent, subs: list[Sub], qos: int) -> None:
        best = max(sub.qos for sub in subs)
        if qos > min(best, sent.qos):
            raise Found(f"{account.client_id} got {sent} at QoS {qos}, subscribed with {best}")

    def _of_groups(self, account: Account, subs: list[Sub], sent: Sent, qos: int) -> int:
        groups = 0
        own = any(not sub.group for sub in subs)
        for name in {sub.group for sub in subs if sub.group}:
            group = self.groups[name]
            groups += 1
            group.owed.pop(sent.number, None)
            group.got.add(sent.number)
            if qos == 2 and not own and len({sub.group for sub in subs}) == 1 and not sent.tainted:
                group.twice[sent.number] += 1
                if not account.lasting:
                    group.volatile.add(sent.number)
                if group.twice[sent.number] > 1 and not self._other_ways(name, sent):
                    raise Found(f"members of {name} got {sent} twice")
        return groups

    def _other_ways(self, name: str, sent: Sent) -> bool:
        """Whether others could have counted for this group what was another's."""
        return any(sub.group != name for account in self.accounts for sub in account.possible.get(sent.topic, ()))

    def _check_copies(self, account: Account, sent: Sent, subs: list[Sub], qos: int, copies: int, dup: bool) -> None:
        number = sent.number
        if sent.is_will and qos < 2 and self.config.crashes:
            return  # published before a crash, and again afterwards if that was not on disk
        if qos == 2:
            account.exact[number] += 1
            if account.exact[number] > 1 and not (sent.tainted and not account.lasting):
                raise Found(f"{account.client_id} got {sent} {copies} times, exactly once was promised")
        if qos == 0:
            account.plain[number] += 1
            repeats = self.config.limits.queue_qos0 and self.config.crashes
            if account.plain[number] > sent.sends and not repeats:
                raise Found(f"{account.client_id} got {sent} {copies} times, it was sent {sent.sends} times")
        if qos == 1:
            if account.fresh[number] > sent.sends:
                raise Found(f"{account.client_id} got {sent} again without DUP")
            if number in account.done and sent.sends == 1:
                raise Found(f"{account.client_id} got {sent} again after it had acknowledged it for good")

    def _was_taken_for(self, account: Account, sent: Sent, subs: list[Sub]) -> bool:
        """Whether a message that was sent again was surely for this client when it was taken the first time."""
        if f"client:{account.client_id}" in self.config.policies or self.config.may_reject():
            return False
        return any(sub.qos and sub.sure and sub.granted <= sent.moment for sub in subs)

    def _check_order(self, account: Account, sent: Sent, qos: int, copies: int) -> None:
        if copies > 1 or sent.tainted or sent.is_will:
            return
        key = (sent.topic, sent.publisher.client_id, sent.qos, qos)
        if account.last.get(key, 0) > sent.number:
            raise Found(f"{account.client_id} got {sent} after message {account.last[key]} of the same publisher")
        account.last[key] = sent.number

    def settled(self, account: Account, number: int) -> None:
        """The broker has on disk that the client is done with a message."""
        account.done.add(number)

    # -- retained messages

    def _candidates(self, topic: str, first: float, last: float) -> tuple[set[int], bool]:
        """What may be retained for a topic at some moment between two: numbers, and whether there may be nothing."""
        history = self.retained[topic]
        newest = -1
        for sent in history:
            if sent.acked <= first and sent.moment > newest:
                newest = sent.moment
        found: set[int] = set()
        nothing = newest < 0
        for sent in history:
            if sent.moment <= last and sent.over >= newest and sent.dead >= first:
                found.add(sent.number)
                nothing = nothing or not sent.size or sent.expires > 0 or sent.is_will
        return found, nothing

    def _owe_retained(self, sub: Sub) -> None:
        account = sub.account
        for topic in sub.topics:
            found, nothing = self._candidates(topic, sub.asked, sub.granted)
            if nothing or not found or not sub.qos or not self.config.may(account.client_id, "receive", topic):
                continue
            if self.lossy:
                continue  # what was queued for it may have been refused along with a publish
            if sub.no_local and any(self.sent[number].publisher is account for number in found):
                continue
            if all(self.sent[number].qos for number in found):
                account.retained_owed[(sub, topic)] = found

    def _retained_delivery(self, account: Account, sent: Sent, subs: list[Sub]) -> None:
        allowed = False
        for sub in subs:
            if sub.as_published and sub.asked <= sent.over and not sub.group:
                allowed = True
            elif not sub.group or sub.as_published:
                last = min(sub.granted, self.clock())
                allowed = allowed or sent.number in self._candidates(sent.topic, sub.asked, last)[0]
        if not allowed:
            raise Found(f"{account.client_id} got {sent} as retained, and another one was")
        for key in [key for key, found in account.retained_owed.items() if sent.number in found]:
            del account.retained_owed[key]
        self.counts["retained deliveries checked"] += 1
