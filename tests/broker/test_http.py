"""HTTP of a whole broker: switched on and off, and working together with MQTT."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from mombroker.broker import Broker
from mombroker.hooks import ConnectRequest, hookimpl
from mombroker.model.errors import ConfigurationError, MombrokerError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD

from .client import Client


class Doorman:
    """Knows ann and bob by their passwords, and lets in nobody else."""

    def __init__(self) -> None:
        self.asked: list[ConnectRequest] = []

    @hookimpl
    async def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal:
        self.asked.append(request)
        if request.username in ("ann", "bob") and request.password == b"secret":
            return Identity(request.client_id, request.username, frozenset(), request.address)
        return Refusal(BAD_USER_NAME_OR_PASSWORD, "not you")


def client_of(broker: Broker, user: str = "") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{broker.http_port}",
        auth=(user, "secret") if user else None,
        timeout=20.0,
        trust_env=False,
        verify=False,
    )


def pulls_of(broker: Broker) -> int:
    """How many pulls wait at the queue jobs: nothing tells from outside."""
    assert broker._runtime is not None
    return len(broker._runtime.engine.named.queues["jobs"].pulls)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until something holds; 20 seconds at most."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
async def broker(start) -> Broker:
    started: Broker = await start(http__listen="127.0.0.1:0")
    return started


@pytest.fixture
async def http(broker) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(broker) as client:
        yield client


async def test_an_embedded_broker_has_no_http_unless_it_is_asked_for():
    async with Broker(listen=["127.0.0.1:0"], durability="memory") as broker:
        with pytest.raises(MombrokerError, match="HTTP is off"):
            _ = broker.http_port
    async with Broker(listen=["127.0.0.1:0"], durability="memory", http="127.0.0.1:0") as broker:
        async with client_of(broker) as http:
            assert (await http.get("/ready")).status_code == 200


async def test_an_open_address_needs_somebody_who_authenticates():
    with pytest.raises(ConfigurationError, match=r"http\.listen has 0\.0\.0\.0:0"):
        async with Broker(listen=["127.0.0.1:0"], durability="memory", http="0.0.0.0:0"):
            raise AssertionError("it has started")
    async with Broker(listen=["127.0.0.1:0"], durability="memory", http="0.0.0.0:0", plugins=(Doorman(),)) as broker:
        async with client_of(broker, "ann") as http:
            assert (await http.get("/v1/queues")).status_code == 200


async def test_a_taken_port_is_told_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"cannot serve HTTP on {address} .*http\.listen"):
            async with Broker(listen=["127.0.0.1:0"], durability="memory", http=address):
                raise AssertionError("it has started")


async def test_logins_go_through_the_hooks_of_mqtt(start):
    doorman = Doorman()
    broker = await start(plugins=(doorman,), http__listen="127.0.0.1:0")
    async with client_of(broker, "ann") as http:
        assert (await http.put("/v1/queues/jobs")).json()["owner"] == "ann"
        assert (await http.get("/v1/queues", auth=("ann", "wrong"))).status_code == 401
    async with client_of(broker) as http:
        assert (await http.get("/v1/queues")).status_code == 401
    seen = doorman.asked[0]
    assert (seen.client_id, seen.listener, seen.version, seen.address) == ("http:ann", "http", 0, "127.0.0.1")


async def test_a_login_that_has_expired_is_none(start):
    class Clockwork:
        @hookimpl
        def mombroker_authenticate(self, request: ConnectRequest) -> Identity:
            return Identity(request.client_id, request.username, expires_at=1.0 if request.username == "ann" else 9e9)

    broker = await start(plugins=(Clockwork(),), http__listen="127.0.0.1:0")
    async with client_of(broker, "ann") as ann, client_of(broker, "bob") as bob:
        refused = await ann.get("/v1/queues")
        assert (refused.status_code, refused.json()["detail"]) == (401, "the login has expired")
        assert (await bob.get("/v1/queues")).status_code == 200


async def test_what_is_somebody_elses_is_forbidden_until_it_is_granted(start):
    broker = await start(plugins=(Doorman(),), http__listen="127.0.0.1:0")
    async with client_of(broker, "ann") as ann, client_of(broker, "bob") as bob:
        await ann.put("/v1/queues/jobs")
        refused = await bob.post("/v1/queues/jobs/messages", content=b"x")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        await ann.put("/v1/grants/bob/jobs", json={"rights": ["write"]})
        assert (await bob.post("/v1/queues/jobs/messages", content=b"x")).status_code == 201
        assert (await bob.post("/v1/queues/jobs/pull")).status_code == 403
        (message,) = (await ann.post("/v1/queues/jobs/pull")).json()["messages"]
        assert (await bob.delete(f"/v1/leases/{message['lease']}")).json()["code"] == "unknown-lease"
        assert (await ann.delete(f"/v1/leases/{message['lease']}")).json() == {"settled": 1}
        assert (await ann.delete(f"/v1/leases/{message['lease']}")).json()["code"] == "unknown-lease"


async def test_messages_cross_between_http_and_mqtt(broker, http):
    await http.put("/v1/queues/jobs", json={"bindings": ["images/+"]})
    async with await Client.connected(broker.port) as client:
        assert await client.publish("$queue/jobs", b"from mqtt", 1) == 0
        assert await client.publish("images/cat", b"bound", 1) == 0
        pulled = (await http.post("/v1/queues/jobs/pull?limit=5&wait=5")).json()["messages"]
        assert [message["text"] for message in pulled] == ["from mqtt", "bound"]
        assert pulled[1]["topic"] == "images/cat"
        await http.post("/v1/leases/ack", json={"leases": [message["lease"] for message in pulled]})
        await client.subscribe("$queue/jobs", qos=1)
        sent = await http.post("/v1/queues/jobs/messages", content=b"from http", headers={"Mom-Property-A": "b"})
        assert sent.status_code == 201
        assert (await client.message()).payload() == b"from http"
        await client.subscribe("news/#")
        assert (await http.post("/v1/topics/news/today", content=b"hi")).json() == {"matched": True}
        assert (await client.message()).payload() == b"hi"


async def test_an_http_caller_asks_a_3_1_1_client(broker, http):
    async with await Client.connected(broker.port, "device", 4) as device:
        await device.subscribe("$service/thermometer/request/+")
        asking = asyncio.ensure_future(http.post("/v1/services/thermometer/requests", content=b"now?"))
        request = await device.message()
        assert request.payload() == b"now?"
        id = bytes(request.topic).decode().rpartition("/")[2]
        await device.publish(f"$service/thermometer/reply/{id}", b"21.5", 1)
        response = await asking
        assert (response.status_code, response.content) == (200, b"21.5")


async def test_a_pull_whose_client_goes_leaves_the_message_for_others(broker, http):
    await http.put("/v1/queues/jobs")
    _reader, writer = await asyncio.open_connection("127.0.0.1", broker.http_port)
    writer.write(b"POST /v1/queues/jobs/pull?wait=300 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n")
    await until(lambda: pulls_of(broker) == 1)
    writer.close()
    await until(lambda: pulls_of(broker) == 0)
    await http.post("/v1/queues/jobs/messages", content=b"kept")
    (message,) = (await http.post("/v1/queues/jobs/pull")).json()["messages"]
    assert (message["text"], message.get("deliveries", 1)) == ("kept", 1)


async def test_a_stream_is_fed_within_its_credit_and_gives_back_what_it_held(broker, http):
    await http.put("/v1/queues/jobs")
    for number in range(3):
        await http.post("/v1/queues/jobs/messages", content=b"%d" % number)
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.http_port)
    writer.write(b"GET /v1/queues/jobs/stream?credit=2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(20):
        await reader.readuntil(b'"text":"1"')
        numbers = (await http.get("/v1/queues/jobs")).json()["numbers"]
        assert (numbers["leased"], numbers["ready"]) == (2, 1)
        writer.close()
        while (await http.get("/v1/queues/jobs")).json()["numbers"]["leased"]:
            await asyncio.sleep(0)
    pulled = (await http.post("/v1/queues/jobs/pull?limit=5&wait=5")).json()["messages"]
    assert [message["text"] for message in pulled] == ["0", "1", "2"]


async def test_what_was_answered_with_201_is_there_after_a_restart(tmp_path):
    for again in (False, True):
        async with Broker(listen=["127.0.0.1:0"], data=str(tmp_path / "d"), http="127.0.0.1:0") as broker:
            async with client_of(broker) as http:
                if again:
                    (message,) = (await http.post("/v1/queues/jobs/pull?wait=5")).json()["messages"]
                    assert message["text"] == "kept"
                else:
                    await http.put("/v1/queues/jobs")
                    assert (await http.post("/v1/queues/jobs/messages", content=b"kept")).status_code == 201


async def test_a_broker_that_stops_answers_those_who_wait_and_leaves_nothing_behind():
    before = asyncio.all_tasks()
    threads = threading.active_count()
    async with Broker(listen=["127.0.0.1:0"], durability="memory", http="127.0.0.1:0") as broker:
        http = client_of(broker)
        await http.put("/v1/queues/jobs")
        waiting = [asyncio.ensure_future(http.post("/v1/queues/jobs/pull?wait=300")) for _ in range(2)]
        await until(lambda: pulls_of(broker) == 2)
    for one in waiting:
        response = await one
        assert (response.status_code, response.json()["code"]) == (503, "shutting-down")
    await http.aclose()
    assert asyncio.all_tasks() == before
    assert threading.active_count() <= threads + 1
