"""The client: sessions with services of a fabric, and their tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import queue
import random
import secrets
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import (
    Any,
    Callable,
    Generator,
    Generic,
    Iterable,
    Iterator,
    Mapping,
    Optional,
    Protocol,
    TypeVar,
    Union,
    overload,
)

from . import endpoints as ends
from . import errors, typed, wire
from .clientcore import ClientCore, Dialog, Entry, Listener, Receipt, Stage
from .engine import Engine
from .errors import Code, WeftError
from .link import Process
from .streams import Part, Progress, Said
from .terms import RetryPolicy, Terms, nanos

log = logging.getLogger("weft")

T = TypeVar("T")
R = TypeVar("R")
Bytes = Union[bytes, bytearray, memoryview]
_WINDOW = 1024


OnProgress = Callable[[Progress], object]
OnPart = Callable[[Part], object]


class Task(concurrent.futures.Future[T], Generic[T]):
    """One task under way: a future of concurrent.futures, which asyncio can await as well.

    ``result(timeout)`` gives the result or raises a WeftError. Callbacks of ``add_done_callback`` run on the client's own
    thread and must be short; for longer ones there is ``Session.submit(data, callback=…)``.
    """

    deferred = False

    def __init__(self, client: "Client", read: Optional[Callable[[bytes], T]]) -> None:
        super().__init__()
        self._client = client
        self._read = read
        self._entry: Optional[Entry] = None

    def cancel(self) -> bool:
        """Give the task up, unless it is done: result raises concurrent.futures.CancelledError from now on, and the fabric
        is told to end the task. One that has not begun never will; of one that runs the hook is told."""
        client, entry = self._client, self._entry
        if entry is None or self.done():
            return self.cancelled()
        client._check_process()
        with client._engine.lock:
            first = client._core.cancel(entry)
            client._engine.wake()
        if first:  # and so finish is not called
            super().cancel()
            self.set_running_or_notify_cancel()
        return self.cancelled()

    def wait_stopped(self, timeout: Optional[float] = None) -> bool:
        """Wait until the task surely runs nowhere any more, at most timeout seconds; say whether that is so.

        A task that was cancelled, or whose time is over, is done for its client at once, but may run on for a while.
        """
        client, entry = self._client, self._entry
        client._check_process()
        with client._engine.lock:
            try:
                client._wait(lambda: entry is None or entry.over, timeout)
            except TimeoutError:
                return False
            return entry is None or entry.over

    def finish(self, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]) -> None:
        """Take the outcome; for the engine."""
        if error is not None:
            self.set_exception(error)
        elif self._read is None:
            self.set_result(result)  # type: ignore[arg-type]
        else:
            try:
                value = self._read(result or b"")
            except Exception as e:
                self.set_exception(e)
            else:
                self.set_result(value)

    def run(self, result: Optional[bytes], error: Optional[WeftError]) -> None:
        """Take the outcome; for the thread of callbacks."""
        self.finish(result, error, None)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()


class Result(Generic[T]):
    """What a callback gets: a value, or an error."""

    __slots__ = ("_value", "error")

    def __init__(self, value: Optional[T], error: Optional[Exception]) -> None:
        self._value = value
        self.error = error

    def get(self) -> T:
        """Give the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]


class _Callback(Generic[T]):
    deferred = True

    def __init__(self, client: "Client", call: Callable[[Result[T]], object], read: Optional[Callable[[bytes], T]]) -> None:
        self._client, self._call, self._read = client, call, read

    def finish(self, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]) -> None:
        self._client._callbacks.put((self, result, error, receipt))

    def run(self, result: Optional[bytes], error: Optional[Exception]) -> None:
        value: Any = result
        if error is None and self._read is not None:
            try:
                value = self._read(result or b"")
            except Exception as e:
                error = e
        self._call(Result(value, error))


class _Outcome(Protocol):
    def run(self, result: Optional[bytes], error: Optional[WeftError], /) -> None:
        """Take an outcome on the thread of callbacks."""


