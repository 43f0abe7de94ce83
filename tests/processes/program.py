"""A Python program that is run as its reader would run it, and watched through what it prints."""

import signal
import subprocess
import sys
import threading
import time
from types import TracebackType

from .server import TIMEOUT, environment


class Program:
    """A Python program that runs, with the arguments of ``python``. ``lines`` is what it has printed, errors
    included."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, text: str, count: int = 1) -> list[str]:
        """Wait for so many lines with this text in them."""
        deadline = time.monotonic() + TIMEOUT
        with self._changed:
            while True:
                found = [line for line in self.lines if text in line]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                assert not self._ended and left > 0, f"{text!r} came {len(found)} times of {count}: {self.lines}"
                self._changed.wait(left)

    def end(self) -> list[str]:
        """Wait until it has ended well; all that it printed."""
        code = self._process.wait(TIMEOUT)
        self._close()
        assert code == 0, self.lines
        return self.lines

    def interrupt(self) -> list[str]:
        """Ctrl-C, which has to end it well."""
        self._process.send_signal(signal.SIGINT)
        return self.end()

    def _close(self) -> None:
        self._reader.join(TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(TIMEOUT)
        self._close()
