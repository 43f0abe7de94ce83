"""A run as JSON."""

from pathlib import Path

import msgspec

from bench.results import Run


def write(run: Run, path: Path) -> None:
    """Write a run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def read(path: Path) -> Run:
    """Read a run from a file. Raises OSError, or msgspec.ValidationError when it holds something else."""
    return msgspec.json.decode(path.read_bytes(), type=Run)
