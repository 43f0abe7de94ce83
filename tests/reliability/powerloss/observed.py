"""What a broker has after a power cut, and what is wrong with it by its clients' books."""

from collections import Counter
from dataclasses import dataclass, field

from tests.reliability.powerloss.books import GROUP, Books, Client, key_of, matches

PROBE = "probe"


@dataclass
class Observed:
    """What clients saw that came back after the cut, with all that they remembered.

    ``got``: by client, in order, the payloads and QoS that its application was given. ``retained``: by topic.
    ``queues``: by name, the id and the number of deliveries of each message; None if there is no such queue.
    ``probes``: by topic, who got a message that was published after the cut.
    """

    faults: list[str] = field(default_factory=list)
    present: dict[str, bool] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    got: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    queues: dict[str, list[tuple[str, int]] | None] = field(default_factory=dict)
    probes: dict[str, Counter[str]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)

    def missed(self, books: Books) -> list[str]:
        """What the messages that were published after the cut tell of subscriptions."""
        faults = []
        shared = {filter for client in books.clients.values() for filter in client.filters if filter.startswith(GROUP)}
        for topic, got in self.probes.items():
            for name, client in books.clients.items():
                faults += _probed(name, client, topic, got)
            for filter in shared:
                # Those whose subscription is not certain may be members as well, and take it.
                members = {
                    name: client.filters[filter] for name, client in books.clients.items() if filter in client.filters
                }
                if matches(filter, topic) and True in members.values() and not any(got[name] for name in members):
                    faults.append(f"nobody of {filter} gets {topic}")
        return faults


def probe_topics(books: Books) -> list[str]:
    """A topic for every filter that anybody has, or had."""
    topics = set()
    for client in books.clients.values():
        for filter in client.filters:
            name = filter.split("/", 2)[2] if filter.startswith(GROUP) else filter
            topics.add(name[:-1] + PROBE if name.endswith("#") else name)
    return sorted(topics)


def judge(books: Books, seen: Observed, with_retained: bool = True) -> list[str]:
    """What was promised and is not so; empty if all is well."""
    faults = list(seen.faults)
    faults += _sessions(books, seen)
    faults += _messages(books, seen)
    faults += _retained(books, seen) if with_retained else []
    faults += _queues(books, seen)
    faults += [f"the user {name} is lost" for name, known in books.users.items() if known and name not in seen.users]
    return faults


def receivers(books: Books) -> dict[str, list[str]]:
    """Who gets messages, a client or a group that shares a subscription: the names of its clients."""
    found: dict[str, list[str]] = {}
    for name, client in books.clients.items():
        groups = [filter for filter in client.filters if filter.startswith(GROUP)]
        found.setdefault(groups[0] if groups else name, []).append(name)
    return found


def owed(books: Books, receiver: str, names: list[str]) -> set[str]:
    """The messages that have to come after the cut."""
    clients = [books.clients[name] for name in names]
    before = set().union(*(client.got for client in clients))
    settled = set().union(*(client.settled for client in clients))
    # Publishers come back as well, and finish what they have begun.
    again = {sent.key for client in books.clients.values() for sent in client.unfinished.values()}
    return {
        key
        for key, message in books.messages.items()
        if receiver in message.must
        and (message.accepted or key in again)
        and key not in settled
        and not (message.qos == 2 and key in before)
    }


def _sessions(books: Books, seen: Observed) -> list[str]:
    faults = [f"refused: {what}" for what in seen.refused]
    for name, client in books.clients.items():
        if client.session and not seen.present.get(name, False):
            faults.append(f"the session of {name} is lost")
        if client.session is False and seen.present.get(name, False):
            faults.append(f"the session of {name} is back")
    return faults + seen.missed(books)


def _probed(name: str, client: Client, topic: str, receivers: "Counter[str]") -> list[str]:
    own = [filter for filter in client.filters if not filter.startswith(GROUP) and matches(filter, topic)]
    certain = [client.filters[filter] for filter in own]
    if client.session and True in certain and not receivers[name]:
        return [f"the subscription of {name} to {topic} is lost"]
    shared = any(filter.startswith(GROUP) and matches(filter, topic) for filter in client.filters)
    if own and not shared and not any(value is not False for value in certain) and receivers[name]:
        return [f"the subscription of {name} to {topic}, which was ended, is back"]
    return []


