"""Publish and subscribe over real sockets."""

import asyncio

import pytest

import mombroker
from mombroker.client import (
    BadAddress,
    ClientClosed,
    ConnectionFailed,
    LoginRefused,
    NotAuthorized,
    PublishesRefused,
    PublishRefused,
    SubscribeRefused,
    Will,
)
from mombroker.client.address import parse_address
from mombroker.hooks import hookimpl
from mombroker.model.errors import ConfigurationError, MombrokerError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, QOS_NOT_SUPPORTED


async def test_messages_go_through_with_all_their_properties(mom):
    async with mom.subscribe("a/+", qos=2) as messages:
        assert messages.granted == (2,)
        for qos in (0, 1, 2):
            await mom.publish(
                "a/b",
                f"{qos}",
                qos=qos,
                content_type="text/plain",
                properties={"x": "y"},
                expiry=60,
                response_topic="c",
                correlation_data=b"d",
            )
            message = await anext(messages)
            assert (message.topic, message.text, message.qos, message.retain) == ("a/b", f"{qos}", qos, False)
            assert (message.content_type, message.properties) == ("text/plain", {"x": "y"})
            assert (message.response_topic, message.correlation_data) == ("c", b"d")
            assert 0 < message.mqtt_properties.message_expiry <= 60


async def test_publish_tells_whether_anybody_is_subscribed(mom):
    assert not await mom.publish("nobody")
    async with mom.subscribe("somebody"):
        assert await mom.publish("somebody")


async def test_each_message_is_acknowledged_when_the_next_one_is_asked_for(served, connected):
    mom = await connected()
    async with mom.subscribe("a", qos=1) as messages:
        for payload in (b"1", b"2"):
            served.wire.side.deliver("a", payload, 1)
        served.wire.flush()
        await anext(messages)
        assert served.model.acks == []
        await anext(messages)
        await mom.publish("b")
        assert len(served.model.acks) == 1
    assert len(served.model.acks) == 2


async def test_with_manual_acknowledgement_nothing_is_acknowledged_by_itself(served, connected):
    mom = await connected()
    messages = mom.subscribe("a", qos=1, manual_ack=True)
    await messages.open()
    for payload in (b"1", b"2"):
        served.wire.side.deliver("a", payload, 1)
    served.wire.flush()
    first, second = await anext(messages), await anext(messages)
    second.ack()
    await mom.publish("b")
    assert [ack.packet_id for ack in served.model.acks] == [2]
    first.ack()


async def test_a_subscription_can_be_iterated_without_entering_it(mom):
    messages = mom.subscribe("a")
    waiting = asyncio.create_task(anext(messages))
    await asyncio.sleep(0)
    while not await mom.publish("a", b"1"):
        pass
    assert (await waiting).payload == b"1"
    await messages.close()
    with pytest.raises(StopAsyncIteration):
        await anext(messages)
    assert not await mom.publish("a")


async def test_overlapping_subscriptions_each_get_their_messages(mom):
    async with mom.subscribe("a/#") as wide, mom.subscribe("a/b", "c") as narrow:
        await mom.publish("a/b", b"1")
        await mom.publish("c", b"2")
        await mom.publish("a/x", b"3")
        assert [(await anext(wide)).payload for _ in range(2)] == [b"1", b"3"]
        assert [(await anext(narrow)).payload for _ in range(2)] == [b"1", b"2"]


async def test_retained_messages_come_first_and_can_be_done_without(mom):
    await mom.publish("a", b"kept", retain=True)
    async with mom.subscribe("a") as messages, mom.subscribe("a", retain_handling=2) as fresh:
        assert (await anext(messages)).retain
        await mom.publish("a", b"new")
        assert (await anext(fresh)).payload == b"new"


