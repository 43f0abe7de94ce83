"""The same mistake has the same code, whichever way it comes: over HTTP, gRPC and MQTT, to one broker."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format

import mombroker
from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc.conversion import message_class
from mombroker.broker import Broker
from mombroker.client import Mom, ServiceError
from mombroker.hooks import hookimpl
from mombroker.hooks.requests import ConnectRequest
from mombroker.model import Identity
from mombroker.mqtt import Ack, Disconnect, Publish
from mombroker.operations.problems import KINDS
from mombroker.wiring.settings import load_settings

from ..broker.client import Client, properties

LARGEST = 50_000
"""Bytes of a request, over each of the transports."""
TIMEOUT = 30.0
"""Seconds for anything that has to happen."""
METHODS = {
    method.name: (f"/{service.full_name}/{method.name}", message_class(method.input_type))
    for service in pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class Believes:
    """Everybody is who they say they are."""

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity:
        return Identity(request.client_id, request.username)


@dataclass(frozen=True)
class Case:
    """One mistake, three ways; a transport that cannot make it is None. ``http``: the method, path, body. ``grpc``: the
    method and its message, in JSON or raw. ``mom``: the operation and its body."""

    name: str
    code: str
    http: tuple[str, str, bytes] | None
    grpc: tuple[str, dict[str, Any] | bytes] | None
    mom: tuple[str, dict[str, Any] | bytes] | None
    content_type: str = "application/json"
    worker_code: str = ""
    user: str = "ann"


def same(
    name: str,
    code: str,
    http: str,
    method: str,
    operation: str,
    fields: dict[str, Any],
    body: dict[str, Any] | bytes = b"",
    **given: Any,
) -> Case:
    """A mistake that gRPC and MQTT make with the same ``fields``, and HTTP with a path and a body."""
    verb, path = http.split(" ", 1)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Case(name, code, (verb, path, content), (method, fields), (operation, fields), **given)


HUGE = b"x" * (LARGEST + 1)
IN_BASE64 = base64.b64encode(HUGE).decode()

CASES = [
    same("an unknown queue", "no-such-queue", "POST /v1/queues/none/pull", "Pull", "message.pull", {"queue": "none"}),
    same("a queue's no name", "bad-request", "PUT /v1/queues/-a", "CreateQueue", "queue.create", {"queue": "-a"}),
    same(
        "another one's queue", "forbidden", "POST /v1/queues/anns/pull", "Pull", "message.pull", {"queue": "anns"},
        user="bob",
    ),
    same(
        "another one's policy", "forbidden", "PATCH /v1/queues/anns", "ChangeQueue", "queue.change",
        {"queue": "anns", "policy": {"lease": 5}}, {"policy": {"lease": 5}}, user="bob",
    ),
    same("administration", "forbidden", "GET /v1/statistics", "GetStatistics", "broker.statistics", {}),
    same(
        "a policy that leads to itself", "bad-policy", "PUT /v1/queues/new", "CreateQueue", "queue.create",
        {"queue": "new", "policy": {"dead_letter": "new"}}, {"policy": {"dead_letter": "new"}},
    ),
    same(
        "a policy out of its range", "bad-request", "PUT /v1/queues/new", "CreateQueue", "queue.create",
        {"queue": "new", "policy": {"lease": -1}}, {"policy": {"lease": -1}},
    ),
    same(
        "a binding that is no filter", "bad-request", "PUT /v1/queues/new", "CreateQueue", "queue.create",
        {"queue": "new", "bindings": ["a/#/b"]}, {"bindings": ["a/#/b"]},
    ),
    same(
        "another policy for a queue that is there", "queue-exists", "PUT /v1/queues/anns", "CreateQueue",
        "queue.create", {"queue": "anns", "policy": {"lease": 5}}, {"policy": {"lease": 5}},
    ),
    same(
        "a queue that is in use", "queue-in-use", "DELETE /v1/queues/anns?if_empty=true", "DeleteQueue",
        "queue.delete", {"queue": "anns", "if_empty": True},
    ),
    same(
        "a queue that is full", "queue-full", "POST /v1/queues/full/messages", "Enqueue", "message.enqueue",
        {"queue": "full", "messages": [{"text": "one too many"}]}, b"one too many",
    ),
    Case(
        "what cannot be read", "bad-request", ("PUT", "/v1/queues/new", b'{"policy": '), ("CreateQueue", b"\x0a\xff"),
        ("queue.create", b'{"queue": '),
    ),
    Case(
        "text that is not UTF-8", "bad-request", ("PUT", "/v1/queues/new", b'{"bindings": ["\xff"]}'),
        ("CreateQueue", b"\x0a\x01\xff"), ("queue.create", b'{"queue": "\xff"}'),
    ),
    Case(
        "a content type that nobody speaks", "unsupported-content", ("PUT", "/v1/queues/new", b"<queue/>"), None,
        ("queue.create", b"<queue/>"), content_type="text/xml",
    ),
    same(
        "more than fits", "too-large", "POST /v1/queues/anns/messages", "Enqueue", "message.enqueue",
        {"queue": "anns", "messages": [{"payload": IN_BASE64}]}, HUGE,
    ),
    same("a lease that was none", "unknown-lease", "DELETE /v1/leases/ff", "Ack", "message.ack", {"leases": ["ff"]}),
    same(
        "a message that is not there", "no-such-message", "GET /v1/queues/anns/messages/nothing", "FindMessage",
        "message.find", {"queue": "anns", "id": "nothing"},
    ),
    same(
        "a service that is not there", "no-such-service", "POST /v1/services/none/requests", "Request",
        "request.wait", {"service": "none"},
    ),
    same(
        "a service without workers", "no-workers", "POST /v1/services/idle/requests", "Request", "request.wait",
        {"service": "idle"},
    ),
    same(
        "a deadline that passes", "deadline-passed", "POST /v1/services/idle/requests?patient=true&timeout=0.05",
        "Request", "request.wait", {"service": "idle", "patient": True, "timeout": 0.05},
    ),
    same(
        "a worker that fails", "service-failed", "POST /v1/services/broken/requests", "Request", "request.wait",
        {"service": "broken"}, worker_code="out-of-paper",
    ),
    same(
        "a request that was never made", "no-such-request", "GET /v1/requests/ffff", "FetchReply", "request.fetch",
        {"id": "ffff"},
    ),
    same(
        "a reply to nothing", "no-such-request", "POST /v1/requests/ffff/reply", "SendReply", "worker.reply",
        {"id": "ffff"},
    ),
    same("the users of the broker", "forbidden", "GET /v1/users", "ListUsers", "user.list", {}),
]  # fmt: skip


class Transports:
    """A client for each transport, of one user, and what it is told of a mistake: the code, and the worker's own."""

    def __init__(self, http: httpx.AsyncClient, channel: grpc.aio.Channel, mqtt: Client, user: str) -> None:
        self._http = http
        self._channel = channel
        self._mqtt = mqtt
        self._user = user

    async def http(self, case: Case) -> tuple[str, str]:
        """Over HTTP: a problem document whose status is that of the code."""
        assert case.http is not None
        method, path, body = case.http
        headers = {"content-type": case.content_type} if body else {}
        response = await self._http.request(method, path, content=body, headers=headers, auth=(self._user, "-"))
        assert response.headers["content-type"] == "application/problem+json", response.text
        problem = response.json()
        assert response.status_code == problem["status"] == KINDS[problem["code"]].status
        return problem["code"], problem.get("worker_code", "")

    async def grpc(self, case: Case) -> tuple[str, str]:
        """Over gRPC: the code in the trailing metadata, and its status."""
        assert case.grpc is not None
        method, given = case.grpc
        path, kind = METHODS[method]
        data = given if isinstance(given, bytes) else json_format.ParseDict(given, kind()).SerializeToString()
        login = "Basic " + base64.b64encode(f"{self._user}:-".encode()).decode()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self._channel.unary_unary(path)(data, metadata=(("authorization", login),), timeout=TIMEOUT)
        told = dict(caught.value.trailing_metadata())
        assert caught.value.code().name == KINDS[told["mom-code"]].grpc
        assert caught.value.details()
        return told["mom-code"], told.get("mom-worker-code", "")

    async def mom(self, case: Case) -> tuple[str, str]:
        """Over MQTT 5: the answer on the Response Topic; a packet that is too large ends the connection."""
        assert case.mom is not None
        operation, given = case.mom
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        client = self._mqtt
        asked = properties(
            response_topic=f"$mom/reply/{self._user}/r", correlation_data=b"7", content_type=case.content_type
        )
        client.send(Publish.create(f"$mom/v1/{operation}", body, 1, False, False, client.next_id(), asked))
        while not isinstance(packet := await client.receive(), Publish):
            if isinstance(packet, Disconnect):
                (code,) = [code for code, kind in KINDS.items() if kind.reason == packet.reason]
                return code, ""
            assert isinstance(packet, Ack)
            assert packet.reason == 0, packet
        answer = packet.properties
        assert answer is not None and answer.correlation_data == b"7"
        told = json.loads(packet.payload())
        assert dict(answer.user)["mom-error"] == told["code"]
        assert told["title"] == KINDS[told["code"]].title and told["detail"]
        return told["code"], told.get("worker_code", "")


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """A broker in memory with all three, where packets and bodies have the same bound."""
    settings = load_settings(
        overrides={
            "mqtt.listen": ["127.0.0.1:0"],
            "http.listen": "127.0.0.1:0",
            "grpc.listen": "127.0.0.1:0",
            "storage.durability": "memory",
            "mqtt.max_packet_size": LARGEST,
            "http.max_body": LARGEST,
            "grpc.max_message": LARGEST,
        }
    )
    async with Broker(settings, plugins=[Believes()]) as broker:
        yield broker


