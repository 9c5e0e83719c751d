"""What one task says while it runs, as its client hears it: parts of its result in order, and how far it has come."""

from __future__ import annotations

import bisect
from typing import Any, NamedTuple, Optional, Union

from . import wire


class Progress(NamedTuple):
    """How far a task has come: percent of its work, a text for people, and which attempt says so, from 1."""

    percent: float
    text: str
    attempt: int


class Part(NamedTuple):
    """A part of a task's result. A task that is run again begins anew: with a higher attempt, and number 0."""

    data: bytes
    number: int
    attempt: int


Said = Union[Progress, Part]


class Stream:
    """Brings what comes of one task into order: when its manager moves, it comes by two connections."""

    def __init__(self) -> None:
        self.base = 0  # attempts of brokers before
        self.attempt = 0  # the last that was heard of
        self.next = 0  # number of the next part of it
        self.words = 0  # of progress that came, the lost ones counted
        self.early: list[tuple[int, bytes, Any]] = []  # number, data, receipt: parts that came before the next one
        self.end: Any = None  # the answer, which waits for parts
        self.end_at = (0, 0)

    def waits(self, attempt: int, parts: int) -> bool:
        """Whether parts that belong before the answer have not come."""
        return parts > 0 and (self.attempt < attempt or self.attempt == attempt and self.next < parts)

    @property
    def complete(self) -> bool:
        """Whether the answer is here, and all parts that belong before it."""
        return self.end is not None and not self.waits(*self.end_at)

    def word(self, number: int, payload: bytes) -> Optional[Progress]:
        """Take word of how far the task has come; None when it is out of date, or cannot be read."""
        try:
            body = wire.unpack_body(payload)
            attempt, text = wire.number(body, "attempt"), wire.text(body, "text")
            percent = float(body.get("percent") or 0)
        except (wire.Malformed, TypeError, ValueError):
            return None
        if number < self.words or attempt < self.attempt:
            return None
        self.words = number + 1
        return Progress(percent, text, self.base + attempt)

    def part(self, attempt: int, number: int, data: bytes, receipt: Any) -> tuple[list[tuple[Part, Any]], list[Any]]:
        """Take a part: give those whose turn it is, and the receipts of those that are of no worth."""
        if attempt < self.attempt or attempt == self.attempt and number < self.next:
            return [], [receipt]
        dropped: list[Any] = []
        if attempt > self.attempt:
            dropped = self.hush()
            self.attempt, self.next = attempt, 0
        at = bisect.bisect_left(self.early, number, key=_number)
        if at < len(self.early) and self.early[at][0] == number:
            return [], [receipt]
        self.early.insert(at, (number, data, receipt))
        ready = []
        while self.early and self.early[0][0] == self.next:
            _, data, receipt = self.early.pop(0)
            ready.append((Part(data, self.next, self.base + attempt), receipt))
            self.next += 1
        return ready, dropped

    def hush(self) -> list[Any]:
        """Drop the parts that are not passed on, and give their receipts."""
        receipts = [receipt for _, _, receipt in self.early]
        self.early.clear()
        return receipts

    def begin_anew(self) -> list[Any]:
        """The task is run by another broker, which counts attempts from 1."""
        self.base, self.attempt, self.next, self.words = self.base + self.attempt, 0, 0, 0
        return self.hush()


def _number(part: tuple[int, bytes, Any]) -> int:
    return part[0]
