"""What a command publishes: ``-m``, ``-f``, ``-l``, ``-s`` and ``-n``, as for mosquitto_pub."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import click

from mombroker.cli.gathered_options import gathered

_OPTIONS = (
    click.Option(["-m", "--message"], help="The message."),
    click.Option(
        ["-f", "--file"], type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Send this file."
    ),
    click.Option(["-l", "--lines", "by_line"], is_flag=True, help="A message for each line of stdin, or of -f."),
    click.Option(["-s", "--stdin", "whole"], is_flag=True, help="All of standard input as one message."),
    click.Option(["-n", "--null", "empty"], is_flag=True, help="An empty message."),
    click.Option(["--repeat"], type=click.IntRange(min=1), default=1, help="Send it so many times."),
)


@dataclass(frozen=True)
class Payloads:
    """Where the payloads come from."""

    message: str | None
    file: Path | None
    by_line: bool
    whole: bool
    empty: bool
    repeat: int

    def __post_init__(self) -> None:
        sources = (self.message is not None, self.file is not None, self.whole, self.empty)
        if sum(sources) > 1 or self.by_line and (self.message is not None or self.whole or self.empty):
            raise click.UsageError("give one of -m, -f, -l, -s and -n")
        if not any(sources) and not self.by_line:
            raise click.UsageError("there is nothing to send: give -m, -f, -l, -s or -n")

    @property
    def is_bulk(self) -> bool:
        """Whether there may be many."""
        return self.by_line or self.repeat > 1

    @property
    def size(self) -> int | None:
        """Bytes of all of them, if that is known beforehand."""
        if self.by_line and self.file is not None:
            return os.stat(self.file).st_size * self.repeat
        return None

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.repeat):
            if self.by_line:
                yield from self._lines()
            else:
                yield self._one()

    def _one(self) -> bytes:
        if self.message is not None:
            return self.message.encode("utf-8", "surrogateescape")
        if self.file is not None:
            return self.file.read_bytes()
        return sys.stdin.buffer.read() if self.whole else b""

    def _lines(self) -> Iterator[bytes]:
        if self.file is None:
            yield from _stripped(sys.stdin.buffer)
            return
        with self.file.open("rb") as lines:
            yield from _stripped(lines)


def _stripped(lines: IO[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield line.rstrip(b"\r\n")


payload_options = gathered("payloads", _OPTIONS, Payloads)
"""Adds the options; the command gets them together, as ``payloads``."""
