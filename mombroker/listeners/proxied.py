"""Connections that come through a load balancer: each begins with a PROXY header, before anything else, TLS too."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from mombroker.listeners.proxy_protocol import BadHeader, source, wanted

Peer = tuple[str, int]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PAUSE_SECONDS: Final = 1.0
"""How long nothing is accepted when the process has no descriptor left."""


class ProxiedServer:
    """Accepts connections on a socket that listens already.

    From addresses in ``networks`` a header has to come within ``seconds``; others are taken as they are. ``protocol``
    makes the protocol object of a connection, for a client at that address, or for the one that is connected.
    """

    def __init__(
        self,
        listening: socket.socket,
        networks: Sequence[Network],
        seconds: float,
        protocol: Callable[[Peer | None], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        log: Any,
    ) -> None:
        self._listening = listening
        self._networks = networks
        self._seconds = seconds
        self._protocol = protocol
        self._tls = tls
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept())
        self._introductions: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Accept nobody any more, nor anyone whose header has not come."""
        for task in (self._accepting, *self._introductions):
            task.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    async def _accept(self) -> None:
        while True:
            try:
                accepted, address = await self._loop.sock_accept(self._listening)
            except OSError as error:
                self._log.error("cannot accept connections", error=error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            task = self._loop.create_task(self._introduce(accepted, address))
            self._introductions.add(task)
            task.add_done_callback(self._introductions.discard)

    async def _introduce(self, accepted: socket.socket, address: Any) -> None:
        """Hear whose connection it is, and hand it on."""
        accepted.setblocking(False)
        try:
            peer = None
            if self._is_balancer(str(address[0])):
                async with asyncio.timeout(self._seconds):
                    peer = source(await self._header(accepted))
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(peer),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self._seconds,
            )
        except BadHeader as error:
            self._log.warning("connection dropped", address=str(address[0]), reason=f"PROXY protocol: {error}")
            accepted.close()
        except (OSError, TimeoutError, EOFError):
            # It went, or its handshake failed: nothing that an operator could do.
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _is_balancer(self, host: str) -> bool:
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)

    async def _header(self, accepted: socket.socket) -> bytes:
        header = b""
        while size := wanted(header):
            data = await self._loop.sock_recv(accepted, size)
            if not data:
                raise EOFError
            header += data
        return header