class _Listening:
    """The sink of a task whose words somebody wants to hear: its outcome comes after them, on the same thread."""

    def __init__(
        self, client: "Client", to: _Outcome, on_progress: Optional[OnProgress], on_part: Optional[OnPart], deferred: bool
    ) -> None:
        self._client, self._to, self._on_progress, self._on_part = client, to, on_progress, on_part
        self.deferred = deferred

    def said(self, said: Said, receipt: Optional[Receipt]) -> None:
        call = self._on_progress if isinstance(said, Progress) else self._on_part
        if call is not None:
            self._client._callbacks.put((_Word(self._to, call, said), None, None, receipt))

    def finish(self, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]) -> None:
        self._client._callbacks.put((self._to, result, error, receipt))


class _Word:
    def __init__(self, to: _Outcome, call: Callable[[Any], object], said: Said) -> None:
        self._to, self._call, self._said = to, call, said

    def run(self, result: Optional[bytes], error: Optional[WeftError]) -> None:
        if not (isinstance(self._to, Task) and self._to.cancelled()):
            self._call(self._said)


class Session:
    """A session with a service. Made by Client.open_session; a context manager, which closes it in order, or kills it
    when its block ends by an exception. All of its methods may be called by any thread.
    """

    def __init__(self, client: "Client", dialog: Dialog, service: str, task_timeout: Optional[float] = None) -> None:
        self._client = client
        self._dialog = dialog
        self._task_timeout = task_timeout
        self.service = service

    @property
    def number(self) -> int:
        """The session's number at the broker; another one after the broker was replaced."""
        return self._dialog.number

    @property
    def version(self) -> str:
        """The version of the service."""
        return self._dialog.version

    @property
    def error(self) -> Optional[WeftError]:
        """Why the session ended; None while it is open, and when it ended in order."""
        return self._dialog.error

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self._dialog.stage is Stage.OVER

    def call(
        self,
        data: Bytes,
        timeout: Optional[float] = None,
        *,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
        on_progress: Optional[OnProgress] = None,
        on_part: Optional[OnPart] = None,
    ) -> bytes:
        """Send a task and wait for its result, as submit does with the same options. Raises WeftError.

        When ``timeout`` is over it raises a TimeoutError: DeadlineExceeded when the fabric has ended the task or it was
        surely never begun, Indeterminate when the task was sent and there is no word of it. A call that is interrupted
        gives its task up.
        """
        if (on_progress or on_part) and self._client._may_not_wait:
            raise errors.error(Code.INVALID, "a callback cannot wait for callbacks: use submit", "call")
        task: Task[bytes] = Task(self._client, None)
        self._submit(data, task, self._terms(timeout, run_limit, priority, retry), on_progress, on_part)
        return _result(task)

    @overload
    def submit(
        self,
        data: Bytes,
        *,
        timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
        on_progress: Optional[OnProgress] = None,
        on_part: Optional[OnPart] = None,
    ) -> Task[bytes]: ...

    @overload
    def submit(
        self,
        data: Bytes,
        *,
        callback: Callable[[Result[bytes]], object],
        timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
        on_progress: Optional[OnProgress] = None,
        on_part: Optional[OnPart] = None,
    ) -> None: ...

    def submit(
        self,
        data: Bytes,
        *,
        callback: Optional[Callable[[Result[bytes]], object]] = None,
        timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
        on_progress: Optional[OnProgress] = None,
        on_part: Optional[OnPart] = None,
    ) -> Optional[Task[bytes]]:
        """Send a task and go on: give a Task, or have callback called with its outcome, exactly once.

        ``timeout`` gives the task up when it has no result so many seconds from now; ``run_limit`` when an execution of it
        takes longer. A task of higher ``priority`` (-128 to 127, 0 where nothing is said) is begun before the others of
        its session; ``retry`` goes before the session's policy, which goes before the service's.

        ``on_progress`` is called with how far the task has come, ``on_part`` with the parts of its result that it sends
        ahead, in order and before its outcome; parts count against the client's credit until they are taken.

        Callbacks run one after the other on a thread of their own, in the order in which results arrive; what they
        raise is logged. submit waits while the session has as many unfinished tasks as it may have (not in a
        callback). Raises WeftError when the session is over or closing, or the payload is too large.
        """
        terms = self._terms(timeout, run_limit, priority, retry)
        if callback is not None:
            self._submit(data, _Callback(self._client, callback, None), terms, on_progress, on_part)
            return None
        task: Task[bytes] = Task(self._client, None)
        self._submit(data, task, terms, on_progress, on_part)
        return task

    def map(
        self,
        tasks: Iterable[Bytes],
        window: int = _WINDOW,
        *,
        timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
    ) -> Iterator[bytes]:
        """Send tasks and give their results in the same order, with at most window tasks under way.

        The options are those of each task. Raises the error of the first task that failed; the others under way are
        cancelled then, and when the iterator is closed.
        """

        def submit(data: Bytes) -> Task[bytes]:
            return self.submit(data, timeout=timeout, run_limit=run_limit, priority=priority, retry=retry)

        return _ahead(tasks, submit, window)

    def cancel_all(self, timeout: Optional[float] = None) -> None:
        """Give all unfinished tasks of the session up, and wait until they have ended; not in a callback.

        Those that were not begun never will be, and fail with Cancelled; those that run end as the fabric says.
        """
        client, dialog = self._client, self._dialog
        client._check_process()
        with client._engine.lock:
            up_to = client._core.cancel_all(dialog)
            client._engine.wake()
            if not client._may_not_wait:
                client._wait(lambda: dialog.ended(up_to), timeout)

    def method(self, result: Callable[..., R] | Any = Any) -> "Method":
        """Give the service as a typed function: values travel as msgpack, results are read as the type result.

        Where a value, or the type result, is bytes, these travel as they are.
        """
        return Method(self, result)

    def close(self, timeout: Optional[float] = None) -> None:
        """End the session when its tasks are finished, and wait for that. Raises the error that ended it otherwise."""
        self._end("finish", "", timeout)

    def kill(self, reason: str = "", timeout: Optional[float] = None) -> None:
        """End the session at once: its unfinished tasks fail with SESSION_KILLED."""
        self._end("kill", reason, timeout)

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is None:
            self.close()
        elif not self.is_over:
            try:
                self.kill("the client's block ended by an exception", timeout=10)
            except (WeftError, TimeoutError):
                log.warning("a session could not be killed", exc_info=True)

    def _terms(
        self, timeout: Optional[float], run_limit: Optional[float], priority: int, retry: Optional[RetryPolicy]
    ) -> Optional[Terms]:
        if timeout is None:
            timeout = self._task_timeout
        if timeout is None and run_limit is None and not priority and retry is None:
            return None
        return Terms(time.monotonic(), timeout, run_limit, priority, retry)

    def _submit(
        self,
        data: Bytes,
        to: "Task[Any] | _Callback[Any]",
        terms: Optional[Terms] = None,
        on_progress: Optional[OnProgress] = None,
        on_part: Optional[OnPart] = None,
    ) -> None:
        payload = data if type(data) is bytes else bytes(memoryview(data))
        sink: "Task[Any] | _Callback[Any] | _Listening" = to
        listener: Optional[Listener] = None
        if on_progress is not None or on_part is not None:
            sink = _Listening(self._client, to, on_progress, on_part, to.deferred)
            listener = sink.said
        client, dialog = self._client, self._dialog
        client._check_process()
        with client._engine.lock:
            if dialog.full and not client._may_not_wait:
                client._wait_for_room(dialog, terms)
            if dialog.stage is Stage.OVER:
                raise dialog.error or errors.error(Code.SESSION_CLOSED, "the session was closed", "submit")
            if dialog.closing:
                raise errors.error(Code.SESSION_CLOSED, "the session is being closed", "submit")
            if len(payload) > dialog.max_payload:
                raise errors.error(
                    Code.PAYLOAD_TOO_LARGE,
                    f"the payload has {len(payload)} bytes; the session takes at most {dialog.max_payload}",
                    "submit",
                )
            if terms is None and listener is None:
                entry = client._core.submit(dialog, payload, sink)
            else:
                now = time.monotonic()
                entry = client._core.submit(dialog, payload, sink, terms, listener, on_part is not None, now)
            if isinstance(to, Task):
                to._entry = entry
            client._engine.wake()

    def _end(self, mode: str, reason: str, timeout: Optional[float]) -> None:
        client, dialog = self._client, self._dialog
        client._check_process()
        with client._engine.lock:
            asked = dialog.stage is not Stage.OVER
            client._core.close(dialog, mode, reason)
            client._engine.wake()
            if not client._may_not_wait:
                client._wait(lambda: dialog.stage is Stage.OVER, timeout)
            error = dialog.error
        if asked and error is not None and not (mode == "kill" and error.code == Code.SESSION_KILLED):
            raise error


