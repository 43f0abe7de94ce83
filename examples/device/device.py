"""A thermometer that speaks MQTT 3.1.1: it answers questions, and asks the service `clock` for the time.

MQTT 3 has neither Response Topic nor Correlation Data. Topics take their place:

=====================================  ==============================================
``$service/NAME/request/ID``           a request comes here
``$service/NAME/reply/ID``             the reply goes there; ``/error`` for a failure
``$service/NAME/call/ID``              ask a service, with an id of one's own
``$service/NAME/answer/ID``            the answer comes here; ``/error`` for a failure
=====================================  ==============================================
"""

import argparse
import json

from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion


class Thermometer:
    """One device, and the service of its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.celsius = 21.5
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv311)
        self.client.on_connect = lambda client, *_: client.subscribe(
            [
                (f"$service/{name}/request/+", 1),
                (f"$service/clock/answer/{name}", 1),
                (f"$service/clock/answer/{name}/error", 1),
            ]
        )
        self.client.on_subscribe = lambda client, *_: self.ask_the_time()
        self.client.message_callback_add(f"$service/{name}/request/+", self.on_request)
        self.client.message_callback_add("$service/clock/answer/#", self.on_time)

    def ask_the_time(self) -> None:
        """Ask a service. Its name may stand for a Python program, another device, or something with HTTP."""
        self.client.publish(f"$service/clock/call/{self.name}", "", qos=1)

    def on_time(self, client: Client, _: object, message: MQTTMessage) -> None:
        """The answer, or a failure with its code."""
        failed = message.topic.endswith("/error")
        print("no time:" if failed else "the time is", message.payload.decode(), flush=True)
        print(f"{self.name} answers", flush=True)

    def on_request(self, client: Client, _: object, message: MQTTMessage) -> None:
        """A question: for the temperature in a unit."""
        reply = message.topic.replace("/request/", "/reply/", 1)
        unit = message.payload.decode() or "C"
        if unit not in ("C", "F"):
            failure = {"code": "unknown-unit", "detail": f"{unit} is not measured here"}
            client.publish(f"{reply}/error", json.dumps(failure), qos=1)
            return
        degrees = self.celsius if unit == "C" else self.celsius * 9 / 5 + 32
        client.publish(reply, f"{degrees:.1f} {unit}", qos=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A thermometer that speaks MQTT 3.1.1.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--name", default="thermometer-7")
    given = parser.parse_args()
    thermometer = Thermometer(given.name)
    thermometer.client.connect(given.host, given.port)
    try:
        thermometer.client.loop_forever()
    except KeyboardInterrupt:
        thermometer.client.disconnect()
