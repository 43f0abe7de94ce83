"""A broker for your tests, in one line. Installed with mombroker as a pytest plugin; nothing needs to be configured.

::

    def test_an_order_is_queued(mombroker_broker):
        my_shop.connect(mombroker_broker.host, mombroker_broker.port)

    async def test_the_level_is_published(mom):                # with pytest-asyncio
        async with mom.subscribe("plant/#") as messages: ...

    def test_the_same_without_a_loop(mom_sync): ...

Each test gets a broker of its own, in memory, on a free port. Override the fixtures ``mombroker_settings`` and
``mombroker_plugins`` to change it.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mombroker.client import Mom
    from mombroker.client.sync import SyncMom
    from mombroker.testing.broker_thread import BrokerThread

__all__ = ["mom", "mom_sync", "mombroker_broker", "mombroker_plugins", "mombroker_settings"]

_async_fixture: Any
try:
    from pytest_asyncio import fixture as _async_fixture
except ImportError:
    _async_fixture = None

# Nothing of mombroker is imported before a test asks for it: this module is loaded by every run of pytest.


@pytest.fixture
def mombroker_settings() -> dict[str, Any]:
    """Settings of the test's broker, as ``{"mqtt.maximum_qos": 1}``; to be overridden."""
    return {}


@pytest.fixture
def mombroker_plugins() -> tuple[object, ...]:
    """Objects with hook implementations for the test's broker; to be overridden."""
    return ()


@pytest.fixture
def mombroker_broker(
    mombroker_settings: dict[str, Any], mombroker_plugins: tuple[object, ...]
) -> "Iterator[BrokerThread]":
    """A running broker in a thread: ``host``, ``port`` and ``url`` tell where."""
    from mombroker.testing.broker_thread import BrokerThread

    with BrokerThread(mombroker_settings, mombroker_plugins) as broker:
        yield broker


@pytest.fixture
def mom_sync(mombroker_broker: "BrokerThread") -> "Iterator[SyncMom]":
    """A connected client without an event loop."""
    from mombroker.client.sync import connect_sync

    with connect_sync(mombroker_broker.url) as connected:
        yield connected


async def _mom(mombroker_broker: "BrokerThread") -> "AsyncIterator[Mom]":
    """A connected client, in the event loop of the test."""
    from mombroker.client import connect

    async with connect(mombroker_broker.url) as connected:
        yield connected


def _no_mom() -> None:
    """Stands in for ``mom`` where no plugin runs coroutines."""
    pytest.fail("the fixture `mom` needs pytest-asyncio: install it, or use `mom_sync`", pytrace=False)


mom = pytest.fixture(name="mom")(_no_mom) if _async_fixture is None else _async_fixture(name="mom")(_mom)
