"""What the tasks and sessions of an instance say to their manager while hooks run: parts, progress, data. Without I/O."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Optional

from . import errors, wire
from .errors import Code, WeftError
from .link import Link

PROGRESS_EVERY = 0.1  # seconds: how often the manager is told at most how far a task has come
_MAX_TEXT = 4096  # bytes of its text


class Stream:
    """What one running task has said."""

    __slots__ = ("session", "task", "attempt", "number", "out", "due", "pending")

    def __init__(self, session: int, task: int, attempt: int) -> None:
        self.session, self.task, self.attempt = session, task, attempt
        self.number = 0  # of the next part
        self.out = 0  # weight of the parts that were sent and not granted anew
        self.due = 0.0  # when progress may be told again
        self.pending: Optional[dict[str, Any]] = None  # to be told then, or before the task's end

    @property
    def full(self) -> bool:
        """Whether no part may be sent for now."""
        return self.out >= wire.PARTIAL_WINDOW

    def part(self, link: Link, data: bytes) -> None:
        """Send a part."""
        link.push_inline(wire.PARTIAL, self.session, self.task, data, wire.pack_numbered(self.attempt, self.number))
        self.number += 1
        self.out += len(data) + wire.PARTIAL_HEAD

    def granted(self, size: int) -> None:
        """Take the manager's word that it has passed parts on."""
        self.out -= min(max(size, 0), self.out)

    def note(self, percent: float, text: str) -> None:
        """Note how far the task has come; the last word counts."""
        cut = text.encode("utf-8", "replace")[:_MAX_TEXT].decode("utf-8", "ignore")
        within = min(float(percent), 100.0) if percent > 0 else 0.0  # not a number: 0
        self.pending = {"percent": within, "attempt": self.attempt, "text": cut or None}

    def tell(self, link: Link, now: float) -> None:
        """Send what was noted."""
        if self.pending is not None:
            link.push_body(wire.PROGRESS, self.session, self.task, self.pending)
            self.pending, self.due = None, now + PROGRESS_EVERY


def due(streams: Iterable[Stream]) -> float:
    """When progress is to be told next."""
    return min((s.due for s in streams if s.pending is not None), default=float("inf"))


class Answer(NamedTuple):
    """The answer to a request about the data of a session."""

    body: Mapping[str, Any]
    error: Optional[WeftError]


class Requests:
    """Those about the data of sessions: unanswered ones, and answers that nobody has taken."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, int] = {}  # the session, by request id
        self.answers: dict[int, Answer] = {}

    def ask(self, link: Optional[Link], kind: int, session: int, body: Mapping[str, Any]) -> int:
        """Ask the manager; without a link there is none any more. Gives the request's id."""
        self._last += 1
        if link is None:
            self.answers[self._last] = _gone(session)
        else:
            self._open[self._last] = session
            link.push_body(kind, session, self._last, body)
        return self._last

    def forget(self, number: int) -> None:
        """Drop the answer to a request, which is carried out all the same."""
        self._open.pop(number, None)
        self.answers.pop(number, None)

    def answered(self, kind: int, number: int, payload: bytes) -> None:
        """Take the manager's answer."""
        if self._open.pop(number, None) is None:
            return
        try:
            body = wire.unpack_body(payload)
        except wire.Malformed as e:
            self.answers[number] = Answer({}, errors.error(Code.MALFORMED, str(e), "session data"))
            return
        self.answers[number] = Answer(body, errors.from_body(body) if kind == wire.ERROR else None)

    def fail(self) -> None:
        """The manager is gone: none will be answered any more."""
        for number, session in self._open.items():
            self.answers[number] = _gone(session)
        self._open.clear()


def _gone(session: int) -> Answer:
    why = f"the manager of session {session} is gone, and its data with it"
    return Answer({}, errors.error(Code.UNAVAILABLE, why, "session data"))
