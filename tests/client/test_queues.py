"""Named queues through the client, over a real broker."""

import asyncio

import pytest

import mombroker
from mombroker.client import (
    ClientClosed,
    ConnectionLost,
    NotSupported,
    OutMessage,
    Problem,
    PublishesRefused,
)
from mombroker.client.later import Later
from mombroker.hooks import hookimpl
from mombroker.mqtt import Properties
from mombroker.operations.queues import ListQueues, PurgeQueue


@pytest.fixture
async def queue(mom):
    made = mom.queue("orders")
    await made.create(retry_delay=0.0)
    return made


async def test_a_queue_is_made_changed_looked_at_and_deleted(mom):
    queue = mom.queue("orders")
    info = await queue.create(max_messages=5, overflow="reject", bindings=["orders/#"])
    assert (info.queue, info.policy.max_messages, info.bindings) == ("orders", 5, ("orders/#",))
    assert (await queue.change(max_messages=6)).policy.max_messages == 6
    assert (await queue.change(bindings=[])).bindings == ()
    await queue.put(b"1")
    assert (await queue.info()).numbers.depth == 1
    assert [found.queue for found in (await mom.call(ListQueues())).queues] == ["orders"]
    assert await queue.purge() == 1
    await queue.put(b"2")
    assert await queue.delete() == 1
    with pytest.raises(Problem) as caught:
        await queue.info()
    assert caught.value.code == "no-such-queue"


async def test_what_is_put_is_pulled_with_all_that_belongs_to_it(queue):
    id = await queue.put(
        "text", priority=7, key="k", content_type="text/plain", properties={"a": "b"}, ttl=60, id="mine"
    )
    assert id == "mine"
    (message,) = await queue.pull()
    assert (message.id, message.queue, message.text, message.priority, message.key) == (
        "mine",
        "orders",
        "text",
        7,
        "k",
    )
    assert (message.content_type, message.properties, message.deliveries) == ("text/plain", {"a": "b"}, 1)
    assert message.content.expires_at > 0
    await message.ack()
    assert (await queue.info()).numbers.depth == 0
    with pytest.raises(Problem) as caught:
        await message.ack()
    assert caught.value.code == "unknown-lease"


async def test_many_messages_are_put_pulled_and_acknowledged_together(queue):
    assert await queue.put_many([b"0", "1", OutMessage(text="2", priority=9)]) == 3
    messages = await queue.pull(10)
    assert [message.payload for message in messages] == [b"2", b"0", b"1"]
    assert await queue.ack(messages[:2]) == 2
    assert await queue.nack(messages[2:], delay=0) == 1
    (again,) = await queue.pull(wait=5)
    assert again.deliveries == 2
    await again.extend(60)
    await again.nack(dead_letter=True, reason="no use")
    assert await queue.ack([]) == 0
    assert (await queue.info()).numbers.depth == 0


async def test_messages_can_be_put_as_they_come(queue):
    async def come():
        for number in range(3):
            yield b"%d" % number

    assert await queue.put_many(come()) == 3
    assert [found.payload for found in await queue.peek()] == [b"0", b"1", b"2"]


async def test_a_pull_waits_for_the_first_message(queue):
    pulling = asyncio.create_task(queue.pull(wait=30))
    await queue.info()
    await queue.put(b"late")
    assert [message.payload for message in await pulling] == [b"late"]
    assert await queue.pull(wait=0) == []


async def test_messages_can_be_looked_at_without_taking_them(queue):
    id = await queue.put(b"1")
    assert (await queue.find(id)).payload == b"1"
    assert [found.id for found in await queue.peek()] == [id]
    with pytest.raises(Problem) as caught:
        await queue.find("nothing")
    assert caught.value.code == "no-such-message"


async def test_messages_are_pushed_and_settled_one_by_one(queue):
    await queue.put_many([b"%d" % number for number in range(5)])
    async with queue.consume(credit=2) as messages:
        first, second = await anext(messages), await anext(messages)
        numbers = (await queue.info()).numbers
        assert (numbers.leased, numbers.consumers) == (2, 1)
        await second.ack()
        third = await anext(messages)
        assert [message.payload for message in (first, second, third)] == [b"0", b"1", b"2"]
        await third.nack()
        seen = [await anext(messages)]
        await first.ack()
        while seen[-1].payload != b"2":
            await seen[-1].ack()
            seen.append(await anext(messages))
        assert seen[-1].deliveries == 2
        with pytest.raises(Problem) as caught:
            await first.ack()
        assert caught.value.code == "unknown-lease"
        await seen[-1].extend(10)


async def test_what_a_consumer_leaves_unsettled_goes_back(queue):
    await queue.put(b"1")
    async with queue.consume() as messages:
        await anext(messages)
    (message,) = await queue.pull(wait=5)
    assert (message.payload, message.deliveries) == (b"1", 2)


