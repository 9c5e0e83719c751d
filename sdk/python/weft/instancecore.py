"""What an instance knows and decides: its two connections, its sessions, which hook runs next. Without I/O.

The engine's thread feeds it with what arrives; the threads that run hooks take jobs from it and bring back what came of
them. All of it happens under the engine's lock.
"""

from __future__ import annotations

import enum
import logging
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, Sequence

from . import errors, wire
from .control import Control
from .errors import Code, WeftError
from .identity import Identity
from .instancestreams import Requests, Stream, due
from .link import MAX_PAYLOAD, Event, Link, Process, Raised, Records, Refused, State, Welcomed

log = logging.getLogger("weft")

_MOST_HELD = 16 << 20  # bytes of results that are not acknowledged
_BYE_PATIENCE = 2.0  # seconds for the acknowledgement of the last record
_UINT32 = (1 << 32) - 1


class Phase(enum.Enum):
    """Where an instance is in its life."""

    CONNECTING = "connecting"
    CREATING = "creating"
    SERVING = "serving"
    DRAINING = "draining"
    LEAVING = "leaving"
    ENDED = "ended"


class Hook(enum.Enum):
    """What a job runs."""

    CREATE = "on_create_service"
    BIND = "on_session_bind"
    EXEC = "on_task_exec"
    UNBIND = "on_session_unbind"
    DESTROY = "on_destroy_service"


class Stage(enum.Enum):
    """Where a session is at this instance."""

    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"


@dataclass(eq=False)
class Binding:
    """A session that the instance holds."""

    number: int
    name: str = ""
    environment: str = ""
    principal: str = ""
    parameters: bytes = b""
    stage: Stage = Stage.BINDING
    orphan: bool = False  # the manager knows nothing of it any more: nothing of it is sent
    waiting: deque["Job"] = field(default_factory=deque)
    running: set["Job"] = field(default_factory=set)
    context: Any = None  # the service's view of it


class Job:
    """A call of a hook. For a task: which one, and whether it was cancelled."""

    __slots__ = (
        "hook", "binding", "number", "payload", "more", "arrived", "cancelled", "cause", "recalled", "on_cancel", "stream"
    )  # fmt: skip

    def __init__(
        self, hook: Hook, binding: Binding | None = None, number: int = 0, payload: bytes = b"", more: bytes = b""
    ) -> None:
        self.hook, self.binding, self.number, self.payload, self.more = hook, binding, number, payload, more
        self.arrived = 0.0
        self.cancelled = False
        self.cause: WeftError | None = None  # why
        self.recalled = False
        self.on_cancel: Callable[[], object] | None = None
        self.stream: Stream | None = None  # what it has said

    def cancel(self, why: WeftError) -> None:
        """Tell who runs it that nobody wants the result."""
        if self.cancelled:
            return
        self.cause, self.cancelled = why, True
        if self.on_cancel is not None:
            self.on_cancel()


