"""What the clients of a recording may rely on at any point of it, kept by what they marked in its log.

A mark with a question mark was set before something was sent; one with an exclamation mark after its answer had come.
Between the two either outcome is right.
"""

from dataclasses import dataclass, field
from typing import Any

GROUP = "$share/"


def payload(key: str, size: int) -> bytes:
    """The whole payload of a message, of about so many bytes."""
    head = f"{key} {size} ".encode()
    return head + (key.encode() * (size // len(key) + 1))[: max(0, size - len(head))]


def key_of(found: bytes) -> str:
    """Which message a payload is. Raises ValueError if it is not what was published, byte for byte."""
    key, size, _ = found.split(b" ", 2)
    if payload(key.decode(), int(size)) != found:
        raise ValueError(f"the payload of {key!r} has changed")
    return key.decode()


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter matches; those used here end with ``#``, or are topics themselves."""
    name = topic_filter.split("/", 2)[2] if topic_filter.startswith(GROUP) else topic_filter
    return topic.startswith(name[:-1]) if name.endswith("#") else topic == name


@dataclass
class Published:
    """A publish that is not finished for its publisher."""

    key: str
    qos: int
    topic: str
    retain: bool
    size: int
    answered: bool = False


@dataclass
class Client:
    """What a client knows, and may rely on. ``session`` and the filters' values: True, False, or None (either)."""

    version: int
    session: bool | None = False
    filters: dict[str, bool | None] = field(default_factory=dict)
    unfinished: dict[int, Published] = field(default_factory=dict)
    finished_ids: dict[int, None] = field(default_factory=dict)
    held: dict[int, str] = field(default_factory=dict)
    on_its_way: dict[int, tuple[str, int]] = field(default_factory=dict)
    got: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)


@dataclass
class Message:
    """A message that was published, and who has to get it, and who may."""

    qos: int
    must: set[str]
    may: set[str]
    accepted: bool = False


@dataclass
class Entry:
    """A message of a named queue. ``there``: True, False, or None (either)."""

    there: bool | None = None
    returned: int = 0


class Books:
    """All of that. ``retained`` has by topic the messages that may be there: key, and size, which is 0 for none."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.messages: dict[str, Message] = {}
        self.retained: dict[str, list[tuple[str, int]]] = {}
        self.queues: dict[str, bool | None] = {}
        self.entries: dict[str, dict[str, Entry]] = {}
        self.users: dict[str, bool | None] = {}

    def note(self, mark: list[Any]) -> None:
        """Take the next mark."""
        kind, *said = mark
        getattr(self, f"_{kind[:-1]}_{'asked' if kind[-1] == '?' else 'done'}")(*said)

    # -- sessions and subscriptions

    def _begin_asked(self, name: str, version: int) -> None:
        client = self.clients.setdefault(name, Client(version))
        if client.session is False:
            client.session = None

    def _begin_done(self, name: str) -> None:
        self.clients[name].session = True

    def _end_asked(self, name: str) -> None:
        client = self.clients[name]
        client.session = None
        client.filters = dict.fromkeys(client.filters)
        self._forget_duties(name)

    def _forget_duties(self, name: str) -> None:
        for message in self.messages.values():
            if name in message.must:
                message.must.remove(name)
                message.may.add(name)

    def _end_done(self, name: str) -> None:
        del self.clients[name]

    def _sub_asked(self, name: str, filter: str) -> None:
        self.clients[name].filters[filter] = None

    def _sub_done(self, name: str, filter: str) -> None:
        self.clients[name].filters[filter] = True

    def _unsub_asked(self, name: str, filter: str) -> None:
        self.clients[name].filters[filter] = None

    def _unsub_done(self, name: str, filter: str) -> None:
        self.clients[name].filters[filter] = False

    # -- publishing

    def _pub_asked(self, name: str, id: int, key: str, qos: int, topic: str, retain: bool, size: int) -> None:
        client = self.clients[name]
        client.unfinished[id] = Published(key, qos, topic, retain, size)
        client.finished_ids.pop(id, None)
        message = self.messages[key] = Message(qos, set(), set())
        for other, its in self.clients.items():
            for filter, certain in its.filters.items():
                if certain is not False and matches(filter, topic):
                    receiver = filter if filter.startswith(GROUP) else other
                    (message.must if certain and its.session else message.may).add(receiver)
        message.may -= message.must
        if retain:
            self.retained.setdefault(topic, [("", 0)]).append((key, size))

    def _pub_done(self, name: str, id: int) -> None:
        """A PUBACK, or a PUBREC."""
        client = self.clients[name]
        sent = client.unfinished[id]
        sent.answered = True
        self.messages[sent.key].accepted = True
        if sent.retain:
            values = self.retained[sent.topic]
            # Those before it were overwritten: one publisher, in order.
            del values[: values.index((sent.key, sent.size))]
        if sent.qos == 1:
            self._comp_done(name, id)

    def _comp_done(self, name: str, id: int) -> None:
        client = self.clients[name]
        del client.unfinished[id]
        client.finished_ids[id] = None

    # -- receiving

    def _got_done(self, name: str, id: int, key: str, qos: int) -> None:
        client = self.clients[name]
        client.on_its_way[id] = key, qos
        client.got.add(key)
        if qos == 2:
            client.held[id] = key

    def _ack_asked(self, name: str, id: int) -> None:
        """A PUBACK or PUBREC is about to be sent."""
        client = self.clients[name]
        client.settled.add(client.on_its_way.pop(id)[0])

    def _rel_done(self, name: str, id: int) -> None:
        """A PUBREL has come: the identifier is forgotten."""
        self.clients[name].held.pop(id, None)

    # -- named queues, users

    def _queue_asked(self, queue: str) -> None:
        self.queues[queue] = None

    def _queue_done(self, queue: str) -> None:
        self.queues[queue] = True

    def _gone_asked(self, queue: str) -> None:
        self.queues[queue] = None
        for entry in self.entries[queue].values():
            entry.there = None

    def _gone_done(self, queue: str) -> None:
        self.queues[queue] = False
        del self.entries[queue]

    def _put_asked(self, queue: str, ids: list[str]) -> None:
        self.entries.setdefault(queue, {}).update({id: Entry() for id in ids})

    def _put_done(self, queue: str, ids: list[str]) -> None:
        for id in ids:
            self.entries[queue][id].there = True

    def _take_asked(self, queue: str, ids: list[str]) -> None:
        """Messages are about to be acknowledged."""
        for id in ids:
            self.entries[queue][id].there = None

    def _take_done(self, queue: str, ids: list[str]) -> None:
        for id in ids:
            self.entries[queue][id].there = False

    def _back_done(self, queue: str, ids: list[str]) -> None:
        """Messages were given back, which is counted."""
        for id in ids:
            self.entries[queue][id].returned += 1

    def _user_asked(self, user: str) -> None:
        self.users[user] = None

    def _user_done(self, user: str) -> None:
        self.users[user] = True