async def test_with_auto_ack_a_message_is_done_when_the_next_one_is_asked_for(queue):
    await queue.put_many([b"1", b"2", b"3"])
    async with queue.consume(credit=1, auto_ack=True) as messages:
        for expected in (b"1", b"2", b"3"):
            assert (await anext(messages)).payload == expected
    assert (await queue.info()).numbers.depth == 0


async def test_a_consumer_ends_with_its_client(broker):
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        queue = mom.queue("q")
        await queue.create()
        messages = queue.consume()
        await messages.open()
        waiting = asyncio.create_task(anext(messages, None))
        await asyncio.sleep(0)
    assert await waiting is None


async def test_dead_letters_are_kept_with_their_reason_and_sent_back(mom, queue):
    await queue.change(dead_letter="dead")
    await queue.put(b"1")
    async with queue.consume() as messages:
        await (await anext(messages)).nack(dead_letter=True, reason="broken")
    dead = mom.queue("dead")
    (letter,) = await dead.pull(wait=5)
    assert letter.deaths[0].queue == "orders"
    await letter.nack(delay=0)
    assert await dead.redrive() == 1
    assert [found.payload for found in await queue.peek()] == [b"1"]


@pytest.mark.parametrize("transport", ["put", "info", "pull", "consume"])
async def test_an_unknown_queue_is_the_same_problem_whatever_is_asked_of_it(mom, transport):
    queue = mom.queue("nothing")
    attempts = {"put": queue.put(b""), "info": queue.info(), "pull": queue.pull(), "consume": queue.consume().open()}
    with pytest.raises(Problem) as caught:
        await attempts.pop(transport)
    assert caught.value.code == "no-such-queue"
    for unused in attempts.values():
        unused.close()


async def test_a_full_queue_refuses_and_the_others_are_in(mom):
    queue = mom.queue("small")
    await queue.create(max_messages=3, overflow="reject")
    with pytest.raises(PublishesRefused) as caught:
        await queue.put_many([b"%d" % number for number in range(5)])
    assert (caught.value.refused, caught.value.first.code) == (2, "queue-full")
    with pytest.raises(Problem) as one:
        await queue.put(b"")
    assert one.value.code == "queue-full"
    assert (await queue.info()).numbers.depth == 3


async def test_what_is_no_name_or_policy_is_refused(mom):
    with pytest.raises(Problem) as caught:
        mom.queue("no/name")
    assert caught.value.code == "bad-request"
    with pytest.raises(TypeError):
        await mom.queue("q").create(colour="red")
    with pytest.raises(Problem) as refused:
        await mom.queue("q").create(max_messages=-1)
    assert refused.value.code == "bad-request"
    with pytest.raises(TypeError):
        await mom.call(Properties())
    with pytest.raises(ValueError, match="credit"):
        mom.queue("q").consume(credit=0)


async def test_a_question_that_is_forbidden_is_answered_at_once(start):
    class Guard:
        @hookimpl
        def mombroker_authorize(self, identity, action, resource):
            return "secret" not in resource

    broker = await start((Guard(),))
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        with pytest.raises(Problem) as caught:
            await mom.request("secret")
        assert caught.value.code in ("forbidden", "no-such-service")
        with pytest.raises(Problem):
            await mom.call(PurgeQueue(queue="secret"))


async def test_a_broker_without_the_native_api_is_told_from_one_that_has_it(served, connected):
    mom = await connected()
    served.model.response_space = False
    other = await connected()
    with pytest.raises(NotSupported):
        await other.request("s")
    with pytest.raises(NotSupported):
        await other.queue("q").info()
    assert mom.connected


async def test_a_lost_answer_is_no_secret(served, connected):
    mom = await connected()
    asked = asyncio.Event()
    served.model.responder = lambda side, publish: asked.set()
    asking = asyncio.create_task(mom.queue("q").info())
    await asked.wait()
    served.wire.cut()
    with pytest.raises(ConnectionLost):
        await asking


async def test_no_answer_in_time_is_a_problem_too(served, connected):
    mom = await connected()
    with pytest.raises(Problem) as caught:
        await mom.call(ListQueues(), timeout=0.01)
    assert caught.value.code == "deadline-passed"


async def test_a_put_is_made_again_under_the_same_id_when_the_connection_breaks(served, connected):
    mom = await connected()
    served.wire.side.take = lambda: b""  # the acknowledgement never comes
    putting = asyncio.create_task(mom.queue("q").put(b"1"))
    while not served.model.taken:
        await asyncio.sleep(0)
    served.wire.cut()
    id = await putting
    assert [dict(publish.properties.user)["mom-id"] for publish in served.model.taken] == [id, id]


async def test_a_large_question_that_the_broker_cannot_take_fails_at_once(start):
    broker = await start(mqtt__max_packet_size=100_000)
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        with pytest.raises(Problem) as caught:
            await mom.request("s", b"x" * 200_000)
        assert caught.value.code == "too-large"


async def test_a_consumer_of_a_closed_client_cannot_be_made(broker):
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        queue = mom.queue("q")
    with pytest.raises(ClientClosed):
        queue.consume()
    with pytest.raises(ClientClosed):
        await Later(mom, "x").state()
