"""What is done to a broker, its clients, its disk, its clock, and the network between."""

import asyncio
import contextlib
import errno
import math
import resource
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from mombroker.model.reasons import QUOTA_EXCEEDED
from tests.broker.client import Client
from tests.processes.server import Server
from tests.reliability.torture.mqtt_clients import FOR_EVER
from tests.reliability.torture.proxy import Wire
from tests.reliability.torture.run import CLOCK, FAILED, FULL, Run
from tests.reliability.torture.shim import ALLOCATE, ERROR, KILL, META, SHORT, SYNC, WRITE, Trouble

BALLAST = bytes(60_000)


@dataclass(frozen=True)
class Fault:
    """``often``: how many of it for a hundred kills; at least one in a run. ``shim``: whether it takes the shim."""

    name: str
    what: Callable[[Run], Awaitable[None]]
    often: float
    shim: bool = False


# -- kills


async def kill(run: Run) -> None:
    """At a random point under load."""
    await run.load(1, 300)
    await asyncio.sleep(run.random.random() * 0.02)
    await run.kill()
    await run.restart()


async def kill_in_commit(run: Run) -> None:
    """Before, within or after a certain system call on the data file."""
    assert run.shim is not None
    await run.load(1, 100)
    which = run.random.choice((WRITE, META, SYNC, WRITE | META | SYNC))
    after = run.random.randint(0, 30)
    run.shim.arm(Trouble(which, KILL, after=after, times=1, half=run.random.random() < 0.5))
    code = await run.ended()
    assert code == -signal.SIGKILL, f"the broker ended with {code}: {run.server.text[-3000:]}"
    run.shim.disarm()
    run.killed()
    await run.restart()


async def kill_paused(run: Run) -> None:
    """After a while in which it did not run."""
    await run.load(1, 100)
    run.server.signal(signal.SIGSTOP)
    await asyncio.sleep(run.random.random() * 0.2)
    await run.kill()
    await run.restart()


async def kill_while_it_starts(run: Run) -> None:
    """Twice: under load, and while it comes back."""
    await run.load(1, 100)
    await run.kill()
    run.server.launch()
    await asyncio.sleep(run.random.random() * 0.4)
    await run.kill()
    await run.restart()


async def stop(run: Run) -> None:
    """In order, under load."""
    await run.load(1, 100)
    await run.stop()
    await run.restart()


# -- the network


async def cut(run: Run) -> None:
    """Some connections end, in order or with a reset."""
    await run.load(1, 100)
    for wire in _some(run):
        wire.cut(run.random.random() < 0.5)


async def cut_in_packet(run: Run) -> None:
    """Some connections end within the next piece that they carry."""
    await run.load(1, 50)
    for wire in _some(run):
        wire.cut_after(run.random.randint(0, 40))


async def half_open(run: Run) -> None:
    """One side's connection ends, and the other side is not told for a while."""
    await run.load(1, 50)
    forgotten = [(wire, run.random.choice((wire.client, wire.broker))) for wire in _some(run)]
    for wire, end in forgotten:
        wire.forget(end)
    await run.load(1, 100)
    for wire, end in forgotten:
        if end is wire.client or run.random.random() < 0.5:
            wire.cut(True)


async def stall(run: Run) -> None:
    """Some connections carry nothing for a while, and then all of it, or end."""
    await run.load(1, 50)
    wires = _some(run)
    for wire in wires:
        wire.hold(True)
    await asyncio.sleep(run.random.random() * 0.5)
    for wire in wires:
        wire.hold(False)
        if run.random.random() < 0.3:
            wire.cut(True)


async def split(run: Run) -> None:
    """Some connections carry a few bytes at a time."""
    await run.load(1, 50)
    for wire in _some(run):
        wire.split(run.random, 20)
    await run.load(1, 50)


async def delay(run: Run) -> None:
    """What some connections carry comes late."""
    await run.load(1, 50)
    for wire in _some(run):
        wire.delay(run.random, 20)
    await run.load(1, 50)