async def test_shared_subscriptions_share(broker, mom):
    async with (
        mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as other,
        mom.subscribe("$share/g/a") as one,
        other.subscribe("$share/g/a") as two,
    ):
        await mom.publish_many("a", [b"%d" % number for number in range(10)])
        got = {(await anext(messages)).payload for messages in (one, two) for _ in range(5)}
        assert len(got) == 10


async def test_many_messages_are_pipelined_and_arrive_in_order(mom):
    async with mom.subscribe("a", qos=1) as messages:
        payloads = [b"%d" % number for number in range(5000)]
        publishing = asyncio.create_task(mom.publish_many("a", payloads))
        assert [(await anext(messages)).payload for _ in payloads] == payloads
        assert await publishing == 5000


async def test_a_publisher_reports_what_was_refused(start):
    class Picky:
        @hookimpl
        def mombroker_on_publish(self, message, identity):
            return Refusal(NOT_AUTHORIZED, "odd") if int(message.payload) % 2 else None

    broker = await start((Picky(),))
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        with pytest.raises(PublishesRefused) as caught:
            await mom.publish_many("a", [b"%d" % number for number in range(10)])
        assert (caught.value.refused, caught.value.total) == (5, 10)
        assert isinstance(caught.value.first, NotAuthorized)
        with pytest.raises(NotAuthorized, match="a was refused"):
            await mom.publish("a", b"1")


async def test_qos_0_messages_beyond_the_buffer_are_dropped_and_counted(mom):
    async with mom.subscribe("a", qos=0, buffer=2) as messages, mom.subscribe("end") as end:
        for number in range(5):
            await mom.publish("a", b"%d" % number, qos=0)
        await mom.publish("end", b"")
        await anext(end)
        assert messages.dropped == 3
        assert [(await anext(messages)).payload for _ in range(2)] == [b"0", b"1"]


async def test_what_the_broker_does_not_offer_is_told_before_it_is_sent(start):
    broker = await start(mqtt__maximum_qos=1)
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        with pytest.raises(PublishRefused) as caught:
            await mom.publish("a", b"", qos=2)
        assert caught.value.reason == QOS_NOT_SUPPORTED
        assert await mom.publish("a", b"", qos=1) is False


async def test_subscriptions_that_are_refused_raise(start):
    class Guard:
        @hookimpl
        def mombroker_authorize(self, identity, action, resource):
            return not (action == "subscribe" and resource.startswith("secret"))

    broker = await start((Guard(),))
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        with pytest.raises((NotAuthorized, SubscribeRefused), match="secret"):
            await mom.subscribe("open", "secret/#").open()


class Login:
    """Lets in the user ann with the password pw."""

    @hookimpl
    def mombroker_authenticate(self, request):
        if request.username == "ann" and request.password == b"pw":
            return Identity(request.client_id, "ann")
        return Refusal(BAD_USER_NAME_OR_PASSWORD, "wrong")


async def test_user_and_password_come_from_the_url_or_from_arguments(start):
    broker = await start((Login(),))
    address = f"127.0.0.1:{broker.port}"
    async with mombroker.connect(f"mqtt://ann:pw@{address}") as mom:
        assert mom.connected
        assert mom.address == f"mqtt://{address}"
    async with mombroker.connect(f"mqtt://{address}", username="ann", password="pw"):
        pass
    with pytest.raises(LoginRefused) as caught:
        async with mombroker.connect(f"mqtt://ann:no@{address}"):
            pass
    assert caught.value.reason == BAD_USER_NAME_OR_PASSWORD
    assert "no@" not in str(caught.value)


async def test_nobody_there_is_told_with_the_address(unused_tcp_port):
    with pytest.raises(ConnectionFailed, match=f"mqtt://127.0.0.1:{unused_tcp_port}"):
        async with mombroker.connect(f"mqtt://127.0.0.1:{unused_tcp_port}"):
            pass


async def test_a_server_that_says_nothing_is_given_up():
    left = asyncio.Event()

    async def say_nothing(reader, writer):
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionFailed, match="did not answer"):
        async with mombroker.connect(f"mqtt://127.0.0.1:{port}", connect_timeout=0.05):
            pass
    await left.wait()
    server.close()
    await server.wait_closed()


