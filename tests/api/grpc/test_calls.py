"""Unary calls: operations, problems, logging in, deadlines, cancellation."""

import asyncio
import base64
from urllib.parse import unquote

import grpc
import msgspec
import pytest

from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc import mombroker_pb2_grpc as stubs
from mombroker.api.grpc.calls import host_of
from mombroker.api.grpc.problems import MAX_DETAIL
from mombroker.operations.admin import PutUser
from mombroker.operations.messages import Enqueue, Nack, OutMessage, Pull
from mombroker.operations.problems import INTERNAL, KINDS, SHUTTING_DOWN, TOO_LARGE, Problem
from mombroker.operations.queues import CreateQueue, GetQueue, Policy
from mombroker.operations.services import Request

from .conftest import MAX_MESSAGE
from .fake import ANSWERS, NUMBERS, FakeNative

TIMEOUT = 20.0
SERVICES = pb.DESCRIPTOR.services_by_name
PLAIN = {
    method.name: (service.full_name, method)
    for service in SERVICES.values()
    for method in service.methods
    if method.name in {request.__name__ for request in ANSWERS}
}


def code_of(error):
    """What the trailing metadata calls the problem."""
    return dict(error.trailing_metadata()).get("mom-code")


async def problem_of(call):
    """The status, code and message of a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), code_of(caught.value), caught.value.details()


def basic(user, password):
    """Metadata that logs a user in."""
    return (("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),)


async def test_a_message_goes_in_and_out_and_is_acknowledged(channel, native):
    queues, messages = stubs.QueuesStub(channel), stubs.MessagesStub(channel)
    made = await queues.CreateQueue(pb.CreateQueueRequest(queue="jobs", policy={"max_messages": 5}, bindings=["a/#"]))
    assert made.policy == pb.Policy(max_messages=5)
    assert made.numbers.depth == NUMBERS.depth
    assert native.calls == [CreateQueue(queue="jobs", policy=Policy(max_messages=5), bindings=("a/#",))]
    sent = [pb.OutMessage(text="one", id="1"), pb.OutMessage(payload=b"\xff", properties=[{"name": "a", "value": "ü"}])]
    assert (await messages.Enqueue(pb.EnqueueRequest(queue="jobs", messages=sent))).ids == ["1", "m2"]
    got = (await messages.Pull(pb.PullRequest(queue="jobs", limit=10))).messages
    assert [(message.id, message.payload, message.deliveries) for message in got] == [
        ("1", b"one", 1),
        ("m2", b"\xff", 1),
    ]
    assert got[1].properties == [pb.Property(name="a", value="ü")]
    settled = await messages.Ack(pb.AckRequest(leases=[got[0].lease, "other"]))
    assert settled == pb.Settled(settled=1, unknown=["other"])


@pytest.mark.parametrize("name", sorted(PLAIN))
async def test_every_operation_can_be_called(channel, native, name):
    """The least that its Struct takes, and the answer of the fake."""
    service, method = PLAIN[name]
    request = MINIMAL.get(name, {})
    call = channel.unary_unary(
        f"/{service}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=method.output_type._concrete_class.FromString,
    )
    answer = await call(method.input_type._concrete_class(**request), timeout=TIMEOUT)
    (got,) = native.calls
    assert type(got).__name__ == name
    for field, value in request.items():
        if isinstance(value, str):
            assert getattr(got, field) == value
    expected = msgspec.to_builtins(ANSWERS[type(got)], builtin_types=(bytes,))
    for field, value in expected.items():
        if isinstance(value, int | float | str) and field != "state":
            assert getattr(answer, field) == value
        elif isinstance(value, list | tuple):
            assert len(getattr(answer, field)) == len(value)


MINIMAL = {
    "GetQueue": {"queue": "jobs"},
    "ChangeQueue": {"queue": "jobs"},
    "PurgeQueue": {"queue": "jobs"},
    "DeleteQueue": {"queue": "jobs"},
    "RedriveQueue": {"queue": "jobs"},
    "PutGrant": {"user": "bob", "pattern": "j*", "rights": [1]},
    "DeleteGrant": {"user": "bob", "pattern": "j*"},
    "Publish": {"topic": "a/b", "payload": b"x"},
    "CreateService": {"service": "thumbs"},
    "DeleteService": {"service": "thumbs"},
    "RequestLater": {"service": "thumbs"},
    "FetchReply": {"id": "r1"},
    "CancelRequest": {"id": "r1"},
    "NextRequest": {"service": "thumbs"},
    "DisconnectClient": {"client_id": "c"},
    "DeleteRetained": {"topic": "t"},
    "PutUser": {"user": "bob", "password": "secret"},
    "DeleteUser": {"user": "bob"},
}


async def test_roles_that_are_left_out_stay(channel, native):
    await stubs.AdminStub(channel).PutUser(pb.PutUserRequest(user="bob", password="p"))
    assert native.calls == [PutUser(user="bob", password="p")]


@pytest.mark.parametrize("code", KINDS)
async def test_every_problem_has_its_status_its_code_and_its_detail(channel, code):
    call = stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue=f"problem.{code}"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode[KINDS[code].grpc]
    assert caught.value.details() == f"problem.{code} is none: déjà vu"
    trailing = dict(caught.value.trailing_metadata())
    assert trailing["mom-code"] == code
    assert unquote(trailing["mom-worker-code"]) == "E42 ü%"


async def test_a_malformed_message_is_a_bad_request(channel):
    call = channel.unary_unary("/mombroker.v1.Queues/GetQueue")
    assert (await problem_of(call(b"\xff")))[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "bad-request")


async def test_a_message_out_of_range_is_a_bad_request_with_its_place(channel, native):
    call = stubs.MessagesStub(channel).Pull(pb.PullRequest(queue="jobs", limit=10_001))
    status, code, detail = await problem_of(call)
    assert (status, code) == (grpc.StatusCode.INVALID_ARGUMENT, "bad-request")
    assert "$.limit" in detail
    assert not native.calls


async def test_a_message_that_is_too_large_is_told_so(channel, native):
    request = pb.EnqueueRequest(queue="jobs", messages=[pb.OutMessage(payload=b"x" * MAX_MESSAGE)])
    status, code, detail = await problem_of(stubs.MessagesStub(channel).Enqueue(request))
    assert (status, code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_LARGE)
    assert "grpc.max_message" in detail
    huge = pb.EnqueueRequest(queue="jobs", messages=[pb.OutMessage(payload=b"x" * 3 * MAX_MESSAGE)])
    assert (await problem_of(stubs.MessagesStub(channel).Enqueue(huge)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not native.calls


async def test_a_detail_without_end_is_cut(channel, monkeypatch):
    async def wordy(self, request):
        raise Problem(INTERNAL, "\N{SNOWMAN}" * 100_000, "\N{SNOWMAN}" * 64)

    monkeypatch.setattr(FakeNative, "_peek", wordy)
    status, code, detail = await problem_of(stubs.MessagesStub(channel).Peek(pb.PeekRequest(queue="jobs")))
    assert (status, code) == (grpc.StatusCode.INTERNAL, INTERNAL)
    assert detail == "\N{SNOWMAN}" * (MAX_DETAIL // 3)


async def test_a_broken_handler_costs_only_its_call_and_tells_nothing(channel, native, monkeypatch):
    async def broken(self, request):
        raise RuntimeError("the secret")

    monkeypatch.setattr(FakeNative, "_peek", broken)
    messages = stubs.MessagesStub(channel)
    status, code, detail = await problem_of(messages.Peek(pb.PeekRequest(queue="jobs")))
    assert (status, code) == (grpc.StatusCode.INTERNAL, INTERNAL)
    assert "secret" not in detail
    assert (await messages.Publish(pb.PublishRequest(topic="t"))).matched


async def test_without_a_login_a_caller_is_anonymous(channel, native):
    await stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue="jobs"))
    (caller,) = native.callers
    assert (caller.identity.username, caller.identity.address, caller.transport) == (None, "127.0.0.1", "grpc")


async def test_a_user_logs_in_with_a_password(channel, native):
    get = stubs.QueuesStub(channel).GetQueue
    await get(pb.GetQueueRequest(queue="jobs"), metadata=basic("anna", "secret"))
    assert native.callers[-1].identity.username == "anna"
    refused = await problem_of(get(pb.GetQueueRequest(queue="jobs"), metadata=basic("anna", "guess")))
    assert refused[:2] == (grpc.StatusCode.UNAUTHENTICATED, "not-logged-in")
    assert len(native.calls) == 1


async def test_a_user_logs_in_with_a_token_until_it_is_revoked(channel, native, tokens):
    caller = await native.login("anna", b"secret", "", "http")
    token = tokens.issue(caller, "anna")
    get = stubs.QueuesStub(channel).GetQueue
    await get(pb.GetQueueRequest(queue="jobs"), metadata=(("authorization", f"bearer {token}"),))
    assert native.callers == [caller]
    tokens.revoke(token)
    refused = await problem_of(get(pb.GetQueueRequest(queue="jobs"), metadata=(("authorization", f"Bearer {token}"),)))
    assert refused[:2] == (grpc.StatusCode.UNAUTHENTICATED, "not-logged-in")


@pytest.mark.parametrize(
    "given", ["Digest x", "Basic !", "Basic", "Basic YW5uYQ==", "Basic /zpw", "Bearer", "Bearer x"]
)
async def test_a_login_that_makes_no_sense_is_refused(channel, native, given):
    call = stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue="jobs"), metadata=(("authorization", given),))
    assert (await problem_of(call))[:2] == (grpc.StatusCode.UNAUTHENTICATED, "not-logged-in")
    assert not native.calls


async def test_a_pull_waits_for_a_message(channel, native):
    native.put("jobs", ())
    messages = stubs.MessagesStub(channel)
    pull = messages.Pull(pb.PullRequest(queue="jobs", wait=60.0))
    await messages.Enqueue(pb.EnqueueRequest(queue="jobs", messages=[pb.OutMessage(text="x")]))
    assert [message.payload for message in (await pull).messages] == [b"x"]


async def test_a_pull_never_waits_longer_than_its_client(channel, native):
    native.put("jobs", ())
    answer = await stubs.MessagesStub(channel).Pull(pb.PullRequest(queue="jobs", wait=300.0), timeout=1.0)
    assert not answer.messages
    (pull,) = native.calls
    assert isinstance(pull, Pull)
    assert 0.0 < pull.wait < 1.0


async def test_a_wait_that_is_shorter_than_the_deadline_stays(channel, native):
    native.put("jobs", ())
    await stubs.MessagesStub(channel).Pull(pb.PullRequest(queue="jobs", wait=0.01), timeout=TIMEOUT)
    assert native.calls == [Pull(queue="jobs", wait=0.01)]


async def test_the_deadline_travels_with_a_request(channel, native):
    ask = stubs.ServicesStub(channel).Request
    request = pb.RequestRequest(service="problem.no-workers", timeout=3600.0)
    await problem_of(ask(request, timeout=5.0))
    await problem_of(ask(request, timeout=None))
    await problem_of(ask(pb.RequestRequest(service="problem.no-workers", timeout=2.0), timeout=5.0))
    first, second, third = native.calls
    assert isinstance(first, Request) and isinstance(second, Request) and isinstance(third, Request)
    # On the wire, a deadline is rounded up a little.
    assert 0.0 < first.timeout < 6.0
    assert (second.timeout, third.timeout) == (3600.0, 2.0)


async def test_a_pull_that_is_cancelled_takes_nothing(channel, native):
    native.put("jobs", ())
    messages = stubs.MessagesStub(channel)
    pull = messages.Pull(pb.PullRequest(queue="jobs", wait=300.0))
    await until(native, lambda: native.changed.waiters)
    pull.cancel()
    await until(native, lambda: not native.changed.waiters)
    await messages.Enqueue(pb.EnqueueRequest(queue="jobs", messages=[pb.OutMessage(text="x")]))
    assert not native.leased


async def test_messages_pulled_for_a_client_that_has_gone_are_given_back(channel, native, monkeypatch):
    """The client cancels when the messages are leased and the answer is not sent yet."""
    await native.call(None, Enqueue(queue="jobs", messages=(OutMessage(text="x"),)))
    leased, taken = asyncio.Event(), FakeNative._pull

    async def slow(self, request):
        answer = await taken(self, request)
        leased.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        return answer

    monkeypatch.setattr(FakeNative, "_pull", slow)
    pull = stubs.MessagesStub(channel).Pull(pb.PullRequest(queue="jobs"))
    await leased.wait()
    pull.cancel()
    await until(native, lambda: native.ready["jobs"])
    assert isinstance(native.calls[-1], Nack)
    assert native.calls[-1].delay == 0.0
    assert not native.leased


async def test_a_call_that_waits_is_told_that_the_broker_stops(server, channel, native):
    native.put("jobs", ())
    pull = stubs.MessagesStub(channel).Pull(pb.PullRequest(queue="jobs", wait=300.0))
    await until(native, lambda: native.changed.waiters)
    stopping = asyncio.ensure_future(server.stop())
    assert (await problem_of(pull))[:2] == (grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
    await stopping


async def test_a_call_that_writes_is_let_end_when_the_broker_stops(server, channel, native):
    native.gate.clear()
    call = stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue="jobs"))
    await until(native, lambda: native.calls)
    stopping = asyncio.ensure_future(server.stop())
    late = await problem_of(stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue="jobs")))
    assert late[:2] == (grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
    native.gate.set()
    assert (await call).queue == "jobs"
    assert native.calls == [GetQueue(queue="jobs")]
    await stopping


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:[fe80::1%25eth0]:5000", "fe80::1%eth0"),
        ("unix:/run/x", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer_is_its_host(peer, host):
    assert host_of(peer) == host


async def until(native, holds):
    """Wait until something holds; whatever changes it wakes the loop."""
    async with asyncio.timeout(TIMEOUT):
        while not holds():
            await asyncio.sleep(0)
