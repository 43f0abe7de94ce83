"""gRPC on a whole broker: switched on and off, and end to end on the real queues."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import httpx
import pytest

from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc import mombroker_pb2_grpc as stubs
from mombroker.broker import Broker
from mombroker.hooks import ConnectRequest, hookimpl
from mombroker.model.errors import ConfigurationError, MombrokerError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import NOT_AUTHORIZED

from .test_calls import basic, problem_of

LOOPBACK = "127.0.0.1:0"


@asynccontextmanager
async def running(**given: object) -> AsyncIterator[tuple[Broker, grpc.aio.Channel]]:
    """A broker and a connection to it."""
    given = {"durability": "memory", **given}
    async with Broker(listen=[LOOPBACK], grpc=LOOPBACK, **given) as broker:  # type: ignore[arg-type]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{broker.grpc_port}") as channel:
            yield broker, channel


@pytest.fixture
async def real() -> AsyncIterator[grpc.aio.Channel]:
    """A connection to a broker in memory that has the queue jobs."""
    async with running() as (_, channel):
        await stubs.QueuesStub(channel).CreateQueue(pb.CreateQueueRequest(queue="jobs"))
        yield channel


def in_another_process(code: str) -> str:
    """What a program prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


PROGRAM = """
import asyncio, sys
from mombroker.broker import Broker
from mombroker.model.errors import ConfigurationError

{before}
async def main():
    try:
        async with Broker(listen=["127.0.0.1:0"], durability="memory", grpc={grpc!r}):
            print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"grpc", "google"}}))
    except ConfigurationError as error:
        print(error)

asyncio.run(main())
"""


def test_what_stays_off_is_not_imported():
    assert in_another_process(PROGRAM.format(before="", grpc=None)) == "[]"
    assert in_another_process(PROGRAM.format(before="", grpc="off")) == "[]"
    assert in_another_process(PROGRAM.format(before="", grpc=LOOPBACK)) == "['google', 'grpc']"


@pytest.mark.parametrize("library", ["grpc", "google.protobuf", "grpc_health.v1", "grpc_reflection.v1alpha"])
def test_without_the_libraries_the_error_says_what_to_install(library):
    before = f"sys.modules[{library!r}] = None"
    said = in_another_process(PROGRAM.format(before=before, grpc=LOOPBACK))
    assert "pip install 'mombroker[grpc]'" in said
    assert library in said
    assert "install" not in in_another_process(PROGRAM.format(before=before, grpc="off"))


async def test_a_port_of_grpc_is_known_only_while_it_listens():
    async with Broker(listen=[LOOPBACK], durability="memory") as broker:
        with pytest.raises(MombrokerError, match="gRPC is off"):
            _ = broker.grpc_port
    async with running() as (broker, _):
        assert broker.grpc_port not in (0, broker.port)


async def test_strangers_are_not_let_in_over_grpc_either():
    with pytest.raises(ConfigurationError, match=r"grpc\.listen has 0\.0\.0\.0:0"):
        async with Broker(listen=[LOOPBACK], durability="memory", grpc="0.0.0.0:0"):
            pytest.fail("it listens")


async def test_a_port_that_is_taken_stops_the_start():
    async with running() as (broker, _):
        with pytest.raises(OSError, match="is the port taken"):
            async with Broker(listen=[LOOPBACK], durability="memory", grpc=f"127.0.0.1:{broker.grpc_port}"):
                pytest.fail("it listens")


