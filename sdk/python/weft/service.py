"""The service: five hooks, and serve, which runs them in an instance."""

from __future__ import annotations

import inspect
import logging
import os
import random
import secrets
import signal
import sys
import threading
import time
import traceback
import typing
from types import FrameType
from typing import Any, Callable, Optional, Union

from . import endpoints, errors, identity, typed, wire
from .engine import Engine
from .errors import Code, Permanent, Retry, WeftError
from .instancecore import Binding, Hook, InstanceCore, Job, Phase
from .link import Process
from .talk import Talk

log = logging.getLogger("weft")

MAX_VALUE = wire.MAX_DATA_VALUE  # bytes of a value that a session keeps
MAX_KEY = wire.MAX_DATA_KEY  # bytes of its key
_MAX_MESSAGE = 64 << 10
_LONGEST_DELAY = 86400.0  # seconds until a task is run again
_WAKE_AFTER_NS = 1_000_000  # results wait no longer than this while further tasks run


class ServiceContext:
    """What the process of the instance is: ``service``, ``version``, ``node``, ``container``, ``slots``, ``sessions``."""

    def __init__(self, who: identity.Identity) -> None:
        self.service = who.service
        self.version = who.version
        self.node = who.node
        self.container = who.container
        self.slots = who.slots
        self.sessions = who.sessions


class SessionContext:
    """A session at this instance: its number, what its client gave, and data that live as long as the session does."""

    def __init__(self, binding: Binding, talk: Optional[Talk] = None) -> None:
        self.number = binding.number
        self.name = binding.name
        self.environment = binding.environment
        self.principal = binding.principal
        self.parameters = binding.parameters
        self.state: Any = None  # the service's own, whatever it likes
        self._binding = binding
        self._talk = talk

    def put(self, key: str, value: Union[bytes, bytearray, memoryview], timeout: Optional[float] = None) -> None:
        """Keep a copy of a value under a key with the session, at its manager: for all its tasks on all instances.

        It outlives this instance, and lasts until the session is over; it does not outlive the broker. When put returns,
        every get that is called afterwards, wherever, finds the value, or a later one. A value has at most MAX_VALUE bytes,
        a key 1 to MAX_KEY, all of a session what ``limits.data`` of the service says. Raises WeftError: INVALID,
        PAYLOAD_TOO_LARGE, OVERLOADED when there is no room (nothing has changed), SESSION_CLOSED, UNAVAILABLE when the
        manager is gone and the data with it; TimeoutError when it does not answer within ``timeout`` seconds.
        """
        data = bytes(memoryview(value))
        if len(data) > MAX_VALUE:
            why = f"the value of {key!r} has {len(data)} bytes; at most {MAX_VALUE} are kept"
            raise errors.error(Code.PAYLOAD_TOO_LARGE, why, "put")
        self._ask(wire.PUT_DATA, {"key": key, "value": data}, "put", timeout)

    def get(self, key: str, timeout: Optional[float] = None) -> Optional[bytes]:
        """Give what was put under a key last; None when there is nothing. Raises as put."""
        body = self._ask(wire.GET_DATA, {"key": key}, "get", timeout)
        value = body.get("value")
        if not body.get("found"):
            return None
        return value if isinstance(value, bytes) else b""

    def delete(self, key: str, timeout: Optional[float] = None) -> None:
        """Take away what is kept under a key, if anything. Raises as put."""
        self._ask(wire.PUT_DATA, {"key": key, "delete": True}, "delete", timeout)

    def _ask(self, kind: int, body: dict[str, Any], what: str, timeout: Optional[float]) -> Any:
        length = len(body["key"].encode())
        if not 0 < length <= MAX_KEY:
            raise errors.error(Code.INVALID, f"a key has {length} bytes; it should have 1 to {MAX_KEY}", what)
        return _talk(self).ask(self._binding, kind, body, what, timeout)


def _talk(session: SessionContext) -> Talk:
    if session._talk is None:
        raise errors.error(Code.UNAVAILABLE, "there is no fabric here: the context was made by hand")
    return session._talk


