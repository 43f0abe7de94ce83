"""``python -m bench``"""

import signal
import sys

from bench.command_line import main

if __name__ == "__main__":
    # A harness that is told to stop stops the brokers it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
