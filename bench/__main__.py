"""``python -m bench``"""

import os
import signal
import sys

from bench.command_line import main

if __name__ == "__main__":
    # The checkout is first on the import path, for bench is here; but clients are to be those of the installed package,
    # which may be compiled. Processes of the generator inherit the path.
    sys.path.sort(key=lambda place: os.path.realpath(place or ".") == os.path.realpath("."))
    # A harness that is told to stop stops the brokers it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
