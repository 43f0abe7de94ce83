"""Plots of a run, as SVG and PNG."""

from pathlib import Path
from typing import Any

from bench.report import figures
from bench.report.rows import Row, rows
from bench.report.targets import Finding, findings
from bench.results import Run, ScenarioFacts

OURS, THEIRS, LIMIT = "#0b7a75", "#9aa5b1", "#d8c99b"
PANELS = {
    "throughput": (
        "qos0-64",
        "qos1-64",
        "qos2-64",
        "nobody",
        "offline",
        "drain",
        "fanout-100",
        "fanout-1000",
        "fanin-100",
    ),
    "clients": ("loop-100", "loop-1000", "loop-5000", "connections", "idle", "subscriptions", "retained", "restart"),
    "plugins": ("acl", "hooks"),
}
SIZES = (("64", 64), ("1k", 1024), ("64k", 64 << 10), ("1m", 1 << 20))


def write(run: Run, folder: Path) -> list[Path]:
    """Draw everything that the run has figures for; the SVG files."""
    import matplotlib as mpl

    mpl.use("agg")
    # The same run gives the same file.
    mpl.rcParams.update({"svg.hashsalt": "mombroker", "font.size": 8, "axes.titlesize": 9, "svg.fonttype": "none"})
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for name, scenarios in PANELS.items():
        drawn += _save(folder / name, _panels(run, scenarios))
    drawn += _save(folder / "sizes", _sizes(run))
    drawn += _save(folder / "latency", _latency(run))
    drawn += _save(folder / "targets", _targets(run))
    return drawn


def _save(path: Path, figure: Any) -> list[Path]:
    if figure is None:
        return []
    import matplotlib.pyplot as plt

    figure.tight_layout()
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=130)
    plt.close(figure)
    return [path.with_suffix(".svg")]


def _grid(count: int, height: float) -> tuple[Any, list[Any]]:
    import matplotlib.pyplot as plt

    columns = min(3, count)
    lines = -(-count // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, height * lines), squeeze=False)
    flat = list(axes.flat)
    for unused in flat[count:]:
        unused.axis("off")
    return figure, flat


def _colour(row: Row) -> str:
    return OURS if row.broker.startswith("mombroker") else LIMIT if row.broker.startswith("limit") else THEIRS


def _scenario(run: Run, id: str) -> ScenarioFacts | None:
    return next((scenario for scenario in run.scenarios if scenario.id == id), None)


def _panels(run: Run, wanted: tuple[str, ...]) -> Any:
    """A panel of bars for each scenario."""
    found = []
    for scenario in filter(None, (_scenario(run, id) for id in wanted)):
        bars = [row for row in rows(run, scenario) if row.main.key in row.figures]
        if bars:
            found.append((scenario, bars))
    if not found:
        return None
    figure, axes = _grid(len(found), 2.4)
    for axis, (scenario, bars) in zip(axes, found, strict=False):
        _bars(axis, scenario, bars)
    return figure


def _bars(axis: Any, scenario: ScenarioFacts, bars: list[Row]) -> None:
    metric = scenario.metrics[0]
    values = [row.figures[metric.key] for row in bars]
    low = [value.median - value.low for value in values]
    high = [value.high - value.median for value in values]
    places = range(len(bars))
    axis.barh(places, [value.median for value in values], xerr=[low, high], color=[_colour(row) for row in bars])
    axis.set_yticks(places, [row.title for row in bars])
    axis.invert_yaxis()
    axis.set_title(f"{scenario.title}\n{metric.title}{f', {metric.unit}' if metric.unit not in ('', '/s') else ''}")
    for place, value in zip(places, values, strict=True):
        axis.annotate(" " + figures.number(value.median), (value.high, place), va="center")
    axis.set_xlim(0, max(value.high for value in values) * 1.3 or 1)
    axis.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}")
    axis.tick_params(axis="x", labelrotation=20)
    axis.spines[["top", "right"]].set_visible(False)


def _sizes(run: Run) -> Any:
    """Bytes per second over the size of the payload, a panel for each QoS."""
    lines: dict[int, dict[str, list[tuple[int, float]]]] = {}
    for qos in (0, 1, 2):
        for name, size in SIZES:
            scenario = _scenario(run, f"qos{qos}-{name}")
            for row in rows(run, scenario) if scenario else ():
                if "rate" in row.figures:
                    line = lines.setdefault(qos, {}).setdefault(row.title, [])
                    line.append((size, row.figures["rate"].median * size / 1e6))
    panels = {qos: {title: line for title, line in found.items() if len(line) > 1} for qos, found in lines.items()}
    panels = {qos: found for qos, found in panels.items() if found}
    if not panels:
        return None
    figure, axes = _grid(len(panels), 3.2)
    for axis, (qos, found) in zip(axes, panels.items(), strict=False):
        for title, line in found.items():
            axis.plot(*zip(*line, strict=True), marker="o", markersize=3, label=title)
        axis.set(xscale="log", yscale="log", title=f"QoS {qos}, one to one", xlabel="payload, bytes", ylabel="MB/s")
        axis.legend(fontsize=6)
    return figure


def _latency(run: Run) -> Any:
    """p50, p99 and p99.9 beside each other, on a logarithmic scale."""
    found = [item for item in (_scenario(run, "latency-light"), _scenario(run, "latency-half")) if item]
    found = [item for item in found if any("p50" in row.figures for row in rows(run, item))]
    if not found:
        return None
    figure, axes = _grid(len(found), 3.2)
    for axis, scenario in zip(axes, found, strict=False):
        bars = [row for row in rows(run, scenario) if "p50" in row.figures]
        for shift, (key, shade) in enumerate((("p50", 1.0), ("p99", 0.6), ("p999", 0.35))):
            places = [place + (shift - 1) * 0.27 for place in range(len(bars))]
            values = [row.figures[key].median if key in row.figures else 0.0 for row in bars]
            axis.barh(places, values, 0.25, color=[_colour(row) for row in bars], alpha=shade)
        axis.set_yticks(range(len(bars)), [row.title for row in bars])
        axis.invert_yaxis()
        axis.set(xscale="log", xlabel="ms", title=f"{scenario.title}\np50, p99, p99.9 (fainter)")
    return figure


def _targets(run: Run) -> Any:
    """How far each target was reached: 1 is just so."""
    found = [item for item in findings(run) if item.value]
    if not found:
        return None
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 0.26 * len(found) + 1))
    shares = [_share(item) for item in found]
    axis.barh(range(len(found)), shares, color=[OURS if item.reached else "#c2410c" for item in found])
    names = [f"{item.target.title}{f' / {item.target.other}' if item.target.other else ''}" for item in found]
    axis.set_yticks(range(len(found)), names)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.invert_yaxis()
    axis.set(xscale="log", title="Measured against target (right of the line: reached)")
    return figure


def _share(finding: Finding) -> float:
    bound, value = finding.target.bound, finding.value or 0.0
    return value / bound if finding.target.at_least else bound / value
