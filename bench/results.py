"""What a run yields, as plain data: it is written to JSON as it stands, and every report is made from it alone."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Metric:
    """One figure of a scenario. ``key`` names it in JSON; ``more_is_better`` gives ratios their direction."""

    key: str
    title: str
    unit: str
    more_is_better: bool = True


@dataclass(frozen=True)
class Measurement:
    """One scenario on one broker, once.

    ``faults`` say what was wrong with what was received; a measurement with any is shown and never averaged in.
    ``marks`` are remarks that leave it valid, such as the generator having been the limit.
    """

    scenario: str
    broker: str
    repetition: int
    values: dict[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    seconds: float = 0.0
    broker_cpu: float = 0.0
    generator_cpu: tuple[float, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it may be averaged in."""
        return not self.faults


@dataclass(frozen=True)
class BrokerFacts:
    """A broker of the run: what it is, which version, with which configuration. ``missing`` says how to install it."""

    id: str
    title: str
    promise: str
    version: str = ""
    missing: str = ""
    configuration: str = ""


@dataclass(frozen=True)
class ScenarioFacts:
    """A scenario of the run."""

    id: str
    title: str
    description: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Run:
    """Everything about one run of the benchmark."""

    started: str
    took: float
    quick: bool
    options: dict[str, str]
    machine: dict[str, str]
    brokers: tuple[BrokerFacts, ...]
    scenarios: tuple[ScenarioFacts, ...]
    measurements: tuple[Measurement, ...]
