"""One owner writes messages; visitors may keep state beside it; an owner that was superseded stops."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from store_driver import TIMEOUT, environment

from mombroker.model.errors import StoreError, StoreFenced, StoreLocked
from mombroker.model.unit import TABLE_PLUGIN
from mombroker_storage import LmdbStore

SCRIPT = Path(__file__).with_name("other_process.py")


def other_process(directory: Path, task: str) -> str:
    """What another process prints when it does ``task`` with the store."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(directory), task],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_second_owner_is_refused_and_told_which_process_to_stop(disk):
    assert disk.store
    answer = other_process(disk.directory, "own")
    assert answer.startswith("StoreLocked")
    assert f"process {os.getpid()}, running since" in answer
    assert "stop that broker first" in answer
    with pytest.raises(StoreLocked):
        LmdbStore(disk.directory)


def test_the_next_owner_gets_in_when_the_first_is_gone(disk):
    epoch = disk.store.epoch
    disk.close()
    assert other_process(disk.directory, "own") == f"epoch {epoch + 1}\n"
    assert disk.store.epoch == epoch + 2


def test_a_visitor_writes_state_that_the_owner_sees_and_no_messages(disk):
    disk.put(TABLE_PLUGIN, b"from the owner", b"welcome")
    answer = other_process(disk.directory, "visit")
    assert "owner wrote b'welcome'" in answer
    assert "only state records can be written" in answer
    assert f"epoch {disk.store.epoch}\n" in answer
    assert disk.get(TABLE_PLUGIN, b"from the visitor") == b"hello"
    disk.append(1, [1])
    assert disk.positions(1) == [1]


def test_a_visitor_may_come_before_there_ever_was_an_owner(disk):
    assert "epoch 1\n" in other_process(disk.directory, "visit")
    assert disk.store.epoch == 2
    assert disk.get(TABLE_PLUGIN, b"from the visitor") == b"hello"


def test_the_owner_follows_when_a_visitor_lets_the_file_outgrow_its_map(tmp_path):
    store = LmdbStore(tmp_path / "store", map_size=1 << 20)
    try:
        other_process(tmp_path / "store", "fill")
        assert store.get(TABLE_PLUGIN, b"39").result(TIMEOUT) == bytes(100_000)
        assert sum(1 for _ in store.items(TABLE_PLUGIN)) == 40
    finally:
        store.close()


def test_an_owner_that_was_superseded_writes_no_more(disk):
    disk.append(1, [1])
    assert other_process(disk.directory, "usurp") == f"epoch {disk.store.epoch + 1}\n"
    for position in (2, 3):
        with pytest.raises(StoreFenced, match="newer owner"):
            disk.append(1, [position])
    assert disk.positions(1) == [1]


def test_a_place_that_cannot_be_a_data_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot create the data directory"):
        LmdbStore(tmp_path / "file")
    (tmp_path / "store" / "lock").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot open the lock"):
        LmdbStore(tmp_path / "store")


def test_nobody_but_the_owner_of_the_files_may_read_them(disk):
    assert disk.store
    assert stat.S_IMODE(disk.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in disk.directory.iterdir()}
    assert modes == {"data.mdb": 0o600, "lock.mdb": 0o600, "lock": 0o600}
