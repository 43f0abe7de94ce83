"""The brokers that are compared, one module each: finding, configuring, starting and stopping.

Each runs alone on free loopback ports with an empty data directory, is asked to hold as much as the scenario wants, and
is ended by its process id. :func:`every` lists them all, in the order of the reports.
"""

from bench.brokers.aedes import Aedes
from bench.brokers.amqtt import Amqtt
from bench.brokers.base import Broker, Places, Running
from bench.brokers.limits import Append, Relay
from bench.brokers.mombroker import variants
from bench.brokers.mosquitto import Mosquitto
from bench.brokers.nats import Nats
from bench.brokers.rabbitmq import RabbitMQ

__all__ = ["Broker", "Places", "Running", "every"]


def every(places: Places) -> tuple[Broker, ...]:
    """All brokers and their variants, the reference rows last."""
    return (
        *variants(places),
        Mosquitto(places, persistent=False),
        Mosquitto(places, persistent=True),
        RabbitMQ(places),
        Nats(places, always=False),
        Nats(places, always=True),
        Aedes(places),
        Amqtt(places),
        Relay(places),
        Append(places),
    )
