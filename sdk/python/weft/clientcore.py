"""What a client knows and decides: its sessions, their tasks, and what has to be sent again. Without I/O."""

from __future__ import annotations

import enum
import itertools
import logging
from collections import deque
from typing import Any, Callable, Iterable, Mapping, Optional, Protocol, Sequence

from . import errors, wire
from .control import Control
from .errors import Code, WeftError
from .link import TIMEOUT, Event, Link, Process, Raised, Records, Refused, State, Welcomed

log = logging.getLogger("weft")

RESULT_CREDIT = 64 << 20
_CREDIT_STEP = min(RESULT_CREDIT // 4, 1 << 20)
_ANSWERS = frozenset({
    wire.DONE, wire.SESSION_OPENED, wire.SERVICE_PAGE, wire.SESSION_PAGE, wire.NODE_PAGE, wire.ENVIRONMENT_PAGE,
    wire.EVENT_PAGE,
})  # fmt: skip
_BYE_PATIENCE = 0.5  # seconds for the acknowledgement of BYE
_GREET_PAUSE = 0.5  # seconds between two questions to the controller about a lost session


class Receipt:
    """What is to be said when a result is consumed: how many bytes of which connection."""

    __slots__ = ("line", "generation", "size")

    def __init__(self, line: "_Line", generation: int, size: int) -> None:
        self.line, self.generation, self.size = line, generation, size


class Sink(Protocol):
    """Where a task's outcome goes; finish is called once, on the engine's thread, without a lock."""

    deferred: bool  # whether the result counts as consumed only when its receipt is given back

    def finish(self, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]) -> None:
        """Take a result or an error."""


class Stage(enum.Enum):
    """Where a session is."""

    OPENING = "opening"
    OPEN = "open"
    OVER = "over"


class _Entry:
    __slots__ = ("payload", "sink")

    def __init__(self, payload: bytes, sink: Sink) -> None:
        self.payload, self.sink = payload, sink


class Dialog:
    """One session as the core sees it. Its public face is client.Session."""

    def __init__(self, key: int, options: Mapping[str, Any]) -> None:
        self.key = key
        self.options = options
        self.number = 0
        self.version = ""
        self.stage = Stage.OPENING
        self.running = False  # whether an instance is, or was, bound
        self.closing = ""  # finish or kill, when its end was asked for
        self.reason = ""
        self.error: WeftError | None = None  # why it ended, when not in order
        self.task_credit = 1
        self.byte_credit = 0
        self.max_payload = 0
        self.endpoint = ""  # as the last REFER said
        self.drain_by = 0.0  # when results that are on their way after the session's end are given up
        self.backlog: deque[_Entry] = deque()  # without credit, or without a place to go to
        self.unfinished: dict[int, _Entry] = {}  # by task id, in the order of their sequences
        self.bytes = 0  # of payload, of all of both
        self.sent_bytes = 0  # of payload, of unfinished
        self._sequence = 0

    @property
    def full(self) -> bool:
        """Whether another task would only wait here."""
        waiting = len(self.unfinished) + len(self.backlog)
        return waiting > 0 and (waiting >= self.task_credit or self.bytes >= self.byte_credit)

    def next_task(self) -> tuple[int, _Entry] | None:
        """Move a task from the backlog to the unfinished ones, if the session's credit allows."""
        if not self.backlog:
            return None
        entry = self.backlog[0]
        size = len(entry.payload)
        count = len(self.unfinished)
        if count and (count >= self.task_credit or self.sent_bytes + size > self.byte_credit):
            return None
        self.backlog.popleft()
        self._sequence += 1
        task = self._sequence << 24  # the slot is the client's own: this one finds tasks by their whole id
        self.unfinished[task] = entry
        self.sent_bytes += size
        return task, entry


