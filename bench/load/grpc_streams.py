"""The streams of mombroker's gRPC API: batches into a queue, and messages out of it that are settled in batches."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from bench.load.asking import on_a_loop
from bench.load.board import Board
from bench.load.payloads import Payloads, form, rows
from bench.load.reports import Effort, Ready, Report
from bench.verify import Tally

UNDER_WAY = 32
"""Batches that are sent before the first of them is answered."""

SILENCE = 3.0
"""Seconds without a message after which the rest counts as lost."""


@dataclass(frozen=True)
class Produce:
    """Send batches for ``seconds``."""

    port: int
    queue: str
    run: int
    payload: int
    seconds: float
    batch: int = 1000


@dataclass(frozen=True)
class Consume:
    """Take what the board says is there, with so much ``credit``, and acknowledge each portion that comes."""

    port: int
    queue: str
    run: int
    payload: int
    seconds: float
    credit: int = 10_000


def _stream(channel: Any, method: str, response: Any) -> Any:
    # Requests are made as bytes: what a client needs to write messages is not what is measured.
    return channel.stream_stream(f"/mombroker.v1.Messages/{method}", response_deserializer=response.FromString)()


def produce(order: Produce, board: Board, ready: Ready) -> Report:
    """Fill the queue, which is there. What is in it is on the board when all of it is acknowledged."""
    return on_a_loop(_produce(order, board, ready))


async def _produce(order: Produce, board: Board, ready: Ready) -> Report:
    import grpc.aio

    from mombroker.api.grpc import mombroker_pb2 as pb

    payloads = Payloads(form(order.payload), order.run)
    room = asyncio.Semaphore(UNDER_WAY)
    answered, refused, sent = 0, "", 0

    async with grpc.aio.insecure_channel(f"127.0.0.1:{order.port}") as channel:
        stream = _stream(channel, "Produce", pb.ProduceResponse)
        ready()
        effort = Effort()

        async def hear() -> None:
            nonlocal answered, refused
            async for answer in stream:
                if answer.HasField("failure"):
                    refused = f"REFUSED: {answer.failure.code}: {answer.failure.detail}"
                answered += len(answer.enqueued.ids)
                room.release()

        hearing = asyncio.ensure_future(hear())
        while time.monotonic() < effort.began + order.seconds and not refused:
            await room.acquire()
            messages = [pb.OutMessage(payload=one) for one in payloads.make(sent, order.batch)]
            sent += order.batch
            await stream.write(pb.ProduceRequest(queue=order.queue, messages=messages).SerializeToString())
        await stream.done_writing()
        await hearing
        board.announce([answered])
        return effort.report(answered, trouble=refused)


def consume(order: Consume, board: Board, ready: Ready) -> Report:
    """Empty the queue."""
    return on_a_loop(_consume(order, board, ready))


async def _consume(order: Consume, board: Board, ready: Ready) -> Report:
    import grpc.aio

    from mombroker.api.grpc import mombroker_pb2 as pb

    layout = form(order.payload)
    tally, expected = Tally(layout, order.run), board.sent
    settled = 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{order.port}") as channel:
        stream = _stream(channel, "Consume", pb.ConsumeResponse)
        ready()
        effort = Effort()
        until = effort.began + order.seconds
        start = pb.ConsumeRequest.Start(queue=order.queue, credit=order.credit)
        await stream.write(pb.ConsumeRequest(start=start).SerializeToString())
        last = effort.began
        while settled < expected and time.monotonic() < until:
            try:
                answer = await asyncio.wait_for(stream.read(), SILENCE)
            except TimeoutError:
                break
            settled += answer.settled.settled
            if messages := answer.messages.messages:
                tally.take(rows(layout, [message.payload for message in messages]))
                ack = pb.AckRequest(leases=[message.lease for message in messages])
                await stream.write(pb.ConsumeRequest(ack=ack).SerializeToString())
            last = time.monotonic()
        await stream.done_writing()
        return effort.report(tally.received, last, late=last > until, verdict=tally.verdict([expected]))
