"""Faults in what an acknowledgement means: it leaves too early, or what it promises never gets to the disk."""

from tests.reliability.faults.fault import Fault, Promise

BARRIER = "mombroker/core/barrier.py"
COMMITS = "mombroker/core/commits.py"

FAULTS = (
    Fault(
        "ack-before-commit",
        "A PUBACK or PUBREC leaves at once, and not when its message is on disk.",
        Promise.ON_DISK,
        BARRIER,
        "if self.lazy or (not durable and connection.acks_in <= self.committed):",
        "if self.lazy or durable or connection.acks_in <= self.committed:",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "connack-before-session",
        "A CONNACK leaves before the session that it promises is on disk.",
        Promise.ON_DISK,
        "mombroker/core/engine.py",
        "if durable and not self.barrier.lazy:",
        "if durable and not promise.opens and not self.barrier.lazy:",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "suback-before-commit",
        "A SUBACK or UNSUBACK leaves before the change of subscriptions is on disk.",
        Promise.ON_DISK,
        "mombroker/core/engine.py",
        "if durable and not self.barrier.lazy:",
        "if durable and promise.opens and not self.barrier.lazy:",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "subscription-not-stored",
        "A subscription of a lasting session is acknowledged, and kept in memory only.",
        Promise.ON_DISK,
        "mombroker/core/subscribing.py",
        "    if session.durable:\n        key = engine.key_of(session) + digest(wanted.filter)\n",
        "    if session.durable and not is_new:\n        key = engine.key_of(session) + digest(wanted.filter)\n",
        first="tests/core/test_subscribing.py",
    ),
    Fault(
        "connected-not-stored",
        "What a connected client is sent at once is acknowledged to its publisher without ever being stored.",
        Promise.ON_DISK,
        "mombroker/core/queue.py",
        "stored = self.durable or not in_memory",
        "stored = not in_memory",
        first="tests/core/test_restart.py",
    ),
    Fault(
        "retained-not-stored",
        "A retained message is acknowledged, and kept in memory only.",
        Promise.ON_DISK,
        BARRIER,
        "        self.unit.put(TABLE_RETAINED, digest(message.topic), message.body())\n",
        "",
        first="tests/core/test_retained.py",
    ),
    Fault(
        "clearing-not-stored",
        "A retained message that was cleared is back after a restart.",
        Promise.ON_DISK,
        "mombroker/core/publishing.py",
        "        engine.timers.forget(RETAINED_EXPIRY, message.topic)\n"
        "        engine.barrier.unit.delete(TABLE_RETAINED, digest(message.topic))\n",
        "        engine.timers.forget(RETAINED_EXPIRY, message.topic)\n",
        first="tests/core/test_retained.py",
    ),
    Fault(
        "will-lost-in-crash",
        "The will of a lasting session is in memory only: a broker that dies never publishes it.",
        Promise.ON_DISK,
        "mombroker/core/sessions.py",
        '"will": will.fields() if will is not None else None,',
        '"will": None,',
        first="tests/core/test_wills.py",
    ),
    Fault(
        "session-ends-at-crash",
        "A session that was connected when the broker died counts as expired at the restart, with all it was owed.",
        Promise.ON_DISK,
        "mombroker/core/sessions.py",
        'session.disconnected_at = engine.now if was_connected else record["disconnected_at"]',
        'session.disconnected_at = record["disconnected_at"]',
        first="tests/core/test_connecting.py",
    ),
    Fault(
        "last-record-skipped",
        "After a restart a queue ends one position too early: its last message is skipped, and the next one overwrites "
        "it.",
        Promise.ON_DISK,
        "mombroker/core/engine.py",
        "queue.next_position = tally[0]",
        "queue.next_position = max(0, tally[0] - 1)",
        first="tests/core/test_restart.py",
    ),
    Fault(
        "full-store-is-success",
        "When the store has no room for a unit, whoever waits for it is told that it is on disk.",
        Promise.ON_DISK,
        "mombroker/core/engine.py",
        "            refuse_all(self, error)\n",
        "            keep_all(self)\n",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "refusal-told-as-success",
        "A publish that a full disk refuses is taken back, and acknowledged as a success.",
        Promise.ON_DISK,
        COMMITS,
        "connection.send_ack(packet_type << 24 | QUOTA_EXCEEDED << 16 | packet_id)",
        "connection.send_ack(packet_type << 24 | packet_id)",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "refused-id-remembered",
        "A QoS 2 publish that a full disk refused counts as received: when it comes again it is acknowledged, and not "
        "taken.",
        Promise.ON_DISK,
        COMMITS,
        "        session.inbound.pop(packet_id, None)\n",
        "        pass\n",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "refused-records-carried",
        "What a full store refused goes along into the next unit all the same: a message whose publisher was told no, "
        "and which it sends again.",
        Promise.ONCE,
        BARRIER,
        "        unit = self.unit\n        for key, value in old.puts.items():\n",
        "        unit = self.unit\n"
        "        for queue_id, segments in old.segments.items():\n"
        "            if queue_id not in unit.segments and not old.bodies:\n"
        "                unit.segments[queue_id] = segments\n"
        "                unit.writes += 1\n"
        "        for key, value in old.puts.items():\n",
        first="tests/core/test_acknowledging.py",
    ),
    Fault(
        "shared-body-counted-twice",
        "What a refused unit settled counts twice: a body that others still refer to is deleted, and their message is "
        "lost.",
        Promise.ON_DISK,
        BARRIER,
        "unit.body_refs[body_id] = unit.body_refs.get(body_id, 0) + change",
        "unit.body_refs[body_id] = unit.body_refs.get(body_id, 0) + 2 * change",
        first="tests/core/test_acknowledging.py",
    ),
)
