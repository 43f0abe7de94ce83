"""Closed loops: many clients, each with one QoS 1 publish in flight; the next goes out when the PUBACK is there."""

import os
import select
import struct
import time
from dataclasses import dataclass

from bench.load.board import Board
from bench.load.crowd import gather
from bench.load.packets import IDENTIFIERS, Layout
from bench.load.reports import Effort, Ready, Report

_put_identifier = struct.Struct(">H").pack_into
_put_number = struct.Struct("<Q").pack_into
_puback = struct.Struct(">HH").pack


@dataclass(frozen=True)
class Loop:
    """So many clients, publishing for so many seconds. ``stall``: how long to wait for the last acknowledgements;
    ``gathering``: how long connecting may take."""

    port: int
    layout: Layout
    run: int
    clients: int
    seconds: float
    stall: float = 3.0
    gathering: float = 10.0


class Client:
    """One publisher: its packet, renumbered in place for every round."""

    def __init__(self, order: Loop, number: int) -> None:
        layout = order.layout
        self._packet = bytearray(layout.batch(1, order.run, number).tobytes())
        fields = layout.row.fields
        assert fields is not None
        self._id_at, self._seq_at = fields["id"][1], fields["seq"][1]
        self.sent = 0
        self.done = 0
        self.expected = b""

    def next(self) -> bytearray:
        """The next message."""
        sent, packet = self.sent, self._packet
        identifier = sent % IDENTIFIERS + 1
        _put_identifier(packet, self._id_at, identifier)
        _put_number(packet, self._seq_at, sent)
        self.expected = _puback(0x4002, identifier)
        self.sent = sent + 1
        return packet


def loop(order: Loop, board: Board, ready: Ready) -> Report:
    """Run the loops. ``count`` is the messages acknowledged; what each client sent is on the board."""
    crowd = gather(order.port, [b"bench-loop-%d" % number for number in range(order.clients)], order.gathering)
    try:
        if crowd.late:
            return Report(late=True, trouble=f"only {len(crowd.members):,} clients connected in time")
        clients = {fileno: Client(order, number) for number, fileno in enumerate(crowd.members)}
        ready()
        effort = Effort()
        ended, trouble = _loop(order, clients)
        board.announce([client.sent for client in clients.values()])
        return effort.report(sum(client.done for client in clients.values()), ended, trouble=trouble)
    finally:
        crowd.close()


def _loop(order: Loop, clients: dict[int, Client]) -> tuple[float, str]:
    poll = select.epoll()
    for number, client in clients.items():
        poll.register(number, select.EPOLLIN)
        os.write(number, client.next())
    now = time.monotonic()
    deadline, heard, ended, under_way = now + order.seconds, now, now, len(clients)
    read, write = os.read, os.write
    try:
        while under_way:
            events = poll.poll(0.1)
            now = time.monotonic()
            for number, _ in events:
                client = clients[number]
                if read(number, 64) != client.expected:
                    return now, "CORRUPTED 1 acknowledgement"
                client.done += 1
                if now < deadline:
                    write(number, client.next())
                else:
                    under_way -= 1
            if events:
                heard = ended = now
            elif now - heard > order.stall:
                return ended, f"UNACKNOWLEDGED {under_way:,}"
    finally:
        poll.close()
    return ended, ""
