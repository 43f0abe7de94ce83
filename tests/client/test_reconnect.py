"""Broken connections, at every byte, over real sockets."""

import asyncio

import pytest

import mombroker
from mombroker.client import ClientClosed, ConnectionLost, Disconnected, LoginRefused, PublishRefused
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD, SERVER_SHUTTING_DOWN, SESSION_TAKEN_OVER

from .conftest import SOON


async def test_wherever_the_connection_breaks_every_message_arrives_exactly_once(served, connected):
    mom = await connected()
    served.budgets = [*range(40, 160, 3)]
    served.wire.cut()
    payloads = [b"%d" % number for number in range(50)]
    await asyncio.gather(*[mom.publish("a", payload, qos=2) for payload in payloads])
    assert [publish.payload() for publish in served.model.taken] == payloads
    assert len(served.wires) > 10


async def test_a_publish_made_while_there_is_no_connection_waits_for_the_next_one(served, connected):
    mom = await connected()
    port = served.port
    await served.close()
    publishing = asyncio.create_task(mom.publish("a", b"1"))
    await asyncio.sleep(0)
    assert not publishing.done()
    await served.listen(port)
    await publishing
    assert [publish.payload() for publish in served.model.taken] == [b"1"]


async def test_a_bulk_of_messages_survives_broken_connections(served, connected):
    served.model.receive_maximum = 10
    mom = await connected()
    served.budgets = [300] * 5
    served.wire.cut()
    assert await mom.publish_many("a", [b"%d" % number for number in range(300)]) == 300
    assert list(dict.fromkeys(int(publish.payload()) for publish in served.model.taken)) == list(range(300))


async def test_subscriptions_are_there_again_where_the_session_was_lost(served, connected):
    mom = await connected()
    async with mom.subscribe("a", qos=1) as messages:
        served.model.forget()
        served.wire.cut()
        await mom.publish("b")
        assert served.wire.side.deliver("a", b"1", 1)
        served.wire.flush()
        assert (await anext(messages)).payload == b"1"


async def test_a_message_that_was_not_acknowledged_comes_again(served, connected):
    mom = await connected()
    async with mom.subscribe("a", qos=1, manual_ack=True) as messages:
        served.wire.side.deliver("a", b"1", 1)
        served.wire.flush()
        first = await anext(messages)
        served.wire.cut()
        second = await anext(messages)
        assert (second.payload, second.duplicate) == (b"1", True)
        assert not first.ack()
        assert second.ack()


async def test_a_broker_that_restarts_finds_its_clients_again(tmp_path):
    from mombroker.broker import Broker

    async with Broker(listen=["127.0.0.1:0"], data=str(tmp_path)) as broker:
        port = broker.port
        mom = mombroker.connect(f"mqtt://127.0.0.1:{port}", backoff=SOON)
        await mom.__aenter__()
        messages = mom.subscribe("a", qos=1)
        await messages.open()
    waiting = asyncio.create_task(mom.publish("a", b"1"))
    async with Broker(listen=[f"127.0.0.1:{port}"], data=str(tmp_path)):
        assert await waiting
        assert (await anext(messages)).payload == b"1"
        await mom.close()


async def test_a_client_whose_identifier_another_one_uses_does_not_come_back(served, connected):
    mom = await connected()
    waiting = asyncio.create_task(anext(mom.subscribe("a")))
    await mom.publish("b")
    served.wire.side.dismiss(SESSION_TAKEN_OVER)
    served.wire.flush()
    with pytest.raises(Disconnected, match="taken over"):
        await waiting
    with pytest.raises(Disconnected):
        await mom.publish("a")
    assert len(served.wires) == 1


async def test_a_broker_that_shuts_down_is_waited_for(served, connected):
    mom = await connected()
    served.wire.side.dismiss(SERVER_SHUTTING_DOWN)
    served.wire.flush()
    await mom.publish("a")
    assert len(served.wires) == 2


async def test_a_login_that_is_no_longer_good_ends_the_client(served, connected):
    mom = await connected()
    served.model.refusal = BAD_USER_NAME_OR_PASSWORD
    publishing = asyncio.create_task(mom.publish("a"))
    served.wire.cut()
    with pytest.raises(LoginRefused):
        await publishing
    with pytest.raises(LoginRefused):
        await mom.publish("a")


async def test_a_server_that_breaks_the_protocol_is_left_and_tried_again(served, connected):
    mom = await connected()
    served.wire.transport.write(b"\xf0\xff\xff\xff\xff")
    await mom.publish("a")
    assert len(served.wires) == 2


async def test_a_dead_connection_is_noticed_by_its_silence(served, connected):
    served.model.limits["server_keep_alive"] = 1
    mom = await connected()
    served.wire.side.feed = lambda data: None  # it hears, and does nothing
    await mom.publish("a")
    assert len(served.wires) > 1


async def test_closing_while_there_is_no_connection_tells_those_who_wait(served, connected):
    mom = await connected()
    await served.close()
    publishing = asyncio.create_task(mom.publish("a"))
    asking = asyncio.create_task(mom.request("s", timeout=60))
    await asyncio.sleep(0)
    await mom.close()
    for waiting in (publishing, asking):
        with pytest.raises(ClientClosed):
            await waiting
    await served.listen()


async def test_a_question_whose_connection_breaks_is_not_asked_again(served, connected):
    mom = await connected()
    asked = asyncio.Event()
    served.model.responder = lambda side, publish: asked.set()
    asking = asyncio.create_task(mom.request("s"))
    await asked.wait()
    served.wire.cut()
    with pytest.raises(ConnectionLost):
        await asking
    await mom.publish("b")
    assert served.model.topics == ["$service/s", "b"]


async def test_back_pressure_holds_a_publisher_until_the_server_acknowledges(served, connected):
    served.model.receive_maximum = 3
    mom = await connected()
    held = served.wire.side.take
    served.wire.side.take = lambda: b""
    async with mom.publisher("a") as publisher:
        sending = asyncio.create_task(send_all(publisher, 10))
        while len(served.model.taken) < 3:
            await asyncio.sleep(0)
        assert publisher.sent == 3
        assert not sending.done()
        served.wire.side.take = held
        served.wire.flush()
        await sending
    assert publisher.acknowledged == 10


async def send_all(publisher, count):
    """Send so many messages."""
    for number in range(count):
        await publisher.send(b"%d" % number)


async def test_a_refused_publish_is_not_sent_again(served, connected):
    served.model.refused_topics["a"] = (0x97, "full")
    mom = await connected()
    for qos in (1, 2):
        with pytest.raises(PublishRefused, match="full"):
            await mom.publish("a", qos=qos)
    served.wire.cut()
    await mom.publish("b")
    assert served.model.topics == ["b"]
