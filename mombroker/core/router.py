"""From a topic to the bindings that match it: a memo of exact topics in front of a trie of filters.

Filters without wildcards live in a dictionary, so a million of them cost no trie nodes. A route holds one binding per
queue; the memo is bounded, and forgets as little as it can when a subscription changes.
"""

from typing import Final

from mypy_extensions import i64

from mombroker.core.bindings import Binding, merge
from mombroker.model.errors import MombrokerError
from mombroker.model.queues import Overflow
from mombroker.mqtt.topics import check_name, is_wildcard

MEMO_SIZE: Final = 65536
MEMO_BYTES: Final = 16 * 1024 * 1024
"""Of topic names, which may be 65,535 bytes each."""

PRIVATE: Final = ("$queue", "$service", "$mom")
RESERVED: Final = ("$SYS", "$share", *PRIVATE)
"""First levels of the topics that belong to the broker."""


class Route:
    """Where messages of one topic go. ``targets`` has one binding per queue; ``durable`` counts those that store.

    ``checked_until`` belongs to the check of receive rights. ``reserved`` topics are the broker's own: a client's
    publish to one is a request to it, or refused. ``private`` ones are those whose receivers were decided on when they
    subscribed.
    """

    __slots__ = (
        "topic",
        "raw",
        "targets",
        "bindings",
        "durable",
        "has_no_local",
        "may_reject",
        "checked_until",
        "reserved",
        "private",
    )

    def __init__(self, topic: str, raw: bytes, bindings: list[Binding]) -> None:
        self.topic: str = topic
        self.raw: bytes = raw
        self.bindings: list[Binding] = bindings
        self.targets: list[Binding] = one_per_queue(bindings)
        self.durable: int = 0
        self.has_no_local: bool = False
        self.may_reject: bool = False
        self.checked_until: float = 0.0
        space = topic.split("/", 1)[0] if topic[0] == "$" else ""
        self.reserved: bool = space in RESERVED
        self.private: bool = space in PRIVATE
        for binding in bindings:
            if binding.no_local:
                self.has_no_local = True
        for target in self.targets:
            queue = target.queue
            if queue.durable and target.qos > 0:
                self.durable += 1
            if queue.policy.overflow is not Overflow.DROP_OLDEST:
                self.may_reject = True


def one_per_queue(bindings: list[Binding]) -> list[Binding]:
    """The bindings with those of the same queue merged, in order of first appearance."""
    if len(bindings) < 2:
        return bindings
    by_queue: dict[int, list[Binding]] = {}
    for binding in bindings:
        found = by_queue.get(binding.queue.id)
        if found is None:
            by_queue[binding.queue.id] = [binding]
        else:
            found.append(binding)
    if len(by_queue) == len(bindings):
        return bindings
    return [group[0] if len(group) == 1 else merge(group) for group in by_queue.values()]


class Node:
    """One level of a wildcard filter. ``here`` ends at this level, ``below`` ends in ``#`` after it."""

    __slots__ = ("children", "plus", "here", "below")

    def __init__(self) -> None:
        self.children: dict[str, Node] | None = None
        self.plus: Node | None = None
        self.here: list[Binding] | None = None
        self.below: list[Binding] | None = None

    def is_empty(self) -> bool:
        """Whether no filter passes through here any more."""
        return not self.children and self.plus is None and not self.here and not self.below


