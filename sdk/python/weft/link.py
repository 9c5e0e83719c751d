"""Conversations, the dialler's end, as docs/rfc/2-conversation.md describes them.

A Link keeps what it sent until it is acknowledged, says HELLO when it has to, resumes, and hands over each record of the
other end once and in order. It does no I/O and reads no clock: messages and the time (seconds, of a clock that never
goes back) come in as arguments.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, NamedTuple, Sequence, Union

from . import errors, wire

HEARTBEAT = 1.0
TIMEOUT = 10.0
MAX_PAYLOAD = 16 << 20
_FIRST_RETRY = 0.1
_LAST_RETRY = 2.0
_ACK_FRAMES = 16
_ACK_BYTES = 1 << 20
_CONVERSATIONS = 1 << 16
_FIVE = b"\x95"  # an array of five elements


class State(enum.Enum):
    """Where a link is."""

    DOWN = "down"
    OPENING = "opening"
    UP = "up"


class Welcomed(NamedTuple):
    """The other end answered HELLO. Not resumed: it knows nothing, and what was pushed before is dropped."""

    body: Mapping[str, Any]
    resumed: bool


class Refused(NamedTuple):
    """The other end refused HELLO; the link says it again after a while, unless it is ended."""

    error: errors.WeftError


class Raised(NamedTuple):
    """A higher epoch than the process knew has begun."""

    epoch: int


class Records(NamedTuple):
    """Records of the other end, each handed over once, in order."""

    records: Sequence[wire.Record]


Event = Union[Welcomed, Refused, Raised, Records]


@dataclass
class Process:
    """What all links of a process share: its incarnation, the epoch that it knows, the numbers of its conversations."""

    incarnation: int
    random: Callable[[], float]  # from 0 to 1
    epoch: int = 0
    _conversations: dict[str, int] = field(default_factory=dict)

    def last_conversation(self, endpoint: str) -> int:
        """The number of the last conversation with an endpoint: an acceptor ignores earlier ones."""
        return self._conversations.get(endpoint, 0)

    def note_conversation(self, endpoint: str, number: int) -> None:
        """Remember the number of the last conversation with an endpoint, for the next link to it."""
        self._conversations[endpoint] = number


class _Frame:
    """Records that leave together, without a header, since each conversation has its own."""

    __slots__ = ("body", "payloads", "size", "count")

    def __init__(self, body: bytes, payloads: list[bytes], size: int) -> None:
        self.body, self.payloads, self.size, self.count = body, payloads, size, 0


class Link:
    """The dialler's end of a conversation with one endpoint. Not safe for several threads at once."""

    def __init__(self, process: Process, endpoint: str, hello: Mapping[str, Any], now: float) -> None:
        self.process = process
        self.endpoint = endpoint
        self.state = State.DOWN
        self.always = False  # whether the other end has to hear this one always
        self.held = 0  # bytes that are queued or not acknowledged
        self.generation = 0  # counts conversations that were not resumed
        self.ended = False
        self.redial = False  # whether the connection counts as lost and should be made anew
        self.silent_since = now  # when the other end was last heard, while it is waited for
        self.heartbeat = HEARTBEAT
        self.timeout = TIMEOUT
        self.max_payload = MAX_PAYLOAD
        self._hello = dict(hello)
        self._conversation = process.last_conversation(endpoint)
        self._kept_conversation = 0  # of the frames that are kept
        self._peer = 0
        self._received = 0  # stamp of the last frame that was taken over
        self._in = 0  # count of the last frame of this conversation
        self._out = 0
        self._queue: deque[_Frame] = deque()
        self._kept: deque[_Frame] = deque()
        self._parts: list[bytes] = []
        self._payloads: list[bytes] = []
        self._open = 0  # bytes of the parts
        self._open_payloads = 0  # bytes of the payload frames
        self._bare: list[bytes] | None = None
        self._hello_due = False
        self._header_due = False
        self._retry = _FIRST_RETRY
        self._greet_at = now
        self._last_heard = now
        self._last_sent = now
        self._waiting_since = now
        self._owed_frames = 0
        self._owed_bytes = 0

    # What leaves.

    def push(self, kind: int, session: int, task: int, payload: bytes = b"", more: bytes = b"") -> None:
        """Queue a record, with a fifth element if there is one. Large payloads travel in a frame of their own."""
        size = len(payload)
        if size < wire.INLINE_PAYLOAD:
            record = wire.pack_head(kind, session, task, size) + payload
        else:
            record = wire.pack_external(kind, session, task, size)
            self._payloads.append(payload)
            self._open_payloads += size
        if more:
            record = _FIVE + record[1:] + more
        self._parts.append(record)
        self._open += len(record)
        if self._open >= wire.CUT_FRAME or len(self._payloads) == wire.MAX_PAYLOAD_FRAMES:
            self._close_frame()

    def push_body(self, kind: int, session: int, task: int, body: Mapping[str, Any] | None = None) -> None:
        """Queue a control record, whose body is always inline."""
        payload = b"" if body is None else wire.pack_body(body)
        self._parts.append(wire.pack_head(kind, session, task, len(payload)) + payload)
        self._open += 21 + len(payload)
        if self._open >= wire.CUT_FRAME:
            self._close_frame()

    def push_inline(self, kind: int, session: int, task: int, payload: bytes, more: bytes) -> None:
        """Queue a record of five elements whose payload is inline, whatever its size."""
        record = _FIVE + wire.pack_head(kind, session, task, len(payload))[1:] + payload + more
        self._parts.append(record)
        self._open += len(record)
        if self._open >= wire.CUT_FRAME:
            self._close_frame()

    def _close_frame(self) -> None:
        if not self._parts:
            return
        frame = _Frame(b"".join(self._parts), self._payloads, self._open + self._open_payloads)
        self._queue.append(frame)
        self.held += frame.size
        self._parts, self._payloads, self._open, self._open_payloads = [], [], 0, 0

    @property
    def holding(self) -> int:
        """Bytes of records and payloads that are not acknowledged yet."""
        return self.held + self._open + self._open_payloads

    @property
    def settled(self) -> bool:
        """Whether everything that was pushed is acknowledged."""
        return not self._parts and not self._queue and not self._kept

    @property
    def has_message(self) -> bool:
        """Whether there is something to send now."""
        if self._bare is not None:
            return True
        if self.state is State.OPENING:
            return self._hello_due
        return self.state is State.UP and bool(self._queue or self._parts or self._header_due)

    def next_message(self) -> list[bytes] | None:
        """Give the next message to send; None when there is none. When it was sent, call sent."""
        if self._bare is not None:
            return self._bare
        if self.state is State.OPENING and self._hello_due:
            return self._greeting()
        if self.state is not State.UP:
            return None
        if not self._queue:
            self._close_frame()
        if self._queue:
            frame = self._queue[0]
            return [self._header() + frame.body, *frame.payloads]
        return [self._header()] if self._header_due else None

    def sent(self, now: float) -> None:
        """Note that what next_message gave has been sent."""
        if self._bare is not None:
            self._bare = None
            return
        self._last_sent = now
        if self.state is State.OPENING:
            self._hello_due = False
            return
        self._out += 1
        self._owed_frames = self._owed_bytes = 0
        self._header_due = False
        if not self._queue:
            return
        frame = self._queue.popleft()
        frame.count = self._out
        if not self._kept:
            self._waiting_since = now
        self._kept.append(frame)

    def _header(self) -> bytes:
        c = self._conversation
        return wire.pack_header(
            wire.Header(
                wire.VERSION,
                self.process.epoch,
                self.process.incarnation,
                wire.stamp(c, self._out + 1),
                wire.stamp(c, self._in),
            )
        )

    def _greeting(self) -> list[bytes]:
        body = dict(self._hello)
        if self._peer:
            body["peer"] = self._peer
            body["received"] = self._received
        payload = wire.pack_body(body)
        c = self._conversation
        header = wire.Header(
            wire.VERSION, self.process.epoch, self.process.incarnation, wire.stamp(c, 1), wire.stamp(c, 0)
        )
        return [wire.pack_header(header) + wire.pack_head(wire.HELLO, 0, 0, len(payload)) + payload]

    def _refuse(self, code: int, why: str) -> None:
        """Answer what cannot be read by a bare ERROR."""
        payload = wire.pack_body({"code": int(code), "op": "read a frame", "msg": why})
        header = wire.Header(wire.VERSION, self.process.epoch, self.process.incarnation, 0, 0)
        self._bare = [wire.pack_header(header) + wire.pack_head(wire.ERROR, 0, 0, len(payload)) + payload]

    # Time.

    def greet(self, now: float) -> None:
        """Say HELLO, again if need be: a conversation begins, which resumes the one before if it can."""
        if self.state is State.UP:
            self._retry = _FIRST_RETRY
            self.silent_since = max(self._last_heard, self._waiting_since)
        self.state = State.OPENING
        self._conversation = (self._conversation + 1) % _CONVERSATIONS
        self.process.note_conversation(self.endpoint, self._conversation)
        self._hello_due = True
        self._header_due = False
        self._greet_at = now + self._retry * (1 + self.process.random() / 4)
        self._retry = min(2 * self._retry, _LAST_RETRY)

    def move(self, endpoint: str, hello: Mapping[str, Any], now: float) -> None:
        """Go on with the conversation at another endpoint, where the other end has moved."""
        self.endpoint, self._hello = endpoint, dict(hello)
        self.redial = True
        self._retry = _FIRST_RETRY
        self.silent_since = now
        self.greet(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self.ended:
            return
        if self.state is not State.UP:
            if now >= self._greet_at:
                if self.state is State.OPENING and now - self.silent_since >= self.timeout:
                    self.redial, self.silent_since = True, now
                self.greet(now)
            return
        if self._kept and now - max(self._last_heard, self._waiting_since) >= self.timeout:
            self.redial = True
            self.greet(now)
            return
        if now - self._last_sent >= self.heartbeat and (self.always or self._kept or self._owed_frames):
            self._header_due = True

    def deadline(self) -> float:
        """When tick is to be called next."""
        if self.state is not State.UP:
            return self._greet_at
        due = float("inf")
        if self._kept:
            due = max(self._last_heard, self._waiting_since) + self.timeout
        if not self._header_due and (self.always or self._kept or self._owed_frames):
            due = min(due, self._last_sent + self.heartbeat)
        return due

    # What arrives.

    def receive(self, message: Sequence[bytes], now: float) -> list[Event]:
        """Judge a message in the order of section 2.4, and give what it means for the dialog."""
        if self.ended:
            return []
        try:
            header = wire.read_message(message)
        except wire.Malformed as e:
            self._refuse(errors.Code.MALFORMED, str(e))
            return []
        if header.version != wire.VERSION:
            self._refuse(errors.Code.VERSION, f"the frame has version {header.version}; {wire.VERSION} is spoken here")
            return []
        if header.epoch < self.process.epoch:
            return []
        events: list[Event] = []
        if header.epoch > self.process.epoch:
            self.process.epoch = header.epoch
            events.append(Raised(header.epoch))
        if wire.count_of(header.sequence) == 0:
            self._bare_frame(message, events, now)
        elif self.state is State.OPENING:
            self._opening(header, message, events, now)
        elif self.state is State.UP and header.incarnation == self._peer:
            self._up(header, message, events, now)
        return events

    def _read(self, message: Sequence[bytes]) -> list[wire.Record]:
        """Read the records; those that cannot be read are refused, those before them count."""
        try:
            return wire.unpack_records(message)
        except wire.Malformed as e:
            self._refuse(errors.Code.MALFORMED, str(e))
            return e.read

    def _bare_frame(self, message: Sequence[bytes], events: list[Event], now: float) -> None:
        for kind, _, _, payload, _ in self._read(message):
            if kind == wire.REHELLO and self.state is State.UP:
                self.greet(now)
            elif kind == wire.ERROR and self.state is not State.DOWN:
                try:
                    error = errors.from_body(wire.unpack_body(payload))
                except wire.Malformed:
                    continue
                if self.state is State.UP:  # something that was sent could not be read there
                    self._go_down(now)
                else:
                    self.silent_since = now
                self.state = State.DOWN
                self._greet_at = max(self._greet_at, now + error.retry_after)
                events.append(Refused(error))

    def _opening(self, header: wire.Header, message: Sequence[bytes], events: list[Event], now: float) -> None:
        if header.sequence != wire.stamp(self._conversation, 1):
            return
        records = self._read(message)
        if not records or records[0][0] != wire.WELCOME:
            return
        try:
            body = wire.unpack_body(records[0][3])
            received = wire.number(body, "received")
            heartbeat, timeout = wire.number(body, "heartbeat"), wire.number(body, "timeout")
            max_payload = wire.number(body, "max_payload")
        except wire.Malformed as e:
            self._refuse(errors.Code.MALFORMED, str(e))
            return
        resumed = bool(body.get("resumed"))
        if resumed and header.incarnation != self._peer:
            return  # it goes on with what another process had
        self._begin(resumed, received)
        self._peer, self._received = header.incarnation, header.sequence
        self.max_payload = max_payload or MAX_PAYLOAD
        if heartbeat > 0:
            self.heartbeat = heartbeat / 1e9
        if timeout > 0:
            self.timeout = timeout / 1e9
        self._last_heard = self._waiting_since = self.silent_since = now
        events.append(Welcomed(body, resumed))
        if len(records) > 1:
            self._owe(message)
            events.append(Records(records[1:]))

    def _begin(self, resumed: bool, received: int) -> None:
        """The conversation is open: send again what was not taken over, or drop everything."""
        if resumed:
            if self._kept and wire.conversation_of(received) == self._kept_conversation:
                self._drop(wire.count_of(received))
            self._queue.extendleft(reversed(self._kept))
        else:
            self._queue.clear()
            self._parts, self._payloads, self._open, self._open_payloads = [], [], 0, 0
            self.held = 0
            self.generation += 1
        self._kept.clear()
        self._kept_conversation = self._conversation
        self.state = State.UP
        self._in = self._out = 1
        self._owed_frames = self._owed_bytes = 0
        self._retry = _FIRST_RETRY

    def _drop(self, count: int) -> None:
        """Forget frames that the other end has taken over."""
        kept = self._kept
        while kept and kept[0].count <= count:
            self.held -= kept.popleft().size

    def _up(self, header: wire.Header, message: Sequence[bytes], events: list[Event], now: float) -> None:
        if wire.conversation_of(header.sequence) != self._conversation:
            return
        self._last_heard = now
        if wire.conversation_of(header.acknowledged) == self._conversation:
            self._drop(wire.count_of(header.acknowledged))
        count = wire.count_of(header.sequence)
        if count <= self._in:
            return
        if count > self._in + 1:
            self.greet(now)
            return
        self._in = count
        self._received = header.sequence
        if len(message[0]) == wire.HEADER_SIZE and len(message) == 1:
            return
        self._owe(message)
        records = self._read(message)
        if records:
            events.append(Records(records))
            if records[-1][0] == wire.BYE:  # nobody is there until somebody answers HELLO
                self._go_down(now)

    def _go_down(self, now: float) -> None:
        """Say HELLO after a while, until it is answered."""
        self.state = State.DOWN
        self.silent_since = now
        self._header_due = False
        self._retry = _FIRST_RETRY
        self._greet_at = now + self._retry * (1 + self.process.random())

    def _owe(self, message: Sequence[bytes]) -> None:
        self._owed_frames += 1
        self._owed_bytes += len(message[0])
        if self._owed_frames >= _ACK_FRAMES or self._owed_bytes >= _ACK_BYTES:
            self._header_due = True
