"""amqtt, the other broker in Python."""

from pathlib import Path

from bench.brokers.base import Broker, Plan, first_line

SETTINGS = """
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
    max_connections: 20000
timeout_disconnect_delay: 2
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""


class Amqtt(Broker):
    """In memory, as it comes."""

    id = "amqtt"
    title = "amqtt"
    promise = "in memory only"

    def missing(self) -> str:
        """The bench's own requirements hold it."""
        return "" if (self.places.compiled / "bin" / "amqtt").exists() else "make bench-setup (or pip install amqtt)"

    def version(self) -> str:
        """From the installed package."""
        python = str(self.places.compiled / "bin" / "python")
        return "amqtt " + first_line([python, "-c", "from importlib.metadata import version; print(version('amqtt'))"])

    def plan(self, directory: Path, port: int) -> Plan:
        """Anonymous clients, nothing else."""
        program = str(self.places.compiled / "bin" / "amqtt")
        files = {"amqtt.yaml": SETTINGS.format(port=port)}
        return Plan([program, "-c", str(directory / "amqtt.yaml")], files=files)
