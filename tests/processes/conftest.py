"""Broker processes that are gone when their test is over, and one that all tests of a module share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .server import Server

NewServer = Callable[..., Server]


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[NewServer]:
    """Make a :class:`Server` with its data in the test's own directory; it is not started."""
    with ExitStack() as stack:

        def new_server(*options: str, place: Path = tmp_path, **given: object) -> Server:
            return stack.enter_context(Server(place, *options, **given))  # type: ignore[arg-type]

        yield new_server


@pytest.fixture
def server(new_server: NewServer) -> Server:
    """A broker process with the default settings."""
    return new_server().start()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One broker for all tests of the module, which keep to topics and client identifiers of their own."""
    with Server(tmp_path_factory.mktemp("shared")) as server:
        yield server.start()


@pytest.fixture
def port(shared_server: Server) -> int:
    """The port of the module's broker."""
    return shared_server.port
