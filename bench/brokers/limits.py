"""The reference rows: programs that do only what no broker can avoid. They show how far from the limit a broker is."""

from pathlib import Path

from bench.brokers.base import HOME, Broker, Plan, first_line


class _Limit(Broker):
    script = ""

    def missing(self) -> str:
        """They run in mombroker's environment, for the same event loop."""
        found = (self.places.compiled / "bin" / "python").exists()
        return "" if found else f"no {self.places.compiled.name}: make bench-setup"

    def version(self) -> str:
        """Of the event loop."""
        python = str(self.places.compiled / "bin" / "python")
        return "uvloop " + first_line(
            [python, "-c", "from importlib.metadata import version; print(version('uvloop'))"]
        )

    def plan(self, directory: Path, port: int) -> Plan:
        """The script, with its data in the directory."""
        python = str(self.places.compiled / "bin" / "python")
        return Plan([python, "-I", str(HOME / "limits" / self.script), str(port), str(directory / "log")])

    def configuration(self) -> str:
        """It has none."""
        return ""


class Relay(_Limit):
    """Hands the bytes on, through the same event loop, and reads nothing into them."""

    id = "limit-relay"
    title = "limit: bare relay"
    promise = "no acknowledgements"
    script = "relay.py"


class Append(_Limit):
    """Appends the bytes to a file and syncs it, a batch while the next one comes in, and acknowledges by counting."""

    id = "limit-append"
    title = "limit: bare append + fdatasync"
    promise = "on disk before the acknowledgement"
    script = "append.py"
