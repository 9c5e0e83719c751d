"""What may be said of how a task, or all tasks of a session, are to be run: times, priority, retries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence

_TIMEOUT, _RUN, _PRIORITY, _ATTEMPTS, _HOST_LOSSES, _BACKOFF, _MAX_BACKOFF = 1, 2, 3, 4, 5, 6, 7
_MARGIN_PART, _MARGIN_MOST = 0.1, 0.1  # of a timeout; seconds


def micros(seconds: float) -> int:
    """Microseconds, at least one."""
    return max(1, round(seconds * 1e6))


def nanos(name: str, seconds: Optional[float]) -> int:
    """Nanoseconds of a duration that may be left out. Raises ValueError for one that is not above 0."""
    if seconds is None:
        return 0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} is {seconds!r}; it should be a number of seconds above 0")
    return max(1, round(seconds * 1e9))


@dataclass(frozen=True)
class RetryPolicy:
    """When a task is run again that did not succeed; what is left out is as the session says, or else the service.

    ``attempts`` are executions that may fail or end their instance, ``host_losses`` instances that may be lost under a
    task otherwise; ``backoff`` (seconds) is the time to the second attempt, doubled each time up to ``max_backoff``.
    ``on`` names codes of failures that are retried beside what raises weft.Retry: TaskFailed, TaskPanicked (of a session
    only).
    """

    attempts: Optional[int] = None
    host_losses: Optional[int] = None
    backoff: Optional[float] = None
    max_backoff: Optional[float] = None
    on: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, most in (("attempts", 100), ("host_losses", 200)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise ValueError(f"{name} is {value!r}; it should be 1 to {most}")
        for name in ("backoff", "max_backoff"):
            nanos(name, getattr(self, name))

    def body(self) -> dict[str, Any]:
        """The map Retry of the protocol."""
        given = {
            "attempts": self.attempts,
            "host_losses": self.host_losses,
            "backoff": _words(self.backoff),
            "max_backoff": _words(self.max_backoff),
            "on": list(self.on) or None,
        }
        return {key: value for key, value in given.items() if value is not None}


def _words(seconds: Optional[float]) -> Optional[str]:
    return None if seconds is None else f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


class Terms:
    """What is said of one task beside its payload: its options as they travel, and when the client gives it up."""

    __slots__ = ("deadline", "margin", "options")

    def __init__(
        self,
        now: float,
        timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
    ) -> None:
        """Raises ValueError for what cannot be."""
        self.options: dict[int, int] = {}
        self.deadline = self.margin = 0.0
        nanos("timeout", timeout)
        nanos("run_limit", run_limit)
        if timeout is not None:
            self.deadline = now + timeout
            self.margin = min(timeout * _MARGIN_PART, _MARGIN_MOST)
        if run_limit is not None:
            self.options[_RUN] = micros(run_limit)
        if not -128 <= priority <= 127:
            raise ValueError(f"priority is {priority!r}; it should be -128 to 127")
        if priority:
            self.options[_PRIORITY] = priority + 128
        if retry is not None:
            if retry.on:
                raise ValueError("retry: on cannot be said for one task, but for a session")
            given = {_ATTEMPTS: retry.attempts, _HOST_LOSSES: retry.host_losses}
            self.options.update({key: value for key, value in given.items() if value})
            times = {_BACKOFF: retry.backoff, _MAX_BACKOFF: retry.max_backoff}
            self.options.update({key: micros(value) for key, value in times.items() if value})

    def more(self, now: float) -> bytes:
        """The last element of TASK, written now; empty when there is nothing to be said."""
        options = self.options
        if self.deadline:
            options = {_TIMEOUT: micros(self.deadline - self.margin - now), **options}
        if not options:
            return b""
        return bytes([0x80 + len(options)]) + b"".join(
            bytes([key, 0xCF]) + value.to_bytes(8, "big") for key, value in options.items()
        )
