"""What came of a run: counts that add up, figures that do not, and a sentence for everything that is not as it should
be."""

from dataclasses import dataclass, field


@dataclass
class Result:
    """``faults`` empty: all is well."""

    counts: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def count(self, name: str, number: float = 1) -> None:
        """So many more of these."""
        self.counts[name] = self.counts.get(name, 0) + number

    def fault(self, wrong: bool, sentence: str) -> None:
        """Note this if it is so."""
        if wrong:
            self.faults.append(sentence)

    def add(self, other: "Result") -> None:
        """Take in what another one has."""
        for name, number in other.counts.items():
            self.count(name, number)
        self.figures |= other.figures
        self.faults += other.faults
