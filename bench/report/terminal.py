"""What is seen while a run goes on, and at its end."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from bench.brokers import Broker
from bench.report import figures
from bench.report.rows import Row, rows
from bench.report.targets import findings
from bench.results import Measurement, Run
from bench.scenarios import Scenario


class ProgressBar:
    """A progress bar that names what is being measured, and lines for what went wrong."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, scenario: Scenario, broker: Broker, repetition: int) -> None:
        """Name it."""
        self._progress.update(self._task, description=f"{scenario.id:14} {broker.id:28} #{repetition}")

    def done(self, measurement: Measurement) -> None:
        """Count it."""
        self._progress.advance(self._task)
        if measurement.faults:
            what = "; ".join(measurement.faults)
            self._console.print(f"{measurement.scenario} on {measurement.broker}: {what}", style="yellow", markup=False)


def show(run: Run, console: Console) -> None:
    """The results, the targets, and what was missing."""
    for scenario in run.scenarios:
        found = rows(run, scenario)
        if found:
            console.print(_table(scenario.title, found))
    if findings(run):
        console.print(_targets(run))
    for broker in run.brokers:
        if broker.missing:
            console.print(f"missing: {broker.title}: {broker.missing}", style="yellow", markup=False)


def _table(title: str, found: list[Row]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    table.add_column("broker", no_wrap=True)
    metrics = found[0].scenario.metrics
    for index, metric in enumerate(metrics):
        table.add_column(
            f"{metric.title}{f' ({metric.unit})' if metric.unit not in ('', '/s') else ''}", justify="right"
        )
        if not index:
            table.add_column("min - max", justify="right", style="dim")
            table.add_column("to Mosquitto", justify="right")
    table.add_column("remarks")
    for row in found:
        cells = [row.title]
        for index, metric in enumerate(metrics):
            value = row.figures.get(metric.key)
            cells.append(figures.number(value.median) if value else "-")
            if not index:
                cells.append(figures.span(value.low, value.high) if value else "")
                cells.append(figures.times(row.ratios.get(metric.key)))
        cells.append("; ".join((*row.faults, *row.marks))[:160])
        table.add_row(*cells, style="cyan" if row.broker.startswith("mombroker") else None)
    return table


def _targets(run: Run) -> Table:
    table = Table(title="Targets", title_justify="left", title_style="bold")
    for name, justify in (("target", "left"), ("against", "left"), ("wanted", "right"), ("measured", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("")
    words = {True: "[green]reached", False: "[red]not reached", None: "[dim]not measured"}
    for finding in findings(run):
        target = finding.target
        value = "-" if finding.value is None else f"{figures.number(finding.value)} {target.unit}"
        table.add_row(target.title, target.other, target.wanted(), value, words[finding.reached])
    return table
