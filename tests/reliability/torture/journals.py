"""What a client knows for certain, as lines in a file: written before and after it acts, and all that it goes by.

A client that is killed reads its lines and goes on where it was; the checker reads the same lines, and trusts nothing
else. ``write`` is one call with O_APPEND: what it has returned from outlives the process.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Key = tuple[str, int]
"""A publisher and a QoS: what an order is kept in."""


class State(Protocol):
    """What follows from a journal's lines."""

    def apply(self, line: str) -> None:
        """One more line."""
        ...


class Journal:
    """The journal of one client. ``state`` is what follows from its lines so far, those of former lives too."""

    def __init__(self, path: Path, state: State) -> None:
        self._state = state
        follow(path, state)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, line: str) -> None:
        """Write a line, and act by it."""
        os.write(self._file, line.encode() + b"\n")
        self._state.apply(line)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def follow(path: Path, state: State, start: int = 0) -> int:
    """Apply the lines from ``start`` on that are whole; where the next one begins."""
    if not path.exists():
        return start
    with path.open("rb") as file:
        file.seek(start)
        whole, newline, _ = file.read().rpartition(b"\n")
    for line in whole.decode().splitlines():
        state.apply(line)
    return start + len(whole) + len(newline)


@dataclass
class Sent:
    """A publish that is not finished; ``released`` after its PUBREC, ``repeated`` if its PUBREL went out again."""

    key: Key
    number: int
    released: bool = False
    repeated: bool = False


class Outbox:
    """A publisher's state. Lines: ``known``, ``sent ID QOS NUMBER`` (ID 0 for QoS 0), ``acked ID`` (PUBACK, PUBREC),
    ``refused ID``, ``done ID`` (PUBCOMP). Numbers count from 0 for each QoS."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.known = False
        self.in_flight: dict[int, Sent] = {}
        self.next: dict[int, int] = defaultdict(int)
        self.acknowledged: dict[Key, list[int]] = defaultdict(list)
        self.refused: dict[Key, list[int]] = defaultdict(list)

    def apply(self, line: str) -> None:
        """One more line."""
        word, *rest = line.split(" ")
        numbers = [int(one) for one in rest]
        if word == "known":
            self.known = True
        elif word == "sent":
            id, qos, number = numbers
            self.next[qos] = number + 1
            if id:
                self.in_flight[id] = Sent((self.name, qos), number)
        elif word == "acked":
            sent = self.in_flight[numbers[0]]
            self.acknowledged[sent.key].append(sent.number)
            sent.released = True
            if sent.key[1] == 1:
                del self.in_flight[numbers[0]]
        elif word == "refused":
            sent = self.in_flight.pop(numbers[0])
            self.refused[sent.key].append(sent.number)
        else:
            assert word == "done", line
            del self.in_flight[numbers[0]]

    def count(self) -> int:
        """How many were acknowledged."""
        return sum(map(len, self.acknowledged.values()))

    def count_refused(self) -> int:
        """How many were refused."""
        return sum(map(len, self.refused.values()))


class Inbox:
    """A subscriber's state. Lines: ``known``, ``subscribed``, ``took ID PUBLISHER QOS NUMBER`` (ID 0 unless QoS 2),
    ``released ID``. ``faults`` are promises that were broken, found as it goes. ``alone``: it shares its messages with
    nobody, so their order is promised, but for those that are ``excused``. ``again`` counts repetitions."""

    def __init__(self, name: str, alone: bool = True) -> None:
        self.name = name
        self.known = False
        self.subscribed = False
        self.held: dict[int, tuple[Key, int]] = {}
        self.taken: dict[Key, set[int]] = defaultdict(set)
        self.excused: set[tuple[Key, int]] = set()
        self.count = 0
        self.again = 0
        self.faults: list[str] = []
        self._highest: dict[Key, int] = {}
        self._alone = alone

    def apply(self, line: str) -> None:
        """One more line."""
        word, *rest = line.split(" ")
        if word == "known":
            self.known = True
        elif word == "subscribed":
            self.subscribed = True
        elif word == "took":
            key, number = (rest[1], int(rest[2])), int(rest[3])
            if int(rest[0]):
                self.held[int(rest[0])] = (key, number)
            self._took(key, number)
        else:
            assert word == "released", line
            self.held.pop(int(rest[0]), None)

    def _took(self, key: Key, number: int) -> None:
        self.count += 1
        if number in self.taken[key]:
            self.again += 1
            if key[1] != 1:
                self.faults.append(f"{self.name} got number {number} of {key} twice")
            return
        self.taken[key].add(number)
        if self._alone and number < self._highest.get(key, -1) and (key, number) not in self.excused:
            self.faults.append(f"{self.name} got number {number} of {key} after number {self._highest[key]}")
        self._highest[key] = max(number, self._highest.get(key, -1))
