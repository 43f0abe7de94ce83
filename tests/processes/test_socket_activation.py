"""A broker that a service manager starts: it gets its socket, and says when it is ready."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from .server import TIMEOUT, environment

STARTER = """
import os, sys
# As systemd does it: the socket is descriptor 3, and the variables name the process that is to have it.
descriptor = int(sys.argv[1])
if descriptor != 3:
    os.dup2(descriptor, 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "devices"}
os.execv(sys.executable, [sys.executable, "-m", "mombroker", "serve", *sys.argv[2:]])
"""
CONFIG = '[plugins.anonymous]\nallow = "any"\n'
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"


def test_a_client_that_came_before_the_broker_is_served(tmp_path: Path):
    (tmp_path / "broker.toml").write_text(CONFIG)
    told = tmp_path / "notify"
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        socket.create_connection(listening.getsockname(), TIMEOUT) as client,
    ):
        manager.bind(str(told))
        manager.settimeout(TIMEOUT)
        client.sendall(CONNECT)
        options = ["--mqtt", "systemd:devices", "--http", "off", "--durability", "memory", "--config", "broker.toml"]
        process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(listening.fileno()), *options],
            pass_fds=[listening.fileno()],
            cwd=tmp_path,
            env=environment({"NOTIFY_SOCKET": str(told)}),
            stderr=subprocess.DEVNULL,
        )
        try:
            assert manager.recv(100) == b"READY=1"
            assert client.recv(4) == b"\x20\x02\x00\x00"
            os.kill(process.pid, signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
            process.wait()
