"""mombroker itself, from the environments that `make` makes: compiled and interpreted, in three durabilities; and some
variants that differ in their plugins only."""

from pathlib import Path

from bench.brokers.base import HOME, Broker, Places, Plan, first_line, free_port

PROMISES = {
    "fsync": "on disk before the acknowledgement",
    "interval": "on disk within 100 ms of it",
    "memory": "in memory only",
}

SETTINGS = """
[mqtt]
listen = ["127.0.0.1:{port}"]
max_subscriptions = 1_000_000
sys_interval = 0

[http]
listen = "{http}"

[grpc]
listen = "{grpc}"

[storage]
data = "{directory}/data"
durability = "{durability}"

[log]
level = "warning"

[plugins.queue_limits]
max_messages = 0
max_bytes = 0
"""

ACL = """
[plugins.anonymous]

[plugins.acl]
default = "deny"

[[plugins.acl.rules]]
anyone = true
topic = "admin/#"
access = "deny"

[[plugins.acl.rules]]
anyone = true
topic = "bench/#"
access = "readwrite"
"""


class Mombroker(Broker):
    """mombroker as `mombroker serve` runs it. ``extra``: more settings; ``runner``: a script instead of the command;
    ``native``: with HTTP and gRPC, which are off otherwise."""

    def __init__(
        self,
        places: Places,
        id: str,
        title: str,
        durability: str,
        compiled: bool = True,
        extra: str = "",
        runner: tuple[str, ...] = (),
        native: bool = False,
    ) -> None:
        super().__init__(places)
        self.id, self.title = id, title
        self.promise = PROMISES[durability]
        self.durability = durability
        self.compiled = compiled
        self._extra, self._runner, self._native = extra, runner, native
        self._programs = (places.compiled if compiled else places.interpreted) / "bin"

    def missing(self) -> str:
        """Both environments are made by `make`; the compiled one has to be compiled indeed."""
        if not (self._programs / "mombroker").exists():
            return f"no {self._programs.parent.name}: make bench-setup"
        if self.compiled and "compiled" not in self.version():
            return f"{self._programs.parent.name} holds an interpreted build: install a C compiler, make bench-setup"
        if not self.compiled and "interpreted" not in self.version():
            return f"{self._programs.parent.name} holds a compiled build"
        return ""

    def version(self) -> str:
        """Version, and compiled or interpreted."""
        return first_line([str(self._programs / "mombroker"), "version"])

    def plan(self, directory: Path, port: int) -> Plan:
        """A settings file; no limit on queues, since the scenarios fill them."""
        ports = {"http": free_port(), "grpc": free_port()} if self._native else {}
        listen = {name: f"127.0.0.1:{ports[name]}" if self._native else "off" for name in ("http", "grpc")}
        settings = SETTINGS.format(port=port, directory=directory, durability=self.durability, **listen) + self._extra
        program = [str(self._programs / "mombroker"), "serve", "--config"]
        if self._runner:
            program = [str(self._programs / "python"), "-I", str(HOME / "embedded.py"), *self._runner]
        return Plan([*program, str(directory / "broker.toml")], files={"broker.toml": settings}, ports=ports)


def variants(places: Places) -> tuple[Broker, ...]:
    """All of them."""
    return (
        Mombroker(places, "mombroker-fsync", "mombroker, fsync", "fsync"),
        Mombroker(places, "mombroker-interval", "mombroker, interval", "interval"),
        Mombroker(places, "mombroker-memory", "mombroker, memory", "memory"),
        Mombroker(places, "mombroker-fsync-interpreted", "mombroker interpreted, fsync", "fsync", compiled=False),
        Mombroker(places, "mombroker-memory-interpreted", "mombroker interpreted, memory", "memory", compiled=False),
        Mombroker(places, "mombroker-native", "mombroker, fsync, HTTP and gRPC", "fsync", native=True),
        Mombroker(places, "mombroker-acl", "mombroker, memory, acl plugin", "memory", extra=ACL),
        Mombroker(places, "mombroker-noop", "mombroker, memory, a no-op hook", "memory", runner=("noop",)),
        Mombroker(places, "mombroker-hookless", "mombroker, memory, hooks removed", "memory", runner=("hookless",)),
    )
