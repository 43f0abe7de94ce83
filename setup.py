"""Compiles the hot path with mypyc where that is possible; everything else about the build is in pyproject.toml.

``MOMBROKER_COMPILE`` decides: ``0`` never compiles, ``1`` fails the build where compiling fails, and without it a
machine that cannot compile gets the same files interpreted. It is all or nothing: a module is never installed
compiled without the library that holds its code.
"""

import contextlib
import glob
import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = (
    "mombroker/mqtt/*.py",
    "mombroker/core/*.py",
    "mombroker/core/named/*.py",
    "mombroker/model/message.py",
    "mombroker/model/unit.py",
    "mombroker/wiring/runtime.py",
    "mombroker/listeners/tcp.py",
    "mombroker/client/protocol/*.py",
)
INTERPRETED: set[str] = set()
"""Paths that the patterns above match and that are better left alone, each with the reason why."""

BUILDING = {"bdist_wheel", "build", "build_ext", "develop", "editable_wheel", "install"}
"""Commands that need the extensions; the others ask for metadata only and should be quick."""


def wish() -> str:
    """never, auto or must."""
    value = os.environ.get("MOMBROKER_COMPILE", "")
    answers = {"": "auto", "0": "never", "1": "must"}
    if value not in answers:
        sys.exit(f"MOMBROKER_COMPILE={value}: write 0 (never compile), 1 (must compile) or leave it unset")
    return answers[value]


def sources() -> list[str]:
    """The files to compile."""
    found = (path.replace(os.sep, "/") for pattern in COMPILED for path in glob.glob(pattern))
    return sorted(path for path in found if not path.endswith("/__init__.py") and path not in INTERPRETED)


def extensions() -> list[Extension]:
    """What mypyc makes of them: one library, and a small extension per module that points into it."""
    if wish() == "never" or BUILDING.isdisjoint(sys.argv):
        return []
    try:
        from mypyc.build import mypycify

        # No configuration file: a release must not fail to compile because a newer mypy knows a stricter check.
        return mypycify(["--config-file=", *sources()], group_name="mombroker", debug_level="0")
    except (ImportError, SystemExit) as reason:
        interpreted_instead(f"mypyc did not run ({reason})")
        return []


def interpreted_instead(what: str) -> None:
    """Tell, or fail the build where compiling is a must."""
    if wish() == "must":
        sys.exit(f"mombroker: {what}, and MOMBROKER_COMPILE=1 requires compiled modules")
    sys.stderr.write(f"mombroker: {what}; installing the same modules interpreted\n")


class AllOrNothing(build_ext):
    """Builds every extension, or removes those that were built before one failed."""

    def build_extensions(self) -> None:
        try:
            super().build_extensions()
        except Exception as reason:
            interpreted_instead(f"the C compiler failed ({str(reason)[:100]})")
            for extension in self.extensions:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(self.get_ext_fullpath(extension.name))
            self.extensions = []


setup(ext_modules=extensions(), cmdclass={"build_ext": AllOrNothing})
