"""The check of the checkers: the broker is broken on purpose, and each checker has to say so.

``catalogue`` has the faults, ``copies`` puts one into a copy of the product, ``checkers`` runs whoever is to see it,
``matrix`` keeps who did.
"""

from tests.reliability.faults.command import main

__all__ = ["main"]
