"""Who was the limit."""

import pytest

from bench.bottleneck import GENERATOR, MACHINE, marks


@pytest.mark.parametrize(
    ("broker", "generator", "processors", "expected"),
    [
        (0.99, (0.4, 0.5), 2, ()),  # the broker's one thread is busy: it is the limit
        (0.99, (0.98, 0.3), 4, (GENERATOR,)),  # a process of the generator is, too: who knows
        (0.6, (0.99,), 4, (GENERATOR,)),
        (0.7, (0.65, 0.62), 2, (GENERATOR,)),  # no processor was free for a broker that wanted more
        (0.5, (0.3, 0.3), 2, ()),  # all wait for the disk
        (1.3, (0.4, 0.28), 2, (MACHINE,)),
        (0.0, (), 2, ()),
    ],
)
def test_marks(broker, generator, processors, expected):
    assert marks(broker, generator, processors) == expected


def test_other_programs_are_told_of():
    assert marks(0.9, (0.2,), 2, others=0.8) == ("other programs used 80% of a processor",)
    assert marks(0.9, (0.2,), 2, others=0.1) == ()
