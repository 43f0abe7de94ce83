"""A fault: one small change of the source that makes the broker break a promise."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

FOLDERS = {"mombroker": "mombroker", "plugins": "plugins/mombroker_plugins", "storage": "storage/mombroker_storage"}
"""Where the parts of the product are in the checkout, by the first part of their paths."""

MIRRORS = {"mombroker/core": "tests/core", "mombroker/api": "tests/broker", "plugins": "tests/plugins"}
"""By the beginning of a file's path: the tests that are about it."""


class Promise(StrEnum):
    """What the broker promises, and a fault breaks."""

    ON_DISK = "what is acknowledged is on disk"
    ONCE = "exactly once"
    ORDER = "in order"
    ENTITLED = "nothing to anyone not entitled"
    POLICY = "policies are kept"
    COUNTED = "nothing is dropped uncounted"
    GOES_ON = "nobody is stuck"
    EXCHANGE = "an exchange of packets is as MQTT wants it"


class Misfit(Exception):
    """The source has changed so that a fault of the catalogue does not fit any more."""


@dataclass(frozen=True)
class Fault:
    """``lie`` is what the broken broker does, in a sentence. ``old`` is found exactly once in ``file`` and becomes
    ``new``. ``first`` are the tests that are run before the others: the likeliest ones to see it. ``unseen`` are the
    checkers that cannot see it, with the reason why."""

    name: str
    lie: str
    promise: Promise
    file: str
    old: str
    new: str
    first: str
    unseen: dict[str, str] = field(default_factory=dict)

    def tests(self) -> str:
        """The folder of the tests that are about the broken file."""
        for beginning, folder in MIRRORS.items():
            if self.file.startswith(beginning):
                return folder
        return "tests/storage"

    def is_in_the_store(self) -> bool:
        """Whether the real store is broken, and not the core."""
        return self.file.startswith("storage/")

    def is_in_named_queues(self) -> bool:
        """Whether named queues or services are broken."""
        return self.file.startswith("mombroker/core/named/")

    def installed(self) -> str:
        """The path of the broken file in an installed product."""
        return self.file.removeprefix("plugins/").removeprefix("storage/")

    def broken(self, source: str) -> str:
        """The source of ``file`` with the fault in it. Raises :class:`Misfit`."""
        found = source.count(self.old)
        if found != 1:
            raise Misfit(
                f"{self.name}: its text is {found} times in {self.file}, and not once: bring the fault up to date"
            )
        return source.replace(self.old, self.new)

    def apply(self, product: Path) -> None:
        """Break a copy of the product. Raises :class:`Misfit`."""
        path = product / self.installed()
        broken = self.broken(path.read_text(encoding="utf-8"))
        # Another file in its place: the one that is there may be a link to that of another copy.
        path.unlink()
        path.write_text(broken, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
