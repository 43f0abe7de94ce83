"""The hook specifications. Implement any of them in a class or module that an entry point of group ``mombroker`` names.

A hook may be a plain function or, unless its text says "plain functions only", a coroutine function. An
implementation may leave out arguments that it does not need. One that nobody implements costs nothing. One that
raises, exceeds its time budget (``[hooks] time_budget``) or answers with something else than it may, denies
(authentication, authorisation, messages), falls back to the default (queue policy), or is logged and counted
(events); it never takes down the broker or another client.

Plugins are asked in the order of the settings. Where one answer is wanted, the first that is not None counts and
nobody else is asked. Plain functions run on the broker's one loop: while one works, every client waits, so that one
that takes more than 50 milliseconds is reported.
"""

from collections.abc import Awaitable
from typing import Any

from mombroker.hooks.events import Event
from mombroker.hooks.markers import hookspec
from mombroker.hooks.requests import AuthExchange, ConnectRequest, UserDirectory
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.store import Store


class Specifications:
    """Every hook, grouped as a plugin author thinks: authentication, queue policy, persistence, messages, events,
    extension."""

    # -- authentication

    @hookspec(firstresult=True)
    def mombroker_authenticate(
        self, request: ConnectRequest
    ) -> Identity | Refusal | None | Awaitable[Identity | Refusal | None]:
        """Say who a connecting client is.

        Called once for each CONNECT that names no authentication method, before anything of the client's session is
        touched. The client waits; the others do not.

        ``request``: what the client sent, and where it comes from.

        Answer with an Identity to let it in under that name (its ``client_id`` and ``address`` are always those of
        the connection), with a Refusal to turn it down for good, with None if this client is not yours: the next
        plugin is asked. A client that nobody knows is refused (0x87). An Identity with ``expires_at`` is good until
        that Unix time: then the client is disconnected (0x87), unless it has re-authenticated. A Refusal's reason is
        one that a CONNACK may carry, as a rule 0x86 (bad user name or password) or 0x87 (not authorized).

        On a fault the client is refused (0x88, server unavailable); no other plugin is asked.

        Example::

            import hmac

            from mombroker.hooks import hookimpl
            from mombroker.model import Identity, Refusal
            from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD


            class OneUser:
                @hookimpl
                def mombroker_authenticate(self, request):
                    if request.username != "ada":
                        return None
                    if hmac.compare_digest(request.password or b"", b"correct horse"):
                        return Identity(request.client_id, "ada", frozenset({"admin"}))
                    return Refusal(BAD_USER_NAME_OR_PASSWORD, "wrong password")
        """

    @hookspec(firstresult=True)
    def mombroker_enhanced_authentication(self, method: str, request: ConnectRequest) -> AuthExchange | None:
        """Begin an MQTT 5 enhanced authentication (section 4.12), such as a challenge and its response.

        Called for each CONNECT that names an authentication method, and again when a client re-authenticates. Plain
        functions only; the steps of the exchange that follows may be coroutines.

        ``method``: the name of the method. ``request``: what the client sent, and where it comes from.

        Answer with an AuthExchange, whose ``step`` is then called with the client's data (None if it sent none) until
        it answers with AuthDone or a Refusal; with None if the method is not yours. A method that nobody knows is
        refused (0x8C).

        On a fault here or in a step, and when a step exceeds its time budget, the client is refused (0x88).

        Example::

            import hashlib
            import hmac
            import secrets

            from mombroker.hooks import AuthContinue, AuthDone, hookimpl
            from mombroker.model import Identity, Refusal
            from mombroker.model.reasons import NOT_AUTHORIZED


            class Challenge:
                def __init__(self, client_id):
                    self.client_id = client_id
                    self.nonce = None

                def step(self, data):
                    if self.nonce is None:
                        self.nonce = secrets.token_bytes(16)
                        return AuthContinue(self.nonce)
                    if hmac.compare_digest(data or b"", hmac.digest(b"key", self.nonce, hashlib.sha256)):
                        return AuthDone(Identity(self.client_id, "device"))
                    return Refusal(NOT_AUTHORIZED)


            class Challenges:
                @hookimpl
                def mombroker_enhanced_authentication(self, method, request):
                    return Challenge(request.client_id) if method == "EXAMPLE-HMAC" else None
        """

    @hookspec(firstresult=True)
    def mombroker_authorize(
        self, identity: Identity, action: str, resource: str
    ) -> bool | None | Awaitable[bool | None]:
        """Say whether a client may do something.

        Called when a client publishes, subscribes, is to receive a message, or uses a queue, a service or an operation
        of the broker, and the answer is not remembered: those of a connection are kept for ``auth_cache_seconds``. Also
        called for a will, on its topic, when it is due.

        ``identity``: who the client is; the native API asks for its callers too. ``action``: what it wants to do.
        ``resource``: what with:

        - ``"publish"``, ``"receive"``: a topic. ``"subscribe"``: a topic filter, with ``$share/GROUP/`` in front for a
          shared subscription; the answer must hold for every topic that the filter matches. Not asked about topics
          below ``$queue/``, ``$service/`` and ``$mom/``: what counts there is the queue or service.
        - ``"configure"``, ``"write"``, ``"read"``: ``queue:NAME`` or ``service:NAME``. To make, change, purge or delete
          it; to put messages in, or ask the service; to consume messages, or work for the service.
        - ``"admin"``: ``broker``. To run it: clients, sessions, retained messages, users, numbers.

        Answer True to allow, False to forbid, None for no opinion: the next plugin is asked. What nobody has an opinion
        on is allowed of a topic, so that a plugin that guards topics should answer False for all the rest; of a queue
        or service it is for its owner, those the owner has let, and users with the role ``admin``, and anybody may make
        one; of the broker for users with the role ``admin``. More actions may come: answer None to those you do not
        know.

        On a fault it is forbidden; no other plugin is asked.

        Example::

            from mombroker.hooks import hookimpl


            class OwnTopicsOnly:
                @hookimpl
                async def mombroker_authorize(self, identity, action, resource):
                    if action not in ("publish", "subscribe", "receive"):
                        return None
                    if "admin" in identity.roles:
                        return True
                    return resource.startswith(f"devices/{identity.client_id}/")
        """

    @hookspec(firstresult=True)
    def mombroker_user_directory(self) -> UserDirectory | None:
        """Offer the users that this plugin knows to those who administer the broker.

        Called once, when every plugin has started. Plain functions only; what the directory does may take its time.

        Answer with a UserDirectory, whose ``list``, ``put`` and ``remove`` are called when an administrator lists,
        edits or removes users through the API; with None if this plugin keeps no users, or none that can be edited: the
        next plugin is asked. Whether the caller is an administrator has been decided by then. What the directory cannot
        do it tells with a Problem of ``mombroker.operations``, which the caller gets as it is. Passwords are text that
        is not empty; keep hashes of them, and log neither.

        On a fault the broker has no user directory, and says so to whoever asks for one. A fault of the directory
        itself is told to the caller as an internal problem, without its text.

        Example::

            from mombroker.hooks import hookimpl
            from mombroker.operations import Problem
            from mombroker.operations.problems import NO_SUCH_USER


            class Staff:
                def __init__(self, hash=lambda password: "..."):
                    self.hash = hash
                    self.users = {"ada": ("...", ("admin",))}

                @hookimpl
                def mombroker_user_directory(self):
                    return self

                async def list(self):
                    return [(name, roles) for name, (_, roles) in sorted(self.users.items())]

                async def put(self, name, password, roles):
                    hash, before = self.users.get(name, (None, ()))
                    if password is None and hash is None:
                        raise Problem(NO_SUCH_USER, f"there is no user {name}: give a password to add it")
                    self.users[name] = (self.hash(password) if password else hash, before if roles is None else roles)

                async def remove(self, name):
                    return self.users.pop(name, None) is not None
        """

    # -- queue policy

    @hookspec(firstresult=True)
    def mombroker_queue_policy(self, queue: QueueSpec) -> QueuePolicy | None | Awaitable[QueuePolicy | None]:
        """Say how much may wait in a queue, and how a named queue treats its messages.

        Called when a queue is created, for each queue there is when the broker starts, and when a named queue is
        changed.

        ``queue``: its name, kind and owner: ``client:ID`` of the kind ``"session"``, ``$share/GROUP/FILTER`` of the
        kind ``"shared"``, ``NAME`` of the kind ``"named"``, ``svc:NAME`` of the kind ``"service"``.

        Answer with a QueuePolicy, or with None to leave it to the next plugin. Of a named queue, the parts that its
        maker has asked for are as its maker wants them, whatever the answer; the rest is as answered. While an async
        answer is awaited, the queue has the default policy: a million messages and 1 GiB; the queue of a client drops
        its oldest message, any other refuses the new one. A ``dead_letter`` is the name of another named queue, which
        is made if it is not there, for the owner of this one; ``overflow`` may be DEAD_LETTER for named queues and
        services only.

        On a fault the queue keeps the default policy.

        Example::

            from mombroker.hooks import hookimpl
            from mombroker.model import Overflow, QueuePolicy


            class ShortQueuesForPumps:
                @hookimpl
                def mombroker_queue_policy(self, queue):
                    if queue.name.startswith("client:pump-"):
                        return QueuePolicy(max_messages=100, message_ttl=3600.0, overflow=Overflow.DROP_OLDEST)
                    if queue.kind == "named" and queue.name != "undeliverable":
                        return QueuePolicy(max_deliveries=5, retry_delay=10.0, dead_letter="undeliverable")
                    return None
        """

    @hookspec(firstresult=True)
    def mombroker_overflow(self, queue: QueueSpec, message: Message) -> Overflow | None:
        """Say what a full queue does with one message too many.

        Called for each message that does not fit, whichever kind of queue it is. Plain functions only: the publisher's
        acknowledgement depends on the answer.

        ``queue``: the queue that is full. ``message``: the one that does not fit.

        Answer with an Overflow, or with None to leave it to the next plugin, and in the end to the queue's policy.
        REJECT refuses the message to its publisher, and then no other queue gets it either. DEAD_LETTER is for named
        queues and services only: the oldest message makes room and goes to their queue of dead letters.

        On a fault the queue's policy decides.

        Example::

            from mombroker.hooks import hookimpl
            from mombroker.model import Overflow


            class AlarmsPushOut:
                @hookimpl
                def mombroker_overflow(self, queue, message):
                    return Overflow.DROP_OLDEST if message.topic.startswith("alarm/") else None
        """

    # -- persistence

    @hookspec(firstresult=True)
    def mombroker_open_store(self, url: str, exclusive: bool) -> Store | None:
        """Open the store in which queues, sessions and retained messages are kept.

        Called once, before anything else, when the broker starts; and by commands that work on its state. Plain
        functions only.

        ``url``: the setting ``storage.url``, or ``lmdb:`` and the data directory. ``exclusive``: True for the broker
        itself; False for a command that may run beside it.

        Answer with a Store, or with None if the scheme of the address is not yours. What a Store promises is in
        ``mombroker.model.store``; the tests in ``tests/storage`` tell whether it keeps it.

        On a fault the broker does not start. Raise StoreLocked, StoreFormat or ConfigurationError to say why.

        Example::

            from mombroker.hooks import hookimpl


            class StoreByScheme:
                def __init__(self, scheme, factory):
                    self.scheme = scheme
                    self.factory = factory

                @hookimpl
                def mombroker_open_store(self, url, exclusive):
                    scheme, _, place = url.partition(":")
                    return self.factory(place, exclusive) if scheme == self.scheme else None


            plugin = StoreByScheme("nowhere", lambda place, exclusive: None)
        """

    # -- messages

    @hookspec
    def mombroker_on_publish(
        self, message: Message, identity: Identity
    ) -> Message | Refusal | None | Awaitable[Message | Refusal | None]:
        """See, change or refuse a message that a client publishes, before it is routed.

        Called for each PUBLISH that its client is allowed to send, and before it is acknowledged. Not called for
        wills and for the broker's own messages. An async hook holds up that one client.

        ``message``: the message; never change it in place, make a copy with ``mombroker.hooks.changed``.
        ``identity``: the publisher.

        Answer with a Message to route that one instead: the plugins that follow see the changed one. Answer with a
        Refusal to refuse it to the publisher, with a reason that a PUBACK may carry, as a rule 0x87 (not authorized),
        0x97 (quota exceeded) or 0x99 (payload format invalid); then nobody else is asked. None leaves it as it is.
        Whoever may publish to the topic a message was sent to, may with this hook reach the topic it is moved to.

        On a fault the message is refused (0x83).

        Example::

            from mombroker.hooks import changed, hookimpl
            from mombroker.model import Refusal
            from mombroker.model.reasons import PAYLOAD_FORMAT_INVALID


            class Stamp:
                @hookimpl
                def mombroker_on_publish(self, message, identity):
                    if message.topic.startswith("text/") and b"\\0" in message.payload:
                        return Refusal(PAYLOAD_FORMAT_INVALID, "text only")
                    return changed(message, add_user_properties=[("from", identity.username or "unknown")])
        """

    @hookspec
    def mombroker_on_deliver(self, message: Message, identity: Identity) -> Message | Refusal | None:
        """See, change or withhold a message on its way to one client.

        Called for each message and receiver, when it is sent; again if it is sent again. Plain functions only, and
        quick ones: a message for a thousand clients calls this a thousand times.

        ``message``: the message; never change it in place, make a copy with ``mombroker.hooks.changed``.
        ``identity``: the receiver.

        Answer with a Message to send that one instead: the plugins that follow see the changed one. Answer with a
        Refusal to withhold it: it is dropped from the client's queue and counted. None leaves it as it is.

        On a fault the message is withheld.

        Example::

            from mombroker.hooks import changed, hookimpl


            class HidePositions:
                @hookimpl
                def mombroker_on_deliver(self, message, identity):
                    if message.topic.endswith("/position") and "dispatcher" not in identity.roles:
                        return changed(message, payload=b"hidden")
                    return None
        """

    # -- events

    @hookspec
    def mombroker_event(self, event: Event) -> Awaitable[None] | None:
        """Observe what happens: connections, subscriptions, queues, drops.

        Called after the fact, in every plugin that has it. The broker does not wait; an async observer gets its
        events one after the other, and loses the newest ones (counted and logged) if 10,000 wait for it.

        ``event``: one of the classes of ``mombroker.hooks.events``. More may come: ignore those you do not know.

        The answer is always None.

        A fault is logged and counted, and the other observers are told all the same.

        Example::

            from mombroker.hooks import ClientConnected, ClientDisconnected, hookimpl


            class Presence:
                def __init__(self):
                    self.online = set()

                @hookimpl
                async def mombroker_event(self, event):
                    match event:
                        case ClientConnected(identity=identity):
                            self.online.add(identity.client_id)
                        case ClientDisconnected(identity=identity):
                            self.online.discard(identity.client_id)
        """

    # -- extension

    @hookspec
    def mombroker_cli(self, cli: Any) -> None:
        """Add commands to the ``mombroker`` command line.

        Called each time the command line needs to know its commands, for every plugin that is installed, enabled or
        not, and without making a plugin object: in a class it has to be a static method. Plain functions only.

        ``cli``: a ``click.Group``. A command that takes ``@click.pass_obj`` gets an object with ``settings``, and with
        ``plugin_state(NAME)``: a context manager that yields the plugin's PluginState, also while the broker runs.

        The answer is always None.

        On a fault the plugin's commands are missing, and a warning is printed.

        Example::

            import asyncio

            import click

            from mombroker.hooks import hookimpl


            class Notes:
                @staticmethod
                @hookimpl
                def mombroker_cli(cli):
                    @cli.command()
                    @click.argument("text")
                    @click.pass_obj
                    def note(context, text):
                        \"""Keep a note.\"""
                        with context.plugin_state("notes") as state:
                            asyncio.run(state.put(b"note", text.encode()))
        """

    @hookspec
    def mombroker_startup(self) -> Awaitable[None] | None:
        """Get ready: open connections, read state, start tasks.

        Called once in every plugin, in the order of the settings, when the store is open and no listener is yet. There
        is no time budget; after one, the log says who is waited for.

        The answer is always None.

        On a fault the broker does not start, and says why.

        Example::

            from mombroker.hooks import hookimpl


            class Counter:
                def __init__(self, context):
                    self.state = context.state
                    self.starts = 0

                @hookimpl
                async def mombroker_startup(self):
                    self.starts = int(await self.state.get(b"starts") or b"0") + 1
                    await self.state.put(b"starts", str(self.starts).encode())
        """

    @hookspec
    def mombroker_shutdown(self) -> Awaitable[None] | None:
        """Let go of everything: close connections, write what is left, stop tasks.

        Called once in every plugin that has it, in the reverse order of the settings, when all clients are gone, the
        events are worked off and the store is about to close.

        The answer is always None.

        A fault is logged and counted, and the other plugins are stopped all the same.

        Example::

            import io

            from mombroker.hooks import hookimpl


            class Journal:
                def __init__(self, stream):
                    self.stream = stream

                @hookimpl
                def mombroker_shutdown(self):
                    self.stream.flush()


            plugin = Journal(io.StringIO())
        """
