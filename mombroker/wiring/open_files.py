"""The limit of open files, which every connection takes one of."""

import resource
from typing import Any, Final

OWN: Final = 64
"""Files that the broker itself has open: the store, the log, listening sockets, Python's own."""


def allow_open_files(connections: int, log: Any) -> None:
    """Raise the process's limit of open files as far as it may, towards what ``connections`` take; tell if it is not
    enough, since the operating system would then turn clients away without the broker ever seeing them."""
    wanted = connections + OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, reachable), hard))
    if reachable < wanted:
        log.info(
            "fewer open files are allowed than max_connections takes",
            open_files=reachable,
            max_connections=connections,
            remedy="raise the limit (LimitNOFILE in systemd, ulimit -n), or lower mqtt.max_connections",
        )
