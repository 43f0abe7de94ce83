"""A broker in a thread that does what brokers do, and one thing wrong if told so."""

import contextlib
import socket
import threading

from bench.load.packets import Layout


def whole_packets(data):
    """The packets in ``data`` that are there as a whole, and what is left. None is longer than 127 bytes."""
    packets, start = [], 0
    while len(data) >= start + 2 and len(data) >= (end := start + 2 + data[start + 1]):
        packets.append(data[start:end])
        start = end
    return packets, data[start:]


class FakeBroker:
    """Relays PUBLISH packets of a layout to one subscriber. ``spoil`` gets a list of packets and returns another.

    QoS 1 is acknowledged as it comes, whatever happens to the message.
    """

    def __init__(self, layout: Layout, spoil=lambda packets: packets):
        self._layout, self._spoil = layout, spoil
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._socks: list[socket.socket] = []
        self._subscriber: socket.socket | None = None

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in self._socks:
            sock.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                self._socks.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock):
        with contextlib.suppress(OSError):
            data = b""
            while piece := sock.recv(1 << 16):
                # Packets end anywhere in what is read, the subscriber's acknowledgements and goodbyes, too.
                packets, data = whole_packets(data + piece)
                self._relay(sock, [packet for packet in packets if packet[0] >> 4 == 3])
                for packet in packets:
                    self._answer(sock, packet)

    def _answer(self, sock, packet):
        if packet[0] == 0x10:
            sock.sendall(b"\x20\x02\x00\x00")
        elif packet[0] == 0x82:
            # Known before it is told so: the publisher starts as soon as the SUBACK is there.
            self._subscriber = sock
            sock.sendall(b"\x90\x03" + packet[2:4] + bytes((self._layout.qos,)))
        elif packet[0] == 0xE0:
            sock.shutdown(socket.SHUT_RDWR)

    def _relay(self, sock, packets):
        if not packets:
            return
        if self._layout.qos:
            at = self._layout.row.fields["id"][1]
            sock.sendall(b"".join(b"\x40\x02" + packet[at : at + 2] for packet in packets))
        if self._subscriber is not None:
            self._subscriber.sendall(b"".join(self._spoil(packets)))