class Router:
    """All bindings of a broker. ``memo`` is keyed by the topic's bytes as they come off the wire."""

    __slots__ = ("memo", "count", "_memo_bytes", "_exact", "_root")

    def __init__(self) -> None:
        self.memo: dict[bytes, Route] = {}
        self.count: int = 0
        self._memo_bytes: int = 0
        self._exact: dict[str, list[Binding]] = {}
        self._root: Node = Node()

    def bind(self, binding: Binding) -> None:
        """Add a binding. The same queue may not be bound twice with the same filter."""
        self.count += 1
        topic_filter = binding.filter
        if not is_wildcard(topic_filter):
            found = self._exact.get(topic_filter)
            if found is None:
                self._exact[topic_filter] = [binding]
            else:
                found.append(binding)
            self.memo.pop(topic_filter.encode(), None)
            return
        self.forget()
        levels = topic_filter.split("/")
        if levels[-1] == "#":
            node = self._walk(levels[:-1])
            if node.below is None:
                node.below = []
            node.below.append(binding)
        else:
            node = self._walk(levels)
            if node.here is None:
                node.here = []
            node.here.append(binding)

    def _walk(self, levels: list[str]) -> Node:
        node = self._root
        for level in levels:
            if level == "+":
                if node.plus is None:
                    node.plus = Node()
                node = node.plus
            else:
                if node.children is None:
                    node.children = {}
                child = node.children.get(level)
                if child is None:
                    child = node.children[level] = Node()
                node = child
        return node

    def unbind(self, binding: Binding) -> None:
        """Remove a binding. Raises :class:`MombrokerError` if it is not bound."""
        self.count -= 1
        topic_filter = binding.filter
        if not is_wildcard(topic_filter):
            found = self._exact.get(topic_filter)
            _take_out(found, binding)
            if not found:
                del self._exact[topic_filter]
            self.memo.pop(topic_filter.encode(), None)
            return
        self.forget()
        levels = topic_filter.split("/")
        below = levels[-1] == "#"
        self._remove(self._root, levels[:-1] if below else levels, 0, binding, below)

    def _remove(self, node: Node, levels: list[str], depth: i64, binding: Binding, below: bool) -> None:
        if depth == len(levels):
            if below:
                _take_out(node.below, binding)
                node.below = node.below or None
            else:
                _take_out(node.here, binding)
                node.here = node.here or None
            return
        level = levels[depth]
        child = node.plus if level == "+" else (node.children or {}).get(level)
        if child is None:
            raise MombrokerError(f"filter {binding.filter!r} is not bound")
        self._remove(child, levels, depth + 1, binding, below)
        if child.is_empty():
            if level == "+":
                node.plus = None
            elif node.children is not None:
                del node.children[level]
                node.children = node.children or None

    def route(self, raw: bytes) -> Route:
        """The route of a topic name as it came off the wire, checked on the way.

        Raises ProtocolError (0x90, 0x81) when the bytes are no topic name.
        """
        found = self.memo.get(raw)
        if found is not None:
            return found
        topic = check_name(raw)
        route = Route(topic, raw, self.matching(topic))
        self._memo_bytes += len(raw)
        if len(self.memo) >= MEMO_SIZE or self._memo_bytes > MEMO_BYTES:
            self.forget()
            self._memo_bytes = len(raw)
        self.memo[raw] = route
        return route

    def matching(self, topic: str) -> list[Binding]:
        """Every binding whose filter matches a topic name (section 4.7)."""
        found = list(self._exact.get(topic) or ())
        levels = topic.split("/")
        if topic[0] == "$":
            if self._root.children is not None:
                child = self._root.children.get(levels[0])
                if child is not None:
                    _match(child, levels, 1, found)
        else:
            _match(self._root, levels, 0, found)
        return found

    def forget(self) -> None:
        """Forget all routes: something they were built from has changed."""
        self.memo.clear()
        self._memo_bytes = 0


def _match(node: Node, levels: list[str], depth: i64, found: list[Binding]) -> None:
    if node.below is not None:
        found.extend(node.below)
    if depth == len(levels):
        if node.here is not None:
            found.extend(node.here)
        return
    if node.plus is not None:
        _match(node.plus, levels, depth + 1, found)
    if node.children is not None:
        child = node.children.get(levels[depth])
        if child is not None:
            _match(child, levels, depth + 1, found)


def _take_out(bindings: list[Binding] | None, binding: Binding) -> None:
    if bindings is not None:
        for index in range(len(bindings)):
            if bindings[index] is binding:
                del bindings[index]
                return
    raise MombrokerError(f"filter {binding.filter!r} is not bound")
