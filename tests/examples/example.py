"""The programs of the examples."""

from pathlib import Path

from ..processes.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(path: str, *arguments: str) -> Program:
    """A program that runs now."""
    return Program(str(EXAMPLES / path), *arguments)
