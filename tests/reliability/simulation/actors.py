"""What an actor is: somebody who does things to the broker, keeps account of them, and checks what it was promised.

To add an actor: write a class with the methods of :class:`Actor`, and a function that makes it from a
:class:`~tests.reliability.simulation.run.Run` (``run.world``, ``run.config``, ``run.setup``: a Random of the seed, to
draw what the actor is to be). Add the function to ``FACTORIES`` in run.py. The rules:

* An action is called with a Random of its own step. All that it decides it draws from there, so that a step dropped by
  the shrinking changes no other step's dice. It does something in any state, or nothing.
* An actor never lets the world go on (``happen``, ``rest``): the run does. It may call ``world.enter()`` for the engine
  with its clock set, and ``engine.wake()`` after using it directly.
* What happens to it comes through its links (:class:`~.world.End`), through outcomes that it gave to the barrier, and
  through :meth:`Actor.died`, when the broker has died or was stopped: nothing that waited for it comes any more.
* Whatever the broker must not do is raised as :class:`~.found.Found`, with numbers and names that say what was owed.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

Action = Callable[[Random], None]


class Actor(Protocol):
    """Somebody in the simulated world."""

    def actions(self) -> list[tuple[float, str, Action]]:
        """What it may do: weight, name, and the action. Asked for once."""

    def died(self) -> None:
        """The broker has died, or was stopped. Another one is started on the same disk before the next action."""

    def settle(self, round: int) -> None:
        """Nothing is held any more, the disk has room: come back, and take everything that is owed.

        Called ``SETTLE_ROUNDS`` times; the world comes to rest, and two seconds pass, after each.
        """

    def check(self) -> None:
        """The world is at rest after it has settled. Raise Found for what is owed and was not given."""

    def counts(self) -> dict[str, int]:
        """What it has done and checked, in words that need no explanation."""
