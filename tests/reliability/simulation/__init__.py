"""Deterministic simulation of floors 1 to 3: see about.md, and actors.py for how an actor is added."""

from .command import main

__all__ = ["main"]
