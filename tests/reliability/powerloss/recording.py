"""A recording: a real broker under ``record.c``, with clients that keep books, and what is left in the end."""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.processes.server import Server
from tests.reliability.powerloss.clients import Passing, Place, Publisher, Subscriber
from tests.reliability.powerloss.disk import Disk
from tests.reliability.powerloss.log import Marker, Operation, Record, read
from tests.reliability.powerloss.places import DATA, DATA_FILE, MAP_SIZE
from tests.reliability.powerloss.users_of_queues import QueueUser

FSYNC = "fsync"
INTERVAL = "interval"
LIMIT = 240.0
"""Seconds; only a broken broker needs them."""

_SOURCE = Path(__file__).with_name("record.c")


def why_not() -> str | None:
    """Why nothing can be recorded here, or None."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return "recording what a process writes needs Linux and glibc"
    return None if shutil.which("cc") else "recording what a process writes needs a C compiler (cc)"


@dataclass(frozen=True)
class Recording:
    """What was recorded: the log, and when. ``place`` holds the log, and the recorded directory as it was left."""

    place: Path
    records: list[Record]
    seed: int
    now: float
    durability: str = FSYNC

    @staticmethod
    def load(place: Path) -> "Recording":
        """One that was kept."""
        about = json.loads((place / "about.json").read_text())
        return Recording(place, read(place / "log"), about["seed"], about["now"], about["durability"])

    @property
    def disk(self) -> Path:
        """The recorded directory."""
        return self.place / "disk"

    def check(self) -> None:
        """Fail unless the log alone gives what is in the files, byte for byte: then nothing was missed."""
        unlike = self.differences()
        assert not unlike, f"what was recorded is not what is there: {unlike}"
        assert DATA_FILE in self.followed(), "the data file was written through a map: that cannot be followed"

    def followed(self) -> dict[str, bytes]:
        """By path: what the log says that is in each file, but for those that were written through a map."""
        disk = Disk()
        for record in self.records:
            disk.follow(record)
        return disk.current()

    def differences(self) -> list[str]:
        """The files that are not as the log says."""
        disk = Disk()
        for record in self.records:
            disk.follow(record)
        mapped = {path for path, inode in disk.live.items() if inode in disk.files and disk.files[inode].mapped}
        found = {str(path.relative_to(self.disk)): path for path in self.disk.rglob("*") if path.is_file()}
        expected = disk.current()
        unlike = [path for path, content in expected.items() if path in found and found[path].read_bytes() != content]
        return sorted(unlike + list((expected.keys() | mapped) ^ found.keys()))

    def counts(self) -> dict[str, int]:
        """How much was recorded."""
        kinds = [record.operation for record in self.records]
        return {
            "writes recorded": kinds.count(Operation.WRITE),
            "syncs recorded": kinds.count(Operation.SYNC_END) + kinds.count(Operation.DURABLE),
            "marks of clients": kinds.count(Operation.MARK),
        }


def compiled(place: Path) -> Path:
    """The recorder, compiled into a directory."""
    library = place / "record.so"
    command = ["cc", "-O2", "-fPIC", "-shared", "-o", str(library), str(_SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
    return library


def watching(place: Path) -> dict[str, str]:
    """The environment of a process that is to be recorded: what it does below ``disk``, which is made, to ``log``."""
    disk = (place / "disk").resolve()
    disk.mkdir()
    return {"LD_PRELOAD": str(compiled(place)), "POWERLOSS_DIR": str(disk), "POWERLOSS_LOG": str(place / "log")}


def record(place: Path, seed: int, publishes: int, skip: str | None = None, durability: str = FSYNC) -> Recording:
    """Run a broker in ``place`` (a directory, empty) until clients have published so much, and return what it did.

    ``skip`` has it lie about syncs, as ``record.c`` says.
    """
    now = time.time()
    (place / "about.json").write_text(json.dumps({"seed": seed, "now": now, "durability": durability}))
    variables = watching(place)
    disk = Path(variables["POWERLOSS_DIR"])
    if skip is not None:
        variables["POWERLOSS_SKIP"] = skip
    url = f"lmdb:{disk / DATA}?map_size={MAP_SIZE}"
    config = f'[storage]\nurl = "{url}"\n'
    options = ["--durability", durability]
    with Server(place, *options, config=config, env=variables) as server, Marker(place / "log") as marker:
        asyncio.run(_with_clients(server, marker, Random(f"recording {seed}"), publishes, variables, durability))
    recording = Recording.load(place)
    recording.check()
    return recording


async def _with_clients(
    server: Server, marker: Marker, random: Random, publishes: int, variables: Mapping[str, str], durability: str
) -> None:
    place = Place(publishes)
    async with asyncio.timeout(LIMIT):
        await asyncio.to_thread(server.start)
        await place.set(server.port)
        subscribers = _subscribers(place, marker, random)
        for subscriber in subscribers:
            await subscriber.begin()
        publishers = _publishers(place, marker, random)
        async with asyncio.TaskGroup() as group:
            for work in (*subscribers, *publishers, QueueUser(place, marker, _own(random))):
                group.create_task(work.run())
            group.create_task(_passing(place, marker, random))
            group.create_task(_restarted(server, place))
            if durability == FSYNC:
                group.create_task(_users(server, place, marker, variables))
        await publishers[0].leave_some()
        code = await asyncio.to_thread(server.stop)
        assert code == 0, server.text


def _own(random: Random) -> Random:
    return Random(random.random())


def _subscribers(place: Place, marker: Marker, random: Random) -> list[Subscriber]:
    return [
        Subscriber(name, version, place, marker, _own(random), filter, sleeps)
        for name, version, filter, sleeps in (
            ("awake", 5, "t/#", False),
            ("asleep", 4, "t/#", True),
            ("few", 5, "t/one", True),
            ("pair-0", 5, "$share/pair/t/#", False),
            ("pair-1", 5, "$share/pair/t/#", True),
        )
    ]


def _publishers(place: Place, marker: Marker, random: Random) -> list[Publisher]:
    return [Publisher(name, version, place, marker, _own(random)) for name, version in (("one", 5), ("two", 4))]


async def _passing(place: Place, marker: Marker, random: Random) -> None:
    number = 0
    while not place.enough:
        number += 1
        await Passing(f"passing{number}", random.choice((4, 5)), place, marker, _own(random)).run()
        await place.until(place.published + 10)


async def _restarted(server: Server, place: Place) -> None:
    """The broker is stopped in order and started again, halfway."""
    await place.until(place.wanted // 2)
    await place.set(0)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await place.set(server.port)


async def _users(server: Server, place: Place, marker: Marker, variables: Mapping[str, str]) -> None:
    """Users are added by processes of their own, beside the broker."""
    for number, part in enumerate((4, 1)):
        await place.until(place.wanted // 4 * part if part == 1 else place.wanted // 8)
        name = f"user{number}"
        marker.mark("user?", name)
        command = [sys.executable, "-m", "mombroker", "--config", str(server.config)]
        process = await asyncio.create_subprocess_exec(
            *command, "user", "add", name, "--password-stdin",
            env={**os.environ, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate(b"a long enough password\n")
        assert process.returncode == 0, said
        marker.mark("user!", name)
