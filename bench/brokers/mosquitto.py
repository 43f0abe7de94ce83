"""Eclipse Mosquitto: Debian's package, or a build whose path is given."""

import shutil
from pathlib import Path

from bench.brokers.base import Broker, Places, Plan, first_line

SETTINGS = """
listener {port} 127.0.0.1
allow_anonymous true
max_connections -1
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_dest none
sys_interval 0
"""

MEMORY = "persistence false\n"

PERSISTENT = """
persistence true
persistence_location {directory}/
autosave_interval 1
"""


class Mosquitto(Broker):
    """In memory; or with everything written to its file once a second, which is as durable as it can be."""

    def __init__(self, places: Places, persistent: bool) -> None:
        super().__init__(places)
        self._persistent = persistent
        self.id = "mosquitto-persistent" if persistent else "mosquitto"
        self.title = "Mosquitto, autosave 1 s" if persistent else "Mosquitto"
        self.promise = "written to a file once a second, not synced" if persistent else "in memory only"

    def _program(self) -> str:
        if self.places.mosquitto:
            return str(self.places.mosquitto)
        # Debian keeps it where the path of ordinary users does not look.
        return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or ""

    def missing(self) -> str:
        """Debian has it."""
        program = self._program()
        return "" if program and Path(program).exists() else "apt-get install mosquitto, or --mosquitto PATH"

    def version(self) -> str:
        """From its help text."""
        return first_line([self._program(), "-h"])

    def plan(self, directory: Path, port: int) -> Plan:
        """Nothing bounded that the scenarios need unbounded; a window of 1,000 as everywhere."""
        text = SETTINGS.format(port=port) + (PERSISTENT.format(directory=directory) if self._persistent else MEMORY)
        # Without a user to change to it stays the one who started it, and can write where it is told to.
        user = "user root\n" if self._persistent else ""
        files = {"mosquitto.conf": text + user}
        return Plan([self._program(), "-c", str(directory / "mosquitto.conf")], files=files)
