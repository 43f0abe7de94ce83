"""Faults in who gets what: filters, rights, shared subscriptions, limits and what is dropped."""

from tests.reliability.faults.fault import Fault, Promise

SHARED = "mombroker/core/shared.py"
RIGHTS = "mombroker/core/rights.py"

FAULTS = (
    Fault(
        "retained-past-rights",
        "A subscriber gets the retained messages of topics that it may not receive.",
        Promise.ENTITLED,
        "mombroker/core/subscribing.py",
        "        if message.topic in denied:\n            continue\n",
        "",
        first="tests/core/test_hooks.py",
    ),
    Fault(
        "live-past-rights",
        "A subscriber gets messages of topics that it may not receive.",
        Promise.ENTITLED,
        RIGHTS,
        "if right == DENIED:",
        "if right == DENIED and engine.now == 0.0:",
        first="tests/core/test_hooks.py",
    ),
    Fault(
        "publish-right-for-ever",
        "A right to publish that was given once is never asked for again.",
        Promise.ENTITLED,
        RIGHTS,
        "known[(action, resource)] = (allowed, connection.engine.now + connection.engine.limits.auth_cache_seconds)",
        'known[(action, resource)] = (allowed, float("inf"))',
        first="tests/core/test_hooks.py",
    ),
    Fault(
        "receive-right-for-ever",
        "A right to receive that was given once is never asked for again.",
        Promise.ENTITLED,
        RIGHTS,
        "known[topic] = (allowed, engine.now + engine.limits.auth_cache_seconds)",
        'known[topic] = (allowed, float("inf"))',
        first="tests/core/test_hooks.py",
    ),
    Fault(
        "rules-of-old-roles",
        "The rules that the acl plugin keeps at hand are those of the roles that a client had when it first came.",
        Promise.ENTITLED,
        "plugins/mombroker_plugins/acl.py",
        "key = (identity.client_id, identity.username, identity.roles)",
        "key = (identity.client_id, identity.username, frozenset[str]())",
        first="tests/plugins/test_acl.py",
    ),
    Fault(
        "no-local-ignored",
        "A client gets its own messages although it asked not to.",
        Promise.ENTITLED,
        "mombroker/core/router.py",
        "            if binding.no_local:\n",
        "            if binding.no_local and binding.session is None:\n",
        first="tests/core/test_subscribing.py",
    ),
    Fault(
        "hash-sees-sys",
        "A subscription to # gets the messages of topics that begin with $.",
        Promise.ENTITLED,
        "mombroker/core/router.py",
        'if topic[0] == "$":',
        'if topic[0] == "$" and self._root.below is None:',
        first="tests/core/test_subscribing.py",
    ),
    Fault(
        "shared-to-two",
        "A message of a shared subscription goes to two members.",
        Promise.ONCE,
        SHARED,
        "            self._hand_to(member, ref)\n",
        "            self._hand_to(member, ref)\n"
        "            other = self._next_member(ref.message, True)\n"
        "            if other is not None and other is not member:\n"
        '                again = Ref(queue, ref.position, ref.message, ref.message.qos, ref.retain, b"")\n'
        "                self._hand_to(other, again)\n",
        first="tests/core/test_shared.py",
    ),
    Fault(
        "shared-lease-read-again",
        "When a shared queue is read again, what a member has in flight is given to another one as well.",
        Promise.ONCE,
        SHARED,
        "return positions or None",
        "return None",
        first="tests/core/test_shared.py",
    ),
    Fault(
        "limit-off-by-one",
        "A queue takes one message more than its policy allows.",
        Promise.POLICY,
        "mombroker/core/queue.py",
        "if policy.max_messages and self.count >= policy.max_messages:",
        "if policy.max_messages and self.count > policy.max_messages:",
        first="tests/core/test_queue_limits.py",
    ),
    Fault(
        "rejected-acknowledged",
        "A message that a full queue rejects is dropped there, and acknowledged to its publisher.",
        Promise.POLICY,
        "mombroker/core/publishing.py",
        "            if engine.overflow(queue, message) is Overflow.REJECT:\n                return False\n",
        "            pass\n",
        first="tests/core/test_queue_limits.py",
    ),
    Fault(
        "oldest-dropped-uncounted",
        "What a full queue lets go to make room is counted nowhere.",
        Promise.COUNTED,
        "mombroker/core/engine.py",
        "        self.dropped(ref.queue.spec.name, ref.message.topic, cause, 1)\n",
        '        if cause != "overflow":\n            self.dropped(ref.queue.spec.name, ref.message.topic, cause, 1)\n',
        first="tests/core/test_queue_limits.py",
    ),
    Fault(
        "newest-dropped-uncounted",
        "A message that a full queue does not take is counted nowhere.",
        Promise.COUNTED,
        "mombroker/core/overflow.py",
        '    engine.dropped(queue.spec.name, message.topic, "overflow", 1)\n',
        "",
        first="tests/core/test_queue_limits.py",
    ),
)
