"""The format version is checked when a store is opened, and older formats are brought up to date in one step."""

import pytest

from mombroker import __version__
from mombroker.model.errors import StoreFormat
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.format import FORMAT, take_over


@pytest.fixture
def environment(tmp_path):
    environment = Environment(tmp_path, 1 << 20, 1 << 30)
    yield environment
    environment.close()


def mark(text: bytes):
    """A migration that writes down that it ran."""

    def migrate(txn, environment):
        txn.put(text, (txn.get(b"trail", db=environment.meta) or b""), db=environment.meta)
        txn.put(b"trail", (txn.get(b"trail", db=environment.meta) or b"") + text, db=environment.meta)

    return migrate


def trail(environment) -> bytes:
    with environment.reading() as txn:
        return bytes(txn.get(b"trail", db=environment.meta) or b"")


def test_a_new_store_has_the_format_of_this_release(environment):
    assert take_over(environment, exclusive=True) == 1
    assert take_over(environment, exclusive=True, version=FORMAT) == 2


def test_a_newer_format_is_refused_with_the_release_to_use(environment):
    take_over(environment, exclusive=True, version=FORMAT + 1)
    with pytest.raises(StoreFormat, match=f"format {FORMAT + 1}, written by mombroker {__version__}.*or newer"):
        take_over(environment, exclusive=True)


def test_older_formats_are_migrated_step_by_step(environment):
    take_over(environment, exclusive=True, version=1)
    epoch = take_over(environment, exclusive=True, version=4, migrations={1: mark(b"a"), 2: mark(b"b"), 3: mark(b"c")})
    assert (epoch, trail(environment)) == (2, b"abc")
    take_over(environment, exclusive=True, version=4, migrations={})


def test_a_migration_that_fails_leaves_the_store_as_it_was(environment):
    def fail(txn, environment):
        raise ZeroDivisionError

    take_over(environment, exclusive=True, version=1)
    with pytest.raises(ZeroDivisionError):
        take_over(environment, exclusive=True, version=3, migrations={1: mark(b"a"), 2: fail})
    assert trail(environment) == b""
    assert take_over(environment, exclusive=True, version=1) == 2


def test_a_format_too_old_to_migrate_is_refused(environment):
    take_over(environment, exclusive=True, version=1)
    with pytest.raises(StoreFormat, match="start an older release"):
        take_over(environment, exclusive=True, version=3, migrations={2: mark(b"b")})


def test_a_visitor_does_not_migrate(environment):
    take_over(environment, exclusive=True, version=1)
    with pytest.raises(StoreFormat, match="start the broker once"):
        take_over(environment, exclusive=False, version=2, migrations={1: mark(b"a")})


def test_a_visitor_begins_no_epoch(environment):
    assert [take_over(environment, exclusive=exclusive) for exclusive in (True, False, False, True)] == [1, 1, 1, 2]


def test_a_file_that_is_no_lmdb_file_is_refused_and_left_alone(disk):
    disk.directory.mkdir()
    path = disk.directory / "data.mdb"
    path.write_bytes(b"something else entirely" * 1000)
    with pytest.raises(StoreFormat, match=r"data\.mdb is not a file that this LMDB can read"):
        disk.store  # noqa: B018
    assert path.read_bytes() == b"something else entirely" * 1000
