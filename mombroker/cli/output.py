"""What commands show: with rich where it is installed and somebody looks, plain text otherwise.

Results go to standard output and are meant for pipes as well; progress and remarks go to standard error.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click


class Advance(Protocol):
    """Counts the steps of something that takes a while."""

    def __call__(self, steps: int = 1, size: int = 0) -> None:
        """So many ``steps`` (messages) are done, of ``size`` in the unit of the total."""
        ...


def remark(text: str) -> None:
    """Say something that is not a result."""
    click.echo(f"mombroker: {text}", err=True)


def show_payload(payload: bytes, end: bytes = b"\n") -> None:
    """Write a message as it is."""
    sys.stdout.buffer.write(payload + end)
    sys.stdout.buffer.flush()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Show rows under headings; into a pipe, as columns between tabs and without headings."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(str(cell) for cell in row))
        return
    rich = _rich()
    if rich is None:
        _show_plain_table([columns, *rows])
        return
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if rows and isinstance(rows[0][index], int | float) else "left")
    for row in rows:
        table.add_row(*(rich.markup.escape(_shown(cell)) for cell in row))
    rich.console.Console().print(table)


def show_record(record: dict[str, object]) -> None:
    """Show names and values, one pair a line."""
    width = max((len(name) for name in record), default=0)
    for name, value in record.items():
        click.echo(f"{name:<{width}}  {_shown(value)}")


def _show_plain_table(rows: Sequence[Sequence[object]]) -> None:
    shown = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in shown) for index in range(len(shown[0]))]
    for row in shown:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value) or "-"
    return str(value) if value != "" else "-"


@contextmanager
def progress(what: str, total: int | None, in_bytes: bool = False) -> Iterator[Advance]:
    """Show how far something is, if somebody looks at standard error, and at the end how many steps it took.

    ``total`` counts steps, or bytes if ``in_bytes``; None if it is not known.
    """
    counter = _Counter()
    started = time.monotonic()
    rich = _rich() if sys.stderr.isatty() else None
    if rich is None:
        yield counter
    else:
        unit = [rich.progress.DownloadColumn()] if in_bytes else [rich.progress.MofNCompleteColumn()]
        bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            *unit,
            rich.progress.TextColumn("{task.fields[count]:,} messages"),
            rich.progress.TimeRemainingColumn(),
            console=rich.console.Console(stderr=True),
        )
        with bar:
            task = bar.add_task(what, total=total, count=0)

            def show() -> None:
                bar.update(task, completed=counter.size if in_bytes else counter.steps, count=counter.steps)

            counter.then = show
            yield counter
            show()
    seconds = time.monotonic() - started
    rate = f", {counter.steps / seconds:,.0f} a second" if seconds > 0 and counter.steps > 1 else ""
    remark(f"{what}: {counter.steps:,} messages in {seconds:.2f} s{rate}")


class _Counter:
    """Counts, and shows the count a few times a second at the most."""

    def __init__(self) -> None:
        self.steps = 0
        self.size = 0
        self.then: Callable[[], None] | None = None
        self._shown_at = 0.0

    def __call__(self, steps: int = 1, size: int = 0) -> None:
        self.steps += steps
        self.size += size
        if self.then is not None and self.steps & 0xFF == 0 and time.monotonic() - self._shown_at > 0.1:
            self._shown_at = time.monotonic()
            self.then()


def _rich() -> Any:
    """The parts of rich that are used here, or None where it is not installed."""
    try:
        import rich
        import rich.box
        import rich.console
        import rich.markup
        import rich.progress
        import rich.table
    except ImportError:
        return None
    return rich
