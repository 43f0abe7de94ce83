"""The MQTT clients that Python programs use: paho-mqtt, aiomqtt, and the one of amqtt."""

import asyncio
import queue
import threading
from typing import Any

import pytest

from .server import TIMEOUT

paho = pytest.importorskip("paho.mqtt.client")
aiomqtt = pytest.importorskip("aiomqtt")

from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402


class Paho:
    """A paho client whose loop runs in its own thread; what happens to it is put into queues."""

    def __init__(self, port: int, client_id: str, protocol: int = 5, connect: bool = True, **given: Any) -> None:
        five = protocol == paho.MQTTv5
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id,
            protocol=protocol,
            **({} if five else {"clean_session": given.pop("clean_session", True)}),
        )
        self.messages: queue.Queue[Any] = queue.Queue()
        self.connected: queue.Queue[Any] = queue.Queue()
        self.subscribed: queue.Queue[Any] = queue.Queue()
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda client, data, flags, reason, props: self.connected.put((flags, reason, props))
        self.client.on_subscribe = lambda client, data, mid, reasons, props: self.subscribed.put(reasons)
        if connect:
            self.client.connect("127.0.0.1", port, **given)
            self.client.loop_start()
            self.flags, self.reason, self.properties = self.connected.get(timeout=TIMEOUT)
            assert self.reason == 0

    def subscribe(self, *arguments: Any, **given: Any) -> list[Any]:
        """Subscribe and wait for the answer."""
        self.client.subscribe(*arguments, **given)
        return list(self.subscribed.get(timeout=TIMEOUT))

    def message(self) -> Any:
        """The next message."""
        return self.messages.get(timeout=TIMEOUT)

    def publish(self, *arguments: Any, **given: Any) -> None:
        """Publish and wait for the end of it."""
        info = self.client.publish(*arguments, **given)
        info.wait_for_publish(TIMEOUT)
        assert info.is_published()

    def __enter__(self) -> "Paho":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def of_connect(**given: object) -> Any:
    """Properties of a CONNECT, for paho."""
    made = Properties(PacketTypes.CONNECT)
    for name, value in given.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_publishes_and_receives(port, protocol, qos):
    topic = f"paho/{protocol}/{qos}"
    with Paho(port, f"paho-{protocol}-{qos}", protocol) as client:
        client.subscribe(topic, qos)
        for number in range(20):
            client.publish(topic, str(number), qos)
        got = [client.message() for _ in range(20)]
        assert [int(message.payload) for message in got] == list(range(20))
        assert {(message.qos, message.retain, message.dup) for message in got} == {(qos, False, False)}


def test_paho_sees_every_property_that_was_sent(port):
    given = Properties(PacketTypes.PUBLISH)
    given.ContentType = "application/json"
    given.ResponseTopic = "answers"
    given.CorrelationData = b"\x00\x01"
    given.MessageExpiryInterval = 500
    given.PayloadFormatIndicator = 1
    given.UserProperty = [("b", "2"), ("a", "1"), ("b", "3")]
    numbered = Properties(PacketTypes.SUBSCRIBE)
    numbered.SubscriptionIdentifier = 77
    with Paho(port, "paho-properties") as client:
        client.subscribe("paho/properties", options=SubscribeOptions(qos=1), properties=numbered)
        client.publish("paho/properties", "{}", 1, properties=given)
        got = client.message().properties
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("application/json", "answers", b"\x00\x01")
    assert got.PayloadFormatIndicator == 1
    assert 400 <= got.MessageExpiryInterval <= 500
    assert got.UserProperty == [("b", "2"), ("a", "1"), ("b", "3")]
    assert got.SubscriptionIdentifier == [77]


def test_paho_is_told_the_limits_and_an_assigned_name(port):
    with Paho(port, "", properties=of_connect(SessionExpiryInterval=5)) as client:
        assert client.properties.AssignedClientIdentifier.startswith("auto-")
        assert client.properties.ReceiveMaximum == 4096
        assert client.properties.MaximumPacketSize == 16_777_216
        assert client.properties.TopicAliasMaximum == 64


def test_paho_gets_only_what_its_options_let_through(port):
    with Paho(port, "paho-options") as client, Paho(port, "paho-other") as other:
        client.publish("paho/options", "kept", 1, retain=True)
        client.subscribe("paho/options", options=SubscribeOptions(qos=1, noLocal=True, retainHandling=2))
        client.publish("paho/options", "own", 1)
        other.publish("paho/options", "other", 1)
        assert client.message().payload == b"other"


