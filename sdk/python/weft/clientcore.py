"""What a client knows and decides: its sessions, their tasks, and what has to be sent again. Without I/O."""

from __future__ import annotations

import enum
import itertools
import logging
from typing import Any, Callable, Iterable, Mapping, Sequence

from . import errors, wire
from .clienttasks import RESULT_CREDIT, Dialog, Entry, Line, Listener, Receipt, Sink, Tasks
from .control import Control
from .errors import Code, WeftError
from .link import TIMEOUT, Event, Link, Process, Raised, Records, Refused, State, Welcomed

log = logging.getLogger("weft")

__all__ = ["RESULT_CREDIT", "ClientCore", "Dialog", "Entry", "Listener", "Receipt", "Sink", "Stage"]

_ANSWERS = frozenset({
    wire.DONE, wire.SESSION_OPENED, wire.SERVICE_PAGE, wire.SESSION_PAGE, wire.NODE_PAGE, wire.ENVIRONMENT_PAGE,
    wire.EVENT_PAGE,
})  # fmt: skip
_BYE_PATIENCE = 0.5  # seconds for the acknowledgement of BYE
_GREET_PAUSE = 0.5  # seconds between two questions to the controller about a lost session


class Stage(enum.Enum):
    """Where a session is."""

    OPENING = "opening"
    OPEN = "open"
    OVER = "over"


class _Request:
    def __init__(self, kind: int, body: Mapping[str, Any], done: Callable[[Mapping[str, Any], WeftError | None], None]):
        self.kind, self.body, self.done = kind, body, done


class ClientCore(Tasks):
    """The state machine of a client. The engine calls it under its lock, and so does client.Client."""

    def __init__(
        self, process: Process, endpoints: Sequence[str], name: str, host: str, keeps_scheme: bool, now: float
    ) -> None:
        super().__init__(process, now)
        self.connected = False
        self.refused: WeftError | None = None
        self._host = host
        self._name = name
        self._keeps_scheme = keeps_scheme
        self._control = Control(process, endpoints, self._hello, now)
        self._keys = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self._ids = itertools.count(1)
        self._dialogs: dict[int, Dialog] = {}  # by key, without those that are over
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
        dialog = Dialog(next(self._keys), options, Stage.OPENING)
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
        self._now = now
        if not self._bye_by:
            self._control.tick(now)
            self._ring(now)
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
        return min(due, self._alarms[0][0]) if self._alarms else due

    def handle(self, link: Link, events: list[Event], now: float) -> None:
        """Take what a message meant."""
        self._now = now
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
        self._begin_anew()
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
            self._release_ends()
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
            self._release_ends()
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
            self._lines[endpoint] = Line(link)
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
        self._fail_all(dialog, failure)

    def _lighter(self, dialog: Dialog) -> None:
        super()._lighter(dialog)
        if dialog in self._draining:
            if not dialog.unfinished:
                self._end(dialog, None)
        elif dialog.closing == "finish":
            self._ask_close(dialog)
