"""Errors that cross the wire: codes, their families, and whether a request may be sent again."""

from __future__ import annotations

import enum
from typing import Any, Mapping


class Code(enum.IntEnum):
    """Every error code of version 1 of the protocol. The hundreds are its family."""

    INVALID = 100
    UNKNOWN_SERVICE = 101
    UNKNOWN_SESSION = 102
    PAYLOAD_TOO_LARGE = 103
    ALREADY_EXISTS = 104
    VERSION = 105
    PERMISSION = 106
    UNKNOWN_KIND = 107
    MALFORMED = 108
    NOT_FOUND = 109
    INTERFACE = 110
    NO_ENVIRONMENT = 111
    SESSION_CLOSED = 200
    SESSION_KILLED = 201
    CANCELLED = 202
    DEADLINE = 203
    CLOSED = 204
    IN_USE = 205
    DEPENDENCY = 206
    SESSION_EXPIRED = 207
    DETACHED = 208
    NOT_ACCEPTING = 209
    OVERLOADED = 300
    NO_CAPACITY = 301
    UNAVAILABLE = 400
    INDETERMINATE = 401
    TASK_FAILED = 500
    TASK_PANICKED = 501
    CREATE_FAILED = 502
    BIND_FAILED = 503
    ATTEMPTS_SPENT = 504
    HOST_LOSS_SPENT = 505
    ARTEFACT = 506
    INSTANCE_REJECTED = 507
    INTERNAL = 600


_RETRYABLE = frozenset({Code.OVERLOADED, Code.UNAVAILABLE, Code.INDETERMINATE})


class WeftError(Exception):
    """An error of the fabric. Programs decide by ``code`` (or by the class, which the code's family gives) alone.

    ``code`` is an ``int``, as a newer broker may send codes that this SDK does not know. ``op`` says what was being
    done, ``message`` what was wrong, ``retry_after`` (seconds) before when the same request should not be sent again.
    """

    def __init__(self, code: int, message: str = "", op: str = "", retry_after: float = 0.0) -> None:
        super().__init__(code, message, op, retry_after)
        self.code = code
        self.message = message
        self.op = op
        self.retry_after = retry_after

    @property
    def name(self) -> str:
        """The code's name, or its number where it is unknown."""
        try:
            return Code(self.code).name
        except ValueError:
            return str(self.code)

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed when it is sent again unchanged."""
        return self.code in _RETRYABLE

    def __str__(self) -> str:
        return ": ".join(part for part in (self.op, self.message or self.name.lower()) if part) + f" [{self.name}]"


class RequestError(WeftError):
    """Family 1xx: what the caller asked for cannot be."""


class StateError(WeftError):
    """Family 2xx: the state of what the request names forbids it, as a session that is closed."""


class CapacityError(WeftError):
    """Family 3xx: a limit is reached."""


class AvailabilityError(WeftError):
    """Family 4xx: no broker answers, or it is not known what became of something."""


class ServiceError(WeftError):
    """Family 5xx: the service failed."""


class InternalError(WeftError):
    """Family 6xx, and families that this SDK does not know: a defect in weft."""


class TaskFailed(ServiceError):
    """The service's on_task_exec failed; the message is the service's own, with a traceback if it is in Python."""


class UnknownService(RequestError):
    """No service of that name is registered."""


class SessionClosed(StateError):
    """The session was closed, in order or (code SESSION_KILLED) by kill."""


class Cancelled(StateError):
    """The task was cancelled."""


class DeadlineExceeded(StateError, TimeoutError):
    """The task's time was over before there was a result. It runs nowhere, and unless its run limit ended it, or it was
    running already, it was never begun; the message says which."""


class Indeterminate(AvailabilityError, TimeoutError):
    """The task's time was over without a word of it: it was sent, and may have run, or run still."""


_FAMILIES: dict[int, type[WeftError]] = {
    1: RequestError,
    2: StateError,
    3: CapacityError,
    4: AvailabilityError,
    5: ServiceError,
}
_CLASSES: dict[int, type[WeftError]] = {
    Code.TASK_FAILED: TaskFailed,
    Code.TASK_PANICKED: TaskFailed,
    Code.UNKNOWN_SERVICE: UnknownService,
    Code.SESSION_CLOSED: SessionClosed,
    Code.SESSION_KILLED: SessionClosed,
    Code.SESSION_EXPIRED: SessionClosed,
    Code.CANCELLED: Cancelled,
    Code.DEADLINE: DeadlineExceeded,
    Code.INDETERMINATE: Indeterminate,
}


def error(code: int, message: str = "", op: str = "", retry_after: float = 0.0) -> WeftError:
    """Make the exception of the class that belongs to a code."""
    kind = _CLASSES.get(code) or _FAMILIES.get(code // 100) or InternalError
    return kind(code, message, op, retry_after)


def from_body(body: Mapping[str, Any]) -> WeftError:
    """Make an exception of the body Error. What is missing or of a wrong type has its zero."""
    code = body.get("code")
    after = body.get("retry_after")
    return error(
        code if isinstance(code, int) else 0,
        str(body.get("msg") or ""),
        str(body.get("op") or ""),
        after / 1e9 if isinstance(after, int) and after > 0 else 0.0,
    )


# RETRY_* is how a service steers retries of a failed task, in the key ``retry`` of the body Error.
RETRY_BY_CODE, RETRY_YES, RETRY_NEVER = 0, 1, 2


class Retry(Exception):
    """Raise it in on_task_exec to have the task run again, up to the attempts of the retry policy in force for it.

    ``after`` is the least number of seconds until then, beside the policy's backoff; 24 hours at most.
    """

    def __init__(self, *args: object, after: float = 0.0) -> None:
        super().__init__(*args)
        self.after = after


class Permanent(Exception):
    """Raise it in on_task_exec to fail the task for good."""