@pytest.mark.parametrize("protocol", [4, 5])
def test_paho_finishes_its_qos_2_messages_after_a_broken_connection(port, protocol):
    name, topic = f"paho-broken-{protocol}", f"paho/broken/{protocol}"
    five = {"properties": of_connect(SessionExpiryInterval=1000), "clean_start": False}
    given: dict[str, Any] = dict(five) if protocol == 5 else {"clean_session": False}
    with Paho(port, f"watcher-{protocol}", protocol) as watcher, Paho(port, name, protocol, **given) as client:
        watcher.subscribe(topic, 2)
        reached = threading.Event()
        client.client.on_publish = lambda client, data, mid, reason, props: mid >= 30 and reached.set()
        infos = [client.client.publish(topic, str(number), 2) for number in range(200)]
        reached.wait(TIMEOUT)
        # Breaks the connection under the client's feet, which then finds it broken and connects again by itself.
        client.client.socket().shutdown(2)
        for info in infos:
            info.wait_for_publish(TIMEOUT)
        got = [int(watcher.message().payload) for _ in range(200)]
        flags, reason, _ = client.connected.get(timeout=TIMEOUT)
        assert (flags.session_present, reason) == (True, 0)
    assert sorted(got) == list(range(200))
    assert watcher.messages.empty()


def test_paho_gets_its_messages_after_a_manual_reconnect(port):
    given = {"properties": of_connect(SessionExpiryInterval=1000), "clean_start": False}
    with Paho(port, "paho-back", **given) as client:
        client.subscribe("paho/back", 2)
    with Paho(port, "paho-back-publisher") as publisher:
        for number in range(30):
            publisher.publish("paho/back", str(number), 2)
    client.client.reconnect()
    while client.messages.qsize() < 30:
        assert client.client.loop(TIMEOUT) == paho.MQTT_ERR_SUCCESS
    assert client.connected.get_nowait()[0].session_present
    assert [int(client.message().payload) for _ in range(30)] == list(range(30))
    client.client.disconnect()


@pytest.mark.parametrize("version", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
async def test_aiomqtt_publishes_and_receives(port, version):
    topic = f"aiomqtt/{version.name}"
    async with asyncio.timeout(TIMEOUT), aiomqtt.Client("127.0.0.1", port, protocol=version) as client:
        await client.subscribe(f"{topic}/#", qos=2)
        for qos in (0, 1, 2):
            await client.publish(f"{topic}/{qos}", f"hello {qos}", qos=qos)
        got = []
        async for message in client.messages:
            got.append((str(message.topic), message.qos, message.payload))
            if len(got) == 3:
                break
        assert got == [(f"{topic}/{qos}", qos, b"hello %d" % qos) for qos in (0, 1, 2)]


async def test_a_thousand_messages_of_aiomqtt_at_once_arrive_in_order(port):
    async with (
        asyncio.timeout(TIMEOUT),
        aiomqtt.Client("127.0.0.1", port, identifier="aio-a", protocol=aiomqtt.ProtocolVersion.V5) as client,
        aiomqtt.Client("127.0.0.1", port, identifier="aio-b", max_concurrent_outgoing_calls=1000) as publisher,
    ):
        await client.subscribe("aiomqtt/many", qos=1)
        await asyncio.gather(*[publisher.publish("aiomqtt/many", str(number), qos=1) for number in range(1000)])
        got = []
        async for message in client.messages:
            got.append(int(message.payload))
            if len(got) == 1000:
                break
        assert got == list(range(1000))


@pytest.mark.filterwarnings("ignore")
async def test_the_client_of_amqtt_publishes_and_receives(port):
    amqtt = pytest.importorskip("amqtt.client")
    async with asyncio.timeout(TIMEOUT):
        client = amqtt.MQTTClient(client_id="amqtt", config={"auto_reconnect": False})
        await client.connect(f"mqtt://127.0.0.1:{port}/")
        await client.subscribe([("amqtt/#", 2)])
        for qos in (0, 1, 2):
            await client.publish(f"amqtt/{qos}", b"hello %d" % qos, qos=qos)
            message = await client.deliver_message()
            assert (message.topic, message.qos, bytes(message.data)) == (f"amqtt/{qos}", qos, b"hello %d" % qos)
        await client.unsubscribe(["amqtt/#"])
        await client.disconnect()
