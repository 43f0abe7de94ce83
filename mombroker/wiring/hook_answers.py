"""Whether the broker can use what a plugin answered: the checks behind the types.

A plugin's answer ends up in packets and in the store. What would make a packet that no client may be sent is caught
here, where the plugin that is to blame is still known.
"""

import dataclasses
import math
from typing import Any, Final

from mombroker.hooks.requests import AuthContinue, AuthDone, ConnectRequest
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import SERVICE_QUEUE_PREFIX, Overflow, QueuePolicy, QueueSpec
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import CONNACK, PUBACK, WILL
from mombroker.mqtt.properties import decode_properties
from mombroker.mqtt.reason_rules import is_legal_reason
from mombroker.mqtt.topics import check_name
from mombroker.mqtt.wire import varint
from mombroker.operations import Problem
from mombroker.operations.names import check_name as check_queue_name
from mombroker.wiring.hook_calls import UnfitAnswer

LONGEST_REASON: Final = 500
"""Characters of a reason string that are kept."""
_FAILURE: Final = 0x80


def authentication_answer(answer: Identity | Refusal, arguments: tuple[Any, ...]) -> Identity | Refusal:
    """The answer to a CONNECT. The client identifier and the address are those of the connection."""
    request: ConnectRequest = arguments[0]
    return _refusal(answer, CONNACK) if isinstance(answer, Refusal) else _identity(answer, request)


def exchange_answer(
    answer: AuthContinue | AuthDone | Refusal, request: ConnectRequest
) -> AuthContinue | AuthDone | Refusal:
    """The answer to one step of an enhanced authentication."""
    if isinstance(answer, Refusal):
        return _refusal(answer, CONNACK)
    if isinstance(answer, AuthContinue):
        _require(isinstance(answer.data, bytes), "sent authentication data that is not bytes")
        return answer
    _require(answer.data is None or isinstance(answer.data, bytes), "sent authentication data that is not bytes")
    _require(isinstance(answer.identity, Identity), "finished without an Identity")
    return AuthDone(_identity(answer.identity, request), answer.data)


def publish_answer(answer: Message | Refusal, arguments: tuple[Any, ...]) -> Message | Refusal:
    """The answer to a publish."""
    return _refusal(answer, PUBACK) if isinstance(answer, Refusal) else _message(answer, arguments[0])


def deliver_answer(answer: Message | Refusal, arguments: tuple[Any, ...]) -> Message | Refusal:
    """The answer to a delivery. A refusal's reason goes nowhere, so any will do."""
    return answer if isinstance(answer, Refusal) else _message(answer, arguments[0])


def policy_answer(policy: QueuePolicy, arguments: tuple[Any, ...]) -> QueuePolicy:
    """The limits of a queue."""
    counts = (policy.max_messages, policy.max_bytes)
    _require(
        all(type(count) is int and count >= 0 for count in counts), "gave limits that are not whole numbers from 0"
    )
    _require(_is_duration(policy.message_ttl), "gave a message_ttl below 0")
    _require(isinstance(policy.overflow, Overflow), "gave an overflow that is no Overflow")
    overflow_answer(policy.overflow, arguments)
    _require(type(policy.max_leased) is int and policy.max_leased > 0, "gave a max_leased below 1")
    _require(type(policy.max_deliveries) is int and policy.max_deliveries >= 0, "gave a max_deliveries below 0")
    _require(type(policy.single_active) is bool, "gave a single_active that is neither True nor False")
    _check_dead_letter(policy.dead_letter, arguments[0])
    seconds = (policy.expires, policy.retry_delay, policy.dedup_window)
    _require(all(_is_duration(value) for value in seconds), "gave a time that is not a number from 0")
    _require(_is_duration(policy.lease) and policy.lease > 0, "gave a lease that is no time")
    return policy


def overflow_answer(overflow: Overflow, arguments: tuple[Any, ...]) -> Overflow:
    """What a queue does with one message too many. Only some kinds of queue have dead letters."""
    named = arguments[0].kind in ("named", "service")
    _require(
        named or overflow is not Overflow.DEAD_LETTER, "gave a queue without dead letters the overflow DEAD_LETTER"
    )
    return overflow


def _check_dead_letter(name: str, queue: QueueSpec) -> None:
    _require(isinstance(name, str), "gave a dead_letter that is no name")
    if not name:
        return
    try:
        check_queue_name(name)
    except Problem as problem:
        raise UnfitAnswer(f"gave a dead_letter that no queue can be called: {problem.detail}") from None
    _require(not name.startswith(SERVICE_QUEUE_PREFIX), "gave a dead_letter that is the queue of a service")
    _require(name != queue.name, "gave a queue itself for its dead letters")


def _is_duration(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 0


def _identity(identity: Identity, request: ConnectRequest) -> Identity:
    name = identity.username
    _require(name is None or isinstance(name, str), "gave an Identity whose username is neither text nor None")
    _require(_is_duration(identity.expires_at), "gave an Identity whose expires_at is no time in Unix seconds")
    roles = identity.roles
    if identity.client_id == request.client_id and identity.address == request.address and type(roles) is frozenset:
        return identity
    _require(not isinstance(roles, str), "gave an Identity whose roles are one text; write frozenset({...})")
    return dataclasses.replace(
        identity, client_id=request.client_id, address=request.address, roles=frozenset(identity.roles)
    )


def _refusal(refusal: Refusal, packet: int) -> Refusal:
    reason = refusal.reason
    if type(reason) is not int or reason < _FAILURE or not is_legal_reason(packet, reason):
        raise UnfitAnswer(f"refused with the reason {reason!r}, which MQTT 5 does not allow here")
    text = refusal.message
    _require(isinstance(text, str), "refused with a message that is not text")
    sound = text.encode("utf-8", "replace").decode().replace("\0", "")[:LONGEST_REASON]
    return refusal if sound == text else Refusal(reason, sound)


def _message(message: Message, original: Message) -> Message:
    if message is original:
        return message
    _require(message.qos in (0, 1, 2), "answered with a message whose QoS is not 0, 1 or 2")
    _require(type(message.payload) is bytes, "answered with a message whose payload is not bytes")
    _require(type(message.properties) is bytes, "answered with a message whose properties are not bytes")
    if message.topic_bytes != original.topic_bytes:
        try:
            check_name(message.topic_bytes)
        except ProtocolError as error:
            raise UnfitAnswer(f"answered with a message that cannot be sent: {error.detail}") from None
    if message.properties != original.properties:
        _check_properties(message.properties)
    return message


def _check_properties(block: bytes) -> None:
    try:
        properties, _ = decode_properties(varint(len(block)) + block, 0, WILL)
    except ProtocolError as error:
        raise UnfitAnswer(f"answered with a message whose properties cannot be sent: {error.detail}") from None
    _require(properties.forwarded == block, "answered with a message that has properties of one packet only")


def _require(fits: bool, cause: str) -> None:
    if not fits:
        raise UnfitAnswer(cause)
