"""docs/performance.md, from a run and from the notes that people keep in ``bench/notes.toml``."""

import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.report import figures
from bench.report.rows import Row, defeats, rows
from bench.report.targets import Finding, findings
from bench.results import Run, ScenarioFacts

NOTES = Path(__file__).parents[1] / "notes.toml"

HEAD = """# Performance

mombroker beside the brokers one would take instead, on one machine, in one run. `make bench` writes this page; do not
edit it (what people have to say about it is in `bench/notes.toml`). Run it on your own machine before you believe it.
"""

QUICK = """
> **A quick run.** Short streams, one repetition, smaller crowds and backlogs: good for seeing that everything works,
> and for nothing else.
"""

READING = """
## How to read this

- **Median (lowest - highest)** of the repetitions. **x** is the ratio of our row's, or any row's, median to Mosquitto's
  in the same run. Ratios inside one run say something; absolute figures are those of this machine.
- Brokers are measured in turns, A B C A B C …, so that a change of the machine's mood falls on all of them. The ones
  whose turn it is not are stopped (SIGSTOP). Each starts with an empty data directory.
- The generator runs in processes of its own and shares the processors with the broker, as clients on the same machine
  would. It rests for 0.1 ms after short reads while plenty is in flight, which leaves the processor to the broker. When
  it was the limit itself, or other programs used the processors, the row says so: the broker could have been faster.
- Every message carries the number of the run, its publisher and a sequence number. All are checked, with every byte of
  payloads up to 256 B (with QoS 0 from one publisher: up to 1 KiB) and of one in eight larger ones. A measurement in
  which a message was lost, doubled, out of order or changed is marked and **not** averaged in.
- In streams the publisher waits while too much is under way to the receiver: at first 8 messages, then twice as many as
  long as a message takes less than 20 ms, or doubling has brought a fifth more; up to 4 MiB to one receiver and 64 MiB
  in all. So a stream measures what goes
  through a broker and not how much fits into it. With QoS 1 and 2 at most 1,000 messages (or 4 MiB) are unacknowledged.
- Everyone speaks MQTT 3.1.1, but where requests, named queues, gRPC and HTTP are measured: there it is broker and
  Python client together, each client a process of its own. Brokers promise different things when they acknowledge;
  see the table of brokers.
- The two **limits** do only what no broker can avoid, on the same event loop: a relay that hands bytes on without
  reading them, and an append with fdatasync of the same bytes in the same batches.
- What could not be done within the time allowed is said to be so. Nothing is filled in.
"""