async def test_messages_survive_the_broker(tmp_path):
    data = str(tmp_path / "data")
    async with running(data=data, durability="fsync") as (_, channel):
        await stubs.QueuesStub(channel).CreateQueue(pb.CreateQueueRequest(queue="jobs"))
        sent = [pb.OutMessage(text=str(number), properties=[{"name": "n", "value": "1"}]) for number in range(10)]
        ids = (await stubs.MessagesStub(channel).Enqueue(pb.EnqueueRequest(queue="jobs", messages=sent))).ids
    async with running(data=data, durability="fsync") as (_, channel):
        messages = stubs.MessagesStub(channel)
        got = (await messages.Pull(pb.PullRequest(queue="jobs", limit=100))).messages
        assert [message.id for message in got] == ids
        assert [message.payload for message in got] == [str(number).encode() for number in range(10)]
        assert got[0].properties == [pb.Property(name="n", value="1")]
        leases = [message.lease for message in got]
        assert (await messages.Ack(pb.AckRequest(leases=leases))).settled == 10
        assert (await problem_of(messages.Ack(pb.AckRequest(leases=leases))))[1] == "unknown-lease"
        info = await stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue="jobs"))
        assert (info.queue, info.numbers.depth) == ("jobs", 0)


async def test_a_policy_comes_back_complete(real):
    policy = pb.Policy(overflow=pb.OVERFLOW_DROP_OLDEST, max_messages=3, dead_letter="dead")
    await stubs.QueuesStub(real).CreateQueue(pb.CreateQueueRequest(queue="other", policy=policy))
    info = await stubs.QueuesStub(real).GetQueue(pb.GetQueueRequest(queue="other"))
    assert (info.policy.overflow, info.policy.max_messages) == (pb.OVERFLOW_DROP_OLDEST, 3)
    assert info.policy.HasField("single_active")
    queues = (await stubs.QueuesStub(real).ListQueues(pb.ListQueuesRequest())).queues
    assert {"jobs", "other"} <= {queue.queue for queue in queues}


async def test_a_full_queue_refuses_one_batch_of_a_stream(real):
    full = pb.CreateQueueRequest(queue="small", policy={"max_messages": 2})
    await stubs.QueuesStub(real).CreateQueue(full)
    call = stubs.MessagesStub(real).Produce()
    for number, queue in enumerate(["small", "small", "jobs", "none", "small"]):
        await call.write(pb.ProduceRequest(number=number, queue=queue, messages=[pb.OutMessage(text="x")]))
    await call.done_writing()
    results = [result async for result in call]
    assert [result.failure.code for result in results] == ["", "", "", "no-such-queue", "queue-full"]


async def test_a_thousand_batches_go_through_a_stream_in_order_and_out_of_another(real):
    messages = stubs.MessagesStub(real)
    produce = messages.Produce()

    async def send() -> None:
        for number in range(200):
            batch = [pb.OutMessage(text=f"{number}.{at}") for at in range(20)]
            await produce.write(pb.ProduceRequest(number=number, queue="jobs", messages=batch))
        await produce.done_writing()

    sending = asyncio.ensure_future(send())
    consume = messages.Consume()
    await consume.write(pb.ConsumeRequest(start={"queue": "jobs", "credit": 500}))
    got: list[str] = []
    settled = 0
    while settled < 4000:
        response = await consume.read()
        settled += response.settled.settled
        leases = [message.lease for message in response.messages.messages]
        got.extend(message.payload.decode() for message in response.messages.messages)
        if leases:
            await consume.write(pb.ConsumeRequest(ack={"leases": leases}))
    assert got == [f"{number}.{at}" for number in range(200) for at in range(20)]
    assert [result.number async for result in produce] == list(range(200))
    await sending
    await consume.done_writing()
    assert await consume.read() is grpc.aio.EOF


async def test_a_consumer_that_goes_leaves_its_messages_to_the_next_one(real):
    messages = stubs.MessagesStub(real)
    await messages.Enqueue(pb.EnqueueRequest(queue="jobs", messages=[{"text": "1"}, {"text": "2"}]))
    first = messages.Consume()
    await first.write(pb.ConsumeRequest(start={"queue": "jobs"}))
    assert len((await first.read()).messages.messages) == 2
    pulling = messages.Pull(pb.PullRequest(queue="jobs", limit=2, wait=60.0))
    first.cancel()
    assert [message.payload for message in (await pulling).messages] == [b"1", b"2"]


