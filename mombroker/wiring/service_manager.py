"""What systemd and the broker tell each other: sockets that it has opened for us, and that we are ready.

Both are a few environment variables (sd_listen_fds(3), sd_notify(3)); without them nothing of this happens.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from mombroker.model.errors import ConfigurationError

FIRST: Final = 3
"""The first descriptor that is passed on."""


def inherited_sockets(name: str, environ: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets with this name (``FileDescriptorName=`` of the socket unit). Raises ConfigurationError if
    there is none."""
    names = _names(environ)
    found = [FIRST + index for index, other in enumerate(names) if other == name]
    if not found:
        there = f"there are {', '.join(sorted(set(names)))}" if names else "it was not started by a socket unit"
        raise ConfigurationError(f"the service manager has passed on no socket with the name {name!r}: {there}")
    sockets = [socket.socket(fileno=os.dup(descriptor)) for descriptor in found]
    for each in sockets:
        each.set_inheritable(False)
        each.setblocking(False)
    return sockets


def _names(environ: Mapping[str, str]) -> list[str]:
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS", "0"))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return (names + ["unknown"] * count)[:count] if names != [""] else ["unknown"] * count


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell the service manager how we are, such as ``READY=1``. Without one, nobody is told. Raises OSError."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.connect(address)
        told.sendall(state.encode())