class TaskContext:
    """One task: its payload, which attempt it is, and whether anybody still wants its result."""

    __slots__ = ("_job", "session", "_identity", "_event", "_begun")

    def __init__(self, job: Job, session: SessionContext) -> None:
        self._job = job
        self.session = session
        self._identity: Optional[tuple[int, int]] = None
        self._event: Optional[threading.Event] = None
        self._begun = time.monotonic()

    @property
    def payload(self) -> bytes:
        """What the client sent."""
        return self._job.payload

    @property
    def id(self) -> int:
        """The client's id of the task: with the session's number it is the same in each attempt."""
        return self._who()[0]

    @property
    def attempt(self) -> int:
        """1 the first time; more when an instance was lost under the task or it was failed with Retry."""
        return self._who()[1]

    @property
    def cancelled(self) -> bool:
        """Whether the task was given up: it was cancelled, its time is over, its session was killed. The hook should end
        soon: after the grace of its service (``limits.grace``) the instance is killed."""
        return self._job.cancelled

    @property
    def cause(self) -> Optional[WeftError]:
        """Why the task was given up; None while it was not."""
        return self._job.cause

    def raise_if_cancelled(self) -> None:
        """Raise the cause when the task was given up."""
        if self._job.cancelled:
            raise self._job.cause or errors.error(Code.CANCELLED, "the task was cancelled")

    @property
    def remaining(self) -> Optional[float]:
        """Seconds until the manager gives the task up, by its timeout or its run limit; None where nobody set one."""
        timeout, run = wire.limits_of(self._job.more)
        end = min(self._job.arrived + timeout, self._begun + run)
        return None if end == float("inf") else max(0.0, end - time.monotonic())

    def progress(self, percent: float, text: str = "") -> None:
        """Tell how far the task has come: percent of its work, 0 to 100, and a text for people.

        It may be said as often as is convenient, on any thread, and waits for nothing: about ten times a second the last
        word travels, and again before the task's end. Operators see it, and the client when it asked for it.
        """
        _talk(self.session).progress(self._job, percent, text)

    def emit(self, part: Union[bytes, bytearray, memoryview], timeout: Optional[float] = None) -> None:
        """Send a part of the result to the client ahead of the result, which follows when the hook returns.

        Parts arrive in order, once each, those of each attempt anew. A part has at most 256 KiB. When the client takes no
        more, emit waits, with about 256 KiB on their way. Raises WeftError: the cause when the task is given up,
        PAYLOAD_TOO_LARGE, UNAVAILABLE when the session manager is gone; TimeoutError after ``timeout`` seconds.
        """
        data = part if type(part) is bytes else bytes(memoryview(part))
        _talk(self.session).emit(self._job, data, timeout)

    def wait_cancelled(self, timeout: Optional[float] = None) -> bool:
        """Wait until the task is cancelled, at most timeout seconds; say whether it is."""
        if self._event is None:
            self._event = threading.Event()
            self._job.on_cancel = self._event.set
        return self._job.cancelled or self._event.wait(timeout) or self._job.cancelled

    def _who(self) -> tuple[int, int]:
        if self._identity is None:
            try:
                self._identity = wire.identity_of(self._job.more)
            except wire.Malformed:
                self._identity = (0, 1)
        return self._identity


class Service:
    """A service. Override what is needed; hooks of one instance never overlap, but that up to slots on_task_exec run at
    once when the service is registered with more than one slot (then on threads of their own, otherwise, like all
    hooks, on the main thread)."""

    def on_create_service(self, service: ServiceContext) -> None:
        """Runs once, before anything else: load models, open files. What it raises ends the instance."""

    def on_session_bind(self, session: SessionContext) -> None:
        """Runs when the instance begins to serve a session. What it raises ends the session with BIND_FAILED."""

    def on_task_exec(self, task: TaskContext) -> Union[bytes, bytearray, memoryview, None]:
        """Runs a task and gives its result. What it raises fails the task: see Retry and Permanent."""
        raise NotImplementedError(f"{type(self).__name__} has no on_task_exec")

    def on_session_unbind(self, session: SessionContext) -> None:
        """Runs when the instance lets a session go."""

    def on_destroy_service(self, service: ServiceContext) -> None:
        """Runs once, before the process ends in order."""


