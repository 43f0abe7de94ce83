"""Whatever happens to the connection, at whichever byte: QoS 1 loses nothing, QoS 2 loses and doubles nothing."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mombroker.client.protocol import Message, Options, Outgoing, Session, Wish
from mombroker.model.errors import MombrokerError
from mombroker.mqtt import Publish, SubscribeFilter

from .model_server import ModelServer, ServerSide

WHOLE = 1 << 20
BYTES = st.sampled_from([0, 1, 3, 4, 8, 20, 50, WHOLE, WHOLE])


@dataclass
class Receipt:
    """Keeps how a publish ended."""

    ends: list[int] = field(default_factory=list)

    def settled(self, reason: int, text: str) -> None:
        self.ends.append(reason)

    def broken(self, error: MombrokerError) -> None:
        raise AssertionError(error)


class Application:
    """Keeps what the session tells."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.unsettled: list[Message] = []

    def wants_write(self) -> None:
        """The test looks by itself."""

    def let_in(self, session_present: bool) -> None:
        """The test looks by itself."""

    def refused(self, reason: int, text: str) -> None:
        raise AssertionError("refused")

    def dismissed(self, reason: int, text: str) -> None:
        raise AssertionError("dismissed")

    def received(self, message: Message, publish: Publish) -> None:
        self.messages.append(message)
        self.unsettled.append(message)


class LossyConnections(RuleBasedStateMachine):
    """A session and a server, with a wire between them that is cut anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.application = Application()
        self.to_server = self.to_client = b""
        self.side: ServerSide | None = None
        self.receipts: list[tuple[bytes, int, Receipt]] = []
        self.sent_down: list[tuple[bytes, int]] = []
        self.forgotten = False

    @initialize(receive_maximum=st.sampled_from([1, 2, 5, 100]), aliases=st.sampled_from([0, 1]))
    def begin(self, receive_maximum: int, aliases: int) -> None:
        """A server, a session, and a subscription that is wished for from the start."""
        self.server = ModelServer(receive_maximum, aliases)
        self.session = Session(Options("c", session_expiry=60, inflight_maximum=50), self.application)
        self.session.subscriptions.ask(Wish([SubscribeFilter("down", 2)], 7, None, False))
        self.connect(True)

    @precondition(lambda self: self.side is None)
    @rule(introduced=st.sampled_from([True, True, True, False]))
    def connect(self, introduced: bool) -> None:
        self.side = ServerSide(self.server)
        self.to_server = self.to_client = b""
        self.session.opened()
        if introduced:
            self.carry(WHOLE, WHOLE)

    @precondition(lambda self: self.side is not None)
    @rule(up=BYTES, down=BYTES)
    def cut(self, up: int, down: int) -> None:
        """The wire breaks: of what is on it, only so many bytes arrive."""
        self.carry(up, down)
        self.side = None
        self.session.lost()

    @precondition(lambda self: self.side is None)
    @rule()
    def forget(self) -> None:
        self.forgotten = self.forgotten or bool(self.server.sessions)
        self.server.forget()

    @rule(qos=st.integers(0, 2), long=st.booleans())
    def publish(self, qos: int, long: bool) -> None:
        payload = b"%d" % len(self.receipts)
        receipt = Receipt()
        self.receipts.append((payload, qos, receipt))
        topic = b"up/" + b"x" * 60 if long else b"up"
        self.session.outbound.publish(Outgoing(topic, payload, qos << 1, b"", receipt))

    @precondition(lambda self: self.side is not None)
    @rule(qos=st.integers(1, 2))
    def send_down(self, qos: int) -> None:
        payload = b"%d" % len(self.sent_down)
        if self.side.deliver("down", payload, qos):
            self.sent_down.append((payload, qos))

    @precondition(lambda self: self.side is not None)
    @rule(up=BYTES, down=BYTES)
    def carry(self, up: int, down: int) -> None:
        self.to_server += self.session.outbox.take()
        now, self.to_server = self.to_server[:up], self.to_server[up:]
        self.side.feed(now)
        self.to_client += self.side.take()
        now, self.to_client = self.to_client[:down], self.to_client[down:]
        self.session.feed(now)

    @precondition(lambda self: self.application.unsettled)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        messages = self.application.unsettled
        messages.pop(data.draw(st.integers(0, len(messages) - 1))).ack()

    def teardown(self) -> None:
        """Connect for good, carry everything, and look."""
        if not hasattr(self, "server"):
            return
        if self.side is None:
            self.connect(True)
        for _ in range(10 + 4 * (len(self.receipts) + len(self.sent_down))):
            self.carry(WHOLE, WHOLE)
            while self.application.unsettled:
                self.application.unsettled.pop().ack()
        self.check_up()
        self.check_down()

    def check_up(self) -> None:
        assert not self.session.outbound.pending
        assert self.session.outbound.open == 0
        taken = [publish.payload() for publish in self.server.taken]
        for payload, qos, receipt in self.receipts:
            assert receipt.ends == [0], (payload, qos)
            if qos:
                assert payload in taken
            if qos == 2 and not self.forgotten:
                assert taken.count(payload) == 1
            if qos == 0:
                assert taken.count(payload) <= 1
        for qos in (1, 2):
            wanted = [payload for payload, of, _ in self.receipts if of == qos]
            assert list(dict.fromkeys(payload for payload in taken if payload in wanted)) == wanted

    def check_down(self) -> None:
        if self.forgotten:
            return  # then the server has lost what it had not sent
        got = [message.payload for message in self.application.messages]
        for payload, qos in self.sent_down:
            assert payload in got
            if qos == 2:
                assert got.count(payload) == 1
        assert not self.side.session.outgoing


LossyConnections.TestCase.settings = settings(max_examples=200, stateful_step_count=60)
TestLossyConnections = LossyConnections.TestCase
