"""mosquitto_pub and mosquitto_sub as they are used in a shell."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import pytest

from .server import TIMEOUT, environment

needed = pytest.mark.skipif(
    not (shutil.which("mosquitto_pub") and shutil.which("mosquitto_sub")),
    reason="mosquitto_pub and mosquitto_sub are not installed (Debian: apt-get install mosquitto-clients)",
)

_MARK = "\x1e"


def run(tool: str, port: int, *arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run one of the tools to its end."""
    return subprocess.run(
        [tool, "-h", "127.0.0.1", "-p", str(port), *arguments],
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )


def pub(port: int, *arguments: str, given: str | None = None) -> None:
    """mosquitto_pub, which has to succeed."""
    done = run("mosquitto_pub", port, *arguments, given=given)
    assert (done.returncode, done.stderr) == (0, ""), done


class Sub:
    """A mosquitto_sub that runs; it is subscribed when this is made. ``form`` is its ``-F``."""

    def __init__(
        self, port: int, *arguments: str, form: str = "%t %p", changed: threading.Condition | None = None
    ) -> None:
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-d", "-F", _MARK + form, *arguments]
        if shutil.which("stdbuf"):
            command = ["stdbuf", "-oL", *command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
        )
        self._lines: list[str] = []
        self._changed = changed or threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_until(lambda: any(line.startswith("Subscribed (mid: 1)") for line in self._lines), "no SUBACK")
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            with self._changed:
                self._lines.append(raw.decode())
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until its output fulfils a condition."""
        deadline = time.monotonic() + TIMEOUT
        with self._changed:
            while not done():
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"{what}; mosquitto_sub said:\n{''.join(self._lines)}")
                self._changed.wait(left)

    def received(self) -> list[str]:
        """The messages so far."""
        return [line[1:].rstrip("\n") for line in self._lines if line.startswith(_MARK)]

    @property
    def said(self) -> str:
        """All that it printed."""
        with self._changed:
            return "".join(self._lines)

    def messages(self, count: int) -> Sequence[str]:
        """Wait for so many messages; all there are then."""
        return gathered([self], count)[0]

    def stop(self) -> None:
        """SIGTERM: it disconnects in order."""
        self._end(kill=False)

    def kill(self) -> None:
        """kill -9: the connection breaks."""
        self._end(kill=True)

    def _end(self, kill: bool) -> None:
        if self._process.poll() is None:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
        self.wait()

    def wait(self) -> int:
        """Wait until it ends by itself; its exit code."""
        code = self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def __enter__(self) -> "Sub":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def gathered(subs: Sequence[Sub], count: int) -> list[list[str]]:
    """Wait until these, which share their ``changed``, have so many messages together; what each has then."""
    subs[0].wait_until(lambda: sum(len(sub.received()) for sub in subs) >= count, f"fewer than {count} messages")
    return [sub.received() for sub in subs]


def ask(port: int, *arguments: str) -> "subprocess.Popen[str]":
    """mosquitto_rr, which publishes a request and prints the answer when it comes."""
    if not shutil.which("mosquitto_rr"):
        pytest.skip("mosquitto_rr is not installed (Debian: apt-get install mosquitto-clients)")
    return subprocess.Popen(
        ["mosquitto_rr", "-h", "127.0.0.1", "-p", str(port), "-V", "5", "-W", str(int(TIMEOUT)), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
