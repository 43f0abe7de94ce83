"""The control: an echo over loopback that syncs a line to disk before it answers.

It does what a broker that promises the disk cannot avoid, and nothing else. So what makes it slower, another program
on the machine or a busy disk, is no fault of the broker's.
"""

import os
import socket
import tempfile
from pathlib import Path

QUESTION = bytes(64)
PATIENCE = 120.0
_MOST = 1 << 20


def serve(directory: Path) -> int:
    """Print the port, serve the one client that comes, and end when it leaves."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        # Whoever has started us may have died since.
        server.settimeout(PATIENCE)
        sock, _ = server.accept()
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock, tempfile.TemporaryFile(dir=directory) as file:
        # Room that is there already: like a store's file, it seldom grows.
        os.posix_fallocate(file.fileno(), 0, _MOST)
        at = 0
        while question := sock.recv(1 << 16):
            os.pwrite(file.fileno(), question, at)
            os.fdatasync(file.fileno())
            sock.sendall(question)
            at = (at + len(question)) % (_MOST - (1 << 16))
    return 0
