"""The format version of a data directory, how older ones are brought up to date, and the owner's epoch."""

import struct
from collections.abc import Callable, Mapping
from typing import Final

import lmdb

from mombroker import __version__
from mombroker.model.errors import StoreFormat
from mombroker_storage.lmdb_store.environment import Environment

FORMAT: Final = 1

Migration = Callable[[lmdb.Transaction, Environment], None]
MIGRATIONS: Final[Mapping[int, Migration]] = {}
"""By version: the function that rewrites a store of that version as one of the next, within one transaction."""

_FORMAT_KEY: Final = b"format"
_RELEASE_KEY: Final = b"release"
EPOCH_KEY: Final = b"epoch"
_NUMBER: Final = struct.Struct(">I")


def pack_epoch(epoch: int) -> bytes:
    """An epoch as it is stored."""
    return _NUMBER.pack(epoch)


def take_over(
    environment: Environment,
    exclusive: bool,
    version: int = FORMAT,
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> int:
    """Check the format, migrate it step by step, and return the epoch: a new one for an owner.

    All in one transaction: a migration that fails or is killed leaves the store as it was. Raises StoreFormat.
    """
    with environment.writing() as txn:
        found = _version_on_disk(txn, environment)
        if found is None:
            _write_version(txn, environment, version)
        elif found > version:
            raise StoreFormat(_too_new(txn, environment, found, version))
        elif found < version:
            _migrate(txn, environment, exclusive, found, version, migrations)
        stored = txn.get(EPOCH_KEY, db=environment.meta)
        epoch: int = _NUMBER.unpack(stored)[0] if stored is not None else 0
        if exclusive or not epoch:
            epoch += 1
            txn.put(EPOCH_KEY, pack_epoch(epoch), db=environment.meta)
    return epoch


def _version_on_disk(txn: lmdb.Transaction, environment: Environment) -> int | None:
    stored = txn.get(_FORMAT_KEY, db=environment.meta)
    if stored is None:
        return None
    if len(stored) != _NUMBER.size:
        raise StoreFormat(f"the store in {environment.directory} has a format version that cannot be read: {stored!r}")
    version: int = _NUMBER.unpack(stored)[0]
    return version


def _write_version(txn: lmdb.Transaction, environment: Environment, version: int) -> None:
    txn.put(_FORMAT_KEY, _NUMBER.pack(version), db=environment.meta)
    txn.put(_RELEASE_KEY, __version__.encode(), db=environment.meta)


def _too_new(txn: lmdb.Transaction, environment: Environment, found: int, version: int) -> str:
    release = bytes(txn.get(_RELEASE_KEY, db=environment.meta) or b"a newer release").decode(errors="replace")
    return (
        f"the store in {environment.directory} has format {found}, written by mombroker {release}; this is mombroker "
        f"{__version__}, which reads up to format {version}. Use mombroker {release} or newer"
    )


def _migrate(
    txn: lmdb.Transaction,
    environment: Environment,
    exclusive: bool,
    found: int,
    version: int,
    migrations: Mapping[int, Migration],
) -> None:
    if not exclusive:
        raise StoreFormat(
            f"the store in {environment.directory} has format {found}, this release writes format {version}; "
            "start the broker once to bring it up to date"
        )
    for step in range(found, version):
        migration = migrations.get(step)
        if migration is None:
            raise StoreFormat(
                f"the store in {environment.directory} has format {found}, and this release cannot migrate format "
                f"{step}; start an older release on it first, which migrates as far as it can"
            )
        migration(txn, environment)
    _write_version(txn, environment, version)
