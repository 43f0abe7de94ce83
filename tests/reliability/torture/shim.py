"""The broker's disk and wall clock under control: failing_disk.c, preloaded, and the memory it shares with us."""

import errno
import mmap
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("failing_disk.c")

WRITE, META, SYNC, ALLOCATE = 1, 2, 4, 8
"""Kinds of calls on the data file: of its pages, of its two roots, to its disk, and for more room."""

ERROR, SHORT, KILL = 1, 2, 3

_WORDS: Final = ("clock", "which", "action", "number", "after", "times", "half", "hits")
_SIZE: Final = 8


@dataclass(frozen=True)
class Trouble:
    """What is to happen to calls of the kinds ``which``, once ``after`` of them have gone well. ``times`` of them are
    hit, -1: all. ``half``: a write does its first half, a sync is done and its success kept back."""

    which: int
    action: int
    number: int = errno.EIO
    after: int = 0
    times: int = -1
    half: bool = False


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Shim:
    """The shim for one broker, and the next ones in the same place."""

    def __init__(self, place: Path) -> None:
        """Compile it into ``place``. Raises CalledProcessError."""
        found = compiler()
        assert found is not None, "there is no C compiler"
        self._library = place / "failing_disk.so"
        command = [found, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        self._control = place / "failing_disk.control"
        self._control.write_bytes(bytes(mmap.PAGESIZE))
        with self._control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    @property
    def environment(self) -> Mapping[str, str]:
        """What puts a process under control."""
        return {"LD_PRELOAD": str(self._library), "FAILING_DISK": str(self._control)}

    def arm(self, trouble: Trouble) -> None:
        """From now on."""
        self.disarm()
        values = {
            "action": trouble.action,
            "number": trouble.number,
            "after": trouble.after,
            "times": trouble.times,
            "half": int(trouble.half),
            "hits": 0,
        }
        for name, value in values.items():
            self._put(name, value)
        self._put("which", trouble.which)

    def disarm(self) -> None:
        """The disk is well again."""
        self._put("which", 0)

    @property
    def hits(self) -> int:
        """How many calls were hit since it was armed."""
        return self._get("hits")

    @property
    def hours(self) -> float:
        """How far ahead the broker's wall clock is."""
        return self._get("clock") / 3600e9

    def set_clock(self, hours: float) -> None:
        """Put the broker's wall clock so far ahead of ours, or behind it."""
        self._put("clock", int(hours * 3600e9))

    def _put(self, name: str, value: int) -> None:
        at = _WORDS.index(name) * _SIZE
        self._memory[at : at + _SIZE] = struct.pack("=q", value)

    def _get(self, name: str) -> int:
        at = _WORDS.index(name) * _SIZE
        value: int = struct.unpack("=q", self._memory[at : at + _SIZE])[0]
        return value
