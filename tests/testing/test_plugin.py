"""The pytest plugin, as somebody else's test-suite uses it."""

import importlib.util

pytest_plugins = ["pytester"]

SUITE = """
import socket

import pytest

from mombroker.hooks import hookimpl


def test_there_is_a_broker(mombroker_broker):
    socket.create_connection((mombroker_broker.host, mombroker_broker.port)).close()


def test_a_client_without_a_loop(mom_sync):
    with mom_sync.subscribe("a") as messages:
        mom_sync.publish("a", b"1")
        assert next(messages).payload == b"1"


async def test_a_client_in_the_loop(mom):
    async with mom.subscribe("a") as messages:
        await mom.publish("a", b"2")
        assert (await anext(messages)).payload == b"2"


async def test_each_test_has_a_broker_of_its_own(mom, mombroker_broker):
    await mom.publish("a", b"3", retain=True)
    import mombroker
    async with mombroker.connect(mombroker_broker.url) as other, other.subscribe("a") as messages:
        assert (await anext(messages)).retain


class Counts:
    def __init__(self):
        self.seen = []

    @hookimpl
    def mombroker_on_publish(self, message, identity):
        self.seen.append(message.topic)


class TestWithOtherSettings:
    @pytest.fixture
    def mombroker_settings(self):
        return {"mqtt.maximum_qos": 1}

    @pytest.fixture
    def mombroker_plugins(self):
        return (Counts(),)

    def test_they_count(self, mom_sync, mombroker_plugins):
        mom_sync.publish("seen", qos=1)
        assert mombroker_plugins[0].seen == ["seen"]
        with pytest.raises(Exception, match="QoS"):
            mom_sync.publish("a", qos=2)
"""

NO_PYTEST_ASYNCIO = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pytest_asyncio":
            raise ImportError(name)


sys.meta_path.insert(0, Missing())
"""


def test_a_suite_gets_a_broker_and_clients_in_one_line(pytester):
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(SUITE)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=5)


def test_without_a_plugin_for_coroutines_the_synchronous_fixtures_work_and_the_other_one_tells(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    pytester.makepyfile(
        """
        def test_sync(mom_sync):
            assert mom_sync.connected

        def test_async(mom):
            pass
        """
    )
    pytester.makepyfile(hide_pytest_asyncio=NO_PYTEST_ASYNCIO)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "hide_pytest_asyncio")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the fixture `mom` needs pytest-asyncio*"])


def test_the_plugin_imports_nothing_of_the_broker_before_it_is_needed(pytester):
    assert importlib.util.find_spec("mombroker.testing") is not None
    pytester.makepyfile(
        """
        import sys

        def test_lazy():
            assert "mombroker.testing" in sys.modules
            assert "mombroker.broker" not in sys.modules
            assert "mombroker.client" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_broker_that_cannot_start_fails_the_test_with_the_reason(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def mombroker_settings():
            return {"mqtt.listen": ["192.0.2.1:0"]}

        def test_it(mombroker_broker):
            pass
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(errors=1)
