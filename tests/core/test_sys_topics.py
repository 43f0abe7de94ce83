"""The $SYS topics."""

from mombroker.core import Limits

from .world import World


def test_they_are_retained_under_the_names_that_mosquittos_users_know() -> None:
    world = World(Limits(sys_interval=10))
    world.advance(11)
    client = world.client("a")
    client.connect()
    client.subscribe("$SYS/#")
    found = {got.topic.removeprefix("$SYS/broker/"): got for got in client.got}
    expected = {"version", "uptime", "clients/connected", "clients/total", "messages/received", "subscriptions/count"}
    loads = ("connections", "sockets", "messages/received", "messages/sent", "bytes/received", "publish/dropped")
    expected |= {f"load/{name}/{minutes}min" for name in loads for minutes in (1, 5, 15)}
    assert expected <= set(found)
    assert all(got.retain for got in found.values())
    assert world.committed_units == 0, "they are not stored"


def test_only_what_has_changed_is_published_again() -> None:
    world = World(Limits(sys_interval=10))
    client = world.client("a")
    client.connect()
    world.advance(10)
    client.subscribe("$SYS/broker/version", "$SYS/broker/uptime", "$SYS/broker/clients/connected")
    client.got.clear()
    world.advance(10)
    assert [(got.topic, got.retain) for got in client.got] == [("$SYS/broker/uptime", False)]


def test_they_can_be_switched_off_and_on_again() -> None:
    world = World(Limits(sys_interval=0))
    world.advance(100)
    assert world.engine.retained.count == 0
    world.engine.change_limits(Limits(sys_interval=5))
    world.run()
    world.advance(1)
    assert world.engine.retained.count > 0


def test_clients_are_counted() -> None:
    world = World(Limits(sys_interval=10))
    for name in "abc":
        world.client(name).connect(session_expiry=100)
    world.clients[0].cut()
    world.advance(20)

    def value(name: str) -> bytes:
        message = world.engine.retained.get(f"$SYS/broker/{name}")
        assert message is not None
        return message.payload

    assert (value("clients/connected"), value("clients/total"), value("clients/maximum")) == (b"2", b"3", b"3")
