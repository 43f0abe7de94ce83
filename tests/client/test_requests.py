"""Requests and services through the client, over a real broker."""

import asyncio
import json
import logging
import threading

import pytest

import mombroker
from mombroker.client import Part, Problem, ServiceError

from .conftest import SOON


async def test_a_request_is_answered_with_what_the_handler_returns(mom):
    @mom.service("upper")
    async def upper(request):
        assert 0 < request.remaining < 31
        return Part(
            payload=request.text.upper().encode(),
            content_type="text/plain",
            properties=tuple(request.properties.items()),
        )

    await mom.serving()
    reply = await mom.request("upper", "abc", content_type="text/x", properties={"a": "b"})
    assert (reply.text, reply.content_type, reply.properties) == ("ABC", "text/plain", {"a": "b"})
    assert len(reply.parts) == 1


@pytest.mark.parametrize("threads", [True, False])
async def test_a_plain_function_serves_in_a_thread_or_right_there(mom, threads):
    seen = []

    def handler(request):
        seen.append(threading.current_thread())
        return request.payload

    await mom.serve("echo", handler, threads=threads)
    assert (await mom.request("echo", b"x")).payload == b"x"
    assert (seen == [threading.main_thread()]) is not threads


@pytest.mark.parametrize(("answer", "payload"), [(None, b""), ("ä", "ä".encode()), (bytearray(b"x"), b"x"), (b"", b"")])
async def test_a_handler_may_return_bytes_text_or_nothing(mom, answer, payload):
    await mom.serve("s", lambda request: answer)
    assert (await mom.request("s")).payload == payload


async def test_a_reply_in_parts_comes_as_it_is_made(mom):
    go_on = asyncio.Event()

    @mom.service("count")
    async def count(request):
        for number in range(3):
            yield f"{number}"
            if number == 1:
                await go_on.wait()

    await mom.serving()
    parts = await mom.request_parts("count")
    # A part leaves when the next one is there: only then it is known not to be the last one.
    assert (await anext(parts)).payload == b"0"
    go_on.set()
    assert [part.payload async for part in parts] == [b"1", b"2"]
    whole = await mom.request("count")
    assert (whole.payload, len(whole.parts)) == (b"012", 3)


async def test_a_failure_reaches_the_caller_typed(mom, caplog):
    @mom.service("bad")
    async def bad(request):
        raise ServiceError("E42", "not today")

    @mom.service("bug")
    def bug(request):
        raise ZeroDivisionError("oops")

    @mom.service("half")
    async def half(request):
        yield b"1"
        yield b"2"
        raise ServiceError("late", "broke down")

    await mom.serving()
    for service, code, detail in (("bad", "E42", "not today"), ("bug", "ZeroDivisionError", "oops")):
        with pytest.raises(Problem) as caught:
            await mom.request(service)
        assert (caught.value.code, caught.value.worker_code, caught.value.detail) == ("service-failed", code, detail)
    assert [record.levelno for record in caplog.records if record.name == "mombroker.client"] == [logging.ERROR]
    parts = await mom.request_parts("half")
    assert (await anext(parts)).payload == b"1"
    with pytest.raises(Problem) as late:
        await anext(parts)
    assert late.value.worker_code == "late"


async def test_nobody_who_serves_is_told_at_once_unless_the_caller_is_patient(mom):
    with pytest.raises(Problem) as caught:
        await mom.request("s")
    assert caught.value.code == "no-such-service"
    worker = await mom.serve("s", lambda request: b"here")
    await worker.close()
    with pytest.raises(Problem) as gone:
        await mom.request("s")
    assert gone.value.code == "no-workers"
    waiting = asyncio.create_task(mom.request("s", patient=True))
    await mom.publish("x")
    await mom.serve("s", lambda request: b"back")
    assert (await waiting).payload == b"back"


async def test_a_deadline_that_passes_is_a_problem(mom):
    held = asyncio.Event()

    async def hold(request):
        await held.wait()

    await mom.serve("slow", hold)
    with pytest.raises(Problem) as caught:
        await mom.request("slow", timeout=0.05)
    assert caught.value.code == "deadline-passed"
    held.set()


async def test_no_more_requests_than_agreed_are_worked_on_at_a_time(mom):
    working = 0
    most = 0

    async def work(request):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0)
        working -= 1

    await mom.serve("s", work, concurrency=3)
    await asyncio.gather(*[mom.request("s") for _ in range(30)])
    assert 1 <= most <= 3


