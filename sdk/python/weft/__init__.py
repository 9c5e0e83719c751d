"""weft: hand the compute-heavy parts of a program to a cluster. See README.md for a first service and client."""

try:
    import msgpack as _msgpack
    import zmq as _zmq
except ImportError as e:
    raise ImportError(
        f"weft needs pyzmq and msgpack ({e}): apt-get install python3-zmq python3-msgpack, or pip install pyzmq msgpack"
    ) from e

from .client import Client, Method, Result, Session, Task, connect
from .errors import (
    AvailabilityError,
    Cancelled,
    CapacityError,
    Code,
    DeadlineExceeded,
    Indeterminate,
    InternalError,
    Permanent,
    RequestError,
    Retry,
    ServiceError,
    SessionClosed,
    StateError,
    TaskFailed,
    UnknownService,
    WeftError,
)
from .service import Function, Service, ServiceContext, SessionContext, TaskContext, current_task, function, serve
from .streams import Part, Progress
from .terms import RetryPolicy

__all__ = [
    "AvailabilityError",
    "Cancelled",
    "CapacityError",
    "Client",
    "Code",
    "DeadlineExceeded",
    "Function",
    "Indeterminate",
    "InternalError",
    "Method",
    "Part",
    "Permanent",
    "Progress",
    "RequestError",
    "Result",
    "Retry",
    "RetryPolicy",
    "Service",
    "ServiceContext",
    "ServiceError",
    "Session",
    "SessionClosed",
    "SessionContext",
    "StateError",
    "Task",
    "TaskContext",
    "TaskFailed",
    "UnknownService",
    "WeftError",
    "connect",
    "current_task",
    "function",
    "serve",
]
__version__ = "0.1.0"
