"""What the measurements were made on."""

import os
import platform
from pathlib import Path

import psutil


def facts(data: Path) -> dict[str, str]:
    """Kernel, processor, memory, Python, and the file system of the brokers' data."""
    data.mkdir(parents=True, exist_ok=True)
    memory = psutil.virtual_memory().total / (1 << 30)
    return {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "distribution": _distribution(),
        "processor": f"{_processor()}, {os.cpu_count()} processors",
        "memory": f"{memory:.0f} GiB",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "file system": _file_system(data.resolve()),
        "load before": "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg()),
    }


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return platform.platform()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _file_system(path: Path) -> str:
    """The type of the file system that a path is on."""
    found = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    best = max(found, key=lambda part: len(part.mountpoint), default=None)
    return best.fstype if best else "unknown"
