"""Starts one of the checkers: ``python tests/reliability CHECKER [OPTIONS]``; ``make reliability`` lists them.

They are about the installed package, as the tests are: the checkout comes last on the import path, for what the
checkers import of ``tests``.
"""

import sys
from importlib import import_module
from pathlib import Path

CHECKERS = ("simulation", "powerloss", "torture", "fuzzing", "soak", "faults", "page")


def main() -> int:
    """Run the checker that the command line names. Its own exit code: 0 if nothing was found."""
    if len(sys.argv) < 2 or sys.argv[1] not in CHECKERS:
        print(f"usage: python tests/reliability {{{','.join(CHECKERS)}}} [OPTIONS]", file=sys.stderr)
        return 2
    # Python put this folder first.
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))
    module = import_module(f"tests.reliability.{sys.argv[1]}")
    return int(module.main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
