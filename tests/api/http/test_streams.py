"""Server-Sent Events: messages pushed with credit, and streams that end well."""

import asyncio
import json

import pytest
import structlog

from mombroker.api.http import events

from .conftest import client_of, problem_of, until
from .raw import Raw


def parsed(event: bytes) -> tuple[str, dict]:
    name, data = event.decode().strip().split("\n")
    assert name.startswith("event: ") and data.startswith("data: ")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.fixture
async def jobs(http):
    await http.put("/v1/queues/jobs")
    return http


async def test_messages_are_pushed_within_the_credit_and_an_acknowledgement_gives_it_back(jobs, server):
    for number in range(3):
        await jobs.post("/v1/queues/jobs/messages", content=b"m%d\n" % number)
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream?credit=2")
        head = await raw.until(b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head
        (_, first), (_, second) = [parsed(event) for event in await raw.events(2)]
        assert (first["text"], second["text"]) == ("m0\n", "m1\n")
        assert len((await jobs.get("/v1/queues/jobs/messages")).json()["messages"]) == 1
        await jobs.delete(f"/v1/leases/{first['lease']}")
        ((name, third),) = [parsed(event) for event in await raw.events(1)]
        assert (name, third["text"]) == ("message", "m2\n")


async def test_when_the_client_goes_its_messages_are_for_others(jobs, server, native):
    await jobs.post("/v1/queues/jobs/messages", content=b"again")
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream")
        await raw.events(1)
    await asyncio.wait_for(native.consumptions[0].closed.wait(), 20)
    (message,) = (await jobs.post("/v1/queues/jobs/pull")).json()["messages"]
    assert (message["text"], message["deliveries"]) == ("again", 2)


async def test_a_stream_of_an_empty_queue_begins_and_waits(jobs, server):
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream")
        assert b": ready\n\n" in await raw.until(b": ready\n\n")
        await jobs.post("/v1/queues/jobs/messages", content=b"late")
        assert parsed((await raw.events(1))[0])[1]["text"] == "late"


async def test_a_problem_at_the_beginning_is_a_status_and_a_later_one_an_event(jobs, server):
    response = await jobs.get("/v1/queues/none/stream")
    assert (response.status_code, problem_of(response)["code"]) == (404, "no-such-queue")
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream")
        await raw.until(b": ready\n\n")
        await jobs.post("/v1/queues/jobs/messages", content=b"x")
        await raw.events(1)
        await jobs.delete("/v1/queues/jobs")
        await jobs.put("/v1/queues/other")
        await jobs.post("/v1/queues/other/messages", content=b"x")
        name, problem = parsed((await raw.events(1))[0])
        assert (name, problem["code"], problem["status"]) == ("problem", "no-such-queue", 404)


async def test_an_error_in_a_stream_is_logged_and_told(jobs, server, native, monkeypatch):
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream")
        await raw.until(b": ready\n\n")

        def broken(queue: str, limit: int) -> None:
            raise RuntimeError("inner secrets")

        monkeypatch.setattr(native, "take", broken)
        with structlog.testing.capture_logs() as logs:
            await jobs.post("/v1/queues/jobs/messages", content=b"x")
            name, problem = parsed((await raw.events(1))[0])
        assert (name, problem["code"]) == ("problem", "internal")
        assert "secrets" not in str(problem)
        assert [entry["event"] for entry in logs] == ["an event stream failed"]


async def test_a_quiet_stream_shows_that_it_lives(jobs, server, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.01)
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream")
        assert await raw.until(b": waiting\n\n")


async def test_a_client_that_stops_reading_loses_its_messages_to_others(jobs, server, native, monkeypatch):
    monkeypatch.setattr(events, "STALLED_SECONDS", 0.2)
    for _ in range(16):
        await jobs.post("/v1/queues/jobs/messages", content=b"x" * 1_000_000)
    async with await Raw.open(server.ports[0]) as raw:
        raw.writer.transport.pause_reading()
        raw.request("GET /v1/queues/jobs/stream")
        await until(lambda: native.consumptions)
        for _ in range(16):
            await jobs.post("/v1/queues/jobs/messages", content=b"x" * 1_000_000)
        await asyncio.wait_for(native.consumptions[0].closed.wait(), 20)
    assert native.leased == {}
    assert len(native.waiting["jobs"]) == 32


async def test_a_broker_that_stops_ends_its_streams_with_a_word(serve, native):
    server = await serve()
    async with client_of(server) as http:
        await http.put("/v1/queues/jobs")
        await http.post("/v1/queues/jobs/messages", content=b"back")
        raw = await Raw.open(server.ports[0])
        raw.request("GET /v1/queues/jobs/stream")
        await raw.events(1)
        await server.stop()
        rest = await raw.rest()
        await raw.close()
    assert b"event: problem\n" in rest and b"shutting-down" in rest
    assert native.leased == {}
    assert [message.payload for message in native.waiting["jobs"]] == [b"back"]


async def test_one_stream_never_holds_more_than_its_credit(jobs, server, native):
    body = b'{"messages":[' + b",".join(b'{"text":"%d"}' % number for number in range(50)) + b"]}"
    await jobs.post(
        "/v1/queues/jobs/messages", content=body, headers={"content-type": "application/vnd.mombroker.messages+json"}
    )
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("GET /v1/queues/jobs/stream?credit=7")
        seen = []
        while len(seen) < 50:
            assert len(native.leased) <= 7
            _, message = parsed((await raw.events(1))[0])
            seen.append(message["text"])
            await jobs.delete(f"/v1/leases/{message['lease']}")
    assert seen == [str(number) for number in range(50)]
