"""A finding: what failed, told apart from other findings, and its input made as small as is easy."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Run = Callable[[bytes], None]
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Defect:
    """``place`` tells findings apart: the kind of error, and where it was raised."""

    place: str
    data: bytes
    story: str


def says_why(error: Exception) -> None:
    """An error that is allowed still has to say what is wrong."""
    assert str(error), f"{error!r} says nothing"


def find(run: Run, data: bytes) -> Defect | None:
    """Run one input; what is wrong, if anything is."""
    try:
        run(data)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        path = Path(frame.filename)
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
        story = "".join(traceback.format_exception(error))
        return Defect(f"{type(error).__name__} in {frame.name} ({name}:{frame.lineno})", data, story)
    return None


def smaller(run: Run, defect: Defect, seconds: float) -> Defect:
    """The same defect from fewer bytes, as far as ``seconds`` of CPU time lead."""
    end = time.process_time() + seconds
    size = max(1, len(defect.data) // 2)
    while size:
        at = 0
        while at < len(defect.data):
            if time.process_time() > end:
                return defect
            found = find(run, defect.data[:at] + defect.data[at + size :])
            if found is not None and found.place == defect.place:
                defect = found
            else:
                at += size
        size //= 2
    return defect