def write(run: Run, path: Path, plots: list[Path]) -> None:
    """Write the page, with links to the plots as seen from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(run, [Path(os.path.relpath(plot, path.parent)) for plot in plots], notes()), encoding="utf-8")


def notes() -> dict[str, str]:
    """What people have to say, by the id of a target or scenario."""
    if not NOTES.exists():
        return {}
    return {name: str(text).strip() for name, text in tomllib.loads(NOTES.read_text(encoding="utf-8")).items()}


def page(run: Run, plots: list[Path], said: dict[str, str]) -> str:
    """The page."""
    parts = [
        HEAD + (QUICK if run.quick else ""),
        "## Targets\n\n" + _targets(run, said) if findings(run) else "",
        READING.strip(),
        "## Where mombroker loses\n\n" + _losses(run, said),
        "## Results\n\n" + "\n\n".join(_scenario(run, scenario, said) for scenario in run.scenarios),
        "## Plots\n\n" + "\n\n".join(f"![{plot.stem}]({plot.as_posix()})" for plot in plots) if plots else "",
        "## The machine and the run\n\n" + _machine(run),
        "## The brokers\n\n" + _brokers(run),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    text = [head, tuple("---" for _ in head), *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in text
    )


def _targets(run: Run, said: dict[str, str]) -> str:
    found = findings(run)
    lines = [_target_line(finding) for finding in found]
    reached = sum(finding.reached is True for finding in found)
    missed = sum(finding.reached is False for finding in found)
    text = f"{reached} of {len(found)} reached, {missed} not reached, {len(found) - reached - missed} not measured.\n\n"
    text += _table(("scenario (64 B unless said)", "against", "target", "measured", ""), lines)
    remarks = [_remark(finding, said) for finding in found if finding.reached is False]
    return text + ("\n\n" + "\n".join(remarks) if remarks else "")


def _target_line(finding: Finding) -> tuple[str, ...]:
    target = finding.target
    measured = "-" if finding.value is None else f"{figures.number(finding.value)} {target.unit}"
    word = {True: "reached", False: "**not reached**", None: "not measured"}[finding.reached]
    return target.title, target.other, target.wanted(), measured, word


def _remark(finding: Finding, said: dict[str, str]) -> str:
    target = finding.target
    against = f" against {target.other}" if target.other else ""
    text = said.get(target.id) or said.get(target.scenario) or "no profile has been noted yet."
    return f"- *{target.title}{against}*: {text}"


def _losses(run: Run, said: dict[str, str]) -> str:
    lines = []
    for broker in ("mombroker-fsync", "mombroker-memory"):
        for defeat in defeats(run, broker):
            unit = f" {defeat.metric.unit}" if defeat.metric.unit else ""
            ours, theirs = (row.figures[defeat.metric.key].median for row in (defeat.ours, defeat.theirs))
            figures_of = f"{figures.number(ours)}{unit}", f"{figures.number(theirs)}{unit}"
            lines.append((defeat.scenario.title, defeat.ours.title, figures_of[0], defeat.theirs.title, figures_of[1]))
    if not lines:
        return "Nowhere in this run, which is a reason to look at it twice."
    mentioned = dict.fromkeys(defeat.scenario.id for defeat in defeats(run, "mombroker-fsync"))
    why = [f"- *{name}*: {said[name]}" for name in mentioned if name in said]
    text = "Every scenario in which another broker's median is better, whatever it promises:\n\n"
    return text + _table(("scenario", "", "", "better", ""), lines) + ("\n\n" + "\n".join(why) if why else "")


def _scenario(run: Run, scenario: ScenarioFacts, said: dict[str, str]) -> str:
    found = rows(run, scenario)
    head = ["broker"]
    for index, metric in enumerate(scenario.metrics):
        head.append(f"{metric.title}{f', {metric.unit}' if metric.unit not in ('', '/s') else ''}")
        if not index:
            head.append("to Mosquitto")
    text = f"### {scenario.title}\n\n{scenario.description}\n\n" + _table(
        (*head, "remarks"), [_line(row) for row in found]
    )
    return text + (f"\n\n{said[scenario.id]}" if scenario.id in said else "")


def _line(row: Row) -> tuple[str, ...]:
    cells = [f"**{row.title}**" if row.broker.startswith("mombroker") else row.title]
    for index, metric in enumerate(row.scenario.metrics):
        value = row.figures.get(metric.key)
        cell = "-"
        if value:
            span = figures.span(value.low, value.high)
            cell = figures.number(value.median) + (f" ({span})" if span else "")
        cells.append(cell)
        if not index:
            cells.append(figures.times(row.ratios.get(metric.key)))
    return (*cells, "; ".join((*row.faults, *row.marks))[:300])


def _machine(run: Run) -> str:
    facts = {"started": run.started, "took": f"{run.took / 60:.1f} minutes", **run.options, **run.machine}
    return _table(("", ""), list(facts.items()))


def _brokers(run: Run) -> str:
    lines = [
        (
            broker.title,
            broker.version or "-",
            broker.promise,
            f"missing: {broker.missing}" if broker.missing else "measured",
        )
        for broker in run.brokers
    ]
    text = _table(("broker", "version", "what its acknowledgement means", ""), lines)
    return text + "\n\nTheir configurations:\n\n" + "\n\n".join(_configurations(run))


def _configurations(run: Run) -> Iterator[str]:
    for broker in run.brokers:
        if broker.configuration:
            yield f"<details><summary>{broker.title}</summary>\n\n```\n{broker.configuration}\n```\n\n</details>"
