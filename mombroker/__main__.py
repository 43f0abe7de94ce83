"""``python -m mombroker`` is the ``mombroker`` command."""

import sys

from mombroker.cli import main

if __name__ == "__main__":
    sys.exit(main())
