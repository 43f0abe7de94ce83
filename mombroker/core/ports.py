"""What the core asks of the world outside: the hooks behind their host, and the transport of a connection.

The core calls these and never waits. An answer that is not there yet comes later, on the loop thread, through the
callback that was passed along.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from mombroker.hooks.events import Event
from mombroker.hooks.requests import AuthContinue, AuthDone, ConnectRequest
from mombroker.model.certificate import ClientCertificate
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.unit import Unit
from mombroker.mqtt.packets import Publish

if TYPE_CHECKING:
    from mombroker.core.queue import Queue, Ref
    from mombroker.core.session import Session

AuthAnswer = AuthContinue | AuthDone | Refusal


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange:
    """One enhanced authentication under way."""

    def step(self, data: bytes | None, answer: Callable[[AuthAnswer], None]) -> None:
        """Take the client's data; ``answer`` is called once, at once or later."""
        raise NotImplementedError

    def cancel(self) -> None:
        """The connection is gone: no answer is wanted any more."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Hooks:
    """The hooks as the core sees them. This one is what a broker without any plugin does: everything is allowed.

    The flags tell which hooks anyone implements, so that the hot path need not call for nothing.
    """

    def __init__(self) -> None:
        self.authorizes: bool = False
        self.sees_publish: bool = False
        self.sees_deliver: bool = False
        self.sees_events: bool = False
        self.decides_overflow: bool = False

    def authenticate(self, request: ConnectRequest, answer: Callable[[Identity | Refusal], None]) -> None:
        """Authenticate a client; ``answer`` is called once, at once or later."""
        answer(Identity(client_id=request.client_id, username=request.username, address=request.address))

    def begin_exchange(self, method: str, request: ConnectRequest) -> Exchange | None:
        """Begin an enhanced authentication; None: no plugin knows the method."""
        return None

    def authorize(
        self, identity: Identity, action: str, resource: str, answer: Callable[[bool], None], default: bool = True
    ) -> bool | None:
        """The decision if it is there at once; None: ``answer`` will be called with it later, exactly once.

        ``default`` is what counts if no plugin has an opinion.
        """
        return default

    def queue_policy(self, queue: QueueSpec, answer: Callable[[QueuePolicy], None]) -> QueuePolicy:
        """The policy of a new queue. When a hook has to wait, the default is returned and ``answer`` called later."""
        return QueuePolicy()

    def overflow(self, queue: QueueSpec, message: Message, default: Overflow) -> Overflow:
        """What to do with one message too many."""
        return default

    def on_publish(
        self, message: Message, identity: Identity, answer: Callable[[Message | Refusal], None]
    ) -> Message | Refusal | None:
        """The message to route, or a refusal; None: ``answer`` will be called later, exactly once."""
        return message

    def on_deliver(self, message: Message, identity: Identity) -> Message | None:
        """The message to send to this client, or None to withhold it."""
        return message

    def event(self, event: Event) -> None:
        """Tell the observers. Never raises."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport:
    """The connection's bytes out. Calls never raise and never block; after ``close`` all are ignored."""

    def write(self, data: bytes) -> None:
        """Send bytes, in order."""
        raise NotImplementedError

    def buffered(self) -> int:
        """Bytes handed to :meth:`write` that the operating system has not taken yet."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Deliver no more bytes until :meth:`resume_reading`."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Deliver bytes again."""
        raise NotImplementedError

    def close(self) -> None:
        """Close lingeringly: send what was written, shut down writing, drain for a moment."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once and forget what was not sent."""
        raise NotImplementedError

    def certificate(self) -> ClientCertificate | None:
        """The certificate that the client has shown, where the transport asks for one."""
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class Outside:
    """What the core cannot do itself: write, read, and be called again."""

    def commit(self, unit: Unit) -> None:
        """Give a unit to the store; ``Engine.committed`` is called when it is done, at once or later."""
        raise NotImplementedError

    def read(self, queue: "Queue", first: int, max_records: int, max_bytes: int) -> None:
        """Read a page of a queue; ``Engine.page_loaded`` is called with it later, never at once."""
        raise NotImplementedError

    def read_lease(self, session: "Session", ref: "Ref") -> None:
        """Read one message again; ``Engine.lease_loaded`` is called with it later, never at once."""
        raise NotImplementedError

    def operate(self, session: "Session", operation: str, packet: Publish) -> bool:
        """Carry out an operation of the native API for an MQTT client; its answer is published to the packet's Response
        Topic, later. False: there is no such operation here."""
        return False

    def request_turn(self) -> None:
        """Have ``Engine.end_turn`` called once the packets at hand have been handled."""
        raise NotImplementedError

    def request_tick(self, deadline: float) -> None:
        """Have ``Engine.tick`` called at ``deadline`` (Unix seconds), instead of any time asked for before."""
        raise NotImplementedError

    def fatal(self, error: BaseException) -> None:
        """What is on disk is unknown: acknowledge nothing more and end the process."""
        raise NotImplementedError
