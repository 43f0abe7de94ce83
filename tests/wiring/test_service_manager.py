"""systemd's environment variables."""

import os
import socket

import pytest

from mombroker.model.errors import ConfigurationError
from mombroker.wiring.service_manager import inherited_sockets, notify


def test_the_service_manager_is_told(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notify("READY=1", {"NOTIFY_SOCKET": path})
        assert manager.recv(100) == b"READY=1"


def test_a_name_without_a_file_is_understood():
    name = f"mombroker-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        notify("STOPPING=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_service_manager_nobody_is_told():
    notify("READY=1", {})


def test_a_socket_that_was_not_passed_on_is_missed():
    with pytest.raises(ConfigurationError, match="'mqtt': it was not started by a socket unit"):
        inherited_sockets("mqtt", {})
    given = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "b:a"}
    with pytest.raises(ConfigurationError, match="'mqtt': there are a, b"):
        inherited_sockets("mqtt", given)


def test_sockets_for_another_process_are_not_ours():
    with pytest.raises(ConfigurationError, match="not started by a socket unit"):
        inherited_sockets("mqtt", {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "mqtt"})
