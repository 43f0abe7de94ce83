"""The plugin anonymous: this machine only, and nobody in particular."""

import pytest

from mombroker.hooks import hookimpl
from mombroker.model import Identity, Refusal
from mombroker.wiring.hook_calls import HookPoint, HookRecord
from mombroker.wiring.plugin_loading import load_plugins
from mombroker_plugins.anonymous import Anonymous


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_a_client_on_this_machine_is_let_in(make, connect, address):
    assert make(Anonymous).mombroker_authenticate(connect(address=address)) == Identity("c", None, address=address)


@pytest.mark.parametrize("address", ["192.168.0.1", "8.8.8.8", "::ffff:8.8.8.8", "fe80::1%eth0", "", "localhost.evil"])
def test_a_client_from_elsewhere_is_let_in_only_if_anybody_is(make, connect, address):
    assert make(Anonymous).mombroker_authenticate(connect(address=address)) is None
    assert make(Anonymous, allow="any").mombroker_authenticate(connect(address=address)).username is None


def test_a_claimed_name_is_not_believed(make, connect):
    assert make(Anonymous).mombroker_authenticate(connect("admin", b"secret")).username is None


def test_nobody_in_particular_is_no_administrator_unless_the_operator_says_so(make, connect):
    assert make(Anonymous).mombroker_authenticate(connect()).roles == frozenset()
    assert make(Anonymous, allow="any").mombroker_authenticate(connect()).roles == frozenset()
    assert make(Anonymous, admin=True).mombroker_authenticate(connect()).roles == {"admin"}
    assert make(Anonymous, admin=True).mombroker_authenticate(connect(address="8.8.8.8")) is None


def test_it_is_asked_last_wherever_it_stands_in_the_settings(make, connect):
    class Guard:
        @hookimpl
        def mombroker_authenticate(self, request):
            return Refusal(0x87)

    off = {name: {"enabled": False} for name in ("storage", "queue_limits", "anonymous")}
    plugins = load_plugins(off, lambda name: None, [make(Anonymous), Guard()], {})
    point = HookPoint(plugins, "mombroker_authenticate", HookRecord(None), (Identity, Refusal))
    assert point.ask((connect(),)) == Refusal(0x87)
