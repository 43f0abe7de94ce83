"""What is fuzzed: each target is a module with ``run(data)``, which raises for a finding, and ``seeds()``.

Importing this imports nothing of the product: coverage is measured in what is imported afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A target, and the packages whose coverage guides the fuzzer to it."""

    name: str
    instrumented: tuple[str, ...]
    longest: int = 1024

    def load(self) -> tuple[Callable[[bytes], None], list[bytes]]:
        """(run, seeds); the findings that were kept are seeds too."""
        module = import_module(f"tests.reliability.fuzzing.{self.name}")
        return module.run, [*module.seeds(), *(path.read_bytes() for path in self.kept())]

    def kept(self) -> list[Path]:
        """Inputs that found a defect once."""
        return sorted(FINDINGS.glob(f"{self.name}-*.bin"))


FINDINGS = Path(__file__).parent / "findings"
CODEC = ("mombroker.mqtt", "mombroker.model")
TARGETS = {
    target.name: target
    for target in (
        Target("decoder", CODEC, 4096),
        Target("session", (*CODEC, "mombroker.core")),
        Target("native", (*CODEC, "mombroker.core", "mombroker.api", "mombroker.operations")),
        Target("transports", ("mombroker.api", "mombroker.operations")),
        Target("client", (*CODEC, "mombroker.client.protocol")),
        Target("records", ("mombroker.mqtt", "mombroker.model", "mombroker.core.records", "mombroker_storage")),
        Target(
            "files", ("mombroker.wiring", "mombroker.mqtt.topics", "mombroker_plugins", "mombroker_storage.address")
        ),
    )
}
