"""The acceptor's end of conversations, written from section 2.9 of the protocol for the tests: a broker without a mind."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence

from weft import wire

Part = tuple[bytes, list[bytes]]  # records, and their payload frames


@dataclass
class Peer:
    """What the acceptor knows of one dialler."""

    incarnation: int
    hello: dict[str, Any]
    connection: Optional[int]
    first: int = 0  # number of the conversation that resumed nothing
    conversation: int = 0
    taken: int = 0
    sent: int = 0
    received: int = 0
    kept: deque[tuple[int, Part]] = field(default_factory=deque)
    queue: deque[Part] = field(default_factory=deque)
    records: list[wire.Record] = field(default_factory=list)
    greetings: int = 0
    resumed: int = 0
    owed: bool = False


class Acceptor:
    """Answers HELLO, takes frames over, keeps what it says until it is acknowledged."""

    def __init__(self, incarnation: int, epoch: int) -> None:
        self.incarnation = incarnation
        self.epoch = epoch
        self.peers: dict[int, Peer] = {}
        self.refusal: Optional[Mapping[str, Any]] = None
        self.out: deque[tuple[int, list[bytes]]] = deque()  # connection, message
        self.errors: list[Mapping[str, Any]] = []  # bare ones

    def say(self, peer: Peer, kind: int, session: int = 0, task: int = 0, body: Any = None, more: bytes = b"") -> None:
        """Queue a record: a map is a body, bytes are a payload, from 8192 on in a frame of their own."""
        payload = b"" if body is None else body if isinstance(body, bytes) else wire.pack_body(body)
        head = bytearray()
        payloads = []
        if isinstance(body, bytes) and len(body) >= wire.INLINE_PAYLOAD:
            head += wire.pack_external(kind, session, task, len(payload))
            payloads = [payload]
        else:
            head += wire.pack_head(kind, session, task, len(payload)) + payload
        if more:
            head[0] += 1
        peer.queue.append((bytes(head) + more, payloads))

    def receive(self, connection: int, message: Sequence[bytes]) -> None:
        """Take a message."""
        header = wire.read_message(message)
        records = wire.unpack_records(message)
        if records and records[0][0] == wire.HELLO:
            self._hello(connection, header, wire.unpack_body(records[0][3]))
            return
        if wire.count_of(header.sequence) == 0:
            self.errors += [wire.unpack_body(r[3]) for r in records if r[0] == wire.ERROR]
            return
        peer = self.peers.get(header.incarnation)
        if peer is None or peer.connection != connection or header.epoch != self.epoch:
            self._bare(connection, wire.REHELLO)
            return
        if wire.conversation_of(header.sequence) != peer.conversation:
            return
        if wire.conversation_of(header.acknowledged) == peer.conversation:
            while peer.kept and peer.kept[0][0] <= wire.count_of(header.acknowledged):
                peer.kept.popleft()
        count = wire.count_of(header.sequence)
        if count <= peer.taken:
            return
        if count > peer.taken + 1:
            self._bare(connection, wire.REHELLO)
            return
        peer.taken, peer.received = count, header.sequence
        peer.records += records
        peer.owed = peer.owed or bool(records)

    def _bare(self, connection: int, kind: int, body: Any = None) -> None:
        payload = b"" if body is None else wire.pack_body(body)
        header = wire.Header(1, self.epoch, self.incarnation, 0, 0)
        frame = wire.pack_header(header) + wire.pack_head(kind, 0, 0, len(payload)) + payload
        self.out.append((connection, [frame]))

    def _hello(self, connection: int, header: wire.Header, hello: dict[str, Any]) -> None:
        number = wire.conversation_of(header.sequence)
        peer = self.peers.get(header.incarnation)
        if peer is not None and (peer.conversation - number) % 65536 < 256:
            return
        if self.refusal is not None:
            self._bare(connection, wire.ERROR, self.refusal)
            return
        received = hello.get("received", 0)
        # Who names an older conversation than the first has missed the WELCOME that resumed nothing.
        resumed = (
            peer is not None
            and hello.get("peer") == self.incarnation
            and (wire.conversation_of(received) - peer.first) % 65536 < 32768
        )
        body = {"version": 1, "heartbeat": 10**9, "timeout": 10**10, "max_payload": 1 << 24, "broker": "test"}
        if peer is None or not resumed:
            before = peer
            peer = Peer(header.incarnation, hello, connection, first=number)
            peer.records = before.records if before else []
            peer.greetings = before.greetings if before else 0
            self.peers[header.incarnation] = peer
        else:
            while peer.kept and wire.conversation_of(received) == peer.conversation and (
                peer.kept[0][0] <= wire.count_of(received)
            ):
                peer.kept.popleft()
            peer.queue.extendleft(part for _, part in reversed(peer.kept))
            peer.kept.clear()
            body |= {"resumed": True, "received": peer.received}
            peer.resumed += 1
        peer.hello, peer.connection, peer.conversation = hello, connection, number
        peer.greetings += 1
        peer.taken = 1
        peer.sent = 0
        payload = wire.pack_body(body)
        self._frame(peer, (wire.pack_head(wire.WELCOME, 0, 0, len(payload)) + payload, []))

    def _frame(self, peer: Peer, part: Part) -> None:
        assert peer.connection is not None
        peer.sent += 1
        header = wire.Header(
            1, self.epoch, self.incarnation, wire.stamp(peer.conversation, peer.sent), wire.stamp(peer.conversation, peer.taken)
        )
        self.out.append((peer.connection, [wire.pack_header(header) + part[0], *part[1]]))
        peer.owed = False

    def flush(self) -> None:
        """Have what is queued leave, and acknowledge what was taken over."""
        for peer in self.peers.values():
            if peer.connection is None:
                continue
            while peer.queue:
                part = peer.queue.popleft()
                self._frame(peer, part)
                peer.kept.append((peer.sent, part))
            if peer.owed:
                self._frame(peer, (b"", []))