def _some(run: Run) -> list[Wire]:
    wires = run.proxy.standing()
    return run.random.sample(wires, run.random.randint(1, max(1, len(wires) // 2))) if wires else []


# -- processes


async def pause_broker(run: Run) -> None:
    """It does not run for up to a second, and goes on."""
    await run.load(1, 50)
    run.server.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(run.random.random())
    finally:
        run.server.signal(signal.SIGCONT)
    await run.load(1, 50)


async def kill_client(run: Run) -> None:
    """kill -9 a client, which goes on by its journal."""
    await run.load(1, 50)
    process = run.random.choice(run.cast.processes)
    process.read()
    before = run.cast.acknowledged()
    process.kill()
    process.start()
    await run.arrived(run.awake, before)


async def pause_client(run: Run) -> None:
    """A client does not run for a while."""
    await run.load(1, 50)
    process = run.random.choice(run.cast.processes)
    process.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(run.random.random() * 0.5)
    finally:
        process.signal(signal.SIGCONT)


async def second_broker(run: Run) -> None:
    """Another one on the same data, which has to refuse, and leave the first one in peace."""
    with Server(run.folder, config=None) as second:
        second.launch()
        await run.until(lambda: second.ended, "a second broker runs on the same data")
        code = await asyncio.to_thread(second.wait)
        assert code not in (0, None) and "is in use by" in second.text, f"{code}: {second.text}"
    await run.load(20, 50)


async def wake_sleeper(run: Run) -> None:
    """The client that is away comes, takes what there is, and goes again."""
    owed = run.cast.acknowledged()
    run.cast.wake()
    await run.arrived([run.asleep], owed)
    await run.cast.sleep()


async def jump_clock(run: Run) -> None:
    """The broker's wall clock goes wrong by hours, ahead or back; now or then it is killed after that."""
    assert run.shim is not None
    run.shim.set_clock(run.random.uniform(-CLOCK, CLOCK))
    await run.load(10, 50)
    if run.random.random() < 0.7:
        await run.kill()
        await run.restart()


# -- the disk


async def disk_error(run: Run) -> None:
    """A write or a sync fails. Nothing is acknowledged after that: the broker ends, with 1."""
    assert run.shim is not None
    await run.load(1, 50)
    which = run.random.choice((WRITE, META, SYNC))
    short = which == WRITE and run.random.random() < 0.3
    once = not short and run.random.random() < 0.5
    run.shim.arm(
        Trouble(
            which,
            SHORT if short else ERROR,
            errno.EIO,
            after=run.random.randint(0, 20),
            times=1 if once else -1,
            half=run.random.random() < 0.5,
        )
    )
    await _failed(run, await run.ended())
    await run.restart()


async def _failed(run: Run, code: int) -> None:
    """The broker has ended because of its disk."""
    assert run.shim is not None
    assert code == 1, f"the broker ended with {code}: {run.server.text[-3000:]}"
    assert FAILED in run.server.text
    assert run.shim.hits, "the broker gave up, and nothing was wrong"
    run.shim.disarm()


async def no_room(run: Run) -> None:
    """System calls say that the disk is full. Publishes are refused, or the broker ends as after any other error."""
    assert run.shim is not None
    shim = run.shim
    await run.load(1, 50)
    run.check_refusals()
    seen = len(run.server.log)
    which = run.random.choice((WRITE, WRITE | ALLOCATE, SYNC, WRITE | META | SYNC | ALLOCATE))
    shim.arm(Trouble(which, ERROR, errno.ENOSPC, after=run.random.randint(0, 10)))

    def noticed() -> bool:
        return run.server.ended or any(entry.get("event") == FULL for entry in run.server.log[seen:])

    await run.until(noticed, "nobody notices that there is no room", alone=True)
    await asyncio.sleep(run.random.random() * 1.5)
    with contextlib.suppress(ConnectionError, EOFError):  # it may have ended
        await run.cast.keeper.look()
    shim.disarm()
    if run.server.ended:
        await _failed(run, await run.ended())
        await run.restart()
    else:
        run.counts["times without room that it lived through"] += 1
    await _healed(run)


async def _healed(run: Run) -> None:
    """There is room again, and everybody goes on. A client of MQTT 3, which was not told, connects anew."""
    run.cast.excuse([*run.awake, run.asleep])
    run.proxy.cut_all()
    await run.retried(lambda: _accepted(run))
    run.proxy.cut_all()
    await run.load(50, 100)
    run.has_room()


async def _accepted(run: Run) -> None:
    async with await Client.connected(run.proxy.port) as client:
        while await client.publish("nobody", b"is there room?", 1, retain=True) == QUOTA_EXCEEDED:
            await asyncio.sleep(0.05)


async def full_disk(run: Run) -> None:
    """The data file may not become larger. All that was accepted until one is refused is there, also after a kill."""
    run.check_refusals()
    size = (run.folder / "data" / "data.mdb").stat().st_size
    port = run.server.port
    async with await Client.connected(port, "ballast", clean_start=False, session_expiry=FOR_EVER) as client:
        await client.subscribe("ballast", qos=2)
    resource.prlimit(run.server.pid, resource.RLIMIT_FSIZE, (size + (2 << 20), resource.RLIM_INFINITY))
    async with await Client.connected(port) as client:
        accepted = await _fill(run, client)
    if run.random.random() < 0.5:
        resource.prlimit(run.server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        await run.kill()
        await run.restart()
    await _healed(run)
    async with await Client.open(run.server.port) as client:
        assert (await client.connect("ballast", clean_start=False)).session_present
        got = [int(payload.split(b" ")[0]) for payload in await client.messages(len(accepted))]
        assert got == accepted, f"accepted until the disk was full: {accepted}, arrived: {got}"


async def _fill(run: Run, client: Client) -> list[int]:
    accepted: list[int] = []
    for number in range(20_000):
        run.check()
        reason = await client.publish("ballast", b"%d " % number + BALLAST, 1 + number % 2)
        if reason:
            assert reason == QUOTA_EXCEEDED, reason
            return accepted
        accepted.append(number)
    raise AssertionError("the disk never was full")


KILLS = [
    Fault("kills at any moment", kill, 50),
    Fault("kills within a commit", kill_in_commit, 25, shim=True),
    Fault("kills while it was paused", kill_paused, 10),
    Fault("kills while it started", kill_while_it_starts, 15),
]

FAULTS = [
    Fault("times that connections were cut", cut, 12),
    Fault("times that connections were cut within a packet", cut_in_packet, 12),
    Fault("times that connections were half open", half_open, 12),
    Fault("times that connections stalled", stall, 6),
    Fault("times that packets were split", split, 8),
    Fault("times that packets came late", delay, 6),
    Fault("stops in order", stop, 3),
    Fault("pauses of the broker", pause_broker, 5),
    Fault("kills of a client", kill_client, 12),
    Fault("pauses of a client", pause_client, 6),
    Fault("second brokers on the same data", second_broker, 2),
    Fault("visits of a client that was away", wake_sleeper, 5),
    Fault("jumps of the clock", jump_clock, 5, shim=True),
    Fault("errors of the disk", disk_error, 8, shim=True),
    Fault("times that calls found no room on the disk", no_room, 3, shim=True),
    Fault("full disks", full_disk, 2),
]

NETWORK = [cut, cut_in_packet, half_open, split, delay]


def plan(random: Random, kills: int, shim: bool) -> list[Fault]:
    """What is to happen, in its order: so many kills, and of each other fault its share, at least one."""
    possible = [fault for fault in KILLS if shim or not fault.shim]
    drawn: list[Fault] = []
    left = kills
    while left > 0:
        drawn.append(random.choices(possible, [fault.often for fault in possible])[0])
        left -= 2 if drawn[-1].what is kill_while_it_starts else 1
    for fault in FAULTS:
        if shim or not fault.shim:
            drawn += [fault] * max(1, math.ceil(fault.often * kills / 100))
    random.shuffle(drawn)
    return drawn


async def calm(run: Run) -> None:
    """A time without kills, in which many connections come and go."""
    for _ in range(20):
        await run.random.choice(NETWORK)(run)
    await run.load(50, 100)