async def test_the_credit_of_a_consumer_comes_back_and_can_be_raised(real):
    messages = stubs.MessagesStub(real)
    await messages.Enqueue(pb.EnqueueRequest(queue="jobs", messages=[{"text": str(number)} for number in range(6)]))
    consume = messages.Consume()
    await consume.write(pb.ConsumeRequest(start={"queue": "jobs", "credit": 1}))
    (first,) = (await consume.read()).messages.messages
    await consume.write(pb.ConsumeRequest(more_credit=1))
    (second,) = (await consume.read()).messages.messages
    await consume.write(pb.ConsumeRequest(number=1, ack={"leases": [first.lease, second.lease]}))
    got = 0
    while got < 2:
        got += len((await consume.read()).messages.messages)
    assert got == 2


async def test_a_worker_answers_and_is_replaced_when_it_goes(real):
    services = stubs.ServicesStub(real)
    first = services.Serve()
    await first.write(pb.ServeRequest(start={"service": "echo", "credit": 1}))
    asked = services.Request(pb.RequestRequest(service="echo", text="hello", patient=True))
    (task,) = (await first.read()).tasks.tasks
    assert task.payload == b"hello"
    first.cancel()
    second = services.Serve()
    await second.write(pb.ServeRequest(start={"service": "echo", "credit": 1}))
    (again,) = (await second.read()).tasks.tasks
    await second.write(pb.ServeRequest(number=1, reply={"id": again.id, "text": "part", "more": True}))
    await second.write(pb.ServeRequest(number=2, reply={"id": again.id, "text": "end"}))
    assert [part.payload for part in (await asked).parts] == [b"part", b"end"]
    # The credit is back: the next one comes.
    asked = services.Request(pb.RequestRequest(service="echo", text="again"))
    tasks = []
    while not tasks:
        tasks = list((await second.read()).tasks.tasks)
    await second.write(pb.ServeRequest(reply={"id": tasks[0].id, "error": "E7", "text": "no"}))
    status, code, detail = await problem_of(asked)
    assert (status, code, detail) == (grpc.StatusCode.ABORTED, "service-failed", "no")


async def test_the_parts_of_a_reply_come_before_its_end(real):
    services = stubs.ServicesStub(real)
    worker = services.Serve()
    await worker.write(pb.ServeRequest(start={"service": "echo"}))
    call = services.RequestParts(pb.RequestRequest(service="echo", patient=True))
    (task,) = (await worker.read()).tasks.tasks
    await worker.write(pb.ServeRequest(reply={"id": task.id, "text": "1", "more": True}))
    assert (await call.read()).payload == b"1"
    await worker.write(pb.ServeRequest(reply={"id": task.id, "text": "2"}))
    assert (await call.read()).payload == b"2"
    assert await call.read() is grpc.aio.EOF


