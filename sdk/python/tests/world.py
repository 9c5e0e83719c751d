"""A broker in memory for the cores: an acceptor for each endpoint, and messages that are carried at once."""

from __future__ import annotations

from typing import Any, Callable, Optional

from weft import wire
from weft.engine import Core
from weft.link import Link, Process

from .acceptor import Acceptor, Peer

INCARNATION = 0xC1
EPOCH = 7 << 8


class World:
    """Carries messages between a core and acceptors until nothing is on its way."""

    def __init__(self) -> None:
        self.now = 100.0
        self.process = Process(INCARNATION, lambda: 0.5)
        self.acceptors: dict[str, Acceptor] = {}
        self.epoch = EPOCH
        self.core: Core
        self._connections: dict[Link, int] = {}
        self._next = 0
        self._read: dict[str, int] = {}

    def acceptor(self, endpoint: str) -> Acceptor:
        """The acceptor at an endpoint; one is made when there is none."""
        if endpoint not in self.acceptors:
            self.acceptors[endpoint] = Acceptor(0xB0 + len(self.acceptors), self.epoch)
        return self.acceptors[endpoint]

    def replace(self, epoch: int) -> None:
        """Another broker takes over, at the same endpoints."""
        self.epoch = epoch
        for n, endpoint in enumerate(list(self.acceptors)):
            self.acceptors[endpoint] = Acceptor(0xE0 + n, epoch)
            self._read.pop(endpoint, None)
        self._connections.clear()

    def forget(self, endpoint: str) -> None:
        """Have an acceptor forget its peers, as a new process does."""
        self.acceptor(endpoint).peers.clear()
        self.acceptor(endpoint).incarnation += 0x100
        self._read.pop(endpoint, None)

    def peer(self, endpoint: str) -> Peer:
        """What the acceptor there knows of the core's process."""
        return self.acceptor(endpoint).peers[INCARNATION]

    def said(self, endpoint: str, kind: Optional[int] = None) -> list[wire.Record]:
        """The records that came there since the last call."""
        peer = self.acceptor(endpoint).peers.get(INCARNATION)
        records = peer.records if peer else []
        begin = self._read.get(endpoint, 0)
        self._read[endpoint] = len(records)
        return [r for r in records[begin:] if kind is None or r[0] == kind]

    def say(self, endpoint: str, kind: int, session: int = 0, task: int = 0, body: Any = None, more: bytes = b"") -> None:
        """Have an acceptor say something, and carry it."""
        self.acceptor(endpoint).say(self.peer(endpoint), kind, session, task, body, more)
        self.run()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, in steps, as the engine does."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, max(self.now + 0.01, self.core.deadline()))
            self.run()

    def run(self, until: Optional[Callable[[], bool]] = None) -> None:
        """Carry messages until there are none."""
        for _ in range(1000):
            self.core.tick(self.now)
            if not self._carry():
                break
        while self.core.effects:
            self.core.effects.popleft()()

    def _carry(self) -> bool:
        carried = False
        links = list(self.core.links())
        for link in links:
            if link not in self._connections or link.redial:
                link.redial = False
                self._next += 1
                self._connections[link] = self._next
            while (message := link.next_message()) is not None:
                link.sent(self.now)
                self.acceptor(link.endpoint).receive(self._connections[link], message)
                carried = True
        for link in links:
            acceptor = self.acceptor(link.endpoint)
            acceptor.flush()
            for connection, message in list(acceptor.out):
                if connection == self._connections[link]:
                    acceptor.out.remove((connection, message))
                    events = link.receive(message, self.now)
                    if events:
                        self.core.handle(link, events, self.now)
                    carried = True
        return carried