class InstanceCore:
    """The state machine of an instance."""

    def __init__(self, process: Process, identity: Identity, host: str, now: float) -> None:
        self.process = process
        self.identity = identity
        self.effects: deque[Callable[[], object]] = deque()
        self.phase = Phase.CONNECTING
        self.failure: WeftError | None = None  # why the instance ends with a failure
        self.panicked = False
        self.host = host
        self.ready = 0  # tasks that wait
        self._running = 0
        self._exclusive: deque[Job] = deque()
        self._exclusive_runs = False
        self._bindings: dict[int, Binding] = {}
        self._turns: deque[Binding] = deque()  # those with tasks that wait, in the order of their turns
        self._jobs: dict[int, Job] = {}  # tasks that wait or run, by the manager's number
        self.requests = Requests()  # about the data of sessions
        self.dismissed = False  # the instance ends without waiting for hooks
        self.on_dismissed: Callable[[], object] | None = None
        self._streams: set[Stream] = set()  # of running tasks that have said something
        self._executed = 0
        self._took_ns = 0
        self._control = Control(process, identity.endpoints, lambda e: self._hello(e, True), now)
        self._data: Link | None = None
        self._refused_since = 0.0  # since when the manager loop refuses HELLO
        self._greeted = False  # whether the data link was ever welcomed
        self._endpoint = ""
        self._created = False
        self._destroy_asked = False
        self._bye_by = 0.0
        self._bye_said = False

    def _hello(self, endpoint: str, control: bool) -> dict[str, Any]:
        i = self.identity
        hello: dict[str, Any] = {
            "min_version": wire.VERSION,
            "max_version": wire.VERSION,
            "role": "instance",
            "name": f"{i.service}[{os.getpid()}]",
            "endpoint": endpoint,
            "service": i.service,
            "slots": i.slots,
            "sessions": i.sessions,
        }
        if i.version:
            hello["version"] = i.version
        if i.container:
            hello["container"] = i.container
        if i.token and control:
            hello["token"] = i.token
        if i.keeps_scheme:
            hello["keeps_scheme"] = True
        if self.host:
            hello["host"] = self.host
        return hello

    # What the engine asks.

    def links(self) -> Iterable[Link]:
        """The control link, and the one of the manager loop."""
        yield self._control.link
        if self._data is not None:
            yield self._data

    def tick(self, now: float) -> None:
        """Report what was executed, and do what is due."""
        data = self._data
        if data is not None:
            if self._executed:
                data.push(wire.EXECUTED, min(self._executed, _UINT32), self._took_ns)
                self._executed = self._took_ns = 0
            for stream in self._streams:
                if now >= stream.due:
                    stream.tell(data, now)
            data.tick(now)
            if self.phase is Phase.DRAINING and data.state is not State.UP and now - data.silent_since >= data.timeout:
                self._let_go_of_all()
                self._leave()
        self._control.tick(now)
        if self.phase is Phase.ENDED and not self._bye_by:
            self._bye_by = now + _BYE_PATIENCE

    def deadline(self) -> float:
        """When tick is to be called next."""
        if self._bye_by:
            return self._bye_by
        then = self._control.deadline()
        if self._data is not None:
            then = min(then, self._data.deadline(), due(self._streams))
            if self.phase is Phase.DRAINING and self._data.state is not State.UP:
                then = min(then, self._data.silent_since + self._data.timeout)
        return then

    def is_over(self, now: float) -> bool:
        """Whether the last record was said and taken over, or waited for long enough."""
        control = self._control.link
        return self._bye_by > 0 and (now >= self._bye_by or control.state is not State.UP or control.settled)

    def handle(self, link: Link, events: list[Event], now: float) -> None:
        """Take what a message meant."""
        greeted = any(isinstance(event, Welcomed) for event in events)
        for event in events:
            if isinstance(event, Records):
                self._records(link, event.records, now)
            elif isinstance(event, Raised):
                self._raised(link, greeted, now)
            elif isinstance(event, Welcomed):
                if link is self._data:
                    self._refused_since = 0.0
                    if not event.resumed:
                        self._begin_anew()
            elif isinstance(event, Refused):
                self._refused(link, event.error, now)

    # Conversations that begin and end.

    def _raised(self, link: Link, greeted: bool, now: float) -> None:
        """A higher epoch: where the service is served is not known any more."""
        self._drop_data()
        control = self._control.link
        if control.state is State.UP and not (greeted and link is control):
            control.greet(now)

    def _drop_data(self) -> None:
        if self._data is not None:
            self._data.ended = True
            self._data = None
        self._endpoint = ""
        self._let_go_of_all()

    def _begin_anew(self) -> None:
        """The data connection is open, and its manager knows nothing of this instance."""
        if self._greeted:
            self._let_go_of_all()
        self._greeted = True
        if self.phase is Phase.DRAINING and self._data is not None:
            self._data.push(wire.DRAIN, 0, 0)

    def _let_go_of_all(self) -> None:
        """Drop queued tasks, cancel running ones, let sessions go; nothing of them is sent."""
        for binding in list(self._bindings.values()):
            binding.orphan = True
            self._unbind(binding)
        self._streams.clear()
        self.requests.fail()
        self._executed = self._took_ns = 0

    def _refused(self, link: Link, error: WeftError, now: float) -> None:
        log.warning("%s refuses: %s", link.endpoint, error)
        if link is self._control.link:
            if error.code == Code.UNAVAILABLE:
                self._control.next_endpoint(now)
            elif not error.retryable:
                self._give_up(error)
        elif link is self._data:
            # The controller may know better, and refer the instance elsewhere.
            self._refused_since = self._refused_since or now
            if now - self._refused_since >= link.timeout and not error.retryable:
                self._give_up(error)
            elif self._control.link.state is State.UP:
                self._control.link.greet(now)

    def _give_up(self, error: WeftError) -> None:
        """The broker does not want this instance: end with a failure."""
        self.failure = self.failure or error
        if self._data is not None:
            self._drop_data()
        self._leave()

    # Records.

    def _records(self, link: Link, records: Sequence[wire.Record], now: float) -> None:
        for kind, number, task, payload, more in records:
            try:
                if link is self._data:
                    if kind == wire.DISPATCH:
                        self._dispatch(number, task, payload, more, now)
                    else:
                        self._order(link, kind, number, task, payload)
                elif link is self._control.link:
                    self._news(link, kind, task, payload, now)
            except wire.Malformed as e:
                log.warning("a record of kind %d from %s: %s", kind, link.endpoint, e)
                self._answer_error(link, task, Code.MALFORMED, str(e))

    def _answer_error(self, link: Link, task: int, code: Code, why: str) -> None:
        link.push_body(wire.ERROR, 0, task, {"code": int(code), "msg": why})

    def _news(self, link: Link, kind: int, task: int, payload: bytes, now: float) -> None:
        """A record on the control connection."""
        if kind == wire.REFER:
            self._refer(wire.unpack_body(payload), now)
        elif kind not in (wire.ERROR, wire.BYE, wire.DONE):
            self._answer_error(link, task, Code.UNKNOWN_KIND, f"an instance takes no record of kind {kind} here")

    def _refer(self, body: Mapping[str, Any], now: float) -> None:
        endpoint = wire.text(body, "endpoint")
        if wire.number(body, "epoch") < self.process.epoch or endpoint == self._endpoint:
            return
        self._endpoint = endpoint
        if self._data is not None:  # the manager has moved, with all that it knows
            self._data.move(endpoint, self._hello(endpoint, False), now)
            return
        if self.phase is Phase.CONNECTING:
            self.phase = Phase.CREATING
            self._exclusive.append(Job(Hook.CREATE))
        elif self._created and self.phase in (Phase.SERVING, Phase.DRAINING):
            self._dial(now)

    def _dial(self, now: float) -> None:
        self._data = Link(self.process, self._endpoint, self._hello(self._endpoint, False), now)
        self._data.always = True
        self._greeted = False

    def _dispatch(self, number: int, task: int, payload: bytes, more: bytes, now: float) -> None:
        binding = self._bindings.get(number)
        if binding is None or binding.stage is not Stage.BOUND:
            return
        job = Job(Hook.EXEC, binding, task, payload, more)
        job.arrived = now
        self._jobs[task] = job
        if not binding.waiting:
            self._turns.append(binding)
        binding.waiting.append(job)
        self.ready += 1

    def _order(self, link: Link, kind: int, number: int, task: int, payload: bytes) -> None:
        """A record of the manager that is no task."""
        if kind == wire.BIND:
            self._bind(link, number, wire.unpack_body(payload))
        elif kind == wire.UNBIND:
            binding = self._bindings.get(number)
            if binding is None:
                link.push(wire.UNBOUND, number, 0)
            else:
                self._unbind(binding)
        elif kind == wire.RECALL:
            job = self._jobs.get(task)
            if job is not None and job.binding is not None and job not in job.binding.running:
                job.recalled = True
                del self._jobs[task]
                link.push(wire.RECALLED, number, task)
        elif kind == wire.ABORT:
            self._abort(link, number, task, payload)
        elif kind == wire.PARTIAL_GRANT:
            job = self._jobs.get(task)
            if job is not None and job.stream is not None:
                job.stream.granted(wire.number(wire.unpack_body(payload), "bytes"))
        elif kind in (wire.DONE, wire.SESSION_DATA, wire.ERROR):
            self.requests.answered(kind, task, payload)
        elif kind == wire.LEAVE and payload:
            self._dismiss(errors.from_body(wire.unpack_body(payload)))
        elif kind == wire.LEAVE:
            self._leave()
        elif kind != wire.BYE:
            self._answer_error(link, task, Code.UNKNOWN_KIND, f"an instance takes no record of kind {kind} here")

    def _abort(self, link: Link, number: int, task: int, why: bytes) -> None:
        """End a task: one that waits never begins, and why is its answer; of one that runs, who runs it is told."""
        job = self._jobs.get(task)
        if job is None or job.binding is None or job.binding.number != number:
            return
        if job in job.binding.running:
            job.cancel(errors.from_body(wire.unpack_body(why)))
            link.push(wire.STOPPING, number, task)
        else:
            job.recalled = True
            del self._jobs[task]
            link.push(wire.FAILURE, number, task, why)

    def _bind(self, link: Link, number: int, body: Mapping[str, Any]) -> None:
        binding = self._bindings.get(number)
        if binding is not None and binding.stage is Stage.BOUND:
            link.push(wire.BOUND, number, 0)
            return
        if binding is not None and binding.stage is Stage.BINDING:
            return
        parameters = body.get("parameters")
        binding = Binding(
            number=number,
            name=wire.text(body, "name"),
            environment=wire.text(body, "environment"),
            principal=wire.text(body, "principal"),
            parameters=parameters if isinstance(parameters, bytes) else b"",
        )
        self._bindings[number] = binding
        self._exclusive.append(Job(Hook.BIND, binding))

    def _unbind(self, binding: Binding) -> None:
        """Let a session go: drop what waits, cancel what runs, and run the hook when all is quiet."""
        if binding.orphan and self._bindings.get(binding.number) is binding:
            del self._bindings[binding.number]
        if binding.stage is Stage.UNBINDING:
            return
        was, binding.stage = binding.stage, Stage.UNBINDING
        for job in binding.waiting:
            if not job.recalled:
                self._jobs.pop(job.number, None)
        self.ready -= len(binding.waiting)
        binding.waiting.clear()
        if binding in self._turns:
            self._turns.remove(binding)
        gone = f"session {binding.number} is let go"
        for job in binding.running:
            job.cancel(errors.error(Code.SESSION_KILLED if not binding.orphan else Code.UNAVAILABLE, gone))
            if not binding.orphan and self._data is not None:
                self._data.push(wire.STOPPING, binding.number, 0)
        if was is Stage.BINDING and not self._begun(binding):
            self._unbound(binding)  # its hook had not begun
        elif was is Stage.BOUND:
            self._exclusive.append(Job(Hook.UNBIND, binding))
        elif not binding.orphan and self._data is not None:
            self._data.push(wire.STOPPING, binding.number, 0)
        # Otherwise on_session_bind runs: what follows is decided when it returns.

    def _begun(self, binding: Binding) -> bool:
        """Whether on_session_bind of a session has begun; if not it will not."""
        for job in self._exclusive:
            if job.hook is Hook.BIND and job.binding is binding:
                self._exclusive.remove(job)
                return False
        return True

    def _unbound(self, binding: Binding) -> None:
        if self._bindings.get(binding.number) is binding:
            del self._bindings[binding.number]
        if not binding.orphan and self._data is not None:
            self._data.push(wire.UNBOUND, binding.number, 0)

    # The life of the instance.

    def drain(self) -> None:
        """The instance is asked to end, by a signal or because it is not to be trusted any more."""
        if self.phase is Phase.CONNECTING:
            self._leave()
        elif self.phase in (Phase.CREATING, Phase.SERVING):
            serving, self.phase = self.phase is Phase.SERVING, Phase.DRAINING
            if serving and self._data is not None:
                self._data.push(wire.DRAIN, 0, 0)
            elif serving:
                self._leave()

    def _leave(self) -> None:
        if self.phase in (Phase.LEAVING, Phase.ENDED):
            return
        creating = self._exclusive_runs and not self._created
        self.phase = Phase.LEAVING
        if self._created:
            self._ask_destroy()
        elif not creating:
            self._exclusive.clear()
            self._end()

    def _dismiss(self, why: WeftError) -> None:
        """The instance is to end at once, since a hook does not end that was told to: what runs is left alone."""
        self.failure = self.failure or why
        self.dismissed = True
        self._let_go_of_all()
        self._exclusive.clear()
        self._end()
        if self.on_dismissed is not None:
            self.effects.append(self.on_dismissed)

    def _ask_destroy(self) -> None:
        if not self._destroy_asked:
            self._destroy_asked = True
            self._exclusive.append(Job(Hook.DESTROY))

    def _end(self) -> None:
        """All hooks have run."""
        self.phase = Phase.ENDED
        control = self._control.link
        if control.state is State.UP and not self._bye_said:
            control.push_body(wire.BYE, 0, 0)
        self._bye_said = True

    # What the threads that run hooks ask.

    def take(self, tasks: bool, hooks: bool, now: float) -> Job | None:
        """Give the next job, if there is one that may begin: hooks alone, and up to slots tasks at once."""
        if self._exclusive_runs or self.dismissed:
            return None
        if self._exclusive:
            if not hooks or self._running:
                return None
            self._exclusive_runs = True
            return self._exclusive.popleft()
        if not tasks or self._running >= self.identity.slots or self.panicked:
            return None
        if self._data is not None and self._data.holding > _MOST_HELD:
            return None
        turns = self._turns
        while turns:
            binding = turns.popleft()
            job = binding.waiting.popleft()
            self.ready -= 1
            if binding.waiting:
                turns.append(binding)
            if job.recalled:
                continue
            binding.running.add(job)
            self._running += 1
            if self._data is not None and wire.watched(job.more):
                self._data.push(wire.STARTED, binding.number, job.number)
            return job
        return None

    def executed(
        self, job: Job, kind: int, payload: bytes, body: Mapping[str, Any] | None, took_ns: int
    ) -> None:
        """A task has ended: kind is RESULT with a payload, or FAILURE with a body."""
        binding = job.binding
        assert binding is not None
        binding.running.discard(job)
        self._running -= 1
        if self._jobs.get(job.number) is job:
            del self._jobs[job.number]
        if job.stream is not None:
            self._streams.discard(job.stream)
        if binding.orphan or self._data is None:
            return
        if job.stream is not None:
            job.stream.tell(self._data, 0.0)
        self._executed += 1
        self._took_ns += took_ns
        if body is None and len(payload) > self._data.max_payload:
            why = f"the result has {len(payload)} bytes; at most {self._data.max_payload} are allowed"
            kind, body = wire.FAILURE, {"code": int(Code.PAYLOAD_TOO_LARGE), "op": Hook.EXEC.value, "msg": why}
        if body is None:
            self._data.push(kind, binding.number, job.number, payload)
        else:
            self._data.push_body(kind, binding.number, job.number, body)

    # What running hooks say.

    @property
    def max_payload(self) -> int:
        """The size of the largest result."""
        return self._data.max_payload if self._data is not None else MAX_PAYLOAD

    @property
    def runs(self) -> tuple[int, bool]:
        """How many tasks run, and whether another hook does."""
        return self._running, self._exclusive_runs

    def _stream(self, job: Job) -> Stream | None:
        """The stream of a running task; None when nobody hears it."""
        binding = job.binding
        if binding is None or binding.orphan or self._data is None or job not in binding.running:
            return None
        if job.stream is None:
            try:
                attempt = min(max(wire.identity_of(job.more)[1], 1), 255)
            except wire.Malformed:
                attempt = 1
            job.stream = Stream(binding.number, job.number, attempt)
            self._streams.add(job.stream)
        return job.stream

    def is_full(self, job: Job) -> bool:
        """Whether a task has to wait before it sends a part."""
        stream = self._stream(job)
        return stream is not None and stream.full

    def emit(self, job: Job, data: bytes) -> None:
        """Send a part of a task's result; the caller saw to it that there is room."""
        stream = self._stream(job)
        if stream is None or self._data is None:
            raise errors.error(Code.UNAVAILABLE, "nobody hears it: the task is over, or its session manager is gone", "emit")
        stream.part(self._data, data)

    def progress(self, job: Job, percent: float, text: str, now: float) -> bool:
        """Note how far a task has come; say whether there is something to be done: to send, or to wait for."""
        stream = self._stream(job)
        if stream is None or self._data is None:
            return False
        news = stream.pending is None
        stream.note(percent, text)
        if now >= stream.due:
            stream.tell(self._data, now)
        return news

    def ask(self, binding: Binding, kind: int, body: Mapping[str, Any]) -> int:
        """Ask the manager about the data of a session: requests.answers has the answer under the number that is given."""
        return self.requests.ask(None if binding.orphan else self._data, kind, binding.number, body)

    def panic(self) -> None:
        """A hook ended in a way after which the process is not to be trusted: no further task begins."""
        self.panicked = True
        self.drain()

    def returned(self, job: Job, error: WeftError | None, now: float) -> None:
        """A hook that is no task has ended; error says that it failed."""
        self._exclusive_runs = False
        binding = job.binding
        if job.hook is Hook.CREATE:
            self._create_returned(error, now)
        elif job.hook is Hook.DESTROY:
            self._end()
        elif job.hook is Hook.UNBIND:
            assert binding is not None
            self._unbound(binding)
        elif job.hook is Hook.BIND:
            assert binding is not None
            self._bind_returned(binding, error)

    def _create_returned(self, error: WeftError | None, now: float) -> None:
        if error is not None:
            self.failure = error
            self.phase = Phase.ENDED
            control = self._control.link
            if control.state is State.UP:
                control.push_body(wire.INSTANCE_FAILED, 0, 0, _body(error))
            self._bye_said = True
            return
        self._created = True
        if self.phase is Phase.CREATING and self._endpoint:
            self.phase = Phase.SERVING
            self._dial(now)
        elif self.phase is Phase.CREATING:
            self.phase = Phase.SERVING  # the next REFER says where
        elif self.phase is Phase.DRAINING:
            self._leave()
        elif self.phase is Phase.LEAVING:
            self._ask_destroy()

    def _bind_returned(self, binding: Binding, error: WeftError | None) -> None:
        if error is not None:
            unbinding = binding.stage is Stage.UNBINDING
            if self._bindings.get(binding.number) is binding:
                del self._bindings[binding.number]
            if not binding.orphan and self._data is not None:
                self._data.push_body(wire.REFUSED, binding.number, 0, _body(error))
                if unbinding:
                    self._data.push(wire.UNBOUND, binding.number, 0)
        elif binding.stage is Stage.UNBINDING:
            if not binding.orphan and self._data is not None:
                self._data.push(wire.BOUND, binding.number, 0)
            self._exclusive.append(Job(Hook.UNBIND, binding))
        else:
            binding.stage = Stage.BOUND
            if self._data is not None:
                self._data.push(wire.BOUND, binding.number, 0)


def _body(error: WeftError) -> dict[str, Any]:
    return {"code": int(error.code), "op": error.op, "msg": error.message}
