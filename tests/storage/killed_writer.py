"""A script: writes units to the store at argv[1], tells the number of each on stdout once it is on disk, until killed.

Which unit does what follows from its number alone, so that whoever killed it knows what has to be there.
"""

import os
import sys
from concurrent.futures import Future

from store_driver import HEAD, message

from mombroker.model.unit import TABLE_TALLY, Unit
from mombroker_storage import LmdbStore

QUEUE, OTHER, LAG, DEPTH = 1, 2, 5, 3


def span(number: int) -> range:
    """The positions that unit ``number`` appends."""
    return range(number * 1000, number * 1000 + 1 + number * 37 % 200)


def settled(number: int) -> range:
    """The positions that unit ``number`` settles: two thirds of an earlier unit's."""
    earlier = span(number - LAG) if number > LAG else range(0)
    return earlier[: 2 * len(earlier) // 3]


def body(position: int) -> bytes:
    """What is at a position."""
    return b"%d:" % position + bytes(position % 251)


def unit_of(number: int) -> Unit:
    """Unit ``number``."""
    unit = Unit(number)
    for position in span(number):
        unit.append(QUEUE, position, HEAD, message(body(position)))
    shared = message(body(number), number)
    unit.append(QUEUE, span(number)[-1] + 1, HEAD, shared)
    unit.append(OTHER, number, HEAD, shared)
    for position in settled(number):
        unit.settle(QUEUE, position, 0)
    unit.put(TABLE_TALLY, b"last", b"%d" % number)
    return unit


def expected(last: int) -> dict[int, list[tuple[int, bytes]]]:
    """By queue: what has to be there when unit ``last`` was the last one written."""
    gone = {position for number in range(1, last + 1) for position in settled(number)}
    queue = []
    for number in range(1, last + 1):
        queue += [(position, body(position)) for position in span(number) if position not in gone]
        queue.append((span(number)[-1] + 1, body(number)))
    return {QUEUE: queue, OTHER: [(number, body(number)) for number in range(1, last + 1)]}


def main() -> None:
    store = LmdbStore(sys.argv[1])
    number = int(store.get(TABLE_TALLY, b"last").result() or b"0")
    waiting: list[Future[None]] = []
    while True:
        number += 1
        future = store.commit(unit_of(number))
        text = b"%d\n" % number
        future.add_done_callback(lambda done, text=text: os.write(1, text) if done.exception() is None else None)
        waiting.append(future)
        if len(waiting) == DEPTH:
            waiting.pop(0).result()


if __name__ == "__main__":
    main()
