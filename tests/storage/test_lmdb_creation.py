"""A store that is made anew is there as a whole, after a power cut at any moment, or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
from store_driver import TIMEOUT, environment

from mombroker.model.unit import TABLE_PLUGIN
from mombroker_storage import LmdbStore


@pytest.fixture
def synced(monkeypatch):
    """The paths of the directories that are synced from now on."""
    directories: list[Path] = []

    def fsync(descriptor: int, fsync=os.fsync) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            directories.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return directories


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_each_directory_that_is_made_for_the_data_is_synced_in_the_one_that_it_is_in(tmp_path, synced):
    LmdbStore(tmp_path / "var" / "lib" / "broker").close()
    wanted = {tmp_path / "var" / "lib" / "broker", tmp_path / "var" / "lib", tmp_path / "var", tmp_path}
    assert wanted <= set(synced)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_data_directory_behind_a_link_is_synced_where_it_is(tmp_path, synced):
    (tmp_path / "large disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "large disk")
    LmdbStore(tmp_path / "data" / "new" / "broker").close()
    real = tmp_path / "large disk"
    assert {real / "new" / "broker", real / "new", real} <= set(synced)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_above_that_may_be_passed_through_but_not_read_is_no_obstacle(tmp_path):
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o300)
    try:
        LmdbStore(closed / "data").close()
    finally:
        closed.chmod(0o700)


def test_a_data_file_gets_its_name_only_when_it_can_be_read(tmp_path, monkeypatch):
    directory = tmp_path / "data"
    readable: list[str] = []
    rename = Path.rename

    class Cut(Exception):
        pass

    def cut_off(self: Path, target: Path) -> None:
        with lmdb.open(str(self), subdir=False, lock=False, readonly=True):
            readable.append(self.name)
        raise Cut

    monkeypatch.setattr(Path, "rename", cut_off)
    for _ in range(2):
        with pytest.raises(Cut):
            LmdbStore(directory)
        assert not (directory / "data.mdb").exists()
    assert readable == ["data.mdb.new", "data.mdb.new"]
    monkeypatch.setattr(Path, "rename", rename)
    LmdbStore(directory).close()
    assert sorted(path.name for path in directory.iterdir()) == ["data.mdb", "lock", "lock.mdb"]


def test_many_may_come_to_a_directory_that_holds_nothing_at_the_same_time(tmp_path):
    script = Path(__file__).with_name("other_process.py")
    command = [sys.executable, str(script), str(tmp_path / "data"), "visit"]
    visitors = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()) for _ in range(4)
    ]
    said = [visitor.communicate(timeout=TIMEOUT)[0] for visitor in visitors]
    assert [visitor.returncode for visitor in visitors] == [0, 0, 0, 0], said
    store = LmdbStore(tmp_path / "data")
    try:
        assert store.get(TABLE_PLUGIN, b"from the visitor").result(TIMEOUT) == b"hello"
    finally:
        store.close()
