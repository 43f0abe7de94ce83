"""Further connections of one client: a consumer's or a worker's credit is its connection's Receive Maximum, so each
has a connection of its own, and a slow one holds up nobody else."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from mombroker.client.connection import Connection, Receiver
from mombroker.client.protocol import Options

RECEIVE_MAXIMUM = 65_535


class Branch(Protocol):
    """Something that lives on a connection of its own, and no longer than its client."""

    async def close(self) -> None:
        """Give back what is not settled, and disconnect."""
        ...


MakeConnection = Callable[[Options, Receiver], Connection]


class Branches:
    """Makes the further connections of one client and closes those that are left at its end."""

    def __init__(self, trunk: Connection, make: MakeConnection) -> None:
        self._trunk = trunk
        self._make = make
        self._open: list[Branch] = []
        self._count = 0

    def connection(self, credit: int, receiver: Receiver) -> Connection:
        """A connection on which ``credit`` (1 to 65535) messages may be unacknowledged. Raises ValueError."""
        if not 1 <= credit <= RECEIVE_MAXIMUM:
            raise ValueError(f"a credit of {credit} is not possible: it lies between 1 and {RECEIVE_MAXIMUM}")
        self._trunk.check()
        self._count += 1
        options = dataclasses.replace(
            self._trunk.session.options,
            client_id=f"{self._trunk.session.client_id}-{self._count}",
            clean_start=True,
            session_expiry=0,
            receive_maximum=credit,
            will=None,
        )
        return self._make(options, receiver)

    def opened(self, branch: Branch) -> None:
        """Close this one at the end, unless it was closed before."""
        self._open.append(branch)

    def closed(self, branch: Branch) -> None:
        """This one is closed."""
        if branch in self._open:
            self._open.remove(branch)

    async def close(self) -> None:
        """Close all that are left."""
        for branch in list(self._open):
            await branch.close()