async def test_nobody_to_answer_is_told_at_once(real):
    ask = stubs.ServicesStub(real).Request
    await stubs.ServicesStub(real).CreateService(pb.CreateServiceRequest(service="echo"))
    refused = await problem_of(ask(pb.RequestRequest(service="echo")))
    assert refused[:2] == (grpc.StatusCode.UNAVAILABLE, "no-workers")
    late = await problem_of(ask(pb.RequestRequest(service="echo", timeout=0.1, patient=True)))
    assert late[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline-passed")


async def test_a_broker_stops_though_clients_wait():
    async with running() as (broker, channel):
        await stubs.QueuesStub(channel).CreateQueue(pb.CreateQueueRequest(queue="jobs"))
        messages = stubs.MessagesStub(channel)
        await messages.Enqueue(pb.EnqueueRequest(queue="jobs", messages=[{"text": "1"}]))
        consume = messages.Consume()
        await consume.write(pb.ConsumeRequest(start={"queue": "jobs"}))
        assert (await consume.read()).messages.messages
        pulling = messages.Pull(pb.PullRequest(queue="jobs", wait=300.0))
        # Calls come in the order in which they were made. One that had not come yet would be cancelled by gRPC itself.
        await stubs.QueuesStub(channel).GetQueue(pb.GetQueueRequest(queue="jobs"))
        stopping = asyncio.ensure_future(broker.__aexit__(None, None, None))
        assert (await problem_of(pulling))[0] is grpc.StatusCode.UNAVAILABLE
        assert (await problem_of(consume.read()))[:2] == (grpc.StatusCode.UNAVAILABLE, "shutting-down")
        await stopping


async def test_a_token_of_http_is_good_over_grpc_too():
    async with AsyncExitStack() as stack:
        plugin = Anna()
        given = {"listen": [LOOPBACK], "durability": "memory", "http": LOOPBACK, "grpc": LOOPBACK, "plugins": [plugin]}
        broker = await stack.enter_async_context(Broker(**given))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{broker.http_port}"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{broker.grpc_port}"))
        create = stubs.QueuesStub(channel).CreateQueue
        request = pb.CreateQueueRequest(queue="jobs")
        assert (await problem_of(create(request)))[1] == "not-logged-in"
        assert (await problem_of(create(request, metadata=basic("anna", "guess"))))[1] == "not-logged-in"
        token = (await http.post("/v1/tokens", auth=("anna", "secret"))).json()["token"]
        made = await create(request, metadata=(("authorization", f"Bearer {token}"),))
        assert made.owner == "anna"
        assert await create(request, metadata=basic("anna", "secret")) == made


class Guest:
    """Lets in everybody until the time that the password says."""

    def __init__(self) -> None:
        self.logins: list[Identity] = []

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity:
        expires_at = float(request.password or b"0")
        login = Identity(request.client_id, request.username, address=request.address, expires_at=expires_at)
        self.logins.append(login)
        return login


async def test_a_stream_does_not_outlive_the_login_that_it_was_begun_with():
    guest = Guest()
    async with running(plugins=[guest]) as (_, channel):
        messages = stubs.MessagesStub(channel)
        for_long = basic("anna", "9e9")
        await stubs.QueuesStub(channel).CreateQueue(pb.CreateQueueRequest(queue="jobs"), metadata=for_long)
        # One that waits for messages ends by itself, if it has begun at all.
        waiting = messages.Consume(metadata=basic("anna", str(time.time() + 1.0)))
        await waiting.write(pb.ConsumeRequest(start={"queue": "jobs"}))
        assert (await problem_of(waiting.read()))[:2] == (grpc.StatusCode.UNAUTHENTICATED, "not-logged-in")
        # One that has messages, or sends some, ends with the next.
        consume, produce = messages.Consume(metadata=for_long), messages.Produce(metadata=for_long)
        await produce.write(pb.ProduceRequest(number=1, queue="jobs", messages=[{"text": "1"}]))
        assert (await produce.read()).number == 1
        await consume.write(pb.ConsumeRequest(start={"queue": "jobs"}))
        (first,) = (await consume.read()).messages.messages
        for login in guest.logins:
            object.__setattr__(login, "expires_at", 1.0)
        await produce.write(pb.ProduceRequest(number=2, queue="jobs", messages=[{"text": "2"}]))
        assert (await produce.read()).failure.code == "not-logged-in"
        await consume.write(pb.ConsumeRequest(number=1, ack={"leases": [first.lease]}))
        assert (await consume.read()).failure.code == "not-logged-in"


class Anna:
    """Lets in one user, by her password."""

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal:
        if (request.username, request.password) != ("anna", b"secret"):
            return Refusal(NOT_AUTHORIZED, "who are you?")
        assert (request.version, request.client_id) in ((0, "grpc:anna"), (0, "http:anna"))
        return Identity(request.client_id, request.username, address=request.address)
