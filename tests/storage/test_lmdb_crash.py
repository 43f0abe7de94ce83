"""A writer that is killed at any moment loses nothing that it was told is on disk, and keeps no unit by half."""

import random
import subprocess
import sys
from pathlib import Path

import killed_writer
from store_driver import environment, pages, stored

from mombroker.model.unit import TABLE_TALLY

KILLS = 10
SCRIPT = Path(__file__).with_name("killed_writer.py")


def test_what_was_committed_survives_ten_kills_in_order_and_whole(disk):
    moments = random.Random(20)
    acknowledged = 0
    for _ in range(KILLS):
        acknowledged = max(acknowledged, write_until_killed(disk.directory, moments.randrange(1, 60)))
        last = int(disk.get(TABLE_TALLY, b"last"))
        assert last >= acknowledged
        for queue, records in killed_writer.expected(last).items():
            found, damaged = pages(disk, queue)
            assert damaged == []
            assert [(record.position, record.body) for record in found] == [
                (position, stored(body)) for position, body in records
            ]
        disk.close()
    assert disk.reported == []
    assert acknowledged > KILLS


def write_until_killed(directory: Path, lines: int) -> int:
    """Kill a writer after it has told of so many units; the number of the last one it told of."""
    command = [sys.executable, str(SCRIPT), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as writer:
        told = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        # What the writer told before it died is still in the pipe; a line cut short was told of nobody.
        told += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    assert told == sorted(told)
    return told[-1]