@pytest.fixture
async def ann(broker: Broker) -> AsyncIterator[Mom]:
    """Somebody who does nothing wrong, and whom the mistakes of others do not concern: she has a message in the queue
    ``anns``, one in ``full``, which takes no more, and works for the service ``broken``, which fails."""
    async with mombroker.connect(f"mqtt://ann:-@127.0.0.1:{broker.port}") as mom:
        for name, most in (("anns", 0), ("full", 1)):
            queue = mom.queue(name)
            await queue.create(max_messages=most)
            await queue.put(b"still here")

        async def fail(request: object) -> None:
            raise ServiceError("out-of-paper", "there is no paper left")

        await mom.serve("broken", fail)
        idle = await mom.serve("idle", fail)
        await idle.close()
        yield mom


@pytest.fixture
async def transports(broker: Broker, ann: Mom) -> AsyncIterator[Any]:
    """Clients of a user, by name."""
    async with AsyncExitStack() as stack:

        async def transports(user: str) -> Transports:
            base = f"http://127.0.0.1:{broker.http_port}"
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=TIMEOUT, trust_env=False))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{broker.grpc_port}"))
            mqtt = await stack.enter_async_context(
                await Client.connected(broker.port, user, username=user, password=b"-")
            )
            assert (await mqtt.subscribe(f"$mom/reply/{user}/#")).reasons == [0]
            return Transports(http, channel, mqtt, user)

        yield transports