class Method:
    """A service seen as a typed function: ``method(x)``, ``method.submit(x)``, ``method.map(xs)``."""

    def __init__(self, session: Session, result: Any) -> None:
        self._session = session
        self._result = result

    def _read(self, data: bytes) -> Any:
        return data if self._result is bytes else typed.unpack(data, self._result)

    def call(self, value: Any, timeout: Optional[float] = None, **options: Any) -> Any:
        """Call and wait for the result; options are those of Session.call."""
        if (options.get("on_progress") or options.get("on_part")) and self._session._client._may_not_wait:
            raise errors.error(Code.INVALID, "a callback cannot wait for callbacks: use submit", "call")
        return _result(self.submit(value, timeout=timeout, **options))

    __call__ = call

    def submit(
        self,
        value: Any,
        *,
        callback: Optional[Callable[[Result[Any]], object]] = None,
        timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        priority: int = 0,
        retry: Optional[RetryPolicy] = None,
        on_progress: Optional[OnProgress] = None,
        on_part: Optional[OnPart] = None,
    ) -> Any:
        """Call and go on: as Session.submit."""
        session = self._session
        terms = session._terms(timeout, run_limit, priority, retry)
        payload = value if isinstance(value, bytes) else typed.pack(value)
        if callback is not None:
            session._submit(payload, _Callback(session._client, callback, self._read), terms, on_progress, on_part)
            return None
        task: Task[Any] = Task(session._client, self._read)
        session._submit(payload, task, terms, on_progress, on_part)
        return task

    def map(self, values: Iterable[Any], window: int = _WINDOW, **options: Any) -> Iterator[Any]:
        """Call for each value, and give the results in order: as Session.map, with its options."""

        def submit(value: Any) -> Task[Any]:
            task: Task[Any] = self.submit(value, **options)
            return task

        return _ahead(values, submit, window)


