"""Broker processes, as in the tests of processes."""

from ..processes.conftest import new_server

__all__ = ["new_server"]
