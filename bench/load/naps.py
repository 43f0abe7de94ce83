"""Short rests between small reads.

A broker that writes each message by itself would keep the generator reading each by itself, at more cost than the
broker has. So whoever reads little at a time rests for about a tenth of a millisecond, and finds more the next time.
With many messages in flight nobody waits for that, and the processor is there for the broker. Latencies are never
measured this way.
"""

import time

LITTLE = 8192
"""Bytes of one read."""

SECONDS = 0.0001


def nap_after(count: int, reads: int = 1) -> None:
    """Rest, if so many reads have brought so few bytes."""
    if count < LITTLE * reads:
        time.sleep(SECONDS)
