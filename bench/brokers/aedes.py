"""aedes, a broker for Node.js, pinned by the lock file in ``bench/npm``."""

import json
import shutil
from pathlib import Path

from bench.brokers.base import HOME, Broker, Plan, first_line

FOLDER = HOME / "npm"
NEEDS_NODE = 20


class Aedes(Broker):
    """In memory, as it comes."""

    id = "aedes"
    title = "aedes"
    promise = "in memory only"

    def missing(self) -> str:
        """npm has it."""
        if not shutil.which("node"):
            return "apt-get install nodejs npm (20 or newer), make bench-setup"
        node = first_line(["node", "--version"])
        if int(node.lstrip("v").partition(".")[0]) < NEEDS_NODE:
            return f"Node {node} is too old: it needs {NEEDS_NODE} or newer"
        return "" if (FOLDER / "node_modules" / "aedes").exists() else "make bench-setup (or npm ci in bench/npm)"

    def version(self) -> str:
        """Its own and Node's."""
        facts = json.loads((FOLDER / "node_modules" / "aedes" / "package.json").read_text(encoding="utf-8"))
        return f"aedes {facts['version']}, Node {first_line(['node', '--version'])}"

    def plan(self, directory: Path, port: int) -> Plan:
        """A script of three lines."""
        return Plan(["node", str(FOLDER / "server.mjs"), str(port)])

    def configuration(self) -> str:
        """The script."""
        return "// server.mjs\n" + (FOLDER / "server.mjs").read_text(encoding="utf-8").strip()
