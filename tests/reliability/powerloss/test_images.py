"""A disk holds for certain what was synced, and of all else anything; images of it can be made again."""

import pytest

from tests.reliability.powerloss.disk import Disk, Resize, Write
from tests.reliability.powerloss.images import ImageId, image
from tests.reliability.powerloss.log import CREATED, SYNCED, Operation, Record


def record(operation: Operation, path: str = "d/f", offset: int = 0, data: bytes = b"", **given: int) -> Record:
    """A record, with whatever matters of it."""
    inode = given.get("inode", 7)
    return Record(
        operation, given.get("flags", 0), given.get("thread", 1), inode, offset, given.get("length", 0), path, data
    )


@pytest.fixture
def disk():
    """A directory that is synced, with a file in it that is not."""
    disk = Disk()
    disk.follow(record(Operation.MKDIR, "d", inode=6))
    sync(disk, "", 5)
    disk.follow(record(Operation.OPENED, flags=CREATED))
    return disk


def sync(disk: Disk, path: str = "d/f", inode: int = 7) -> None:
    disk.follow(record(Operation.SYNC_BEGIN, path, inode=inode))
    disk.follow(record(Operation.SYNC_END, path, inode=inode))


def possible(disk: Disk, images: int = 300) -> set[bytes | None]:
    """What is in the file in some images; None if it is not there."""
    made = [image(disk, ImageId(1, number), 1) for number in range(images)]
    return {bytes(one.files["d/f"]) if "d/f" in one.files else None for one in made}


def test_a_file_is_there_for_certain_when_its_directory_was_synced(disk):
    assert possible(disk) == {None, b""}
    sync(disk)
    assert possible(disk) == {None, b""}
    sync(disk, "d", 6)
    assert possible(disk) == {b""}


def test_nothing_is_there_without_the_directories_above_it(disk):
    disk.follow(record(Operation.MKDIR, "e", inode=8))
    disk.follow(record(Operation.OPENED, "e/g", flags=CREATED, inode=9))
    sync(disk, "e", 8)
    made = [image(disk, ImageId(1, number), 1) for number in range(50)]
    assert {("e" in one.directories, "e/g" in one.files) for one in made} == {(False, False), (True, True)}


def test_a_sync_covers_what_was_written_before_it_began_and_nothing_else(disk):
    sync(disk, "d", 6)
    disk.follow(record(Operation.WRITE, data=b"old"))
    disk.follow(record(Operation.SYNC_BEGIN))
    assert {b"", b"old"} <= possible(disk) <= {b"", b"old", bytes(3)}
    disk.follow(record(Operation.WRITE, data=b"new"))
    disk.follow(record(Operation.SYNC_END))
    assert bytes(disk.files[7].content) == b"old"
    assert disk.files[7].pending == [Write(0, b"new")]
    assert {b"old", b"new"} <= possible(disk)


def test_a_synced_write_is_there_when_it_returns_and_older_ones_do_not_overwrite_it(disk):
    sync(disk, "d", 6)
    disk.follow(record(Operation.WRITE, data=b"a" * 1000))
    disk.follow(record(Operation.WRITE, offset=400, data=b"b" * 100, flags=SYNCED))
    disk.follow(record(Operation.DURABLE, offset=400))
    assert disk.files[7].pending == [Write(0, b"a" * 400), Write(500, b"a" * 500)]
    assert bytes(disk.files[7].content) == bytes(400) + b"b" * 100


def test_a_new_size_is_there_or_not_until_the_file_is_synced(disk):
    sync(disk, "d", 6)
    disk.follow(record(Operation.SIZE, length=8192))
    assert {b"", bytes(8192)} <= possible(disk)
    assert disk.files[7].pending == [Resize(8192)]
    sync(disk)
    assert possible(disk) == {bytes(8192)}


def test_a_write_may_be_torn_at_every_sector_and_nowhere_else(disk):
    sync(disk, "d", 6)
    disk.follow(record(Operation.WRITE, data=b"o" * 16384))
    sync(disk)
    disk.follow(record(Operation.WRITE, data=b"n" * 16384))
    # The last two pages only are spoilt, never those of the roots.
    found = {content[at : at + 512] for content in possible(disk) if content for at in range(0, len(content), 512)}
    spoilt = found - {b"o" * 512, b"n" * 512}
    assert {b"o" * 512, b"n" * 512} <= found
    assert all(len(set(sector)) > 10 for sector in spoilt), "a sector is old, new, or spoilt, and nothing between"


def test_a_renamed_file_has_either_name_until_the_directory_is_synced(disk):
    sync(disk, "d", 6)
    disk.follow(record(Operation.RENAME, "d/f", data=b"d/g"))
    made = [image(disk, ImageId(1, number), 1) for number in range(50)]
    assert {tuple(sorted(one.files)) for one in made} == {("d/f",), ("d/g",)}
    sync(disk, "d", 6)
    assert sorted(image(disk, ImageId(1, 0), 1).files) == ["d/g"]


def test_an_image_can_be_made_again_by_its_name(disk):
    sync(disk, "d", 6)
    for number in range(20):
        disk.follow(record(Operation.WRITE, offset=number * 4096, data=bytes([number]) * 4096))
    assert ImageId.of(str(ImageId(12, 3))) == ImageId(12, 3)
    for number in range(30):
        assert image(disk, ImageId(1, number), 1) == image(disk, ImageId(1, number), 1)
