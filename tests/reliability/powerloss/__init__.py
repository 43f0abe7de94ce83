"""What a power cut may leave of a broker's data, built and opened. ``about.md`` says how."""

from tests.reliability.powerloss.command import main

__all__ = ["main"]
