"""The address of an LMDB store: ``lmdb:PATH?map_size=64MiB&max_map_size=1TiB``."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from mombroker.model.errors import ConfigurationError

MAP_SIZE: Final = 64 << 20
MAX_MAP_SIZE: Final = 1 << 40 if sys.maxsize > 1 << 32 else 1 << 30

_SMALLEST_MAP: Final = 1 << 20
_SIZE: Final = re.compile(r"(\d{1,20})\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWER: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True)
class LmdbAddress:
    """Where the data directory is, and how large its memory map is at first and at most, in bytes."""

    path: Path
    map_size: int = MAP_SIZE
    max_map_size: int = MAX_MAP_SIZE


def parse_lmdb_address(url: str) -> LmdbAddress:
    """Read an ``lmdb:`` address. ``%`` escapes a ``?`` in the path. Raises ConfigurationError."""
    rest = url.partition(":")[2]
    place, _, query = rest.partition("?")
    if place.startswith("//"):
        place = place[2:]
    if not place:
        raise ConfigurationError(f"store address {url!r} names no directory; write lmdb:/var/lib/mombroker")
    sizes = {"map_size": MAP_SIZE, "max_map_size": MAX_MAP_SIZE}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in sizes:
            raise ConfigurationError(f"store address {url!r} has an unknown option {name!r}; known: {', '.join(sizes)}")
        sizes[name] = _size(url, name, value)
    # A limit below the default first size is meant for both.
    first = min(sizes["map_size"], sizes["max_map_size"])
    return LmdbAddress(_directory(url, unquote(place)), first, sizes["max_map_size"])


def _directory(url: str, place: str) -> Path:
    if "\0" in place:
        raise ConfigurationError(f"store address {url!r} names a directory with a null character; write another one")
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"store address {url!r} names a user whose home directory is not known; write the whole path"
        ) from None


def _size(url: str, name: str, text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"store address {url!r}: {name}={text!r} is not a size; write 512MiB or a byte count")
    number, unit, binary = match.groups()
    size = int(number) * int((1024 if binary or not unit else 1000) ** _POWER[unit.lower()])
    if size < _SMALLEST_MAP:
        raise ConfigurationError(f"store address {url!r}: {name}={text!r} is too small; the least is 1MiB")
    return size
