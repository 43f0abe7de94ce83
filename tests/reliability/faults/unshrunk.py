"""A plugin for pytest: a stateful model that has failed is not made smaller, which takes minutes. That it fails is all
that is asked here."""

import hypothesis
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the shrinking."""
    for item in items:
        machine = getattr(item, "cls", None)
        if isinstance(getattr(machine, "settings", None), hypothesis.settings):
            phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
            machine.settings = hypothesis.settings(machine.settings, phases=phases)