async def test_a_worker_that_vanishes_hands_its_request_to_another_one(broker, mom):
    got = asyncio.Event()

    async def hold(request):
        got.set()
        await asyncio.Event().wait()

    other = mombroker.connect(f"mqtt://127.0.0.1:{broker.port}")
    await other.__aenter__()
    await other.serve("s", hold)
    asking = asyncio.create_task(mom.request("s"))
    await got.wait()
    await mom.serve("s", lambda request: b"the other one")
    await other.close()
    assert (await asking).payload == b"the other one"


async def test_requests_from_many_tasks_do_not_get_mixed_up(mom):
    await mom.serve("echo", lambda request: request.payload, threads=False, concurrency=1000)

    async def ask(number):
        return int((await mom.request("echo", b"%d" % number)).payload)

    assert await asyncio.gather(*[ask(number) for number in range(500)]) == list(range(500))


async def test_a_caller_that_gives_up_disturbs_nobody(mom):
    held = asyncio.Event()

    async def hold(request):
        await held.wait()
        return b"late"

    await mom.serve("slow", hold)
    await mom.serve("echo", lambda request: request.payload)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await mom.request("slow")
    held.set()
    assert (await mom.request("echo", b"x")).payload == b"x"


async def test_a_reply_can_be_fetched_later_by_its_id(broker, mom):
    await mom.serve("s", lambda request: request.payload + b"!")
    later = await mom.request_later("s", b"x")
    assert await later.wait(10)
    assert (await later.result()).payload == b"x!"
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as other:
        assert (await other.later(later.id).result(10)).payload == b"x!"
        assert (await other.fetch(later.id)).state == "done"


async def test_later_failures_are_the_same_problems(mom):
    async def fail(request):
        raise ServiceError("E1", "no")

    await mom.serve("s", fail)
    later = await mom.request_later("s")
    with pytest.raises(Problem) as caught:
        await later.result(10)
    assert (caught.value.code, caught.value.worker_code) == ("service-failed", "E1")
    with pytest.raises(Problem) as unknown:
        await mom.later("nothing").state()
    assert unknown.value.code == "no-such-request"


async def test_a_later_request_can_be_cancelled_and_waited_for_in_vain(mom):
    held = asyncio.Event()

    async def hold(request):
        await held.wait()

    await mom.serve("slow", hold)
    later = await mom.request_later("slow")
    assert not await later.wait(0.05)
    with pytest.raises(Problem) as caught:
        await later.result(0.05)
    assert caught.value.code == "deadline-passed"
    await later.cancel()
    with pytest.raises(Problem) as cancelled:
        await later.result(1)
    assert cancelled.value.code in ("cancelled", "no-such-request")
    held.set()


async def test_a_service_that_cannot_be_served_is_told_where_it_is_waited_for(mom):
    @mom.service("no/name")
    async def never(request): ...

    with pytest.raises(Problem) as caught:
        await mom.serve_forever()
    assert caught.value.code == "bad-request"


async def test_serving_ends_with_the_worker(mom):
    worker = await mom.serve("s", lambda request: b"")
    serving = asyncio.create_task(mom.serve_forever())
    await asyncio.sleep(0)
    await worker.close()
    await serving


async def test_a_reply_too_large_for_the_broker_is_a_failure_and_not_silence(start):
    broker = await start(mqtt__max_packet_size=100_000)
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        await mom.serve("s", lambda request: b"x" * 200_000)
        with pytest.raises(Problem) as caught:
            await mom.request("s")
        assert caught.value.worker_code == "reply-too-large"


async def test_services_come_back_with_the_broker(tmp_path):
    from mombroker.broker import Broker

    async with Broker(listen=["127.0.0.1:0"], data=str(tmp_path)) as broker:
        port = broker.port
        mom = mombroker.connect(f"mqtt://127.0.0.1:{port}", backoff=SOON)
        await mom.__aenter__()
        await mom.serve("s", lambda request: b"here")
        assert (await mom.request("s")).payload == b"here"
    async with Broker(listen=[f"127.0.0.1:{port}"], data=str(tmp_path)):
        assert (await mom.request("s", patient=True)).payload == b"here"
        await mom.close()


async def test_an_mqtt_client_without_this_library_can_serve_and_ask(mom, broker):
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as plain:
        async with plain.subscribe("$service/s/request/+") as requests:
            asking = asyncio.create_task(mom.request("s", b"x"))
            request = await anext(requests)
            await plain.publish(f"{request.response_topic}/error", json.dumps({"code": "c", "detail": "d"}))
            with pytest.raises(Problem) as caught:
                await asking
            assert (caught.value.worker_code, caught.value.detail) == ("c", "d")