class Function(Service):
    """A service of a plain function: what it takes and gives travels as msgpack, read by its type hints; where a hint is
    bytes, they travel as they are."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        names = list(inspect.signature(function).parameters)
        if len(names) != 1:
            raise TypeError(f"{function.__name__} has {len(names)} parameters; a function that serves has one")
        hints = typing.get_type_hints(function)
        self._kind = hints.get(names[0], Any)
        self._raw_result = hints.get("return") is bytes

    def __call__(self, value: Any) -> Any:
        return self.function(value)

    def on_task_exec(self, task: TaskContext) -> bytes:
        """Read the payload, call the function, write what it gives."""
        if self._kind is bytes:
            value: Any = task.payload
        else:
            try:
                value = typed.unpack(task.payload, self._kind, strict=True)
            except typed.UnknownKey as e:
                raise errors.error(Code.INTERFACE, str(e), "task") from e
            except ValueError as e:
                raise Permanent(f"the payload of the task: {e}") from e
        _running.task = task
        try:
            result: Any = self.function(value)
        finally:
            _running.task = None
        return bytes(memoryview(result)) if self._raw_result else typed.pack(result)


_running = threading.local()


def current_task() -> TaskContext:
    """The task that a function of weft.function, or weft.serve, runs for, on the thread that runs it.

    Raises RuntimeError anywhere else.
    """
    task = getattr(_running, "task", None)
    if not isinstance(task, TaskContext):
        raise RuntimeError("no task runs on this thread: current_task is for functions that serve")
    return task


def function(call: Callable[..., Any]) -> Function:
    """Make a service of a plain function with one parameter; also as a decorator."""
    return Function(call)


def serve(
    service: Union[Service, Callable[..., Any]], *, name: Optional[str] = None, broker: Optional[str] = None
) -> None:
    """Run an instance of a service until it is told to end; call it from the main thread.

    An agent says what the instance is. One that is started by hand needs the name of its registered service (``name``
    or WEFT_SERVICE) and the broker (``broker`` or WEFT_BROKER). SIGTERM and SIGINT end it in order. Raises WeftError when
    the broker rejects the instance or on_create_service fails; SystemExit(2) after a hook that left it unfit to go on.
    """
    hooks = service if isinstance(service, Service) else Function(service)
    if not log.handlers and not logging.getLogger().handlers:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    who = identity.inherited() or identity.by_hand(name, broker)
    _Runner(hooks, who).run()


class _Runner:
    """Runs the hooks that the core wants run."""

    def __init__(self, service: Service, who: identity.Identity) -> None:
        process = Process(secrets.randbelow((1 << 64) - 1) + 1, random.random)
        self._service = service
        self._context = ServiceContext(who)
        self._slots = who.slots
        self._core = InstanceCore(process, who, endpoints.host(), time.monotonic())
        self._driven = _Driven(self._core, self)
        self._engine = Engine(self._driven, "weft-instance")
        self._talk = Talk(self._core, self._engine)
        self._core.on_dismissed = threading.Thread(target=self._abandon, name="weft-dismissed", daemon=True).start
        self._asked_to_end = False
        self._exit: Optional[SystemExit] = None
        self._woken_ns = 0

    def run(self) -> None:
        restore = self._handle_signals()
        self._engine.start()
        pool = [
            threading.Thread(target=self._loop, args=(True, False), name=f"weft-slot-{i}", daemon=True)
            for i in range(self._slots if self._slots > 1 else 0)
        ]
        for thread in pool:
            thread.start()
        try:
            self._loop(not pool, True)
            self._engine.join()
        finally:
            restore()
        if self._exit is not None:
            raise self._exit
        if self._engine.failure is not None:
            raise self._engine.failure
        if self._core.failure is not None:
            raise self._core.failure
        if self._core.panicked:
            raise SystemExit(2)

    def _abandon(self) -> None:
        """End the process when the broker has dismissed it, and a hook holds up the thread that would end it."""
        self._engine.join()
        with self._engine.lock:
            tasks, hook = self._core.runs
            stuck = hook or bool(tasks) and self._slots == 1
            self._engine.changed.notify_all()
        if stuck:
            log.critical("the broker has dismissed the instance, and a hook does not end: %s", self._core.failure)
            logging.shutdown()
            os._exit(1)

    def _handle_signals(self) -> Callable[[], None]:
        if threading.current_thread() is not threading.main_thread():
            return lambda: None

        handled = (signal.SIGTERM, signal.SIGINT)
        before: dict[int, Any] = {}
        mask = threading.local()
        active = True

        def asked(number: int, _: Optional[FrameType]) -> None:
            self._asked_to_end = True
            self._engine.interrupt()
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

        def restore() -> None:
            nonlocal active
            active = False
            for number, handler in before.items():
                signal.signal(number, handler)

        # What a hook forks is no instance. A signal that it gets before it has its own handlers again waits for them.
        def forking() -> None:
            mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, handled if active else ())

        def forked() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask.before)

        def forked_child() -> None:
            if active:
                restore()
            forked()

        for number in handled:
            before[number] = signal.signal(number, asked)
        os.register_at_fork(before=forking, after_in_parent=forked, after_in_child=forked_child)
        return restore

    def _loop(self, tasks: bool, hooks: bool) -> None:
        """Run what there is to run, until the instance has ended."""
        core, engine = self._core, self._engine
        while True:
            with engine.lock:
                job = core.take(tasks, hooks, 0.0)
                while job is None:
                    if core.phase is Phase.ENDED or engine.failure is not None or self._exit is not None:
                        engine.changed.notify_all()
                        engine.wake()
                        return
                    engine.changed.wait()
                    job = core.take(tasks, hooks, 0.0)
            try:
                if job.hook is Hook.EXEC:
                    self._execute(job, tasks, hooks)
                else:
                    self._call(job)
            except SystemExit as e:
                self._die(e)
                return

    def _die(self, why: SystemExit) -> None:
        """A hook ended the process: it is lost, and what it ran is run elsewhere."""
        with self._engine.lock:
            self._exit = why
            self._engine.changed.notify_all()
            self._core.phase = Phase.ENDED
            self._engine.wake()

    def _execute(self, job: Optional[Job], tasks: bool, hooks: bool) -> None:
        """Run a task, and those that follow it at once."""
        core, engine, call, now_ns = self._core, self._engine, self._service.on_task_exec, time.perf_counter_ns
        while job is not None and job.hook is Hook.EXEC:
            assert job.binding is not None
            context: SessionContext = job.binding.context
            begin = now_ns()
            kind, payload, body, panicked = wire.RESULT, b"", None, False
            try:
                result = call(TaskContext(job, context))
                if result is not None:
                    payload = result if type(result) is bytes else bytes(memoryview(result))
            except SystemExit:
                raise
            except BaseException as e:
                kind, body = wire.FAILURE, _failure(e)
                panicked = not isinstance(e, Exception)
            end = now_ns()
            with engine.lock:
                core.executed(job, kind, payload, body, end - begin)
                if panicked:
                    core.panic()
                job = core.take(tasks, hooks, 0.0)
                if job is None or end - self._woken_ns > _WAKE_AFTER_NS or not tasks or core.ready == 0:
                    self._woken_ns = end
                    engine.wake()
                    if not core.ready:
                        engine.changed.notify_all()
        if job is not None:
            self._call(job)

    def _call(self, job: Job) -> None:
        """Run a hook that is no task."""
        core, engine, service = self._core, self._engine, self._service
        if job.hook is Hook.BIND:
            assert job.binding is not None
            job.binding.context = SessionContext(job.binding, self._talk)
        error: Optional[WeftError] = None
        try:
            if job.hook is Hook.CREATE:
                service.on_create_service(self._context)
            elif job.hook is Hook.BIND:
                assert job.binding is not None
                service.on_session_bind(job.binding.context)
            elif job.hook is Hook.UNBIND:
                assert job.binding is not None
                service.on_session_unbind(job.binding.context)
            elif job.hook is Hook.DESTROY:
                service.on_destroy_service(self._context)
        except Exception as e:
            log.exception("%s failed", job.hook.value)
            code = Code.CREATE_FAILED if job.hook is Hook.CREATE else Code.BIND_FAILED
            error = errors.error(code, _words(e), job.hook.value)
        with engine.lock:
            core.returned(job, error, time.monotonic())
            engine.changed.notify_all()
            engine.wake()


class _Driven:
    """The core as the engine drives it, which also wakes the threads that run hooks."""

    def __init__(self, core: InstanceCore, runner: _Runner) -> None:
        self._core, self._runner = core, runner
        self.effects = core.effects
        self.links = core.links
        self.deadline = core.deadline
        self.is_over = core.is_over
        self.handle = core.handle

    def tick(self, now: float) -> None:
        if self._runner._asked_to_end:
            self._runner._asked_to_end = False
            self._core.drain()
        self._core.tick(now)
        self._runner._engine.changed.notify_all()


def _words(e: BaseException) -> str:
    """An exception with its traceback, as long as a message may be."""
    return _cut("".join(traceback.format_exception(type(e), e, e.__traceback__)))


def _cut(words: str) -> str:
    """Leave out the middle of what is too long for the body of an error."""
    return words if len(words) <= _MAX_MESSAGE else words[: _MAX_MESSAGE // 2] + "\n…\n" + words[-_MAX_MESSAGE // 2 :]


def _failure(e: BaseException) -> dict[str, Any]:
    """The body of FAILURE for what on_task_exec raised."""
    body: dict[str, Any] = {"code": int(Code.TASK_FAILED), "op": Hook.EXEC.value}
    if isinstance(e, (Retry, Permanent)):
        message = str(e) or type(e).__name__
        if e.__cause__ is not None:
            message += f"\n{_words(e.__cause__)}"
        body["msg"] = _cut(message)
        body["retry"] = errors.RETRY_YES if isinstance(e, Retry) else errors.RETRY_NEVER
        if isinstance(e, Retry) and e.after > 0:
            body["retry_after"] = round(min(e.after, _LONGEST_DELAY) * 1e9)
        return body
    if isinstance(e, WeftError):
        if e.code == Code.OVERLOADED:  # of a task it would say that the manager has not taken it
            return {**body, "msg": _cut(str(e))}
        return {**body, "code": int(e.code), "msg": _cut(e.message)}
    code = Code.TASK_FAILED if isinstance(e, Exception) else Code.TASK_PANICKED
    return {**body, "code": int(code), "msg": _cut(f"{type(e).__name__}: {e}\n{_words(e)}")}
