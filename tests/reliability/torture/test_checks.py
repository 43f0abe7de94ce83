"""What the checks of a torture run find, and what they let pass."""

import errno
import subprocess
import sys
import time

import pytest

from tests.processes.server import environment
from tests.reliability.torture.cast import Group
from tests.reliability.torture.journals import Inbox, Journal, Outbox
from tests.reliability.torture.native_clients import Books, check
from tests.reliability.torture.retained import Kept
from tests.reliability.torture.shim import ERROR, SYNC, WRITE, Shim, Trouble, compiler

KEY_1, KEY_2 = ("p", 1), ("p", 2)


def inbox(*lines: str, alone: bool = True) -> Inbox:
    """A subscriber's state after these lines."""
    made = Inbox("s", alone)
    for line in lines:
        made.apply(line)
    return made


def outbox(*lines: str) -> Outbox:
    """A publisher's state after these lines."""
    made = Outbox("p")
    for line in lines:
        made.apply(line)
    return made


def test_a_qos_1_message_may_come_again_and_a_qos_2_message_may_not():
    assert inbox("took 0 p 1 0", "took 0 p 1 1", "took 0 p 1 0").faults == []
    assert inbox("took 7 p 2 0", "released 7", "took 8 p 2 0").faults == ["s got number 0 of ('p', 2) twice"]


def test_a_message_that_comes_first_after_a_later_one_is_a_fault_where_nobody_shares():
    lines = ("took 0 p 1 0", "took 0 p 1 2", "took 0 p 1 1")
    assert inbox(*lines).faults == ["s got number 1 of ('p', 1) after number 2"]
    assert inbox(*lines, alone=False).faults == []


def test_what_was_acknowledged_and_did_not_arrive_is_missing():
    sent = outbox("sent 1 1 0", "sent 2 1 1", "sent 3 2 0", "acked 1", "acked 2", "acked 3")
    group = Group(inbox("took 0 p 1 0", alone=False), inbox("took 3 p 2 0", alone=False))
    assert group.missing([sent], {KEY_1: 1, KEY_2: 1}) == []
    assert group.missing([sent], {KEY_1: 2, KEY_2: 1}) == [(KEY_1, 1)]


def test_a_qos_2_message_that_two_of_a_group_have_got_is_a_fault():
    one, other = inbox("took 3 p 2 0", alone=False), inbox("took 4 p 2 0", alone=False)
    assert Group(one, other).faults() == ["s, s got number 0 of ('p', 2) twice"]


def test_a_client_that_was_killed_goes_on_where_its_journal_ends(tmp_path):
    path = tmp_path / "journal"
    path.write_text("known\nsent 1 2 0\nacked 1\nsent 2 1 0\nsent 3 1 1\nacked 2\nack")
    state = Outbox("p")
    Journal(path, state).close()
    assert state.known
    assert [(id, one.number, one.released) for id, one in state.in_flight.items()] == [(1, 0, True), (3, 1, False)]
    assert state.next == {2: 1, 1: 2}


def test_a_retained_message_is_the_last_acknowledged_one_or_a_later_one():
    assert Kept(settled=4, sent=6).possible(Kept(settled=3, sent=4)) == {3, 4, 5, 6}
    assert Kept(settled=3, sent=6, refused={5}).possible(Kept(settled=3, sent=6, refused={5})) == {3, 4, 6}


@pytest.mark.parametrize(
    ("left", "fault"), [(["a", "b"], None), (["a"], "accepted, and lost"), (["a", "b", "b"], "there twice")]
)
def test_a_queue_has_to_hold_what_it_accepted_once(left, fault):
    books = Books()
    books.accept({"a", "b", "c"})
    books.acknowledge({"c"})
    if fault is None:
        check(books, left)
        return
    with pytest.raises(AssertionError, match=fault):
        check(books, left)


def test_a_message_that_was_acknowledged_and_comes_again_is_a_fault():
    books = Books()
    books.accept({"a"})
    books.acknowledge({"a"})
    books.handed_out("a")
    assert books.faults == ["a was acknowledged, and came again"]


SCRIPT = """
import os, sys, time
file = os.open(sys.argv[1] + "/data.mdb", os.O_RDWR | os.O_CREAT)
other = os.open(sys.argv[1] + "/other", os.O_RDWR | os.O_CREAT)
def tried(call, *given):
    try:
        return call(*given)
    except OSError as error:
        return -error.errno
far = 1 << 20
print(tried(os.pwrite, other, b"1234", far), [tried(os.pwrite, file, b"1234", far) for _ in range(3)])
print(tried(os.fsync, file), os.pread(file, 4, far), time.time())
"""


@pytest.mark.skipif(compiler() is None, reason="a bad disk takes a C compiler")
def test_the_shim_lets_a_certain_call_fail_half_way_and_moves_the_clock(tmp_path):
    shim = Shim(tmp_path)
    shim.arm(Trouble(WRITE | SYNC, ERROR, errno.EIO, after=1, times=1, half=True))
    shim.set_clock(5.0)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(shim.environment),
        timeout=60,
    )
    first, second = done.stdout.splitlines()
    assert first == f"4 [4, {-errno.EIO}, 4]"
    assert second.startswith("None b'1234' ")
    assert float(second.split()[-1]) - time.time() > 4 * 3600
    assert (shim.hits, shim.hours) == (1, 5.0)
