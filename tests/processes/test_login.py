"""Users and access rules in a broker process: added on the command line while it runs, and asked at the door."""

import pytest

from mombroker.mqtt import V5, V31, V311, Will

from ..broker.client import Client
from .server import mombroker

CONFIG = """
[plugins.users]
memory_kib = 64
time_cost = 1

[[plugins.acl.rules]]
role = "admin"
topic = "#"
access = "readwrite"

[[plugins.acl.rules]]
anyone = true
topic = "public/#"
access = "read"

[[plugins.acl.rules]]
anyone = true
topic = "home/%u/#"
access = "readwrite"
"""
PASSWORD = "correct horse battery staple"


def user(server, *arguments: str, password: str = "") -> str:
    """Run ``mombroker user``; what it prints."""
    done = mombroker(
        "user", *arguments, "--data", str(server.data), cwd=server.place, given=password and f"{password}\n"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def guarded(new_server):
    """A broker that knows nobody yet."""
    return new_server(config=CONFIG).start()


async def reason_for(port: int, username: str | None, password: str | None, version: int = V5) -> int:
    """The reason code of the CONNACK."""
    async with await Client.open(port, version) as client:
        secret = None if password is None else password.encode()
        return (await client.connect("x", username=username, password=secret)).reason


async def test_a_user_added_while_the_broker_runs_may_log_in_with_the_right_password_only(guarded):
    assert await reason_for(guarded.port, "ann", PASSWORD) == 0x86
    user(guarded, "add", "ann", "--password-stdin", password=PASSWORD)
    for version, wrong in ((V5, 0x86), (V311, 4), (V31, 4)):
        assert await reason_for(guarded.port, "ann", PASSWORD, version) == 0
        assert await reason_for(guarded.port, "ann", PASSWORD + "x", version) == wrong
        assert await reason_for(guarded.port, "ann", "", version) == wrong
        assert await reason_for(guarded.port, "bob", PASSWORD, version) == wrong
    assert await reason_for(guarded.port, None, None) in (0x86, 0x87)
    assert "ann" in user(guarded, "list")


async def test_a_changed_password_and_a_removed_user_count_at_once(guarded):
    user(guarded, "add", "ann", "--password-stdin", password=PASSWORD)
    assert await reason_for(guarded.port, "ann", PASSWORD) == 0
    user(guarded, "password", "ann", "--password-stdin", password="new")
    assert await reason_for(guarded.port, "ann", PASSWORD) == 0x86
    assert await reason_for(guarded.port, "ann", "new") == 0
    user(guarded, "remove", "ann")
    assert await reason_for(guarded.port, "ann", "new") == 0x86


async def test_users_survive_a_kill(guarded):
    user(guarded, "add", "ann", "--password-stdin", password=PASSWORD)
    guarded.kill()
    guarded.start()
    assert await reason_for(guarded.port, "ann", PASSWORD) == 0


async def test_users_can_be_added_before_the_first_start(new_server):
    server = new_server(config=CONFIG)
    user(server, "add", "ann", "--password-stdin", password=PASSWORD)
    server.start()
    assert await reason_for(server.port, "ann", PASSWORD) == 0


async def test_a_broker_with_users_may_listen_to_the_world(new_server):
    server = new_server(config=CONFIG, listen="0.0.0.0:0").start()
    assert await reason_for(server.port, None, None) in (0x86, 0x87)


async def test_the_rules_decide_who_reads_and_writes_what(guarded):
    user(guarded, "add", "ann", "--password-stdin", password=PASSWORD)
    user(guarded, "add", "root", "--role", "admin", "--password-stdin", password=PASSWORD)
    secret = PASSWORD.encode()
    async with (
        await Client.connected(guarded.port, "ann", username="ann", password=secret) as ann,
        await Client.connected(guarded.port, "root", username="root", password=secret) as root,
    ):
        wanted = ["public/#", "home/ann/#", "home/bob/#", "home/+/x", "#", "$share/g/home/ann/s", "$share/g/secret"]
        suback = await ann.subscribe(*wanted, qos=1)
        assert suback.reasons == [1, 1, 0x87, 0x87, 0x87, 1, 0x87]
        assert (await root.subscribe("#", qos=1)).reasons == [1]
        for qos, topic, reason in ((1, "secret", 0x87), (2, "secret", 0x87), (1, "public/x", 0x87)):
            assert await ann.publish(topic, b"no", qos) == reason
        assert await root.publish("public/x", b"news", 0) == 0
        assert (await root.message()).topic == b"public/x"
        assert (await ann.message()).payload() == b"news"


async def test_a_will_that_its_client_may_not_publish_is_not_published(guarded):
    user(guarded, "add", "ann", "--password-stdin", password=PASSWORD)
    user(guarded, "add", "root", "--role", "admin", "--password-stdin", password=PASSWORD)
    secret = PASSWORD.encode()
    async with await Client.connected(guarded.port, "root", username="root", password=secret) as root:
        await root.subscribe("#")
        for topic in ("secret", "home/ann/will"):
            ann = await Client.connected(
                guarded.port, "ann", username="ann", password=secret, will=Will(topic, b"gone")
            )
            ann.close()
        assert (await root.message()).topic == b"home/ann/will"


async def test_the_password_is_in_no_log_and_in_no_file(guarded):
    user(guarded, "add", "ann", "--password-stdin", password=PASSWORD)
    await reason_for(guarded.port, "ann", PASSWORD)
    await reason_for(guarded.port, "ann", "wrong " + PASSWORD)
    assert guarded.stop() == 0
    assert PASSWORD not in guarded.text
    for path in guarded.data.iterdir():
        assert PASSWORD.encode() not in path.read_bytes()
