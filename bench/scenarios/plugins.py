"""What plugins cost: authorisation, and a hook that sees every message. mombroker against itself."""

import numpy as np

from bench.load.packets import Layout
from bench.results import Metric
from bench.scenarios.base import MEMORY, Outcome, Scenario, Stage, delivery_rate

TOPICS = np.array([b"%03d" % number for number in range(500)], "S3")

METRICS = (
    Metric("qos0", "QoS 0 messages per second", "/s"),
    Metric("qos1", "QoS 1 messages per second", "/s"),
)


def both(stage: Stage, varying: bool) -> Outcome:
    """A QoS 0 and a QoS 1 stream."""
    values = {}
    for qos in (0, 1):
        if varying:
            layout = Layout(b"bench/acl/000", qos, 64, varying=3)
            receiver, publisher = stage.stream(layout, {"filters": (b"bench/acl/+",)}, {"topics": TOPICS})
        else:
            receiver, publisher = stage.stream(Layout(b"bench/hooks", qos, 64))
        values[f"qos{qos}"] = delivery_rate(receiver, publisher)
    return stage.outcome(values)


SCENARIOS = (
    Scenario(
        "acl",
        "authorisation",
        "One to one, 64 B, over 500 topics in turn; without authorisation and with the acl plugin and its rules.",
        METRICS,
        (MEMORY, "mombroker-acl"),
        lambda stage: both(stage, varying=True),
        rough=2,
    ),
    Scenario(
        "hooks",
        "hooks",
        "One to one, 64 B: no hook implemented, hooks removed from the broker, and a hook that sees every publish and "
        "has no opinion.",
        METRICS,
        (MEMORY, "mombroker-hookless", "mombroker-noop"),
        lambda stage: both(stage, varying=False),
        repetitions=5,
        rough=2,
    ),
)
