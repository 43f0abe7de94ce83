"""RabbitMQ with its MQTT plugin, Debian's package. Queues of persistent sessions are durable, messages persistent.
AMQP is there for requests and replies."""

import shutil
from pathlib import Path

from bench.brokers.base import Broker, Plan, first_line, free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

SETTINGS = """
listeners.tcp.1 = 127.0.0.1:{amqp}
mqtt.listeners.tcp.1 = 127.0.0.1:{port}
mqtt.allow_anonymous = true
mqtt.prefetch = 1000
mqtt.tcp_listen_options.nodelay = true
mqtt.tcp_listen_options.backlog = 1024
vm_memory_high_watermark.relative = 0.6
disk_free_limit.absolute = 50MB
log.file.level = error
"""


class RabbitMQ(Broker):
    """A node of its own: its name, ports, data and Erlang port mapper are not those of an installed service."""

    id = "rabbitmq"
    title = "RabbitMQ"
    promise = "durable queues, persistent messages: synced in batches, acknowledged after that"
    start_seconds = 60.0
    stop_seconds = 20.0
    keep_running = True

    def missing(self) -> str:
        """Debian has it."""
        return "" if SERVER.exists() and shutil.which("epmd") else "apt-get install rabbitmq-server"

    def version(self) -> str:
        """From the name of its library's folder: its own command would need a running node."""
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        erlang = ["erl", "-noshell", "-eval", 'io:format("~s", [erlang:system_info(otp_release)]), halt().']
        return f"{found[-1].name if found else 'unknown'}, Erlang/OTP {first_line(erlang)}"

    def plan(self, directory: Path, port: int) -> Plan:
        """The port mapper runs in the foreground, as a process of ours, and ends with the node."""
        mapper, distribution, amqp = free_port(), free_port(), free_port()
        environment = {
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "bench@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        files = {"rabbitmq.conf": SETTINGS.format(port=port, amqp=amqp), "enabled_plugins": "[rabbitmq_mqtt].\n"}
        epmd = ["epmd", "-port", str(mapper), "-address", "127.0.0.1"]
        return Plan([str(SERVER)], environment, files, [epmd], {"amqp": amqp})
