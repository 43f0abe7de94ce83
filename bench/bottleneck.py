"""Who was the limit: the broker, the generator, or the machine. All figures are shares of one processor."""

from collections.abc import Sequence

GENERATOR = "the generator was the limit"
MACHINE = "all processors were busy"

BUSY = 0.95
BROKER_BUSY = 0.9
FULL = 0.97
OTHERS = 0.25


def marks(broker: float, generator: Sequence[float], processors: int, others: float = 0.0) -> tuple[str, ...]:
    """What to say about a measurement.

    The generator was the limit if one of its processes hardly ever waited, or if it left a broker that could have used
    a whole processor less than that while none was free. A broker of several threads on a full machine shares it with
    the generator: that is said, too. ``others`` is what neither broker nor generator used; the harness itself uses
    next to nothing.
    """
    if others >= OTHERS:
        return (f"other programs used {others:.0%} of a processor",)
    full = broker + sum(generator) >= FULL * processors
    if max(generator, default=0.0) >= BUSY or (full and broker < BROKER_BUSY):
        return (GENERATOR,)
    return (MACHINE,) if full and broker > 1.1 else ()
