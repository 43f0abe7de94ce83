"""The bidirectional streams: pipelined batches, credit, back-pressure, and what happens when one side goes."""

import asyncio

import grpc
import pytest

from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc import mombroker_pb2_grpc as stubs
from mombroker.api.grpc.pipeline import PIPELINED, PIPELINED_BYTES, Pipeline
from mombroker.api.grpc.push import BATCH_BYTES, portions
from mombroker.operations.messages import Enqueue, InMessage, OutMessage
from mombroker.operations.problems import SHUTTING_DOWN, TOO_LARGE
from mombroker.operations.services import Request

from .conftest import MAX_MESSAGE
from .test_calls import code_of, until


def batch(number, *texts, queue="jobs"):
    """A batch of messages."""
    return pb.ProduceRequest(number=number, queue=queue, messages=[pb.OutMessage(text=text) for text in texts])


def consume(channel, queue="jobs", credit=10):
    """A consumer that has been started."""
    call = stubs.MessagesStub(channel).Consume()
    return call, call.write(pb.ConsumeRequest(start={"queue": queue, "credit": credit}))


async def ended(call):
    """The status and code that a stream has ended with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while await call.read() is not grpc.aio.EOF:
            pass
    return caught.value.code(), code_of(caught.value)


async def enqueued(native, *texts):
    """Messages that wait in the queue jobs."""
    native.put("jobs", ())
    if texts:
        await native.call(None, Enqueue(queue="jobs", messages=tuple(OutMessage(text=text) for text in texts)))


async def test_batches_are_answered_in_their_order(channel, native):
    call = stubs.MessagesStub(channel).Produce()
    for number in range(1, 201):
        await call.write(batch(number, f"{number}a", f"{number}b"))
    await call.done_writing()
    results = [result async for result in call]
    assert [result.number for result in results] == list(range(1, 201))
    assert results[1].enqueued.ids == ["m3", "m4"]
    assert [message.payload.decode() for message in native.ready["jobs"]][:4] == ["1a", "1b", "2a", "2b"]
    assert len(native.ready["jobs"]) == 400
    assert await call.code() is grpc.StatusCode.OK


async def test_batches_are_sent_before_the_first_one_is_on_disk(channel, native):
    native.gate.clear()
    call = stubs.MessagesStub(channel).Produce()
    for number in range(10):
        await call.write(batch(number, "x"))
    await until(native, lambda: len(native.calls) == 10)
    native.gate.set()
    assert [(await call.read()).number for _ in range(10)] == list(range(10))


async def test_a_batch_that_fails_costs_only_itself(channel, native):
    call = stubs.MessagesStub(channel).Produce()
    await call.write(batch(1, "x", queue="problem.queue-full"))
    await call.write(pb.ProduceRequest(number=2, queue="jobs", messages=[{"priority": 10}]))
    await call.write(pb.ProduceRequest(number=3, queue="jobs"))
    await call.write(batch(4, "x"))
    await call.done_writing()
    first, second, third, fourth = [result async for result in call]
    assert (first.number, first.failure.code, first.failure.worker_code) == (1, "queue-full", "E42 ü%")
    assert (second.failure.code, third.failure.code) == ("bad-request", "bad-request")
    assert "$.messages[0].priority" in second.failure.detail
    assert fourth.enqueued.ids == ["m1"]


async def test_a_producer_is_not_read_from_while_many_of_its_batches_wait_for_the_disk(channel, native):
    native.gate.clear()
    call = stubs.MessagesStub(channel).Produce()

    async def flood() -> None:
        for number in range(10 * PIPELINED):
            await call.write(batch(number, "x" * 10_000))
        await call.done_writing()

    flooding = asyncio.ensure_future(flood())
    await until(native, lambda: len(native.calls) == PIPELINED)
    for _ in range(20):
        # Everybody else is served meanwhile.
        assert (await stubs.QueuesStub(channel).ListGrants(pb.ListGrantsRequest())).grants
    assert sum(isinstance(call, Enqueue) for call in native.calls) == PIPELINED
    native.gate.set()
    assert [result.number async for result in call] == list(range(10 * PIPELINED))
    await flooding


async def test_a_client_that_does_not_read_its_answers_is_not_read_from():
    read: list[int] = []
    reads = asyncio.Event()

    async def requests():
        for number in range(10 * PIPELINED):
            read.append(number)
            yield b""

    async def step() -> bytes:
        return b""

    async def write(data: bytes) -> None:
        await reads.wait()

    running = asyncio.ensure_future(Pipeline(lambda data: step(), write).run(requests()))
    for _ in range(20 * PIPELINED):
        await asyncio.sleep(0)
    assert len(read) == PIPELINED
    reads.set()
    await running
    assert len(read) == 10 * PIPELINED


async def test_a_pipeline_holds_only_so_many_bytes():
    begun = 0
    gate = asyncio.Event()

    async def requests():
        for _ in range(10):
            yield bytes(PIPELINED_BYTES // 2)

    async def step() -> bytes:
        nonlocal begun
        begun += 1
        await gate.wait()
        return b""

    async def write(data: bytes) -> None:
        return None

    running = asyncio.ensure_future(Pipeline(lambda data: step(), write).run(requests()))
    for _ in range(100):
        await asyncio.sleep(0)
    assert begun == 2
    gate.set()
    await running
    assert begun == 10


async def test_a_producer_may_go_at_any_time(channel, native):
    native.gate.clear()
    call = stubs.MessagesStub(channel).Produce()
    await call.write(batch(1, "x"))
    await until(native, lambda: native.calls)
    call.cancel()
    native.gate.set()
    assert (await stubs.QueuesStub(channel).ListGrants(pb.ListGrantsRequest())).grants


async def test_a_malformed_batch_ends_the_stream_after_the_answers_to_those_before_it(channel):
    raw = channel.stream_stream("/mombroker.v1.Messages/Produce")()
    await raw.write(batch(7, "x").SerializeToString())
    await raw.write(b"\xff")
    assert pb.ProduceResponse.FromString(await raw.read()).number == 7
    assert await ended(raw) == (grpc.StatusCode.INVALID_ARGUMENT, "bad-request")


async def test_a_batch_that_is_too_large_ends_the_stream(channel):
    call = stubs.MessagesStub(channel).Produce()
    await call.write(batch(1, "x" * MAX_MESSAGE))
    assert await ended(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, TOO_LARGE)


async def test_a_consumer_gets_messages_and_acknowledges_them(channel, native):
    await enqueued(native, "1", "2")
    call, started = consume(channel)
    await started
    got = (await call.read()).messages.messages
    assert [message.payload for message in got] == [b"1", b"2"]
    await call.write(pb.ConsumeRequest(number=5, ack={"leases": [message.lease for message in got]}))
    assert await call.read() == pb.ConsumeResponse(number=5, settled={"settled": 2})
    assert not native.leased
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_consumer_never_has_more_than_its_credit(channel, native):
    await enqueued(native, *"12345")
    call, started = consume(channel, credit=2)
    await started
    got = list((await call.read()).messages.messages)
    assert [message.payload for message in got] == [b"1", b"2"]
    assert (len(native.leased), native.streams[0].batches) == (2, 1)
    await call.write(pb.ConsumeRequest(ack={"leases": [got[0].lease]}))
    answers = [await call.read(), await call.read()]
    (more,) = [answer.messages.messages for answer in answers if answer.messages.messages]
    assert [message.payload for message in more] == [b"3"]
    assert len(native.leased) == 2


async def test_a_consumer_may_raise_its_credit(channel, native):
    await enqueued(native, *"123")
    call, started = consume(channel, credit=1)
    await started
    assert len((await call.read()).messages.messages) == 1
    await call.write(pb.ConsumeRequest(more_credit=2))
    assert len((await call.read()).messages.messages) == 2


async def test_a_consumer_nacks_and_extends(channel, native):
    await enqueued(native, "1")
    call, started = consume(channel, credit=1)
    await started
    (first,) = (await call.read()).messages.messages
    await call.write(pb.ConsumeRequest(number=1, extend={"leases": [first.lease], "seconds": 5.0}))
    assert await call.read() == pb.ConsumeResponse(number=1, settled={"settled": 1})
    await call.write(pb.ConsumeRequest(number=2, nack={"leases": [first.lease]}))
    answers = [await call.read(), await call.read()]
    (again,) = [message for answer in answers for message in answer.messages.messages]
    assert (again.id, again.deliveries) == (first.id, 2)


async def test_a_lease_that_is_not_held_is_a_failure_of_its_step(channel, native):
    await enqueued(native, "1")
    call, started = consume(channel)
    await started
    await call.read()
    await call.write(pb.ConsumeRequest(number=9, ack={"leases": ["no"]}))
    answer = await call.read()
    assert (answer.number, answer.failure.code) == (9, "unknown-lease")
    await call.write(pb.ConsumeRequest(number=10, extend={"leases": ["no"]}))
    assert (await call.read()).failure.code == "bad-request"


@pytest.mark.parametrize("how", ["half-close", "cancel"])
async def test_a_consumer_that_goes_gives_its_messages_back(channel, native, how):
    await enqueued(native, "1", "2")
    call, started = consume(channel)
    await started
    await call.read()
    assert len(native.leased) == 2
    if how == "cancel":
        call.cancel()
    else:
        await call.done_writing()
    await native.streams[0].closed.wait()
    assert not native.leased
    assert [message.payload for message in native.ready["jobs"]] == [b"1", b"2"]


async def test_the_deadline_of_a_stream_ends_it(channel, native):
    await enqueued(native)
    call = stubs.MessagesStub(channel).Consume(timeout=0.2)
    await call.write(pb.ConsumeRequest(start={"queue": "jobs"}))
    assert (await ended(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await native.streams[0].closed.wait()


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([], "bad-request"),
        ([pb.ConsumeRequest(ack={"leases": ["l"]})], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "no/name"})], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "jobs", "credit": 0})], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "jobs", "credit": 65_536})], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "jobs"}), pb.ConsumeRequest(start={"queue": "jobs"})], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "jobs"}), pb.ConsumeRequest()], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "jobs"}), pb.ConsumeRequest(more_credit=0)], "bad-request"),
        ([pb.ConsumeRequest(start={"queue": "none"})], "no-such-queue"),
    ],
    ids=lambda value: str(value).replace("\n", " ") if isinstance(value, list) else value,
)
async def test_a_stream_that_makes_no_sense_is_told_so(channel, native, steps, code):
    await enqueued(native)
    call = stubs.MessagesStub(channel).Consume()
    for step in steps:
        await call.write(step)
    if not steps:
        await call.done_writing()
    assert (await ended(call))[1] == code


async def test_a_consumer_is_told_when_its_queue_goes(channel, native):
    await enqueued(native, "1")
    call, started = consume(channel)
    await started
    await call.read()
    native.streams[0]._held.clear()
    del native.ready["jobs"]
    native.changed.notify()
    assert await ended(call) == (grpc.StatusCode.NOT_FOUND, "no-such-queue")


async def test_a_consumer_is_told_that_the_broker_stops(server, channel, native):
    await enqueued(native, "1")
    call, started = consume(channel)
    await started
    await call.read()
    stopping = asyncio.ensure_future(server.stop())
    assert await ended(call) == (grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
    await stopping
    assert not native.leased


async def test_a_consumer_that_does_not_read_costs_only_itself(channel, connect, native):
    """The window of its connection is full long before its credit is used up."""
    await enqueued(native, *(["x" * 60_000] * 200))
    slow, started = consume(connect(use_local_subchannel_pool=1, http2_bdp_probe=0), credit=150)
    await started
    await until(native, lambda: len(native.leased) == 150)
    other, started = consume(channel, credit=50)
    await started
    messages = (await other.read()).messages.messages
    await other.write(pb.ConsumeRequest(number=1, ack={"leases": [message.lease for message in messages]}))
    while (response := await other.read()).number != 1:
        messages.extend(response.messages.messages)
    assert response.settled.settled > 0
    assert len(native.streams[0]._held) == 150
    slow.cancel()
    await native.streams[0].closed.wait()
    assert not native.streams[0]._held


async def test_a_worker_gets_requests_and_answers_them(channel, native):
    services = stubs.ServicesStub(channel)
    worker = services.Serve()
    await worker.write(pb.ServeRequest(start={"service": "thumbs", "credit": 1}))
    await until(native, lambda: native.streams)
    asked = [services.Request(pb.RequestRequest(service="thumbs", text=text)) for text in ("a", "b")]
    (task,) = (await worker.read()).tasks.tasks
    await worker.write(pb.ServeRequest(number=1, reply={"id": task.id, "payload": task.payload.upper()}))
    answers = [await worker.read(), await worker.read()]
    assert pb.ServeResponse(number=1, done={}) in answers
    (other,) = [task for answer in answers for task in answer.tasks.tasks]
    await worker.write(pb.ServeRequest(number=2, reply={"id": other.id, "error": "E1", "text": "broken"}))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    (reply,) = [outcome for outcome in outcomes if isinstance(outcome, pb.Reply)]
    assert reply.parts[0].payload == task.payload.upper()
    (error,) = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "broken")
    assert dict(error.trailing_metadata())["mom-worker-code"] == "E1"


async def test_a_worker_that_goes_gives_its_requests_back(channel, native):
    services = stubs.ServicesStub(channel)
    worker = services.Serve()
    await worker.write(pb.ServeRequest(start={"service": "thumbs"}))
    await until(native, lambda: native.streams)
    asked = services.Request(pb.RequestRequest(service="thumbs"))
    (task,) = (await worker.read()).tasks.tasks
    worker.cancel()
    await native.streams[0].closed.wait()
    other = services.Serve()
    await other.write(pb.ServeRequest(start={"service": "thumbs"}))
    (again,) = (await other.read()).tasks.tasks
    assert again.id == task.id
    await other.write(pb.ServeRequest(number=1, reply={"id": "none"}))
    assert (await other.read()).failure.code == "no-such-request"
    await other.write(pb.ServeRequest(reply={"id": again.id}))
    assert len((await asked).parts) == 1


async def test_the_parts_of_a_reply_come_one_by_one(channel, native):
    call = stubs.ServicesStub(channel).RequestParts(pb.RequestRequest(service="thumbs", text="p"), timeout=60.0)
    assert [(await call.read()).payload for _ in range(3)] == [b"p0", b"p1", b"p2"]
    assert await ended(call) == (grpc.StatusCode.ABORTED, "service-failed")
    (request,) = native.calls
    assert isinstance(request, Request)
    assert request.timeout == 30.0


async def test_a_caller_that_goes_cancels_its_request(channel, native):
    call = stubs.ServicesStub(channel).RequestParts(pb.RequestRequest(service="thumbs", patient=True))
    assert (await call.read()).payload == b"0"
    call.cancel()
    await native.closed_parts.wait()


async def test_a_request_that_is_over_keeps_no_worker_from_the_next_one(channel, native):
    services = stubs.ServicesStub(channel)
    worker = services.Serve()
    await worker.write(pb.ServeRequest(start={"service": "thumbs", "credit": 1}))
    await until(native, lambda: native.streams)
    first = services.Request(pb.RequestRequest(service="thumbs", text="1"))
    (task,) = (await worker.read()).tasks.tasks
    second = services.Request(pb.RequestRequest(service="thumbs", text="2"))
    await until(native, lambda: len(native.tasks) == 2)
    del native.replies[task.id]
    await worker.write(pb.ServeRequest(number=1, reply={"id": task.id, "more": True}))
    assert (await worker.read()).failure.code == "no-such-request"
    await worker.write(pb.ServeRequest(number=2, reply={"id": task.id}))
    answers = [await worker.read(), await worker.read()]
    assert [answer.failure.code for answer in answers if answer.number] == ["no-such-request"]
    assert [task.payload for answer in answers for task in answer.tasks.tasks] == [b"2"]
    first.cancel()
    second.cancel()


def test_large_batches_go_out_in_portions():
    small = InMessage(id="s", queue="q", payload=b"x" * 1000)
    large = InMessage(id="l", queue="q", payload=b"x" * (BATCH_BYTES + 1))
    assert list(portions(())) == []
    assert list(portions((small, small))) == [(small, small)]
    assert list(portions((large, large))) == [(large,), (large,)]
    assert list(portions((small, large, small))) == [(small,), (large,), (small,)]
    many = (small,) * 2000
    assert [len(portion) for portion in portions(many)] == [1048, 952]