def _result(task: Task[R]) -> R:
    """Wait for a task that nobody else knows, and give it up when that is interrupted."""
    try:
        return task.result()
    except BaseException:
        task.cancel()
        raise


def _ahead(values: Iterable[T], submit: Callable[[T], Task[R]], window: int) -> Iterator[R]:
    if window < 1:
        raise ValueError(f"window is {window}; it should be at least 1")
    under_way: deque[Task[R]] = deque()
    try:
        for value in values:
            while under_way and (len(under_way) >= window or under_way[0].done()):
                yield under_way.popleft().result()
            under_way.append(submit(value))
        while under_way:
            yield under_way.popleft().result()
    finally:
        for task in under_way:
            task.cancel()


class Client:
    """A connection to a fabric. Made by connect; a context manager, which closes it. Any thread may use it."""

    def __init__(self, endpoints: list[str], name: str, keep_scheme: bool) -> None:
        process = Process(secrets.randbelow((1 << 64) - 1) + 1, random.random)
        self._core = ClientCore(process, endpoints, name, ends.host(), keep_scheme, time.monotonic())
        self._engine = Engine(_Notifier(self._core, self), "weft-client")
        self._process = os.getpid()
        self._closed = False
        self._waiting = 0
        self._callbacks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._caller = threading.Thread(target=self._run_callbacks, name="weft-callbacks", daemon=True)
        self._engine.start()
        self._caller.start()

    # Waiting. The caller holds the engine's lock.

    @property
    def _may_not_wait(self) -> bool:
        """Whether the caller is a callback, for whom to wait could be to wait for itself."""
        return threading.current_thread() is self._caller or self._engine.on_thread

    def _wait(self, holds: Callable[[], bool], timeout: Optional[float] = None) -> None:
        engine = self._engine
        self._waiting += 1
        try:
            done = engine.changed.wait_for(lambda: holds() or engine.failure is not None or self._closed, timeout)
        finally:
            self._waiting -= 1
        if engine.failure is not None:
            raise errors.error(Code.INTERNAL, f"the client's thread failed: {engine.failure}")
        if not done:
            raise TimeoutError(f"nothing came of it within {timeout} s")

    def _wait_for_room(self, dialog: Dialog, terms: Optional[Terms]) -> None:
        left = None if terms is None or not terms.deadline else max(0.0, terms.deadline - time.monotonic())
        try:
            self._wait(lambda: not dialog.full or dialog.stage is Stage.OVER or bool(dialog.closing), left)
        except TimeoutError:
            why = "its time is over, and it was never sent: its session had no room for it"
            raise errors.error(Code.DEADLINE, why, "submit") from None

    def _run_callbacks(self) -> None:
        core, engine, get = self._core, self._engine, self._callbacks.get
        while True:
            item = get()
            if item is None:
                return
            callback, result, error, receipt = item
            if receipt is not None:
                with engine.lock:
                    core.consumed(receipt)
                    engine.wake()
            try:
                callback.run(result, error)
            except Exception:
                log.exception("a callback failed")

    # Sessions.

    def open_session(
        self,
        service: str,
        *,
        version: str = "",
        environment: str = "",
        queue: str = "",
        name: str = "",
        min_instances: int = 0,
        max_instances: int = 0,
        node_type: str = "",
        nodes: int = 0,
        node: str = "",
        rack: str = "",
        relax: bool = False,
        priority: int = 0,
        parameters: Bytes = b"",
        retry: Optional[RetryPolicy] = None,
        task_timeout: Optional[float] = None,
        run_limit: Optional[float] = None,
        idle: Optional[float] = None,
        lifetime: Optional[float] = None,
        disconnect: str = "",
        grace: Optional[float] = None,
        timeout: Optional[float] = 30.0,
    ) -> Session:
        """Open a session with a service; what is left out is as the service or the broker says.

        ``queue`` is a leaf of the queues. ``node`` or ``rack`` is the only one that may do, or with ``relax`` the one that
        is preferred; ``node_type`` is "cpu" or "gpu", ``nodes`` the least number of distinct ones. Containers of a higher
        ``priority`` come first among those of the service.
        ``retry``, ``task_timeout`` and ``run_limit`` are for those of its tasks that say nothing else: see Session.submit.
        The session is closed when it was ``idle`` for so many seconds, killed after its ``lifetime``. When its client is
        gone for ``grace`` seconds it is closed (``disconnect`` "close", or nothing), or lives on for another client
        ("keep"). ``timeout`` is for the opening itself.

        Raises UnknownService, or another WeftError; TimeoutError when the broker does not answer in time.
        """
        given = {
            "service": service,
            "version": version,
            "environment": environment,
            "queue": queue,
            "name": name,
            "min_instances": min_instances,
            "max_instances": max_instances,
            "node_type": node_type,
            "nodes": nodes,
            "node": node,
            "rack": rack,
            "relax": relax,
            "priority": priority,
            "parameters": bytes(memoryview(parameters)),
            "retry": retry.body() if retry is not None else {},
            "timeout": nanos("task_timeout", task_timeout),
            "run": nanos("run_limit", run_limit),
            "idle": nanos("idle", idle),
            "lifetime": nanos("lifetime", lifetime),
            "disconnect": disconnect,
            "grace": nanos("grace", grace),
        }
        if disconnect not in ("", "close", "keep"):
            raise ValueError(f"disconnect is {disconnect!r}; it should be 'close' or 'keep'")
        options = {key: value for key, value in given.items() if value or key == "service"}
        self._check_process()
        with self._engine.lock:
            self._check_open()
            dialog = self._core.open(options)
            self._engine.wake()
            try:
                self._wait(lambda: dialog.stage is not Stage.OPENING, timeout)
            except TimeoutError:
                self._core.close(dialog, "kill")
                raise
            if dialog.stage is Stage.OVER:
                raise dialog.error or errors.error(Code.CLOSED, "the client was closed", "open_session")
        return Session(self, dialog, service, task_timeout)

    # The operator's requests.

    def register_service(self, service: Mapping[str, Any], timeout: Optional[float] = 30.0) -> None:
        """Register a service, described by the keys of the map Service of the protocol."""
        self._ask(wire.REGISTER_SERVICE, service, timeout)

    def deregister_service(self, name: str, version: str = "", timeout: Optional[float] = 30.0) -> None:
        """Take a service, or one version of it, out of the catalogue."""
        self._ask(wire.DEREGISTER_SERVICE, {"name": name, **({"version": version} if version else {})}, timeout)

    def move_service(self, name: str, loop: int, version: str = "", timeout: Optional[float] = 30.0) -> None:
        """Have the session managers of a service go to another manager loop; interrupts nothing."""
        self._ask(wire.MOVE_SERVICE, {"name": name, "loop": loop, **({"version": version} if version else {})}, timeout)

    def services(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """List services (maps ServiceInfo), page by page; filters are the keys of ListRequest."""
        return self._list(wire.LIST_SERVICES, filters, lambda e: f"{e['service']['name']}@{e['service']['version']}")

    def sessions(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """List sessions (maps SessionInfo)."""
        return self._list(wire.LIST_SESSIONS, filters, lambda e: str(e["session"]))

    def nodes(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """List nodes (maps NodeInfo)."""
        return self._list(wire.LIST_NODES, filters, lambda e: str(e["name"]))

    def _list(self, kind: int, filters: dict[str, Any], key: Callable[[dict[str, Any]], str]) -> Iterator[dict[str, Any]]:
        request = dict(filters)
        while True:
            page = self._ask(kind, request, 30.0)
            entries = page.get("entries") or []
            yield from entries
            if not page.get("more") or not entries:
                return
            request["after"] = page.get("next") or key(entries[-1])

    def _ask(self, kind: int, body: Mapping[str, Any], timeout: Optional[float]) -> Mapping[str, Any]:
        answer: list[tuple[Mapping[str, Any], Optional[WeftError]]] = []

        def done(got: Mapping[str, Any], error: Optional[WeftError]) -> None:
            answer.append((got, error))
            self._core.news = True

        self._check_process()
        with self._engine.lock:
            self._check_open()
            self._core.request(kind, body, done)
            self._engine.wake()
            self._wait(lambda: bool(answer), timeout)
        if not answer:
            raise errors.error(Code.CLOSED, "the client was closed")
        got, error = answer[0]
        if error is not None:
            raise error
        return got

    # The end.

    def _check_process(self) -> None:
        """Refuse a child of fork, where the client's threads are not, before it waits for them for ever."""
        if os.getpid() != self._process:
            raise errors.error(
                Code.CLOSED, f"the client belongs to process {self._process}: after a fork, connect again in the new one"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise errors.error(Code.CLOSED, "the client is closed")

    def close(self) -> None:
        """Leave the fabric: sessions that are still open are killed. Waits for callbacks that have begun.

        Does nothing in a child of fork.
        """
        if os.getpid() != self._process:
            return
        with self._engine.lock:
            first, self._closed = not self._closed, True
            if first:
                self._core.bye(time.monotonic())
                self._engine.changed.notify_all()
        if first:
            self._engine.interrupt()
        if self._engine.on_thread:
            return
        self._engine.join()
        if first:
            self._callbacks.put(None)
        if threading.current_thread() is not self._caller:
            self._caller.join()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Notifier:
    """The core as the engine drives it, which also wakes callers that wait for news."""

    def __init__(self, core: ClientCore, client: Client) -> None:
        self._core, self._client = core, client
        self.effects = core.effects
        self.links = core.links
        self.deadline = core.deadline
        self.is_over = core.is_over
        self.handle = core.handle

    def tick(self, now: float) -> None:
        self._core.tick(now)
        if self._core.news:
            self._core.news = False
            if self._client._waiting:
                self._client._engine.changed.notify_all()


def connect(
    endpoints: Union[str, Iterable[str], None] = None,
    *,
    name: str = "",
    keep_scheme: bool = False,
    timeout: Optional[float] = 10.0,
) -> Client:
    """Connect to a broker; several endpoints are tried in turn. None: WEFT_BROKER, or this machine.

    ``name`` is for people; ``keep_scheme`` keeps all connections on the transport of the endpoint. Raises WeftError
    when the broker refuses, ValueError for an endpoint that is none, and an AvailabilityError when nobody answers
    within ``timeout`` seconds.
    """
    where = ends.several(endpoints)
    client = Client(where, name or f"{os.path.basename(sys.argv[0] or 'python')}[{os.getpid()}]", keep_scheme)
    core = client._core
    try:
        with client._engine.lock:
            client._wait(lambda: core.connected or (core.refused is not None and not core.refused.retryable), timeout)
        if not core.connected and core.refused is not None:
            raise core.refused
    except TimeoutError:
        client.close()
        raise errors.error(
            Code.UNAVAILABLE, f"no broker answers at {', '.join(where)} within {timeout} s", "connect"
        ) from None
    except BaseException:
        client.close()
        raise
    return client