async def test_a_client_that_is_closed_or_not_open_says_so(broker):
    mom = mombroker.connect(f"mqtt://127.0.0.1:{broker.port}")
    with pytest.raises(ClientClosed):
        await mom.publish("a")
    async with mom:
        messages = mom.subscribe("a")
        await messages.open()
        waiting = asyncio.create_task(anext(messages))
        await asyncio.sleep(0)
    with pytest.raises(ClientClosed):
        await waiting
    for attempt in (mom.publish("a"), mom.subscribe("a").open(), mom.queue("q").put(b"")):
        with pytest.raises(ClientClosed):
            await attempt


async def test_closing_leaves_no_session_behind_unless_it_was_to_stay(broker):
    url = f"mqtt://127.0.0.1:{broker.port}"
    for clean in (True, False):
        async with mombroker.connect(url, client_id="me", clean_start=clean, session_expiry=60) as mom:
            await mom.subscribe("a", qos=1).open()
        async with mombroker.connect(url) as other:
            assert await other.publish("a", b"while away") is not clean


async def test_a_continued_session_keeps_what_came_meanwhile_until_somebody_subscribes(broker):
    url = f"mqtt://127.0.0.1:{broker.port}"
    async with mombroker.connect(url, client_id="me", clean_start=False) as mom:
        await mom.subscribe("a", qos=1).open()
    async with mombroker.connect(url) as other:
        await other.publish("a", b"while away")
    async with mombroker.connect(url, client_id="me", clean_start=False) as mom:
        await mom.publish("b")  # a round trip: the message is here by now
        async with mom.subscribe("a", qos=1) as messages:
            assert (await anext(messages)).payload == b"while away"


async def test_a_will_is_published_when_the_client_vanishes(broker, mom):
    async with mom.subscribe("gone") as messages:
        other = mombroker.connect(f"mqtt://127.0.0.1:{broker.port}", will=Will("gone", b"will"))
        await other.__aenter__()
        other._connection._link.abort()
        assert (await anext(messages)).payload == b"will"
        await other.close()


@pytest.mark.parametrize("topic", ["", "a/+", "a\0b"])
async def test_what_is_no_topic_is_refused_at_once(mom, topic):
    with pytest.raises(MombrokerError):
        await mom.publish(topic)


async def test_what_is_no_filter_or_no_qos_is_refused_at_once(mom):
    for wrong in ((), ("a/#/b",), ("",)):
        with pytest.raises(ValueError, match="filter"):
            mom.subscribe(*wrong)
    with pytest.raises(ValueError, match="QoS"):
        await mom.publish("a", qos=3)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://h", "mqtt://h:1883"),
        ("mqtts://h", "mqtts://h:8883"),
        ("mqtt://u%40:p%2F@[::1]:1", "mqtt://[::1]:1"),
        ("unix:/run/m.sock", "unix:/run/m.sock"),
        ("unix:///run/m.sock", "unix:/run/m.sock"),
    ],
)
def test_addresses_are_understood(url, shown):
    assert str(parse_address(url)) == shown


def test_user_and_password_of_an_address_may_be_percent_encoded():
    address = parse_address("mqtt://u%40:p%2F@h")
    assert (address.username, address.password) == ("u@", "p/")


@pytest.mark.parametrize(
    "url", ["h", "127.0.0.1:1883", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h/path", "mqtt://u:secret@h:99999"]
)
def test_what_is_no_address_is_told_without_its_password(url):
    with pytest.raises(BadAddress) as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


def test_options_that_make_no_sense_are_refused():
    for options in ({"clean_start": False}, {"receive_maximum": 0}, {"inflight_maximum": 70_000}):
        with pytest.raises(ConfigurationError):
            mombroker.connect(**options)
