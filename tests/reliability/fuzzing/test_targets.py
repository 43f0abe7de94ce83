"""What atheris does for hours, for some seconds and without it: every target on its seeds, on what was found once, and
on a fixed number of pseudo-random mutations. ``EXPLORE=1`` takes mutations that nobody has tried yet."""

import os
from random import SystemRandom

import pytest

from tests.reliability.fuzzing.defects import find
from tests.reliability.fuzzing.mutations import mutations
from tests.reliability.fuzzing.targets import TARGETS

MUTATIONS = {
    "decoder": 6000,
    "session": 120,
    "native": 120,
    "transports": 120,
    "client": 1000,
    "records": 3000,
    "files": 6000,
}
SEED = SystemRandom().randrange(1 << 32) if os.environ.get("EXPLORE") else 5


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_is_known_does_harm(name):
    run, inputs = TARGETS[name].load()
    for data in inputs:
        defect = find(run, data)
        assert defect is None, f"{data.hex()}\n{defect.story}"


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutation_of_a_known_input_does_harm(name):
    run, inputs = TARGETS[name].load()
    for data in mutations(inputs, MUTATIONS[name], SEED):
        defect = find(run, data)
        assert defect is None, f"seed {SEED}: {data.hex()}\n{defect.story}"
