"""What no client does: time, the disk, the hooks, and the end of the broker."""

from random import Random
from typing import TYPE_CHECKING

from .actors import Action

if TYPE_CHECKING:
    from .run import Run


class Weather:
    """Clock steps, delayed and failed commits, a full disk, slow reads, crashes and restarts."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.world = run.world
        self.config = run.config

    def actions(self) -> list[tuple[float, str, Action]]:
        found: list[tuple[float, str, Action]] = [
            (2.0, "time passes", self.time),
            (0.7, "commits are held", self.hold_commits),
            (0.7, "reads are held", self.hold_reads),
            (2.0, "everything goes on", self.go_on),
            (0.3, "restart", self.restart),
        ]
        if self.config.crashes:
            found.append((0.8, "crash", self.crash))
            found.append((0.2, "a commit fails", self.fail))
        if self.config.fills_up:
            found.append((0.4, "the disk is full", self.fill))
            found.append((1.0, "the disk has room", self.make_room))
        return found

    def time(self, rng: Random) -> None:
        """Time passes: mostly a moment, sometimes a minute."""
        self.world.advance(rng.choice((0.001, 0.02, 0.3, 0.6, 1.0, 1.0, 3.0, 12.0, 61.0)))

    def hold_commits(self, rng: Random) -> None:
        """The store takes its time."""
        self.world.hold_commits = rng.random() < 0.7

    def hold_reads(self, rng: Random) -> None:
        """Reads take their time."""
        self.world.hold_reads = rng.random() < 0.7

    def go_on(self, rng: Random) -> None:
        """Nothing is held any more."""
        self.world.hold_commits = self.world.hold_reads = False

    def fill(self, rng: Random) -> None:
        """The disk is full: a publish that is refused may come again, out of its order."""
        self.world.full = True
        self.run.oracle.lossy = True
        for sent in self.run.oracle.sent.values():
            if sent.acked == float("inf"):
                sent.tainted = True

    def make_room(self, rng: Random) -> None:
        """The disk has room again."""
        self.world.full = False

    def crash(self, rng: Random) -> None:
        """The broker dies."""
        back = rng.choice((0.0, 0.5, 3.0)) if self.config.goes_back else 0.0
        self.world.crash(rng.random() < 0.5 and not self.world.full, back)

    def fail(self, rng: Random) -> None:
        """The next commit fails, and nobody knows whether it is on disk: the broker ends."""
        self.world.fail_next = rng.random() < 0.5

    def restart(self, rng: Random) -> None:
        """Somebody restarts the broker."""
        self.world.restart()

    def died(self) -> None:
        """It has no part in it."""

    def settle(self, round: int) -> None:
        """The run has lifted what was held."""

    def check(self) -> None:
        """Nothing is owed to the weather."""

    def counts(self) -> dict[str, int]:
        return {}
