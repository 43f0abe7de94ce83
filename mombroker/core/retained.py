"""Retained messages: the last message of a topic, kept for later subscribers (section 3.3.1.3).

A tree of topic levels, so that a wildcard lookup walks only what can match.
"""

from mypy_extensions import i64

from mombroker.model.message import Message


class RetainedNode:
    """One topic level; ``message`` is retained for the topic that ends here."""

    __slots__ = ("children", "message")

    def __init__(self) -> None:
        self.children: dict[str, RetainedNode] | None = None
        self.message: Message | None = None


class RetainedMessages:
    """All retained messages of a broker, in memory. ``count`` and ``bytes`` tell how many and how large."""

    def __init__(self) -> None:
        self.count: int = 0
        self.bytes: int = 0
        self._root: RetainedNode = RetainedNode()

    def get(self, topic: str) -> Message | None:
        """The message retained for exactly this topic."""
        node: RetainedNode | None = self._root
        for level in topic.split("/"):
            if node is None or node.children is None:
                return None
            node = node.children.get(level)
        return node.message if node is not None else None

    def set(self, message: Message) -> None:
        """Retain a message instead of the one its topic had (MQTT-3.3.1-5)."""
        node = self._root
        for level in message.topic.split("/"):
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = RetainedNode()
            node = child
        if node.message is None:
            self.count += 1
        else:
            self.bytes -= node.message.size()
        self.bytes += message.size()
        node.message = message

    def remove(self, topic: str) -> bool:
        """Retain nothing for this topic any more. Tells whether anything was (MQTT-3.3.1-6)."""
        path: list[tuple[RetainedNode, str]] = []
        node = self._root
        for level in topic.split("/"):
            child = node.children.get(level) if node.children is not None else None
            if child is None:
                return False
            path.append((node, level))
            node = child
        if node.message is None:
            return False
        self.bytes -= node.message.size()
        self.count -= 1
        node.message = None
        _prune(path, node)
        return True

    def matching(self, topic_filter: str) -> list[Message]:
        """The retained messages whose topics match a filter, in time proportional to the nodes that can match."""
        found: list[Message] = []
        _collect(self._root, topic_filter.split("/"), 0, found)
        return found


def _prune(path: list[tuple[RetainedNode, str]], node: RetainedNode) -> None:
    for parent, level in reversed(path):
        if node.message is not None or node.children:
            return
        children = parent.children
        if children is not None:
            del children[level]
            if not children:
                parent.children = None
        node = parent


def _collect(node: RetainedNode, levels: list[str], depth: i64, found: list[Message]) -> None:
    if depth == len(levels):
        if node.message is not None:
            found.append(node.message)
        return
    level = levels[depth]
    if level == "#":
        _collect_all(node, depth == 0, found)
        return
    children = node.children
    if children is None:
        return
    if level == "+":
        for name, child in children.items():
            if depth > 0 or not name.startswith("$"):
                _collect(child, levels, depth + 1, found)
    else:
        exact = children.get(level)
        if exact is not None:
            _collect(exact, levels, depth + 1, found)


def _collect_all(node: RetainedNode, at_root: bool, found: list[Message]) -> None:
    if node.message is not None:
        found.append(node.message)
    if node.children is not None:
        for name, child in node.children.items():
            if not at_root or not name.startswith("$"):
                _collect_all(child, False, found)