class _Line:
    """A data connection: its link, and the bytes of results that were consumed."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.consumed = 0
        self.told = 0
        self.wanted = 0  # the total at which the manager wants to be told; 0: whenever
        self.asked = 0.0  # when the controller was asked because this endpoint knows nothing of the client


class _Request:
    def __init__(self, kind: int, body: Mapping[str, Any], done: Callable[[Mapping[str, Any], WeftError | None], None]):
        self.kind, self.body, self.done = kind, body, done


class ClientCore:
    """The state machine of a client. The engine calls it under its lock, and so does client.Client."""

    def __init__(
        self, process: Process, endpoints: Sequence[str], name: str, host: str, keeps_scheme: bool, now: float
    ) -> None:
        self.process = process
        self.effects: deque[Callable[[], object]] = deque()
        self.connected = False
        self.refused: WeftError | None = None
        self.news = False  # whether something changed for which callers may wait
        self._host = host
        self._name = name
        self._keeps_scheme = keeps_scheme
        self._control = Control(process, endpoints, self._hello, now)
        self._lines: dict[str, _Line] = {}
        self._keys = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self._ids = itertools.count(1)
        self._dialogs: dict[int, Dialog] = {}  # by key, without those that are over
        self._numbers: dict[int, Dialog] = {}
        self._draining: set[Dialog] = set()  # closed in order by the broker, while results are on their way
        self._bye_by = 0.0

    def _hello(self, endpoint: str) -> dict[str, Any]:
        hello: dict[str, Any] = {
            "min_version": wire.VERSION,
            "max_version": wire.VERSION,
            "role": "client",
            "name": self._name,
            "endpoint": endpoint,
        }
        if self._host:
            hello["host"] = self._host
        if self._keeps_scheme:
            hello["keeps_scheme"] = True
        return hello

    # What callers ask for.

    def open(self, options: Mapping[str, Any]) -> Dialog:
        """Ask for a session."""
        dialog = Dialog(next(self._keys), options)
        self._ask_open(dialog)
        self._dialogs[dialog.key] = dialog
        return dialog

    def _ask_open(self, dialog: Dialog) -> None:
        def done(body: Mapping[str, Any], error: WeftError | None) -> None:
            if error is not None:
                self._end(dialog, error)
            elif dialog.stage is not Stage.OVER:
                self._opened(dialog, body)

        body: dict[str, Any] = {"key": dialog.key, **dialog.options}
        if dialog.version:
            body["version"] = dialog.version  # a newer one must not take over its tasks
        self.request(wire.OPEN_SESSION, body, done)

    def _opened(self, dialog: Dialog, body: Mapping[str, Any]) -> None:
        number = wire.number(body, "session")
        if number != dialog.number:
            self._numbers.pop(dialog.number, None)
            dialog.number, dialog.endpoint = number, ""
            self._numbers[number] = dialog
        dialog.version = wire.text(body, "version")
        dialog.task_credit = max(1, wire.number(body, "task_credit"))
        dialog.byte_credit = wire.number(body, "byte_credit")
        dialog.max_payload = wire.number(body, "max_payload")
        dialog.stage = Stage.OPEN
        self.news = True
        if dialog.closing:
            self._ask_close(dialog)

    def submit(self, dialog: Dialog, payload: bytes, sink: Sink) -> None:
        """Take a task; the caller saw to it that the session is not over and there is room."""
        dialog.backlog.append(_Entry(payload, sink))
        dialog.bytes += len(payload)
        line = self._lines.get(dialog.endpoint)
        if line is not None and line.link.state is State.UP:
            self._pump(dialog, line.link)

    def close(self, dialog: Dialog, mode: str, reason: str = "") -> None:
        """End a session: finish or kill. Kill after finish is possible; the same again changes nothing."""
        if dialog.stage is Stage.OVER or dialog.closing in (mode, "kill"):
            return
        dialog.closing, dialog.reason = mode, reason
        self._ask_close(dialog)

    def _ask_close(self, dialog: Dialog) -> None:
        if dialog.stage is not Stage.OPEN:
            return  # it follows SESSION-OPENED
        if dialog.closing == "finish" and (dialog.backlog or dialog.unfinished):
            return  # it follows the last of them: on its own connection it could overtake tasks
        body: dict[str, Any] = {"session": dialog.number, "mode": dialog.closing}
        if dialog.reason:
            body["reason"] = dialog.reason

        def done(_: Mapping[str, Any], error: WeftError | None) -> None:
            if error is not None:
                self._end(dialog, error)

        self.request(wire.CLOSE_SESSION, body, done)

    def request(
        self, kind: int, body: Mapping[str, Any], done: Callable[[Mapping[str, Any], WeftError | None], None]
    ) -> None:
        """Ask the controller; done gets the answer, under the lock. Raises RequestError for a body that is too large."""
        size = len(wire.pack_body(body))
        if size > wire.MAX_BODY:
            why = f"the request has {size} bytes; at most {wire.MAX_BODY} are allowed"
            raise errors.error(Code.PAYLOAD_TOO_LARGE, why, "request")
        request, number = _Request(kind, body, done), next(self._ids)
        self._requests[number] = request
        self._control.link.push_body(kind, body["session"] if kind == wire.CLOSE_SESSION else 0, number, body)

    def consumed(self, receipt: Receipt) -> None:
        """Note that the application took a result."""
        if receipt.generation == receipt.line.link.generation:
            self._consume(receipt.line, receipt.size)

    def bye(self, now: float) -> None:
        """Leave in order. Sessions that are open are killed by the broker."""
        error = errors.error(Code.CLOSED, "the client was closed", "close")
        for dialog in list(self._dialogs.values()):
            self._end(dialog, error)
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.done({}, error)
        self._bye_by = now + _BYE_PATIENCE
        self._lines.clear()
        if self._control.link.state is State.UP:
            self._control.link.push_body(wire.BYE, 0, 0)

    # What the engine asks.

    def links(self) -> Iterable[Link]:
        """The control link and those of the manager loops."""
        yield self._control.link
        for line in self._lines.values():
            yield line.link

    def is_over(self, now: float) -> bool:
        """Whether BYE was said and taken over, or waited for long enough."""
        return self._bye_by > 0 and (
            now >= self._bye_by or self._control.link.state is not State.UP or self._control.link.settled
        )

    def tick(self, now: float) -> None:
        """Do what is due."""
        if not self._bye_by:
            self._control.tick(now)
        for line in self._lines.values():
            line.link.tick(now)
        for dialog in list(self._draining):
            if now >= dialog.drain_by:
                why = f"{len(dialog.unfinished)} results did not arrive after the session was closed"
                self._end(dialog, errors.error(Code.SESSION_CLOSED, why))

    def deadline(self) -> float:
        """When tick is to be called next."""
        if self._bye_by:
            return self._bye_by
        due = self._control.deadline()
        for line in self._lines.values():
            due = min(due, line.link.deadline())
        for dialog in self._draining:
            due = min(due, dialog.drain_by)
        return due

    def handle(self, link: Link, events: list[Event], now: float) -> None:
        """Take what a message meant."""
        greeted = any(isinstance(event, Welcomed) for event in events)
        for event in events:
            if isinstance(event, Records):
                self._records(link, event.records, now)
            elif isinstance(event, Raised):
                self._raised(link, greeted, now)
            elif isinstance(event, Welcomed):
                self._welcomed(link, event)
            elif isinstance(event, Refused):
                self._refused(link, event.error, now)

    # Conversations that begin and end.

    def _raised(self, link: Link, greeted: bool, now: float) -> None:
        """A higher epoch: referrals of lower ones are void."""
        for line in self._lines.values():
            line.link.ended = True
        self._lines.clear()
        for dialog in self._dialogs.values():
            dialog.endpoint = ""
        control = self._control.link
        if control.state is State.UP and not (greeted and link is control):
            control.greet(now)

    def _welcomed(self, link: Link, event: Welcomed) -> None:
        if link is self._control.link:
            self.connected = self.news = True
            if not event.resumed:
                self._ask_again()
            return
        line = self._lines.get(link.endpoint)
        if line is None:
            return
        if not event.resumed:
            line.consumed = line.told = line.wanted = 0
        for dialog in list(self._numbers.values()):
            if dialog.endpoint == link.endpoint:
                if not event.resumed:
                    self._send_again(dialog, link)
                self._pump(dialog, link)

    def _ask_again(self) -> None:
        """The controller knows nothing of this client: ask anew for all that is unfinished."""
        requests, self._requests = self._requests, {}
        for request in requests.values():
            if request.kind not in (wire.OPEN_SESSION, wire.CLOSE_SESSION):
                self.request(request.kind, request.body, request.done)
        for dialog in list(self._dialogs.values()):
            if dialog.stage is Stage.OPEN and dialog.closing == "kill":
                self._end(dialog, errors.error(Code.SESSION_KILLED, "it was killed"))
            else:
                self._draining.discard(dialog)
                self._ask_open(dialog)

    def _refused(self, link: Link, error: WeftError, now: float) -> None:
        if link is self._control.link:
            log.warning("the broker at %s refuses: %s", link.endpoint, error)
            self.refused, self.news = error, True
            if error.code == Code.UNAVAILABLE:
                self._control.next_endpoint(now)
            return
        line = self._lines.get(link.endpoint)
        if line is None or line.link is not link:
            return
        served = any(dialog.endpoint == link.endpoint for dialog in self._dialogs.values())
        if error.code == Code.UNKNOWN_SESSION and not served:
            link.ended = True
            del self._lines[link.endpoint]
        elif now - line.asked >= _GREET_PAUSE:
            line.asked = now
            if self._control.link.state is State.UP:
                self._control.link.greet(now)

    # Records.

    def _records(self, link: Link, records: Sequence[wire.Record], now: float) -> None:
        if link is self._control.link:
            for kind, _, number, payload, _ in records:
                try:
                    self._control_record(link, kind, number, payload, now)
                except wire.Malformed as e:
                    log.warning("a record of kind %d from %s: %s", kind, link.endpoint, e)
                    self._answer_error(link, number, Code.MALFORMED, str(e))
            return
        line = self._lines.get(link.endpoint)
        if line is not None and line.link is link:
            self._outcomes(line, records)

    def _answer_error(self, link: Link, number: int, code: Code, why: str) -> None:
        link.push_body(wire.ERROR, 0, number, {"code": int(code), "msg": why})

    def _control_record(self, link: Link, kind: int, number: int, payload: bytes, now: float) -> None:
        if kind == wire.REFER:
            self._refer(wire.unpack_body(payload), now)
        elif kind == wire.SESSION_STATE:
            self._session_state(wire.unpack_body(payload), now)
        elif kind == wire.ERROR:
            request = self._requests.pop(number, None)
            if request is not None:
                request.done({}, errors.from_body(wire.unpack_body(payload)))
        elif kind in _ANSWERS:
            request = self._requests.pop(number, None)
            if request is not None:
                request.done(wire.unpack_body(payload), None)
        elif kind != wire.BYE:
            self._answer_error(link, number, Code.UNKNOWN_KIND, f"a client takes no record of kind {kind} here")

    def _refer(self, body: Mapping[str, Any], now: float) -> None:
        if wire.number(body, "epoch") < self.process.epoch:
            return
        dialog = self._numbers.get(wire.number(body, "session"))
        endpoint = wire.text(body, "endpoint")
        if dialog is None or dialog.endpoint == endpoint:
            return
        dialog.endpoint = endpoint
        line = self._lines.get(endpoint)
        if line is None:
            hello = {**self._hello(endpoint), "result_credit": RESULT_CREDIT}
            link = Link(self.process, endpoint, hello, now)
            # Results come to where the last frame came from, and are held until they are acknowledged: when the
            # transport has connected anew, or lost the last acknowledgement, only a frame from here tells it so.
            link.always = True
            self._lines[endpoint] = _Line(link)
            return
        # A link that is not up keeps it until it is resumed; if it is not resumed all is sent again, see _welcomed.
        self._send_again(dialog, line.link)
        if line.link.state is State.UP:
            self._pump(dialog, line.link)

    def _session_state(self, body: Mapping[str, Any], now: float) -> None:
        dialog = self._numbers.get(wire.number(body, "session"))
        if dialog is None:
            return
        state, why = wire.text(body, "state"), body.get("error")
        if state == "running":
            dialog.running = self.news = True
        elif state == "closed" and why is None and dialog.unfinished:
            # The last results come by another connection.
            dialog.closing = dialog.closing or "finish"
            dialog.drain_by = now + TIMEOUT
            self._draining.add(dialog)
        elif state in ("failed", "closed"):
            self._end(dialog, errors.from_body(why) if isinstance(why, dict) else None)

    def _end(self, dialog: Dialog, error: WeftError | None) -> None:
        """A session is over: what it has not finished fails."""
        if dialog.stage is Stage.OVER:
            return
        dialog.stage, dialog.error = Stage.OVER, error
        self._draining.discard(dialog)
        self._dialogs.pop(dialog.key, None)
        self._numbers.pop(dialog.number, None)
        self.news = True
        failure = error or errors.error(Code.SESSION_CLOSED, "the session was closed")
        entries = [*dialog.unfinished.values(), *dialog.backlog]
        dialog.unfinished.clear()
        dialog.backlog.clear()
        dialog.bytes = dialog.sent_bytes = 0
        for entry in entries:
            self.effects.append(_Finish(entry.sink, None, failure, None))

    # Tasks.

    def _pump(self, dialog: Dialog, link: Link) -> None:
        """Send what the session's credit allows."""
        while True:
            ready = dialog.next_task()
            if ready is None:
                break
            link.push(wire.TASK, dialog.number, ready[0], ready[1].payload)

    def _send_again(self, dialog: Dialog, link: Link) -> None:
        for task, entry in dialog.unfinished.items():
            link.push(wire.TASK, dialog.number, task, entry.payload)

    def _outcomes(self, line: _Line, records: Sequence[wire.Record]) -> None:
        """Take results and failures; the only part of a client that runs for each task."""
        link, effects, numbers = line.link, self.effects, self._numbers
        touched: set[Dialog] = set()
        consumed = 0
        for kind, number, task, payload, _ in records:
            if kind == wire.RESULT:
                error = None
            elif kind == wire.FAILURE:
                error = _failure(payload)
            else:
                if kind == wire.PROGRESS or kind == wire.PARTIAL:
                    consumed += len(payload) + wire.PARTIAL_HEAD
                elif kind == wire.ASK_CREDIT:
                    line.wanted = task
                elif kind not in (wire.BYE, wire.ERROR):
                    self._answer_error(link, task, Code.UNKNOWN_KIND, f"a client takes no record of kind {kind} here")
                continue
            dialog = numbers.get(number)
            entry = dialog.unfinished.pop(task, None) if dialog is not None else None
            if dialog is None or entry is None:
                consumed += len(payload)
                continue
            touched.add(dialog)
            size = len(entry.payload)
            dialog.bytes -= size
            dialog.sent_bytes -= size
            sink = entry.sink
            if error is not None:
                consumed += len(payload)
                effects.append(_Finish(sink, None, error, None))
            elif sink.deferred:
                effects.append(_Finish(sink, payload, None, Receipt(line, link.generation, len(payload))))
            else:
                consumed += len(payload)
                effects.append(_Finish(sink, payload, None, None))
        self._consume(line, consumed)
        for dialog in touched:
            self.news = True
            if dialog.backlog and dialog.endpoint == link.endpoint and link.state is State.UP:
                self._pump(dialog, link)
            if dialog in self._draining:
                if not dialog.unfinished:
                    self._end(dialog, None)
            elif dialog.closing == "finish":
                self._ask_close(dialog)

    def _consume(self, line: _Line, size: int) -> None:
        line.consumed += size
        asked = 0 < line.wanted <= line.consumed
        if line.consumed > line.told and (asked or line.consumed - line.told >= _CREDIT_STEP):
            line.told = line.consumed
            line.link.push(wire.CREDIT, 0, line.consumed)
        if asked:
            line.wanted = 0


class _Finish:
    """The call of a sink, as an effect: cheaper than a closure."""

    __slots__ = ("sink", "result", "error", "receipt")

    def __init__(self, sink: Sink, result: bytes | None, error: WeftError | None, receipt: Receipt | None) -> None:
        self.sink, self.result, self.error, self.receipt = sink, result, error, receipt

    def __call__(self) -> None:
        self.sink.finish(self.result, self.error, self.receipt)


def _failure(payload: bytes) -> WeftError:
    try:
        return errors.from_body(wire.unpack_body(payload))
    except wire.Malformed as e:
        return errors.error(Code.INTERNAL, f"the failure cannot be read: {e}")