WAYS = [
    pytest.param(case, transport, id=f"{case.name}-{transport}")
    for case in CASES
    for transport in ("http", "grpc", "mom")
    if getattr(case, transport) is not None
]


@pytest.mark.parametrize(("case", "transport"), WAYS)
async def test_a_mistake_has_the_same_code_over_all_transports_and_concerns_nobody_else(
    case, transport, transports, ann
):
    clients = await transports(case.user)
    assert await getattr(clients, transport)(case) == (case.code, case.worker_code)
    for name in ("anns", "full"):
        (message,) = await ann.queue(name).peek()
        assert message.content() == b"still here"
    assert (await ann.queue("anns").info()).numbers.ready == 1


@pytest.mark.parametrize("transport", ["http", "grpc", "mom"])
async def test_acknowledging_twice_is_the_same_problem_over_all_transports(transport, transports, ann):
    clients = await transports("ann")
    (message,) = await ann.queue("anns").pull()
    await message.ack()
    lease = message.content.lease
    again = same("", "", f"DELETE /v1/leases/{lease}", "Ack", "message.ack", {"leases": [lease]})
    assert await getattr(clients, transport)(again) == ("unknown-lease", "")
    given_back = same("", "", "POST /v1/leases/nack", "Nack", "message.nack", {"leases": [lease]}, {"leases": [lease]})
    assert await getattr(clients, transport)(given_back) == ("unknown-lease", "")
    assert await ann.queue("anns").peek() == []


@pytest.mark.parametrize("transport", ["http", "grpc", "mom"])
async def test_a_lease_of_somebody_else_is_not_told_apart_from_none(transport, transports, ann):
    clients = await transports("bob")
    (message,) = await ann.queue("anns").pull()
    lease = message.content.lease
    stolen = same("", "", f"DELETE /v1/leases/{lease}", "Ack", "message.ack", {"leases": [lease]})
    assert await getattr(clients, transport)(stolen) == ("unknown-lease", "")
    await message.ack()
