"""The recorder misses nothing that a process does to its files, and says what it cannot follow."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.server import environment
from tests.reliability.powerloss.disk import BeyondModel
from tests.reliability.powerloss.log import Marker, Operation, marks, read
from tests.reliability.powerloss.recording import LIMIT, Recording, watching, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

EVERYTHING = """
import fcntl, os
os.makedirs("a/b")
one = os.open("a/one", os.O_RDWR | os.O_CREAT)
os.write(one, b"first ")
os.writev(one, [b"and ", b"second"])
os.pwrite(one, b"FIRST", 0)
os.pwritev(one, [b"a", b"t ", b"9000"], 9000)
os.ftruncate(one, 20_000)
copy = os.dup(one)
os.close(one)
os.pwrite(copy, b"through a copy", 100)
other = fcntl.fcntl(copy, fcntl.F_DUPFD, 50)
os.pwrite(other, b"through another", 200)
os.posix_fallocate(copy, 0, 50_000)
os.fdatasync(copy)
os.ftruncate(copy, 30_000)
with open("a/two", "wb", buffering=0) as two:
    two.write(b"x" * 3000)
with open("a/two", "ab", buffering=0) as two:
    two.write(b"appended")
    two.write(b"twice")
with open("a/gone", "w") as gone:
    gone.write("gone")
os.unlink("a/gone")
os.rename("a/two", "a/b/two")
os.link("a/one", "a/b/three")
with open("a/four", "w") as four:
    four.write("four")
os.replace("a/four", "a/b/three")
synced = os.open("a/synced", os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
os.pwrite(synced, b"at once", 512)
with open("a/one", "r+b", buffering=0) as again:
    again.truncate(25_000)
with open("a/b/two", "wb") as anew:
    anew.write(b"short")
"""


def recorded(place: Path, script: str) -> Recording:
    """What a script does, run in the recorded directory."""
    variables = watching(place)
    command = [sys.executable, "-c", script]
    subprocess.run(command, cwd=place / "disk", env=environment(variables), check=True, timeout=LIMIT)
    return Recording(place, read(place / "log"), 0, 0.0)


def test_what_was_recorded_is_what_is_in_the_files(tmp_path):
    recording = recorded(tmp_path, EVERYTHING)
    assert recording.differences() == []
    assert sorted(recording.followed()) == ["a/b/three", "a/b/two", "a/one", "a/synced"]
    assert recording.followed()["a/synced"] == bytes(512) + b"at once"


def test_a_write_that_bypasses_the_recorder_is_found_out(tmp_path):
    recording = recorded(tmp_path, EVERYTHING)
    with (tmp_path / "disk/a/one").open("r+b") as one:
        one.write(b"unseen")
    assert recording.differences() == ["a/one"]


def test_a_file_that_is_written_through_a_map_is_reported(tmp_path):
    script = "import mmap\nwith open('f', 'w+b') as f:\n f.truncate(4096)\n mmap.mmap(f.fileno(), 4096)[0] = 1"
    recording = recorded(tmp_path, script)
    assert [record.path for record in recording.records if record.operation == Operation.MAPPED] == ["f"]
    assert "f" not in recording.followed()


def test_what_cannot_be_followed_ends_the_examination(tmp_path):
    script = "import os\nopen('f', 'w').close()\nos.truncate('f', 100)"
    with pytest.raises(BeyondModel, match="truncate"):
        recorded(tmp_path, script).followed()


def test_marks_and_records_have_one_order(tmp_path):
    variables = watching(tmp_path)
    script = "import os\nopen(f'f{os.environ[\"NUMBER\"]}', 'w').close()"
    with Marker(tmp_path / "log") as marker:
        for number in range(2):
            marker.mark("before", number)
            env = environment({**variables, "NUMBER": str(number)})
            subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "disk", env=env, check=True, timeout=LIMIT)
    records = read(tmp_path / "log")
    assert [record.path for record in records] == ["", "f0", "", "f1"]
    assert list(marks(records)) == [["before", 0], ["before", 1]]
