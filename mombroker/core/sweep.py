"""The sweep: every connection looked at twice a second, for a deadline that has passed.

That is cheaper than a timer for each of them, and keeps no closed connection alive until its timer would fire.
"""

from typing import TYPE_CHECKING, Final

from mombroker.core import closing
from mombroker.core.connection import AUTHENTICATING, AWAITING_CONNECT, OPEN, Connection
from mombroker.core.timers import SWEEP
from mombroker.model.reasons import KEEP_ALIVE_TIMEOUT, NOT_AUTHORIZED

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

SWEEP_SECONDS: Final = 0.5
STALL_SECONDS: Final = 0.1


class Sweep:
    """Keep-alives, logins that expire, connect deadlines, and readers that hold up those who publish to them."""

    def __init__(self, engine: "Engine") -> None:
        self.engine: Engine = engine
        self._at: float = 0.0
        self._holding: list[Connection] = []

    def within(self, seconds: float) -> None:
        """Sweep in ``seconds``, or sooner if that has been asked for."""
        deadline = self.engine.now + seconds
        if self._at == 0.0 or deadline < self._at:
            self._at = deadline
            self.engine.timers.add(deadline, SWEEP)
            self.engine.schedule_tick()

    def run(self) -> None:
        """Look at every connection."""
        engine = self.engine
        if self._at > engine.now:
            return
        self._at = 0.0
        if self._holding:
            self._check_stalls()
        for connection in list(engine.connections):
            if connection.state == OPEN:
                if 0.0 < connection.identity_expires <= engine.now:
                    closing.disconnect(engine, connection, NOT_AUTHORIZED, closing.LOGIN_EXPIRED)
                else:
                    self._check_keep_alive(connection)
            elif connection.state == AWAITING_CONNECT or connection.state == AUTHENTICATING:
                self._check_connect_deadline(connection)
        if engine.connections:
            self.within(SWEEP_SECONDS)

    def _check_keep_alive(self, connection: Connection) -> None:
        """Close a connection that was silent for one and a half times its keep-alive (MQTT-3.1.2-22). One that is not
        being read from could not be heard."""
        now = self.engine.now
        if connection.paused:
            connection.last_seen = now
        elif connection.keep_alive and connection.last_seen + 1.5 * connection.keep_alive <= now:
            detail = "nothing heard for 1.5 times the keep-alive"
            closing.disconnect(self.engine, connection, KEEP_ALIVE_TIMEOUT, detail)

    def _check_connect_deadline(self, connection: Connection) -> None:
        """Close a connection whose client does not get on with connecting. A hook's time is not the client's."""
        engine = self.engine
        if connection.state == AUTHENTICATING and connection.blocked:
            connection.last_seen = engine.now
        elif connection.last_seen + engine.limits.connect_timeout <= engine.now:
            engine.log.info("no CONNECT in time", address=connection.address)
            closing.end(engine, connection, KEEP_ALIVE_TIMEOUT)

    def hold_up_publisher(self, reader: Connection) -> None:
        """Do not read from the client that is publishing now until ``reader`` has caught up, STALL_SECONDS at most.

        A reader that has not caught up by then is taken to be stalled: it holds nobody up again, and loses QoS 0.
        """
        publisher = self.engine.feeding
        if publisher is None or publisher is reader or publisher.paused or not reader.congested:
            return
        publisher.pause()
        if reader.held_up is None:
            reader.held_up = []
            reader.held_up_since = self.engine.now
            self._holding.append(reader)
            self.within(STALL_SECONDS)
        reader.held_up.append(publisher)

    def _check_stalls(self) -> None:
        still: list[Connection] = []
        for reader in self._holding:
            if reader.held_up is not None and reader.held_up_since + STALL_SECONDS <= self.engine.now:
                reader.stalled = True
                self.release_publishers(reader)
            elif reader.held_up is not None:
                still.append(reader)
        self._holding = still
        if still:
            self.within(STALL_SECONDS)

    def release_publishers(self, reader: Connection) -> None:
        """Read again from those who were held up by a reader."""
        held_up = reader.held_up
        if held_up is not None:
            reader.held_up = None
            for publisher in held_up:
                publisher.resume()
