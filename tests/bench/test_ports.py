"""Ports that brokers are told to listen on."""

import socket
from pathlib import Path

import pytest

from bench.brokers.base import free_port

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not RANGE.exists(), reason="the range of ports for clients is told by Linux")
def test_a_broker_is_given_a_port_that_no_client_of_anybody_will_take_meanwhile():
    first = int(RANGE.read_text().split()[0])
    assert all(free_port() < first for _ in range(20))


def test_a_port_in_use_is_not_given():
    with socket.socket() as sock:
        port = free_port()
        sock.bind(("127.0.0.1", port))
        assert all(free_port() != port for _ in range(20))