def _messages(books: Books, seen: Observed) -> list[str]:
    faults = []
    for receiver, names in receivers(books).items():
        keys: list[str] = []
        for name in names:
            for content, _ in seen.got.get(name, ()):
                try:
                    keys.append(key_of(content))
                except ValueError as error:
                    faults.append(f"{name}: {error}")
        faults += _received(books, receiver, names, keys)
        if receiver in books.clients:
            faults += _order(books, receiver, keys)
    return faults


def _received(books: Books, receiver: str, names: list[str], keys: list[str]) -> list[str]:
    counts = Counter(keys)
    before = set().union(*(books.clients[name].got for name in names))
    lost = sorted(owed(books, receiver, names) - counts.keys())
    faults = [f"{receiver} has lost {key} (QoS {books.messages[key].qos})" for key in lost]
    for key, there in counts.items():
        message = books.messages.get(key)
        if message is None:
            faults.append(f"{receiver} got {key}, which nobody has published")
        elif receiver not in message.must and receiver not in message.may:
            faults.append(f"{receiver} got {key}, which is not for it")
        elif message.qos == 2 and there + (key in before) > 1:
            faults.append(f"{receiver} got {key} (QoS 2) {there} times, {'once' if key in before else 'never'} before")
    return faults


def _order(books: Books, receiver: str, keys: list[str]) -> list[str]:
    """The first time that each message came, before the cut or after it, has to be in its publisher's order."""
    faults = []
    highest: dict[tuple[str, int], int] = {}
    before = books.clients[receiver].got
    for key in before:
        order, number = _place(books, key)
        highest[order] = max(highest.get(order, -1), number)
    for key in dict.fromkeys(keys):
        if key in before or key not in books.messages:
            continue
        order, number = _place(books, key)
        if highest.get(order, -1) > number:
            faults.append(f"{receiver} got {key} after number {highest[order]}")
        highest[order] = max(highest.get(order, -1), number)
    return faults


def _place(books: Books, key: str) -> tuple[tuple[str, int], int]:
    """What a message has its order in, publisher and QoS, and its number there."""
    publisher, _, number = key.rpartition("-")
    return (publisher, books.messages[key].qos), int(number)


def _retained(books: Books, seen: Observed) -> list[str]:
    faults = []
    for topic, values in books.retained.items():
        found = seen.retained.get(topic)
        try:
            key = None if found is None else key_of(found)
        except ValueError as error:
            faults.append(f"retained {topic}: {error}")
            continue
        allowed = [allowed if size else None for allowed, size in values]
        if key not in allowed:
            faults.append(f"retained {topic} is {key}, and may be {allowed}")
    faults += [f"retained {topic} was never published" for topic in seen.retained if topic not in books.retained]
    return faults


def _queues(books: Books, seen: Observed) -> list[str]:
    faults = []
    for queue, certain in books.queues.items():
        found = seen.queues.get(queue)
        if certain is not None and (found is not None) != certain:
            faults.append(f"the queue {queue} is {'lost' if certain else 'back'}")
        if certain is False or found is None:
            continue
        deliveries = dict(found)
        if len(deliveries) != len(found):
            faults.append(f"{queue} has a message twice: {[id for id, n in Counter(found).items() if n > 1]}")
        entries = books.entries.get(queue, {})
        for id, entry in entries.items():
            if entry.there is not None and (id in deliveries) != entry.there:
                faults.append(f"{queue}: {id} is {'lost' if entry.there else 'back'}")
            if id in deliveries and deliveries[id] < entry.returned + 1:
                faults.append(f"{queue}: {id} was returned {entry.returned} times, and says {deliveries[id] - 1}")
        faults += [f"{queue}: {id} was never put in" for id in deliveries if id not in entries]
    return faults
