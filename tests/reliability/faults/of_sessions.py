"""Faults in sessions and what reaches them: exchanges of QoS 2, order, windows, wills, takeovers."""

from tests.reliability.faults.fault import Fault, Promise

SESSION = "mombroker/core/session.py"
QUEUE = "mombroker/core/queue.py"
ACKNOWLEDGING = "mombroker/core/acknowledging.py"

FAULTS = (
    Fault(
        "pubrec-before-id",
        "A PUBREC leaves before the identifier that it promises to know is on disk.",
        Promise.ONCE,
        ACKNOWLEDGING,
        "            barrier.touch_session(session)\n            durable = True\n",
        "            barrier.touch_session(session)\n",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "received-ids-not-stored",
        "The identifiers of received QoS 2 publishes are in memory only: one that comes again after a crash is taken "
        "again.",
        Promise.ONCE,
        ACKNOWLEDGING,
        "            barrier.touch_session(session)\n            durable = True\n",
        "            durable = True\n",
        first="tests/core/test_exactly_once.py",
    ),
    Fault(
        "received-ids-forgotten",
        "A QoS 2 publish that comes again before its release is taken again.",
        Promise.ONCE,
        "mombroker/core/publishing.py",
        "if packet.qos == 2 and session.inbound is not None and packet.packet_id in session.inbound:",
        "if packet.qos == 2 and session.inbound is not None and packet.packet_id not in session.inbound:\n"
        "        pass\n"
        "    elif packet.qos == 3:",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "releases-not-stored",
        "That a client has received a QoS 2 message is on disk, and that it waits for the release is not: after a "
        "crash it waits for ever.",
        Promise.EXCHANGE,
        SESSION,
        "            if self.durable:\n                barrier.touch_session(self)\n        barrier.ack(",
        "        barrier.ack(",
        first="tests/core/test_exactly_once.py",
    ),
    Fault(
        "qos-2-sent-before-commit",
        "A QoS 2 message is sent before its publisher's identifier is on disk: after a crash it is published again, "
        "and is another message.",
        Promise.ONCE,
        "mombroker/core/publishing.py",
        "after = barrier.number",
        "after = 0",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "dup-flag-lost",
        "What is sent again after a reconnect or a crash has no DUP flag.",
        Promise.EXCHANGE,
        QUEUE,
        "ref.dup = record.position < self.sent_to",
        "ref.dup = False",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "dup-order-lost",
        "Of what is sent again, the first message comes last.",
        Promise.ORDER,
        QUEUE,
        "            self.push(self._ref_of(record))\n",
        "            self.push(self._ref_of(record))\n"
        "            if self.ready[-1].dup and len(self.ready) > self.ready_head + 1:\n"
        "                self.ready.insert(-1, self.ready.pop())\n",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "page-skips-a-record",
        "A queue that is read back a page at a time loses the first message of each page but the first.",
        Promise.ON_DISK,
        QUEUE,
        "reached = committed if at_end else next_position",
        "reached = committed if at_end else next_position + 1",
        first="tests/core/test_queue_limits.py",
    ),
    Fault(
        "stale-page-taken",
        "A page that was asked for on behalf of one connection is taken for the next one.",
        Promise.ORDER,
        QUEUE,
        "        self.stale = self.loading\n",
        "        self.stale = False\n",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "read-before-settled",
        "After a reconnect a queue is read before what was acknowledged is on disk: it is delivered again.",
        Promise.ONCE,
        QUEUE,
        "        self.rewound_in = self.touched\n",
        "        self.rewound_in = 0\n",
        first="tests/core/test_queue.py",
    ),
    Fault(
        "bytes-drift",
        "The bytes of a queue are counted with the topic when a message comes, and without when it goes.",
        Promise.POLICY,
        QUEUE,
        "        if ref.stored or not self.durable:\n"
        "            self.count -= 1\n"
        "            self.bytes -= ref.message.size()\n",
        "        if ref.stored or not self.durable:\n"
        "            self.count -= 1\n"
        "            self.bytes -= len(ref.message.payload)\n",
        first="tests/core/test_queue_limits.py",
    ),
    Fault(
        "order-swapped-in-flush",
        "Of what one turn sends to a client, the last two packets change places.",
        Promise.ORDER,
        "mombroker/core/connection.py",
        'b"".join(self.out)',
        'b"".join(self.out[:-2] + self.out[-1:] + self.out[-2:-1])',
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "receive-maximum-exceeded",
        "A queue goes on sending to a client whose window is full.",
        Promise.EXCHANGE,
        SESSION,
        "if len(self.inflight) >= connection.window or packet_id in self.inflight:",
        "if packet_id in self.inflight:",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "window-leaks",
        "A QoS 2 message that is done with keeps its place in the window, until nothing more is sent.",
        Promise.GOES_ON,
        SESSION,
        "        del self.inflight[packet_id]\n        if self.durable:\n",
        "        if self.durable:\n",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "credit-not-used",
        "When an acknowledgement makes room in a client's window, nothing more is sent.",
        Promise.GOES_ON,
        SESSION,
        "            cast(Source, ref.queue.consumer).acknowledged(ref, reason, properties)\n"
        "        self.credit_returned(ref)\n",
        "            cast(Source, ref.queue.consumer).acknowledged(ref, reason, properties)\n",
        first="tests/core/test_delivery.py",
    ),
    Fault(
        "packet-id-in-use",
        "A message of a shared subscription or a named queue is sent with a packet identifier that is in flight.",
        Promise.EXCHANGE,
        SESSION,
        "        packet_id = self.last_shared_id\n",
        "        return 1 + len(self.inflight)\n        packet_id = self.last_shared_id\n",
        first="tests/core/test_shared.py",
    ),
    Fault(
        "expired-delivered",
        "A message whose time is over is sent all the same.",
        Promise.POLICY,
        SESSION,
        "if not begun and is_expired(message, queue.policy.message_ttl, now):",
        "if not begun and is_expired(message, 0.0, now) and now == 0.0:",
        first="tests/core/test_messages.py",
    ),
    Fault(
        "will-after-goodbye",
        "A client that says goodbye leaves its will all the same.",
        Promise.ENTITLED,
        "mombroker/core/connecting.py",
        "connection.will_fires = packet.reason != SUCCESS",
        "connection.will_fires = True",
        first="tests/core/test_wills.py",
    ),
    Fault(
        "takeover-leaves-the-old",
        "A client that connects again gets its session, and its old connection stays open.",
        Promise.EXCHANGE,
        "mombroker/core/connecting.py",
        'disconnect(engine, old.connection, SESSION_TAKEN_OVER, "another connection uses this client identifier")',
        "old.detach()",
        first="tests/core/test_connecting.py",
    ),
)
